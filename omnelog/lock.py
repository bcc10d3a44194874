# SPDX-License-Identifier: MIT
"""A file, the advisory lock on its own descriptor, and the waiting for it (SPEC: LOCK).

flock(2), taken through filelock on the very descriptor that reads or writes: it excludes every
other open file description of that file, in this process or any other, in any language.
"""

import errno
import os
import random
import stat
from collections.abc import Iterator
from functools import partial
from io import FileIO
from pathlib import Path
from time import monotonic, sleep
from weakref import WeakSet

from filelock import lock_descriptor, unlock_descriptor

from .errors import LockTimeout, LogIOError

try_lock = partial(lock_descriptor, blocking=False)
unlock = unlock_descriptor
_BLOCK = 256 * 1024


class LockableFile(FileIO):
    """A regular file that closes itself when dropped, and at once in a forked child.

    A lock belongs to the open file description, which fork shares: kept by the child, the lock of
    a parent that died would live on in it. Closing does not free the lock while the parent lives.
    """

    def __init__(self, path: Path, flags: int) -> None:
        """Open `path` with the os.O_* `flags`, following symlinks, never waiting for a FIFO.

        Raises LogIOError if the system refuses or it is not a regular file.
        """
        flags |= os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY
        self.path = path
        try:
            super().__init__(path, "rb", opener=lambda name, _: os.open(name, flags, 0o666))
            if not stat.S_ISREG(os.fstat(self.fileno()).st_mode):
                self.close()
                raise OSError(errno.EINVAL, "not a regular file")
        except OSError as error:
            raise LogIOError(error.errno, f"cannot open: {error.strerror}", path) from error
        _FILES.add(self)

    def lock(self, started: float, timeout_s: float) -> None:
        """Take the lock, trying until `timeout_s` after `started`, a time.monotonic().

        A waiter tries more often the longer it has waited: were it less often, as backoff has it,
        newcomers would win. Raises LockTimeout once the deadline has passed, OSError as flock(2).
        """
        while not try_lock(self.fileno()):
            age_s = monotonic() - started
            if age_s >= timeout_s:
                raise timed_out(self.path, started, self._holder())
            sleep(min(timeout_s - age_s, random.uniform(0.5, 1.5) * 0.002 / (1 + 10 * age_s)))

    def _holder(self) -> int | None:
        """The process that took the flock on this file, from /proc/locks where there is one."""
        status = os.fstat(self.fileno())
        device = f"{os.major(status.st_dev):02x}:{os.minor(status.st_dev):02x}"
        try:
            for line in Path("/proc/locks").read_text().splitlines():
                match line.split():
                    case [_, "FLOCK", _, _, pid, where, *_]:
                        if where == f"{device}:{status.st_ino}" and int(pid) > 0:
                            return int(pid)
        except OSError:
            pass
        return None

    def extent(self) -> tuple[int, int]:
        """Where the last newline ends and where the file does: between is an unterminated tail."""
        start = size = os.lseek(self.fileno(), 0, os.SEEK_END)
        while start > 0:
            end, start = start, max(0, start - _BLOCK)
            found = os.pread(self.fileno(), end - start, start).rfind(b"\n")
            if found >= 0:
                return start + found + 1, size
        return 0, size

    def blocks(self, start: int, end: int) -> Iterator[bytes]:
        """The bytes from `start` to `end`, 256 KiB at a time; OSError if the file ends before."""
        while start < end:
            block = os.pread(self.fileno(), min(_BLOCK, end - start), start)
            if not block:
                raise OSError(errno.EIO, f"it shrank to {start} bytes while it was read")
            start += len(block)
            yield block

    def write_all(self, data: bytes | memoryview) -> None:
        """Write `data` at the file position, in as many calls as it takes; OSError if stuck."""
        while data:
            written = os.write(self.fileno(), data)
            if not written:
                raise OSError(errno.EIO, "a write made no progress")
            data = data[written:]


_FILES: WeakSet[LockableFile] = WeakSet()


def _close_inherited() -> None:
    for file in list(_FILES):
        file.close()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_close_inherited)


def timed_out(path: Path, started: float, holder_pid: int | None) -> LockTimeout:
    """The error for a wait that began at `started` and has reached its deadline."""
    waited_s = monotonic() - started
    holder = f" by process {holder_pid}" if holder_pid else ""
    message = f"locked{holder}; gave up after {waited_s:.3f} s, nothing was written"
    return LockTimeout(errno.ETIMEDOUT, message, path, waited_s=waited_s, holder_pid=holder_pid)
