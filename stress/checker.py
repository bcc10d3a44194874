# SPDX-License-Identifier: MIT
"""Check that the logs are what their writers and readers say: plain `json`, no omnelog.

The checker runs after a round and judges it only by the files that it left (see `receipts`). It
checks that:

- every line that ends in a newline is JSON, and byte for byte what its writer meant to write;
- an acknowledged event is in the log exactly once;
- an event whose append was refused or timed out is not in the log, except for the first events of
  a batch, as many as the error said;
- an event is in the log once or not at all if its append is indeterminate, or was cut short by the
  death of its writer; the events of such a batch that are in the log are its first ones;
- a batch is in one piece, and the events of each writer are in the order of its calls;
- real-time order: if one append returned before another was called, its lines come first;
- a file is those lines and nothing else, down to its size; a tail without a newline, or a
  fragment in the quarantine, is the beginning of what a killed writer was writing;
- the terminated lines of each snapshot are a prefix of those of the final log, and so of every
  later snapshot;
- a snapshot holds all events that were acknowledged before it began, and none whose append was
  called after it was taken; it fails only when a torn tail, or a missing log, was possible;
- a follower saw exactly the final log;
- the events of a run are in a log that was replaced or in the one that replaced it; no append that
  was called more than 1.75 s after the replacement is in the old log;
- nothing else in the volume has changed; every process did all that was planned, and exited with 0.

Time and memory are linear in the number of events; lines are looked up in mapped files.
"""

import json
import re
import signal
from array import array
from bisect import bisect_left, bisect_right
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from .evidence import FOREVER, OPEN, Look, Writer, line_spans, load
from .receipts import MARK_EVERY, Outcome, RunningDigest
from .violations import Attempt, Kind, Span, Verdict

_NOTICED_NS = 1_750_000_000  # a writer looks every second, but may be stopped before it looks
_ABSENT_NS = 2_000_000_000  # the longest time without a log at the path
_NOTED_NS = 1_000_000_000  # the longest time between a move and the note that it is done
_ID = re.compile("[0-9]{26}")  # a writer in 6 digits, a sequence number in 20
_ID_BYTES = 26


@dataclass(slots=True)
class _Order:
    """The events of one file in order. An event that is there twice counts at its first line."""

    writers: "array[int]" = field(default_factory=lambda: array("l"))
    seqs: "array[int]" = field(default_factory=lambda: array("q"))
    begins: "array[int]" = field(default_factory=lambda: array("q"))
    """The offset in the file at which the line of each event begins."""
    ordinals: "array[int]" = field(default_factory=lambda: array("q"))
    """How many lines of any kind come before each event."""

    def attempt(self, index: int) -> Attempt:
        return self.writers[index], self.seqs[index]


def check(directory: Path, *, interrupted: bool = False) -> Verdict:
    """Judge the round whose files are in `directory`.

    `interrupted`: the round was ended early, so writers may have done less than they planned, and
    may have been killed. Raises EvidenceError, OSError.
    """
    evidence = load(directory)
    verdict = Verdict(evidence)
    comparison = _Comparison(verdict, interrupted)
    orders: list[_Order] = []
    for number, file in enumerate(evidence.files):
        order = _check_lines(verdict, number, comparison, orders)
        orders.append(order)
        tail = file.data[file.data.rfind(b"\n") + 1 :]
        comparison.end(_check_tail(verdict, number, tail, interrupted) if tail else None)
        verdict.events += len(order.seqs)
    comparison.finish()
    for writer in evidence.writers.values():
        verdict.outcomes.update(writer.outcomes)
        _check_calls(verdict, writer)
        _check_files_in_turn(verdict, writer)
    for number, order in enumerate(orders):
        _check_real_time(verdict, number, order)
        _check_left_behind(verdict, number, order)
        _check_freshness(verdict, number, order, comparison)
    _check_sizes(verdict)
    _check_quarantines(verdict, interrupted)
    _check_volume(verdict)
    _check_exits(verdict, interrupted)
    kinds = list(Kind)
    verdict.violations.sort(key=lambda violation: kinds.index(violation.kind))
    return verdict


# ---- the lines of a file ----


def _check_lines(
    verdict: Verdict,
    number: int,
    comparison: "_Comparison",
    orders: list[_Order],
) -> _Order:
    """Judge each line by itself, and against its writer; return the order of the events."""
    order = _Order()
    last: dict[int, tuple[int, int, int]] = {}
    data = verdict.evidence.files[number].data
    comparison.begin(number)
    for ordinal, (begin, end) in enumerate(line_spans(data)):
        line = data[begin:end]
        if not line.endswith(b"\n"):
            break
        comparison.add(line)
        attempt = _judge(verdict, number, ordinal, begin, line)
        if attempt is None:
            continue
        written_by, seq = attempt
        writer = verdict.evidence.writers[written_by]
        if writer.place[seq] >= 0:
            _check_duplicate(verdict, [*orders, order], attempt, (number, begin, end))
            continue
        writer.place[seq], writer.file[seq] = ordinal, number
        order.writers.append(written_by)
        order.seqs.append(seq)
        order.begins.append(begin)
        order.ordinals.append(ordinal)
        before, *span = last.get(written_by, (-1, 0, 0))
        if before > seq:
            verdict.add(
                Kind.REORDERED,
                f"{writer.name} appended {seq} before {before}, but {seq} comes later in the log",
                attempts=(attempt, (written_by, before)),
                spans=((number, span[0], span[1]), (number, begin, end)),
            )
        else:
            last[written_by] = seq, begin, end
    return order


def _check_tail(verdict: Verdict, number: int, tail: bytes, interrupted: bool) -> bytes | None:
    """Judge a tail. A killed writer may leave one, if nobody appends after it.

    Return the whole line if the tail lacks only its newline, else None.
    """
    file = verdict.evidence.files[number]
    begin = len(file.data) - len(tail)
    for attempt in _cut_short(verdict, file.run, interrupted):
        meant = _meant(verdict, attempt)
        if meant.startswith(tail):
            return meant if len(tail) == len(meant) - 1 else None
    verdict.add(
        Kind.UNTERMINATED,
        f"the last {len(tail)} bytes have no newline, though nobody is writing any more",
        attempts=_attempts_in(verdict, tail),
        spans=((number, begin, begin + len(tail)),),
        focus=(number, begin + len(tail) - 1),
    )
    return None


def _cut_short(verdict: Verdict, run: int, interrupted: bool) -> list[Attempt]:
    """Return, for each append that a death interrupted, its first event that is not in the log."""
    found = []
    for writer in verdict.evidence.writers.values():
        killed = writer.process in verdict.evidence.deaths or interrupted
        if writer.run == run and killed and OPEN in writer.outcomes:
            for call, outcome in enumerate(writer.outcomes):
                if outcome == OPEN:
                    absent = (seq for seq in writer.events_of(call) if writer.place[seq] < 0)
                    found += [(writer.number, seq) for seq in list(absent)[:1]]
    return found


def _judge(verdict: Verdict, number: int, ordinal: int, begin: int, line: bytes) -> Attempt | None:
    """Note what is wrong with a line; return its event if a writer planned to append it."""
    spans = ((number, begin, begin + len(line)),)
    where = f"line {ordinal + 1}"
    if not line.strip():
        verdict.add(Kind.BLANK, f"{where} is blank", spans=spans, focus=(number, begin))
        return None
    try:
        value = json.loads(line.decode())
    except (ValueError, RecursionError) as error:
        inside = _attempts_in(verdict, line)
        focus = begin + (_same(line, _meant(verdict, inside[0])) if inside else 0)
        what = f"{where} is not JSON: {error}"
        if len(inside) > 1:
            what += f"; it holds pieces of {len(inside)} events"
        verdict.add(Kind.NOT_JSON, what, attempts=inside, spans=spans, focus=(number, focus))
        return None
    attempt = _attempt(value.get("id") if isinstance(value, dict) else None)
    if attempt is None or not _is_planned(verdict, attempt, verdict.evidence.files[number].run):
        what = f"{where} is not an event of any writer of this run"
        verdict.add(Kind.FOREIGN, what, spans=spans, focus=(number, begin))
        return None
    meant = _meant(verdict, attempt)
    if line != meant:
        same = _same(line, meant)
        verdict.add(
            Kind.ALTERED,
            f"{where} has {len(line)} bytes; the first {same} are correct, then "
            f"{meant[same : same + 16]!r} was expected; the correct line has {len(meant)} bytes",
            attempts=(attempt,),
            spans=spans,
            focus=(number, begin + same),
        )
    return attempt


def _check_duplicate(verdict: Verdict, orders: list[_Order], attempt: Attempt, again: Span) -> None:
    writer = verdict.evidence.writers[attempt[0]]
    first = writer.file[attempt[1]]
    order = orders[first]
    begin = order.begins[bisect_left(order.ordinals, writer.place[attempt[1]])]
    verdict.add(
        Kind.DUPLICATE,
        f"event {attempt[1]} of {writer.name} is in the log twice",
        attempts=(attempt,),
        spans=((first, begin, begin + again[2] - again[1]), again),
        focus=again[:2],
    )


def _attempt(event_id: object) -> Attempt | None:
    """Return the writer and the number that an event id names; None if its form is different."""
    if isinstance(event_id, str) and _ID.fullmatch(event_id):
        return int(event_id[:6]), int(event_id[6:])
    return None


def _is_planned(verdict: Verdict, attempt: Attempt, run: int | None = None) -> bool:
    writer = verdict.evidence.writers.get(attempt[0])
    return writer is not None and attempt[1] < writer.planned and run in (None, writer.run)


def _meant(verdict: Verdict, attempt: Attempt) -> bytes:
    return verdict.evidence.writers[attempt[0]].line(attempt[1])


def _attempts_in(verdict: Verdict, line: bytes, limit: int = 4) -> tuple[Attempt, ...]:
    """Return the first few events whose ids occur in a line. There should be only one."""
    found: list[Attempt] = []
    for piece in line.split(b'"id":"')[1:]:
        attempt = _attempt(piece[:_ID_BYTES].decode(errors="replace"))
        if attempt is not None and _is_planned(verdict, attempt) and attempt not in found:
            found.append(attempt)
            if len(found) == limit:
                break
    return tuple(found)


def _same(line: bytes, meant: bytes) -> int:
    """Return how many bytes two lines have in common before they differ."""
    low, high = 0, min(len(line), len(meant))
    while low < high:
        middle = (low + high + 1) // 2
        if line[:middle] == meant[:middle]:
            low = middle
        else:
            high = middle - 1
    return low


# ---- the logs against the receipts ----


def _check_calls(verdict: Verdict, writer: Writer) -> None:
    """Check that acknowledged events are in the log, and refused or never appended ones are not."""
    for call, outcome in enumerate(writer.outcomes):
        events = writer.events_of(call)
        there = [seq for seq in events if writer.place[seq] >= 0]
        appended = writer.appended[call]
        if outcome == Outcome.ACKNOWLEDGED:
            for seq in events if len(there) < len(events) else ():
                if writer.place[seq] < 0:
                    _blame(verdict, writer, seq, Kind.MISSING, "was acknowledged, but is missing")
        elif outcome == Outcome.TIMED_OUT or (outcome == Outcome.REFUSED and not appended):
            for seq in there:
                where = f"is line {writer.place[seq] + 1}"
                what = f"{outcome}, but {where}"
                _blame(verdict, writer, seq, Kind.REFUSED_BUT_WRITTEN, what)
        elif len(there) < appended or (outcome == Outcome.REFUSED and len(there) > appended):
            what = (
                f"{outcome}: the error says that the log has {appended} of {len(events)} events, "
                f"but it has {len(there)}"
            )
            _blame(verdict, writer, events[0], Kind.MISCOUNTED, what)
        if len(there) > 1 or (there and there[0] != events[0]):
            _check_whole(verdict, writer, events, there)
    for seq in range(writer.called, writer.planned):
        if writer.place[seq] >= 0:
            what = f"never appended, but is line {writer.place[seq] + 1}"
            _blame(verdict, writer, seq, Kind.REFUSED_BUT_WRITTEN, what)


def _check_whole(verdict: Verdict, writer: Writer, events: range, there: list[int]) -> None:
    """Check that the events of a batch in the log are its first ones, in one piece and one file."""
    first = there[0]
    for index, seq in enumerate(there):
        place = writer.file[first], writer.place[first] + index
        if seq != events[index] or (writer.file[seq], writer.place[seq]) != place:
            _blame(
                verdict, writer, seq, Kind.SPLIT, f"does not follow event {seq - 1} of its batch"
            )
            return


def _blame(verdict: Verdict, writer: Writer, seq: int, kind: Kind, what: str) -> None:
    verdict.add(kind, f"event {seq} of {writer.name}: {what}", attempts=((writer.number, seq),))


def _check_files_in_turn(verdict: Verdict, writer: Writer) -> None:
    """Check that a writer did not return to an older log after it had used a newer one."""
    latest = -1
    for seq, file in enumerate(writer.file):
        if 0 <= file < latest:
            what = f"in {verdict.evidence.files[file].path.name}, after events in a newer log"
            _blame(verdict, writer, seq, Kind.REORDERED, what)
        latest = max(latest, file)


def _check_real_time(verdict: Verdict, number: int, order: _Order) -> None:
    """Check that no append was called after an append further down in the log had returned."""
    earliest_ns, witness = FOREVER, -1
    below: tuple[Writer, int] | None = None
    for index in range(len(order.seqs) - 1, -1, -1):
        writer, seq = verdict.evidence.writers[order.writers[index]], order.seqs[index]
        if seq >= writer.called:
            continue  # it was never called: `_check_calls` notes that
        call = writer.call_of(seq)
        begin_ns, end_ns = writer.begin_ns[call], writer.end_ns[call]
        if below is not None and (below[0] is not writer or below[1] != call):
            verdict.met += below[0].begin_ns[below[1]] < end_ns
        below = writer, call
        if begin_ns > earliest_ns:
            other, other_seq = order.attempt(witness)
            late_ns = begin_ns - earliest_ns
            verdict.add(
                Kind.REAL_TIME,
                f"the append of event {other_seq} of {verdict.evidence.writers[other].name} had "
                f"returned {late_ns} ns before that of event {seq} of {writer.name} was called, "
                "but comes later in the log",
                attempts=((other, other_seq), (writer.number, seq)),
                spans=(
                    _span(verdict, number, order, index),
                    _span(verdict, number, order, witness),
                ),
            )
        if end_ns < earliest_ns:
            earliest_ns, witness = end_ns, index


def _span(verdict: Verdict, number: int, order: _Order, index: int) -> Span:
    begin = order.begins[index]
    return number, begin, begin + len(_meant(verdict, order.attempt(index)))


def _check_left_behind(verdict: Verdict, number: int, order: _Order) -> None:
    """Check that no append used a log that had been moved away long before.

    A writer checks once a second whether its log is still the one at the path.
    """
    file = verdict.evidence.files[number]
    if file.left_ns == FOREVER:
        return
    for index in range(len(order.seqs)):
        writer, seq = verdict.evidence.writers[order.writers[index]], order.seqs[index]
        if seq < writer.called:
            late_ns = writer.begin_ns[writer.call_of(seq)] - file.left_ns
            if late_ns > _NOTICED_NS:
                verdict.add(
                    Kind.LEFT_BEHIND,
                    f"event {seq} of {writer.name} is in {file.path.name}, "
                    f"but was appended {late_ns / 1e9:.3f} s after that was moved away",
                    attempts=((writer.number, seq),),
                    spans=(_span(verdict, number, order, index),),
                )


def _check_sizes(verdict: Verdict) -> None:
    """Check that the lines that the writers report add up to the size of the file."""
    if verdict.counts:
        return  # the violations noted so far explain a difference better
    meant = Counter[int]()
    for writer in verdict.evidence.writers.values():
        for seq, holder in enumerate(writer.file):
            meant[holder] += writer.starts[seq + 1] - writer.starts[seq]
    for number, file in enumerate(verdict.evidence.files):
        tail = len(file.data) - (file.data.rfind(b"\n") + 1)
        size = file.path.stat().st_size  # read last, in case a process is still writing
        if meant[number] + tail != size:
            what = f"{file.path} has {size} bytes, but its lines have {meant[number] + tail}"
            verdict.add(Kind.SIZE, what)


# ---- what else is in the volume ----


def _check_quarantines(verdict: Verdict, interrupted: bool) -> None:
    for run in range(len(verdict.evidence.run_ids)):
        logs = [file.path for file in verdict.evidence.files if file.run == run]
        path = logs[-1].with_name("events.jsonl.torn") if logs else None
        if path is not None and path.exists():
            _check_quarantine(verdict, run, path, len(logs), interrupted)


def _check_quarantine(verdict: Verdict, run: int, path: Path, logs: int, interrupted: bool) -> None:
    """Check that each line of a quarantine is the beginning of what a killed writer was writing."""
    fragments = path.read_bytes().split(b"\n")
    if (cut_short := fragments.pop()) and not interrupted:
        fragments.append(cut_short)  # the copy itself was cut short; it counts like the rest
    starts = [_meant(verdict, attempt) for attempt in _cut_short(verdict, run, interrupted)]
    verdict.fragments += len(fragments)

    def is_left(fragment: bytes) -> bool:
        return bool(fragment) and any(line.startswith(fragment) for line in starts)

    for number, fragment in enumerate(fragments, 1):
        if is_left(fragment):
            continue
        # Two logs share a quarantine without a common lock, so two tails may be on one line.
        if logs > 1 and any(
            not fragment or (fragment.startswith(line[:cut]) and is_left(fragment[cut:]))
            for line in starts
            for cut in [_same(fragment, line)]
        ):
            continue
        verdict.add(
            Kind.QUARANTINE,
            f"{path}, line {number}: {len(fragment)} bytes, beginning {fragment[:60]!r}",
            attempts=_attempts_in(verdict, fragment),
        )
    # A tail may be copied twice: the writer that repaired it was killed before it cut off the tail,
    # or the disk had no room for the whole copy.
    evidence = verdict.evidence
    refused = sum(
        w.outcomes.count(Outcome.REFUSED) for w in evidence.writers.values() if w.run == run
    )
    deaths = sum(map(len, evidence.deaths.values()))
    if len(fragments) > deaths + refused and not interrupted:
        what = f"{path} has {len(fragments)} lines after {deaths} deaths and {refused} refusals"
        verdict.add(Kind.QUARANTINE, what)


def _check_volume(verdict: Verdict) -> None:
    """Check that the volume holds logs, quarantines, unchanged bystanders, and nothing else."""
    evidence = verdict.evidence
    for name, content in evidence.bystanders.items():
        path = evidence.volume / name
        if not path.exists() or path.read_bytes() != content.encode():
            verdict.add(Kind.BYSTANDER, f"{path} is not what it was")
    known = {file.path for file in evidence.files} | {
        evidence.volume / name for name in evidence.bystanders
    }
    for file in evidence.files:
        known.add(file.path.with_name("events.jsonl.torn"))
    for path in sorted(evidence.volume.rglob("*")):
        if path not in known and not path.is_dir():
            verdict.add(Kind.LITTER, str(path))


def _check_exits(verdict: Verdict, interrupted: bool) -> None:
    evidence = verdict.evidence
    for name, code in evidence.exits.items():
        if code is None:
            if not interrupted:
                verdict.add(Kind.EXIT, f"{name} hung, and was ended")
        elif code and not (interrupted and code == -signal.SIGKILL):
            how = f"was killed by signal {-code}" if code < 0 else f"exited with {code}"
            verdict.add(Kind.EXIT, f"{name} {how}")
    for writer in evidence.writers.values():
        deaths = len(evidence.deaths.get(writer.process, ()))
        cut_short = writer.outcomes.count(OPEN)
        unborn = writer.forked and not writer.born and bool(deaths)
        if (cut_short > deaths or writer.resumed > deaths) and not interrupted:
            verdict.add(
                Kind.DEATH,
                f"{writer.name} was cut short {cut_short} times and resumed {writer.resumed} "
                f"times, but {writer.process} was killed {deaths} times",
            )
        if writer.called < writer.planned and not interrupted and not unborn:
            what = f"{writer.name} appended {writer.called} of {writer.planned} events"
            verdict.add(Kind.UNFINISHED, what)


# ---- snapshots and followers ----


class _Comparison:
    """Compares what readers saw with the final logs. Each log is read once for all readers."""

    def __init__(self, verdict: Verdict, interrupted: bool) -> None:
        self._verdict, self._interrupted = verdict, interrupted
        self._unlike: dict[int, str] = {}
        self.seen_in: dict[int, set[int]] = {}
        """For the index of each snapshot, the files that begin with the lines of that snapshot."""
        self._run, self._file = -1, -1
        self._one, self._all = RunningDigest(), RunningDigest()
        self._waiting: list[int] = []
        self._followers: list[Look] = []

    def begin(self, file: int) -> None:
        """Begin a file. Its lines are added next."""
        evidence = self._verdict.evidence
        self._file, self._one = file, RunningDigest()
        if evidence.files[file].run != self._run:
            self._end_run()
            self._run, self._all = evidence.files[file].run, RunningDigest()
            self._followers = [look for look in evidence.followed if look.run == self._run]
        found = ((i, s) for i, s in enumerate(evidence.snapshots) if s.run == self._run)
        sound = [(s.count, i) for i, s in found if s.error is None]
        self._waiting = [i for _, i in sorted(sound, reverse=True)]
        self._compare()

    def add(self, line: bytes) -> None:
        """Add the next line of the file."""
        self._one.add(line)
        self._all.add(line)
        self._compare()

    def _compare(self) -> None:
        snapshots = self._verdict.evidence.snapshots
        while self._waiting and snapshots[self._waiting[-1]].count <= self._one.count:
            self._match(self._waiting.pop(), self._one.value())

    def _match(self, index: int, digest: str) -> None:
        snapshot = self._verdict.evidence.snapshots[index]
        if snapshot.digest == digest:
            self.seen_in.setdefault(index, set()).add(self._file)
        else:
            what = f"differs from the log {_first_difference(snapshot, self._one)}"
            self._unlike.setdefault(index, what)

    def end(self, tail: bytes | None) -> None:
        """End the file. `tail`: its last line, if that lacks only its newline."""
        snapshots = self._verdict.evidence.snapshots
        for index in reversed(self._waiting):
            if tail and snapshots[index].count == self._one.count + 1:
                self._match(index, self._one.value_with(tail))
            else:
                self._unlike.setdefault(index, f"is longer than the log of {self._one.count} lines")
        self._waiting = []

    def _end_run(self) -> None:
        for look in self._followers:
            kind = Kind.FOLLOWER_DIFFERS
            if look.error is not None:
                self._verdict.add(Kind.FOLLOWER_RAISED, f"{look.who} raised {look.error}")
            elif self._interrupted:
                pass  # the follower was ended before it had seen everything
            elif look.count != self._all.count:
                what = f"saw {look.count} lines of {self._all.count}"
                self._verdict.add(kind, f"{look.who} {what}{_if_differs(look, self._all)}")
            elif look.digest != self._all.value():
                what = f"differs from the log {_first_difference(look, self._all)}"
                self._verdict.add(kind, f"{look.who} {what}")

    def finish(self) -> None:
        """Judge what the readers saw, after the last file has ended."""
        self._end_run()
        evidence = self._verdict.evidence
        for index, snapshot in enumerate(evidence.snapshots):
            if snapshot.error is not None:
                if not self._is_excused(snapshot):
                    what = f"{snapshot.who} raised {snapshot.error}"
                    self._verdict.add(Kind.SNAPSHOT_RAISED, what)
            elif index not in self.seen_in:
                what = self._unlike.get(index, "matches no log that is left")
                times = f"from {snapshot.begin_ns} ns to {snapshot.end_ns} ns"
                self._verdict.add(
                    Kind.SNAPSHOT_NO_PREFIX,
                    f"{snapshot.who}, {times}, {snapshot.count} lines, {what}",
                )
            else:
                self._check_time(index, snapshot)

    def _is_excused(self, snapshot: Look) -> bool:
        """Return whether a torn tail, or a missing log, was possible at the time of `snapshot`."""
        evidence = self._verdict.evidence
        if snapshot.reason == "torn":
            deaths = (at for process in evidence.deaths.values() for at in process)
            return self._interrupted or any(at < snapshot.end_ns for at in deaths)
        if snapshot.reason == "absent":
            left = [
                f.left_ns for f in evidence.files if f.run == snapshot.run and f.left_ns != FOREVER
            ]
            return any(
                at - _NOTED_NS < snapshot.end_ns and snapshot.begin_ns < at + _ABSENT_NS
                for at in left
            )
        return False

    def _check_time(self, index: int, snapshot: Look) -> None:
        """Check that a snapshot is of a log that was at the path while the snapshot was taken."""
        files = self._verdict.evidence.files
        there = {
            number
            for number in self.seen_in[index]
            if files[number].came_ns <= snapshot.end_ns
            and snapshot.begin_ns <= files[number].left_ns
        }
        if not there:
            names = ", ".join(files[number].path.name for number in self.seen_in[index])
            what = f"{snapshot.who} is of {names}, which was not at the path at that time"
            self._verdict.add(Kind.SNAPSHOT_STALE, what)
        self.seen_in[index] = there


def _first_difference(look: Look, final: RunningDigest) -> str:
    pairs = zip(look.marks, final.marks, strict=False)
    same = next((i for i, (a, b) in enumerate(pairs) if a != b), len(look.marks))
    first, last = same * MARK_EVERY + 1, min((same + 1) * MARK_EVERY, look.count)
    return f"for the first time in lines {first} to {last}"


def _if_differs(look: Look, final: RunningDigest) -> str:
    if all(a == b for a, b in zip(look.marks, final.marks, strict=False)):
        return ""
    return f", and differs from the log {_first_difference(look, final)}"


def _check_freshness(verdict: Verdict, number: int, order: _Order, comparison: _Comparison) -> None:
    """Check that snapshots hold what was acknowledged before, and nothing that was called after.

    Each event is noted for the first snapshot that had to hold it, and for the last snapshot that
    could not hold it yet. A running maximum extends the first note to all later snapshots, and a
    running minimum extends the second note to all earlier ones. A snapshot that could be of another
    file as well is not judged.
    """
    evidence = verdict.evidence
    sound = [s for i, s in enumerate(evidence.snapshots) if comparison.seen_in.get(i) == {number}]
    by_begin = sorted(sound, key=lambda snapshot: snapshot.begin_ns)
    by_end = sorted(sound, key=lambda snapshot: snapshot.end_ns)
    begins = [snapshot.begin_ns for snapshot in by_begin]
    ends = [snapshot.end_ns for snapshot in by_end]
    # For each snapshot, the index in `order` of the last event that it had to hold, and of the
    # first event that it could not hold. -1: no event is noted.
    must = [-1] * (len(sound) + 1)
    must_not = [-1] * (len(sound) + 1)
    for index in range(len(order.seqs)):
        writer, seq = evidence.writers[order.writers[index]], order.seqs[index]
        if seq < writer.called:
            call = writer.call_of(seq)
            if writer.outcomes[call] == Outcome.ACKNOWLEDGED:
                must[bisect_right(begins, writer.end_ns[call])] = index
            slot = bisect_left(ends, writer.begin_ns[call])
            if slot and must_not[slot - 1] < 0:
                must_not[slot - 1] = index
    held = -1
    for snapshot, index in zip(by_begin, must, strict=False):
        held = max(held, index)
        if held >= 0 and order.ordinals[held] >= snapshot.count:
            _note_snapshot(verdict, Kind.SNAPSHOT_STALE, snapshot, number, (order, held))
    first = -1
    for snapshot, index in zip(reversed(by_end), reversed(must_not[:-1]), strict=True):
        first = min(i for i in (first, index) if i >= 0) if max(first, index) >= 0 else -1
        if first >= 0 and order.ordinals[first] < snapshot.count:
            _note_snapshot(verdict, Kind.SNAPSHOT_EARLY, snapshot, number, (order, first))


def _note_snapshot(
    verdict: Verdict, kind: Kind, snapshot: Look, number: int, event: tuple[_Order, int]
) -> None:
    order, index = event
    writer, seq = order.attempt(index)
    when = "acknowledged before it began" if kind is Kind.SNAPSHOT_STALE else "called after it"
    verdict.add(
        kind,
        f"{snapshot.who}, from {snapshot.begin_ns} ns to {snapshot.end_ns} ns, is "
        f"{snapshot.count} lines; event {seq} of {verdict.evidence.writers[writer].name}, {when}, "
        f"is line {order.ordinals[index] + 1}",
        attempts=((writer, seq),),
        spans=(_span(verdict, number, order, index),),
    )
