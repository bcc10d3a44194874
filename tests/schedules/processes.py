# SPDX-License-Identifier: MIT
"""A process that runs only when the scheduler lets it: a greenlet that stops before each call.

A switch between two greenlets takes about 0.5 µs, one between two threads by locks 15 µs, and by
semaphores 30 µs. All greenlets are in one thread. That makes no difference to the core: what it
asks about a thread is whether it holds the mutex of a handle, and no two processes share a handle.
"""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

from greenlet import getcurrent, greenlet

from .. import omnelog
from .scenarios import Plan

CLOCK = 1
"""The bit of `Action.reads` and `Action.writes` that stands for the time."""


class Killed(BaseException):
    """The process died here. It makes no system call any more, except that its files close."""


@dataclass(slots=True, eq=False)
class Action:
    """Something that the scheduler can do next, spelt as `token` in a schedule.

    ``A`` lets process A make the call before which it stopped, ``A!`` kills it there, ``A!7`` kills
    it when its write has written 7 bytes, and with ``A~`` it gives up waiting for the lock.
    `reads` and `writes` are sets of bits: what the action depends on, and what it changes.
    """

    token: str
    process: "Process"
    reads: int
    writes: int

    def conflicts(self, other: "Action") -> bool:
        """Whether it can make a difference which of the two comes first."""
        return bool(
            self.process is other.process
            or self.process.letter == other.process.letter  # the same process in another run
            or self.writes & (other.reads | other.writes)
            or self.reads & other.writes
        )


@dataclass(slots=True, eq=False)
class Operation:
    """One operation of a process, and what came of it."""

    process: "Process"
    name: str
    called_at: float  # the time when it was called
    lines: list[bytes] = field(default_factory=list)  # what it is to append, without newlines
    began: int | None = None  # the step of its first call
    has_ended: bool = False
    error: Exception | None = None
    records: list[dict[str, object]] = field(default_factory=list)  # what it read
    problems: list[Exception] = field(default_factory=list)
    tail_in_flight: bool = False
    found_taken: bool = False  # it found the lock taken at least once


@dataclass(slots=True, eq=False)
class Stop:
    """Where a process stopped: before which call, and what can be done with it."""

    call: str
    step: Action
    deaths: list[Action]
    gives_up: Action | None = None
    is_ready: Callable[[], bool] | None = None  # it always is where this is None


class Process:
    """A process of a scenario in one run."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.letter = plan.letter
        self.traits = plan.traits
        self.handles: list[omnelog.LineLog[dict[str, object]]] = []
        self.operation: Operation | None = None
        self.records_made = 0
        self.is_scheduled = False  # whether it stops before its calls
        self.is_dead = False
        self.gives_up = False  # its deadline has come while it waits for the lock
        self.stopped: Stop | None = None
        self.result = ""  # of its last call, for those who look at the schedule
        self.faults: list[str] = []  # what its next writes of lines meet
        if plan.traits & {"short", "full"}:
            self.faults.append("short")
        if "full" in plan.traits:
            self.faults.append("ENOSPC")
        self._cut: int | None = None
        self._greenlet: greenlet | None = None
        self._scheduler = getcurrent()

    @property
    def is_finished(self) -> bool:
        """Whether it does nothing any more."""
        return self._greenlet is not None and self._greenlet.dead

    def start(self, body: Callable[[], None]) -> None:
        """Run `body` up to its first call."""

        def until_killed() -> None:
            with suppress(Killed):
                body()

        self.is_scheduled = True
        self._greenlet = greenlet(until_killed)
        self._greenlet.switch()

    def resume(self, *, cut: int | None = None) -> None:
        """Run up to the next call; with `cut`, only write so many bytes and die."""
        assert self._greenlet is not None
        self._cut = cut
        self._greenlet.switch()

    def stop(self, stop: Stop) -> int | None:
        """Wait until the scheduler lets it go on; return at which byte of its write it dies."""
        self.stopped = stop
        self._scheduler.switch()
        if self.is_dead:
            raise Killed
        return self._cut

    def die(self) -> None:
        """Die where it stopped. Its files close, which releases its locks."""
        self.is_dead = True
        if self._greenlet is not None and not self._greenlet.dead:
            self._greenlet.switch()
        self.close()

    def close(self) -> None:
        """Close its handles."""
        self.is_scheduled = False
        for handle in self.handles:
            with suppress(Killed):  # which closes the file nevertheless
                handle.close()
        self.handles.clear()
