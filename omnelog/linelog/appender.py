# SPDX-License-Identifier: MIT
"""Appending to a log: whole lines, one writer at a time, nothing lost (SPEC: APP).

Every append holds the lock and first repairs what a dead writer left behind. It leaves its own
lines whole, or rolls them back. If the system refuses the roll-back, a torn tail stays, which the
next append repairs. The lock is never held while the record is encoded.

Theory of operation
-------------------

`LineLog._append` is the critical section, in eight steps. What can interfere with them:

* The system can refuse any call. Steps 2 to 5 share one handler for that, and 6, 7 and 8 have one
  each, which turns the OSError into what the caller gets. Only the write has something to undo, and
  rolls it back itself.

* A signal handler can run, and raise. What it raises reaches the caller as it is, and the line is
  whole or absent: Ctrl-C is the usual case. The handler can also use this very handle: then the
  mutex is already owned by this thread, and the handler's call fails with LogBusy.

* A fork makes a child in which every file is closed and the handle has a new mutex (see `fork`).
  So the parent's append and its lock are safe from the child. If a signal handler forked, and it
  returns in the child as well, the child continues its copy of the append. If it forked after step
  2, this copy fails, because its file is closed. Otherwise the child opens a file of its own.

* Another thread waits for the mutex before it touches anything of the handle.

What another process sees: each line is there or not. Part of a line is a tail, also if a roll-back
is about to cut it off; readers read a tail with the lock held, or leave it out. Other processes may
see the first lines of a batch before the rest.

The deadline is `lock_timeout` seconds after the call began. It is checked in the places that wait:
`_wait_for_mutex`, `_wait_for_lock`, and `LockableFile.acquire`. Opening, repairing, writing and
syncing have no deadline.

A durable handle syncs the directories whenever it opens the path, in `_open`. It syncs the data in
`_sync`, after it released the lock, and so also the whole lines that a roll-back leaves. In both
modes the copy of a torn tail is on disk before the tail is cut off, see `repair`.

However the section is left, the file's lock and the mutex are free. The clean-up after an exception
has three stages, each in the ``finally`` of the one before it. First the lock is released and the
file is closed; the next append opens the path again. That stage is Python code, so an interrupt or
the recursion limit can cut it short. The other two are calls into C that need no Python frame: the
file is closed once more, which releases the lock unless a process that was just spawned has a copy
of it, and the mutex is released. CPython runs signal handlers after a call, on entering a Python
function and on jumping back in a loop. Each of these calls is the first in its block, so they are
made however many signals come.

Whether there is a file to close is kept in a flag, which is set once the mutex is acquired and
cleared before it is released, so that a file is never closed under another thread's append. A flag
would fail for the mutex: it would be wrong for a moment after each acquire and each release, and
an interrupt in that moment would leave the mutex locked for good. So the last stage always
releases, and ignores the error if this thread did not own the mutex. For the same reason the mutex
itself says whether a signal handler has interrupted an append to its own handle
(``RLock._is_owned``, which `threading.Condition` uses as well). That is why it is an RLock,
though it is never acquired twice.
"""

import errno
import math
import os
from collections.abc import Callable, Iterable
from functools import partial
from io import FileIO
from pathlib import Path
from threading import TIMEOUT_MAX, RLock
from time import monotonic, sleep
from typing import Any, Generic, Self

from . import fork
from .errors import (
    AppendIndeterminate,
    LockTimeout,
    LogBusy,
    LogClosed,
    LogIOError,
    is_refusal,
    refusals,
    refusals_ignored,
)
from .lock import (
    LockableFile,
    StrPath,
    absolute_path,
    checked_seconds,
    exists,
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
"""Such a handle pauses for this long before it acquires the lock again."""


class LineLog(Generic[Record]):
    """A handle that appends records to a file of lines, which many processes append to at once.

    Threads may share a handle. A forked child's copy and a pickled copy open the log again. The
    handle excludes every other handle, process or program that takes the same lock. Its attributes
    are `path`, which is absolute, and `lock_timeout` and `durable` as they were given.
    """

    def __init__(
        self,
        path: StrPath,
        *,
        encode: Encode[Record] = encode_object,  # type: ignore[assignment] # see Record
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

        Raises ValueError for a bad `path` or `lock_timeout`, before anything is touched, and
        LogIOError.
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
        self._end = 0  # where this handle left the log, just after a newline; 0 also if unknown
        self._path_checked_at = -math.inf  # when the file was last seen to be at the path
        fork.register(self)
        with refusals("cannot open", self.path):
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

        Raises what `append` raises, but lines that were written whole stay in the log: `appended`
        of a LogIOError or an AppendIndeterminate says how many. Does nothing without records.
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

        Raises LogBusy in a signal handler that interrupted an append to this handle.
        """
        mutex = self._mutex
        if mutex._is_owned():
            raise LogBusy(f"{self.path}: closed from inside an append to it")
        try:
            mutex.acquire()
            with refusals_ignored():
                self._file.close()  # the lock is never held between appends
            self._closed = True
        finally:
            try:
                mutex.release()
            except RuntimeError:  # this thread does not hold it: it was interrupted
                pass

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __reduce__(self) -> tuple[Any, ...]:
        options: dict[str, Any] = {
            "encode": self._encode,
            "decode": self._decode,
            "lock_timeout": self.lock_timeout,
            "durable": self.durable,
        }
        return partial(type(self), self.path, **options), ()

    def after_fork(self) -> None:
        """Take a new mutex: the parent's may be held by a thread that the child does not have."""
        self._mutex = RLock()

    def _directories_to_sync(self) -> list[Path]:
        """Return the directories whose entries a durable handle puts on disk (SPEC: DUR-11)."""
        directories = []
        for directory in self.path.parents:
            directories.append(directory)
            if exists(directory):
                break
        return directories

    # The critical section; see the theory of operation at the top.

    def _append(self, data: bytes) -> None:
        """Append `data`, which is whole lines; if `data` is empty, only repair the log."""
        mutex = self._mutex
        if mutex._is_owned():
            raise LogBusy(f"{self.path}: used from inside an append to it")
        started = monotonic()
        may_hold_lock = False
        try:
            # 1. Acquire the mutex. Trying first saves time: a timeout makes it three times slower.
            held_since = started  # a little too early: at worst the next append yields in vain
            if not mutex.acquire(False):
                self._wait_for_mutex(mutex, started)
                held_since = monotonic()
            may_hold_lock = True
            try:
                # 2. Open the file, unless it is open.
                file = self._file
                if file.closed:
                    file = self._open()

                # 3. Acquire the file's lock.
                if self._yields_next or not try_lock(file.fd):
                    held_since = self._wait_for_lock(file, started)

                # 4. At most once a second, check that this file is still the one at the path.
                if held_since - self._path_checked_at >= PATH_CHECK_INTERVAL_S:
                    file = self._reopen_if_replaced(file, started)
                    held_since = monotonic()

                # 5. Find the end. If this handle did not leave it there, see what is there.
                end = os.lseek(file.fd, 0, os.SEEK_END)
                if end != self._end:
                    end = repair(file, end, self._decode, durable=self.durable)
            except OSError as error:
                self._raise_if_refused(error, LogIOError, 0, data)
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
                self._raise_if_refused(error, kind, lines, data)
                raise
            self._yields_next = monotonic() - held_since > LONG_HOLD_S

            # 8. Sync, with the lock free, so that the syncs of several processes overlap.
            if self.durable:
                self._sync(file, data.count(b"\n"))
            may_hold_lock = False
            mutex.release()
        except BaseException:
            # The clean-up in three stages; see the theory of operation.
            try:
                if may_hold_lock:
                    self._close_file()
            finally:
                try:
                    if may_hold_lock:
                        FileIO.close(self._file)
                finally:
                    try:
                        mutex.release()
                    except RuntimeError:  # this thread did not hold it
                        pass
            raise

    def _wait_for_mutex(self, mutex: Any, started: float) -> None:
        """Wait for the thread that is in the section, until the deadline."""
        left_s = min(started + self.lock_timeout - monotonic(), TIMEOUT_MAX)
        if not mutex.acquire(timeout=max(0, left_s)):
            raise LockTimeout(self.path, monotonic() - started, os.getpid())

    def _open(self) -> LockableFile:
        """Open the path; the caller holds the mutex. A durable handle syncs directories as well."""
        if self._closed:
            raise LogClosed(f"{self.path}: this handle is closed; open another")
        if self._sync_failed:
            message = "an earlier sync failed, so this handle can promise nothing; open another"
            raise OSError(errno.EIO, message)
        self._path_checked_at = monotonic()  # before: the process may be stopped after the open
        self._end = 0
        self._file = LockableFile(self.path, OPEN_FLAGS)
        try:
            for directory in self._directories:  # whoever made an entry may not have synced it
                with refusals("a durable log has to sync this directory", directory):
                    sync_directory(directory)
        except BaseException:
            self._close_file()
            raise
        return self._file

    def _close_file(self) -> None:
        """Release the lock and close the file; the next append opens the path again."""
        file = self._file
        if file.closed:
            return
        with refusals_ignored():
            unlock(file.fd)  # closing is not enough while a spawned process has a copy
        with refusals_ignored():
            file.close()

    def _wait_for_lock(self, file: LockableFile, started: float) -> float:
        """Acquire a lock that is held, or that others should get first; return monotonic() then."""
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
        """Cut off the part of a line that is left by a write at `start`, which raised `error`.

        The lock is still held. Another process sees the whole lines, which stay, and takes the rest
        for a tail in flight. Raises what the caller gets if the system refused the write; returns
        if something else interrupted it.
        """
        refusal = error if isinstance(error, OSError) and is_refusal(error) else None
        total = data.count(b"\n")
        lines = 0
        try:
            length = file.matching_length(start, data)
            lines = data.count(b"\n", 0, length)
            if lines < total:
                whole = data.rfind(b"\n", 0, length) + 1
                file.truncate_tail(start + whole, start + length)
        except OSError as again:
            if not is_refusal(again):
                raise
            if refusal is not None:
                why = f"; not rolled back: {again.strerror}"
                self._raise_if_refused(refusal, AppendIndeterminate, lines, data, why)
            return
        if refusal is not None:
            if self.durable and lines:
                with refusals_ignored():
                    unlock(file.fd)
                self._sync(file, lines)
            # All lines may be whole although the system reported an error (SPEC: APP-31).
            kind = AppendIndeterminate if lines == total else LogIOError
            self._raise_if_refused(refusal, kind, lines, data)

    def _sync(self, file: LockableFile, lines: int) -> None:
        """Wait until the data of the log is on disk, including `lines` lines of this append."""
        sync = getattr(os, "fdatasync", os.fsync)  # macOS has no fdatasync
        try:
            sync(file.fd)
        except OSError as error:
            # The system reports lost pages only once, so this handle never syncs again. That is
            # noted before any call, because a signal handler can interrupt a call.
            self._sync_failed = not file.closed
            if not is_refusal(error):
                self._sync_failed = False
                raise
            message = f"written but not synced: {error.strerror}; it may not survive a power loss"
            raise AppendIndeterminate(error.errno, message, self.path, lines) from error

    def _raise_if_refused(
        self,
        error: OSError,
        kind: type[AppendIndeterminate] | type[LogIOError],
        lines: int,
        data: bytes,
        more: str = "",
    ) -> None:
        """Raise the caller's error if the system raised `error`; return if a signal handler did."""
        if is_refusal(error):
            total = data.count(b"\n")
            what = f"append failed: {error.strerror}; {lines} of {total} lines were written"
            if total == 0:
                what = f"repair failed: {error.strerror}"
            raise kind(error.errno, what + more, self.path, lines) from error


def append_log(
    path: StrPath,
    record: Record,
    *,
    encode: Encode[Record] = encode_object,  # type: ignore[assignment] # see Record
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
