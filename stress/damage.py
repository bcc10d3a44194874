# SPDX-License-Identifier: MIT
"""Count the damage to the records of a round, from the receipts and from what a reader finds.

This module uses the same evidence as the checker, and runs after it. The checker says what is
wrong; this module says how much. The records need tags (`payloads.draw_tagged`), which show from
which record a piece of a line comes. The counts are:

- lost: an acknowledged record that is not a line of any file of its log, including logs that were
  moved away;
- torn: a line that is a part of one record, or the bare newline of one;
- glued: a line made of pieces of two records or more;
- out of order: a record that comes after a later one of the same writer;
- refused: a record whose append raised;
- left behind: a record in a log that had been moved away more than 1.75 s before its append;
- twice: a line whose record is in the log already;
- foreign: a line with a byte that does not come from any record.
"""

import re
from dataclasses import dataclass

from .evidence import OPEN, Evidence, Writer, line_spans
from .receipts import Outcome
from .violations import Attempt, Kind, Verdict

_HEAD = re.compile(rb'\{"id": ?"([0-9]{6})([0-9]{20})"')
_TAG = re.compile(rb"w([0-9]+)s([0-9]+);")
_OF_RECORDS = re.compile(rb'[{}": ,;a-z0-9]*')
"""Every character that occurs in a line with tags."""
_TINY = 64  # bytes; a shorter piece may not hold a tag


@dataclass(slots=True, kw_only=True)
class Damage:
    """The counts of one round."""

    acknowledged: int = 0
    """Records whose append returned."""
    lost: int = 0
    torn: int = 0
    glued: int = 0
    out_of_order: int = 0
    refused: int = 0
    left_behind: int = 0
    twice: int = 0
    foreign: int = 0
    cut_short: int = 0
    """Appends whose writer died, or was ended, before the outcome was known."""


def count_damage(verdict: Verdict) -> Damage:
    """Count the damage of a round that was checked."""
    evidence = verdict.evidence
    done = Damage(
        out_of_order=verdict.counts[Kind.REORDERED], left_behind=verdict.counts[Kind.LEFT_BEHIND]
    )
    found: set[Attempt] = set()
    for file in evidence.files:
        for begin, end in line_spans(file.data):
            _count_line(done, evidence, file.data[begin:end], found)
    for writer in evidence.writers.values():
        _count_outcomes(done, writer, found)
    return done


def _count_outcomes(done: Damage, writer: Writer, found: set[Attempt]) -> None:
    for call, outcome in enumerate(writer.outcomes):
        records = writer.events_of(call)
        if outcome == OPEN:
            done.cut_short += len(records)
        elif outcome == Outcome.ACKNOWLEDGED:
            done.acknowledged += len(records)
            done.lost += sum((writer.number, seq) not in found for seq in records)
        else:
            done.refused += len(records)


def _count_line(done: Damage, evidence: Evidence, line: bytes, found: set[Attempt]) -> None:
    attempt = _record_of(evidence, line)
    if attempt is not None:
        done.twice += attempt in found
        found.add(attempt)
    elif not _OF_RECORDS.fullmatch(line.removesuffix(b"\n")):
        done.foreign += 1
    elif _is_part_of_one(evidence, line):
        done.torn += 1
    else:
        done.glued += 1


def _record_of(evidence: Evidence, line: bytes) -> Attempt | None:
    """Return the record that is this line, or None. The last line may lack its newline."""
    head = _HEAD.match(line)
    if head is None:
        return None
    attempt = int(head[1]), int(head[2])
    meant = _meant(evidence, attempt)
    return attempt if meant is not None and line in (meant, meant[:-1]) else None


def _is_part_of_one(evidence: Evidence, line: bytes) -> bool:
    """Return whether the line is one piece of one record. A record has one newline, at its end."""
    if line == b"\n":
        return True
    piece = line.removesuffix(b"\n")
    tag = _HEAD.match(line) or _TAG.search(line)
    if tag is not None:
        meant = _meant(evidence, (int(tag[1]), int(tag[2])))
        return meant is not None and piece in meant
    is_tiny = len(piece) < _TINY
    return is_tiny and any(writer.lines.find(piece) >= 0 for writer in evidence.writers.values())


def _meant(evidence: Evidence, attempt: Attempt) -> bytes | None:
    writer = evidence.writers.get(attempt[0])
    return writer.line(attempt[1]) if writer and attempt[1] < writer.planned else None
