# SPDX-License-Identifier: MIT
"""Strategies for hypothesis: any event at all, a run as a pipe logs it, and a damaged log.

A string of an event may be any text that UTF-8 can encode, even if it does not suit the member,
because a line may hold it and a reader of logs must handle it. `runs` draws what a well-behaved
runner writes. The strategies of the events are derived from the dataclasses, so a new event or
member is drawn as soon as it is declared.

The functions of this module draw events of the omnelog that this module belongs to. `Strategies`
draws those of another copy of omnelog, such as a vendored one. What hypothesis prints of an example
can be pasted into a test that imports the names from that copy and from this module.
"""

import sys
from collections.abc import Callable
from dataclasses import dataclass, fields, is_dataclass
from datetime import datetime, timedelta
from enum import Enum
from functools import partial
from types import ModuleType, UnionType
from typing import Any, get_args, get_origin  # Any: a field may be of any type

from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy
from hypothesis.vendor.pretty import RepresentationPrinter, for_type_by_name

from .. import Event

AWKWARD = (
    '"\\/\b\f\n\r\t\0\x01\x1b\x1c\x1d\x1e\x1f\x7f'  # JSON's own, controls, DEL
    "\x80\x85\xa0\xad\u0378\u200d\u200f\u2028\u2029\ufdd0\ufeff\ufffd\uffff"  # ends of lines, BOM
    "\U00010000\U0001f600\U000e0001\U0010ffff"  # astral
    "{}[],:0u'e\u0301\u00e9\ud7ff\ue000"  # brackets, one letter spelt twice, next to surrogates
)
"""Characters that break programs: quotes, escapes, line ends and others."""

_CROCKFORD = "0123456789abcdefghjkmnpqrstvwxyz"


def texts() -> SearchStrategy[str]:
    """Return a strategy for all text that UTF-8 can encode; it is often made from `AWKWARD`."""
    return st.text() | st.text(st.sampled_from(AWKWARD))


@st.composite
def ulids(draw: DrawFn) -> str:
    """Draw a lowercase ULID, from the least possible one to the greatest."""
    return _ulid(draw(st.integers(0, 2**128 - 1)))


@st.composite
def timestamps(draw: DrawFn) -> str:
    """Draw a time as ``YYYY-MM-DDTHH:MM:SSZ``."""
    return _timestamp(draw(st.datetimes()))


@st.composite
def run_ids(draw: DrawFn) -> str:
    """Draw a run id as omne makes it, ``<pipe>-<lowercase ulid>``, valid as a directory's name."""
    return f"{draw(_names('abcxyz0189-_.'))}-{draw(ulids())}"


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
    """Return a strategy for every value of the declared type `kind`."""
    if kind is str:
        return texts()
    if isinstance(kind, UnionType):  # always X | None
        return st.none() | _values(get_args(kind)[0])
    if get_origin(kind) is list:
        return st.lists(_values(get_args(kind)[0]), max_size=4)
    if isinstance(kind, type) and is_dataclass(kind):
        members = {field.name: _values(field.type) for field in fields(kind)}
        return _instances(kind, {name: _BY_NAME.get(name, of) for name, of in members.items()})
    if isinstance(kind, type) and issubclass(kind, Enum):
        return st.sampled_from(kind)
    span: range = kind.__metadata__[0]  # U32 or U64; powers of two are edges for some programs
    edges = [0, *(2**bits - 1 for bits in (8, 32, 53, 63, 64)), *(2**bits for bits in (32, 53, 63))]
    return st.sampled_from([edge for edge in edges if edge in span]) | st.integers(0, span.stop - 1)


@st.composite
def _instances(draw: DrawFn, cls: type, members: dict[str, SearchStrategy[Any]]) -> Any:
    """Draw an instance of `cls`. If `st.builds` drew it, `_print` would not print it."""
    return cls(**{name: draw(of) for name, of in members.items()})


def _print(value: object, printer: RepresentationPrinter, _cycle: bool) -> None:
    printer.text(_source(value))


def _source(value: object) -> str:
    """Return the Python expression that makes a value of a field, or an event."""
    if isinstance(value, Enum):
        return f"{type(value).__name__}.{value.name}"
    if isinstance(value, list):
        return f"[{', '.join(map(_source, value))}]"
    if is_dataclass(value):
        members = ((field.name, getattr(value, field.name)) for field in fields(value))
        given = [f"{name}={_source(member)}" for name, member in members if member is not None]
        return f"{type(value).__name__}({', '.join(given)})"
    return repr(value)


# ---- a run ----


@st.composite
def _runs(draw: DrawFn, package: Any) -> list[Event]:
    run_id = draw(run_ids())
    node_ids = draw(st.lists(_names("abcxyz0189-_"), unique=True, max_size=4))
    nodes = {node: draw(_nodes(package, run_id, node)) for node in node_ids}
    key_and_value = {"key": texts(), "value": texts()}
    inputs = draw(st.lists(_instances(package.Input, key_and_value), max_size=3))
    start = partial(package.PipeStarted, pipe=run_id[:-27], inputs=inputs, distro_version="1.2.3")
    turns = draw(st.permutations([node for node in node_ids for _ in nodes[node]]))
    steps: list[partial[Any]] = [start, *(nodes[node].pop(0) for node in turns)]
    may_complete = not any(step.func is package.NodeFailed for step in steps)
    if draw(st.booleans()) and may_complete:
        steps.append(partial(package.PipeCompleted))
    else:
        steps.append(partial(package.PipeAborted, reason=draw(texts())))
    has_ended = draw(st.booleans())
    length = len(steps) if has_ended else draw(st.integers(1, len(steps)))
    number = draw(st.integers(0, 2**127))
    when = draw(st.datetimes(max_value=datetime(9000, 1, 1)))  # noqa: DTZ001 - UTC, as all times
    run = []
    for step in steps[:length]:
        run.append(step(id=_ulid(number), ts=_timestamp(when), run_id=run_id))
        number += draw(st.integers(1, 2**80))
        when += timedelta(seconds=draw(st.integers(0, 3600)))
    return run


@st.composite
def _nodes(draw: DrawFn, package: Any, run_id: str, node_id: str) -> list[partial[Event]]:
    """Draw what a node logs from its start to its end, without `id`, `ts` and `run_id`."""
    kind = draw(st.sampled_from(package.NodeKind))
    name = draw(st.none() | texts())
    model = draw(st.none() | texts())
    steps: list[partial[Any]] = [partial(package.NodeStarted, kind=kind, name=name, model=model)]
    rounds = draw(st.integers(0, 3)) if kind is package.NodeKind.LOOP else 0
    offset = 0
    for iteration in range(1, rounds + 1):
        offset += draw(st.integers(0, 2**33)) + len(f"=== omne:iteration:{iteration} ===\n")
        steps.append(partial(package.IterationStarted, iteration=iteration, byte_offset=offset))
    if draw(st.booleans()):
        method = draw(st.sampled_from(package.GateMethod))
        steps.append(partial(package.GatePassed, gate=draw(texts()), method=method))
    if draw(st.booleans()):
        error = package.NodeError(kind=draw(st.sampled_from(package.ErrorKind)))
        message = draw(st.none() | texts())
        steps.append(partial(package.NodeFailed, error=error, message=message))
    else:
        path = package.node_capture_wire_path(run_id, node_id)
        steps.append(partial(package.NodeCompleted, output_path=path))
    return [partial(step, node_id=node_id) for step in steps]


# ---- a damaged log ----


@dataclass(frozen=True, slots=True, kw_only=True)
class DamagedLog:
    """The bytes of a log, and what a reader must find in them.

    `events`: the events of the sound lines, in order. `bad_lines`: the numbers, counted from 1, of
    the lines that are not events, including a torn tail. `blank_lines`: how many lines are blank
    and must be skipped. `torn`: whether the log ends in a torn tail.
    """

    data: bytes
    events: list[Event]
    bad_lines: list[int]
    blank_lines: int
    torn: bool


_Line = tuple[bytes, list[Event] | None]
"""A line without its newline, and its events: one, none if it is blank, or None if it is bad."""


@st.composite
def _damaged_logs(draw: DrawFn, package: Any, events: SearchStrategy[Event]) -> DamagedLog:
    bad_line = _bad_lines(package, events)
    any_line = _sound_lines(package, events) | _blank_lines() | bad_line
    lines = draw(st.lists(any_line, max_size=5))
    lines.insert(draw(st.integers(0, len(lines))), draw(bad_line))
    data = b"".join(line + b"\n" for line, _ in lines)
    tail = draw(st.none() | _sound_lines(package, events) | bad_line)
    if tail is not None:
        lines.append(tail)
        data += tail[0]
    return DamagedLog(
        data=data,
        events=[event for _, found in lines for event in found or []],
        bad_lines=[number for number, (_, found) in enumerate(lines, 1) if found is None],
        blank_lines=[found for _, found in lines].count([]),
        torn=tail is not None and tail[1] is None,
    )


@st.composite
def _sound_lines(draw: DrawFn, package: Any, events: SearchStrategy[Event]) -> _Line:
    event = draw(events)
    return _bare(package, event) + draw(st.sampled_from([b"", b"\r"])), [event]


@st.composite
def _blank_lines(draw: DrawFn) -> _Line:
    return draw(st.sampled_from(["", " ", "\t\r", "\u2003\u2028"])).encode(), []


@st.composite
def _bad_lines(draw: DrawFn, package: Any, events: SearchStrategy[Event]) -> _Line:
    line = _bare(package, draw(events))
    part = line[: draw(st.integers(1, len(line) - 1))]  # not JSON, whatever follows it below
    bad = [
        part,
        part + _bare(package, draw(events)),
        bytes(len(part)),
        bytes(len(part)) + line,
        part + b"\xff" + line[len(part) :],
        line.replace(b'"type":"', b'"type":"x', 1),
        line.removesuffix(b"}") + b',"id":""}',
    ]
    return draw(st.sampled_from(bad)), None


def _bare(package: Any, event: Event) -> bytes:
    line: bytes = package.encode(event)
    return line.removesuffix(b"\n")


# ---- of which copy of omnelog ----


class Strategies:
    """The strategies of this module for the events of one copy of omnelog.

    ``Strategies(host._vendor.omnelog)`` draws what that copy encodes.
    """

    def __init__(self, package: ModuleType | Any) -> None:
        """For the events of `package`, a module with the public names of omnelog."""
        self._package: Any = package
        classes = get_args(package.Event)
        for cls in (*classes, package.Input, package.NodeError):
            for_type_by_name(cls.__module__, cls.__qualname__, _print)
        self.EVENTS: dict[str, SearchStrategy[Event]] = {cls.type: _values(cls) for cls in classes}
        """A strategy for each type, by the name of the type; each draws any text for a string."""

    def events(self) -> SearchStrategy[Event]:
        """Return a strategy for any event, with any text in it."""
        return st.one_of(*self.EVENTS.values())

    def runs(self) -> SearchStrategy[list[Event]]:
        """Return a strategy for the events of one run, as a well-behaved runner logs them.

        The events have the same run id, and their ids and times rise. Every node has an id of its
        own, starts, passes through its iterations and gates, and ends. Nodes run side by side. The
        run may not have ended yet.
        """
        return _runs(self._package)

    def damaged_logs(self) -> SearchStrategy[DamagedLog]:
        """Return a strategy for logs with at least one bad line.

        A bad line is cut, joined to the next one, zeroed, of an unknown type, or otherwise not an
        event. Sound lines, some with a carriage return, and blank lines are around it. The last
        line may lack its newline.
        """
        return _damaged_logs(self._package, self.events())


_OURS = Strategies(sys.modules[__name__.removesuffix(".testing.strategies")])

EVENTS = _OURS.EVENTS
events: Callable[[], SearchStrategy[Event]] = _OURS.events
runs: Callable[[], SearchStrategy[list[Event]]] = _OURS.runs
damaged_logs: Callable[[], SearchStrategy[DamagedLog]] = _OURS.damaged_logs
