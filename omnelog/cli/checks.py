# SPDX-License-Identifier: MIT
"""What must hold of the lines of a log beyond being events: pure, a line at a time."""

from array import array
from itertools import pairwise

from .. import (
    Event,
    GatePassed,
    IterationStarted,
    NodeCompleted,
    NodeFailed,
    NodeStarted,
    PipeAborted,
    PipeCompleted,
    PipeStarted,
    encode,
)
from .findings import Findings
from .wording import plain

_BUCKETS = 256


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
