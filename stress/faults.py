# SPDX-License-Identifier: MIT
"""The faults that strike the writers of a round from outside, and counts of their strikes.

The round calls each `Fault` from time to time. A fault strikes running processes of the round at
times and places that the seed has drawn, and undoes its effects before the end of the round. Two
faults work inside the writers: ``short-write`` is in `patches`, and ``fork`` is in `workers`.
"""

import json
import math
import os
import resource
import signal
import subprocess
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from random import Random
from time import monotonic, monotonic_ns, sleep
from typing import ClassVar

from .plan import RoundPlan
from .receipts import history_path, log_path, moved_path, save_json, volume_path

KILL, FREEZE, ENOSPC = "kill", "freeze", "enospc"
SHORT_WRITE, FORK, REPLACE = "short-write", "fork", "replace"
FAULTS = {
    KILL: "writers are killed (SIGKILL), many while they hold the lock or write, and started again",
    FREEZE: "the process that holds the lock is stopped (SIGSTOP) for up to 0.4 s",
    ENOSPC: "the disk is full, and has room again a while later",
    SHORT_WRITE: "every write(2) of a writer takes at most 64 bytes",
    FORK: "writers fork during their appends, and the children append too",
    REPLACE: "the log is renamed while it is being written, and a new one begins",
}

_UNTIL_STRUCK_S = 10.0  # how much longer a fault tries if it has not struck at all
_GROWING_S = 0.06  # the longest wait for a write to begin
_FOLLOWED_S = 3.0  # a follower stays with its log for 2 s after it notices the new one

Victims = Callable[[], Mapping[str, int]]
"""The names and pids of the processes that write with omnelog and have not ended."""


def note_death(directory: Path, process: str) -> None:
    """Record that this process is about to kill `process`."""
    with history_path(directory, f"{process}.deaths").open("a") as file:
        file.write(json.dumps({"killed_ns": monotonic_ns()}) + "\n")


class Fault:
    """One kind of fault, in one round."""

    name: ClassVar[str]
    every_s: ClassVar[float]
    """The average time between the end of a strike and the next one."""

    def __init__(self, directory: Path, plan: RoundPlan, victims: Victims) -> None:
        self.directory, self.plan, self.victims = directory, plan, victims
        self.dice: Random = plan.dice("fault", self.name)
        self.strikes = 0
        # Without an end, the last writers would be killed again and again.
        self._until_s = monotonic() + plan.seconds
        self._next_s = monotonic() + self._pause_s()

    def _pause_s(self) -> float:
        return self.dice.uniform(0.5, 1.5) * self.every_s

    def look(self) -> float:
        """Strike if the fault is due; return the time.monotonic() at which to call this again.

        A fault that has not struck yet continues for a while after its time, as long as there are
        victims, because a round takes longer than planned on a busy machine.
        """
        late_s = monotonic() - self._until_s
        if late_s >= (0 if self.strikes else _UNTIL_STRUCK_S):
            self.undo()
            return math.inf
        if monotonic() >= self._next_s:
            self._next_s = monotonic() + (self.step() or self._pause_s())
        return self._next_s

    def step(self) -> float:
        """Strike, or undo a strike; return the seconds until the next call.

        0 stands for the usual pause.
        """
        raise NotImplementedError

    def undo(self) -> None:
        """Undo every strike that still has an effect. This raises nothing, and may be repeated."""


class _Aimed(Fault):
    """A fault that finds a process which holds a lock. It stops one writer at a time to look."""

    _tries = 50

    def __init__(self, directory: Path, plan: RoundPlan, victims: Victims) -> None:
        super().__init__(directory, plan, victims)
        self._logs = [log_path(directory, run_id) for run_id in plan.run_ids]

    def stop_holder(self) -> tuple[str, int] | None:
        """Stop a process that holds a lock; return its name and pid, or None if none was found."""
        victims = list(self.victims().items())
        for _ in range(self._tries if victims else 0):
            name, pid = self.dice.choice(victims)
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGSTOP)
                if pid in self._holders():
                    return name, pid
                os.kill(pid, signal.SIGCONT)
        return None

    def _holders(self) -> set[int]:
        """Return the pids of the processes that hold a flock on one of our logs.

        /proc/locks has a line for each lock.
        """
        inodes = set()
        for log in self._logs:
            with suppress(FileNotFoundError):
                status = log.stat()
                major, minor = os.major(status.st_dev), os.minor(status.st_dev)
                inodes.add(f"{major:02x}:{minor:02x}:{status.st_ino}")
        holders = set()
        for line in Path("/proc/locks").read_text().splitlines():
            fields = line.split()
            # The line of a process that waits for a lock has "->" as its second field.
            if fields[1] == "FLOCK" and fields[5] in inodes:
                holders.add(int(fields[4]))
        return holders


class Kill(_Aimed):
    """Kills a process that holds the lock, or all processes during a write, or any one process.

    The crew starts the killed processes again.
    """

    name, every_s = KILL, 0.06

    def _pause_s(self) -> float:
        strikes = 60 if self.plan.compared else 20  # so many even in a short round
        return min(super()._pause_s(), self.plan.seconds / strikes)

    def step(self) -> float:
        victims = dict(sorted(self.victims().items()))
        if not victims:
            return 0
        aim = self.dice.choice(("any", "holder", "write", "write", "write"))
        holder = self.stop_holder() if aim == "holder" else None
        if aim != "write":
            victims = dict([holder or self.dice.choice(list(victims.items()))])
        for name in victims:
            note_death(self.directory, name)
        if aim == "write":
            self._await_write()
        for pid in victims.values():
            with suppress(ProcessLookupError):  # it has just ended by itself
                os.kill(pid, signal.SIGKILL)
                self.strikes += 1
        return 0

    def _await_write(self) -> None:
        """Wait until a log ends in the middle of a line, but not for long."""
        until_s = monotonic() + _GROWING_S
        while monotonic() < until_s and not any(map(_is_being_written, self._logs)):
            pass


def _is_being_written(log: Path) -> bool:
    """Return whether a write has begun and not ended, or was cut short."""
    try:
        with log.open("rb", buffering=0) as file:
            end = file.seek(0, os.SEEK_END)
            return end > 0 and os.pread(file.fileno(), 1, end - 1) != b"\n"
    except OSError:
        return False


class Freeze(_Aimed):
    """Stops a process that holds the lock (SIGSTOP), and continues it a while later (SIGCONT)."""

    name, every_s = FREEZE, 0.15

    def __init__(self, directory: Path, plan: RoundPlan, victims: Victims) -> None:
        super().__init__(directory, plan, victims)
        self._frozen = 0

    def step(self) -> float:
        if self._frozen:
            self.undo()
            return 0
        holder = self.stop_holder()
        if holder is None:
            return 0.001
        self._frozen = holder[1]
        self.strikes += 1
        return self.dice.choice((0.02, 0.1, 0.4))

    def undo(self) -> None:
        if self._frozen:
            with suppress(ProcessLookupError):
                os.kill(self._frozen, signal.SIGCONT)
            self._frozen = 0


class Enospc(Fault):
    """Shrinks the disk to what is on it or, if none could be mounted, limits the sizes of files."""

    name, every_s = ENOSPC, 0.15

    def __init__(self, directory: Path, plan: RoundPlan, victims: Victims) -> None:
        super().__init__(directory, plan, victims)
        self._full = False
        self._limited: list[int] = []

    def step(self) -> float:
        if self._full:
            self.undo()
            return 0
        root = volume_path(self.directory)
        if root.is_mount():
            usage = os.statvfs(root)
            used = (usage.f_blocks - usage.f_bfree) * usage.f_frsize
            # Size 0 would mean no limit. The mount fails if the log has just grown. In both cases
            # the next step tries again soon.
            self._full = used > 0 and _mount(root, f"remount,size={used}")
        else:
            logs = [log_path(self.directory, run_id) for run_id in self.plan.run_ids]
            size = max((log.stat().st_size for log in logs if log.exists()), default=0)
            for pid in self.victims().values():
                if _limit(pid, size + self.dice.randrange(2000)):
                    self._limited.append(pid)
            self._full = bool(self._limited)
        self.strikes += self._full
        return self.dice.uniform(0.02, 0.15) if self._full else 0.002

    def undo(self) -> None:
        if self._full and not self._limited:
            _mount(volume_path(self.directory), f"remount,size={_DISK_BYTES}")
        for pid in self._limited:
            _limit(pid, resource.RLIM_INFINITY)
        self._full, self._limited = False, []


_UNMOUNT_TRIES = 40
_DISK_BYTES = 1 << 30  # memory is used only for what is written


def mount_disk(root: Path) -> None:
    """Make a directory at `root`, and mount a disk there if the system allows it."""
    root.mkdir(parents=True, exist_ok=True)
    _mount(root, f"size={_DISK_BYTES}")


def unmount_disk(root: Path, keep: Path) -> None:
    """Unmount the disk at `root`, and keep its files at `root`.

    The files are first copied to `keep`, which must be on the same disk as the parent of `root`.
    """
    subprocess.run(["cp", "-a", "--", str(root), str(keep)], check=True)
    words = ["umount", str(root)]
    for _ in range(_UNMOUNT_TRIES):  # a process that was killed may still be ending
        if subprocess.run(words, capture_output=True, check=False).returncode == 0:
            break
        sleep(0.05)
    else:
        subprocess.run([*words, "--lazy"], check=True)
    root.rmdir()
    keep.rename(root)


def _mount(root: Path, options: str) -> bool:
    """Mount a tmpfs at `root`, or change its options; return whether the system allowed it.

    Both the source and the directory are named. With the directory alone, mount(8) repeats the
    options that the system shows for it. Of an ordinary user's disk, the owner is among them, and
    the system refuses that in a user namespace.
    """
    words = ["mount", "-t", "tmpfs", "-o", options, "stress", str(root)]
    return subprocess.run(words, capture_output=True, check=False).returncode == 0


def _limit(pid: int, size: int) -> bool:
    """Limit the size of files that a process writes; return whether that was possible.

    Python ignores SIGXFSZ, so a write beyond the limit fails with an error.
    """
    with suppress(ProcessLookupError, ValueError, PermissionError):
        _, hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)
        if hard != resource.RLIM_INFINITY:
            size = hard if size == resource.RLIM_INFINITY else min(size, hard)
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (size, hard))
        return True
    return False


class Replace(Fault):
    """Renames the log. This fault makes the next log at once, or leaves that to a writer."""

    name = REPLACE
    _absent_s = 0.3
    _again_s = 0.01  # the pause before another try, while the disk is full

    def __init__(self, directory: Path, plan: RoundPlan, victims: Victims) -> None:
        self._left = list(range(len(plan.run_ids)))
        self._moves: list[dict[str, int]] = []
        self._absent: Path | None = None
        super().__init__(directory, plan, victims)

    def _pause_s(self) -> float:
        return self.dice.uniform(0.1, 0.3) * self.plan.seconds if self._left else math.inf

    def step(self) -> float:
        if self._absent:
            return self._again_s if not self._put_back() else 0
        run = self._left[-1]
        log = log_path(self.directory, self.plan.run_ids[run])
        moved = moved_path(log, 1)
        begin_ns = monotonic_ns()
        if self.dice.random() < 0.5:  # at once, so that there is always a log at the path
            new = log.with_name("new")
            try:
                new.touch()
                moved.unlink(missing_ok=True)
                moved.hardlink_to(log)
            except OSError:
                return self._again_s
            new.rename(log)
        else:
            log.rename(moved)
            self._absent = log
        self._left.pop()
        self._moves.append({"run": run, "begin_ns": begin_ns, "end_ns": monotonic_ns()})
        save_json(history_path(self.directory, "moves.json"), self._moves)
        self.strikes += 1
        return self._absent_s if self._absent else 0

    def settled_s(self) -> float:
        """Return the seconds until every follower reads the last log."""
        last_ns = max((move["end_ns"] for move in self._moves), default=0)
        return max(0, _FOLLOWED_S - (monotonic_ns() - last_ns) / 1e9)

    def _put_back(self) -> bool:
        """Make a log at the path if there is none; return whether there is one.

        Followers need one at the end.
        """
        if self._absent:
            try:
                self._absent.touch()
            except OSError:
                return False
            self._absent = None
        return True

    def undo(self) -> None:
        self._put_back()


OUTSIDE: dict[str, type[Fault]] = {each.name: each for each in (Kill, Freeze, Enospc, Replace)}
