# SPDX-License-Identifier: MIT
"""ULIDs that rise across all processes of a volume, for event and run ids (SPEC: ULID).

`allocate_ulid` and `allocate_ulids` open the file that holds the last ULID, use it once and close
it. A `UlidAllocator` keeps it open, so that an id costs about as much as an append.

How an allocator stays whole
----------------------------

An allocator has no mutex. Each call takes the open file for itself, or opens another one if a call
of another thread has it, and puts it back as its last step, unlocked. So threads, and a signal
handler that interrupts a call, use files of their own, and the lock excludes them from each other.
A call that fails or is interrupted unlocks and closes its file instead. That is done in a
``finally`` whose first call is ``close``, a function in C, so a second interrupt cannot prevent it.

A fork closes the file in the child (see `fork`), and the child's next call opens it again. If a
signal handler forks during a call and returns in the child as well, the child's copy of the call
usually fails. But a ULID that was already written when the handler ran is in both processes, as any
other value is (SPEC: NOT-19).
"""

import errno
import os
import re
from functools import partial
from pathlib import Path
from time import monotonic, time_ns
from typing import Any, Self

from .linelog.errors import LogClosed, OmnelogError, refusals, refusals_ignored
from .linelog.lock import LockableFile, checked_seconds, try_lock, unlock
from .volume import Root, ulid_lock_path

PATH_CHECK_INTERVAL_S = 1.0
"""An allocator may use a file that is no longer at the path for at most this long."""

_WHAT = "cannot allocate a ULID"
_ALPHABET = b"0123456789abcdefghjkmnpqrstvwxyz"  # Crockford's base 32, in ascending order
_LENGTH = 26  # digits of 5 bits each, two bits more than a ULID has
_CLOCK_LENGTH = 10  # the first digits, of milliseconds; the others are random
_CLOCK_LIMIT_MS = 1 << 48
_ULID = re.compile(rb"[0-7][0-9a-hjkmnp-tv-z]{25}")
_GREATEST = b"7" + b"z" * 25
_DIGIT_AFTER = {_ALPHABET[i]: _ALPHABET[i + 1 : i + 2] for i in range(31)}
_TO_INT_DIGITS = bytes.maketrans(_ALPHABET, b"0123456789abcdefghijklmnopqrstuv")
_RANDOM_TO_DIGITS = _ALPHABET * 8  # a random byte becomes a random digit


class UlidError(OmnelogError, ValueError):
    """The last ULID is invalid or the greatest, or the year is past 10889; nothing was written."""


def allocate_ulid(root: Root, *, lock_timeout: float = 5.0) -> str:
    """Return a lowercase ULID greater than any that this volume gave out before.

    Its first 48 bits are the milliseconds of the clock, unless the clock stands still or goes back:
    then it is the last ULID plus one. The last one is kept in ``.omne/var/.ulid-last``, guarded by
    that file's lock. The call waits up to `lock_timeout` seconds for it; 0 means to try without
    waiting. The file and the directories above it are created if necessary.

    Raises ValueError for a bad timeout or root; LockTimeout; LogIOError; UlidError if the file does
    not hold a ULID or holds the greatest, or the year is past 10889; then nothing is overwritten.
    """
    return allocate_ulids(root, 1, lock_timeout=lock_timeout)[0]


def allocate_ulids(root: Root, n: int, *, lock_timeout: float = 5.0) -> list[str]:
    """Return `n` ascending ULIDs, allocated under one lock: no ULID of another call is between.

    Raises ValueError also if `n` is negative, otherwise what `allocate_ulid` raises; then none of
    the `n` was given out. Touches nothing if `n` is 0.
    """
    lock_timeout = checked_seconds("lock_timeout", lock_timeout)
    _require_count(n)
    if n == 0:
        return []
    with UlidAllocator(root, lock_timeout=lock_timeout) as allocator:
        return allocator.allocate_many(n)


def ulid_ms(ulid: str) -> int | None:
    """Return the milliseconds since 1970 in a lowercase ULID; None if `ulid` is not one."""
    digits = ulid.encode(errors="replace")
    return _clock_ms(digits) if _ULID.fullmatch(digits) else None


class UlidAllocator:
    """Allocates ULIDs of one volume, and keeps the file with the last one open between calls.

    The lock is taken for each call, so any number of allocators and other programs share a volume.
    Threads may share an allocator. A forked child's copy and a pickled copy open the file again. A
    signal handler may use the allocator whose call it interrupted, but it gets LockTimeout if that
    call holds the lock. Attributes are `path`, which is absolute, and `lock_timeout` as given.
    """

    def __init__(self, root: Root, *, lock_timeout: float = 5.0) -> None:
        """Open the volume's file; create it and the directories above it if necessary.

        `lock_timeout` is how many seconds one call may wait for the lock; 0 means to try without
        waiting. Raises ValueError for a bad timeout or root, before anything is touched, and
        LogIOError.
        """
        self.lock_timeout: float = checked_seconds("lock_timeout", lock_timeout)
        self._closed = False
        self._idle: dict[str, _LastUlidFile] = {}  # has one file at most
        path = ulid_lock_path(root)
        with refusals(_WHAT, path):
            self.path: Path = path.absolute()
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._idle["file"] = _LastUlidFile(self.path)

    def allocate(self) -> str:
        """Return a ULID as `allocate_ulid` does.

        If the file at the path was removed or replaced, that is noticed within a second. Without
        its directory the call fails. Raises LogClosed, and what `allocate_ulid` raises.
        """
        return self.allocate_many(1)[0]

    def allocate_many(self, n: int) -> list[str]:
        """Return `n` ULIDs as `allocate_ulids` does. Raises LogClosed, and what that raises."""
        _require_count(n)
        if n == 0:
            return []
        started = monotonic()
        file = self._take()
        try:
            while True:
                if not try_lock(file.fd):
                    file.acquire(started, self.lock_timeout)
                if not file.was_replaced():
                    break
                unlock(file.fd)
                file.close()
                file = _LastUlidFile(self.path)
            found = _write_successors(file, n)
            unlock(file.fd)
        except BaseException as error:
            try:
                if not file.closed:
                    with refusals_ignored():
                        unlock(file.fd)  # closing is not enough while a spawned process has a copy
            finally:
                file.close()
            if isinstance(error, OSError):
                with refusals(_WHAT, self.path):
                    raise
            raise
        self._put_back(file)
        return found

    def close(self) -> None:
        """Close the file as soon as no call uses it; harmless if it is closed."""
        self._closed = True
        file = self._idle.pop("file", None)
        if file is not None:
            file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __reduce__(self) -> tuple[Any, ...]:
        root = self.path.parents[2]  # the path is <root>/.omne/var/.ulid-last
        return partial(type(self), root, lock_timeout=self.lock_timeout), ()

    def _take(self) -> "_LastUlidFile":
        """Return an open file that no other call uses."""
        if self._closed:
            raise LogClosed(f"{self.path}: this allocator is closed; make another")
        file = self._idle.pop("file", None)
        if file is None or file.closed:  # it is closed in a forked child
            file = _LastUlidFile(self.path)
        return file

    def _put_back(self, file: "_LastUlidFile") -> None:
        """Keep an unlocked file for the next call, unless another one is kept already."""
        if self._idle.setdefault("file", file) is not file:
            file.close()
        if self._closed:
            self.close()


class _LastUlidFile(LockableFile):
    """The file that holds the ULID given out last, open for reading and writing."""

    _path_checked_at: float  # when it was last known to be at the path

    def __init__(self, path: Path) -> None:
        self._path_checked_at = monotonic()  # before: the process may be stopped after the open
        super().__init__(path, os.O_RDWR | os.O_CREAT)

    def was_replaced(self) -> bool:
        """Whether the path leads elsewhere by now; looks there once a second at most."""
        now = monotonic()
        if now - self._path_checked_at < PATH_CHECK_INTERVAL_S:
            return False
        self._path_checked_at = now
        return self.replaced()


def _require_count(n: int) -> None:
    if n < 0:
        raise ValueError(f"n must be 0 or more, not {n}")


def _write_successors(file: LockableFile, n: int) -> list[str]:
    """Return the `n` ULIDs that follow the last one; write the last of them. Needs the lock."""
    before = os.pread(file.fd, _LENGTH + 1, 0)
    now_ms = time_ns() // 1_000_000
    last = before
    found = []
    for _ in range(n):
        last = _successor(last, now_ms, file.path)
        found.append(last.decode())
    if os.pwrite(file.fd, last, 0) != _LENGTH:
        os.pwrite(file.fd, before, 0)  # these bytes fit: they were there before
        os.ftruncate(file.fd, len(before))
        raise OSError(errno.ENOSPC, "there is no room for 26 characters")
    return found


def _successor(last: bytes, now_ms: int, path: Path) -> bytes:
    """Return the ULID that follows `last`, which is empty if there was none yet."""
    ulid = b"0" * _LENGTH  # the first one, if the clock is at the beginning of 1970 or before
    last_ms = 0
    if last:
        ulid = _plus_one(last, path)
        last_ms = _clock_ms(ulid)
    if now_ms > last_ms:
        if now_ms >= _CLOCK_LIMIT_MS:
            raise UlidError(f"{path}: the clock is past the year 10889, as no ULID can be; set it")
        shifts = range(5 * (_CLOCK_LENGTH - 1), -1, -5)
        digits = bytes(_ALPHABET[now_ms >> shift & 31] for shift in shifts)
        ulid = digits + os.urandom(_LENGTH - _CLOCK_LENGTH).translate(_RANDOM_TO_DIGITS)
    return ulid


def _clock_ms(ulid: bytes) -> int:
    return int(ulid[:_CLOCK_LENGTH].translate(_TO_INT_DIGITS), 32)


def _plus_one(last: bytes, path: Path) -> bytes:
    """Return the ULID `last` plus one, as a number of 128 bits."""
    ulid = last.lower()  # other programs may write capitals
    if not _ULID.fullmatch(ulid):
        raise UlidError(f"{path}: {last!r} is not a ULID; fix or delete the file")
    if ulid == _GREATEST:
        raise UlidError(f"{path}: no ULID is greater than {last.decode()}; set the clock")
    head = ulid.rstrip(b"z")
    return head[:-1] + _DIGIT_AFTER[head[-1]] + b"0" * (_LENGTH - len(head))
