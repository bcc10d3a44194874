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

    `kind`: of vector, or family of case. `clauses`: what it checks, the one that it is named after
    first. `cast`: which adapter played which role. `message`: why it failed. `details`: lines that
    show what was seen.
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


def judged(verdict: Verdict, id_: str, expected_failures: set[str]) -> Verdict:
    """Return the verdict, given the failures that are expected, which may be globs."""
    expected = any(fnmatch.fnmatchcase(id_, glob) for glob in expected_failures)
    if not expected or verdict not in ("passed", "failed"):
        return verdict
    return "stale" if verdict == "passed" else "expected failure"
