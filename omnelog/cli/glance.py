# SPDX-License-Identifier: MIT
"""What a run has come to at a glance: from the whole of a small log, of a large one from its ends.

The state is never wrong for that. The last end of the pipe counts, and whoever is not the first to
append may do so after it; so where the end of the log does not show it, all of the log is searched
for the bytes without which no line can be one. What only every line can tell is left open then.
"""

from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from .. import DeserializeError, Event, PipeAborted, PipeCompleted, PipeStarted, decode
from .checks import Findings, sound
from .lines import Lines
from .state import NodeState, RunState, Summary, derive_state, summarize

_WHOLE = 256 * 1024  # bytes, about 1,300 events: as quickly read whole as not
_WINDOW = 64 * 1024  # bytes at the end of a larger one


@dataclass(frozen=True, slots=True, kw_only=True)
class Glance:
    """What a log says of its run; `nodes`, done, failed and all, is None if they were not counted.

    `findings`: what is wrong with what was read.
    """

    state: RunState
    pipe: str | None
    first: Event | None
    last: Event | None
    nodes: tuple[int, int, int] | None
    size: int
    findings: Findings


def glance(path: Path, *, full: bool) -> Glance:
    """Look at a log: at every line of it if `full` or if it is small. Raises LogIOError."""
    findings = Findings(str(path))
    with Lines(path) as lines:
        end, size = lines.extent()
        if not full and size > _WHOLE and end == size and (found := _ends(lines, end)):
            run, nodes = found, None
        else:
            run = summarize(sound(lines, findings), steps=0)
            done, failed = map(run.count, (NodeState.COMPLETED, NodeState.FAILED))
            nodes = (done, failed, len(run.nodes))
    return Glance(
        state=RunState.DAMAGED if findings.count else run.state,
        pipe=run.first.pipe if isinstance(run.first, PipeStarted) else None,
        first=run.first,
        last=run.last,
        nodes=nodes,
        size=size,
        findings=findings,
    )


def _ends(lines: Lines, end: int) -> Summary | None:
    """What the ends of a log of `end` bytes say; None if it takes every line to tell."""
    begin = end - _WINDOW
    _, _, window = lines.part(begin, end).partition(b"\n")  # begins amid a line
    latest = window.split(b"\n")[:-1]
    try:
        first = decode(next(lines.advance(end)))
        if not latest:
            return None  # one line is longer than the window
        last = decode(latest[-1])
    except DeserializeError:
        return None  # a blank line or a bad one, whose number only counting tells
    state = derive_state(_pipe_ends(latest))
    if state is RunState.EMPTY:  # no end in sight; the first event may be one
        state = derive_state(chain((first,), _pipe_ends(lines.advance(end))))
    return Summary(state=state, first=first, last=last)


def _pipe_ends(lines: Iterable[bytes]) -> Iterator[Event]:
    """Yield the events that end a pipe, decoding next to no other."""
    for line in lines:
        if b"pipe." in line or b"\\u00" in line:  # a letter of it may be spelt as an escape
            with suppress(DeserializeError):  # in the middle of a large log, which `verify` reads
                event = decode(line)
                if isinstance(event, PipeCompleted | PipeAborted):
                    yield event
