# SPDX-License-Identifier: MIT
"""Appending to a run's log: whole lines, one writer at a time, nothing lost (SPEC: APP).

The one module that writes a log. Every append holds the advisory lock, first mends what a dead
writer left behind, and leaves its line whole or leaves no trace of it.
"""

import errno
import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from threading import TIMEOUT_MAX, RLock, get_ident
from time import monotonic, sleep
from weakref import WeakSet

from . import errors
from .codec import decode, encode
from .errors import AppendIndeterminate, LogIOError
from .events import Event
from .lock import LockableFile, try_lock, unlock
from .volume import Root, events_log_path

_LOOK_EVERY_S = 1.0  # for no longer do appends go to a file that has left the path
_LONG_HOLD_S, _POLITE_S = 0.001, 0.002  # who held the lock for long lets the others have a turn
_FLAGS = os.O_RDWR | os.O_APPEND | os.O_CREAT


class EventLog:
    """A handle that appends to one run's log; made by `for_run`, usable with ``with``.

    Threads may share it. A forked child's copy and a pickled one open the log anew. It excludes
    every other handle, process or program that takes the same lock. Attributes: `path` (absolute)
    of the log; `lock_timeout` (seconds) and `durable` as given to `for_run`.
    """

    def __init__(self, root: Root, run_id: str, lock_timeout: float, durable: bool) -> None:
        """Use `for_run`."""
        if not lock_timeout >= 0:
            raise ValueError(f"lock_timeout must be 0 s or more, not {lock_timeout}")
        self._args = (root, run_id, lock_timeout, durable)
        self.lock_timeout, self.durable = lock_timeout, durable
        self.path = events_log_path(root, run_id).absolute()
        self._mutex = RLock()  # it knows its owner, so an interrupt leaves no doubt who holds it
        self._inside = 0  # the thread in the locked part
        self._closed = self._sync_failed = self._polite = False
        self._file: LockableFile  # set by _open, and open while _fd says where
        self._fd = self._end = -1  # the end: where this handle left the log, after a newline
        self._looked = 0.0  # when the file was last seen to be at the path
        _HANDLES.add(self)
        try:
            if os.name != "posix":
                raise OSError(errno.ENOTSUP, "appending needs flock(2), which is missing here")
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._open()
        except OSError as error:
            raise self._refused("cannot open", error) from error

    @classmethod
    def for_run(
        cls, root: Root, run_id: str, *, lock_timeout: float = 5.0, durable: bool = False
    ) -> "EventLog":
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

    def close(self) -> None:
        """Close the handle once no append is under way; harmless when it is closed."""
        if self._inside == get_ident():
            raise errors.LogBusy(f"{self.path}: closed by a signal handler amid an append to it")
        with self._mutex:
            self._closed = True
            self._drop()

    def __enter__(self) -> "EventLog":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __reduce__(self) -> tuple[type["EventLog"], tuple[Root, str, float, bool]]:
        return type(self), self._args

    # The locked part. An interrupt or a fork may strike between any two steps, so every call takes
    # its descriptor from the handle, where a forked child finds none, and `_abandon` cleans up.

    def _append(self, data: bytes) -> None:
        me, mutex, started, start = get_ident(), self._mutex, monotonic(), -1
        if self._inside == me:
            raise errors.LogBusy(f"{self.path}: used by a signal handler amid an append to it")
        try:
            if not mutex.acquire(False):
                patience = min(self.lock_timeout, TIMEOUT_MAX)
                if not patience or not mutex.acquire(timeout=patience):
                    raise errors.LockTimeout(self.path, monotonic() - started, os.getpid())
            self._inside = me
            now = started
            while True:
                if self._fd < 0:
                    self._open()
                    if mutex is not self._mutex:
                        raise OSError(errno.ECHILD, "forked")  # as in any call without a file
                if self._polite or not try_lock(self._fd):
                    self._wait(started)
                    now = monotonic()
                if now - self._looked >= _LOOK_EVERY_S:
                    if self._file.replaced():
                        self._drop()
                        continue
                    self._looked = now
                break
            end = os.lseek(self._fd, 0, os.SEEK_END)
            if end != self._end:
                end = self._repair(end)
            start = end  # where our bytes begin, from just before they are written until all are
            written = os.write(self._fd, data)
            if written != len(data):
                self._file.write_all(memoryview(data)[written:])
            self._end, start = start + len(data), -1
            try:
                unlock(self._fd)
            except OSError:
                self._drop()  # which frees the lock, too
            self._polite = monotonic() - now > _LONG_HOLD_S
            if self.durable:
                self._sync(data)
            self._inside = 0
            mutex.release()
        except BaseException as error:
            meaning = self._abandon(error, mutex, me, start, data)
            if meaning is error:
                raise
            raise meaning from error

    def _open(self) -> None:
        if self._closed:
            raise errors.LogClosed(f"{self.path}: this handle is closed; open another")
        if self._sync_failed:
            raise OSError(errno.EIO, "an earlier sync failed, so nothing can be promised any more")
        self._file = LockableFile(self.path, _FLAGS)
        self._looked = monotonic()
        try:
            for directory in self.path.parents[: 5 if self.durable else 0]:
                _sync_directory(directory)  # whoever made an entry may not have synced it
        except BaseException:
            self._drop()
            raise
        self._fd = self._file.fileno()

    def _drop(self) -> None:
        """Free the lock and close the file; the next append opens the path anew."""
        self._fd = self._end = -1
        with suppress(OSError, ValueError):  # ValueError: it is closed
            unlock(self._file.fileno())  # closing frees no lock while a spawned child has a copy
        with suppress(OSError):
            self._file.close()

    def _wait(self, started: float) -> None:
        """Take a lock that is not free, or that is somebody else's turn to take."""
        if self._polite:
            self._polite = False
            sleep(max(0, min(_POLITE_S, started + self.lock_timeout - monotonic())))
        self._file.lock(started, self.lock_timeout)

    def _repair(self, end: int) -> int:
        """Make the log end in a newline unless it is empty; return where it ends then."""
        last = os.pread(self._fd, 1, end - 1) if end else b"\n"
        if last == b"\n":
            return end
        start, end = self._file.extent()
        if last in b"} \t\r" and _is_event(os.pread(self._fd, end - start, start)):
            self._file.write_all(b"\n")  # final at once, whatever becomes of our own line
            return end + 1
        _quarantine(self._file, start, end)
        if os.lseek(self._fd, 0, os.SEEK_END) != end:
            raise OSError(errno.EBUSY, "somebody writes without taking the lock")
        os.ftruncate(self._fd, start)
        return start

    def _sync(self, data: bytes) -> None:
        """Put what was written on disk, the lock being free so that processes' syncs overlap."""
        try:
            (os.fdatasync if hasattr(os, "fdatasync") else os.fsync)(self._fd)
        except OSError as error:
            self._sync_failed = True  # the system tells of lost pages once: never ask it again
            message = f"written but not synced: {error.strerror}; it may not survive a power loss"
            lines = data.count(b"\n")
            raise AppendIndeterminate(error.errno, message, self.path, lines) from error

    def _abandon(
        self, error: BaseException, mutex: object, me: int, start: int, data: bytes
    ) -> BaseException:
        """Take back what is half done, free both locks; return what `error` means to the caller."""
        if mutex is not self._mutex:  # a fork struck and we are the child: unlock nothing
            self._fd = -1
            self._file.close()
            if isinstance(error, OSError | ValueError):  # as which a closed file shows
                message = "forked amid an append, which was left to the parent"
                return AppendIndeterminate(errno.ECHILD, message, self.path)
            return error
        try:
            if self._inside != me:
                return error
            if start >= 0:
                error = self._settle(error, start, data)
            if not isinstance(error, errors.LockTimeout | errors.LogClosed):
                self._drop()
            if isinstance(error, OSError):
                return self._refused("append failed, nothing was written", error)
            return error
        finally:
            if self._inside == me:
                self._inside = 0
            with suppress(RuntimeError):  # this thread does not hold it
                mutex.release()

    def _settle(self, error: BaseException, start: int, data: bytes) -> BaseException:
        """Cut what a failed write left of `data` after its last whole line; say what stands."""
        lines, why = 0, getattr(error, "strerror", error)
        meaning: type[AppendIndeterminate | LogIOError] = AppendIndeterminate
        try:
            found = os.pread(self._fd, len(data), start)
            lines, whole = found.count(b"\n"), found.rfind(b"\n") + 1
            end = os.lseek(self._fd, 0, os.SEEK_END)
            if not data.startswith(found) or (found != data and end != start + len(found)):
                raise OSError(errno.EBUSY, "somebody writes without taking the lock")
            if whole < len(found):
                os.ftruncate(self._fd, start + whole)
            if whole < len(data):  # otherwise all is there, whatever the system says
                meaning = LogIOError
        except OSError as again:
            why = f"{why}; it cannot be taken back: {again.strerror}"
        if isinstance(error, OSError):
            message = f"append failed: {why}; {lines} whole lines stand"
            return meaning(error.errno, message, self.path, lines)
        return error

    def _refused(self, what: str, error: OSError) -> OSError:
        """`error` as the caller is to see it."""
        if isinstance(error, errors.OmnelogError):
            return error
        return LogIOError(error.errno, f"{what}: {error.strerror}", self.path)


def _is_event(line: bytes) -> bool:
    try:
        return bool(decode(line))
    except errors.DeserializeError:
        return False


def _quarantine(log: LockableFile, start: int, end: int) -> None:
    """Copy a torn tail to a line of its own in ``events.jsonl.torn``, durably, once."""
    path = log.path.with_name(log.path.name + ".torn")
    with LockableFile(path, _FLAGS) as file:
        try:
            lines_end, size = file.extent()
            if lines_end != size:  # a copy that was cut short: let it be a line as well
                file.write_all(b"\n")
                size += 1
            if not _ends_with(file, size - 1, log, start, end):
                for block in log.blocks(start, end):
                    file.write_all(block)
                file.write_all(b"\n")
            os.fsync(file.fileno())
            _sync_directory(path.parent)
        except OSError as error:
            message = f"cannot keep a torn tail: {error.strerror}; nothing was written"
            raise LogIOError(error.errno, message, path) from error


def _ends_with(file: LockableFile, stop: int, log: LockableFile, start: int, end: int) -> bool:
    """Whether the last line of `file`, up to `stop`, is what `log` holds from `start` to `end`."""
    begin = stop - (end - start)
    if begin < 0 or (begin > 0 and os.pread(file.fileno(), 1, begin - 1) != b"\n"):
        return False
    pairs = zip(file.blocks(begin, stop), log.blocks(start, end), strict=True)
    return all(copy == original for copy, original in pairs)


def _sync_directory(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


_HANDLES: WeakSet[EventLog] = WeakSet()


def _renew_in_child() -> None:
    """Drop what was closed by `lock` and what a thread held that does not exist any more."""
    for log in list(_HANDLES):
        log._mutex, log._inside, log._fd, log._end = RLock(), 0, -1, -1


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_in_child)
