# SPDX-License-Identifier: MIT
"""What a round leaves on disk: its log, and what everybody who took part says they did.

Under the directory of a round, all of it plain JSON lines and sharing no code with omnelog::

    .omne/var/runs/<run_id>/events.jsonl   the log
    history/round.json                     {"name":…,"seed":…,"run_id":…}
    history/writer-003.lines               the lines writer 3 means to append, the k-th for seq k
    history/writer-003.receipts            before every call: {"seq":…,"begin_ns":…}
                                           and after it: {"seq":…,"called_ns":…,"end_ns":…,
                                           "outcome":…} and, unless acknowledged, "error"
    history/reader-001.snapshots           {"begin_ns":…,"end_ns":…,"count":…,"digest":…,
                                           "marks":[…]} or, instead of the last three, "error"
    history/exits.json                     {"writer-003":0,…}, the exit codes; null: ended by us
    history/writer-003.faults              {"capped_writes":…}, how often its fault struck

Times are `time.monotonic_ns`, which is one clock for all processes of a machine. Every receipt is
one write(2) of its own, so that whoever dies leaves all receipts but perhaps the last.
"""

import json
import os
from collections.abc import Iterable
from enum import StrEnum
from hashlib import blake2b
from os import write as _write  # bound before a fault replaces it: receipts are never capped
from pathlib import Path
from time import monotonic_ns
from typing import Any

MARK_EVERY = 256
"""Lines between the marks of a snapshot, each a digest of all lines up to there."""


class Outcome(StrEnum):
    """What an append told its caller."""

    ACKNOWLEDGED = "acknowledged"
    REFUSED = "refused"
    TIMED_OUT = "timed out"
    INDETERMINATE = "indeterminate"


def log_path(directory: Path, run_id: str) -> Path:
    """The log of a round, spelled out here once more, independently of omnelog."""
    return directory / ".omne" / "var" / "runs" / run_id / "events.jsonl"


def history_path(directory: Path, name: str) -> Path:
    """A file of the history, ``writer-003.lines`` say."""
    return directory / "history" / name


def writer_name(writer: int) -> str:
    """How a writer's files and exit code are named."""
    return f"writer-{writer:03}"


def reader_name(reader: int) -> str:
    """How a reader's files and exit code are named."""
    return f"reader-{reader:03}"


def save_json(path: Path, value: Any) -> None:
    """Write one JSON value, replacing what was there."""
    path.write_text(json.dumps(value) + "\n")


class Receipts:
    """A writer's account of its appends; made by the writer itself."""

    def __init__(self, directory: Path, writer: int) -> None:
        path = history_path(directory, f"{writer_name(writer)}.receipts")
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o666)

    def before(self, seq: int) -> None:
        """Record that the append of `seq` is about to be called."""
        _write(self._fd, b'{"seq":%d,"begin_ns":%d}\n' % (seq, monotonic_ns()))

    def after(
        self, seq: int, called_ns: int, end_ns: int, outcome: Outcome, error: object = None
    ) -> None:
        """Record what it came to, with the times just before and just after the call."""
        receipt = {"seq": seq, "called_ns": called_ns, "end_ns": end_ns, "outcome": outcome}
        if error is not None:
            receipt["error"] = repr(error)
        _write(self._fd, json.dumps(receipt, separators=(",", ":")).encode() + b"\n")

    def close(self) -> None:
        """Close the file."""
        os.close(self._fd)


class RunningDigest:
    """A digest of the lines of a log so far, with a mark every `MARK_EVERY` lines."""

    def __init__(self) -> None:
        self._hash = blake2b(digest_size=8)
        self.count = 0
        self.marks: list[str] = []

    def add(self, line: bytes) -> None:
        """Take in the next line, its newline included."""
        self._hash.update(line)
        self.count += 1
        if self.count % MARK_EVERY == 0:
            self.marks.append(self._hash.hexdigest())

    def value(self) -> str:
        """The digest of all lines so far."""
        return self._hash.hexdigest()


def digest_lines(lines: Iterable[bytes]) -> RunningDigest:
    """The digest of `lines`."""
    digest = RunningDigest()
    for line in lines:
        digest.add(line)
    return digest
