# SPDX-License-Identifier: MIT
"""The kinds of violation, the verdict on a round, and each violation as text."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeAlias

from .evidence import OPEN, Bytes, Evidence

_KEPT_PER_KIND = 3  # further violations of a kind are only counted, because three show enough
_ROW_BYTES = 16
_ROWS_AROUND = 2  # rows before and after the row with the wrong byte


Attempt: TypeAlias = tuple[int, int]
"""A writer and the sequence number of one of its events."""
Span: TypeAlias = tuple[int, int, int]
"""The index of a file, and the offsets at which bytes in it begin and end."""


class Kind(StrEnum):
    """A kind of violation."""

    NOT_JSON = "a line is not JSON"
    BLANK = "a blank line"
    FOREIGN = "a line nobody meant to write"
    ALTERED = "an altered line"
    DUPLICATE = "an event twice"
    MISSING = "an acknowledged event is missing"
    REFUSED_BUT_WRITTEN = "a refused event is in the log"
    MISCOUNTED = "a failed append miscounted what it wrote"
    SPLIT = "a batch is torn apart"
    REORDERED = "a writer's events are out of order"
    REAL_TIME = "real-time order broken"
    LEFT_BEHIND = "an event in a log that was moved away long before"
    UNTERMINATED = "an unterminated tail"
    SIZE = "the file is not the size of its events"
    QUARANTINE = "a fragment in the quarantine that no killed writer left"
    LITTER = "a file that should not be there"
    BYSTANDER = "a file that must not change has changed"
    SNAPSHOT_RAISED = "a snapshot raised"
    SNAPSHOT_NO_PREFIX = "a snapshot is not a prefix of the final log"
    SNAPSHOT_STALE = "a snapshot misses what was acknowledged before"
    SNAPSHOT_EARLY = "a snapshot holds what was not yet appended"
    FOLLOWER_RAISED = "a follower raised"
    FOLLOWER_DIFFERS = "a follower did not see exactly the final log"
    EXIT = "a process failed"
    DEATH = "a writer was cut short although it was not killed"
    UNFINISHED = "a process did not do all that was planned"


@dataclass(frozen=True, slots=True, kw_only=True)
class Violation:
    """One violation, with the least evidence that shows it."""

    kind: Kind
    what: str
    attempts: tuple[Attempt, ...] = ()
    """The events whose receipts are evidence."""
    spans: tuple[Span, ...] = ()
    """The bytes of logs that are evidence."""
    focus: tuple[int, int] | None = None
    """The file and the offset of the first byte that is wrong."""


@dataclass(slots=True)
class Verdict:
    """The violations of a round, and figures about it."""

    evidence: Evidence
    violations: list[Violation] = field(default_factory=list)
    """The first few of each kind, in the order of the kinds."""
    counts: Counter[Kind] = field(default_factory=Counter)
    """How many violations there are of each kind."""
    events: int = 0
    """Events that are in the logs, each counted once."""
    met: int = 0
    """Appends that were called before the append above them in the log had returned."""
    outcomes: Counter[str] = field(default_factory=Counter)
    """How often each outcome was reported."""
    fragments: int = 0
    """Torn tails that were moved to a quarantine."""

    def add(
        self,
        kind: Kind,
        what: str,
        *,
        attempts: tuple[Attempt, ...] = (),
        spans: tuple[Span, ...] = (),
        focus: tuple[int, int] | None = None,
    ) -> None:
        """Note a violation."""
        self.counts[kind] += 1
        if self.counts[kind] <= _KEPT_PER_KIND:
            found = Violation(kind=kind, what=what, attempts=attempts, spans=spans, focus=focus)
            self.violations.append(found)


def violation_text(verdict: Verdict, violation: Violation) -> str:
    """Return `violation` as text: what is wrong and, indented below it, lines of evidence."""
    files = verdict.evidence.files
    lines = [f"{violation.kind}: {violation.what}", f"  in round {verdict.evidence.name}"]
    lines += [f"  bytes {begin} to {end} of {files[f].path}" for f, begin, end in violation.spans]
    for attempt in violation.attempts:
        lines += _receipts(verdict, attempt)
    if violation.focus is not None:
        file, focus = violation.focus
        lines.append(f"  around byte {focus}:")
        lines += hexdump(files[file].data, focus)
    lines.append(f"  repeat with: {verdict.evidence.command}")
    return "\n".join(lines)


def _receipts(verdict: Verdict, attempt: Attempt) -> Iterator[str]:
    writer, seq = verdict.evidence.writers[attempt[0]], attempt[1]
    line = writer.line(seq)
    yield f"  event {seq} of {writer.name}, {len(line)} bytes: {_shorten(line)}"
    if seq >= writer.called:
        yield "    receipts: none, it was not appended"
        return
    call = writer.call_of(seq)
    events = writer.events_of(call)
    batch = f", in a batch of {len(events)}, from {events[0]} on" if len(events) > 1 else ""
    yield f"    receipts: called at {writer.begin_ns[call]} ns{batch}"
    if writer.outcomes[call] == OPEN:
        yield "    receipts: no outcome"
    else:
        error = f", {writer.errors[call]}" if call in writer.errors else ""
        yield f"    receipts: returned at {writer.end_ns[call]} ns, {writer.outcomes[call]}{error}"


def _shorten(line: bytes) -> str:
    """Return the beginning of a line, as text without terminal control codes."""
    text = ascii(line[:72].decode(errors="replace").removesuffix("\n"))[1:-1]
    return f"{text}..." if len(line) > 73 else text


def hexdump(data: Bytes, focus: int) -> Iterator[str]:
    """Yield the part of `data` around `focus` in hex and ASCII; ``>`` marks the row of `focus`."""
    row = focus // _ROW_BYTES * _ROW_BYTES
    begin = max(0, row - _ROWS_AROUND * _ROW_BYTES)
    end = min(len(data), row + (_ROWS_AROUND + 1) * _ROW_BYTES)
    for offset in range(begin, end, _ROW_BYTES):
        piece = data[offset : min(offset + _ROW_BYTES, end)]
        shown = "".join(chr(byte) if 32 <= byte < 127 else "." for byte in piece)
        mark = ">" if offset == row else " "
        yield f"  {mark} {offset:08x}  {piece.hex(' '):{3 * _ROW_BYTES - 1}}  |{shown}|"
