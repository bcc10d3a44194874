# SPDX-License-Identifier: MIT
"""The result of a vector or of a system case."""

import fnmatch
from dataclasses import dataclass
from typing import Literal

Verdict = Literal["passed", "failed", "expected failure", "stale", "not run", "not reached"]
BAD = ("failed", "stale")


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """The result of one check.

    `kind`: the kind of the vector, or the family of the case. `clauses`: the clauses that were
    checked; the check is named after the first one. `cast`: which adapter played which role.
    `message`: why the check failed or was not run. `details`: lines that show what was seen.
    """

    id: str
    kind: str
    clauses: tuple[str, ...]
    about: str
    cast: str
    verdict: Verdict
    message: str = ""
    details: tuple[str, ...] = ()
    seconds: float = 0.0


def judged(
    verdict: Verdict, message: str, id_: str, expected_failures: set[str]
) -> tuple[Verdict, str]:
    """Return the verdict on the check `id_`, and its message.

    `expected_failures` has ids of checks, or globs.
    """
    expected = any(fnmatch.fnmatchcase(id_, glob) for glob in expected_failures)
    if expected and verdict == "passed":
        return "stale", "is listed as an expected failure, but passes; remove it from the file"
    if expected and verdict == "failed":
        return "expected failure", message
    return verdict, message
