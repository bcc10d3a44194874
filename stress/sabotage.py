# SPDX-License-Identifier: MIT
"""Appenders that are broken on purpose, each in a way that real ones are broken.

Every run ends by letting each of them loose on a log of its own. The checker must find what it
broke, and find it in the history: a sabotage that merely crashes does not count as caught. Where
the harm depends on timing the processor is given away at the worst moment, which the kernel may
do to anybody at any time.
"""

import errno
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Protocol

from omnelog import Event, EventLog, LockTimeout, encode

from .checker import Kind

_PIECE_BYTES = 64


class Appender(Protocol):
    """What a writer needs of its handle on the log."""

    def append(self, event: Event, /) -> None:
        """Append `event` as one line."""

    def close(self) -> None:
        """Finish."""


class _Raw:
    """An appender with a descriptor of its own and no lock."""

    flags: ClassVar[int] = os.O_APPEND

    def __init__(self, log: EventLog) -> None:
        self._log = log
        self._fd = os.open(log.path, os.O_RDWR | os.O_CLOEXEC | self.flags)

    def close(self) -> None:
        os.close(self._fd)
        self._log.close()


class _NoLock(_Raw):
    """Several writes for a line, as after a short one, without the lock."""

    def append(self, event: Event) -> None:
        line = encode(event)
        for begin in range(0, len(line), _PIECE_BYTES):
            os.write(self._fd, line[begin : begin + _PIECE_BYTES])
            if not begin:
                os.sched_yield()


class _TwoWrites(_Raw):
    """The line, and then its newline, without the lock."""

    def append(self, event: Event) -> None:
        os.write(self._fd, encode(event)[:-1])
        os.sched_yield()
        os.write(self._fd, b"\n")


class _SeekThenWrite(_Raw):
    """Finds the end and writes there, with neither O_APPEND nor the lock."""

    flags = 0

    def append(self, event: Event) -> None:
        end = os.lseek(self._fd, 0, os.SEEK_END)
        os.sched_yield()
        os.pwrite(self._fd, encode(event), end)


class _Wrapped:
    """An appender that uses the real one, wrongly."""

    def __init__(self, log: EventLog) -> None:
        self._log = log
        self._calls = 0

    def append(self, event: Event) -> None:
        self._calls += 1
        if self._calls % 10 == 5:
            self.blunder(event)
        else:
            self._log.append(event)

    def blunder(self, event: Event) -> None:
        """Treat one append in ten so."""
        raise NotImplementedError

    def close(self) -> None:
        self._log.close()


class _AcknowledgeBeforeWrite(_Wrapped):
    """Keeps events to write them later, and the last of them for ever."""

    def __init__(self, log: EventLog) -> None:
        super().__init__(log)
        self._buffer: list[Event] = []

    def append(self, event: Event) -> None:
        self._buffer.append(event)
        if len(self._buffer) == 7:
            self._log.append_many(self._buffer)
            self._buffer.clear()


class _Drop(_Wrapped):
    """Acknowledges what it does not write."""

    def blunder(self, event: Event) -> None:
        pass


class _DuplicateOnRetry(_Wrapped):
    """Takes a success for a failure, and appends again."""

    def blunder(self, event: Event) -> None:
        self._log.append(event)
        self._log.append(event)


class _FalseRefusal(LockTimeout):
    """Says what is not so."""

    def __init__(self) -> None:
        OSError.__init__(self, errno.ETIMEDOUT, "gave up, nothing was written")


class _RefuseButWrite(_Wrapped):
    """Says that nothing was written when it was."""

    def blunder(self, event: Event) -> None:
        self._log.append(event)
        raise _FalseRefusal


class _WrongOrder(_Wrapped):
    """Lets an event be overtaken by the next of the same writer."""

    _held: Event | None = None

    def append(self, event: Event) -> None:
        super().append(event)
        if self._calls % 10 == 6 and self._held is not None:
            self._log.append(self._held)

    def blunder(self, event: Event) -> None:
        self._held = event


class _Respell(_Wrapped):
    """Writes the same JSON in other bytes, as a rewriting tool would."""

    def blunder(self, event: Event) -> None:
        with open(self._log.path, "ab", buffering=0) as file:
            file.write(encode(event).replace(b'"type":', b'"type": ', 1))


class _HalfALine(_Wrapped):
    """Acknowledges half a line, as a writer leaves that dies."""

    def blunder(self, event: Event) -> None:
        line = encode(event)
        with open(self._log.path, "ab", buffering=0) as file:
            file.write(line[: len(line) // 2])


@dataclass(frozen=True, slots=True, kw_only=True)
class Sabotage:
    """A broken appender, and which violations of it count as catching it."""

    what: str
    make: Callable[[EventLog], Appender]
    caught_by: frozenset[Kind]


def _sabotage(make: Callable[[EventLog], Appender], *caught_by: Kind) -> Sabotage:
    what = (make.__doc__ or "").partition("\n")[0]
    return Sabotage(what=what, make=make, caught_by=frozenset(caught_by))


SABOTAGES = {
    "no-lock": _sabotage(_NoLock, Kind.NOT_JSON, Kind.ALTERED, Kind.FOREIGN),
    "two-writes": _sabotage(_TwoWrites, Kind.NOT_JSON, Kind.BLANK),
    "seek-then-write": _sabotage(_SeekThenWrite, Kind.MISSING, Kind.NOT_JSON),
    "acknowledge-before-write": _sabotage(_AcknowledgeBeforeWrite, Kind.MISSING, Kind.REAL_TIME),
    "drop": _sabotage(_Drop, Kind.MISSING),
    "duplicate-on-retry": _sabotage(_DuplicateOnRetry, Kind.DUPLICATE),
    "refuse-but-write": _sabotage(_RefuseButWrite, Kind.REFUSED_BUT_WRITTEN),
    "wrong-order": _sabotage(_WrongOrder, Kind.REORDERED),
    "respell": _sabotage(_Respell, Kind.ALTERED),
    "half-a-line": _sabotage(_HalfALine, Kind.QUARANTINE, Kind.NOT_JSON),
}


def broken(name: str, log: EventLog) -> Appender:
    """The appender of sabotage `name` for the log that `log` is a handle on."""
    return SABOTAGES[name].make(log)
