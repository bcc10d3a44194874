# SPDX-License-Identifier: MIT
"""The log of a run for those who add to it: its beginning, its end, and whether that is possible.

A log may be large, so no more of a line is decoded than is needed.
"""

import os
import re
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from .. import (
    DeserializeError,
    Event,
    EventLog,
    Input,
    InvalidRunId,
    NodeCompleted,
    NodeFailed,
    NodeStarted,
    OmnelogError,
    PipeAborted,
    PipeCompleted,
    PipeStarted,
    allocate_ulid,
    decode,
    events_log_path,
    run_dir,
)
from .. import __version__ as version
from ..recording import EventHead, RunNotFound, event_head, require_going_on
from .exits import Refused
from .lines import LogLines, log_exists

_BEGINNING = re.compile(
    rb'\{"type":"(node\.started|node\.completed|node\.failed)",'
    rb'"id":"[^"\\]*","ts":"[^"\\]*","run_id":"[^"\\]*","node_id":"([^"\\]*)"'
)
"""The beginning of a canonical line of which the rest need not be read."""

_DIGITS = "0123456789abcdefghjkmnpqrstvwxyz"
_HINT = "`omnelog runs` lists those there are, and --pipe NAME starts one"


class RunLog:
    """The log of a run, opened for each append.

    It is not held open meanwhile: a command may run for days, and the log be moved.
    """

    def __init__(self, root: Path, run_id: str) -> None:
        """Touch nothing yet."""
        self.root = root
        self.run_id = run_id

    def head(self) -> EventHead:
        """The first members of an event that happens now. Raises OmnelogError."""
        return event_head(self.root, self.run_id)

    def last_head(self) -> EventHead:
        """The same for an event that must not be lost because no ULID can be allocated."""
        try:
            return self.head()
        except (OmnelogError, OSError):
            return event_head(self.root, self.run_id, _ulid_by_chance())

    def append(self, *events: Event, patience_s: float = 5.0) -> None:
        """Append `events` together, waiting for the lock so long. Raises OmnelogError, OSError."""
        with EventLog.for_run(self.root, self.run_id, lock_timeout=patience_s) as log:
            log.append_many(events)

    def is_there(self) -> bool:
        """Whether the log exists. Raises LogIOError."""
        return log_exists(events_log_path(self.root, self.run_id))

    def begin(self, pipe: str, inputs: Sequence[Input] = ()) -> None:
        """Log that the run starts. Raises OmnelogError, OSError."""
        made_by = f"omnelog {version}"  # and by no distribution of omne
        self.append(
            PipeStarted(**self.head(), pipe=pipe, inputs=list(inputs), distro_version=made_by)
        )


class Standing:
    """How far a run has come: what matters to those who add to it."""

    def __init__(self) -> None:
        """There is no event yet."""
        self.end: PipeCompleted | PipeAborted | None = None
        self.unfinished: dict[str, None] = {}
        """The nodes that have started and not ended, in the order of their starts."""

    @property
    def ended_as(self) -> str:
        """How the run ended, in a word."""
        return "completed" if isinstance(self.end, PipeCompleted) else "aborted"


def new_run(root: Path, pipe: str) -> RunLog:
    """The log of a run that is not begun yet. Raises Refused, OmnelogError."""
    check_name("pipe name", pipe)
    return RunLog(root, f"{pipe}-{allocate_ulid(root)}")


def open_run(root: Path, run_id: str) -> RunLog:
    """The log of a run that goes on, which takes the same time however long that is.

    Damage does not hinder it: a torn tail is repaired by the append to come. Raises Refused,
    OmnelogError.
    """
    try:
        require_going_on(root, run_id)
    except RunNotFound as error:
        raise Refused(f"{error}; {_HINT}") from error
    return RunLog(root, run_id)


def standing(log: RunLog) -> Standing:
    """How far a run has come, for which its whole log is read. Raises LogIOError."""
    found = Standing()
    if not log.is_there():
        return found
    for line in _lines(events_log_path(log.root, log.run_id)):
        begins = _BEGINNING.match(line)
        if begins is None or not line.endswith(b"}"):
            with suppress(DeserializeError):
                _take(found, decode(line))
        elif begins[1] == b"node.started":
            found.unfinished[begins[2].decode(errors="replace")] = None
        else:
            found.unfinished.pop(begins[2].decode(errors="replace"), None)
    return found


def _lines(path: Path) -> Iterator[bytes]:
    with LogLines(path) as lines:
        last = lines.tail()
        for block in lines.whole_lines(last.offset):
            yield from block.split(b"\n")
        yield last.data


def _take(found: Standing, event: Event) -> None:
    match event:
        case PipeCompleted() | PipeAborted():
            found.end = event
        case NodeStarted(node_id=id):
            found.unfinished[id] = None
        case NodeCompleted(node_id=id) | NodeFailed(node_id=id):
            found.unfinished.pop(id, None)
        case _:
            pass


def check_name(what: str, name: str) -> None:
    """Refuse a name that is not a plain path component, or would not print as one."""
    try:
        run_dir("", name)
        plain = name.isprintable()
    except InvalidRunId:
        plain = False
    if not plain:
        raise Refused(f"{what} {name!r:.80} is not one plain path component; use [a-z0-9-]")


def _ulid_by_chance() -> str:
    """A ULID of now that nothing compares with the last one."""
    number = int(time.time() * 1000) << 80 | int.from_bytes(os.urandom(10), "big")
    return "".join(_DIGITS[number >> shift & 31] for shift in range(125, -1, -5))
