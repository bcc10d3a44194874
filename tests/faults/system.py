# SPDX-License-Identifier: MIT
"""A system between the core and the real one: it records every call, and makes planned calls fail.

A `System` replaces the name ``os`` in the modules of the core that touch files. It also replaces
the few other names by which these modules reach the system: the descriptor lock, the closing of a
file, ``os.mkdir`` under `pathlib`, and the clock. Calls are numbered from 0; a plan says which call
meets which fault. The real system does the other calls, but nothing waits: time passes only in a
sleep, and a sync is only recorded.

A `System` also checks two things that no test could see afterwards. The core changes a log or its
quarantine only while the log is locked. And it syncs no log that is locked, unless a fault struck
before.

Faults have the same names in the id of a case as in a plan:

- ``ENOSPC`` and so on: the call fails with that error and has no effect (but a close closes)
- ``short:5``: a write writes 5 bytes and returns 5; with ``short:5:ENOSPC``, the next write fails
- ``short:5:foreign``: as ``short:5``, and then a writer that takes no lock adds a line
- ``part:5:EIO``: a write writes 5 bytes, or all, but fails, as a write to a remote disk may
- ``before``, ``after``: the process dies just before the call, or just after it
- ``dies:5``: the process dies after a write has written 5 bytes
- ``busy:4ms``, ``busy:9s``: another process holds the lock for that long
"""

import errno
import fcntl
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from os import PathLike
from typing import Any, TypeVar

from .. import omnelog

CORE = (
    omnelog.linelog.appender,
    omnelog.linelog.lock,
    omnelog.linelog.reader,
    omnelog.linelog.repair,
)
"""The modules whose system is replaced."""

DEAD = 86
"""The exit status of a process that a fault killed."""

FOREIGN_LINE = b'{"type":"pipe.aborted","id":"0","ts":"","run_id":"","reason":"foreign"}\n'
"""The line that a writer without the lock adds."""

_WRITE_ERRORS = ("ENOSPC", "EIO", "EINTR", "EDQUOT", "EFBIG")
_OPEN_ERRORS = ("EACCES", "EIO", "EINTR", "EMFILE")
_SYNC_ERRORS = ("EIO", "ENOSPC", "EDQUOT", "EINTR")
UNSUPPORTED = ("EINVAL", "ENOTSUP", "ENOSYS")
"""The errors of a file system that cannot sync directories."""

ERRORS = {
    "mkdir": ("EACCES", "ENOSPC", "EDQUOT", "EIO"),
    "open": _OPEN_ERRORS,
    "create": (*_OPEN_ERRORS, "ENOSPC", "EDQUOT"),
    "fstat": ("EIO",),
    "stat": ("EIO", "EACCES"),
    "lseek": ("EIO",),
    "seek_data": ("EINVAL", "EIO"),  # EINVAL: this file system does not know its holes
    "open_directory": ("EACCES", "EIO", "EINTR", "EMFILE"),
    "fchown": ("EPERM", "EINVAL", "EIO"),
    "pread": ("EIO", "EINTR"),
    "write": _WRITE_ERRORS,
    "ftruncate": ("EIO", "EINTR", "EACCES", "EPERM"),  # EPERM: an append-only file
    "fsync": _SYNC_ERRORS,
    "fsync_directory": (*_SYNC_ERRORS, *UNSUPPORTED),
    "fdatasync": _SYNC_ERRORS,
    "close": ("EIO", "EINTR"),
    "try_lock": ("EINTR", "ENOLCK", "EIO", "busy:4ms", "busy:9s"),
    "unlock": ("EINTR", "ENOLCK", "EIO"),
}
"""The errors that each call can fail with."""

KINDS = {name: errors[:1] for name, errors in ERRORS.items()}
KINDS["try_lock"] = ("EINTR", "busy:4ms", "busy:9s")
KINDS["seek_data"] = ("EINVAL", "EIO")
KINDS["stat"] = ("EIO", "EACCES")  # EACCES: the append continues in the file that it has open
KINDS["open_directory"] = ("EACCES", "EIO")
KINDS["fsync_directory"] = ("EIO", "EINVAL")
"""For each call, one error of every kind that the core handles differently."""

_PURE = {
    "PathLike",
    "fsencode",
    "fspath",
    "getpid",
    "major",
    "minor",
    "name",
    "path",
    "register_at_fork",
}
_files: dict[int, str] = {}  # the paths that the core has opened, with any System
_Returned = TypeVar("_Returned")
_try_lock = omnelog.linelog.lock.try_lock
_unlock = omnelog.linelog.lock.unlock
_mkdir = os.mkdir
_close_file = omnelog.linelog.lock.LockableFile.close


@dataclass(frozen=True, slots=True)
class Call:
    """A call of the core: its name, the name of the file, and the data of a write."""

    name: str
    file: str
    data: bytes = b""

    def faults(self, *, every_error: bool = False, every_length: bool = False) -> Iterator[str]:
        """Yield the faults of this call that kill no process: all, or one of each kind."""
        yield from ERRORS[self.name] if every_error else KINDS[self.name]
        if self.name == "write":
            for length in self.lengths(every=every_length):
                yield f"short:{length}"
                yield f"short:{length}:ENOSPC"
            for length in sorted({(len(self.data) + 1) // 2, len(self.data)}):
                yield f"part:{length}:EIO"

    def lengths(self, *, every: bool) -> Iterable[int]:
        """Return the lengths at which a write can end early: all, or one for each effect."""
        if every and len(self.data) < 500:
            return range(1, len(self.data))
        ends = [newline.start() for newline in re.finditer(b"\n", self.data)]
        around = {length for end in ends for length in (end, end + 1, end + 2)}
        within = {*range(1, len(self.data))}
        return sorted(({1, len(self.data) // 2, len(self.data) - 1} | around) & within)


def is_benign(fault: str) -> bool:
    """Whether the core must handle `fault` so that its caller does not notice."""
    return fault == "busy:4ms" or (fault.startswith("short:") and fault.count(":") == 1)


class System:
    """A replacement for ``os`` with a plan; `interposed` puts it in place."""

    def __init__(self, plan: Mapping[int, str] | None = None) -> None:
        self.plan = plan or {}
        self.calls: list[Call] = []
        self.struck: list[tuple[Call, str]] = []  # the faults that have struck
        self.violations: list[str] = []
        self.now = 1000.0
        self._next_write = ""  # the fault of the write after a short write
        self._busy_until = 0.0

    def next_operation(self) -> None:
        """Let the process that holds the lock release it."""
        self._busy_until = 0.0

    def __getattr__(self, name: str) -> Any:  # of the type that it has in os
        if name in _PURE or name.startswith(("O_", "SEEK_")):
            return getattr(os, name)
        raise AssertionError(f"the core calls os.{name}, of which these tests know nothing")

    # The core calls these functions instead of those with the same names.

    def open(self, name: PathLike[str], flags: int, mode: int = 0o777) -> int:
        """os.open."""
        path = os.fspath(name)
        existed = os.path.exists(path)

        def really() -> int:
            fd = os.open(path, flags, mode)
            _files[fd] = path
            if not existed:
                self.created(path)
            return fd

        name_of_call = "open_directory" if flags & os.O_DIRECTORY else "open"
        if flags & os.O_CREAT and not existed:
            name_of_call = "create"
        return self._call(name_of_call, path, really)

    def mkdir(self, name: PathLike[str], mode: int = 0o777) -> None:
        """os.mkdir."""
        path = os.fspath(name)

        def really() -> None:
            _mkdir(path, mode)
            self.created(path)

        self._call("mkdir", path, really)

    def close(self, fd: int) -> None:
        """os.close."""
        self._call("close", _files.pop(fd), lambda: os.close(fd))

    def close_file(self, file: "omnelog.linelog.lock.LockableFile") -> None:
        """LockableFile.close."""
        if not file.closed:
            path = _files.pop(file.fileno(), "?")
            self._call("close", path, lambda: _close_file(file))

    def fstat(self, fd: int) -> os.stat_result:
        """os.fstat."""
        return self._call("fstat", _files[fd], lambda: os.fstat(fd))

    def stat(self, name: PathLike[str]) -> os.stat_result:
        """os.stat."""
        return self._call("stat", os.fspath(name), lambda: os.stat(name))

    def lseek(self, fd: int, offset: int, whence: int) -> int:
        """os.lseek, which can also find the end of a hole."""
        name = "seek_data" if whence == os.SEEK_DATA else "lseek"
        return self._call(name, self._file(fd), lambda: os.lseek(fd, offset, whence))

    def fchown(self, fd: int, user: int, group: int) -> None:
        """os.fchown."""
        self._call("fchown", self._file(fd), lambda: os.fchown(fd, user, group))

    def pread(self, fd: int, size: int, offset: int) -> bytes:
        """os.pread."""
        return self._call("pread", self._file(fd), lambda: os.pread(fd, size, offset))

    def write(self, fd: int, data: bytes | memoryview) -> int:
        """os.write."""
        path, data = self._file(fd), bytes(data)
        self._require_locked(fd, "written to")

        def really(length: int = len(data)) -> int:
            offset = os.lseek(fd, 0, os.SEEK_END)
            written = os.write(fd, data[:length])
            self.wrote(path, offset, data[:written])
            return written

        then, self._next_write = self._next_write, ""
        fault = self.plan.get(len(self.calls), "")
        if fault.startswith(("short:", "part:", "dies:")):
            self._record("write", path, data, fault)
            written = really(int(fault.split(":")[1]))
            if fault.startswith("dies:"):
                os._exit(DEAD)
            if fault.startswith("part:"):
                raise _error("EIO")
            if fault.endswith(":foreign"):
                with open(path, "ab", buffering=0) as other:
                    other.write(FOREIGN_LINE)
            if fault.count(":") == 2:
                self._next_write = "ENOSPC"
            return written
        return self._call("write", path, really, data, then)

    def ftruncate(self, fd: int, size: int) -> None:
        """os.ftruncate."""
        path = self._file(fd)
        self._require_locked(fd, "cut")

        def really() -> None:
            os.ftruncate(fd, size)
            self.truncated(path, size)

        self._call("ftruncate", path, really)

    def fsync(self, fd: int) -> None:
        """os.fsync, recorded only."""
        path = self._file(fd)
        name = "fsync_directory" if os.path.isdir(path) else "fsync"
        self._call(name, path, lambda: self.synced(path))

    def fdatasync(self, fd: int) -> None:
        """os.fdatasync, recorded only."""
        path = self._file(fd)
        # After a fault, the core may sync a locked log: it is rare, so the time does not matter.
        getting_over = any(not is_benign(fault) for _, fault in self.struck)
        if not getting_over and is_locked(_at(fd)):
            self.violations.append(f"{path} is synced while it is locked")
        self._call("fdatasync", path, lambda: self.synced(path))

    def try_lock(self, fd: int) -> bool:
        """Acquire the lock, for `omnelog.linelog.lock`."""
        fault = self.plan.get(len(self.calls), "")
        if fault.startswith("busy:"):
            self._record("try_lock", self._file(fd), b"", fault)
            self._busy_until = self.now + {"4ms": 0.004, "9s": 9}[fault[5:]]
            return False
        if self.now < self._busy_until:
            return False
        return self._call("try_lock", self._file(fd), lambda: _try_lock(fd))

    def unlock(self, fd: int) -> None:
        """Release the lock, for `omnelog.linelog.lock`."""
        self._call("unlock", self._file(fd), lambda: _unlock(fd))

    def monotonic(self) -> float:
        """time.monotonic, which advances only in `sleep`."""
        return self.now

    def sleep(self, seconds: float) -> None:
        """time.sleep, of at least a microsecond."""
        self.now += max(seconds, 1e-6)

    def uniform(self, low: float, high: float) -> float:
        """random.uniform, always the middle."""
        return (low + high) / 2

    # A subclass overrides these to look at the files during a call, or to keep a journal of them.

    def instant(self, when: str, path: str, data: bytes = b"") -> None:
        """A call is about to begin, with `data` if it is a write, or has ended without a fault."""

    def created(self, path: str) -> None:
        """A file or directory was made."""

    def wrote(self, path: str, offset: int, data: bytes) -> None:
        """A file was written to."""

    def truncated(self, path: str, size: int) -> None:
        """A file was cut."""

    def synced(self, path: str) -> None:
        """A file or directory was synced."""

    # How a call is made.

    def _file(self, fd: int) -> str:
        if fd not in _files:
            raise _error("EBADF")
        return _files[fd]

    def _record(self, name: str, path: str, data: bytes = b"", fault: str = "") -> None:
        self.calls.append(call := Call(name, path.rpartition("/")[2], data))
        if fault:
            self.struck.append((call, fault))

    def _call(
        self,
        name: str,
        path: str,
        really: Callable[[], _Returned],
        data: bytes = b"",
        then: str = "",
    ) -> _Returned:
        fault = self.plan.get(len(self.calls), then)
        self.instant("before", path, data)
        self._record(name, path, data, fault)
        if not fault:
            try:
                return really()
            finally:
                self.instant("after", path)
        if fault == "before":
            os._exit(DEAD)
        if fault == "after" or name == "close":
            with suppress(OSError):  # whether the real call succeeds makes no difference
                really()
        if fault == "after":
            os._exit(DEAD)
        raise _error(fault)

    def _require_locked(self, fd: int, what: str) -> None:
        path = self._file(fd)
        log = path.removesuffix(".torn") if path.endswith(".torn") else _at(fd)
        if not is_locked(log):
            self.violations.append(f"{path} is {what} while its log is not locked")


def _error(name: str) -> OSError:
    code = getattr(errno, name)
    return OSError(code, os.strerror(code))


def _at(fd: int) -> str:
    """A path of the file that is open as `fd`, also if it was moved away."""
    return f"/proc/self/fd/{fd}"


def is_locked(path: str) -> bool:
    """Whether any other descriptor holds the lock of the file at `path`."""
    fd = os.open(path, os.O_RDONLY)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    else:
        return False
    finally:
        os.close(fd)


@contextmanager
def interposed(system: System) -> Iterator[System]:
    """Put `system` between the core and the real system."""
    names = {
        "os": system,
        "try_lock": system.try_lock,
        "try_lock_strictly": system.try_lock,
        "unlock": system.unlock,
        "monotonic": system.monotonic,
        "sleep": system.sleep,
        "random": system,
    }
    replaced: list[tuple[object, str, object]] = [
        (module, name, replacement)
        for module in CORE
        for name, replacement in names.items()
        if name in vars(module)
    ]
    replaced.append((os, "mkdir", system.mkdir))

    def close(file: "omnelog.linelog.lock.LockableFile") -> None:
        system.close_file(file)

    replaced.append((omnelog.linelog.lock.LockableFile, "close", close))
    originals = [getattr(where, name) for where, name, _ in replaced]
    try:
        for where, name, replacement in replaced:
            setattr(where, name, replacement)
        yield system
    finally:
        for (where, name, _), original in zip(replaced, originals, strict=True):
            setattr(where, name, original)
