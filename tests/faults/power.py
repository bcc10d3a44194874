# SPDX-License-Identifier: MIT
"""Generate every state that a power loss can leave on the disk, from what the core has written.

A `Recorder` keeps a journal of what was made, written, cut and synced. `crash_states` generates
what the disk may hold if the power fails after any step of the journal. Everything that was synced
is on the disk. To the rest, any combination of these may happen:

- the last writes and cuts of a file are lost, and any number of bytes at the end of a write
- any number of written bytes at the end of a file are NULs: the size is on the disk, but the data
  is not
- a cut is lost, but a write after it is on the disk
- a name is not in its directory, and everything below that name is lost

One state is not modelled: of several unsynced writes, an earlier one is lost and a later one is
whole. Some file systems may leave it. Then a damaged line can be between others, and no log can
restore that line. It is never a line that was synced.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations, product
from typing import TypeAlias

from .system import System


@dataclass(frozen=True, slots=True)
class Made:
    """A file or directory was made; the directory that has its name is not synced yet."""

    path: str


@dataclass(frozen=True, slots=True)
class Wrote:
    """`data` was written to a file, at `offset`."""

    path: str
    offset: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Cut:
    """A file was cut to `size` bytes, or a hole extended it to that size."""

    path: str
    size: int


@dataclass(frozen=True, slots=True)
class Synced:
    """A file or a directory was synced."""

    path: str


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """`lines` were acknowledged to the caller, as durable if `durable`."""

    lines: tuple[bytes, ...]
    durable: bool


Step: TypeAlias = Made | Wrote | Cut | Synced | Acknowledged
Disk: TypeAlias = Mapping[str, bytes | None]
"""The contents of files by their path, and None for each directory."""


class Recorder(System):
    """A system that keeps a journal."""

    def __init__(self, plan: Mapping[int, str] | None = None) -> None:
        super().__init__(plan)
        self.journal: list[Step] = []

    def created(self, path: str) -> None:
        self.journal.append(Made(path))

    def wrote(self, path: str, offset: int, data: bytes) -> None:
        self.journal.append(Wrote(path, offset, data))

    def truncated(self, path: str, size: int) -> None:
        self.journal.append(Cut(path, size))

    def synced(self, path: str) -> None:
        self.journal.append(Synced(path))


@dataclass(slots=True)
class _File:
    """The synced content of a file, and what was done to the file since."""

    synced: bytes
    since: list[Wrote | Cut] = field(default_factory=list)

    def now(self) -> bytes:
        """The content of the file while the power is on."""
        return _apply(self.synced, self.since)

    def states(self) -> list[bytes]:
        """The contents that the disk may have: the least first, all that was written last."""
        states = {self.synced: None}
        cuts = [step for step in self.since if isinstance(step, Cut)]
        for skipped in (skip for n in range(len(cuts) + 1) for skip in combinations(cuts, n)):
            steps = [step for step in self.since if step not in skipped]
            for done in range(len(steps) + 1):
                states |= dict.fromkeys(self._with_part_of_the_last(steps[:done]))
        full = self.now()
        del states[full]
        return [*states, full]

    def _with_part_of_the_last(self, steps: "list[Wrote | Cut]") -> Iterator[bytes]:
        content = _apply(self.synced, steps)
        written = [step.offset for step in steps if isinstance(step, Wrote)]
        for start in range(min(written, default=len(content)), len(content)):
            yield content[:start] + bytes(len(content) - start)
        if steps and isinstance(last := steps[-1], Wrote):
            for length in range(len(last.data)):
                part = Wrote(last.path, last.offset, last.data[:length])
                yield _apply(self.synced, [*steps[:-1], part])
        yield content


def _apply(content: bytes, steps: "Sequence[Wrote | Cut]") -> bytes:
    for step in steps:
        if isinstance(step, Cut):
            content = content[: step.size].ljust(step.size, b"\0")
        else:
            content = content[: step.offset].ljust(step.offset, b"\0") + (
                step.data + content[step.offset + len(step.data) :]
            )
    return content


def crash_states(found: Disk, journal: Sequence[Step]) -> Iterator[tuple[Disk, list[bytes]]]:
    """Yield every state that the disk may have at a step of `journal`; it begins as `found`.

    Each state comes once, with the lines that were acknowledged as durable by the last step at
    which it is possible.
    """
    files = {path: _File(content) for path, content in found.items() if content is not None}
    directories = {path for path, content in found.items() if content is None}
    unsynced: list[str] = []  # names
    promised: list[bytes] = []
    latest: dict[tuple[tuple[str, bytes | None], ...], int] = {}
    for step in journal:
        match step:
            case Made(path):
                unsynced.append(path)
                if path.endswith((".jsonl", ".torn")):
                    files[path] = _File(b"")
                else:
                    directories.add(path)
            case Wrote(path) | Cut(path):
                files[path].since.append(step)
            case Synced(path) if path in files:
                files[path] = _File(files[path].now())
            case Synced(path):
                unsynced = [name for name in unsynced if name.rpartition("/")[0] != path]
            case Acknowledged(lines, durable):
                promised += lines if durable else ()
        if not isinstance(step, Synced):
            for disk in _states(files, directories, unsynced):
                latest[tuple(sorted(disk.items()))] = len(promised)
    for state, number in latest.items():
        yield dict(state), promised[:number]


def _states(
    files: Mapping[str, _File], directories: set[str], unsynced: Sequence[str]
) -> Iterator[Disk]:
    for lost in (names for n in range(3) for names in combinations(unsynced, n)):
        disk: dict[str, bytes | None] = dict.fromkeys(
            path for path in directories if not _is_below(path, lost)
        )
        left = [path for path in files if not _is_below(path, lost)]
        states = [files[path].states() for path in left]
        # One file is in each of its states, and the others are in their first or last one.
        for which, every in enumerate(states):
            extremes = [{state[0]: None, state[-1]: None} for state in states]
            extremes[which] = dict.fromkeys(every)
            for contents in product(*extremes):
                yield {**disk, **dict(zip(left, contents, strict=True))}
        if not left:
            yield disk


def _is_below(path: str, names: Sequence[str]) -> bool:
    return any(path == name or path.startswith(name + "/") for name in names)
