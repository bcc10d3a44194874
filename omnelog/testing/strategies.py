# SPDX-License-Identifier: MIT
"""What hypothesis draws: any event at all, a run as a pipe would log it, a log that was damaged.

An event may hold any text that UTF-8 can, however odd for its field: the line carries it, so what
reads a log meets it. `runs` draws what a well-behaved runner writes. The strategies of the events
are derived from the dataclasses, so a new event or field is drawn as soon as it is declared.
"""

from dataclasses import dataclass, fields, is_dataclass
from datetime import datetime, timedelta
from enum import Enum
from functools import partial
from types import UnionType
from typing import Any, get_args, get_origin  # Any: a field may be of any type

from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

from .. import (
    ErrorKind,
    Event,
    GateMethod,
    GatePassed,
    Input,
    IterationStarted,
    NodeCompleted,
    NodeError,
    NodeFailed,
    NodeKind,
    NodeStarted,
    PipeAborted,
    PipeCompleted,
    PipeStarted,
    encode,
    node_capture_wire_path,
)

AWKWARD = (
    '"\\/\b\f\n\r\t\0\x01\x1b\x1c\x1d\x1e\x1f\x7f'  # JSON's own, controls, DEL
    "\x80\x85\xa0\xad\u0378\u200d\u200f\u2028\u2029\ufdd0\ufeff\ufffd\uffff"  # ends of lines, BOM
    "\U00010000\U0001f600\U000e0001\U0010ffff"  # astral
    "{}[],:0u'e\u0301\u00e9\ud7ff\ue000"  # brackets, one letter spelt twice, next to surrogates
)
"""Characters that a line reader, an escaper or a decoder may trip over."""

_CROCKFORD = "0123456789abcdefghjkmnpqrstvwxyz"


def texts() -> SearchStrategy[str]:
    """All text that UTF-8 can hold, and often the awkward kind."""
    return st.text() | st.text(st.sampled_from(AWKWARD))


def ulids() -> SearchStrategy[str]:
    """Lowercase ULIDs, the least and the greatest included."""
    return st.integers(0, 2**128 - 1).map(_ulid)


def timestamps() -> SearchStrategy[str]:
    """``YYYY-MM-DDTHH:MM:SSZ``."""
    return st.datetimes().map(_timestamp)


def run_ids() -> SearchStrategy[str]:
    """Run ids as omne makes them, ``<pipe>-<lowercase ulid>``; each can be a directory's name."""
    return st.tuples(_names("abcxyz0189-_."), ulids()).map("-".join)


def _ulid(number: int) -> str:
    return "".join(_CROCKFORD[number >> shift & 31] for shift in range(125, -1, -5))


def _timestamp(when: datetime) -> str:
    return when.isoformat(timespec="seconds") + "Z"


def _names(alphabet: str) -> SearchStrategy[str]:
    return st.text(st.sampled_from(alphabet), min_size=1, max_size=20)


# ---- one event ----

_BY_NAME = {
    "id": ulids() | texts(),
    "ts": timestamps() | texts(),
    "run_id": run_ids() | texts(),
}


def _values(kind: Any) -> SearchStrategy[Any]:
    """Every value of a type that a field of an event is declared to have."""
    if kind is str:
        return texts()
    if isinstance(kind, UnionType):  # X | None: there is no other
        return st.none() | _values(get_args(kind)[0])
    if get_origin(kind) is list:
        return st.lists(_values(get_args(kind)[0]), max_size=4)
    if isinstance(kind, type) and is_dataclass(kind):
        members = {field.name: _values(field.type) for field in fields(kind)}
        return st.builds(kind, **{name: _BY_NAME.get(name, of) for name, of in members.items()})
    if isinstance(kind, type) and issubclass(kind, Enum):
        return st.sampled_from(kind)
    span: range = kind.__metadata__[0]  # U32 or U64; the powers of two between are edges as well
    edges = [0, *(2**bits - 1 for bits in (8, 32, 53, 63, 64)), *(2**bits for bits in (32, 53, 63))]
    return st.sampled_from([edge for edge in edges if edge in span]) | st.integers(0, span.stop - 1)


EVENTS: dict[str, SearchStrategy[Event]] = {cls.type: _values(cls) for cls in get_args(Event)}
"""A strategy for each event type, by its name on the wire; each draws any text for any string."""


def events() -> SearchStrategy[Event]:
    """Any event at all, with any text in it."""
    return st.one_of(*EVENTS.values())


# ---- a run ----


@st.composite
def runs(draw: DrawFn) -> list[Event]:
    """The events of one run as a well-behaved runner logs them; it may be going on still.

    They share one run id, their ids and times rise, and every node has an id of its own, starts,
    goes through its iterations and gates, and ends; nodes run side by side.
    """
    run_id = draw(run_ids())
    node_ids = draw(st.lists(_names("abcxyz0189-_"), unique=True, max_size=4))
    nodes = {node: draw(_nodes(node, node_capture_wire_path(run_id, node))) for node in node_ids}
    inputs = draw(st.lists(st.builds(Input, key=texts(), value=texts()), max_size=3))
    start = partial(PipeStarted, pipe=run_id[:-27], inputs=inputs, distro_version="1.2.3")
    turns = draw(st.permutations([node for node in node_ids for _ in nodes[node]]))
    steps: list[partial[Any]] = [start, *(nodes[node].pop(0) for node in turns)]
    well = draw(st.booleans()) and not any(step.func is NodeFailed for step in steps)
    steps.append(partial(PipeCompleted) if well else partial(PipeAborted, reason=draw(texts())))
    told = len(steps) if draw(st.booleans()) else draw(st.integers(1, len(steps)))
    number = draw(st.integers(0, 2**127))
    when = draw(st.datetimes(max_value=datetime(9000, 1, 1)))  # noqa: DTZ001 - UTC, as all times
    run = []
    for step in steps[:told]:
        run.append(step(id=_ulid(number), ts=_timestamp(when), run_id=run_id))
        number += draw(st.integers(1, 2**80))
        when += timedelta(seconds=draw(st.integers(0, 3600)))
    return run


@st.composite
def _nodes(draw: DrawFn, node_id: str, output_path: str) -> list[partial[Event]]:
    """What a node logs from its start to its end, but for what every event says."""
    kind = draw(st.sampled_from(NodeKind))
    start = partial(NodeStarted, kind=kind, name=draw(st.none() | texts()))
    steps: list[partial[Any]] = [partial(start, model=draw(st.none() | texts()))]
    offset = 0
    for iteration in range(1, draw(st.integers(1, 4)) if kind is NodeKind.LOOP else 1):
        offset += draw(st.integers(0, 2**33)) + len(f"=== omne:iteration:{iteration} ===\n")
        steps.append(partial(IterationStarted, iteration=iteration, byte_offset=offset))
    if draw(st.booleans()):
        method = draw(st.sampled_from(GateMethod))
        steps.append(partial(GatePassed, gate=draw(texts()), method=method))
    if draw(st.booleans()):
        error = NodeError(kind=draw(st.sampled_from(ErrorKind)))
        steps.append(partial(NodeFailed, error=error, message=draw(st.none() | texts())))
    else:
        steps.append(partial(NodeCompleted, output_path=output_path))
    return [partial(step, node_id=node_id) for step in steps]


# ---- a damaged log ----


@dataclass(frozen=True, slots=True, kw_only=True)
class DamagedLog:
    """The bytes of a log, and what a reader has to make of them.

    `events` are those of its sound lines, in order. `bad_lines` are the numbers, from 1, of those
    that are no event, the last one included if the log ends in a `torn` one. `blank_lines` of them
    are passed over.
    """

    data: bytes
    events: list[Event]
    bad_lines: list[int]
    blank_lines: int
    torn: bool


@st.composite
def damaged_logs(draw: DrawFn) -> DamagedLog:
    """Logs with at least one bad line: cut, glued to the next, zeroed, foreign, or torn at the end.

    Around them are sound lines, some with a carriage return, and blank ones; the last line may
    lack its newline.
    """
    lines = draw(st.lists(_SOUND | _BLANK | _BAD, max_size=5))
    lines.insert(draw(st.integers(0, len(lines))), draw(_BAD))
    data = b"".join(line + b"\n" for line, _ in lines)
    if tail := draw(st.none() | _SOUND | _BAD):
        lines.append(tail)
        data += tail[0]
    return DamagedLog(
        data=data,
        events=[event for _, found in lines for event in found or []],
        bad_lines=[number for number, (_, found) in enumerate(lines, 1) if found is None],
        blank_lines=[found for _, found in lines].count([]),
        torn=tail is not None and tail[1] is None,
    )


_Line = tuple[bytes, list[Event] | None]
"""A line without its newline, and the events that are in it: one, none, or None if it is bad."""


def _bare(event: Event) -> bytes:
    return encode(event).removesuffix(b"\n")


@st.composite
def _bad_lines(draw: DrawFn) -> _Line:
    line = _bare(draw(events()))
    part = line[: draw(st.integers(1, len(line) - 1))]  # cannot be JSON, nor can what it begins
    bad = [
        part,
        part + _bare(draw(events())),
        bytes(len(part)),
        bytes(len(part)) + line,
        part + b"\xff" + line[len(part) :],
        line.replace(b'"type":"', b'"type":"x', 1),
        line.removesuffix(b"}") + b',"id":""}',
    ]
    return draw(st.sampled_from(bad)), None


_SOUND: SearchStrategy[_Line] = st.tuples(events(), st.sampled_from([b"", b"\r"])).map(
    lambda drawn: (_bare(drawn[0]) + drawn[1], [drawn[0]])
)
_BLANK: SearchStrategy[_Line] = st.sampled_from(["", " ", "\t\r", "\u2003\u2028"]).map(
    lambda text: (text.encode(), [])
)
_BAD: SearchStrategy[_Line] = _bad_lines()
