# SPDX-License-Identifier: MIT
"""The lines of a log as bytes, in constant memory: for what looks at the log and not just events.

By the rules of the core's own reader (SPEC: READ): what ends in a newline is final and read without
the lock; what follows the last newline is read under the lock alone.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from time import monotonic

from .. import DeserializeError, Event, LockTimeout, LogIOError, TornTailError, decode
from ..codec import is_blank
from ..errors import refusals
from ..lock import LockableFile, unlock
from .findings import Findings

_PATIENCE_S = 0.1  # for the lock, as any reader


class Lines(LockableFile):
    """A log that is being read, how far it has been, and whether a tail in flight was left out."""

    number = offset = _next = 0
    tail_in_flight = False

    def __init__(self, path: Path) -> None:
        """Open the log. Raises LogIOError."""
        with refusals("cannot read", path):
            super().__init__(path, os.O_RDONLY)

    def snapshot(self) -> Iterator[bytes]:
        """Yield what is there now, a line at a time; a last one that nobody ends has no newline.

        `number` and `offset` are those of the line that was yielded last. Raises LogIOError.
        """
        self.number = self.offset = self._next = 0
        with refusals("cannot read", self.path):
            end, size = self.extent()
            tail = b""
            if end != size:
                end, tail = self._settled(end)
        yield from self.advance(end)
        if tail:
            self.number, self.offset = self.number + 1, end
            yield tail

    def advance(self, end: int | None = None) -> Iterator[bytes]:
        """Yield the lines that came since the last call, up to `end` or else the last newline.

        Raises LogIOError, also if the log has become shorter.
        """
        with refusals("cannot read", self.path):
            end = self.extent()[0] if end is None else end
            start = self._next
            if end < start:
                raise LogIOError(None, f"cut to {end} bytes, of which {start} were read", self.path)
            pieces: list[bytes] = []
            for block in self.blocks(start, end):
                *lines, rest = block.split(b"\n")
                for line in lines:
                    if pieces:
                        line = b"".join((*pieces, line))  # noqa: PLW2901 - the whole of it
                        pieces.clear()
                    self.number, self.offset = self.number + 1, self._next
                    self._next += len(line) + 1
                    yield line + b"\n"
                if rest:
                    pieces.append(rest)

    def tail(self) -> bytes:
        """What follows the last newline, at `offset`; `tail_in_flight` is set if somebody writes.

        Raises LogIOError.
        """
        with refusals("cannot read", self.path):
            self.offset, tail = self._settled(self.extent()[0])
        return tail

    def part(self, start: int, end: int) -> bytes:
        """The bytes from `start` to `end`. Raises LogIOError."""
        with refusals("cannot read", self.path):
            return b"".join(self.blocks(start, end))

    def _settled(self, end: int) -> tuple[int, bytes]:
        """Where the last line ends, and what follows it once nobody is writing."""
        try:
            self.lock(monotonic(), _PATIENCE_S)
        except LockTimeout:
            self.tail_in_flight = True
            return end, b""
        try:
            end, size = self.extent()
            return end, b"".join(self.blocks(end, size))
        finally:
            unlock(self.fileno())

    def event(self, line: bytes) -> Event | DeserializeError | None:
        """What the line that was just yielded says; an error has its place; None if it is blank."""
        try:
            return decode(line)
        except DeserializeError as error:
            if line.endswith(b"\n") and is_blank(line):
                return None
            failure = DeserializeError if line.endswith(b"\n") else TornTailError
            return failure(error.reason, self.path, self.number, self.offset)

    def sound(self, findings: Findings) -> Iterator[Event]:
        """Yield the events of a snapshot; what is no event is put into `findings`."""
        for line in self.snapshot():
            found = self.event(line)
            if isinstance(found, DeserializeError):
                findings.add(found.reason, found.line)
            elif found is not None:
                yield found
