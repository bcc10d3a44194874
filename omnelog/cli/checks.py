# SPDX-License-Identifier: MIT
"""What is wrong with a log: its lines, their order, its tail and its quarantine.

What is found is kept as ``path:line: reason``, bounded however much is wrong. `Checker` is pure and
takes a line at a time; the rest reads the log.
"""

from array import array
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

from .. import (
    DeserializeError,
    Event,
    GatePassed,
    IterationStarted,
    LogIOError,
    NodeCompleted,
    NodeFailed,
    NodeStarted,
    PipeAborted,
    PipeCompleted,
    PipeStarted,
    encode,
)
from .lines import Lines, log_exists
from .text import counted, plain

_KEPT = 100  # of one log; who has that many does not read on
_TICK = 1000  # lines between two news of how far it is
_BUCKETS = 256


@dataclass(slots=True)
class Findings:
    """The first hundred findings of one log, and how many there were."""

    path: str
    kept: list[str] = field(default_factory=list)
    count: int = 0

    def add(self, reason: str, line: int | None = None, path: str | None = None) -> None:
        """Note what is wrong: with a line, counted from 1, or all of it; with another file."""
        self.count += 1
        if len(self.kept) < _KEPT:
            place = path or self.path
            self.kept.append(f"{place}: {reason}" if line is None else f"{place}:{line}: {reason}")

    def __iter__(self) -> Iterator[str]:
        yield from self.kept
        if self.count > len(self.kept):
            yield f"{self.path}: and {self.count - len(self.kept)} more findings"


def sound(lines: Lines, findings: Findings) -> Iterator[Event]:
    """Yield the events of a snapshot; what is no event is put into `findings`."""
    for line in lines.snapshot_lines():
        found = lines.event(line)
        if isinstance(found, DeserializeError):
            findings.add(found.reason, found.line)
        elif found is not None:
            yield found


def sound_events(path: Path, findings: Findings) -> Iterator[Event]:
    """Yield the events of a snapshot of the log, if there is one, as `sound` does."""
    if log_exists(path):
        with Lines(path) as lines:
            yield from sound(lines, findings)


class Checker:
    """Takes the events of a log in order and adds to `findings` what is wrong with them.

    In memory that grows with the nodes of the run and by 8 bytes an event, for its id.
    """

    def __init__(self, run_id: str, findings: Findings) -> None:
        """For the log of `run_id`."""
        self._run_id, self._findings = run_id, findings
        self._events = 0
        self._pipe_ended = 0  # on which line; 0: not yet
        self._nodes: dict[str, int] = {}  # the line of its start, or of its end and then negative
        self._ids = [array("Q") for _ in range(_BUCKETS)]

    def take(self, number: int, line: bytes, event: Event) -> None:
        """The next line: its number from 1, its bytes, and the event that they say."""
        canonical = encode(event)
        if line != canonical and line.endswith(b"\n"):
            self._add(number, f"not canonical: {_difference(line, canonical)}")
        if event.run_id != self._run_id:
            self._add(number, f"of another run: run_id is {plain(event.run_id, 80)!r}")
        hashed = id_hash(event)
        self._ids[hashed % _BUCKETS].append(hashed)
        if self._pipe_ended:
            self._add(number, f"{event.type} after the end of the pipe, line {self._pipe_ended}")
        self._events += 1
        match event:
            case PipeStarted():
                if self._events > 1:
                    self._add(number, "pipe.started again")
            case PipeCompleted() | PipeAborted():
                self._end_pipe(number, event)
            case _:
                self._take_node(number, event)
        if self._events == 1 and not isinstance(event, PipeStarted):
            self._add(number, f"the first event is {event.type}, not pipe.started")

    def _end_pipe(self, number: int, event: PipeCompleted | PipeAborted) -> None:
        if isinstance(event, PipeCompleted) and not self._pipe_ended:
            for node_id, line in self._nodes.items():
                if line > 0:
                    self._add(
                        number,
                        f"pipe completed, but node {_spell(node_id)} of line {line} has no end",
                    )
        self._pipe_ended = number

    def _take_node(
        self,
        number: int,
        event: NodeStarted | NodeCompleted | NodeFailed | GatePassed | IterationStarted,
    ) -> None:
        line = self._nodes.get(event.node_id, 0)
        node = f"node {_spell(event.node_id)}"
        if isinstance(event, NodeStarted):
            if line:
                self._add(number, f"{node} started again, after line {abs(line)}")
            self._nodes[event.node_id] = number
            return
        if line < 0:
            self._add(number, f"{event.type}, but {node} ended on line {-line}")
        elif not line:
            self._add(number, f"{event.type}, but {node} was never started")
        if isinstance(event, NodeCompleted | NodeFailed):
            self._nodes[event.node_id] = -number

    def repeated(self) -> set[int]:
        """The `id_hash` of ids that are there twice, and with luck of no other."""
        found = set()
        for bucket in self._ids:
            if len(set(bucket)) < len(bucket):
                ordered = sorted(bucket)
                found |= {a for a, b in pairwise(ordered) if a == b}
        return found

    def _add(self, number: int, reason: str) -> None:
        self._findings.add(reason, number)


def id_hash(event: Event) -> int:
    """64 bits for the id of an event, the same for the same id as long as this process runs."""
    return hash(event.id) % 2**64


def _difference(line: bytes, canonical: bytes) -> str:
    pairs = enumerate(zip(line, canonical, strict=False))
    at = next((i for i, (a, b) in pairs if a != b), min(len(line), len(canonical)))
    return f"from byte {at} on it should read {canonical[at : at + 40].decode(errors='replace')!r}"


def _spell(node_id: str) -> str:
    return repr(plain(node_id, 80))


@dataclass(frozen=True, slots=True)
class Verdict:
    """On one log: what is wrong, how many lines it has, whether one more is being written."""

    findings: Findings
    lines: int = 0
    tail_in_flight: bool = False


def check_log(run_id: str, path: Path, read: Callable[[int], None]) -> Verdict:
    """Check the log of `run_id`; `read` is told of bytes read meanwhile."""
    findings = Findings(str(path))
    verdict = Verdict(findings)
    try:
        if log_exists(path):
            verdict = _check_lines(run_id, path, findings, read)
        _check_quarantine(path.with_name(path.name + ".torn"), findings)
    except LogIOError as error:
        findings.add(error.strerror or str(error), path=error.filename)
    return verdict


def _check_lines(
    run_id: str, path: Path, findings: Findings, read: Callable[[int], None]
) -> Verdict:
    checker = Checker(run_id, findings)
    with Lines(path) as lines:
        told = 0
        for line in lines.snapshot_lines():
            if lines.number % _TICK == 0:
                read(lines.offset - told)
                told = lines.offset
            event = lines.event(line)
            if isinstance(event, DeserializeError):
                findings.add(event.reason, lines.number)
            elif event is not None:
                checker.take(lines.number, line, event)
                if not line.endswith(b"\n"):
                    findings.add(
                        "only its newline is missing, which the next append adds", lines.number
                    )
        read(lines.offset - told)
    if repeated := checker.repeated():
        _check_ids(path, repeated, findings)
    return Verdict(findings, lines.number, lines.tail_in_flight)


def _check_ids(path: Path, repeated: set[int], findings: Findings) -> None:
    """Read the log again to tell which lines have an id that another one has."""
    first: dict[str, int] = {}
    with Lines(path) as lines:
        for line in lines.snapshot_lines():
            event = lines.event(line)
            if event is None or isinstance(event, DeserializeError):
                continue
            if id_hash(event) in repeated:
                earlier = first.setdefault(event.id, lines.number)
                if earlier != lines.number:
                    findings.add(
                        f"id {plain(event.id, 80)!r} is on line {earlier}, too", lines.number
                    )


def _check_quarantine(path: Path, findings: Findings) -> None:
    if log_exists(path):
        with Lines(path) as lines:
            tails = sum(1 for _ in lines.advance())
        findings.add(
            f"quarantine: {counted(tails, 'torn tail')} set aside here; look, then remove it",
            line=1,
            path=str(path),
        )
