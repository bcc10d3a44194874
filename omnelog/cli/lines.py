# SPDX-License-Identifier: MIT
"""The lines of a log as bytes, in constant memory: for what looks at the log and not just events.

They are read as the core's own reader reads them; here they are counted, too.
"""

import os
from collections.abc import Iterator
from pathlib import Path

from .. import DeserializeError, Event, TornTailError, decode
from ..codec import is_blank
from ..errors import refusals
from ..reader import LogFile


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


class Lines(LogFile):
    """A log that is being read, and how far it has been."""

    number = offset = _next = 0

    def snapshot(self) -> Iterator[bytes]:
        """Yield what is there now, a line at a time; a last one that nobody ends has no newline.

        `number` and `offset` are those of the line that was yielded last. Raises LogIOError.
        """
        self.number = self.offset = self._next = 0
        with refusals("cannot read", self.path):
            end, tail = self.settled()
        yield from self.advance(end)
        if tail:
            self.number, self.offset = self.number + 1, end
            yield tail

    def advance(self, end: int | None = None) -> Iterator[bytes]:
        """Yield the lines that came since the last call, up to `end` or else the last newline.

        Raises LogIOError, also if the log has become shorter.
        """
        with refusals("cannot read", self.path):
            for lines in self.lines(self._next, self.extent()[0] if end is None else end):
                for line in lines:
                    self.number, self.offset = self.number + 1, self._next
                    self._next += len(line) + 1
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
            self.offset, tail = self.settled()
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
