# SPDX-License-Identifier: MIT
"""Run vectors against one adapter or against a pair, and yield the results.

An adapter is started when it is first needed, and kept for the next vector unless it failed, was
killed, or had limits of its own. All adapters end when the run ends.
"""

import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from time import monotonic
from typing import Any

from .checks import check
from .parallel import in_parallel
from .process import Adapter, AdapterFailure, Adapters
from .results import Result, Verdict, judged
from .steps import Mismatch
from .vectors import Vector

Listen = Callable[[str], None]


class Volume:
    """A context manager that makes a root. Without `keep` it is removed at the end.

    `keep`: the directory in which the root is made and stays, named after `name`.
    """

    def __init__(self, keep: Path | None, name: str) -> None:
        self._keep, self._name = keep, name

    def __enter__(self) -> Path:
        if self._keep is None:
            self._root = tempfile.mkdtemp(prefix="conformance-")
        else:
            self._keep.mkdir(parents=True, exist_ok=True)
            self._root = tempfile.mkdtemp(prefix=f"{self._name}.", dir=self._keep)
        return Path(self._root).resolve()

    def __exit__(self, *_: object) -> None:
        if self._keep is None:
            shutil.rmtree(self._root, ignore_errors=True)


class Cast(Adapters):
    """The adapters of a run, by role.

    `commands`: what starts the adapter of each role. `listen` is called with each line of the
    conversation, preceded by the role.
    """

    def __init__(
        self, commands: dict[str, Sequence[str]], limit_s: float, listen: Listen | None = None
    ) -> None:
        super().__init__()
        self._commands, self._limit_s, self._listen = commands, limit_s, listen
        self._limited: set[str] = set()

    def adapter(self, role: str, **limits: Any) -> Adapter:
        """Return the adapter that plays `role`. It is started if there is none or it was killed.

        With `limits`, a new one is started under these limits.
        """
        if role in self._running and (limits or self._running[role].ended):
            self._running.pop(role).kill()
        if role not in self._running:
            listen = self._listener(role)
            self._running[role] = Adapter(
                self._commands[role], self._limit_s, listen=listen, **limits
            )
            if limits:
                self._limited.add(role)
        return self._running[role]

    def _listener(self, role: str) -> Listen | None:
        listen = self._listen
        if listen is None:
            return None
        return lambda text: listen(f"{role} {text}")

    def fence(self) -> None:
        """Check that no adapter answered more than it was asked. Raises AdapterFailure."""
        for adapter in self._running.values():
            if adapter.idle:
                adapter.fence()

    def retire(self, *, everybody: bool) -> None:
        """End the adapters that the next vector cannot use."""
        for role, adapter in list(self._running.items()):
            if everybody or role in self._limited or not adapter.alive:
                self._running.pop(role).kill()
        self._limited.clear()

    @property
    def name(self) -> str:
        """Which adapter plays which role, of those that run."""
        return " ".join(f"{r}={a.about.get('name')}" for r, a in sorted(self._running.items()))


def missing(vector: Vector, cast: Cast) -> list[str]:
    """Return what `vector` needs and its adapters lack. Raises AdapterFailure."""
    has = [set(cast.adapter(role).about["capabilities"]) for role in vector.roles]
    return sorted(set(vector.data.get("needs", [])) - set.intersection(*has))


class _Player:
    """Runs vectors with a cast of its own."""

    def __init__(self, cast: Cast, expected_failures: set[str], keep: Path | None) -> None:
        self._cast, self._expected, self._keep = cast, expected_failures, keep
        self._named = ""

    def interrupt(self) -> None:
        self._cast.interrupt()

    def end(self) -> None:
        self._cast.end()

    def work(self, vector: Vector) -> Result:
        """Run one vector."""
        cast = self._cast
        started, message, spent = monotonic(), "", False
        verdict: Verdict = "passed"
        try:
            if lacks := missing(vector, cast):
                verdict, message = "not run", f"the adapter has no {', '.join(lacks)}"
            else:
                self._try(vector)
        except Mismatch as failure:
            verdict, message = "failed", str(failure)
            spent = vector.kind == "behaviour"  # a lock may still be held, a response unread
        except AdapterFailure as failure:
            verdict, message, spent = "failed", str(failure), True
        verdict, message = judged(verdict, message, vector.id, self._expected)
        result = Result(
            id=vector.id,
            kind=vector.kind,
            clauses=tuple(vector.clauses),
            about=vector.data.get("about", ""),
            cast=cast.name,
            verdict=verdict,
            message=message,
            seconds=monotonic() - started,
        )
        with suppress(AdapterFailure):
            cast.retire(everybody=spent)
        return result

    def _try(self, vector: Vector) -> None:
        """Check a vector. If it measures time, try again, because the machine may be busy."""
        for left in reversed(range(vector.data.get("tries", 1))):
            for role in vector.roles:
                self._cast.adapter(role)  # started here, so that no step waits for a start
            try:
                with Volume(self._keep, vector.id) as root:
                    check(vector, self._cast.adapter, root)
            except Mismatch:
                if not left:
                    raise
                self._cast.retire(everybody=True)
            else:
                self._cast.fence()
                return


def conduct(
    vectors: Sequence[Vector],
    commands: dict[str, Sequence[str]],
    limit_s: float,
    expected_failures: set[str],
    *,
    jobs: int = 1,
    keep: Path | None = None,
    listen: Listen | None = None,
) -> Iterator[Result]:
    """Run each vector and yield its result as it arrives.

    `commands`: what starts the adapter of each role. `limit_s`: seconds for a response, in addition
    to the time it may wait for a lock. `expected_failures`: ids of vectors, or globs. `jobs`: how
    many vectors run at once. `keep`: the directory in which volumes stay. `listen` is called with
    each line of a conversation.
    """

    def player() -> _Player:
        return _Player(Cast(commands, limit_s, listen), expected_failures, keep)

    yield from in_parallel(vectors, player, jobs)
