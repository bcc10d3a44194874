# SPDX-License-Identifier: MIT
"""Reading a run's log while others append to it: only what is final, all of it (SPEC: READ).

A snapshot is what ends in a newline when the log is opened. What follows the last newline is read
under the lock alone, which a reader waits for no longer than 100 ms and never holds while the
caller's code runs.
"""

import errno
import math
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from threading import TIMEOUT_MAX
from threading import Event as Flag
from time import monotonic
from typing import Self

from .codec import decode, is_blank
from .errors import DeserializeError, LockTimeout, TornTailError, refusals
from .events import Event
from .lock import LockableFile, checked_seconds, unlock
from .volume import Root, events_log_path

_PATIENCE_S = 0.1  # a reader waits no longer for the lock
_LINGER_S = 2.0  # appenders leave a replaced log within 1 s, a follower after this


@dataclass(frozen=True, slots=True, kw_only=True)
class Scan:
    """What a snapshot holds, in order: the sound `events`, and `problems` with where they are.

    `blank_lines` were passed over. `tail_in_flight`: bytes after the last newline were left out,
    for somebody held the lock.
    """

    events: list[Event]
    problems: list[DeserializeError]
    blank_lines: int
    tail_in_flight: bool


def read_run(root: Root, run_id: str) -> list[Event]:
    """Return all events of a run, in order: a snapshot taken now (SPEC: READ).

    Raises InvalidRunId; LogIOError, also where there is no log; DeserializeError at the first bad
    line; TornTailError where the log ends in part of a line that nobody is writing.
    """
    return list(iter_run(root, run_id))


def iter_run(root: Root, run_id: str) -> Iterator[Event]:
    """Yield what `read_run` returns, in constant memory; the snapshot is taken at the first next().

    Raises as `read_run` does: InvalidRunId at once, the others where they are come upon.
    """
    return _events(events_log_path(root, run_id))


def scan_run(root: Root, run_id: str) -> Scan:
    """Read a snapshot past all damage. Raises InvalidRunId; LogIOError."""
    path = events_log_path(root, run_id)
    with refusals("cannot read", path), _Log(path) as log:
        log.problems = []
        return Scan(
            events=list(log.snapshot()),
            problems=log.problems,
            blank_lines=log.blank_lines,
            tail_in_flight=log.tail_in_flight,
        )


def follow_run(
    root: Root, run_id: str, *, stop: Flag | None = None, poll_interval: float = 0.05
) -> Iterator[Event]:
    """Yield the events of a run as they come, each once its line is terminated; never half a line.

    Looks every `poll_interval` seconds, for ever, or until it has yielded all that was terminated
    when `stop` was set. Waits for an unterminated tail to become a line. Where the log is replaced,
    it goes on with the new one 2 s later. Raises ValueError for a bad `poll_interval`, and as
    `iter_run` does; LogIOError also when the log is gone for good or final lines were cut off.
    """
    path = events_log_path(root, run_id)
    with refusals("cannot read", path):  # for there may be no working directory
        path = path.absolute()
    poll_interval = min(checked_seconds("poll_interval", poll_interval), TIMEOUT_MAX)
    return _following(path, stop or Flag(), poll_interval)


def _events(path: Path) -> Iterator[Event]:
    with refusals("cannot read", path), _Log(path) as log:
        yield from log.snapshot()


def _following(path: Path, stop: Flag, poll_interval_s: float) -> Iterator[Event]:
    with refusals("cannot read", path):
        log = _Log(path)
        try:
            while True:  # both are asked before looking, so that all is seen that came
                stopped, left_behind = stop.is_set(), log.left_behind()
                yield from log.advance(log.extent()[0])
                if stopped:
                    return
                if left_behind:
                    log = log.successor()
                else:
                    stop.wait(poll_interval_s)
        finally:
            log.close()


class LogFile(LockableFile):
    """A log that is being read, as lines of bytes; `tail_in_flight` as in `Scan`."""

    tail_in_flight = False
    _replaced_at = math.inf

    def __init__(self, path: Path) -> None:
        """Open the log at `path`. Raises LogIOError."""
        super().__init__(path, os.O_RDONLY)

    def left_behind(self) -> bool:
        """Whether nobody appends here any more, for the path was seen to lead elsewhere for 2 s."""
        self._replaced_at = min(self._replaced_at, monotonic()) if self.replaced() else math.inf
        return monotonic() - self._replaced_at >= _LINGER_S

    def successor(self) -> Self:
        """The log that is at the path now, from its beginning; this one if it is there again."""
        new = type(self)(self.path)
        if os.path.samestat(os.fstat(new.fd), os.fstat(self.fd)):
            new.close()
            return self
        self.close()
        return new

    def settled(self) -> tuple[int, bytes]:
        """Where the last newline ends, and what follows it unless somebody is writing that."""
        end, size = self.extent()
        if end == size:
            return end, b""
        try:
            self.lock(monotonic(), _PATIENCE_S)
        except LockTimeout:
            self.tail_in_flight = True
            return end, b""
        try:  # what was seen without the lock may have been completed, or cut: look again
            end, size = self.extent()
            return end, b"".join(self.blocks(end, size))
        finally:
            unlock(self.fd)

    def lines(self, start: int, end: int) -> Iterator[list[bytes]]:
        """The lines between two places just after newlines, without their own, in bunches."""
        if end < start:
            raise OSError(errno.EIO, f"cut to {end} bytes, of which {start} were final")
        pieces: list[bytes] = []
        for block in self.blocks(start, end):
            *lines, rest = block.split(b"\n")  # and at nothing else that may count as a line's end
            if lines:
                lines[0] = b"".join((*pieces, lines[0]))
                pieces.clear()
                yield lines
            pieces.append(rest)


class _Log(LogFile):
    """A log that is being read, as events, and how far it has been."""

    line = offset = blank_lines = 0
    problems: list[DeserializeError] | None = None  # where damage is noted, which else is raised

    def snapshot(self) -> Iterator[Event]:
        """What is in the lines that are final by now, and in a tail that nobody is writing."""
        end, tail = self.settled()
        yield from self.advance(end)
        if tail:
            yield from self._decode([tail], TornTailError)

    def advance(self, end: int) -> Iterator[Event]:
        """What is in the lines from where the last call stopped to `end`, just after a newline."""
        for lines in self.lines(self.offset, end):
            yield from self._decode(lines, DeserializeError)

    def _decode(self, lines: list[bytes], damage: type[DeserializeError]) -> Iterator[Event]:
        number, offset = self.line, self.offset  # as locals: two attributes a line are slower
        for line in lines:
            number += 1
            try:
                event = decode(line)
            except DeserializeError as error:
                if damage is DeserializeError and is_blank(line):
                    self.blank_lines += 1
                else:
                    problem = damage(error.reason, self.path, number, offset)
                    problem.__cause__ = error.__cause__
                    if self.problems is None:
                        raise problem from error.__cause__
                    self.problems.append(problem)
            else:
                yield event
            offset += len(line) + 1
        self.line, self.offset = number, offset
