# SPDX-License-Identifier: MIT
"""Hand-made histories: the files of a round that never happened, for the checker to judge.

Nothing here starts a process or acquires a lock. Times are small whole numbers.
"""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

from stress.checker import check
from stress.payloads import canonical_line, event_id
from stress.receipts import (
    digest_lines,
    history_path,
    log_path,
    moved_path,
    process_name,
    volume_path,
    writer_name,
)
from stress.violations import Kind, Verdict

RUN_ID = "made-up-01kpfntqeej7vhn935kc0tm9vn"
BYSTANDER = "bystander"

Call: TypeAlias = tuple[int, int | None, str]
"""When an append was called, when it returned, and its outcome; None if it never returned."""


def line(writer: int, seq: int, text: str = "a reason") -> bytes:
    """The line of one event."""
    return canonical_line(
        {
            "type": "pipe.aborted",
            "id": event_id(writer, seq),
            "ts": "2025-01-31T23:59:59Z",
            "run_id": RUN_ID,
            "reason": text,
        }
    )


def look(begin_ns: int, end_ns: int, log: bytes) -> dict[str, Any]:
    """The record of a reader whose snapshot is `log`, or of a follower that saw `log`."""
    digest = digest_lines(log.splitlines(keepends=True))
    times = {"run": 0, "begin_ns": begin_ns, "end_ns": end_ns}
    return times | digest.as_json()


@dataclass(slots=True)
class MadeUp:
    """The files of a round, before they are saved. By default, a sound history of two writers."""

    calls: dict[int, list[Call]] = field(
        default_factory=lambda: {
            1: [(10, 20, "acknowledged"), (30, 40, "acknowledged")],
            2: [(15, 25, "acknowledged"), (35, 45, "acknowledged")],
        }
    )
    log: bytes = line(1, 0) + line(2, 0) + line(1, 1) + line(2, 1)
    batches: dict[int, list[int]] = field(default_factory=dict)
    """How many events each call of a writer appends, if not 1."""
    appended: dict[tuple[int, int], int] = field(default_factory=dict)
    """For a call of a writer, how many of its events are in the log according to the error."""
    resumed: dict[tuple[int, int], int] = field(default_factory=dict)
    """For a call of a writer, the time at which the writer was started again after that call."""
    meant: dict[int, bytes] = field(default_factory=dict)
    """The lines that a writer meant to write, if they differ from those of its calls."""
    forked: set[int] = field(default_factory=set)
    """The writers that are forked children of their process."""
    unborn: set[int] = field(default_factory=set)
    """The writers without a file of receipts."""
    snapshots: list[dict[str, Any]] = field(default_factory=list)
    followed: list[dict[str, Any]] = field(default_factory=list)
    deaths: dict[int, list[int]] = field(default_factory=dict)
    """The times at which the process of a writer was killed."""
    moved: list[tuple[bytes, int, int]] = field(default_factory=list)
    """Logs that were moved away: their content, and the times before and after the move."""
    exits: dict[str, int | None] = field(default_factory=dict)
    """Exit codes other than 0."""
    beside: dict[str, bytes] = field(default_factory=dict)
    """Files beside the log."""
    bystander: bytes = b"as it was"

    def check(self, directory: Path, *, interrupted: bool = False) -> Verdict:
        """Save the files in `directory` and return the checker's verdict."""
        history_path(directory, "").mkdir()
        path = log_path(directory, RUN_ID)
        path.parent.mkdir(parents=True)
        path.write_bytes(self.log)
        (volume_path(directory) / BYSTANDER).write_bytes(self.bystander)
        for name, content in self.beside.items():
            path.with_name(name).write_bytes(content)
        for number, (content, _, _) in enumerate(self.moved, 1):
            moved_path(path, number).write_bytes(content)
        moves = [{"run": 0, "begin_ns": begin, "end_ns": end} for _, begin, end in self.moved]
        _save(history_path(directory, "moves.json"), [moves])
        exits: dict[str, int | None] = {}
        for writer, calls in self.calls.items():
            name = writer_name(writer)
            exits[process_name(writer)] = 0
            sizes = self.batches.get(writer, [1] * len(calls))
            meant = b"".join(line(writer, seq) for seq in range(sum(sizes)))
            meant = self.meant.get(writer, meant)
            history_path(directory, f"{name}.lines").write_bytes(meant)
            if writer not in self.unborn:
                receipts = self._receipts(writer, calls, sizes)
                _save(history_path(directory, f"{name}.receipts"), receipts)
            if writer in self.deaths:
                deaths = [{"killed_ns": at} for at in self.deaths[writer]]
                _save(history_path(directory, f"{process_name(writer)}.deaths"), deaths)
        _save(history_path(directory, "reader-000.snapshots"), self.snapshots)
        _save(history_path(directory, "follower-000.followed"), self.followed)
        _save(history_path(directory, "exits.json"), [exits | self.exits])
        about = {
            "name": "made-up",
            "seed": 1,
            "command": "python -m stress --seed 1",
            "faults": [],
            "runs": [RUN_ID],
            "writers": {
                writer: {
                    "run": 0,
                    "process": process_name(writer),
                    "forked": writer in self.forked,
                }
                for writer in self.calls
            },
            "bystanders": {BYSTANDER: "as it was"},
        }
        _save(history_path(directory, "round.json"), [about])
        return check(directory, interrupted=interrupted)

    def kinds(self, directory: Path) -> dict[Kind, int]:
        """How many violations of each kind the checker finds in the files."""
        return dict(self.check(directory).counts)

    def _receipts(self, writer: int, calls: list[Call], sizes: list[int]) -> list[dict[str, Any]]:
        receipts: list[dict[str, Any]] = []
        seq = 0
        for call, ((begin_ns, end_ns, outcome), n) in enumerate(zip(calls, sizes, strict=True)):
            receipts.append({"seq": seq, "n": n, "begin_ns": begin_ns})
            if end_ns is not None:
                after = {"seq": seq, "called_ns": begin_ns, "end_ns": end_ns, "outcome": outcome}
                if (writer, call) in self.appended:
                    after["appended"] = self.appended[writer, call]
                receipts.append(after)
            if (writer, call) in self.resumed:
                receipts.append({"resumed_ns": self.resumed[writer, call]})
            seq += n
        return receipts


def _save(path: Path, records: list[Any]) -> None:
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
