# SPDX-License-Identifier: MIT
"""Read the lines of a log with their numbers and places, in constant memory, in both directions.

This module uses the reader of the core, which is not public.
"""

import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from .. import DeserializeError, Event, PipeAborted, PipeCompleted, TornTailError, decode
from ..linelog.errors import refusals
from ..linelog.objects import is_blank
from ..linelog.reader import LogReader

__all__ = [
    "Line",
    "LogLines",
    "is_blank",
    "log_exists",
    "pipe_ends",
    "quarantine_path",
    "reason_of",
]

_BLOCK = 64 * 1024  # bytes that are read at a time from the end backwards
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class Line(NamedTuple):
    """A line of a log, without its newline."""

    number: int
    """Counted from 1; 0 if it is not known."""
    offset: int
    """The byte at which the line begins."""
    data: bytes
    ended: bool
    """Whether a newline follows the line."""


def log_exists(path: Path) -> bool:
    """Return whether there is a log at `path`, even if it cannot be read.

    A run without a log counts as empty. Raises LogIOError if the system does not let us check,
    because such a run must not be treated as empty.
    """
    with refusals("cannot open", path):
        try:
            os.lstat(path)
        except FileNotFoundError:
            return False
    return True


def quarantine_path(path: Path) -> Path:
    """Return the path of the quarantine of the log at `path`."""
    return path.with_name(f"{path.name}.torn")


def pipe_ends(blocks: Iterable[bytes]) -> Iterator[PipeCompleted | PipeAborted]:
    """Yield the events that end a pipe. Each block is a line, or several whole lines.

    Hardly any other lines are decoded. Those that are not events are skipped.
    """
    for block in blocks:
        if _may_be_of_pipe(block):
            for data in block.split(b"\n"):
                if _may_be_of_pipe(data):
                    with suppress(DeserializeError):
                        event = decode(data)
                        if isinstance(event, PipeCompleted | PipeAborted):
                            yield event


def _may_be_of_pipe(data: bytes) -> bool:
    """Return whether `data` may have an event of a pipe. A letter of its type may be an escape."""
    return b"pipe." in data or b"\\u00" in data


class LogLines(LogReader):
    """A log that is being read, and the position up to which it was read."""

    def snapshot_lines(self) -> Iterator[Line]:
        """Yield the lines that are there now, from the beginning, and then the tail, if any.

        If another process is writing the tail now, it is left out and `tail_in_flight` is set.
        Raises LogIOError.
        """
        self._line = 0
        self._offset = 0
        last = self.tail()
        yield from self.advance(last.offset)
        if last.data:
            yield last._replace(number=self._line + 1)

    def advance(self, end: int | None = None) -> Iterator[Line]:
        """Yield the lines that came since the last call, up to `end` or else the last newline.

        Raises LogIOError, which also reports that the log has become shorter.
        """
        with refusals("cannot read", self.path):
            if end is None:
                end, _ = self.extent()
            for number, offset, data in self.lines(end):
                yield Line(number, offset, data, True)

    def go_to(self, offset: int) -> None:
        """Make `advance` continue at `offset`, which is just after a newline. Raises LogIOError."""
        self._line = self.number_at(offset) - 1
        self._offset = offset

    def backwards(self, end: int) -> Iterator[Line]:
        """Yield the lines before `end`, which is just after a newline, the last one first.

        Their numbers are 0, because they are not counted; `number_at` counts. Raises LogIOError.
        """
        start = end
        pending = b""  # the bytes from `start` on of a line whose beginning was not read yet
        while start > 0:
            size = max(_BLOCK, len(pending))  # doubled each time, so a long line takes few reads
            begin = max(0, start - size)
            block = self.part(begin, start) + pending
            offset = begin + len(block)
            lines = block.split(b"\n")
            lines.pop()  # the empty rest after the last newline
            if begin > 0:
                pending = lines.pop(0) + b"\n"
            for data in reversed(lines):
                offset -= len(data) + 1
                yield Line(0, offset, data, True)
            start = begin

    def whole_lines(self, end: int) -> Iterator[bytes]:
        """Yield the bytes before `end`, which is just after a newline, as blocks of whole lines.

        Raises LogIOError.
        """
        with refusals("cannot read", self.path):
            pieces: list[bytes] = []
            for block in self.blocks(0, end):
                cut = block.rfind(b"\n") + 1
                if cut:
                    yield b"".join((*pieces, block[:cut]))
                    pieces.clear()
                pieces.append(block[cut:])

    def number_at(self, offset: int) -> int:
        """Return the number of the line that begins at `offset`. Raises LogIOError."""
        with refusals("cannot read", self.path):
            return 1 + sum(block.count(b"\n") for block in self.blocks(0, offset))

    def extent(self) -> tuple[int, int]:
        """Return where the last newline ends and where the file ends. Raises LogIOError."""
        with refusals("cannot read", self.path):
            return super().extent()

    def tail(self) -> Line:
        """Return the tail, which is empty if the log does not have one. Raises LogIOError.

        If another process is writing the tail now, the result is empty and `tail_in_flight` is set.
        """
        with refusals("cannot read", self.path):
            offset, data = self.settle()
        if data is None:  # the tail is torn because of its length; its beginning is torn as well
            data = self.part(offset, offset + 80) + b"..."
        return Line(0, offset, data, False)

    def part(self, start: int, end: int) -> bytes:
        """Return the bytes from `start` to `end`. Raises LogIOError."""
        with refusals("cannot read", self.path):
            return b"".join(self.blocks(start, end))

    def event(self, line: Line) -> Event | DeserializeError | None:
        """Return the event of a line, None if the line is blank, or an error with its place.

        Raises LogIOError.
        """
        try:
            return decode(line.data)
        except DeserializeError as error:
            if line.ended and is_blank(line.data):
                return None
            kind = DeserializeError if line.ended else TornTailError
            number = line.number or self.number_at(line.offset)
            return kind(reason_of(error, line.data), self.path, number, line.offset)


def reason_of(error: DeserializeError, data: bytes) -> str:
    """Return why a line is not an event, and sometimes what to do."""
    if data.startswith(_BYTE_ORDER_MARK):
        return "begins with a byte order mark; save the text as UTF-8 without one"
    return error.reason
