# SPDX-License-Identifier: MIT
"""The files of a volume, read without the core, and the files that a dead process leaves.

A `Witness` sees what a process would leave if it died at a system call. It looks at that very call,
before anything after it runs. What it sees is examined later.
"""

import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from .ledger import Ledger, Segment
from .system import Call, System, is_locked
from .workloads import HOLE, RUN


class Volume:
    """A volume with one run, read without the core."""

    def __init__(self, root: Path) -> None:
        self.root = str(root)
        self.directory = f"{root}/.omne/var/runs/{RUN}"
        self.log = f"{self.directory}/events.jsonl"
        self.torn = f"{self.log}.torn"
        self.moved = f"{self.directory}/moved"

    def read(self) -> bytes:
        """The content of the log."""
        return _read(self.log)

    def lines(self) -> list[bytes]:
        """The terminated lines of the log that was moved away, then those of the log."""
        return [line for path in (self.moved, self.log) for line in _split(path)[0]]

    def current(self) -> tuple[list[bytes], bytes]:
        """The terminated lines of the log, and its tail."""
        return _split(self.log)

    def files(self) -> tuple[bytes | None, bytes | None, bytes | None]:
        """The contents of the log, of its quarantine, and of the log that was moved away."""
        log, torn, moved = (
            _read(path) if os.path.exists(path) else None
            for path in (self.log, self.torn, self.moved)
        )
        return log, torn, moved

    def deepest(self) -> str:
        """The run's directory or, if it does not exist, the deepest above it that does."""
        directory = self.directory
        while not os.path.exists(directory):
            directory = os.path.dirname(directory)
        return directory

    def restore(self, wreck: "Wreck") -> None:
        """Put the volume into the state that a dead process left; keep the inodes of its files."""
        os.makedirs(wreck.directory, exist_ok=True)
        if wreck.files[2] is not None:
            os.rename(self.log, self.moved)
        for path, content in zip((self.log, self.torn, self.moved), wreck.files, strict=True):
            if content is not None:
                with open(path, "wb") as file:
                    file.write(content)
            elif os.path.exists(path):
                os.remove(path)

    def add(self, data: bytes) -> None:
        """Write to the end of the log, as another program would."""
        before, hole, after = data.partition(HOLE)
        with open(self.log, "ab", buffering=0) as log:
            log.write(before)
            log.truncate(os.fstat(log.fileno()).st_size + len(hole))
            log.write(after)

    def descriptors(self) -> set[int]:
        """The descriptors of this process that are open in the volume."""
        found = set()
        for fd in map(int, os.listdir("/proc/self/fd")):
            with suppress(FileNotFoundError):  # the descriptor that os.listdir used
                if os.readlink(f"/proc/self/fd/{fd}").startswith(self.root):
                    found.add(fd)
        return found

    def locked(self) -> list[str]:
        """The files of the run that are locked."""
        paths = (self.log, self.torn, self.moved)
        return [path for path in paths if os.path.exists(path) and is_locked(path)]


def _read(path: str) -> bytes:
    with open(path, "rb", buffering=0) as file:
        return file.readall()


def _split(path: str) -> tuple[list[bytes], bytes]:
    with suppress(FileNotFoundError):
        *lines, tail = _read(path).split(b"\n")
        return [line + b"\n" for line in lines], tail
    return [], b""


@dataclass(frozen=True, slots=True)
class Wreck:
    """What a process leaves if it dies at some instant: files, and a ledger."""

    fault: str
    directory: str  # the deepest that exists
    files: tuple[bytes | None, bytes | None, bytes | None]  # log, quarantine, log moved away
    segments: tuple[tuple[tuple[bytes, ...], int, int], ...]
    fragments: tuple[bytes, ...]

    @classmethod
    def at(cls, fault: str, volume: Volume, ledger: Ledger) -> "Wreck":
        """Return what would be left at this instant."""
        segments = tuple((tuple(s.lines), s.least, s.most) for s in ledger.segments)
        return cls(fault, volume.deepest(), volume.files(), segments, tuple(ledger.fragments))

    def ledger(self) -> Ledger:
        """The ledger that is left."""
        segments = [Segment(list(lines), least, most) for lines, least, most in self.segments]
        return Ledger(segments, list(self.fragments))


class Witness(System):
    """A system that sees what a process would leave if it died at any of its calls.

    These are the files as they are at that call. A dead process does not clean up, and its locks
    and descriptors end with it.
    """

    def __init__(
        self, plan: Mapping[int, str], volume: Volume, ledger: Ledger, *, every_length: bool
    ) -> None:
        super().__init__(plan)
        self._every_length = every_length
        self.wrecks: list[Wreck] = []
        self._volume, self._ledger = volume, ledger
        self._after = max(plan, default=-1)  # a death at an earlier call belongs to another case

    def instant(self, when: str, path: str, data: bytes = b"") -> None:
        if len(self.calls) <= self._after:
            return
        number = len(self.calls) - (when == "after")
        wreck = Wreck.at(f"{number}={when}", self._volume, self._ledger)
        self.wrecks.append(wreck)
        lengths = Call("write", path, data).lengths(every=self._every_length) if data else ()
        for length in lengths:
            files = list(wreck.files)
            which = (self._volume.log, self._volume.torn).index(path)
            files[which] = (files[which] or b"") + data[:length]
            log, torn, moved = files
            fault = f"{number}=dies:{length}"
            self.wrecks.append(replace(wreck, fault=fault, files=(log, torn, moved)))
