# SPDX-License-Identifier: MIT
"""The lines of a log as bytes, in constant memory: for what looks at the log and not just events.

They are read as the core's own reader reads them; here they are counted, too.
"""

import os
from collections.abc import Iterator
from pathlib import Path

from .. import DeserializeError, Event, TornTailError, decode
from ..linelog.errors import refusals
from ..linelog.objects import is_blank
from ..linelog.reader import LogReader


def log_exists(path: Path) -> bool:
    """Whether there is a log at `path`, be it one that nobody can read.

    A run that has a directory and no log yet counts as empty. Raises LogIOError if the system does
    not tell: what may not be looked at must not pass for empty.
    """
    with refusals("cannot open", path):
        try:
            os.lstat(path)
        except FileNotFoundError:
            return False
    return True


class Lines(LogReader):
    """A log that is being read, and how far it has been."""

    number: int = 0
    offset: int = 0

    def snapshot_lines(self) -> Iterator[bytes]:
        """Yield what is there now, a line at a time; a last one that nobody ends has no newline.

        `number` and `offset` are those of the line that was yielded last. Raises LogIOError.
        """
        self._line = 0
        self._offset = 0
        with refusals("cannot read", self.path):
            end, tail = self.settle()
        yield from self.advance(end)
        if tail:
            self.number += 1
            self.offset = end
            yield tail

    def advance(self, end: int | None = None) -> Iterator[bytes]:
        """Yield the lines that came since the last call, up to `end` or else the last newline.

        Raises LogIOError, also if the log has become shorter.
        """
        with refusals("cannot read", self.path):
            if end is None:
                end, _ = self.extent()
            for number, offset, line in self.lines(end):
                self.number = number
                self.offset = offset
                yield line + b"\n"

    def extent(self) -> tuple[int, int]:
        """Where the last newline ends and where the file does. Raises LogIOError."""
        with refusals("cannot read", self.path):
            return super().extent()

    def tail(self) -> bytes:
        """What follows the last newline, at `offset`; `tail_in_flight` is set if somebody writes.

        Raises LogIOError.
        """
        with refusals("cannot read", self.path):
            self.offset, tail = self.settle()
        return tail

    def part(self, start: int, end: int) -> bytes:
        """The bytes from `start` to `end`. Raises LogIOError."""
        with refusals("cannot read", self.path):
            return b"".join(self.blocks(start, end))

    def event(self, line: bytes) -> Event | DeserializeError | None:
        """What the line that was just yielded says; an error has its place; None if it is blank."""
        try:
            return decode(line)
        except DeserializeError as error:
            if line.endswith(b"\n") and is_blank(line):
                return None
            failure = DeserializeError if line.endswith(b"\n") else TornTailError
            return failure(error.reason, self.path, self.number, self.offset)
