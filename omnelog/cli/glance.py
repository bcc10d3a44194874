# SPDX-License-Identifier: MIT
"""A run at a glance: from all of a small log, and from the two ends of a large one.

The state is right even so. The last end of the pipe counts, and other lines may follow it. So if
the end of the log does not show it, the whole log is searched for the bytes that every such line
has. Nodes are counted from the type and the node of each line alone. What is not seen is damage in
the middle.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from .. import (
    DeserializeError,
    Event,
    NodeCompleted,
    NodeFailed,
    NodeStarted,
    PipeAborted,
    PipeCompleted,
    PipeStarted,
    decode,
)
from .checks import Findings, sound
from .log_lines import LogLines
from .state import NodeState, RunState, Summary, state_after, summarize

_WHOLE = 256 * 1024  # bytes, about 1,300 events: as quickly read whole as not
_WINDOW = 64 * 1024  # bytes at the end of a larger one


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """How many nodes of a run are done, have failed, and are there in all."""

    completed: int
    failed: int
    total: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Glance:
    """What a log says of its run; `nodes` is None if they were not counted.

    `findings`: what is wrong with what was read.
    """

    state: RunState
    pipe: str | None
    first: Event | None
    last: Event | None
    ended: Event | None
    nodes: Counts | None
    size: int
    findings: Findings


def glance(path: Path, *, full: bool) -> Glance:
    """Look at a log: at every line of it if `full` or if it is small. Raises LogIOError."""
    findings = Findings(str(path))
    counts = None
    with LogLines(path) as lines:
        end, size = lines.extent()
        run = None
        if not full and size > _WHOLE and end == size:
            run = _ends(lines, end)
        if run is None:
            run = summarize(sound(lines, findings), steps=0)
            counts = Counts(
                completed=run.count(NodeState.COMPLETED),
                failed=run.count(NodeState.FAILED),
                total=len(run.nodes),
            )
    return Glance(
        state=RunState.DAMAGED if findings.count else run.state,
        pipe=run.first.pipe if isinstance(run.first, PipeStarted) else None,
        first=run.first,
        last=run.last,
        ended=run.ended,
        nodes=counts,
        size=size,
        findings=findings,
    )


def _ends(lines: LogLines, end: int) -> Summary | None:
    """What the ends of a log of `end` bytes say; None if every line has to be read for that."""
    begin = end - _WINDOW
    _, _, window = lines.part(begin, end).partition(b"\n")  # it begins inside a line
    latest = window.split(b"\n")[:-1]
    try:
        first = decode(next(lines.advance(end)).data)
        if not latest:
            return None  # one line is longer than the window
        last = decode(latest[-1])
    except DeserializeError:
        return None  # a blank line or a bad one, whose number has to be counted
    found = Summary(state=state_after(RunState.EMPTY, first), first=first, last=last)
    ends = list(_pipe_ends(latest))
    if not ends:  # no end in sight; the first event may be one
        blocks = (b for b in lines.whole_lines(end) if b"pipe." in b or b"\\u00" in b)
        ends = list(_pipe_ends(chain.from_iterable(block.split(b"\n") for block in blocks)))
    for event in ends:
        found.state = state_after(found.state, event)
        found.ended = event
    return found


def _pipe_ends(lines: Iterable[bytes]) -> Iterator[PipeCompleted | PipeAborted]:
    """Yield the events that end a pipe, decoding next to no other."""
    for line in lines:
        if b"pipe." in line or b"\\u00" in line:  # a letter of it may be written as an escape
            with suppress(DeserializeError):  # in the middle of a large log, which `verify` reads
                event = decode(line)
                if isinstance(event, PipeCompleted | PipeAborted):
                    yield event


_STRING = rb'"([^"\\\n]*)"'  # without an escape
_NODE_LINE = (
    rb'\{"type":"(?:node\.(started|completed|failed)|gate\.passed|iteration\.started)",'
    rb'"id":%b,"ts":%b,"run_id":%b,"node_id":%b[,}][^\n]*\n' % ((_STRING,) * 4)
)
"""The canonical line of an event of a node, as far as it matters for counting: a pattern."""


def count_nodes(path: Path, read: Callable[[int], None]) -> Counts:
    """Count the nodes of a log of any size, damage passed over, in memory that grows with them.

    `read` is called with the bytes that were read since its last call. It takes a fifth of what
    decoding every line does. Raises LogIOError.
    """
    ends: dict[bytes, str] = {}
    node_line = re.compile(_NODE_LINE)  # here, for it takes 1 ms and few volumes have large logs
    with LogLines(path) as lines:
        end, _ = lines.extent()
        for block in lines.whole_lines(end):
            at = 0
            while at < len(block):
                found = node_line.match(block, at)
                if found:
                    _note(ends, found[5], (found[1] or b"").decode())
                    at = found.end()
                else:  # of the pipe, or in another spelling, or no event at all
                    newline = block.index(b"\n", at)
                    _note_decoded(ends, block[at:newline])
                    at = newline + 1
            read(len(block))
    completed = sum(end == "completed" for end in ends.values())
    failed = sum(end == "failed" for end in ends.values())
    return Counts(completed=completed, failed=failed, total=len(ends))


def _note(ends: dict[bytes, str], node_id: bytes, what: str) -> None:
    """Note what became of a node: it started, completed or failed; else it is just there."""
    if what:
        ends[node_id] = what
    else:
        ends.setdefault(node_id, "")


def _note_decoded(ends: dict[bytes, str], line: bytes) -> None:
    try:
        event = decode(line)
    except DeserializeError:
        return
    if isinstance(event, PipeStarted | PipeCompleted | PipeAborted):
        return
    what = ""
    if isinstance(event, NodeStarted | NodeCompleted | NodeFailed):
        what = event.type.removeprefix("node.")
    _note(ends, event.node_id.encode(), what)
