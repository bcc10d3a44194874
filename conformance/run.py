# SPDX-License-Identifier: MIT
"""Running vectors against one adapter, or a pair: who plays which role, and what came of it.

Adapters are started when first needed and kept from vector to vector, but for one that failed,
was killed, or had limits of its own. None outlives the run.
"""

import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from types import TracebackType
from typing import Any, Literal, Self

from .checks import check
from .process import Adapter, AdapterFailure
from .steps import Mismatch
from .vectors import Vector

Verdict = Literal["passed", "failed", "expected failure", "stale", "not run"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What came of one vector. `cast`: which adapter played which role."""

    vector: Vector
    cast: str
    verdict: Verdict
    message: str
    seconds: float


class Cast:
    """The adapters of a run, by role; as a context manager it ends them all.

    `commands`: what starts the adapter of each role.
    """

    def __init__(self, commands: dict[str, Sequence[str]], limit_s: float) -> None:
        self._commands, self._limit_s = commands, limit_s
        self._running: dict[str, Adapter] = {}
        self._limited: set[str] = set()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for adapter in self._running.values():
            adapter.kill()

    def adapter(self, role: str, **limits: Any) -> Adapter:
        """The adapter that plays `role`, started unless it runs; anew if there are `limits`."""
        if role in self._running and (limits or self._running[role].ended):
            self._running.pop(role).kill()
        if role not in self._running:
            self._running[role] = Adapter(self._commands[role], self._limit_s, **limits)
            if limits:
                self._limited.add(role)
        return self._running[role]

    def retire(self, *, everybody: bool) -> None:
        """End those that no further vector can use."""
        for role, adapter in list(self._running.items()):
            if everybody or role in self._limited or not adapter.alive:
                self._running.pop(role).kill()
        self._limited.clear()

    @property
    def name(self) -> str:
        """Who plays what, as far as has been seen."""
        return " ".join(f"{r}={a.about.get('name')}" for r, a in sorted(self._running.items()))


def missing(vector: Vector, cast: Cast) -> list[str]:
    """What `vector` needs and its adapters lack. Raises AdapterFailure."""
    has = [set(cast.adapter(role).about["capabilities"]) for role in vector.roles]
    return sorted(set(vector.data.get("needs", [])) - set.intersection(*has))


def conduct(
    vectors: Iterable[Vector],
    commands: dict[str, Sequence[str]],
    limit_s: float,
    expected_failures: set[str],
    began: Callable[[Vector], None],
) -> Iterator[Result]:
    """Run each vector and yield its result; `began` is called before each.

    `limit_s`: seconds for a response, above what it may wait for a lock.
    """
    with ExitStack() as stack:
        cast = stack.enter_context(Cast(commands, limit_s))
        for vector in vectors:
            began(vector)
            started, message, spent = monotonic(), "", False
            verdict: Verdict = "passed"
            try:
                if lacks := missing(vector, cast):
                    verdict, message = "not run", f"the adapter has no {', '.join(lacks)}"
                else:
                    with tempfile.TemporaryDirectory(prefix="conformance-") as root:
                        check(vector, cast.adapter, Path(root).resolve())
            except Mismatch as failure:
                verdict, message = "failed", str(failure)
                spent = vector.kind == "behaviour"  # which may have left a lock, or a response
            except AdapterFailure as failure:
                verdict, message, spent = "failed", str(failure), True
            if vector.id in expected_failures and verdict in ("passed", "failed"):
                verdict = "stale" if verdict == "passed" else "expected failure"
                message = message or "is listed as an expected failure, but passes"
            yield Result(
                vector=vector,
                cast=cast.name,
                verdict=verdict,
                message=message,
                seconds=monotonic() - started,
            )
            cast.retire(everybody=spent)
