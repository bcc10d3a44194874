# SPDX-License-Identifier: MIT
"""Reading a run's log while others append to it: only what is final, nothing skipped (SPEC: READ).

A snapshot is what ends in a newline when the log is opened. What follows the last newline is read
under the lock alone, which a reader waits for no longer than 100 ms, and never holds while the
caller's code runs.
"""

import errno
import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Event as Flag
from time import monotonic

from .codec import decode, is_blank
from .errors import DeserializeError, LockTimeout, LogIOError, OmnelogError, TornTailError
from .events import Event
from .lock import LockableFile, unlock
from .volume import Root, events_log_path

_PATIENCE_S = 0.1  # how long a reader waits for the lock
_LINGER_S = 2.0  # appenders leave a replaced log within 1 s; a follower stays longer


@dataclass(frozen=True, slots=True, kw_only=True)
class Scan:
    """All that a log holds, sound or not."""

    events: list[Event]
    """The events of every sound line, in order."""
    problems: list[DeserializeError]
    """What is not an event, in order, each with path, line and offset."""
    blank_lines: int
    """How many lines were passed over as blank."""
    tail_in_flight: bool
    """Whether bytes after the last newline were left out because somebody held the lock."""


def read_run(root: Root, run_id: str) -> list[Event]:
    """All events of a run, in order: a snapshot taken now (SPEC: READ).

    Raises InvalidRunId; LogIOError, also where there is no log; DeserializeError at the first bad
    line; TornTailError where the log ends in part of a line nobody is writing.
    """
    return list(iter_run(root, run_id))


def iter_run(root: Root, run_id: str) -> Iterator[Event]:
    """Yield what `read_run` returns, in constant memory; the snapshot is taken at the first next().

    Raises as `read_run` does: InvalidRunId at once, the others where they are come upon.
    """
    return _events(events_log_path(root, run_id))


def scan_run(root: Root, run_id: str) -> Scan:
    """Read a snapshot past all damage: what is sound in it, and what is wrong and where.

    Raises InvalidRunId; LogIOError.
    """
    events: list[Event] = []
    problems: list[DeserializeError] = []
    with _opened(events_log_path(root, run_id)) as log:
        for found in log.snapshot():
            if isinstance(found, DeserializeError):
                problems.append(found)
            else:
                events.append(found)
    return Scan(
        events=events,
        problems=problems,
        blank_lines=log.blank_lines,
        tail_in_flight=log.tail_in_flight,
    )


def follow_run(
    root: Root, run_id: str, *, stop: Flag | None = None, poll_interval: float = 0.05
) -> Iterator[Event]:
    """Yield the events of a run as they come, each once its line is terminated; never half a line.

    Looks every `poll_interval` seconds. Once `stop` is set it yields what is terminated by then
    and ends; without `stop` it goes on for ever. An unterminated tail is waited for. When the log
    is replaced it goes on with the new file, 2 s after it noticed. Raises as `iter_run` does, and
    LogIOError when the run directory is gone or terminated lines were cut off.
    """
    return _following(events_log_path(root, run_id).absolute(), stop or Flag(), poll_interval)


def _events(path: Path) -> Iterator[Event]:
    with _opened(path) as log:
        yield from map(_sound, log.snapshot())


def _following(path: Path, stop: Flag, poll_interval_s: float) -> Iterator[Event]:
    while not stop.is_set():
        leave_at = math.inf
        with _opened(path) as log:
            while monotonic() < leave_at:
                last = stop.is_set()  # asked before looking, so that what came before it is seen
                if leave_at == math.inf and log.replaced():
                    leave_at = monotonic() + _LINGER_S
                yield from map(_sound, log.advance(log.file.extent()[0]))
                if last:
                    return
                stop.wait(poll_interval_s)


def _sound(found: Event | DeserializeError) -> Event:
    if isinstance(found, DeserializeError):
        raise found
    return found


@contextmanager
def _opened(path: Path) -> Iterator["_Log"]:
    try:
        with LockableFile(path, os.O_RDONLY) as file:
            yield _Log(file)
    except OmnelogError:
        raise
    except (OSError, ValueError) as error:  # a ValueError where a fork closed the file
        reason = getattr(error, "strerror", None) or error
        raise LogIOError(getattr(error, "errno", None), f"cannot read: {reason}", path) from error


class _Log:
    """A log being read, and how far."""

    def __init__(self, file: LockableFile) -> None:
        self.file = file
        self.line = self.offset = self.blank_lines = 0
        self.tail_in_flight = False

    def snapshot(self) -> Iterator[Event | DeserializeError]:
        """What every line holds that is final by now, and the tail if nobody is writing it."""
        tail = b""
        end, size = self.file.extent()
        if end != size:
            try:
                self.file.lock(monotonic(), _PATIENCE_S)
            except LockTimeout:
                self.tail_in_flight = True
            else:  # what was there before the lock may be gone: look again
                end, size = self.file.extent()
                tail = b"".join(self.file.blocks(end, size))
                unlock(self.file.fileno())
        yield from self.advance(end)
        if tail:
            self.line += 1
            yield self._decode(tail, TornTailError)

    def advance(self, end: int) -> Iterator[Event | DeserializeError]:
        """What the lines hold from where the last call stopped to `end`, just after a newline."""
        if end < self.offset:
            raise OSError(errno.EIO, f"it was cut to {end} bytes, {self.offset} were final")
        pieces: list[bytes] = []
        for block in self.file.blocks(self.offset, end):
            *lines, rest = block.split(b"\n")  # and on nothing else that may count as a line's end
            if lines:
                lines[0] = b"".join((*pieces, lines[0]))
                pieces.clear()
            pieces.append(rest)
            for line in lines:
                self.line += 1
                found = self._decode(line, DeserializeError)
                self.offset += len(line) + 1
                if isinstance(found, DeserializeError) and is_blank(line):
                    self.blank_lines += 1
                else:
                    yield found

    def _decode(self, line: bytes, failure: type[DeserializeError]) -> Event | DeserializeError:
        try:
            return decode(line)
        except DeserializeError as error:
            found = failure(error.reason, self.file.path, self.line, self.offset)
            found.__cause__ = error.__cause__
            return found

    def replaced(self) -> bool:
        """Whether the path leads to another file by now. OSError if its directory is gone."""
        try:
            return not os.path.samestat(os.stat(self.file.path), os.fstat(self.file.fileno()))
        except FileNotFoundError:
            os.stat(self.file.path.parent)
            return False
