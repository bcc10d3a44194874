# SPDX-License-Identifier: MIT
"""The event log of an omne run: a line log of events, at its place in a volume (SPEC: APP)."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from threading import Event as Flag
from typing import Any, Self

from .codec import decode, encode
from .events import Event
from .linelog.appender import LineLog
from .linelog.errors import DeserializeError
from .linelog.lock import absolute_path, checked_seconds
from .linelog.reader import follow_log, iter_log, read_log, scan_log
from .volume import Root, events_log_path


class EventLog(LineLog[Event]):
    """A handle that appends to one run's log; made by `for_run`, usable with ``with``.

    It is a `LineLog` of events. Threads may share it. A forked child's copy and a pickled copy
    open the log again. It excludes every other handle, process or program that takes the same lock.
    """

    def __init__(self, root: Root, run_id: str, lock_timeout: float, durable: bool) -> None:
        """Open the log of `run_id`; `for_run` says what the arguments mean and what is raised."""
        checked_seconds("lock_timeout", lock_timeout)
        events_log_path(root, run_id)  # raises InvalidRunId before anything is looked at
        self._root = absolute_path(root)
        self._run_id = run_id
        super().__init__(
            events_log_path(self._root, run_id),
            encode=encode,
            decode=decode,
            lock_timeout=lock_timeout,
            durable=durable,
        )
        self._line = encode  # it returns whole lines, which need no check

    @classmethod
    def for_run(
        cls, root: Root, run_id: str, *, lock_timeout: float = 5.0, durable: bool = False
    ) -> Self:
        """Open the log of `run_id` in the volume at `root`; create it and its parents if necessary.

        `lock_timeout` is how many seconds one append may wait for other threads and processes
        together; 0 means to try without waiting. With `durable`, an append returns only when its
        line, and the directories that lead to it from `root`, would survive a power loss. Without
        it, what was appended survives the death of processes, but not of the machine (SPEC: DUR).

        Raises InvalidRunId or ValueError before anything is touched, otherwise LogIOError.
        """
        return cls(root, run_id, lock_timeout, durable)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self._root, self._run_id, self.lock_timeout, self.durable)

    def _directories_to_sync(self) -> list[Path]:
        return list(self.path.parents[:5])  # from the run's directory up to the root (SPEC: DUR-7)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scan:
    """What a snapshot of a run's log holds, in order, even if the log is damaged."""

    events: list[Event]
    """The sound events."""

    problems: list[DeserializeError]
    """What is wrong with the other lines, and where."""

    blank_lines: int
    """How many blank lines were skipped."""

    tail_in_flight: bool
    """Whether bytes after the last newline were left out, because somebody held the lock."""


def read_run(root: Root, run_id: str) -> list[Event]:
    """Return all events of a run, in order: a snapshot taken now (SPEC: READ).

    Raises InvalidRunId; LogIOError, also if there is no log; DeserializeError at the first line
    that is not an event; TornTailError if the log ends in part of a line that nobody is writing.
    """
    return read_log(events_log_path(root, run_id), decode=decode)


def iter_run(root: Root, run_id: str) -> Iterator[Event]:
    """Yield what `read_run` returns, in constant memory.

    The snapshot is taken at the first next(); a relative `root` is made absolute in the call.
    Raises InvalidRunId at once, and the other errors of `read_run` where they are found.
    """
    return iter_log(events_log_path(root, run_id), decode=decode)


def scan_run(root: Root, run_id: str) -> Scan:
    """Return a snapshot that is read past all damage. Raises InvalidRunId; LogIOError."""
    scan = scan_log(events_log_path(root, run_id), decode=decode)
    return Scan(
        events=scan.records,
        problems=scan.problems,
        blank_lines=scan.blank_lines,
        tail_in_flight=scan.tail_in_flight,
    )


def follow_run(
    root: Root, run_id: str, *, stop: Flag | None = None, poll_interval: float = 0.05
) -> Iterator[Event]:
    """Yield the events of a run as they come, each after its line is terminated, never half a line.

    It looks every `poll_interval` seconds. Once `stop` is set, it yields what was terminated by
    then, and ends; without `stop` it does not end. It takes no lock, and waits for an unterminated
    tail to become a line. If the log is replaced, it continues with the new one 2 s later.

    Raises InvalidRunId; ValueError for a bad `poll_interval`; DeserializeError as `iter_run` does;
    LogIOError, also if the log is gone for good or final lines were cut off.
    """
    path = events_log_path(root, run_id)
    return follow_log(path, decode=decode, stop=stop, poll_interval=poll_interval)
