# SPDX-License-Identifier: MIT
"""The lines of a log with their numbers and places, in constant memory, forwards and backwards.

This is the one module of the command that uses more of the core than its public names.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from .. import DeserializeError, Event, TornTailError, decode
from ..linelog.errors import refusals
from ..linelog.objects import is_blank
from ..linelog.reader import LogReader

__all__ = ["Line", "LogLines", "is_blank", "log_exists", "quarantine_path", "reason_of"]

_BLOCK = 64 * 1024  # bytes that are read at a time from the end backwards
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class Line(NamedTuple):
    """A line of a log, without its newline."""

    number: int
    """From 1; 0 if nobody counted."""
    offset: int
    """The byte where it begins."""
    data: bytes
    ended: bool
    """Whether a newline follows it."""


def log_exists(path: Path) -> bool:
    """Whether there is a log at `path`, even one that nobody can read.

    A run that has a directory and no log yet counts as empty. Raises LogIOError if the system does
    not let us look, because such a log must not be taken for an empty one.
    """
    with refusals("cannot open", path):
        try:
            os.lstat(path)
        except FileNotFoundError:
            return False
    return True


def quarantine_path(path: Path) -> Path:
    """Where the torn tails of the log at `path` are."""
    return path.with_name(f"{path.name}.torn")


class LogLines(LogReader):
    """A log that is being read, and how far it has been."""

    def snapshot_lines(self) -> Iterator[Line]:
        """Yield what is there now from the beginning; a last line that nobody ends has no newline.

        `tail_in_flight` is set if somebody is writing that one now. Raises LogIOError.
        """
        self._line = 0
        self._offset = 0
        last = self.tail()
        yield from self.advance(last.offset)
        if last.data:
            yield last._replace(number=self._line + 1)

    def advance(self, end: int | None = None) -> Iterator[Line]:
        """Yield the lines that came since the last call, up to `end` or else the last newline.

        Raises LogIOError, also if the log has become shorter.
        """
        with refusals("cannot read", self.path):
            if end is None:
                end, _ = self.extent()
            for number, offset, data in self.lines(end):
                yield Line(number, offset, data, True)

    def go_to(self, offset: int) -> None:
        """Let `advance` begin at `offset`, just after a newline. Raises LogIOError."""
        self._line = self.number_at(offset) - 1
        self._offset = offset

    def backwards(self, end: int) -> Iterator[Line]:
        """Yield the lines before `end`, which is just after a newline, the last one first.

        Nobody has counted them: `number_at` does. Raises LogIOError.
        """
        start = end
        pending = b""  # from `start` on: the rest of a line whose beginning was not read yet
        while start > 0:
            size = max(_BLOCK, len(pending))  # a long line is not read in very many pieces
            begin = max(0, start - size)
            block = self.part(begin, start) + pending
            offset = begin + len(block)
            lines = block.split(b"\n")
            lines.pop()  # after the last newline there is nothing
            if begin > 0:
                pending = lines.pop(0) + b"\n"
            for data in reversed(lines):
                offset -= len(data) + 1
                yield Line(0, offset, data, True)
            start = begin

    def whole_lines(self, end: int) -> Iterator[bytes]:
        """Yield what is before `end`, which is just after a newline, as blocks of whole lines.

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
        """The number of the line that begins at `offset`. Raises LogIOError."""
        with refusals("cannot read", self.path):
            return 1 + sum(block.count(b"\n") for block in self.blocks(0, offset))

    def extent(self) -> tuple[int, int]:
        """Where the last newline ends and where the file does. Raises LogIOError."""
        with refusals("cannot read", self.path):
            return super().extent()

    def tail(self) -> Line:
        """What follows the last newline, maybe nothing; `tail_in_flight` is set if somebody writes.

        Raises LogIOError.
        """
        with refusals("cannot read", self.path):
            offset, data = self.settle()
        if data is None:  # it is torn because of its length, and so is this beginning of it
            data = self.part(offset, offset + 80) + b"..."
        return Line(0, offset, data, False)

    def part(self, start: int, end: int) -> bytes:
        """The bytes from `start` to `end`. Raises LogIOError."""
        with refusals("cannot read", self.path):
            return b"".join(self.blocks(start, end))

    def event(self, line: Line) -> Event | DeserializeError | None:
        """What a line says; an error has its place; None if it is blank. Raises LogIOError."""
        try:
            return decode(line.data)
        except DeserializeError as error:
            if line.ended and is_blank(line.data):
                return None
            kind = DeserializeError if line.ended else TornTailError
            number = line.number or self.number_at(line.offset)
            return kind(reason_of(error, line.data), self.path, number, line.offset)


def reason_of(error: DeserializeError, data: bytes) -> str:
    """Why a line is not an event, and what to do where the error itself does not say that."""
    if data.startswith(_BYTE_ORDER_MARK):
        return "begins with a byte order mark; save the text as UTF-8 without one"
    return error.reason
