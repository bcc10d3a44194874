# SPDX-License-Identifier: MIT
"""What a round leaves on disk: its logs, and what each of its processes says it did.

These files are in the directory of a round. They are plain JSON lines, and omnelog's code is not
used for them::

    volume/.omne/var/runs/<run_id>/events.jsonl  the log of a run
                                /events.jsonl.N  logs that were moved away before, N from 1
                                /events.jsonl.torn  the quarantine
    history/round.json               {"name":…,"seed":…,"command":…,"faults":[…],"runs":[…],
                                     "writers":{"3":{"run":0,"process":"process-002",
                                     "forked":false},…},"bystanders":{"path":"content"}}
    history/writer-003.lines         the lines writer 3 means to append, the k-th for seq k
    history/writer-003.receipts      before a call: {"seq":…,"n":…,"begin_ns":…}, for a call that
                                     appends the n events from seq on;
                                     after it: {"seq":…,"called_ns":…,"end_ns":…,"outcome":…}
                                     and, unless 0 or none, "appended", "waits", "error";
                                     when a killed writer continues: {"resumed_ns":…}
    history/reader-000.snapshots     {"run":…,"begin_ns":…,"end_ns":…,"count":…,"digest":…,
                                     "marks":[…]} or, instead of the last three, "error", "reason"
    history/follower-000.followed    at the end, a line for each run, like that of a snapshot
    history/process-002.deaths       {"killed_ns":…} each time it was killed
    history/moves.json               [{"run":0,"begin_ns":…,"end_ns":…},…]: logs moved away
    history/exits.json               {"process-002":0,…}, the last exit codes; null: ended by us
    history/strikes.json             {"strikes":{"kill":…,…},"mounted":…}, how often each fault
                                     from outside struck, and whether the volume is its own disk
    history/*.strikes                {"capped":…}, how often a fault struck in a process
    history/*.trace                  the stack trace of a process that hung, else empty

Times are `time.monotonic_ns`, which is one clock for all processes of a machine. Every receipt is
one write(2), so a process that dies leaves all receipts, or all except the last one.
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
"""Lines between the marks of a snapshot. Each mark is a digest of all lines up to it."""


class Outcome(StrEnum):
    """What an append reported to its caller."""

    ACKNOWLEDGED = "acknowledged"
    REFUSED = "refused"
    TIMED_OUT = "timed out"
    INDETERMINATE = "indeterminate"


def volume_path(directory: Path) -> Path:
    """Return the root of the volume that a round writes."""
    return directory / "volume"


def log_path(directory: Path, run_id: str) -> Path:
    """Return the path of the log of a run. It is spelled out here, independently of omnelog."""
    return volume_path(directory) / ".omne" / "var" / "runs" / run_id / "events.jsonl"


def moved_path(log: Path, number: int) -> Path:
    """Return the path to which the `number`-th log of a run was moved, counted from 1."""
    return log.with_name(f"{log.name}.{number}")


def history_path(directory: Path, name: str) -> Path:
    """Return the path of a file of the history, such as ``writer-003.lines``."""
    return directory / "history" / name


def writer_name(writer: int) -> str:
    """Return the name of a writer. The names of its files begin with it."""
    return f"writer-{writer:03}"


def process_name(process: int) -> str:
    """Return the name of a process that writes, for its exit code and its deaths."""
    return f"process-{process:03}"


def save_json(path: Path, value: Any) -> None:
    """Write one JSON value to `path`, which replaces what was there."""
    path.write_text(json.dumps(value) + "\n")


class Receipts:
    """The account of the appends of a writer, kept by the writer itself."""

    def __init__(self, directory: Path, writer: int) -> None:
        """Begin the account, or continue that of a killed writer: see `resume`."""
        self._path = history_path(directory, f"{writer_name(writer)}.receipts")
        self._fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o666)

    def resume(self) -> int:
        """Continue the account of a killed writer; return the first event that it did not call."""
        held = self._path.read_bytes()
        whole = held.rfind(b"\n") + 1  # the last receipt may have been cut short
        os.ftruncate(self._fd, whole)
        next_seq = 0
        for receipt in map(json.loads, held[:whole].splitlines()):
            if "n" in receipt:
                next_seq = receipt["seq"] + receipt["n"]
        if whole:
            _write(self._fd, b'{"resumed_ns":%d}\n' % monotonic_ns())
        return next_seq

    def before(self, seq: int, n: int) -> None:
        """Record that an append of the `n` events from `seq` on is about to be called."""
        _write(self._fd, b'{"seq":%d,"n":%d,"begin_ns":%d}\n' % (seq, n, monotonic_ns()))

    def after(
        self,
        seq: int,
        called_ns: int,
        end_ns: int,
        outcome: Outcome,
        *,
        appended: int = 0,
        waits: int = 0,
        error: object = None,
    ) -> None:
        """Record the outcome of the append, with the times just before and just after the call.

        `appended`: how many of the events are in the log although the append failed, as the error
        says. `waits`: how often the lock was found taken.
        """
        receipt: dict[str, Any] = {
            "seq": seq,
            "called_ns": called_ns,
            "end_ns": end_ns,
            "outcome": outcome,
        }
        if appended:
            receipt["appended"] = appended
        if waits:
            receipt["waits"] = waits
        if error is not None:
            receipt["error"] = str(error)
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
        """Add the next line, with its newline."""
        self._hash.update(line)
        self.count += 1
        if self.count % MARK_EVERY == 0:
            self.marks.append(self._hash.hexdigest())

    def value(self) -> str:
        """Return the digest of all lines so far."""
        return self._hash.hexdigest()

    def as_json(self) -> dict[str, Any]:
        """Return what a reader records of the lines that it got."""
        return {"count": self.count, "digest": self.value(), "marks": self.marks}

    def value_with(self, line: bytes) -> str:
        """Return the digest of all lines so far and one more."""
        more = self._hash.copy()
        more.update(line)
        return more.hexdigest()


def digest_lines(lines: Iterable[bytes]) -> RunningDigest:
    """Return the digest of `lines`."""
    digest = RunningDigest()
    for line in lines:
        digest.add(line)
    return digest
