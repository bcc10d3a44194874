# SPDX-License-Identifier: MIT
"""Find what is wrong with a log: with its lines, their order, its tail and its quarantine.

A finding prints as ``path:line: reason``, and the number of findings that are kept is bounded.
`Checker` takes one event after the other and does not read files; the rest reads the log.
"""

from array import array
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from .. import (
    DeserializeError,
    Event,
    LogIOError,
    NodeCompleted,
    NodeFailed,
    NodeStarted,
    PipeAborted,
    PipeCompleted,
    PipeStarted,
    encode,
)
from ..recording import ts_ms
from .log_lines import LogLines, log_exists, quarantine_path
from .text import counted, plain

_KEPT = 100  # findings of one log; nobody reads more
_TICK = 1000  # lines between two reports of progress
_BUCKETS = 256  # so that looking for one id does not search all ids


class Finding(NamedTuple):
    """One thing that is wrong with a file. `line` counts from 1; None is the whole file."""

    path: str
    line: int | None
    reason: str

    def __str__(self) -> str:
        place = self.path if self.line is None else f"{self.path}:{self.line}"
        return f"{place}: {self.reason}"


class Findings:
    """The first hundred findings of one log, and how many there were."""

    def __init__(self, path: str) -> None:
        """For the log at `path`, without findings yet."""
        self.path: str = path
        self.kept: list[Finding] = []
        self.count: int = 0

    def add(self, reason: str, line: int | None = None, path: str | None = None) -> None:
        """Add a finding. `line`: counted from 1, None for the whole file. `path`: another file."""
        self.count += 1
        if len(self.kept) < _KEPT:
            self.kept.append(Finding(path or self.path, line, reason))

    def __iter__(self) -> Iterator[Finding]:
        yield from self.kept
        if self.count > len(self.kept):
            yield Finding(self.path, None, f"and {self.count - len(self.kept)} more findings")


def sound(
    lines: LogLines, findings: Findings, read: Callable[[int], None] | None = None
) -> Iterator[Event]:
    """Yield the events of a snapshot; add the lines that are not events to `findings`.

    `read` is called from time to time with the number of bytes that were read so far.
    """
    for line in lines.snapshot_lines():
        found = lines.event(line)
        if isinstance(found, DeserializeError):
            findings.add(found.reason, found.line)
        elif found is not None:
            yield found
        if read is not None and line.number % _TICK == 0:
            read(line.offset)


def sound_events(
    path: Path, findings: Findings, read: Callable[[int], None] | None = None
) -> Iterator[Event]:
    """Yield the events of a snapshot of the log at `path`, as `sound` does, if the log exists."""
    if log_exists(path):
        with LogLines(path) as lines:
            yield from sound(lines, findings, read)


class Checker:
    """Takes the events of a log in order, and finds what is wrong with each or with their order.

    The memory grows with the nodes of the run, and by 8 bytes with each event, for its id.
    """

    def __init__(self, run_id: str) -> None:
        """For the log of `run_id`."""
        self._run_id = run_id
        self._events = 0
        self._pipe_ended = 0  # the line of the last end of the pipe; 0: it has not ended
        self._is_aborted = False
        self._first: Event | None = None
        self._last: Event | None = None
        self._nodes: dict[str, int] = {}  # the line of the start; after the end, minus its line
        self._ids = [array("Q") for _ in range(_BUCKETS)]

    def take(self, number: int, event: Event) -> list[str]:
        """Take the event on line `number`, counted from 1, and return what is wrong with it.

        Whether its id is in the log already is not checked: `repeated` does that for all lines.
        """
        reasons = list(self.faults(event))
        hashed = id_hash(event)
        self._ids[hashed % _BUCKETS].append(hashed)
        self._events += 1
        self._first = self._first or event
        self._last = event
        if isinstance(event, PipeCompleted | PipeAborted):
            if not self._pipe_ended:
                self._is_aborted = isinstance(event, PipeAborted)
            self._pipe_ended = number
        elif isinstance(event, NodeStarted):
            self._nodes[event.node_id] = number
        elif isinstance(event, NodeCompleted | NodeFailed):
            self._nodes[event.node_id] = -number
        return reasons

    def faults(self, event: Event) -> Iterator[str]:
        """Yield what would be wrong with `event` if it were on the next line."""
        if event.run_id != self._run_id:
            yield f"of another run: run_id is {plain(event.run_id, 80)!r}"
        if ts_ms(event.ts) is None:
            yield f"ts is {plain(event.ts, 80)!r}, which is not a time as YYYY-MM-DDTHH:MM:SSZ"
        if self._pipe_ended and not self._may_outlive_pipe(event):
            yield f"{event.type} after the end of the pipe, line {self._pipe_ended}"
        if isinstance(event, PipeStarted):
            if self._events:
                yield "pipe.started again"
        elif isinstance(event, PipeCompleted | PipeAborted):
            if isinstance(event, PipeCompleted) and not self._pipe_ended:
                yield from self._left_open()
        else:
            yield from self._node_faults(event, event.node_id)
        if not self._events and not isinstance(event, PipeStarted):
            yield f"the first event is {event.type}, not pipe.started"

    def _may_outlive_pipe(self, event: Event) -> bool:
        """Return whether the pipe was aborted, and the node of `event` was still running then.

        Such a node may log its events after the end of the pipe, but not start again.
        """
        node_id = getattr(event, "node_id", None)
        is_running = node_id is not None and self._nodes.get(node_id, 0) > 0
        return self._is_aborted and is_running and not isinstance(event, NodeStarted)

    def _left_open(self) -> Iterator[str]:
        for node_id, line in self._nodes.items():
            if line > 0:
                yield f"pipe completed, but node {_spell(node_id)} of line {line} has no end"

    def _node_faults(self, event: Event, node_id: str) -> Iterator[str]:
        line = self._nodes.get(node_id, 0)
        if isinstance(event, NodeStarted):
            if line:
                yield f"node {_spell(node_id)} started again, after line {abs(line)}"
        elif line < 0:
            yield f"{event.type}, but node {_spell(node_id)} ended on line {-line}"
        elif not line:
            yield f"{event.type}, but node {_spell(node_id)} was never started"

    @property
    def open_between(self) -> tuple[Event | None, Event | None]:
        """The first event and the last one so far; None twice if the pipe has ended."""
        return (None, None) if self._pipe_ended else (self._first, self._last)

    def has_id_of(self, event: Event) -> bool:
        """Return whether an event that was taken has the same id, by a hash of 64 bits."""
        hashed = id_hash(event)
        return hashed in self._ids[hashed % _BUCKETS]

    def repeated(self) -> set[int]:
        """Return the `id_hash` of every id that occurs twice, and by chance of a few others."""
        found = set()
        for bucket in self._ids:
            if len(set(bucket)) < len(bucket):
                ordered = sorted(bucket)
                found |= {a for a, b in pairwise(ordered) if a == b}
        return found


def id_hash(event: Event) -> int:
    """Return a hash of 64 bits of an event's id, which is valid in this process only."""
    return hash(event.id) % 2**64


def _difference(line: bytes, canonical: bytes) -> str:
    pairs = enumerate(zip(line, canonical, strict=False))
    at = next((i for i, (a, b) in pairs if a != b), min(len(line), len(canonical)))
    return f"from byte {at} on it should read {canonical[at : at + 40].decode(errors='replace')!r}"


def _spell(node_id: str) -> str:
    return repr(plain(node_id, 80))


class Verdict(NamedTuple):
    """What is wrong with a log, how many lines it has, and whether one more is being written."""

    run_id: str
    findings: Findings
    lines: int = 0
    tail_in_flight: bool = False
    first: Event | None = None
    last: Event | None = None
    """The first event and the last one, unless the pipe has ended."""


def check_log(run_id: str, path: Path, read: Callable[[int], None]) -> Verdict:
    """Check the log of `run_id` at `path`.

    `read` is called with the number of bytes that were read since its last call.
    """
    findings = Findings(str(path))
    verdict = Verdict(run_id, findings)
    try:
        if log_exists(path):
            verdict = _check_lines(run_id, path, findings, read)
        _check_quarantine(quarantine_path(path), findings)
    except LogIOError as error:
        findings.add(error.strerror or str(error), path=error.filename)
    return verdict


def _check_lines(
    run_id: str, path: Path, findings: Findings, read: Callable[[int], None]
) -> Verdict:
    checker = Checker(run_id)
    number = 0
    offset = 0
    reported = 0
    with LogLines(path) as lines:
        for line in lines.snapshot_lines():
            number = line.number
            offset = line.offset
            if number % _TICK == 0:
                read(offset - reported)
                reported = offset
            event = lines.event(line)
            if isinstance(event, DeserializeError):
                findings.add(event.reason, number)
            elif event is not None:
                canonical = encode(event)[:-1]
                if line.data != canonical and line.ended:
                    findings.add(f"not canonical: {_difference(line.data, canonical)}", number)
                for reason in checker.take(number, event):
                    findings.add(reason, number)
                if not line.ended:
                    findings.add("only its newline is missing, which the next append adds", number)
        read(offset - reported)
    if repeated := checker.repeated():
        _check_ids(path, repeated, findings)
    first, last = checker.open_between
    return Verdict(run_id, findings, number, lines.tail_in_flight, first, last)


def _check_ids(path: Path, repeated: set[int], findings: Findings) -> None:
    """Read the log again, and add a finding for each line whose id an earlier line has."""
    first: dict[str, int] = {}
    with LogLines(path) as lines:
        for line in lines.snapshot_lines():
            event = lines.event(line)
            if event is None or isinstance(event, DeserializeError):
                continue
            if id_hash(event) in repeated:
                earlier = first.setdefault(event.id, line.number)
                if earlier != line.number:
                    findings.add(
                        f"id {plain(event.id, 80)!r} is on line {earlier}, too", line.number
                    )


def _check_quarantine(path: Path, findings: Findings) -> None:
    if log_exists(path):
        with LogLines(path) as lines:
            tails = sum(1 for _ in lines.advance())
        findings.add(
            f"quarantine: {counted(tails, 'torn tail')} moved here; "
            "look at the file, then delete it",
            line=1,
            path=str(path),
        )
