# SPDX-License-Identifier: MIT
"""Appending to a run's log: whole lines, one writer at a time, nothing lost (SPEC: APP).

The one module that writes a log. Every append holds the advisory lock, first mends what a dead
writer left behind, and leaves its line whole or leaves no trace of it.
"""

import errno
import math
import os
from collections.abc import Iterable
from contextlib import suppress
from itertools import chain, compress, count
from pathlib import Path
from threading import RLock
from time import monotonic, sleep
from typing import Any, Self  # Any: typeshed does not know RLock._is_owned
from weakref import WeakSet

from . import errors
from .codec import decode, encode
from .errors import AppendIndeterminate, LogIOError
from .events import Event
from .lock import LockableFile, checked_seconds, try_lock, unlock
from .volume import Root, events_log_path

_LOOK_EVERY_S = 1.0  # for no longer do appends go to a file that has left the path
_LONG_HOLD_S, _POLITE_S = 0.001, 0.002  # who held the lock for long lets the others have a turn
_UNTOUCHED, _WRITTEN = -1, -2  # instead of where an append's bytes begin
_FLAGS = os.O_RDWR | os.O_APPEND | os.O_CREAT


class EventLog:
    """A handle that appends to one run's log; made by `for_run`, usable with ``with``.

    Threads may share it. A forked child's copy and a pickled one open the log anew. It excludes
    every other handle, process or program that takes the same lock. Attributes: `path` (absolute)
    of the log; `lock_timeout` (seconds) and `durable` as given to `for_run`.
    """

    def __init__(self, root: Root, run_id: str, lock_timeout: float, durable: bool) -> None:
        """Use `for_run`."""
        with errors.refusals("cannot open", root):  # for there may be no working directory
            root = Path(root).absolute()  # for good, wherever this process or a copy goes
        self._args = (root, run_id, lock_timeout, durable)
        self.lock_timeout, self.durable = checked_seconds("lock_timeout", lock_timeout), durable
        self.path = events_log_path(root, run_id)
        self._mutex: Any = RLock()  # never taken twice; after an interrupt it knows its owner still
        self._closed = self._sync_failed = self._polite = False
        self._file: LockableFile
        self._end: int  # where this handle left the log, after a newline
        self._looked: float  # when the file was last seen to be at the path
        _HANDLES.add(self)
        with errors.refusals("cannot open", self.path):
            if os.name != "posix":
                raise OSError(errno.ENOTSUP, "appending needs flock(2), which is missing here")
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self._mutex:
                self._open()

    @classmethod
    def for_run(
        cls, root: Root, run_id: str, *, lock_timeout: float = 5.0, durable: bool = False
    ) -> Self:
        """Open the log of `run_id` in the volume at `root`, making it and its parents if need be.

        `lock_timeout`: seconds one append may wait for other threads and processes together; 0
        tries once. `durable`: an append returns only when its line, and the directories leading
        to it from `root`, would survive a power loss; without it what was appended survives the
        death of processes, not of the machine (SPEC: DUR).

        Raises InvalidRunId or ValueError before anything is touched, else LogIOError.
        """
        return cls(root, run_id, lock_timeout, durable)

    def append(self, event: Event) -> None:
        """Append `event` as one line, atomically against every other append and every reader.

        Returns once the line is whole in the file (`durable`: on disk). Raises SerializeError,
        LockTimeout, LogIOError, LogClosed, LogBusy, all with nothing written, and
        AppendIndeterminate; any other exception, KeyboardInterrupt say, leaves the line whole or
        absent. That the file was removed or replaced is noticed within a second: what was appended
        in it is in the file that was moved away. Without its run directory it fails (SPEC: APP).
        """
        self._append(encode(event))

    def append_many(self, events: Iterable[Event]) -> None:
        """Append `events` with one write under one lock: no other line comes between them.

        Raises as `append` does, but a whole line is final: `appended` of a LogIOError or
        AppendIndeterminate tells how many of them stand. Does nothing if there are none.
        """
        if data := b"".join(map(encode, events)):
            self._append(data)

    def repair(self) -> None:
        """Mend what a dead writer left, as any append does first; raises as `append` does."""
        self._append(b"")

    def close(self) -> None:
        """Close the handle once no append is under way; harmless when it is closed.

        Raises LogBusy in a signal handler that interrupted an append to it.
        """
        if self._mutex._is_owned():
            raise errors.LogBusy(f"{self.path}: closed by a signal handler amid an append to it")
        try:
            self._enter(monotonic(), math.inf)
            self._closed = True
            self._free()
        except BaseException:
            self._free()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __reduce__(self) -> tuple[type[Self], tuple[Root, str, float, bool]]:
        return type(self), self._args

    # The locked part. An interrupt or a fork may strike between any two steps, so every call takes
    # its descriptor from a file that a forked child finds closed, and the end frees it all.

    def _append(self, data: bytes) -> None:
        mutex, started, start = self._mutex, monotonic(), _UNTOUCHED
        if mutex._is_owned():
            raise errors.LogBusy(f"{self.path}: used by a signal handler amid an append to it")
        try:
            now = started
            if not mutex.acquire(False):  # which alone takes a third of one with a timeout
                now = self._enter(started, self.lock_timeout)
            file = self._file
            if mutex is not self._mutex:  # from here on, a fork closes the file in the child
                raise self._left_to_the_parent()
            try:
                if file.closed:
                    file = self._open()
                if self._polite or not try_lock(file.fd):
                    now = self._wait(file, started)
                if now - self._looked >= _LOOK_EVERY_S:
                    file = self._stay_with_the_path(file, started)
                end = os.lseek(file.fd, 0, os.SEEK_END)
                if end != self._end:
                    end = _repair(file, end)
                start = end  # where our bytes begin, while they are being written
                written = os.write(file.fd, data)
                if written != len(data):
                    file.write_all(memoryview(data)[written:])
                self._end, start = start + len(data), _WRITTEN
                unlock(file.fd)
                self._polite = monotonic() - now > _LONG_HOLD_S
                if self.durable:
                    self._sync(file, data.count(b"\n"))
            except BaseException as error:
                meaning = self._settle(error, file, start, data)
                self._free()
                if meaning is error:
                    raise
                raise meaning from error
            mutex.release()
        except BaseException:  # be it an interrupt of the clean-up itself
            try:
                self._free()
            finally:  # or of this one, for two signals may come at once
                self._free()
            raise

    def _enter(self, started: float, timeout_s: float) -> float:
        """Take the mutex once other threads are done; return when. A child's is another one."""
        left_s = timeout_s
        while not self._mutex.acquire(timeout=min(left_s, 1)):
            left_s = started + timeout_s - monotonic()
            if left_s <= 0:
                raise errors.LockTimeout(self.path, timeout_s - left_s, os.getpid())
        return monotonic()

    def _open(self) -> LockableFile:
        if self._closed:
            raise errors.LogClosed(f"{self.path}: this handle is closed; open another")
        if self._sync_failed:
            raise OSError(errno.EIO, "an earlier sync failed, so nothing can be promised any more")
        self._looked = monotonic()  # before, here and below: a process may be stopped in between
        self._file, self._end = (file := LockableFile(self.path, _FLAGS)), 0
        try:
            for directory in self.path.parents[: 5 if self.durable else 0]:
                _sync_directory(directory)  # whoever made an entry may not have synced it
            if not self._mutex._is_owned():
                raise OSError(errno.ECHILD, "forked while it was opened")
        except BaseException:
            self._drop()
            raise
        return file

    def _drop(self) -> None:
        """Free the lock and close the file; the next append opens the path anew."""
        with suppress(OSError):
            unlock(self._file.fd)  # closing frees no lock while a spawned child has a copy
        with suppress(OSError):
            self._file.close()

    def _stay_with_the_path(self, file: LockableFile, started: float) -> LockableFile:
        self._looked = monotonic()
        while file.replaced():
            self._drop()
            file = self._open()
            self._wait(file, started)
        return file

    def _wait(self, file: LockableFile, started: float) -> float:
        """Take a lock that is not free, or that is somebody else's turn to take; return when."""
        if self._polite:
            sleep(max(0, min(_POLITE_S, started + self.lock_timeout - monotonic())))
        file.lock(started, self.lock_timeout)
        return monotonic()

    def _sync(self, file: LockableFile, lines: int) -> None:
        """Put what was written on disk, the lock being free so that processes' syncs overlap."""
        try:
            (os.fdatasync if hasattr(os, "fdatasync") else os.fsync)(file.fd)
        except OSError as error:
            if error.errno is None or file.closed:
                raise  # out of a signal handler, or this is its forked child
            self._sync_failed = True  # the system tells of lost pages once: never ask it again
            message = f"written but not synced: {error.strerror}; it may not survive a power loss"
            raise AppendIndeterminate(error.errno, message, self.path, lines) from error

    def _settle(
        self, error: BaseException, file: LockableFile, start: int, data: bytes
    ) -> BaseException:
        """Cut what a failed write left after its last whole line; return what to tell the caller.

        What came out of a signal handler is told as it is, but for an OSError with an errno, which
        looks like one of the system's.
        """
        code, why = getattr(error, "errno", None), getattr(error, "strerror", None)
        if not self._mutex._is_owned():  # a fork struck, and this is the child
            return error if code is None else self._left_to_the_parent()
        lines, total = 0, data.count(b"\n")
        try:
            if start == _WRITTEN:
                lines = total
            elif start != _UNTOUCHED:
                found = os.pread(file.fd, len(data), start)
                differs = compress(count(), map(int.__ne__, found, data))
                same = len(found) if data.startswith(found) else next(differs)
                lines, whole = data.count(b"\n", 0, same), data.rfind(b"\n", 0, same) + 1
                if lines < total:
                    _cut(file, start + whole, start + same)
                if self.durable and lines:
                    unlock(file.fd)
                    self._sync(file, lines)
            kind = AppendIndeterminate if 0 < lines == total else LogIOError
        except OSError as again:
            if again.errno is None:
                raise  # out of a signal handler
            kind, why = AppendIndeterminate, f"{why}; not taken back: {again.strerror}"
        if code is None or isinstance(error, errors.OmnelogError):
            return error
        message = f"append failed: {why}; {lines} of {total} lines were written"
        return kind(code, message, self.path, lines)

    def _left_to_the_parent(self) -> AppendIndeterminate:
        message = "forked amid an append, which was left to the parent"
        return AppendIndeterminate(errno.ECHILD, message, self.path)

    def _free(self) -> None:
        """Let go of the file and its lock, and of the mutex, if this thread is the one inside."""
        mutex = self._mutex
        if mutex._is_owned():
            self._drop()
            mutex.release()


def _repair(log: LockableFile, end: int) -> int:
    """Make a log that ends at `end` end in a newline unless it is empty; return where it does."""
    last = os.pread(log.fd, 1, end - 1) if end else b"\n"
    if last == b"\n":
        return end
    start = log.line_start(end)
    if last in b"} \t\r":
        try:
            decode(os.pread(log.fd, end - start, start))
        except errors.DeserializeError as error:
            if error.path:
                raise  # out of a signal handler, which read a log
        else:
            log.write_all(b"\n")  # final at once, whatever becomes of our own line
            return end + 1
    _quarantine(log, start, end)
    _cut(log, start, end)
    return start


def _cut(log: LockableFile, start: int, end: int) -> None:
    """Cut off what is from `start` to `end`, where the log has to end."""
    if os.lseek(log.fd, 0, os.SEEK_END) != end:
        raise OSError(errno.EBUSY, "somebody writes without taking the lock")
    if start < end:
        os.ftruncate(log.fd, start)


def _quarantine(log: LockableFile, start: int, end: int) -> None:
    """Copy a torn tail to a line of its own in ``events.jsonl.torn``, durably, once."""
    path = log.path.with_name(log.path.name + ".torn")
    mode = os.fstat(log.fd).st_mode & 0o777  # no more readers than the log has
    with (
        errors.refusals("nothing was written, for a torn tail cannot be kept", path),
        LockableFile(path, _FLAGS, mode) as file,
    ):
        lines_end, size = file.extent()
        if lines_end != size:  # a copy that was cut short: let it be a line as well
            file.write_all(b"\n")
            size += 1
        begin = file.line_start(size - 1)
        pairs = zip(file.blocks(begin, size - 1), log.blocks(start, end), strict=False)
        if size - 1 - begin != end - start or any(copy != tail for copy, tail in pairs):
            for block in chain(log.blocks(start, end), [b"\n"]):
                file.write_all(block)
        os.fsync(file.fd)
        _sync_directory(path.parent)


def _sync_directory(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


_HANDLES: WeakSet[EventLog] = WeakSet()


def _renew_in_child() -> None:
    for log in list(_HANDLES):
        log._mutex = RLock()  # the parent's may be held for ever, by a thread that is not here


if hasattr(os, "register_at_fork"):
    for _ in range(2):  # an interrupt may cut one short
        os.register_at_fork(after_in_child=_renew_in_child)
