# SPDX-License-Identifier: MIT
"""ULIDs that rise across all processes of a volume, for event and run ids (SPEC: ULID)."""

import errno
import os
import secrets
from pathlib import Path
from time import monotonic, time_ns

from .linelog.errors import OmnelogError, refusals
from .linelog.lock import LockableFile, checked_seconds, unlock
from .volume import Root, ulid_lock_path

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"  # Crockford's base 32
_LENGTH = 26  # digits of 5 bits each, two bits more than a ULID has
_RANDOM_BITS = 80
_LIMIT = 1 << 128


class UlidError(OmnelogError, ValueError):
    """The volume's last ULID is not one, or is the greatest; nothing was overwritten."""


def allocate_ulid(root: Root, *, lock_timeout: float = 5.0) -> str:
    """Return a lowercase ULID greater than any that this volume gave out before.

    Its first 48 bits are the milliseconds of the clock, unless the clock stands still or goes back:
    then it is the last ULID plus one. The last one is kept in ``.omne/var/.ulid-last``, guarded by
    that file's lock, for which the call waits `lock_timeout` seconds; 0 means to try without
    waiting.

    Raises ValueError for a bad timeout or root; LockTimeout; LogIOError; UlidError if the file
    does not hold a ULID, or holds the greatest, and then nothing is overwritten.
    """
    started = monotonic()
    lock_timeout = checked_seconds("lock_timeout", lock_timeout)
    path = ulid_lock_path(root)
    with refusals("cannot allocate a ULID", path):
        path = path.absolute()
        path.parent.mkdir(parents=True, exist_ok=True)
        with LockableFile(path, os.O_RDWR | os.O_CREAT) as file:
            file.acquire(started, lock_timeout)
            try:
                last = os.pread(file.fd, _LENGTH + 1, 0)
                ulid = _successor(last, path)
                if os.pwrite(file.fd, ulid, 0) != _LENGTH:
                    os.ftruncate(file.fd, len(last))  # only a first one can be cut short
                    raise OSError(errno.ENOSPC, "there is no room for 26 characters")
                return ulid.decode()
            finally:
                unlock(file.fd)  # closing is not enough while a spawned process has a copy


def _successor(last: bytes, path: Path) -> bytes:
    """Return the ULID that follows `last`, which is empty if there was none yet."""
    number = _number(last, path) + 1 if last else 0
    now_ms = time_ns() // 1_000_000
    if now_ms > number >> _RANDOM_BITS:
        number = (now_ms << _RANDOM_BITS) | secrets.randbits(_RANDOM_BITS)
    if number >= _LIMIT:
        raise UlidError(f"{path}: no ULID is greater than {last.decode()}; set the clock")
    return "".join(_ALPHABET[number >> shift & 31] for shift in range(125, -1, -5)).encode()


def _number(ulid: bytes, path: Path) -> int:
    digits = [_ALPHABET.find(chr(byte)) for byte in ulid.lower()]  # others may write capitals
    if len(digits) != _LENGTH or -1 in digits or digits[0] > 7:
        raise UlidError(f"{path}: {ulid!r} is not a ULID; fix or delete the file")
    number = 0
    for digit in digits:
        number = (number << 5) | digit
    return number
