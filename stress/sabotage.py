# SPDX-License-Identifier: MIT
"""Appenders that are broken on purpose, each in a way in which real appenders are broken.

At the end of every run, each of them appends to its own log, beside healthy writers. The checker
must find the damage in the history; a sabotage that only crashes does not count as caught. If the
damage depends on timing, the sabotage yields the processor at the worst moment, as the kernel may
do at any time.
"""

import errno
import fcntl
import os
import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass
from time import sleep
from typing import IO, Any, ClassVar, Protocol

from omnelog import Event, EventLog, LockTimeout, LogIOError, encode

from .faults import KILL, REPLACE
from .violations import Kind

_PIECE_BYTES = 64
_SLOW_S = 0.0001  # yields the processor


class Appender(Protocol):
    """The methods that a writer needs of its handle on the log."""

    def append(self, record: Any, /) -> None:
        """Append `record` as one line."""

    def append_many(self, records: list[Any], /) -> None:
        """Append `records` as one batch."""

    def close(self) -> None:
        """Close the handle."""


class _Raw:
    """An appender with its own file descriptor. A mutex makes its threads take turns."""

    flags: ClassVar[int] = os.O_APPEND

    def __init__(self, log: EventLog) -> None:
        self._log, self._mutex = log, threading.Lock()
        self._fd = os.open(log.path, os.O_RDWR | os.O_CLOEXEC | self.flags)

    def append(self, event: Event) -> None:
        self.append_many([event])

    def append_many(self, events: list[Event]) -> None:
        with self._mutex:
            self.put(b"".join(map(encode, events)))

    def put(self, lines: bytes) -> None:
        """Write `lines` incorrectly."""
        raise NotImplementedError

    def in_pieces(self, lines: bytes) -> None:
        """Write `lines` in several writes, as happens with a nearly full disk or with signals."""
        for begin in range(0, len(lines), _PIECE_BYTES):
            os.write(self._fd, lines[begin : begin + _PIECE_BYTES])
            sleep(_SLOW_S)

    def close(self) -> None:
        os.close(self._fd)
        self._log.close()


class _NoLock(_Raw):
    """Writes a line in several pieces, as after a short write, without the lock."""

    def put(self, lines: bytes) -> None:
        self.in_pieces(lines)


class _LockElsewhere(_Raw):
    """Acquires the lock, but of another file: the directory of the run."""

    def __init__(self, log: EventLog) -> None:
        super().__init__(log)
        self._other = os.open(log.path.parent, os.O_RDONLY | os.O_CLOEXEC)

    def put(self, lines: bytes) -> None:
        fcntl.flock(self._other, fcntl.LOCK_EX)
        self.in_pieces(lines)
        fcntl.flock(self._other, fcntl.LOCK_UN)


class _LockedPieces(_Raw):
    """Writes in several pieces while it holds the lock; it is broken by how it is used."""

    def put(self, lines: bytes) -> None:
        fcntl.flock(self._fd, fcntl.LOCK_EX)
        self.in_pieces(lines)
        fcntl.flock(self._fd, fcntl.LOCK_UN)


class _SharedOverFork(_LockedPieces):
    """Acquires the lock on an open file that its processes inherited, so they share the lock."""


class _TwoWrites(_Raw):
    """Writes the line and then its newline, without the lock."""

    def put(self, lines: bytes) -> None:
        os.write(self._fd, lines[:-1])
        sleep(_SLOW_S)
        os.write(self._fd, b"\n")


class _Buffered(_Raw):
    """Writes through a buffer, so that the next append writes the lines of a failed append."""

    def __init__(self, log: EventLog) -> None:
        super().__init__(log)
        self._file: IO[bytes] = open(log.path, "ab", buffering=1 << 21)  # noqa: SIM115
        self._calls = 0

    def put(self, lines: bytes) -> None:
        self._calls += 1
        fcntl.flock(self._file, fcntl.LOCK_EX)
        self._file.write(lines)
        if self._calls % 10 == 5:  # as if the disk were full and took nothing
            fcntl.flock(self._file, fcntl.LOCK_UN)
            raise LogIOError(errno.ENOSPC, "no room, nothing was written", self._log.path)
        self._file.flush()
        fcntl.flock(self._file, fcntl.LOCK_UN)

    def close(self) -> None:
        self._file.close()
        super().close()


class _SeekThenWrite(_Raw):
    """Finds the end and writes there, without O_APPEND and without the lock."""

    flags = 0

    def put(self, lines: bytes) -> None:
        end = os.lseek(self._fd, 0, os.SEEK_END)
        sleep(_SLOW_S)
        os.pwrite(self._fd, lines, end)


class _UnlockBeforeWrite(_Raw):
    """Acquires the lock, but releases it before it writes."""

    def put(self, lines: bytes) -> None:
        fcntl.flock(self._fd, fcntl.LOCK_EX)
        fcntl.flock(self._fd, fcntl.LOCK_UN)
        self.in_pieces(lines)


class _NoRollBack(_Raw):
    """Leaves a part of a line in the log when the disk is full, and says that it wrote nothing."""

    _calls = 0

    def put(self, lines: bytes) -> None:
        self._calls += 1
        fcntl.flock(self._fd, fcntl.LOCK_EX)
        full = self._calls % 10 == 5
        os.write(self._fd, lines[: len(lines) // 2] if full else lines)
        fcntl.flock(self._fd, fcntl.LOCK_UN)
        if full:
            raise LogIOError(errno.ENOSPC, "no room, nothing was written", self._log.path)


class _NoRepair(_LockedPieces):
    """Writes after a torn tail without repairing it."""


class _StayBehind(_Raw):
    """Never checks whether its log is still the one at the path."""

    def put(self, lines: bytes) -> None:
        fcntl.flock(self._fd, fcntl.LOCK_EX)
        os.write(self._fd, lines)
        fcntl.flock(self._fd, fcntl.LOCK_UN)


class _Wrapped:
    """An appender that uses the real appender in a wrong way."""

    def __init__(self, log: EventLog) -> None:
        self._log = log
        self._calls = 0

    def append(self, event: Event) -> None:
        self._calls += 1
        if self._calls % 10 == 5:
            self.blunder(event)
        else:
            self._log.append(event)

    def append_many(self, events: list[Event]) -> None:
        self._log.append_many(events)

    def blunder(self, event: Event) -> None:
        """Append `event` with the mistake. This is called for one append in ten."""
        raise NotImplementedError

    def close(self) -> None:
        self._log.close()


class _AcknowledgeBeforeWrite(_Wrapped):
    """Keeps events to write them later, and never writes the last ones."""

    def __init__(self, log: EventLog) -> None:
        super().__init__(log)
        self._buffer: list[Event] = []

    def append(self, event: Event) -> None:
        self._buffer.append(event)
        if len(self._buffer) >= 7:
            self._log.append_many(self._buffer)
            self._buffer.clear()


class _DropOnTimeout(_Wrapped):
    """Gives up when the lock is taken, and does not report it."""

    def append(self, event: Event) -> None:
        try:
            super().append(event)
        except LockTimeout:
            pass

    def blunder(self, event: Event) -> None:
        """Append while the lock is taken. Two writers would seldom meet by themselves."""
        with open(self._log.path, "rb") as other:
            fcntl.flock(other, fcntl.LOCK_EX)
            self._log.append(event)


class _DuplicateOnRetry(_Wrapped):
    """Appends again after a success."""

    def blunder(self, event: Event) -> None:
        self._log.append(event)
        self._log.append(event)


class _FalseRefusal(LockTimeout):
    """A timeout that is reported although the event was written."""

    def __init__(self) -> None:
        OSError.__init__(self, errno.ETIMEDOUT, "gave up, nothing was written")


class _RefuseButWrite(_Wrapped):
    """Reports that nothing was written, although the event was written."""

    def blunder(self, event: Event) -> None:
        self._log.append(event)
        raise _FalseRefusal


class _WrongOrder(_Wrapped):
    """Gives events to two threads, which write them in any order."""

    def __init__(self, log: EventLog) -> None:
        super().__init__(log)
        self._queue: queue.SimpleQueue[Event | None] = queue.SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._mutex = threading.Lock()

    def append(self, event: Event) -> None:
        with self._mutex:
            if not self._threads:
                self._threads = [threading.Thread(target=self._write) for _ in range(2)]
                for thread in self._threads:
                    thread.start()
        self._queue.put(event)

    def _write(self) -> None:
        while event := self._queue.get():
            sleep(_SLOW_S)
            self._log.append(event)

    def close(self) -> None:
        for _ in self._threads:
            self._queue.put(None)
        for thread in self._threads:
            thread.join()
        super().close()


class _Overtake(_Wrapped):
    """Writes an event after the next one of the same process."""

    _held: Event | None = None

    def append(self, event: Event) -> None:
        super().append(event)
        held, self._held = (self._held, None) if self._calls % 10 == 6 else (None, self._held)
        if held is not None:
            self._log.append(held)

    def blunder(self, event: Event) -> None:
        self._held = event


class _Respell(_Wrapped):
    """Writes the same JSON in other bytes, as a tool that rewrites files would."""

    def blunder(self, event: Event) -> None:
        with open(self._log.path, "ab", buffering=0) as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            file.write(encode(event).replace(b'"type":', b'"type": ', 1))


class _HalfALine(_Wrapped):
    """Writes only half a line, as a dying writer does, and acknowledges it."""

    def blunder(self, event: Event) -> None:
        line = encode(event)
        with open(self._log.path, "ab", buffering=0) as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            file.write(line[: len(line) // 2])


class _OneByOne(_Wrapped):
    """Appends a batch event by event, so that lines of other writers come in between."""

    def append(self, event: Event) -> None:
        self._log.append(event)

    def append_many(self, events: list[Event]) -> None:
        for event in events:
            self._log.append(event)
            sleep(_SLOW_S)


class _CutTooMuch(_Wrapped):
    """Rolls back too much: it cuts off the last line, which another append wrote."""

    def blunder(self, event: Event) -> None:
        with open(self._log.path, "r+b", buffering=0) as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            lines = file.read().splitlines(keepends=True)
            file.truncate(sum(map(len, lines[:-1])))
        raise LogIOError(errno.ENOSPC, "no room, nothing was written", self._log.path)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sabotage:
    """A broken appender, and the violations by which it counts as caught."""

    what: str
    make: Callable[[EventLog], Appender]
    caught_by: frozenset[Kind]
    faults: tuple[str, ...] = ()
    """The faults without which the appender does no damage."""
    shared: bool = False
    """Whether its processes inherit one appender from their parent."""
    lock_timeout_s: float = 5.0
    batch: int = 1


def _sabotage(
    make: Callable[[EventLog], Appender],
    *caught_by: Kind,
    faults: tuple[str, ...] = (),
    shared: bool = False,
    lock_timeout_s: float = 5.0,
    batch: int = 1,
) -> Sabotage:
    what = (make.__doc__ or "").partition("\n")[0]
    return Sabotage(
        what=what,
        make=make,
        caught_by=frozenset(caught_by),
        faults=faults,
        shared=shared,
        lock_timeout_s=lock_timeout_s,
        batch=batch,
    )


# Pieces of several lines on one line, or a line that was repaired while it was being written.
_MIXED = (Kind.NOT_JSON, Kind.ALTERED, Kind.FOREIGN, Kind.QUARANTINE)

SABOTAGES = {
    "no-lock": _sabotage(_NoLock, *_MIXED),
    "lock-elsewhere": _sabotage(_LockElsewhere, *_MIXED),
    "lock-shared-over-fork": _sabotage(_SharedOverFork, *_MIXED, shared=True),
    "unlock-before-write": _sabotage(_UnlockBeforeWrite, *_MIXED),
    "two-writes": _sabotage(_TwoWrites, Kind.NOT_JSON, Kind.BLANK),
    "buffered": _sabotage(_Buffered, Kind.REFUSED_BUT_WRITTEN),
    "seek-then-write": _sabotage(_SeekThenWrite, Kind.MISSING, Kind.NOT_JSON),
    "acknowledge-before-write": _sabotage(_AcknowledgeBeforeWrite, Kind.MISSING, Kind.REAL_TIME),
    "drop-on-timeout": _sabotage(_DropOnTimeout, Kind.MISSING, lock_timeout_s=0),
    "duplicate-on-retry": _sabotage(_DuplicateOnRetry, Kind.DUPLICATE),
    "refuse-but-write": _sabotage(_RefuseButWrite, Kind.REFUSED_BUT_WRITTEN),
    "no-roll-back": _sabotage(_NoRollBack, *_MIXED),
    "cut-too-much": _sabotage(_CutTooMuch, Kind.MISSING),
    "no-repair": _sabotage(_NoRepair, Kind.NOT_JSON, Kind.ALTERED, faults=(KILL,)),
    "wrong-order": _sabotage(_WrongOrder, Kind.REORDERED, Kind.REAL_TIME),
    "overtake": _sabotage(_Overtake, Kind.REORDERED, Kind.REAL_TIME),
    "one-by-one": _sabotage(_OneByOne, Kind.SPLIT, batch=8),
    "respell": _sabotage(_Respell, Kind.ALTERED),
    "half-a-line": _sabotage(_HalfALine, Kind.QUARANTINE, Kind.NOT_JSON),
    "stay-behind": _sabotage(_StayBehind, Kind.LEFT_BEHIND, faults=(REPLACE,)),
}


def broken(name: str, log: EventLog) -> Appender:
    """Return the broken appender called `name`, for the log of the handle `log`."""
    return SABOTAGES[name].make(log)
