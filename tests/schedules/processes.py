# SPDX-License-Identifier: MIT
"""Processes that run only when the scheduler lets them: greenlets that stop before each call.

A switch between two greenlets takes about 0.5 µs; between two threads it takes 15 µs with locks,
and 30 µs with semaphores. All greenlets are in one thread. That makes no difference to the core: it
only asks whether the current thread holds the mutex of a handle, and no two processes share one.
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
    """The process died here. It makes no more system calls, except that its files are closed."""


@dataclass(slots=True, eq=False)
class Action:
    """A thing that the scheduler can do next, written as `token` in a schedule.

    ``A`` lets process A make the call before which it stopped. ``A!`` kills A before the call.
    ``A!7`` kills it after its write has written 7 bytes. With ``A~``, it gives up waiting for the
    lock. `reads` and `writes` are sets of bits: what the action depends on, and what it changes.
    """

    token: str
    process: "Process"
    reads: int
    writes: int

    def conflicts(self, other: "Action") -> bool:
        """Whether the order of the two actions can make a difference."""
        return bool(
            self.process is other.process
            or self.process.letter == other.process.letter  # the same process in another run
            or self.writes & (other.reads | other.writes)
            or self.reads & other.writes
        )


@dataclass(slots=True, eq=False)
class Operation:
    """One operation of a process, and its results."""

    process: "Process"
    name: str
    called_at: float  # the time when it was called
    lines: list[bytes] = field(default_factory=list)  # the lines to append, without newlines
    began: int | None = None  # the step of its first call
    has_ended: bool = False
    error: Exception | None = None
    records: list[dict[str, object]] = field(default_factory=list)  # the records it has read
    problems: list[Exception] = field(default_factory=list)
    tail_in_flight: bool = False
    found_taken: bool = False  # it found the lock taken at least once


@dataclass(slots=True, eq=False)
class Stop:
    """The call before which a process stopped, and the actions that are possible there."""

    call: str
    step: Action
    deaths: list[Action]
    gives_up: Action | None = None
    is_ready: Callable[[], bool] | None = None  # None: it is always ready


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
        self.result = ""  # of its last call, to be shown in the schedule
        self.faults: list[str] = []  # the faults of its next writes of lines
        if plan.traits & {"short", "full"}:
            self.faults.append("short")
        if "full" in plan.traits:
            self.faults.append("ENOSPC")
        self._cut: int | None = None
        self._greenlet: greenlet | None = None
        self._scheduler = getcurrent()

    @property
    def is_finished(self) -> bool:
        """Whether the process has ended."""
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
        """Run to the next call; with `cut`, write only that many bytes and die."""
        assert self._greenlet is not None
        self._cut = cut
        self._greenlet.switch()

    def stop(self, stop: Stop) -> int | None:
        """Wait for the scheduler; return after how many bytes of its write the process dies."""
        self.stopped = stop
        self._scheduler.switch()
        if self.is_dead:
            raise Killed
        return self._cut

    def die(self) -> None:
        """Die here. The files of the process close, which releases its locks."""
        self.is_dead = True
        if self._greenlet is not None and not self._greenlet.dead:
            self._greenlet.switch()
        self.close()

    def close(self) -> None:
        """Close the handles of the process."""
        self.is_scheduled = False
        for handle in self.handles:
            with suppress(Killed):  # the file is closed nevertheless
                handle.close()
        self.handles.clear()
