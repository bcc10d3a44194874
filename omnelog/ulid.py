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
_LENGTH = 26  # of 5 bits: two more than the 128 of a ULID


class UlidError(OmnelogError, ValueError):
    """The volume's last ULID is not one, or is the greatest; nothing was overwritten."""


def allocate_ulid(root: Root, *, lock_timeout: float = 5.0) -> str:
    """Return a lowercase ULID greater than any that this volume gave out before.

    Its first 48 bits are the milliseconds of the clock, unless that stands still or goes back:
    then it is the last one plus one. The last one is kept in ``.omne/var/.ulid-last``, guarded by
    that file's lock, for which it waits `lock_timeout` seconds; 0 tries once.

    Raises ValueError for a bad timeout or root; LockTimeout; LogIOError; UlidError if the file
    holds no ULID, or the greatest, and then nothing is overwritten.
    """
    started, lock_timeout = monotonic(), checked_seconds("lock_timeout", lock_timeout)
    with refusals("cannot allocate a ULID", path := ulid_lock_path(root)):
        path = path.absolute()
        path.parent.mkdir(parents=True, exist_ok=True)
        with LockableFile(path, os.O_RDWR | os.O_CREAT) as file:
            file.acquire(started, lock_timeout)
            try:
                last = os.pread(file.fd, _LENGTH + 1, 0)
                number, now_ms = _number(last, path) + 1 if last else 0, time_ns() // 1_000_000
                if now_ms > number >> 80:
                    number = now_ms << 80 | secrets.randbits(80)
                if number >> 128:
                    message = f"no ULID is greater than {last.decode()}; set the clock"
                    raise UlidError(f"{path}: {message}")
                ulid = "".join(_ALPHABET[number >> shift & 31] for shift in range(125, -1, -5))
                if os.pwrite(file.fd, ulid.encode(), 0) != _LENGTH:
                    os.ftruncate(file.fd, len(last))  # only a first one can be cut short
                    raise OSError(errno.ENOSPC, "no room for 26 characters")
                return ulid
            finally:
                unlock(file.fd)  # closing frees no lock while a spawned child has a copy


def _number(ulid: bytes, path: Path) -> int:
    digits = [_ALPHABET.find(chr(byte)) for byte in ulid.lower()]  # others may write capitals
    if len(digits) != _LENGTH or -1 in digits or digits[0] > 7:
        raise UlidError(f"{path}: holds {ulid!r}, which is not a ULID; fix or delete the file")
    number = 0
    for digit in digits:
        number = number << 5 | digit
    return number
