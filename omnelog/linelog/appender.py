# SPDX-License-Identifier: MIT
"""Appending to a log: whole lines, one writer at a time, nothing lost (SPEC: APP).

Every append holds the lock, first repairs what a dead writer left behind, and leaves its own lines
whole or leaves no trace of them. The lock is never held while the record is encoded.

Theory of operation
-------------------

`LineLog._append` is the critical section, in eight steps. What can strike between them:

* The system can refuse any call. Each step turns its own OSError into what the caller gets. Only
  the write has something to undo, and rolls it back itself.

* A signal handler can run after any call, and raise. What it raises reaches the caller as it is.
  It can also use this very handle: then the mutex is already owned by this thread, and the
  handler's call fails with LogBusy. It can also fork.

* A fork makes a child in which every file is closed and the handle has a new mutex (see `fork`).
  A child that goes on with an append it inherited can therefore not touch the log: its next system
  call on the file fails with EBADF. It finds that the mutex it holds is no longer the handle's, or
  that it does not own the handle's, and raises AppendIndeterminate. The append is the parent's.

* Another thread can be anywhere, but it holds the mutex, or it is waiting for it.

However the section is left, the file's lock and the mutex are free, in two stages. First, an
exception out of steps 2 to 8 unlocks and closes the file, since the state of the lock cannot be
known from inside, and releases the mutex; the next append opens the path again. That stage is
Python code, so an interrupt or the recursion limit can cut it short. The last stage does the same
by two calls into C, which need no Python frame: it closes the file, which releases the lock unless
a process that was just spawned has a copy of it, and it releases the mutex. CPython runs signal
handlers only after a call. So the close and the release, each the first call in its block, are
made however many signals come.

Whether the last stage closes the file is kept in a flag, which is set once the mutex is acquired
and cleared before it is released, so that a file is never closed under another thread's append.
Reading a variable is not a call, so no interrupt comes between the flag and the close. A flag would
not do for the mutex: it would be wrong for a moment after each acquire and each release, and an
interrupt in that moment would leave the mutex locked for good. So the last stage always releases,
and that this thread did not own the mutex is not an error there. For the same reason it is the
mutex itself that is asked whether a signal handler has interrupted an append to its own handle
(``RLock._is_owned``, which `threading.Condition` uses as well). That is why it is an RLock, though
it is never acquired twice.
"""

import errno
import math
import os
from collections.abc import Callable, Iterable
from functools import partial
from io import FileIO
from pathlib import Path
from threading import RLock
from time import monotonic, sleep
from typing import Any, Generic, Self, overload

from . import errors, fork
from .errors import AppendIndeterminate, LogIOError
from .lock import (
    LockableFile,
    StrPath,
    absolute_path,
    checked_seconds,
    sync_directory,
    try_lock,
    unlock,
)
from .objects import Decode, Encode, Record, decode_object, encode_object, line_of
from .repair import OPEN_FLAGS, repair

PATH_CHECK_INTERVAL_S = 1.0
"""An append may go to a file that is no longer at the path for at most this long."""

LONG_HOLD_S = 0.001
"""A handle that held the lock for longer than this lets others have a turn."""

YIELD_S = 0.002
"""How long it pauses for that before it takes the lock again."""


class LineLog(Generic[Record]):
    """A handle that appends records to a file of lines, which many processes append to at once.

    Threads may share a handle. A forked child's copy and a pickled copy open the log again. The
    handle excludes every other handle, process or program that takes the same lock. Its attributes
    are `path`, which is absolute, and `lock_timeout` and `durable` as they were given.
    """

    @overload
    def __init__(
        self: "LineLog[dict[str, Any]]",
        path: StrPath,
        *,
        decode: Decode[Any] = ...,
        lock_timeout: float = ...,
        durable: bool = ...,
    ) -> None: ...
    @overload
    def __init__(
        self,
        path: StrPath,
        *,
        encode: Encode[Record],
        decode: Decode[Any] = ...,
        lock_timeout: float = ...,
        durable: bool = ...,
    ) -> None: ...
    def __init__(
        self,
        path: StrPath,
        *,
        encode: Encode[Any] = encode_object,
        decode: Decode[Any] = decode_object,
        lock_timeout: float = 5.0,
        durable: bool = False,
    ) -> None:
        """Open the log at `path`, and create it and the directories above it if necessary.

        `encode` turns a record into one JSON object on one line, without a newline. `decode` turns
        such a line back; a repair asks it whether an unterminated tail is a whole record, with the
        lock held, so it must not use this log. Both work on dicts by default.

        `lock_timeout` is how many seconds one append may wait for other threads and processes
        together; 0 means to try without waiting. With `durable`, an append returns only when its
        lines, and the directories that this handle created, would survive a power loss. Without
        it, what was appended survives the death of processes, but not of the machine (SPEC: DUR).

        Raises ValueError for a bad `lock_timeout`, before anything is touched, and LogIOError.
        """
        self.path: Path = absolute_path(path)
        self.lock_timeout: float = checked_seconds("lock_timeout", lock_timeout)
        self.durable: bool = durable
        self._encode = encode
        self._decode = decode
        self._line: Callable[[Record], bytes] = partial(line_of, encode)
        self._mutex: Any = RLock()  # Any: typeshed does not know RLock._is_owned
        self._closed = False
        self._sync_failed = False
        self._yields_next = False
        self._end = 0  # where this handle left the log, just after a newline
        self._path_checked_at = -math.inf  # when the file was last seen to be at the path
        fork.register(self)
        with errors.refusals("cannot open", self.path):
            if os.name != "posix":
                raise OSError(errno.ENOTSUP, "appending needs flock(2), which is missing here")
            self._directories = self._directories_to_sync() if durable else []
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self._mutex:
                self._open()

    def append(self, record: Record) -> None:
        """Append `record` as one line, atomically against every other append and every reader.

        Returns once the line is whole in the file, or with `durable` once it is on disk. Raises
        SerializeError, LockTimeout, LogIOError, LogClosed or LogBusy, all with nothing written, or
        AppendIndeterminate. What `encode` raises arrives as it is, also with nothing written. Any
        other exception, such as KeyboardInterrupt, leaves the line whole or absent.

        If the file at the path was removed or replaced, that is noticed within a second; what was
        appended meanwhile is in the file that was moved away. Without its directory the append
        fails (SPEC: APP).
        """
        self._append(self._line(record))

    def append_many(self, records: Iterable[Record]) -> None:
        """Append `records` with one write under one lock: no other line comes between them.

        Raises what `append` raises, but a whole line is final: `appended` of a LogIOError or an
        AppendIndeterminate says how many of the records stand. Does nothing if there are none.
        """
        # Not by map(): a StopIteration out of an encoder would end it, and drop the other records.
        data = b"".join([self._line(record) for record in records])
        if data:
            self._append(data)

    def repair(self) -> None:
        """Repair what a dead writer left, as each append does first. Raises as `append` does."""
        self._append(b"")

    def close(self) -> None:
        """Close the handle as soon as no append is under way; harmless if it is closed.

        Raises LogBusy in a signal handler that interrupted an append to it.
        """
        mutex = self._mutex
        if mutex._is_owned():
            raise errors.LogBusy(f"{self.path}: closed by a signal handler during an append to it")
        may_be_open = False
        try:
            self._acquire_mutex(mutex, monotonic(), math.inf)
            may_be_open = True
            self._closed = True
            self._close_file()
            may_be_open = False
            mutex.release()
        except BaseException:
            # The last stage, as in `_append`.
            try:
                if may_be_open:
                    FileIO.close(self._file)
            finally:
                try:
                    mutex.release()
                except RuntimeError:
                    pass
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __reduce__(self) -> tuple[Any, ...]:
        options = {"lock_timeout": self.lock_timeout, "durable": self.durable}
        functions = {"encode": self._encode, "decode": self._decode}
        return partial(type(self), self.path, **functions, **options), ()

    def after_fork(self) -> None:
        """Take a new mutex: the parent's may be held by a thread that the child does not have."""
        self._mutex = RLock()

    def _directories_to_sync(self) -> list[Path]:
        """Return the directories whose entries a durable handle puts on disk (SPEC: DUR-11)."""
        directories = []
        for directory in self.path.parents:
            directories.append(directory)
            if directory.exists():
                break
        return directories

    # The critical section; see the theory of operation at the top.

    def _append(self, data: bytes) -> None:
        """Append `data`, which is whole lines, or repair the log if it is empty."""
        mutex = self._mutex
        if mutex._is_owned():
            raise errors.LogBusy(f"{self.path}: used by a signal handler during an append to it")
        started = monotonic()
        may_hold_lock = False
        try:
            # 1. Acquire the mutex. Trying first saves time: a timeout makes it three times slower.
            acquired_at = started
            if not mutex.acquire(False):
                self._acquire_mutex(mutex, started, self.lock_timeout)
                acquired_at = monotonic()
            may_hold_lock = True
            try:
                try:
                    # 2. Open the file, unless it is open. From here on a fork closes it.
                    file = self._file
                    if file.closed:
                        file = self._open()
                    if mutex is not self._mutex:
                        raise OSError(errno.ECHILD, "the process forked")

                    # 3. Acquire the file's lock.
                    if self._yields_next or not try_lock(file.fd):
                        acquired_at = self._wait_for_lock(file, started)

                    # 4. Now and then, see whether this file is still the one at the path.
                    if acquired_at - self._path_checked_at >= PATH_CHECK_INTERVAL_S:
                        file = self._reopen_if_replaced(file, started)
                        acquired_at = monotonic()

                    # 5. Find the end. If this handle did not leave it there, see what is there.
                    end = os.lseek(file.fd, 0, os.SEEK_END)
                    if end != self._end:
                        end = repair(file, end, self._decode, durable=self.durable)
                except OSError as error:
                    self._raise_for(error, LogIOError, _failed(error, 0, data), 0)
                    raise

                # 6. Write all bytes in one call; if that fails, roll back.
                if data:
                    try:
                        written = os.write(file.fd, data)
                        if written != len(data):
                            file.write_rest(data, written)
                    except BaseException as error:
                        self._roll_back(file, end, data, error)
                        raise
                self._end = end + len(data)

                # 7. Release the lock.
                try:
                    unlock(file.fd)
                except OSError as error:
                    lines = data.count(b"\n")  # 0 if this was a mere repair
                    kind = AppendIndeterminate if lines else LogIOError
                    self._raise_for(error, kind, _failed(error, lines, data), lines)
                    raise
                self._yields_next = monotonic() - acquired_at > LONG_HOLD_S

                # 8. Sync, with the lock free, so that the syncs of several processes overlap.
                if self.durable:
                    self._sync(file, data.count(b"\n"))
            except BaseException:
                self._close_file()
                may_hold_lock = False
                mutex.release()
                raise
            may_hold_lock = False
            mutex.release()
        except BaseException:
            # The last stage: two calls into C. See the theory of operation.
            try:
                if may_hold_lock:
                    FileIO.close(self._file)
            finally:
                try:
                    mutex.release()
                except RuntimeError:  # this thread did not hold it
                    pass
            raise

    def _acquire_mutex(self, mutex: Any, started: float, timeout_s: float) -> None:
        """Wait for the thread that is in the section, until `timeout_s` seconds after `started`.

        Looks up every second: if a signal handler forked, this is the child, which does not have
        that thread.
        """
        left_s = timeout_s
        while not mutex.acquire(timeout=min(left_s, 1)):
            if mutex is not self._mutex:
                raise self._left_to_parent()
            left_s = started + timeout_s - monotonic()
            if left_s <= 0:
                raise errors.LockTimeout(self.path, timeout_s - left_s, os.getpid())

    def _open(self) -> LockableFile:
        """Open the path; the caller holds the mutex. A durable handle syncs directories as well."""
        if self._closed:
            raise errors.LogClosed(f"{self.path}: this handle is closed; open another")
        if self._sync_failed:
            message = "an earlier sync failed, so this handle can promise nothing; open another"
            raise OSError(errno.EIO, message)
        self._path_checked_at = monotonic()  # before: the process may be stopped after the open
        self._end = 0
        self._file = LockableFile(self.path, OPEN_FLAGS)
        try:
            for directory in self._directories:  # whoever made an entry may not have synced it
                what = f"a durable append has to sync the directory {directory}"
                with errors.refusals(what, self.path):
                    sync_directory(directory)
            if not self._mutex._is_owned():
                raise OSError(errno.ECHILD, "the process forked while the log was opened")
        except BaseException:
            self._close_file()
            raise
        return self._file

    def _close_file(self) -> None:
        """Release the lock and close the file; the next append opens the path again."""
        file = self._file
        if file.closed:
            return
        with errors.refusals_ignored():
            unlock(file.fd)  # closing is not enough while a spawned process has a copy
        with errors.refusals_ignored():
            file.close()

    def _wait_for_lock(self, file: LockableFile, started: float) -> float:
        """Acquire a lock that is not free, or that others shall have first; return when."""
        if self._yields_next:
            left_s = started + self.lock_timeout - monotonic()
            sleep(max(0, min(YIELD_S, left_s)))
        file.acquire(started, self.lock_timeout)
        return monotonic()

    def _reopen_if_replaced(self, file: LockableFile, started: float) -> LockableFile:
        """Return the file that is at the path, with its lock acquired."""
        self._path_checked_at = monotonic()  # before: the process may be stopped after the look
        while file.replaced():
            self._close_file()
            file = self._open()
            self._wait_for_lock(file, started)
        return file

    def _roll_back(self, file: LockableFile, start: int, data: bytes, error: BaseException) -> None:
        """Cut off what a write that began at `start` and ended by `error` left after a whole line.

        Raises what the caller gets if the system refused; returns if the write was interrupted.
        """
        refused = isinstance(error, OSError) and errors.is_refusal(error)
        total = data.count(b"\n")
        lines = 0
        try:
            length = file.matching_length(start, data)
            lines = data.count(b"\n", 0, length)
            if lines < total:
                whole = data.rfind(b"\n", 0, length) + 1
                file.truncate_tail(start + whole, start + length)
        except OSError as again:
            if not errors.is_refusal(again):
                raise
            if isinstance(error, OSError):
                message = f"{_failed(error, lines, data)}; not rolled back: {again.strerror}"
                self._raise_for(error, AppendIndeterminate, message, lines)
            return
        if isinstance(error, OSError):
            if refused and self.durable and lines:
                with errors.refusals_ignored():
                    unlock(file.fd)
                self._sync(file, lines)
            # All lines may be whole although the system reported an error (SPEC: APP-31).
            kind = AppendIndeterminate if lines == total else LogIOError
            self._raise_for(error, kind, _failed(error, lines, data), lines)

    def _sync(self, file: LockableFile, lines: int) -> None:
        """Wait until the data of the log is on disk, `lines` of this append among it."""
        try:
            if hasattr(os, "fdatasync"):
                os.fdatasync(file.fd)
            else:
                os.fsync(file.fd)
        except OSError as error:
            if errors.is_refusal(error) and not file.closed:
                self._sync_failed = True  # the system reports lost pages once: never ask again
            why = "it may not survive a power loss"
            message = f"written but not synced: {error.strerror}; {why}"
            self._raise_for(error, AppendIndeterminate, message, lines)
            raise

    def _raise_for(
        self,
        error: OSError,
        kind: type[AppendIndeterminate] | type[LogIOError],
        message: str,
        lines: int,
    ) -> None:
        """Raise what the caller gets if the system raised `error`; return if a handler did."""
        if error.errno is not None and not self._mutex._is_owned():
            raise self._left_to_parent() from error
        if errors.is_refusal(error):
            raise kind(error.errno, message, self.path, lines) from error

    def _left_to_parent(self) -> AppendIndeterminate:
        message = "the process forked during the append, which was left to the parent"
        return AppendIndeterminate(errno.ECHILD, message, self.path)


def _failed(error: OSError, lines: int, data: bytes) -> str:
    total = data.count(b"\n")
    return f"append failed: {error.strerror}; {lines} of {total} lines were written"


@overload
def append_log(
    path: StrPath, record: dict[str, Any], *, lock_timeout: float = ..., durable: bool = ...
) -> None: ...
@overload
def append_log(
    path: StrPath,
    record: Record,
    *,
    encode: Encode[Record],
    lock_timeout: float = ...,
    durable: bool = ...,
) -> None: ...
def append_log(
    path: StrPath,
    record: Any,
    *,
    encode: Encode[Any] = encode_object,
    lock_timeout: float = 5.0,
    durable: bool = False,
) -> None:
    """Append one record to the log at `path`: open it, append, close it.

    This is for programs that append now and then; one that appends often keeps a `LineLog` open.
    Takes and raises what `LineLog` and `LineLog.append` do. A record that cannot be encoded is
    refused before the log is created.
    """
    line = line_of(encode, record)
    with LineLog(path, encode=encode, lock_timeout=lock_timeout, durable=durable) as log:
        log._append(line)
