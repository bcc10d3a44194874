# SPDX-License-Identifier: MIT
"""The kinds of log that a round can use: what is appended, what appends it, and how it is read.

Only this module tells the writers, readers and runner of a round which records to draw, what to
open and what to pass to ``append``. So the same faults and the same checker work for events on
omne's event log, for records that are not events on a line log, and for the usual ways
(`usual_ways`).
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path
from random import Random
from threading import Event as Flag
from typing import Any, get_args

from omnelog import (
    ErrorKind,
    Event,
    EventLog,
    GateMethod,
    Input,
    LineLog,
    NodeError,
    NodeKind,
    follow_log,
    follow_run,
    read_log,
    read_run,
)

from .payloads import (
    Record,
    canonical_line,
    draw_frame,
    draw_message_frame,
    draw_messages,
    draw_records,
    draw_tagged,
    tagged_line,
    tagged_record,
)
from .receipts import log_path, volume_path
from .sabotage import Appender
from .usual_ways import WAYS, WayLog

EVENTS, LINES = "events", "lines"
OMNELOG = "omnelog, a line log"
"""The name of omnelog in the table of the usual ways."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LogKind:
    """One kind of log."""

    frame: Callable[[str, int], Iterator[Record]]
    """Draws the two records of a runner: the log's first and its last."""
    draw: Callable[[Random, str, int, int, int], Iterator[Record]]
    """Draws the records of a writer: see `draw_records`."""
    line: Callable[[Record], bytes]
    """Returns the line that must be in the log for a record, with its newline."""
    item: Callable[[Record], Any]
    """Returns what a writer passes to ``append`` for a record."""
    open: Callable[[Path, str, float, bool], Appender]
    """Opens the log of a run, given the round's directory, the run id, the lock timeout in seconds
    and whether appends are durable."""
    read: Callable[[Path, str], Iterable[Record]] | None = None
    """Reads a snapshot of the log of a run, as plain JSON; None if nothing reads a growing log."""
    follow: Callable[[Path, str, Flag], Iterator[Record]] | None = None
    """Follows the log of a run until a flag is set."""
    refusals: tuple[type[Exception], ...] = ()
    """The errors that an append may raise besides those of omnelog."""
    forks_in_appends: bool = True
    """Whether a signal handler may fork in the middle of an append and let the child append."""
    leaves: bool = False
    """Whether a forked child closes the handle that it inherited."""
    by_parent: bool = False
    """Whether only the parent of the writers can open the log."""
    export: Callable[[Path], None] | None = None
    """Writes the lines that a reader finds to the path of the log, after the round."""


# ---- events ----

_CLASSES = {cls.type: cls for cls in get_args(Event)}
_MEMBERS: dict[str, Callable[[Any], Any]] = {
    "inputs": lambda value: [Input(**item) for item in value],
    "error": lambda value: NodeError(kind=ErrorKind(value["kind"])),
    "kind": NodeKind,
    "method": GateMethod,
}


def event_of(record: Record) -> Event:
    """Return the event that `record` describes."""
    members = {name: _MEMBERS.get(name, _same)(record[name]) for name in record if name != "type"}
    event: Event = _CLASSES[record["type"]](**members)
    return event


def _same(value: Any) -> Any:
    return value


def record_of(event: Event) -> Record:
    """Return `event` as plain JSON, made without omnelog's codec."""
    return {"type": event.type, **_members_of(event)}


def _members_of(value: Any) -> Record:
    members = ((field.name, getattr(value, field.name)) for field in fields(value))
    return {name: _plain(member) for name, member in members if member is not None}


def _plain(member: Any) -> Any:
    if isinstance(member, list):
        return [_members_of(item) for item in member]
    return _members_of(member) if isinstance(member, NodeError) else member


def _open_events(directory: Path, run_id: str, lock_timeout_s: float, durable: bool) -> EventLog:
    root = volume_path(directory)
    return EventLog.for_run(root, run_id, lock_timeout=lock_timeout_s, durable=durable)


def _read_events(directory: Path, run_id: str) -> Iterator[Record]:
    return map(record_of, read_run(volume_path(directory), run_id))


def _follow_events(directory: Path, run_id: str, stop: Flag) -> Iterator[Record]:
    return map(record_of, follow_run(volume_path(directory), run_id, stop=stop))


# ---- records that are not events ----


def _open_lines(directory: Path, run_id: str, lock_timeout_s: float, durable: bool) -> Appender:
    path = log_path(directory, run_id)
    return LineLog(path, lock_timeout=lock_timeout_s, durable=durable)


def _read_lines(directory: Path, run_id: str) -> list[Record]:
    return read_log(log_path(directory, run_id))


def _follow_lines(directory: Path, run_id: str, stop: Flag) -> Iterator[Record]:
    return follow_log(log_path(directory, run_id), stop=stop)


# ---- the usual ways ----


def _frame_of_tags(run_id: str, writer: int) -> Iterator[Record]:
    for seq in range(2):
        yield tagged_record(writer, seq, 100)


def _open_way(name: str, directory: Path, run_id: str, *_: object) -> WayLog:
    return WayLog(name, log_path(directory, run_id))


def way(name: str) -> LogKind:
    """Return the kind of log for the usual way called `name`."""
    about = WAYS[name]
    line = partial(tagged_line, spaced=about.spaced)
    return LogKind(
        frame=_frame_of_tags,
        draw=draw_tagged,
        line=line,
        item=lambda record: line(record).decode().removesuffix("\n"),
        open=partial(_open_way, name),
        refusals=(Exception,),
        forks_in_appends=False,
        leaves=True,
        by_parent=about.by_parent,
        export=about.export,
    )


LOGS = {
    EVENTS: LogKind(
        frame=draw_frame,
        draw=draw_records,
        line=canonical_line,
        item=event_of,
        open=_open_events,
        read=_read_events,
        follow=_follow_events,
    ),
    LINES: LogKind(
        frame=draw_message_frame,
        draw=draw_messages,
        line=canonical_line,
        item=_same,
        open=_open_lines,
        read=_read_lines,
        follow=_follow_lines,
    ),
    OMNELOG: LogKind(
        frame=_frame_of_tags,
        draw=draw_tagged,
        line=tagged_line,
        item=_same,
        open=_open_lines,
        forks_in_appends=False,
    ),
    **{name: way(name) for name in WAYS},
}
"""Each kind of log, by its name in plans."""
