# SPDX-License-Identifier: MIT
"""Read the history of a round: what each process meant to do, did and saw; no omnelog code."""

import json
import mmap
from array import array
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

from .receipts import Outcome, history_path, log_path, moved_path, volume_path

FOREVER = 2**63 - 1
OPEN = "no outcome"  # for an append whose writer died before it knew the outcome

Bytes: TypeAlias = bytes | mmap.mmap


class EvidenceError(Exception):
    """The history cannot be read: the program has a bug, or the files are not its own."""


@dataclass(slots=True)
class Writer:
    """What one writer meant to write, and its receipts, by call and by event."""

    number: int
    name: str
    run: int
    process: str
    forked: bool
    lines: Bytes
    """The lines that the writer meant to write, one after the other."""
    starts: "array[int]"
    """The offset in `lines` at which each line begins, and at which the last one ends."""
    born: bool = False
    """Whether the writer has written a receipt."""
    resumed: int = 0
    """How often the writer was started again."""
    first: "array[int]" = field(default_factory=lambda: array("q"))
    """The first event of each call."""
    begin_ns: "array[int]" = field(default_factory=lambda: array("q"))
    end_ns: "array[int]" = field(default_factory=lambda: array("q"))
    appended: "array[int]" = field(default_factory=lambda: array("q"))
    waits: "array[int]" = field(default_factory=lambda: array("q"))
    outcomes: list[str] = field(default_factory=list)
    errors: dict[int, str] = field(default_factory=dict)
    called: int = 0
    """How many events the calls were to append."""
    file: "array[int]" = field(default_factory=lambda: array("h"))
    """For each event, the index of the file that holds it; -1 if no file does."""
    place: "array[int]" = field(default_factory=lambda: array("q"))
    """For each event, how many lines of that file come before it."""

    @property
    def planned(self) -> int:
        """How many events the writer was to append."""
        return len(self.starts) - 1

    def line(self, seq: int) -> bytes:
        """Return the line of event `seq`, with its newline."""
        return self.lines[self.starts[seq] : self.starts[seq + 1]]

    def call_of(self, seq: int) -> int:
        """Return the call that was to append event `seq`. There must have been one."""
        return bisect_right(self.first, seq) - 1

    def events_of(self, call: int) -> range:
        """Return the events that a call was to append."""
        last = call + 1 == len(self.first)
        return range(self.first[call], self.called if last else self.first[call + 1])


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What a reader got from one snapshot of a log, or what a follower got until its end."""

    who: str
    run: int
    begin_ns: int
    end_ns: int
    count: int
    digest: str
    marks: list[str]
    error: str | None
    reason: str | None
    """``torn`` or ``absent``, if the error is one that the checker may excuse."""


@dataclass(slots=True)
class LogFile:
    """A file that was the log of a run for some time."""

    path: Path
    run: int
    data: Bytes
    came_ns: int
    """When it came to the path of the log; 0 if it was there from the start."""
    left_ns: int
    """When it was moved away; FOREVER if it was not."""


@dataclass(slots=True)
class Evidence:
    """Everything that a round left."""

    name: str
    command: str
    faults: list[str]
    volume: Path
    run_ids: list[str]
    bystanders: dict[str, str]
    writers: dict[int, Writer]
    files: list[LogFile]
    """The files of each run, in the order in which they were its log."""
    snapshots: list[Look]
    followed: list[Look]
    deaths: dict[str, list[int]]
    """When each process was killed by the harness, in ns."""
    exits: dict[str, int | None]


def map_file(path: Path) -> Bytes:
    """Return the bytes of a file, without reading them all."""
    with path.open("rb") as file:
        if not file.seek(0, 2):
            return b""  # an empty file cannot be mapped
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)


def line_spans(data: Bytes) -> Iterator[tuple[int, int]]:
    """Yield where each line begins and ends, with its newline. A tail counts as a line."""
    begin, size = 0, len(data)
    while begin < size:
        end = data.find(b"\n", begin) + 1 or size
        yield begin, end
        begin = end


def load(directory: Path) -> Evidence:
    """Read what the round in `directory` left. Raises EvidenceError, OSError."""
    try:
        return _load(directory)
    except (ValueError, KeyError, IndexError, TypeError) as error:
        raise EvidenceError(f"{directory}: the history cannot be read: {error!r}") from error


def _load(directory: Path) -> Evidence:
    about = json.loads(history_path(directory, "round.json").read_text())
    writers = {}
    for number, plan in about["writers"].items():
        path = history_path(directory, f"writer-{int(number):03}.lines")
        if path.exists():  # otherwise the round ended before the gate was opened
            writers[int(number)] = _load_writer(path, int(number), plan)
    moves_path = history_path(directory, "moves.json")
    moves = json.loads(moves_path.read_text()) if moves_path.exists() else []
    deaths = history_path(directory, "").glob("*.deaths")
    return Evidence(
        name=about["name"],
        command=about["command"],
        faults=about["faults"],
        volume=volume_path(directory),
        run_ids=about["runs"],
        bystanders=about["bystanders"],
        writers=writers,
        files=list(_load_files(directory, about["runs"], moves)),
        snapshots=list(_load_looks(directory, "reader-*.snapshots")),
        followed=list(_load_looks(directory, "follower-*.followed")),
        deaths={path.stem: [each["killed_ns"] for each in _records(path)] for path in deaths},
        exits=json.loads(history_path(directory, "exits.json").read_text()),
    )


def _load_files(
    directory: Path, run_ids: list[str], moves: list[dict[str, int]]
) -> Iterator[LogFile]:
    for run, run_id in enumerate(run_ids):
        log, came_ns = log_path(directory, run_id), 0
        for number, move in enumerate((m for m in moves if m["run"] == run), 1):
            path = moved_path(log, number)
            yield LogFile(path, run, map_file(path), came_ns, move["end_ns"])
            came_ns = move["begin_ns"]
        if log.exists():  # it does not exist if the round ended at its very beginning
            yield LogFile(log, run, map_file(log), came_ns, FOREVER)


def _records(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the JSON lines of a file, without a last line that was cut short by a death."""
    data = map_file(path)
    for begin, end in line_spans(data):
        if data[end - 1 : end] == b"\n":
            yield json.loads(data[begin:end])


def _load_writer(lines_path: Path, number: int, plan: dict[str, Any]) -> Writer:
    lines = map_file(lines_path)
    starts = array("q", [0])
    starts.extend(end for _, end in line_spans(lines))
    writer = Writer(
        number, lines_path.stem, plan["run"], plan["process"], plan["forked"], lines, starts
    )
    path = lines_path.with_suffix(".receipts")
    if path.exists():
        for receipt in _records(path):
            writer.born = True  # an empty file does not count: a failed fork may leave one
            _take(writer, path, receipt)
    writer.file = array("h", [-1]) * writer.planned
    writer.place = array("q", [-1]) * writer.planned
    return writer


def _take(writer: Writer, path: Path, receipt: dict[str, Any]) -> None:
    """Add one receipt of the file `path` to `writer`."""
    if "resumed_ns" in receipt:
        writer.resumed += 1
        if writer.outcomes and writer.outcomes[-1] == OPEN:
            writer.end_ns[-1] = receipt["resumed_ns"]  # the interrupted call had ended by then
        return
    seq = receipt["seq"]
    if "n" in receipt:
        if seq != writer.called or seq + receipt["n"] > writer.planned:
            raise ValueError(f"{path}: append of {seq} follows that of {writer.called - 1}")
        writer.first.append(seq)
        writer.begin_ns.append(receipt["begin_ns"])
        writer.end_ns.append(FOREVER)
        writer.appended.append(0)
        writer.waits.append(0)
        writer.outcomes.append(OPEN)
        writer.called = seq + receipt["n"]
        return
    if not writer.first or seq != writer.first[-1] or writer.end_ns[-1] != FOREVER:
        raise ValueError(f"{path}: no append of {seq} was under way")
    writer.begin_ns[-1] = receipt["called_ns"]
    writer.end_ns[-1] = receipt["end_ns"]
    writer.outcomes[-1] = Outcome(receipt["outcome"])
    writer.appended[-1] = receipt.get("appended", 0)
    writer.waits[-1] = receipt.get("waits", 0)
    if "error" in receipt:
        writer.errors[len(writer.first) - 1] = receipt["error"]


def _load_looks(directory: Path, pattern: str) -> Iterator[Look]:
    for path in sorted(history_path(directory, "").glob(pattern)):
        for ordinal, record in enumerate(_records(path)):
            yield Look(
                who=f"snapshot {ordinal} of {path.stem}"
                if path.suffix == ".snapshots"
                else f"{path.stem}, of run {record['run']},",
                run=record["run"],
                begin_ns=record["begin_ns"],
                end_ns=record["end_ns"],
                count=record.get("count", 0),
                digest=record.get("digest", ""),
                marks=record.get("marks", []),
                error=record.get("error"),
                reason=record.get("reason"),
            )
