# SPDX-License-Identifier: MIT
"""The `System` of the fault tests, in which a scheduled process stops before each call.

The real system does the calls, and the lock is the kernel's. This module adds three things:

- A process that found the lock taken is not ready to try again until the lock is free. A try that
  fails changes nothing, so the tries in between need not be enumerated. An impatient process can
  also give up: then the time until its deadline passes in one step.
- Time passes only in a sleep. A follower does not poll: it looks again when something has changed,
  or when 2 s have passed since the log left its path.
- Each call says what it reads and what it writes, which shows which calls commute. A file has two
  such things: its data and its lock. A path has one: the file to which it leads. A call that lets
  time pass conflicts with every other.
"""

import os
from collections.abc import Callable
from os import PathLike
from threading import Event
from typing import TypeVar

from .. import omnelog
from ..faults.system import System
from .processes import CLOCK, Action, Killed, Process, Stop
from .promises import Promises, WatchedFile
from .scenarios import READING

IMPATIENT_S = 0.1
"""The lock_timeout of an impatient process, and how long a reader waits for the lock."""

IDLE_S = 1.2
LINGER_S = 2.0

_Returned = TypeVar("_Returned")


class ScheduledSystem(System):
    """The system of several processes; the process `current` makes the calls."""

    def __init__(self, directory: str) -> None:
        super().__init__()
        self.directory = directory
        self.log_path = f"{directory}/log"
        self._labels = {self.log_path: "log", f"{self.log_path}.torn": "log.torn", directory: "."}
        self.begin(Promises())

    def begin(self, promises: Promises) -> None:
        """Begin another run."""
        self.promises = promises
        self.now = 1000.0
        self.current: Process | None = None
        self.are_asked_to_stop = False
        self.names_version = 0  # how often a path got another file
        self.violations = promises.violations
        self._by_inode: dict[int, WatchedFile] = {}  # by inode
        self._open: dict[int, tuple[Process | None, WatchedFile | None]] = {}  # by descriptor
        self._bits: dict[object, int] = {}
        self._moved = 0
        self._seen: dict[Process, tuple[WatchedFile, int, int]] = {}

    def end(self) -> None:
        """Close what `begin` and the run opened to look at the files."""
        for file in self.promises.files:
            os.close(file.fd)

    @property
    def logs(self) -> list[WatchedFile]:
        """The logs of this run: the one at the path, and those that were moved away."""
        return [file for file in self.promises.files if file.is_log]

    def open_files(self) -> list[WatchedFile | None]:
        """The files that the core has open; None stands for a directory."""
        return [file for _, file in self._open.values()]

    # Stopping

    def _stop(
        self,
        call: str,
        label: str,
        *,
        reads: int = 0,
        writes: int = 0,
        data: bytes = b"",
        is_ready: Callable[[], bool] | None = None,
    ) -> int | None:
        """Stop the current process before a call; return after how many bytes it dies, or None."""
        process = self.current
        if process is None:
            return None
        if process.is_dead:
            raise Killed
        if not process.is_scheduled:
            return None
        process.gives_up = False
        letter = process.letter
        step = Action(letter, process, reads | CLOCK, writes)
        deaths = []
        if "mortal" in process.traits:
            held = sum(file.lock_bit for file in self._held_by(process))
            deaths.append(Action(f"{letter}!", process, CLOCK, held))
            deaths.extend(
                Action(f"{letter}!{length}", process, CLOCK, held | writes)
                for length in _lengths(data)
            )
        stop = Stop(f"{call} {label}", step, deaths, is_ready=is_ready)
        if call == "try_lock" and is_ready is not None and "impatient" in process.traits:
            stop.gives_up = Action(f"{letter}~", process, CLOCK, CLOCK)
        return process.stop(stop)

    def _held_by(self, process: Process) -> list[WatchedFile]:
        return [file for file in self.promises.files if file.holder is process]

    def _bit(self, of: object) -> int:
        if of not in self._bits:
            self._bits[of] = CLOCK << (len(self._bits) + 1)
        return self._bits[of]

    def _label(self, path: str) -> str:
        return self._labels.get(path, path)

    def _of(self, fd: int) -> WatchedFile:
        file = self._open[fd][1]
        assert file is not None, "a directory is only synced and closed"
        return file

    def _done(self, result: _Returned) -> _Returned:
        if self.current is not None:
            self.current.result = "" if result is None else str(result)
        return result

    # The calls of the core

    def open(self, name: PathLike[str], flags: int, mode: int = 0o777) -> int:
        path = os.fspath(name)
        bit = self._bit(path)
        creates = bool(flags & os.O_CREAT)
        self._stop("open", self._label(path), reads=bit, writes=bit if creates else 0)
        existed = os.path.exists(path)
        fd = super().open(name, flags, mode)
        if path == self.directory:
            self._open[fd] = self.current, None
            self._done(None)
            return fd
        file = self._watched(fd, path)
        if not existed:
            file.entry_is_synced = False
            self.names_version += 1
        self._open[fd] = self.current, file
        process = self.current
        operation = None if process is None else process.operation
        if process is not None and operation is not None and operation.name in READING:
            self.promises.opened_to_read(operation, file)
            self._seen[process] = file, -1, self.names_version
        self._done(None)
        return fd

    def _watched(self, fd: int, path: str) -> WatchedFile:
        inode = os.fstat(fd).st_ino
        file = self._by_inode.get(inode)
        if file is None:
            is_log = path == self.log_path
            label = self._label(path)
            if is_log and self.logs:
                label = f"{label} {len(self.logs) + 1}"
            looking = os.open(path, os.O_RDONLY)
            data_bit = self._bit(("data", inode))
            lock_bit = self._bit(("lock", inode))
            file = WatchedFile(label, is_log, looking, data_bit, lock_bit)
            self._by_inode[inode] = file
            self.promises.found(file, os.pread(looking, 1 << 16, 0))
        return file

    def mkdir(self, name: PathLike[str], mode: int = 0o777) -> None:
        path = os.fspath(name)
        self._stop("mkdir", self._label(path))
        super().mkdir(name, mode)

    def close(self, fd: int) -> None:
        try:
            self._closes(fd)
        finally:  # also if the process dies here
            super().close(fd)
        self._done(None)

    def close_file(self, file: "omnelog.linelog.lock.LockableFile") -> None:
        if not file.closed:
            try:
                self._closes(file.fileno())
            finally:
                super().close_file(file)
            self._done(None)

    def _closes(self, fd: int) -> None:
        process, file = self._open[fd]
        if process is None or not process.is_dead:  # all files of a dead one close at once
            holds = file is not None and file.holder_fd == fd
            lock_bit = file.lock_bit if file is not None and holds else 0
            self._stop("close", "." if file is None else file.label, writes=lock_bit)
        del self._open[fd]
        if file is not None and file.holder_fd == fd:
            self._let_go(file)
            if process is None or not process.is_dead:
                self.promises.released(file)

    def _let_go(self, file: WatchedFile) -> None:
        file.holder = None
        file.holder_fd = -1

    def fstat(self, fd: int) -> os.stat_result:
        file = self._of(fd)
        self._stop("fstat", file.label)  # the core asks only for what never changes
        return super().fstat(fd)

    def stat(self, name: PathLike[str]) -> os.stat_result:
        path = os.fspath(name)
        self._stop("stat", self._label(path), reads=self._bit(path))
        if self.current in self._seen:
            file, version, _ = self._seen[self.current]
            self._seen[self.current] = file, version, self.names_version
        return super().stat(name)

    def lseek(self, fd: int, offset: int, whence: int) -> int:
        file = self._of(fd)
        self._stop("lseek", file.label, reads=file.data_bit)
        if self.current in self._seen:
            _, _, names_version = self._seen[self.current]
            self._seen[self.current] = file, file.version, names_version
        return self._done(super().lseek(fd, offset, whence))

    def pread(self, fd: int, size: int, offset: int) -> bytes:
        file = self._of(fd)
        self._stop("pread", file.label, reads=file.data_bit)
        return self._done(super().pread(fd, size, offset))

    def write(self, fd: int, data: bytes | memoryview) -> int:
        file = self._of(fd)
        data = bytes(data)
        cut = self._stop("write", file.label, writes=file.data_bit, data=data)
        process = self._changing(file, "written to")
        fault = ""
        if cut is not None:
            fault = f"short:{cut}"
        elif process.faults and file.is_log and len(data) > 1:
            fault = process.faults.pop(0)
            if fault == "short":
                fault = f"short:{len(data) * 2 // 3}"
        if fault:
            self.plan = {0: fault}
        try:
            written = super().write(fd, data)
        finally:
            self.plan = {}
            self._changed(file, process)
        if cut is not None:
            raise Killed
        return self._done(written)

    def ftruncate(self, fd: int, size: int) -> None:
        file = self._of(fd)
        self._stop("ftruncate", file.label, writes=file.data_bit)
        process = self._changing(file, "cut")
        super().ftruncate(fd, size)
        self._changed(file, process)
        self._done(None)

    def _changing(self, file: WatchedFile, what: str) -> Process:
        assert self.current is not None
        self.promises.check_holder(file, self.current, what)
        return self.current

    def _changed(self, file: WatchedFile, process: Process) -> None:
        self.promises.changed(file, os.pread(file.fd, 1 << 16, 0), process)

    def _record(self, name: str, path: str, data: bytes = b"", fault: str = "") -> None:
        """Record nothing, because a run has its steps; so a plan has only the call number 0."""

    def _require_locked(self, fd: int, what: str) -> None:
        """Check nothing: `Promises.check_holder` checks that this very process has the lock."""

    def fsync(self, fd: int) -> None:
        _, file = self._open[fd]
        if file is None:
            names = self._bit(self.log_path) | self._bit(f"{self.log_path}.torn")
            self._stop("fsync", ".", reads=names)
            for entry in self.promises.files:
                entry.entry_is_synced = True
        else:
            self._stop("fsync", file.label, reads=file.data_bit)
            self._synced(file)
        super().fsync(fd)
        self._done(None)

    def fdatasync(self, fd: int) -> None:
        file = self._of(fd)
        self._stop("fdatasync", file.label, reads=file.data_bit)
        if file.holder_fd == fd:
            self.violations.append(f"{file.label} is synced by the holder of its lock")
        self._synced(file)
        self._call("fdatasync", file.label, lambda: None)
        self._done(None)

    def _synced(self, file: WatchedFile) -> None:
        file.synced_version = file.version
        file.synced_size = len(file.content)

    def try_lock(self, fd: int) -> bool:
        file = self._of(fd)
        process = self.current
        assert process is not None
        operation = process.operation
        if not process.gives_up:
            has_failed = operation is not None and operation.found_taken
            is_ready = (lambda: file.holder is None) if has_failed else None
            self._stop("try_lock", file.label, writes=file.lock_bit, is_ready=is_ready)
        # A process that gave up sleeps past its deadline, and then tries again without a stop.
        is_taken = not super().try_lock(fd)
        if is_taken:
            if file.holder is None:
                self.violations.append(f"{file.label} is locked, and by none of the processes")
            if operation is not None:
                operation.found_taken = True
        else:
            self.promises.acquired(file, process)
            file.holder = process
            file.holder_fd = fd
        return self._done(not is_taken)

    def unlock(self, fd: int) -> None:
        file = self._of(fd)
        self._stop("unlock", file.label, writes=file.lock_bit)
        super().unlock(fd)
        if file.holder_fd == fd:
            self._let_go(file)
            self.promises.released(file)
        self._done(None)

    def sleep(self, seconds: float) -> None:
        assert self.current is not None
        if self.current.gives_up:
            seconds = 2 * IMPATIENT_S
        else:
            self._stop("sleep", f"{seconds:.4f} s", writes=CLOCK)
        super().sleep(seconds)

    # What the scheduler and the scenario do

    def die(self, process: Process) -> None:
        """Let the process die where it stopped; its locks become free."""
        held = self._held_by(process)
        self.current = process
        process.die()
        for fd, (owner, _) in list(self._open.items()):
            if owner is process:
                del self._open[fd]
        for file in held:
            self._let_go(file)
        self.promises.died(held)

    def move(self, replacement: bytes | None = None) -> None:
        """Rename the log; with `replacement`, put a file with that content in its place."""
        self._stop("rename", "log", writes=self._bit(self.log_path))
        self._moved += 1
        try:
            moved = self._watched_at(self.log_path)
        except FileNotFoundError:
            return
        os.rename(self.log_path, f"{self.log_path}.{self._moved}")
        moved.left_path_at = self.now
        moved.label = f"log.{self._moved}"
        self.names_version += 1
        if replacement is not None:
            with open(self.log_path, "xb") as file:
                file.write(replacement)

    def _watched_at(self, path: str) -> WatchedFile:
        fd = os.open(path, os.O_RDONLY)
        try:
            return self._watched(fd, path)
        finally:
            os.close(fd)

    def idle(self) -> None:
        """Let time pass."""
        self.sleep(IDLE_S)

    def tell_to_stop(self) -> None:
        """Tell the followers to stop."""
        self.are_asked_to_stop = True
        for file in self.promises.files:
            file.final_when_asked = len(file.lines)

    def stop_followers(self) -> None:
        """Tell the followers to stop, as a step of a process."""
        self._stop("set", "flag", writes=self._bit("flag"))
        self.tell_to_stop()

    # The calls of a follower's flag

    def may_stop(self) -> bool:
        """Return whether the followers are asked to stop."""
        self._stop("is_set", "flag", reads=self._bit("flag"))
        return self._done(self.are_asked_to_stop)

    def wait_for_change(self) -> bool:
        """Wait, as a follower, until something has changed; return whether to stop."""
        process = self.current
        assert process is not None
        file, version, names_version = self._seen[process]

        def has_changed() -> bool:
            return (
                file.version != version
                or self.names_version != names_version
                or self.are_asked_to_stop
            )

        if file.left_path_at is not None and not has_changed():
            self.sleep(LINGER_S)
        else:
            depends_on = file.data_bit | self._bit(self.log_path) | self._bit("flag")
            self._stop("wait", "for a change", reads=depends_on, is_ready=has_changed)
        return self.are_asked_to_stop


class Flag(Event):
    """The flag that asks a follower to stop."""

    def __init__(self, system: ScheduledSystem) -> None:
        super().__init__()
        self._system = system

    def is_set(self) -> bool:
        return self._system.may_stop()

    def wait(self, timeout: float | None = None) -> bool:
        return self._system.wait_for_change()


def _lengths(data: bytes) -> list[int]:
    """The numbers of bytes after which a death can end a write."""
    if len(data) > 4:
        return [len(data) * 2 // 3, len(data) - 1]
    return []
