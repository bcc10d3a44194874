# SPDX-License-Identifier: MIT
"""A file, the advisory lock on its own descriptor, and the waiting for that lock (SPEC: LOCK).

The lock is flock(2), taken on the very descriptor that reads or writes. It excludes every other
open file description of that file, in this process or any other, in any language.

`try_lock` and `unlock` are the only two functions that use filelock. A host that wants no
dependency replaces them with two that call ``fcntl.flock``; `try_lock_strictly` stays.
"""

import errno
import os
import random
import stat
from collections.abc import Callable, Iterator
from io import FileIO
from os.path import commonprefix
from pathlib import Path
from time import monotonic, sleep
from typing import ClassVar, TypeAlias

from filelock import lock_descriptor, unlock_descriptor

from . import fork
from .errors import LockTimeout, is_refusal, refusals, refusals_ignored

StrPath: TypeAlias = str | os.PathLike[str]

BLOCK_SIZE = 256 * 1024
"""How many bytes of a file are read at once."""

# No descriptor has this number, so every system call that gets it fails with EBADF. It is not -1,
# because fcntl raises ValueError for a negative number before it asks the system.
_NO_DESCRIPTOR = 2**31 - 1

_TRIES_IN_A_ROW = 4  # an append holds the lock for about 5 µs, so a few tries often get it
_SHORT_PAUSES = 2  # this many pauses are short, because most holders are done within them
_SHORT_PAUSE_S = 0.0002
_EARLY_PAUSE_S = 0.010
_EARLY_S = 0.05
_PAUSE_S = 0.025  # polling more often costs a core and gains little: each poll takes 25 µs
_OLD_S = 0.6
_OLD_PAUSE_S = 0.001


unlock = unlock_descriptor


def try_lock(fd: int) -> bool:
    """Acquire the lock if it is free, and return whether it was. Raises OSError as flock does."""
    return lock_descriptor(fd, blocking=False)


def try_lock_strictly(fd: int) -> bool:
    """Do what `try_lock` does, but raise OSError for EACCES, which filelock takes for "held".

    A security module may refuse locks to a process with that error (SPEC: LOCK-17).
    """
    import fcntl  # noqa: PLC0415 - reading this module must not fail where fcntl is missing

    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def checked_seconds(name: str, seconds: float) -> float:
    """Return `seconds`, the argument called `name`. Raise ValueError if negative or NaN."""
    if not seconds >= 0:
        raise ValueError(f"{name} must be 0 s or more, not {seconds}")
    return seconds


def absolute_path(path: StrPath) -> Path:
    """Return `path` made absolute against the current working directory.

    Raises LogIOError if there is no working directory, and ValueError if no system takes the path.
    """
    if b"\0" in os.fsencode(path):
        raise ValueError(f"the path {os.fspath(path)!r} has an embedded null character")
    with refusals("cannot open", path):
        return Path(path).absolute()


def exists(path: Path) -> bool:
    """Return whether there is something at `path`. Raises OSError if the system does not say.

    From Python 3.14 on, `Path.exists` returns False in that case.
    """
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True


def is_directory(path: Path) -> bool:
    """Return whether there is a directory at `path`. Raises OSError as `exists` does."""
    return exists(path) and path.is_dir()


def sync_directory(path: Path) -> None:
    """Wait until the entries of a directory are on disk. Raises OSError."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _pause_s(pauses: int, age_s: float) -> float:
    """Return how many seconds to sleep at most, after `pauses` pauses within `age_s` seconds.

    After two short pauses poll slowly, and after 0.6 s fast, so that the oldest waiter usually
    wins. With pauses that only grow, as in exponential backoff, newcomers would win.
    """
    if pauses < _SHORT_PAUSES:
        return _SHORT_PAUSE_S
    if age_s < _EARLY_S:
        return _EARLY_PAUSE_S
    if age_s < _OLD_S:
        return _PAUSE_S
    return _OLD_PAUSE_S


class LockableFile(FileIO):
    """A regular file that closes itself when it is dropped, and in a forked child.

    `path` is where it was opened. `fd` is the descriptor while the file is open; after `close` it
    is stale. In a forked child it becomes a number that no descriptor has, so that whatever the
    child was about to do to the file fails with EBADF. Methods raise OSError unless they say
    otherwise.
    """

    __slots__ = ("fd",)  # an append reads it four times, and a slot is the fastest attribute

    path: Path
    fd: int

    def __init__(self, path: Path, flags: int = os.O_RDONLY, mode: int = 0o666) -> None:
        """Open `path` with the ``os.O_*`` `flags`, following symlinks, never waiting for a FIFO.

        Raises LogIOError if the system refuses or `path` is not a regular file.
        """
        self.path = path
        self.fd = _NO_DESCRIPTOR
        pid = os.getpid()
        with refusals("cannot open", path):
            if os.name != "posix":
                raise OSError(errno.ENOTSUP, "a log needs flock(2), which is missing here")
            flags |= os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY
            try:
                # The opener decides how the file is opened. FileIO only owns the descriptor.
                super().__init__(path, "rb", opener=lambda name, _: os.open(name, flags, mode))
                self.fd = self.fileno()
                fork.register(self)
                if not stat.S_ISREG(os.fstat(self.fd).st_mode):
                    raise OSError(errno.EINVAL, "not a regular file")
                if os.getpid() != pid:  # a signal handler forked before the file was registered
                    raise OSError(errno.ECHILD, "the process forked while the file was opened")
            except BaseException:
                self.close()  # harmless if nothing was opened
                raise

    # Nothing is buffered, so dropping a file loses nothing and needs no ResourceWarning. `close`
    # is inherited as it is: a function in C, which works near the recursion limit too.
    __del__: ClassVar[Callable[[FileIO], None]] = FileIO.close

    def after_fork(self) -> None:
        """Close the child's descriptor, which leaves the parent its lock (SPEC: APP-46)."""
        self.fd = _NO_DESCRIPTOR
        try:
            self.close()
        except OSError:
            pass  # it is closed nevertheless

    def acquire(self, started: float, timeout_s: float) -> None:
        """Acquire the lock, trying until `timeout_s` seconds after `started`, a time.monotonic().

        Raises LockTimeout once that deadline has passed.
        """
        pauses = 0
        while not any(try_lock(self.fd) for _ in range(_TRIES_IN_A_ROW)):
            age_s = monotonic() - started
            if age_s >= timeout_s:
                if try_lock_strictly(self.fd):
                    return
                raise LockTimeout(self.path, age_s, self._holder())
            longest_s = random.uniform(0.8, 1) * _pause_s(pauses, age_s)
            sleep(min(timeout_s - age_s, longest_s))
            pauses += 1

    def _holder(self) -> int | None:
        """Return the pid of the process that took the lock, or None if /proc/locks does not say."""
        status = os.fstat(self.fd)
        device = f"{os.major(status.st_dev):02x}:{os.minor(status.st_dev):02x}"
        ours = f"{device}:{status.st_ino}".encode()
        table = b""
        with refusals_ignored():
            table = Path("/proc/locks").read_bytes()
        for line in table.splitlines():
            fields = line.split()  # the second one is "->" for a process that waits
            if len(fields) > 5 and fields[1] == b"FLOCK" and fields[5] == ours:
                pid = fields[4].decode()
                return int(pid) if pid.isdigit() and pid != "0" else None  # 0: another namespace
        return None

    def replaced(self) -> bool:
        """Whether the path leads to another file by now, or nowhere.

        False if this process may not look there, since it then cannot open another file there
        either: a process that gave up its privileges keeps the log that it opened (SPEC: APP-55).
        """
        try:
            return not os.path.samestat(os.stat(self.path), os.fstat(self.fd))
        except (FileNotFoundError, NotADirectoryError):
            return True
        except PermissionError as error:
            if not is_refusal(error):
                raise
            return False

    def extent(self) -> tuple[int, int]:
        """Return where the last newline ends and where the file ends. Between them is the tail."""
        size = os.lseek(self.fd, 0, os.SEEK_END)
        return self.line_start(size), size

    def line_start(self, end: int) -> int:
        """Return where the line that ends at `end` begins: after the newline before it, or at 0."""
        while end > 0:
            start = max(0, end - BLOCK_SIZE)
            newline = os.pread(self.fd, end - start, start).rfind(b"\n")
            if newline >= 0:
                return start + newline + 1
            end = start
            # Skip whole blocks that are holes: they hold no newline.
            while end > BLOCK_SIZE and self.hole_end(end - BLOCK_SIZE, end) == end:
                end -= BLOCK_SIZE
        return 0

    def hole_end(self, start: int, end: int) -> int:
        """Return where the hole at `start` ends, at most `end`; return `start` if there is none.

        A power loss can leave gigabytes of zeros that no disk block backs. They need not be read.
        """
        if not hasattr(os, "SEEK_DATA"):
            return start
        try:
            return min(end, os.lseek(self.fd, start, os.SEEK_DATA))
        except OSError as error:
            if error.errno == errno.ENXIO:  # there is only a hole up to the end of the file
                return end
            if error.errno == errno.EINVAL:  # this file system does not say
                return start
            raise

    def blocks(self, start: int, end: int) -> Iterator[bytes]:
        """Yield the bytes from `start` to `end`, `BLOCK_SIZE` at a time."""
        while start < end:
            block = os.pread(self.fd, min(BLOCK_SIZE, end - start), start)
            if not block:
                raise OSError(errno.EIO, f"shrank to {start} bytes while it was read")
            start += len(block)
            yield block

    def write_all(self, data: bytes) -> None:
        """Write `data` in as many system calls as it takes."""
        self.write_rest(data, os.write(self.fd, data))

    def write_rest(self, data: bytes, written: int) -> None:
        """Write the rest of `data`, after a call that wrote `written` bytes of it.

        A call that writes nothing is an error, because this would otherwise never end.
        """
        rest = memoryview(data)[written:]
        while rest:
            if written == 0:
                raise OSError(errno.EIO, "a write made no progress")
            written = os.write(self.fd, rest)
            rest = rest[written:]

    def matching_length(self, start: int, data: bytes) -> int:
        """Return how many bytes of the file, from `start` on, equal the beginning of `data`."""
        length = 0
        while length < len(data):
            expected = data[length : length + BLOCK_SIZE]
            found = os.pread(self.fd, len(expected), start + length)
            if found != expected:
                return length + len(commonprefix([found, expected]))  # noqa: RUF071 - bytes
            length += len(expected)
        return length

    def require_end(self, end: int) -> None:
        """Raise OSError unless the file still ends at `end` (SPEC: APP-21)."""
        if os.lseek(self.fd, 0, os.SEEK_END) != end:
            raise OSError(errno.EBUSY, "somebody writes without taking the lock")

    def truncate_tail(self, start: int, end: int) -> None:
        """Cut off the bytes from `start` to `end`. The file must still end at `end`."""
        self.require_end(end)
        if start < end:
            os.ftruncate(self.fd, start)
