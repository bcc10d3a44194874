# SPDX-License-Identifier: MIT
"""What happens to an unterminated tail: it becomes a line, or goes to the quarantine (SPEC: APP).

A tail is what follows the last newline. A process that holds the lock and finds a tail knows that
nobody is writing it. If the tail is a whole record, only its newline is missing, and it gets one.
Otherwise it is torn: it is copied to the quarantine, the log's path with ``.torn`` added, and then
cut off. The copy is on disk before the cut, so the bytes are always in one of the two files.
"""

import errno
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .errors import refusals, refusals_ignored
from .lock import LockableFile, sync_directory
from .objects import Decode, tail_refusal

LONGEST_DECODED = 64 * 1024 * 1024
"""How many bytes of a tail are decoded at most to see whether it is whole (SPEC: APP-56, APP-61).

The lock is held meanwhile, and decoding takes several times as much memory.
"""

OPEN_FLAGS = os.O_RDWR | os.O_APPEND | os.O_CREAT
"""How a log and its quarantine are opened."""

_LAST_BYTES = {b"}", b" ", b"\t", b"\r"}  # an object ends with a brace; white space may follow
_NO_DIRECTORY_SYNC = {errno.EINVAL, errno.ENOTSUP, errno.ENOSYS, errno.EACCES}


def repair(log: LockableFile, end: int, decode: Decode[Any], *, durable: bool) -> int:
    """Repair the log, which ends at `end`: it becomes empty or ends with a newline. Return its end.

    The caller holds the lock. Raises OSError, or LogIOError that names the quarantine.
    """
    # Only one byte of a healthy log is read: a block takes ten times as long, under the lock.
    if end == 0 or os.pread(log.fd, 1, end - 1) == b"\n":
        return end
    start = log.line_start(end)
    if _is_whole(log, start, end, decode):
        log.require_end(end)
        log.write_all(b"\n")  # final at once, even if the caller's own lines fail
        return end + 1
    _quarantine(log, start, end, durable=durable)
    log.truncate_tail(start, end)
    return start


def _is_whole(log: LockableFile, start: int, end: int, decode: Decode[Any]) -> bool:
    """Whether the tail from `start` to `end` is a whole record.

    A tail that is too long to be decoded counts as whole if it ends with a brace: it stays in the
    log as a line, where a reader reports it if it is damaged.
    """
    if end - start > LONGEST_DECODED:
        return not is_too_long(log, start, end)
    last = os.pread(log.fd, 1, end - 1)
    return last in _LAST_BYTES and tail_refusal(decode, b"".join(log.blocks(start, end))) is None


def is_too_long(log: LockableFile, start: int, end: int) -> bool:
    """Whether the tail from `start` to `end` is torn because of its length and its last byte."""
    return end - start > LONGEST_DECODED and os.pread(log.fd, 1, end - 1) != b"}"


def quarantine_path(log: Path) -> Path:
    """Return where the torn tails of the log at `log` are kept."""
    return log.with_name(log.name + ".torn")


def _quarantine(log: LockableFile, start: int, end: int, *, durable: bool) -> None:
    """Copy a torn tail to a line of its own in the quarantine, and wait until it is on disk."""
    path = quarantine_path(log.path)
    owner = os.fstat(log.fd)
    with (
        refusals("nothing was written, because a torn tail cannot be kept", path),
        LockableFile(path, OPEN_FLAGS, owner.st_mode & 0o666) as quarantine,
    ):
        lines_end, size = quarantine.extent()
        if size == 0:  # it is new, or empty, and then this does no harm
            _give_to(owner, quarantine)
        if lines_end != size:  # an earlier copy was interrupted: make it a line as well
            quarantine.write_all(b"\n")
            size += 1
        if not _ends_with_copy(quarantine, size, log, start, end):
            try:
                _copy(log, start, end, quarantine)
            except OSError:
                with refusals_ignored():
                    os.ftruncate(quarantine.fd, size)
                raise
        os.fsync(quarantine.fd)
    with refusals("nothing was written, because this directory cannot be synced", path.parent):
        try:
            sync_directory(path.parent)
        except OSError as error:
            # Some file systems cannot sync a directory. Only a durable append depends on it.
            if durable or error.errno not in _NO_DIRECTORY_SYNC:
                raise


def _give_to(owner: os.stat_result, quarantine: LockableFile) -> None:
    """Give a new quarantine the owner of its log, who may not be the user that repairs it."""
    status = os.fstat(quarantine.fd)
    if (status.st_uid, status.st_gid) != (owner.st_uid, owner.st_gid):
        with refusals_ignored():
            os.fchown(quarantine.fd, owner.st_uid, owner.st_gid)


def _ends_with_copy(
    quarantine: LockableFile, size: int, log: LockableFile, start: int, end: int
) -> bool:
    """Whether the quarantine ends with the tail, because a writer died between copy and cut."""
    last_line = quarantine.line_start(size - 1)
    if size - 1 - last_line != end - start:
        return False
    copied = quarantine.blocks(last_line, size - 1)
    original = _read(log, start, end)
    return all(block == other for block, other in zip(copied, original, strict=True))


def _copy(log: LockableFile, start: int, end: int, quarantine: LockableFile) -> None:
    """Append the tail and a newline to the quarantine. Holes stay holes, which takes no time."""
    at = start
    while at < end:
        hole_end = log.hole_end(at, end)
        if hole_end > at:
            size = os.lseek(quarantine.fd, 0, os.SEEK_END)
            os.ftruncate(quarantine.fd, size + hole_end - at)
            at = hole_end
        else:
            block = next(_read(log, at, end))
            quarantine.write_all(block)
            at += len(block)
    quarantine.write_all(b"\n")


def _read(log: LockableFile, start: int, end: int) -> Iterator[bytes]:
    """Yield the blocks of a tail. Raises LogIOError that names the log, not the quarantine."""
    with refusals("nothing was written, because a torn tail cannot be read", log.path):
        yield from log.blocks(start, end)
