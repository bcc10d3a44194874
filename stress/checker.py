# SPDX-License-Identifier: MIT
"""Whether a log is what its writers and readers say it is: plain `json`, no omnelog.

Everything is judged by what a round left on disk (see `history`), after it ended. What must hold:

- every line that ends in a newline is JSON, and byte for byte what its writer meant to write;
- what was acknowledged is there, exactly once; what was refused or timed out is not; what was
  indeterminate, or cut short by the death of its writer, is there once or not at all;
- the events of each writer stand in the order in which it appended them;
- real-time order: if one append had returned before another was called, it stands earlier;
- the file is those lines and nothing else, down to its size, and nothing was quarantined;
- every snapshot was read without an error, is a prefix of the final log, holds all that was
  acknowledged before it was begun and nothing that was appended after it was taken;
- everybody did all that was planned, and exited with 0.

Time and memory are linear in the number of events; lines are looked up in mapped files.
"""

import json
import mmap
import re
from array import array
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, TypeAlias

from .history import MARK_EVERY, Outcome, RunningDigest, history_path, log_path

_KEPT_PER_KIND = 3  # the rest of a kind is counted: the first few tell as much as a thousand
_FOREVER = 2**63 - 1
_ID = re.compile("[0-9]{26}")  # a writer in 6 digits, a sequence number in 20
_ID_BYTES = 26
OPEN = "open"  # no receipt says what the append came to

Attempt: TypeAlias = tuple[int, int]
"""A writer and the sequence number of one of its appends."""
Bytes: TypeAlias = bytes | mmap.mmap


class Kind(StrEnum):
    """What can be wrong."""

    NOT_JSON = "a line is not JSON"
    BLANK = "a blank line"
    FOREIGN = "a line nobody meant to write"
    ALTERED = "an altered line"
    DUPLICATE = "an event twice"
    MISSING = "an acknowledged event is missing"
    REFUSED_BUT_WRITTEN = "a refused event is in the log"
    REORDERED = "a writer's events are out of order"
    REAL_TIME = "real-time order broken"
    UNTERMINATED = "an unterminated tail"
    SIZE = "the file is not the size of its events"
    QUARANTINE = "something was quarantined"
    LITTER = "a file that should not be there"
    SNAPSHOT_RAISED = "a snapshot raised"
    SNAPSHOT_NO_PREFIX = "a snapshot is not a prefix of the final log"
    SNAPSHOT_STALE = "a snapshot misses what was acknowledged before"
    SNAPSHOT_EARLY = "a snapshot holds what was not yet appended"
    EXIT = "a process failed"
    UNFINISHED = "a process did not do all that was planned"


@dataclass(frozen=True, slots=True, kw_only=True)
class Violation:
    """One thing that is wrong, and the least that shows it."""

    kind: Kind
    what: str
    attempts: tuple[Attempt, ...] = ()
    """Whose receipts tell about it."""
    spans: tuple[tuple[int, int], ...] = ()
    """Which bytes of the log it is about: where they begin and end."""
    focus: int | None = None
    """The first byte of the log that is wrong."""


@dataclass(slots=True)
class WriterHistory:
    """What one writer meant to write, and its receipts; indexed by sequence number."""

    writer: int
    name: str
    lines: Bytes
    """The lines it meant to write, one after the other."""
    starts: "array[int]"
    """Where in `lines` each begins, and where the last ends."""
    begin_ns: "array[int]" = field(default_factory=lambda: array("q"))
    end_ns: "array[int]" = field(default_factory=lambda: array("q"))
    outcomes: list[str] = field(default_factory=list)
    errors: dict[int, str] = field(default_factory=dict)
    place: "array[int]" = field(default_factory=lambda: array("q"))
    """The ordinal of the line in the log that holds it; -1: none."""
    exit_code: int | None = 0

    @property
    def planned(self) -> int:
        """How many appends it was to make."""
        return len(self.starts) - 1

    @property
    def attempted(self) -> int:
        """How many it began."""
        return len(self.outcomes)

    def line(self, seq: int) -> bytes:
        """The line of `seq`, newline included."""
        return self.lines[self.starts[seq] : self.starts[seq + 1]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """What a reader got from one look at the log."""

    reader: str
    ordinal: int
    begin_ns: int
    end_ns: int
    count: int
    digest: str
    marks: list[str]
    error: str | None


@dataclass(slots=True)
class Verdict:
    """What was found, and what a reader of the verdict may want to know besides."""

    log: Path
    writers: dict[int, WriterHistory]
    data: Bytes = b""
    """The log."""
    violations: list[Violation] = field(default_factory=list)
    """The first few of each kind, in the order of the kinds."""
    counts: Counter[Kind] = field(default_factory=Counter)
    """How many there are of each kind."""
    events: int = 0
    """Events that stand in the log, each counted once."""
    snapshots: int = 0
    met: int = 0
    """Events that were called before the one above them in the log had returned."""
    outcomes: Counter[str] = field(default_factory=Counter)

    def add(self, violation: Violation) -> None:
        """Note a violation."""
        self.counts[violation.kind] += 1
        if self.counts[violation.kind] <= _KEPT_PER_KIND:
            self.violations.append(violation)


class HistoryError(Exception):
    """The history itself cannot be read: the harness is at fault, or the files are not its."""


def check(directory: Path, *, interrupted: bool = False) -> Verdict:
    """Judge the round whose files are in `directory`.

    `interrupted`: it was ended before its time, so that writers may have done less than they
    planned and may have been killed. Raises HistoryError, OSError.
    """
    try:
        about = json.loads(history_path(directory, "round.json").read_text())
        exits = json.loads(history_path(directory, "exits.json").read_text())
        log = log_path(directory, about["run_id"])
        writers = {}
        for path in sorted(history_path(directory, "").glob("writer-*.receipts")):
            writer = _load_writer(path)
            writer.exit_code = exits.get(writer.name)
            writers[writer.writer] = writer
        snapshots = []
        for path in sorted(history_path(directory, "").glob("reader-*.snapshots")):
            snapshots += list(_load_snapshots(path))
    except (ValueError, KeyError, IndexError, TypeError) as error:
        raise HistoryError(f"{directory}: the history cannot be read: {error!r}") from error
    data = _map(log) if log.exists() else b""  # there is none if it was ended at its very begin
    verdict = Verdict(log, writers, data, snapshots=len(snapshots))
    order = _check_lines(verdict, _Digests(snapshots, verdict))
    _check_outcomes(verdict)
    _check_real_time(verdict, order)
    _check_freshness(verdict, order, snapshots)
    _check_size(verdict)
    _check_directory(verdict)
    _check_exits(verdict, exits, interrupted)
    verdict.violations.sort(key=lambda violation: list(Kind).index(violation.kind))
    return verdict


# ---- reading the history ----


def _map(path: Path) -> Bytes:
    with path.open("rb") as file:
        if not file.seek(0, 2):
            return b""  # of which there is no map
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)


def _line_spans(data: Bytes) -> Iterator[tuple[int, int]]:
    """Where each line begins and ends, its newline included; the tail without one as well."""
    begin, size = 0, len(data)
    while begin < size:
        end = data.find(b"\n", begin) + 1 or size
        yield begin, end
        begin = end


def _records(path: Path) -> Iterator[dict[str, Any]]:
    """The JSON lines of a file; a last one that death cut short is left out."""
    data = _map(path)
    for begin, end in _line_spans(data):
        if data[end - 1 : end] == b"\n":
            yield json.loads(data[begin:end])


def _load_writer(path: Path) -> WriterHistory:
    lines = _map(path.with_suffix(".lines"))
    starts = array("q", [0])
    starts.extend(end for _, end in _line_spans(lines))
    writer = WriterHistory(int(path.stem.rpartition("-")[2]), path.stem, lines, starts)
    for receipt in _records(path):
        seq = receipt["seq"]
        if "outcome" not in receipt:
            if seq != writer.attempted:
                raise ValueError(f"{path}: append {seq} follows {writer.attempted - 1}")
            writer.begin_ns.append(receipt["begin_ns"])
            writer.end_ns.append(_FOREVER)
            writer.outcomes.append(OPEN)
            continue
        if seq != writer.attempted - 1 or writer.outcomes[seq] != OPEN:
            raise ValueError(f"{path}: no append {seq} was under way")
        writer.begin_ns[seq] = receipt["called_ns"]
        writer.end_ns[seq] = receipt["end_ns"]
        writer.outcomes[seq] = Outcome(receipt["outcome"])
        if "error" in receipt:
            writer.errors[seq] = receipt["error"]
    writer.place = array("q", [-1]) * writer.planned
    return writer


def _load_snapshots(path: Path) -> Iterator[Snapshot]:
    for ordinal, record in enumerate(_records(path)):
        yield Snapshot(
            reader=path.stem,
            ordinal=ordinal,
            begin_ns=record["begin_ns"],
            end_ns=record["end_ns"],
            count=record.get("count", 0),
            digest=record.get("digest", ""),
            marks=record.get("marks", []),
            error=record.get("error"),
        )


# ---- the log itself ----


@dataclass(frozen=True, slots=True)
class _Order:
    """The events in the order of the log, each at its first line."""

    attempts: list[Attempt] = field(default_factory=list)
    begins: "array[int]" = field(default_factory=lambda: array("q"))
    """Where in the log each begins."""
    ordinals: "array[int]" = field(default_factory=lambda: array("q"))
    """How many lines come before it, whatever they are."""


def _check_lines(verdict: Verdict, digests: "_Digests") -> _Order:
    """Judge each line by itself, and against its writer; return the order of those that count."""
    order = _Order()
    last: dict[int, tuple[int, int, int]] = {}
    data = verdict.data
    for ordinal, (begin, end) in enumerate(_line_spans(data)):
        line = data[begin:end]
        if not line.endswith(b"\n"):
            _check_tail(verdict, begin, line)
            break
        digests.add(line)
        attempt = _judge(verdict, ordinal, begin, line)
        if attempt is None:
            continue
        writer, seq = attempt
        placed = verdict.writers[writer].place
        if placed[seq] >= 0:
            first = order.begins[bisect_left(order.ordinals, placed[seq])]
            _check_duplicate(verdict, attempt, first, begin, len(line))
            continue
        placed[seq] = ordinal
        order.attempts.append(attempt)
        order.begins.append(begin)
        order.ordinals.append(ordinal)
        before, *span = last.get(writer, (-1, 0, 0))
        if before > seq:
            verdict.add(
                Violation(
                    kind=Kind.REORDERED,
                    what=f"writer {writer} appended {seq} before {before}, but it stands after it",
                    attempts=(attempt, (writer, before)),
                    spans=((span[0], span[1]), (begin, end)),
                )
            )
        else:
            last[writer] = seq, begin, end
    digests.finish()
    verdict.events = len(order.attempts)
    return order


def _check_tail(verdict: Verdict, begin: int, tail: bytes) -> None:
    for writer in verdict.writers.values():
        died_in = writer.attempted - 1
        died = writer.exit_code != 0 and died_in >= 0 and writer.outcomes[died_in] == OPEN
        if died and writer.line(died_in).startswith(tail):
            return  # what it left is for the next append to mend, but there was none
    verdict.add(
        Violation(
            kind=Kind.UNTERMINATED,
            what=f"the last {len(tail)} bytes have no newline, though nobody is writing any more",
            attempts=_attempts_in(verdict, tail),
            spans=((begin, begin + len(tail)),),
            focus=begin + len(tail) - 1,
        )
    )


def _judge(verdict: Verdict, ordinal: int, begin: int, line: bytes) -> Attempt | None:
    """Note what is wrong with a line; return whose event it is, if anybody's."""
    span = ((begin, begin + len(line)),)
    where = f"line {ordinal + 1}"
    if not line.strip():
        verdict.add(Violation(kind=Kind.BLANK, what=f"{where} is blank", spans=span, focus=begin))
        return None
    try:
        value = json.loads(line.decode())
    except (ValueError, RecursionError) as error:
        inside = _attempts_in(verdict, line)
        focus = begin + (_same(line, _meant(verdict, inside[0])) if inside else 0)
        what = f"{where} is not JSON: {error}"
        if len(inside) > 1:
            what += f"; it holds pieces of {len(inside)} events"
        verdict.add(
            Violation(kind=Kind.NOT_JSON, what=what, attempts=inside, spans=span, focus=focus)
        )
        return None
    attempt = _attempt(value.get("id") if isinstance(value, dict) else None)
    if attempt is None or not _is_planned(verdict, attempt):
        what = f"{where} is no event of any writer"
        verdict.add(Violation(kind=Kind.FOREIGN, what=what, spans=span, focus=begin))
        return None
    meant = _meant(verdict, attempt)
    if line != meant:
        same = _same(line, meant)
        verdict.add(
            Violation(
                kind=Kind.ALTERED,
                what=(
                    f"{where} is {len(line)} bytes of which {same} are as meant, where "
                    f"{meant[same : same + 16]!r} was to come; {len(meant)} were meant"
                ),
                attempts=(attempt,),
                spans=span,
                focus=begin + same,
            )
        )
    return attempt


def _check_duplicate(
    verdict: Verdict, attempt: Attempt, first: int, begin: int, length: int
) -> None:
    writer, seq = attempt
    verdict.add(
        Violation(
            kind=Kind.DUPLICATE,
            what=f"append {seq} of writer {writer} is in the log again",
            attempts=(attempt,),
            spans=((first, first + length), (begin, begin + length)),
            focus=begin,
        )
    )


def _attempt(event_id: object) -> Attempt | None:
    """Take an event id apart, if it is one of ours."""
    if isinstance(event_id, str) and _ID.fullmatch(event_id):
        return int(event_id[:6]), int(event_id[6:])
    return None


def _is_planned(verdict: Verdict, attempt: Attempt) -> bool:
    writer = verdict.writers.get(attempt[0])
    return writer is not None and attempt[1] < writer.planned


def _meant(verdict: Verdict, attempt: Attempt) -> bytes:
    return verdict.writers[attempt[0]].line(attempt[1])


def _attempts_in(verdict: Verdict, line: bytes, limit: int = 4) -> tuple[Attempt, ...]:
    """The first few events whose ids occur in a line that should hold but one."""
    found: list[Attempt] = []
    for piece in line.split(b'"id":"')[1:]:
        attempt = _attempt(piece[:_ID_BYTES].decode(errors="replace"))
        if attempt is not None and _is_planned(verdict, attempt) and attempt not in found:
            found.append(attempt)
            if len(found) == limit:
                break
    return tuple(found)


def _same(line: bytes, meant: bytes) -> int:
    """How many bytes two lines have in common before they differ."""
    low, high = 0, min(len(line), len(meant))
    while low < high:
        middle = (low + high + 1) // 2
        if line[:middle] == meant[:middle]:
            low = middle
        else:
            high = middle - 1
    return low


# ---- the log against the receipts ----


def _check_outcomes(verdict: Verdict) -> None:
    """What was acknowledged is there; what was refused is not, nor what nobody appended."""
    for writer in verdict.writers.values():
        verdict.outcomes.update(writer.outcomes)
        for seq, place in enumerate(writer.place):
            outcome = writer.outcomes[seq] if seq < writer.attempted else "not attempted"
            if place < 0 and outcome == Outcome.ACKNOWLEDGED:
                kind, what = Kind.MISSING, "was acknowledged, but no line of the log is it"
            elif place < 0 or outcome in (Outcome.ACKNOWLEDGED, Outcome.INDETERMINATE, OPEN):
                continue
            else:
                kind, what = Kind.REFUSED_BUT_WRITTEN, f"was {outcome}, but it is line {place + 1}"
            verdict.add(
                Violation(
                    kind=kind,
                    what=f"append {seq} of writer {writer.writer} {what}",
                    attempts=((writer.writer, seq),),
                )
            )


def _check_real_time(verdict: Verdict, order: _Order) -> None:
    """From the end of the log backwards: nobody called later than anybody below had returned."""
    earliest_ns, witness = _FOREVER, -1
    for index in range(len(order.attempts) - 1, -1, -1):
        writer, seq = order.attempts[index]
        history = verdict.writers[writer]
        if seq >= history.attempted:
            continue  # it was never called: noted already
        if index:
            above, above_seq = order.attempts[index - 1]
            if above_seq < verdict.writers[above].attempted:
                verdict.met += history.begin_ns[seq] < verdict.writers[above].end_ns[above_seq]
        if history.begin_ns[seq] > earliest_ns:
            other, other_seq = order.attempts[witness]
            late_ns = history.begin_ns[seq] - earliest_ns
            verdict.add(
                Violation(
                    kind=Kind.REAL_TIME,
                    what=(
                        f"append {other_seq} of writer {other} had returned {late_ns} ns before "
                        f"append {seq} of writer {writer} was called, but it stands after it"
                    ),
                    attempts=((other, other_seq), (writer, seq)),
                    spans=tuple(
                        (order.begins[i], order.begins[i] + len(_meant(verdict, order.attempts[i])))
                        for i in (index, witness)
                    ),
                )
            )
        if history.end_ns[seq] < earliest_ns and history.outcomes[seq] == Outcome.ACKNOWLEDGED:
            earliest_ns, witness = history.end_ns[seq], index


def _check_size(verdict: Verdict) -> None:
    """The sum of what is in the log once each, told by the writers, is the size of the file."""
    if verdict.counts:
        return  # which says better why the size is another
    meant = sum(
        writer.starts[seq + 1] - writer.starts[seq]
        for writer in verdict.writers.values()
        for seq, place in enumerate(writer.place)
        if place >= 0
    )
    tail = len(verdict.data) - (verdict.data.rfind(b"\n") + 1)
    size = verdict.log.stat().st_size if verdict.log.exists() else 0  # somebody may still write
    if meant + tail != size:
        what = f"its events are {meant + tail} bytes, the file is {size}"
        verdict.add(Violation(kind=Kind.SIZE, what=what))


def _check_directory(verdict: Verdict) -> None:
    """The run's directory holds the log alone."""
    for path in sorted(verdict.log.parent.glob("*")):
        if path == verdict.log:
            continue
        if path.name == verdict.log.name + ".torn":
            held = path.read_bytes()
            what = f"{path.name} holds {len(held)} bytes, beginning {held[:60]!r}"
            inside = _attempts_in(verdict, held)
            verdict.add(Violation(kind=Kind.QUARANTINE, what=what, attempts=inside))
        else:
            verdict.add(Violation(kind=Kind.LITTER, what=f"{path.name} is beside the log"))


def _check_exits(verdict: Verdict, exits: dict[str, int | None], interrupted: bool) -> None:
    for name, code in exits.items():
        if code is None:
            if not interrupted:
                verdict.add(Violation(kind=Kind.EXIT, what=f"{name} hung, and was ended"))
        elif code and not (interrupted and code < 0):
            how = f"was killed by signal {-code}" if code < 0 else f"exited with {code}"
            verdict.add(Violation(kind=Kind.EXIT, what=f"{name} {how}"))
    for writer in verdict.writers.values():
        if writer.exit_code == 0 and OPEN in writer.outcomes:
            what = f"{writer.name} exited with 0 in the middle of an append"
        elif writer.attempted < writer.planned and not interrupted:
            what = f"{writer.name} made {writer.attempted} of {writer.planned} appends"
        else:
            continue
        verdict.add(Violation(kind=Kind.UNFINISHED, what=what))


# ---- snapshots ----


class _Digests:
    """Compares what snapshots saw with the final log, while that is gone through once."""

    def __init__(self, snapshots: list[Snapshot], verdict: Verdict) -> None:
        self._verdict = verdict
        self._running = RunningDigest()
        self._waiting = sorted(snapshots, key=lambda each: (-each.count, -each.ordinal))
        self._compare()

    def add(self, line: bytes) -> None:
        """Take in the next line of the final log."""
        self._running.add(line)
        self._compare()

    def _compare(self) -> None:
        while self._waiting and self._waiting[-1].count <= self._running.count:
            snapshot = self._waiting.pop()
            if snapshot.error is not None:
                self._note(Kind.SNAPSHOT_RAISED, snapshot, f"raised {snapshot.error}")
            elif snapshot.digest != self._running.value():
                first = self._first_difference(snapshot)
                what = f"is {snapshot.count} lines, but differs from the final log {first}"
                self._note(Kind.SNAPSHOT_NO_PREFIX, snapshot, what)

    def _first_difference(self, snapshot: Snapshot) -> str:
        pairs = zip(snapshot.marks, self._running.marks, strict=False)
        same = next((i for i, (a, b) in enumerate(pairs) if a != b), len(snapshot.marks))
        first, last = same * MARK_EVERY + 1, min((same + 1) * MARK_EVERY, snapshot.count)
        return f"for the first time in lines {first} to {last}"

    def finish(self) -> None:
        """The final log has ended: what is still waiting saw more than there is."""
        for snapshot in reversed(self._waiting):
            what = f"held {snapshot.count} lines, the final log holds {self._running.count}"
            self._note(Kind.SNAPSHOT_NO_PREFIX, snapshot, what)

    def _note(self, kind: Kind, snapshot: Snapshot, what: str) -> None:
        who = f"snapshot {snapshot.ordinal} of {snapshot.reader}"
        self._verdict.add(Violation(kind=kind, what=f"{who} {what}"))


def _check_freshness(verdict: Verdict, order: _Order, snapshots: list[Snapshot]) -> None:
    """A snapshot holds what was acknowledged before it began, and nothing called after it ended.

    Every event is put to the first snapshot that had to hold it, and to the last that could not
    yet hold it; a running maximum and minimum extend that to the snapshots after and before.
    """
    sound = [snapshot for snapshot in snapshots if snapshot.error is None]
    by_begin = sorted(sound, key=lambda snapshot: snapshot.begin_ns)
    by_end = sorted(sound, key=lambda snapshot: snapshot.end_ns)
    begins = [snapshot.begin_ns for snapshot in by_begin]
    ends = [snapshot.end_ns for snapshot in by_end]
    must = [-1] * (len(sound) + 1)  # the index in `order` of the last event it had to hold
    must_not = [-1] * (len(sound) + 1)  # that of the first it could not hold
    for index, (writer, seq) in enumerate(order.attempts):
        history = verdict.writers[writer]
        if seq < history.attempted:
            if history.outcomes[seq] == Outcome.ACKNOWLEDGED:
                must[bisect_right(begins, history.end_ns[seq])] = index
            slot = bisect_left(ends, history.begin_ns[seq])
            if slot and must_not[slot - 1] < 0:
                must_not[slot - 1] = index
    held = -1
    for snapshot, index in zip(by_begin, must, strict=False):
        held = max(held, index)
        if held >= 0 and order.ordinals[held] >= snapshot.count:
            _note_snapshot(verdict, Kind.SNAPSHOT_STALE, snapshot, order, held)
    first = -1
    for snapshot, index in zip(reversed(by_end), reversed(must_not[:-1]), strict=True):
        first = min(i for i in (first, index) if i >= 0) if max(first, index) >= 0 else -1
        if first >= 0 and order.ordinals[first] < snapshot.count:
            _note_snapshot(verdict, Kind.SNAPSHOT_EARLY, snapshot, order, first)


def _note_snapshot(
    verdict: Verdict, kind: Kind, snapshot: Snapshot, order: _Order, index: int
) -> None:
    writer, seq = order.attempts[index]
    begin = order.begins[index]
    when = "returned before it was begun" if kind is Kind.SNAPSHOT_STALE else "called after it"
    verdict.add(
        Violation(
            kind=kind,
            what=(
                f"snapshot {snapshot.ordinal} of {snapshot.reader}, from {snapshot.begin_ns} ns "
                f"to {snapshot.end_ns} ns, is {snapshot.count} lines; append {seq} of writer "
                f"{writer}, {when}, is line {order.ordinals[index] + 1}"
            ),
            attempts=((writer, seq),),
            spans=((begin, begin + len(_meant(verdict, (writer, seq)))),),
        )
    )
