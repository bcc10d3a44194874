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
from contextlib import suppress
from io import FileIO
from pathlib import Path
from threading import RLock
from time import monotonic, sleep
from typing import Any  # typeshed does not know all of RLock
from weakref import WeakSet

from filelock import lock_descriptor, unlock_descriptor

from .errors import LockTimeout, refusals

unlock = unlock_descriptor
_BLOCK = 256 * 1024
_CLOSED = 2**31 - 1  # no descriptor: every call that is given it says EBADF


def try_lock(fd: int) -> bool:
    """Take the lock if it is free; whether it was. Raises OSError as flock(2) does."""
    return lock_descriptor(fd, blocking=False)


def checked_seconds(name: str, seconds: float) -> float:
    """Return the argument `name` if it can be waited, else raise ValueError."""
    if not seconds >= 0:
        raise ValueError(f"{name} must be 0 s or more, not {seconds}")
    return seconds


def _pause_s(tries: int, age_s: float) -> float:
    """How long to sleep, at most, after `tries` rounds of trying in `age_s` seconds.

    An append holds the lock for 5 µs, so the next rounds come soon. Who holds it for milliseconds
    is waited for at leisure, for each poll costs 25 µs of somebody's core, and the longer the
    more so, but after 0.6 s keenly: with pauses that only grow, as backoff has it, newcomers win.
    """
    if tries < 2:
        return 0.0002
    if age_s < 0.6:
        return 0.010 if age_s < 0.05 else 0.025
    return 0.001


class LockableFile(FileIO):
    """A regular file that closes itself when dropped, and at once in a forked child.

    A lock belongs to the open file description, which fork shares: kept by the child, the lock of
    a parent that died would live on in it. Methods raise OSError unless they say otherwise, so
    does any system call that is given the `fd` of a closed one.
    """

    __slots__ = ("fd",)  # looked up four times in an append

    def __init__(self, path: Path, flags: int, mode: int = 0o666) -> None:
        """Open `path` with the os.O_* `flags`, following symlinks, never waiting for a FIFO.

        Raises LogIOError if the system refuses or it is not a regular file.
        """
        self.path, self.fd = path, _CLOSED
        process, nested = _process, _no_fork._is_owned()
        flags |= os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY
        with refusals("cannot open", path):
            try:
                with _no_fork:
                    super().__init__(path, "rb", opener=lambda name, _: os.open(name, flags, mode))
                    self.fd = self.fileno()
                    _FILES.add(self)
                if not stat.S_ISREG(os.fstat(self.fd).st_mode):
                    raise OSError(errno.EINVAL, "not a regular file")
                if process is not _process:
                    raise OSError(errno.ECHILD, "forked while it was opened")
            except BaseException as error:
                _let_fork(nested)
                self.close()  # harmless when nothing was opened
                if type(error) not in (ValueError, UnicodeEncodeError):
                    raise
                raise OSError(errno.EINVAL, str(error)) from error  # a path that no system takes

    def close(self) -> None:
        """Close the file; harmless when it is closed. That frees its lock unless it is shared."""
        self.fd, nested = _CLOSED, _no_fork._is_owned()
        try:
            with _no_fork:  # a child forked amid this call would have the descriptor for good
                super().close()
        except BaseException:
            _let_fork(nested)
            raise

    def lock(self, started: float, timeout_s: float) -> None:
        """Take the lock, trying until `timeout_s` after `started`, a time.monotonic().

        Raises LockTimeout once that deadline has passed.
        """
        tries = 0
        while not (try_lock(self.fd) or try_lock(self.fd)):  # held for 3 µs, mostly
            age_s = monotonic() - started
            if age_s >= timeout_s:
                raise LockTimeout(self.path, age_s, self._holder())
            sleep(min(timeout_s - age_s, random.uniform(0.8, 1) * _pause_s(tries, age_s)))
            tries += 1

    def _holder(self) -> int | None:
        """The process that took the lock, from /proc/locks where there is one."""
        status = os.fstat(self.fd)
        ours = f"{os.major(status.st_dev):02x}:{os.minor(status.st_dev):02x}:{status.st_ino}"
        with suppress(OSError, ValueError):
            for line in Path("/proc/locks").read_text().splitlines():
                _, kind, _, _, pid, file, *_ = line.split()  # blocked ones have "->" as the kind
                if (kind, file) == ("FLOCK", ours):
                    return int(pid) if int(pid) > 0 else None  # 0: in another pid namespace
        return None

    def replaced(self) -> bool:
        """Whether the path leads elsewhere by now, or nowhere."""
        try:
            return not os.path.samestat(os.stat(self.path), os.fstat(self.fd))
        except (FileNotFoundError, NotADirectoryError):
            return True

    def extent(self) -> tuple[int, int]:
        """Where the last newline ends and where the file does: between is an unterminated tail."""
        size = os.lseek(self.fd, 0, os.SEEK_END)
        return self.line_start(size), size

    def line_start(self, end: int) -> int:
        """Where the line begins that goes on to `end`: just after the last newline before it."""
        while end > 0:
            start = max(0, end - _BLOCK)
            found = os.pread(self.fd, end - start, start).rfind(b"\n")
            if found >= 0:
                return start + found + 1
            end = start
        return 0

    def blocks(self, start: int, end: int) -> Iterator[bytes]:
        """The bytes from `start` to `end`, 256 KiB at a time."""
        while start < end:
            block = os.pread(self.fd, min(_BLOCK, end - start), start)
            if not block:
                raise OSError(errno.EIO, f"shrank to {start} bytes while it was read")
            start += len(block)
            yield block

    def write_all(self, data: bytes | memoryview) -> None:
        """Write `data` in as many calls as it takes."""
        while data:
            written = os.write(self.fd, data)
            if not written:
                raise OSError(errno.EIO, "a write made no progress")
            data = data[written:]


_FILES: WeakSet[LockableFile] = WeakSet()
_no_fork: Any = RLock()  # held while a file is opened or closed: all that are open are in _FILES
_process = object()  # in a forked child it is another


def _let_fork(nested: bool) -> None:
    """Free what an interrupt struck as soon as it was taken; not what was held before: `nested`."""
    if _no_fork._is_owned() and not nested:
        _no_fork.release()


def _close_inherited() -> None:
    global _process  # noqa: PLW0603 - written here alone, by a hook that takes no arguments
    _process = object()
    if not _no_fork._is_owned():  # an interrupt kept the fork from waiting for another's opening
        _no_fork._at_fork_reinit()
    for file in list(_FILES):
        with suppress(OSError):
            file.close()


if hasattr(os, "register_at_fork"):
    # These are functions in C, amid which no signal handler runs: what one raises in a hook is lost
    os.register_at_fork(
        before=_no_fork.acquire, after_in_parent=_no_fork.release, after_in_child=_no_fork.release
    )
    for _ in range(2):  # an interrupt may cut one short
        os.register_at_fork(after_in_child=_close_inherited)
