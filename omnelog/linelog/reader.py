# SPDX-License-Identifier: MIT
"""Reading a log while others append to it: only what is final, all of it (SPEC: READ).

A snapshot is every line that is terminated when the first record is asked for, and after these a
tail that is a whole record. What follows the last newline is read with the lock held. A reader
waits for the lock no longer than 100 ms, and never holds it while the caller's code runs.
"""

import errno
import math
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from threading import TIMEOUT_MAX
from threading import Event as Flag
from time import monotonic
from typing import Generic, Self

from .errors import DeserializeError, LockTimeout, TornTailError, refusals
from .lock import LockableFile, StrPath, absolute_path, checked_seconds, exists, unlock
from .objects import Decode, Record, decode_object, is_blank, refusal_of, tail_refusal
from .repair import LONGEST_DECODED, is_too_long

LOCK_PATIENCE_S = 0.1
"""A reader waits for the lock no longer than this."""

LINGER_S = 2.0
"""For how long a follower stays with a log that was replaced. Appenders leave it within 1 s."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LogScan(Generic[Record]):
    """What a snapshot of a damaged log holds."""

    records: list[Record]
    """The sound records, in order."""

    problems: list[DeserializeError]
    """What is wrong with the other lines and where, in order."""

    blank_lines: int
    """How many blank lines were skipped."""

    tail_in_flight: bool
    """Whether bytes after the last newline were left out, because somebody held the lock."""


def read_log(
    path: StrPath,
    *,
    decode: Decode[Record] = decode_object,  # type: ignore[assignment] # see Record
) -> list[Record]:
    """Return all records of the log at `path`, in order: a snapshot taken now (SPEC: READ).

    `decode` turns the bytes of a line, without its newline, into a record; by default into a dict.

    Raises ValueError for a bad `path`; LogIOError, also if there is no log; DeserializeError at the
    first line that `decode` refuses, by whatever Exception; TornTailError if the log ends in
    part of a line that nobody is writing. What a signal handler raises arrives as it is.
    """
    return list(iter_log(path, decode=decode))


def iter_log(
    path: StrPath,
    *,
    decode: Decode[Record] = decode_object,  # type: ignore[assignment] # see Record
) -> Iterator[Record]:
    """Yield what `read_log` returns, in constant memory.

    The snapshot is taken at the first next(); a relative `path` is made absolute in the call.
    Raises what `read_log` raises, each where it is found, after the records before it.
    """
    return _snapshot(absolute_path(path), decode)


def scan_log(
    path: StrPath,
    *,
    decode: Decode[Record] = decode_object,  # type: ignore[assignment] # see Record
) -> LogScan[Record]:
    """Return the records of a snapshot, and what is wrong with all other lines.

    Raises ValueError for a bad `path`; LogIOError, also if there is no log. What `read_log`
    would raise about a line or a tail is in `problems`.
    """
    path = absolute_path(path)
    problems: list[DeserializeError] = []

    def note(problem: DeserializeError) -> None:
        _forget_frames(problem)
        problems.append(problem)

    with refusals("cannot read", path), LogReader(path) as log:
        records = list(log.snapshot(decode, note))
        return LogScan(
            records=records,
            problems=problems,
            blank_lines=log.blank_lines,
            tail_in_flight=log.tail_in_flight,
        )


def follow_log(
    path: StrPath,
    *,
    decode: Decode[Record] = decode_object,  # type: ignore[assignment] # see Record
    stop: Flag | None = None,
    poll_interval: float = 0.05,
) -> Iterator[Record]:
    """Yield a log's records as they come, each after its line is terminated, never half a line.

    It looks every `poll_interval` seconds. Once `stop` is set, it yields what was terminated by
    then, and ends; without `stop` it does not end. It takes no lock, and waits for an unterminated
    tail to become a line. If the log is replaced, it continues with the new one 2 s later.

    Raises ValueError for a bad `path` or `poll_interval`, and what `iter_log` raises, except
    TornTailError; LogIOError also if the log is gone for good or final lines were cut off.
    """
    path = absolute_path(path)
    poll_interval = min(checked_seconds("poll_interval", poll_interval), TIMEOUT_MAX)
    return _follow(path, decode, stop or Flag(), poll_interval)


Report = Callable[[DeserializeError], None]
"""A function that is called with the problem of each line that is not a record."""

_TOO_LONG = f"more than {LONGEST_DECODED} bytes that do not end in a brace"


class LogReader(LockableFile):
    """A log that is being read, from its beginning, as lines of bytes or as records."""

    blank_lines: int = 0
    tail_in_flight: bool = False
    _line = 0  # the number of the last line that was read
    _offset = 0  # where that line ends
    _replaced_at = math.inf

    def snapshot(self, decode: Decode[Record], report: Report) -> Iterator[Record]:
        """Yield the records of the lines that are final now, and of a tail nobody is writing."""
        end, tail = self.settle()
        yield from self.records(end, decode, report)
        if tail is None:
            report(TornTailError(_TOO_LONG, self.path, self._line + 1, end))
        elif tail:
            refusal = tail_refusal(decode, tail)
            if refusal is None:
                yield decode(tail)
            else:
                report(_located(TornTailError, refusal, self.path, self._line + 1, end))

    def records(self, end: int, decode: Decode[Record], report: Report) -> Iterator[Record]:
        """Yield the records of the lines up to `end`, from where the last call stopped."""
        for number, offset, line in self.lines(end):
            try:
                record = decode(line)
            except Exception as error:
                refusal = refusal_of(decode, line, error)
                if refusal is None:
                    raise
                if is_blank(line):
                    self.blank_lines += 1
                else:
                    report(_located(DeserializeError, refusal, self.path, number, offset))
            else:
                yield record

    def lines(self, end: int) -> Iterator[tuple[int, int, bytes]]:
        """Yield number, offset and bytes of each line up to `end`, which follows a newline.

        Begins where the last call stopped. The bytes are without the newline.
        """
        number = self._line
        offset = self._offset
        if end < offset:
            raise OSError(errno.EIO, f"cut to {end} bytes, of which {offset} were final")
        pieces: list[bytes] = []
        for block in self.blocks(offset, end):
            lines = block.split(b"\n")  # not splitlines(), which splits at "\r" as well
            rest = lines.pop()
            if lines:
                lines[0] = b"".join((*pieces, lines[0]))
                pieces.clear()
            pieces.append(rest)
            for line in lines:
                number += 1
                yield number, offset, line
                offset += len(line) + 1
        self._line = number
        self._offset = offset

    def settle(self) -> tuple[int, bytes | None]:
        """Return where the last newline ends, and the tail after it, which is empty if in flight.

        The tail is None if it is torn because of its length.
        """
        end, size = self.extent()
        if end == size:
            return end, b""
        try:
            self.acquire(monotonic(), LOCK_PATIENCE_S)
        except LockTimeout:
            self.tail_in_flight = True
            return end, b""
        try:
            end, size = self.extent()  # the tail may have been completed or cut: look again
            if is_too_long(self, end, size):
                return end, None
            return end, b"".join(self.blocks(end, size))
        finally:
            unlock(self.fd)

    def is_left_behind(self) -> bool:
        """Whether nobody appends here any more: the path has led elsewhere for 2 s."""
        now = monotonic()
        if not self.replaced():
            self._replaced_at = math.inf
        elif self._replaced_at == math.inf:
            self._replaced_at = now
        return now - self._replaced_at >= LINGER_S

    def successor(self) -> Self:
        """Return the log that is at the path now, or this one if it is there again."""
        new = type(self)(self.path)
        if os.path.samestat(os.fstat(new.fd), os.fstat(self.fd)):
            new.close()
            return self
        self.close()
        return new


def _snapshot(path: Path, decode: Decode[Record]) -> Iterator[Record]:
    with refusals("cannot read", path), LogReader(path) as log:
        yield from log.snapshot(decode, _raise)


def _follow(
    path: Path, decode: Decode[Record], stop: Flag, poll_interval_s: float
) -> Iterator[Record]:
    with refusals("cannot read", path):
        log = LogReader(path)
        try:
            while True:
                # Ask both first, so that this look sees all that was written before the answers.
                is_last_look = stop.is_set()
                is_left_behind = log.is_left_behind()
                end, _ = log.extent()
                yield from log.records(end, decode, _raise)
                if is_last_look and not (log.replaced() and exists(path)):
                    return  # otherwise the new file has to be looked at as well
                if is_last_look or is_left_behind:
                    log = log.successor()
                else:
                    stop.wait(poll_interval_s)
        finally:
            log.close()


def _raise(problem: DeserializeError) -> None:
    raise problem


def _located(
    kind: type[DeserializeError], refusal: DeserializeError, path: Path, line: int, offset: int
) -> DeserializeError:
    problem = kind(refusal.reason, path, line, offset)
    problem.__cause__ = refusal.__cause__
    return problem


def _forget_frames(error: BaseException | None) -> None:
    """Drop the frames of `error` and its causes, each of which keeps a block of the log alive."""
    seen: set[int] = set()  # a decoder's exceptions may be the cause of one another
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        error.__traceback__ = None
        error = error.__cause__ or error.__context__
