# SPDX-License-Identifier: MIT
"""Hand-made histories: the files of a round that never happened, for the checker to judge.

Nothing in here starts a process or takes a lock; times are small whole numbers.
"""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

from stress.checker import Kind, Verdict, check
from stress.history import digest_lines, history_path, log_path, writer_name
from stress.plan import canonical_line, event_id

RUN_ID = "made-up-01kpfntqeej7vhn935kc0tm9vn"

Call: TypeAlias = tuple[int, int | None, str]
"""When an append was called, when it returned, what it said; None: it never returned."""


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


def snapshot(begin_ns: int, end_ns: int, log: bytes) -> dict[str, Any]:
    """What a reader records that found `log`."""
    digest = digest_lines(log.splitlines(keepends=True))
    times = {"begin_ns": begin_ns, "end_ns": end_ns}
    return times | {"count": digest.count, "digest": digest.value(), "marks": digest.marks}


@dataclass(slots=True)
class MadeUp:
    """A round's files, before they are saved. As it is, the history of two writers is sound."""

    calls: dict[int, list[Call]] = field(
        default_factory=lambda: {
            1: [(10, 20, "acknowledged"), (30, 40, "acknowledged")],
            2: [(15, 25, "acknowledged"), (35, 45, "acknowledged")],
        }
    )
    log: bytes = line(1, 0) + line(2, 0) + line(1, 1) + line(2, 1)
    meant: dict[int, bytes] = field(default_factory=dict)
    """What a writer meant to write, unless that is one line a call."""
    snapshots: list[dict[str, Any]] = field(default_factory=list)
    exits: dict[str, int | None] = field(default_factory=dict)
    """Exit codes other than 0."""
    beside: dict[str, bytes] = field(default_factory=dict)
    """Files beside the log."""

    def check(self, directory: Path, *, interrupted: bool = False) -> Verdict:
        """Save it in `directory` and have it judged."""
        history_path(directory, "").mkdir()
        path = log_path(directory, RUN_ID)
        path.parent.mkdir(parents=True)
        path.write_bytes(self.log)
        for name, content in self.beside.items():
            path.with_name(name).write_bytes(content)
        exits: dict[str, int | None] = {}
        for writer, calls in self.calls.items():
            name = writer_name(writer)
            exits[name] = 0
            meant = b"".join(line(writer, seq) for seq in range(len(calls)))
            meant = self.meant.get(writer, meant)
            history_path(directory, f"{name}.lines").write_bytes(meant)
            _save(history_path(directory, f"{name}.receipts"), _receipts(calls))
        _save(history_path(directory, "reader-000.snapshots"), self.snapshots)
        _save(history_path(directory, "exits.json"), [exits | self.exits])
        about = {"name": "made-up", "seed": 1, "run_id": RUN_ID}
        _save(history_path(directory, "round.json"), [about])
        return check(directory, interrupted=interrupted)

    def kinds(self, directory: Path) -> dict[Kind, int]:
        """How many violations of each kind the checker finds in it."""
        return dict(self.check(directory).counts)


def _receipts(calls: list[Call]) -> list[dict[str, Any]]:
    receipts: list[dict[str, Any]] = []
    for seq, (begin_ns, end_ns, outcome) in enumerate(calls):
        receipts.append({"seq": seq, "begin_ns": begin_ns})
        if end_ns is not None:
            after = {"seq": seq, "called_ns": begin_ns, "end_ns": end_ns, "outcome": outcome}
            receipts.append(after)
    return receipts


def _save(path: Path, records: list[Any]) -> None:
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
