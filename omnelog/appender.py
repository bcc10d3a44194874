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
from types import TracebackType
from weakref import WeakSet

from .codec import decode, encode
from .errors import AppendIndeterminate, DeserializeError, LockTimeout, LogBusy, LogClosed
from .errors import LogIOError, OmnelogError, SerializeError
from .events import Event
from .lock import LockableFile, timed_out, try_lock, unlock
from .volume import Root, events_log_path

_LOOK_EVERY_S = 1.0  # an append may go to a file that left the path for no longer than this
_LONG_HOLD_S = 0.001  # who held the lock for longer lets the others have a turn,
_POLITE_S = 0.002  # for as long as this


class EventLog:
    """A handle that appends to one run's log; made by `for_run`, usable with ``with``.

    Threads may share it. A forked child's copy and a pickled one open the log anew. It excludes
    every other handle, process or program that takes the same lock. `lock_timeout` (seconds) and
    `durable` are as given to `for_run`.
    """

    def __init__(self, root: Root, run_id: str, lock_timeout: float, durable: bool) -> None:
        """Use `for_run`."""
        if not lock_timeout >= 0:
            raise ValueError(f"lock_timeout must be 0 s or more, not {lock_timeout}")
        self._args = (root, run_id, lock_timeout, durable)
        self.lock_timeout, self.durable = lock_timeout, durable
        self._path = events_log_path(root, run_id).absolute()
        self._mutex = RLock()  # it knows its owner, so an interrupt leaves no doubt who holds it
        self._inside = 0  # the thread in the locked part
        self._closed = self._sync_failed = self._polite = False
        self._file: LockableFile
        self._fd = self._end = -1  # the end: where this handle left the log, after a newline
        self._identity, self._looked = (0, 0), 0.0  # the file found at the path, and when
        _HANDLES.add(self)
        try:
            if os.name != "posix":
                raise OSError(errno.ENOTSUP, "appending needs flock(2), which is missing here")
            self._path.parent.mkdir(parents=True, exist_ok=True)
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

    @property
    def path(self) -> Path:
        """The absolute path of the log."""
        return self._path

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
        lines = []
        for event in events:
            try:
                lines.append(encode(event))
            except SerializeError as error:
                raise SerializeError(f"event {len(lines)}: {error}") from error
        if lines:
            self._append(b"".join(lines))

    def close(self) -> None:
        """Close the handle once no append is under way; harmless when it is closed."""
        if self._inside == get_ident():
            raise LogBusy(f"{self._path}: closed by a signal handler amid an append to it")
        with self._mutex:
            self._closed = True
            self._drop()

    def __enter__(self) -> "EventLog":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def __reduce__(self) -> tuple[type["EventLog"], tuple[Root, str, float, bool]]:
        return type(self), self._args

    # The locked part. An interrupt or a fork may strike between any two steps, so every call takes
    # its descriptor from the handle, where a forked child finds none, and `_abandon` cleans up.

    def _append(self, data: bytes) -> None:
        me, mutex = get_ident(), self._mutex
        now = started = monotonic()
        start = -1  # where our bytes begin, from just before they are written until they all are
        if self._inside == me:
            raise LogBusy(f"{self._path}: used by a signal handler amid an append to it")
        try:
            if not mutex.acquire(False):
                patience = min(self.lock_timeout, TIMEOUT_MAX)
                if not patience or not mutex.acquire(timeout=patience):
                    raise timed_out(self._path, started, os.getpid())
            self._inside = me
            while True:
                if self._fd < 0:
                    self._open()
                if self._polite or not try_lock(self._fd):
                    self._wait(started)
                    now = monotonic()
                if now - self._looked < _LOOK_EVERY_S or self._at_path(now):
                    break
                self._drop()
            end = os.lseek(self._fd, 0, os.SEEK_END)
            if end != self._end:
                end = self._repair(end)
            start = end
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
            raise LogClosed(f"{self._path}: this handle is closed; open another")
        if self._sync_failed:
            raise OSError(errno.EIO, "an earlier sync failed, so nothing can be promised any more")
        file = LockableFile(self._path, os.O_RDWR | os.O_APPEND | os.O_CREAT)
        try:
            status, self._looked = os.fstat(file.fileno()), monotonic()
            self._identity = status.st_dev, status.st_ino
            if self.durable:  # whoever made the entries leading here may not have synced them
                for directory in self._path.parents[:5]:
                    _sync_directory(directory)
        except BaseException:
            file.close()
            raise
        self._file, self._fd = file, file.fileno()

    def _drop(self) -> None:
        """Free the lock and close the file; the next append opens the path anew."""
        self._fd = self._end = -1
        if not self._file.closed:
            with suppress(OSError):  # closing alone frees no lock while a spawned child has a copy
                unlock(self._file.fileno())
            with suppress(OSError):
                self._file.close()

    def _at_path(self, now: float) -> bool:
        """Whether the path still leads to the open file."""
        try:
            status = os.stat(self._path)
        except OSError:
            return False
        self._looked = now
        return (status.st_dev, status.st_ino) == self._identity

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
            raise AppendIndeterminate(error.errno, message, self._path, appended=lines) from error

    def _abandon(
        self, error: BaseException, mutex: object, me: int, start: int, data: bytes
    ) -> BaseException:
        """Take back what is half done, free both locks; return what `error` means to the caller."""
        if mutex is not self._mutex:  # a fork struck, and we are the child
            if not isinstance(error, OSError | ValueError):  # as which a missing descriptor shows
                return error
            message = "forked amid an append, which was left to the parent"
            return AppendIndeterminate(errno.EBADF, message, self._path)
        try:
            if self._inside != me:
                return error
            if start >= 0:
                error = self._settle(error, start, data)
            if not isinstance(error, LockTimeout | LogClosed):
                self._drop()
            if isinstance(error, OSError):
                error = self._refused("append failed, nothing was written", error)
            return error
        finally:
            if self._inside == me:
                self._inside = 0
            with suppress(RuntimeError):  # says that it is not ours
                self._mutex.release()

    def _settle(self, error: BaseException, start: int, data: bytes) -> BaseException:
        """Cut what a failed write left of `data` after its last whole line; say what stands."""
        meaning: type[AppendIndeterminate | LogIOError] = AppendIndeterminate
        lines, why = 0, getattr(error, "strerror", error)
        try:
            found = os.pread(self._fd, len(data), start)
            end = os.lseek(self._fd, 0, os.SEEK_END)
            if not data.startswith(found) or (found != data and end != start + len(found)):
                raise OSError(errno.EBUSY, "somebody writes without taking the lock")
            lines, whole = found.count(b"\n"), found.rfind(b"\n") + 1
            if whole < len(found):
                os.ftruncate(self._fd, start + whole)
            if whole < len(data):
                meaning = LogIOError
        except OSError as again:
            why = f"{why}, and taking it back: {again.strerror}"
        if not isinstance(error, OSError):
            return error
        total = data.count(b"\n")
        message = f"append failed: {why}; {lines} of {total} events were written"
        return meaning(error.errno, message, self._path, appended=lines)

    def _refused(self, what: str, error: OSError) -> OSError:
        """`error` as the caller should see it."""
        if isinstance(error, OmnelogError):
            return error
        return LogIOError(error.errno, f"{what}: {error.strerror}", self._path)


def _is_event(line: bytes) -> bool:
    try:
        return bool(decode(line))
    except DeserializeError:
        return False


def _quarantine(log: LockableFile, start: int, end: int) -> None:
    """Copy a torn tail to a line of its own in ``events.jsonl.torn``, durably, once."""
    path = log.path.with_name(log.path.name + ".torn")
    with LockableFile(path, os.O_RDWR | os.O_APPEND | os.O_CREAT) as file:
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
    """Whether the last line of `file`, before `stop`, is what `log` holds from `start` to `end`."""
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
    """What another thread held when it was forked away, nobody would ever free."""
    for log in list(_HANDLES):
        log._mutex, log._inside, log._fd, log._end = RLock(), 0, -1, -1


if hasattr(os, "register_at_fork"):  # after `lock` registered, which closes the files
    os.register_at_fork(after_in_child=_renew_in_child)
