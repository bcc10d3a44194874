# SPDX-License-Identifier: MIT
"""`record`: a command runs as a node of a run, its life and its output on record.

Until the command runs, whatever is amiss is refused and nothing is run. Once it runs it is let run
to its end, and its exit status is passed on, whatever becomes of the log; what could not be
recorded is said in one line, and turns a success into status 125.
"""

import os
import shlex
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TypedDict

from .. import (
    Event,
    EventLog,
    InvalidRunId,
    NodeCompleted,
    NodeError,
    NodeFailed,
    NodeKind,
    NodeStarted,
    OmnelogError,
    PipeAborted,
    PipeCompleted,
    PipeStarted,
    allocate_ulid,
    events_log_path,
    node_capture_wire_path,
    run_dir,
    scan_run,
)
from .. import __version__ as version
from .environment import NODE_VARIABLE, ROOT_VARIABLE, RUN_VARIABLE
from .exits import OK, RECORDER, Refused
from .process import Outcome, run
from .signals import Signals
from .state import RunState, derive_state
from .streams import complain

_PATIENCE_S = 60.0  # for the lock at the end, when hours of work may be at stake


class _Head(TypedDict):
    id: str
    ts: str
    run_id: str


class _Log:
    """The log of the run that is recorded into, opened for each append.

    It is not held open meanwhile: a command may run for days, and the log be moved.
    """

    def __init__(self, root: Path, run_id: str) -> None:
        self.root, self.run_id = root, run_id

    def head(self) -> _Head:
        """The fields every event has, for one that happens now."""
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        return {"id": allocate_ulid(self.root), "ts": now, "run_id": self.run_id}

    def append(self, *events: Event, patience_s: float = 5.0) -> None:
        with EventLog.for_run(self.root, self.run_id, lock_timeout=patience_s) as log:
            log.append_many(events)


def record(
    root: Path, node_id: str, command: Sequence[str], *, pipe: str | None, run_id: str
) -> int:
    """Run `command` as node `node_id`, in a new run of `pipe` if given, else in the run `run_id`.

    Whoever makes the run, and says so with ``run_id=…`` on standard error, ends it: completed if
    the command succeeds, else aborted. Returns the command's exit status, or 125 if that was 0 and
    the record is incomplete. Raises Refused, OmnelogError or OSError if the command was not run.
    """
    _check("node id", node_id)
    with Signals() as signals:
        log = _join(root, run_id, node_id) if pipe is None else _begin(root, pipe)
        try:
            capture = _start_node(log, node_id, command)
        except (Refused, OmnelogError, OSError) as error:
            if pipe is not None:
                with suppress(OmnelogError, OSError):
                    reason = f"node {node_id}: not run: {_sound(str(error))}"
                    log.append(PipeAborted(**log.head(), reason=reason))
            raise
        variables = {
            ROOT_VARIABLE: str(root),
            RUN_VARIABLE: log.run_id,
            NODE_VARIABLE: node_id,
        }
        try:
            outcome = run(command, os.environ | variables, capture, signals)
        finally:
            os.close(capture)
        losses = [*outcome.losses, *_end(log, node_id, outcome, ends_run=pipe is not None)]
    if not outcome.ran:
        complain(f"omnelog: record: {outcome.ending}")
    for loss in losses:
        complain(f"omnelog: record: node {node_id} of {log.run_id}: {loss}")
    return outcome.status or (RECORDER if losses else OK)


def _check(what: str, name: str) -> None:
    """Refuse a name that is no plain path component, or would not print as one."""
    try:
        run_dir("", name)
        plain = name.isprintable()
    except InvalidRunId:
        plain = False
    if not plain:
        raise Refused(f"{what} {name!r:.80} is not one plain path component; use [a-z0-9-]")


def _begin(root: Path, pipe: str) -> _Log:
    """Start a run, and say which."""
    _check("pipe name", pipe)
    log = _Log(root, f"{pipe}-{allocate_ulid(root)}")
    made_by = f"omnelog {version}"  # and by no distribution of omne
    log.append(PipeStarted(**log.head(), pipe=pipe, inputs=[], distro_version=made_by))
    complain(f"run_id={log.run_id}")
    return log


def _join(root: Path, run_id: str, node_id: str) -> _Log:
    """The log of a run that goes on and knows nothing of `node_id`. Raises Refused.

    Damage does not hinder it: a torn tail is mended by the append to come.
    """
    if not os.path.lexists(events_log_path(root, run_id)):
        raise Refused(
            f"no run {run_id!r} in {root} to add a node to; `omnelog runs` lists those there are, "
            "and --pipe NAME starts one"
        )
    events = scan_run(root, run_id).events
    state = derive_state(events)
    if state in (RunState.COMPLETED, RunState.ABORTED):
        raise Refused(f"run {run_id} has ended ({state}), no node can be added to it")
    if any(getattr(event, "node_id", None) == node_id for event in events):
        raise Refused(_taken(run_id, node_id))
    return _Log(root, run_id)


def _start_node(log: _Log, node_id: str, command: Sequence[str]) -> int:
    """Claim the node by making its capture, log its start; return the capture's descriptor."""
    path = log.root / node_capture_wire_path(log.run_id, node_id)
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL
    try:
        path.parent.mkdir(exist_ok=True)
        capture = os.open(path, flags, 0o666)
    except FileExistsError as error:  # perhaps by a process that claimed it this very moment
        raise Refused(_taken(log.run_id, node_id)) from error
    try:
        name = _sound(shlex.join(command))
        kind = NodeKind.COMMAND
        log.append(NodeStarted(**log.head(), node_id=node_id, kind=kind, name=name))
    except BaseException:
        os.close(capture)
        path.unlink()
        raise
    return capture


def _end(log: _Log, node_id: str, outcome: Outcome, *, ends_run: bool) -> list[str]:
    """Log the end of the node, and of the run; return what could not be logged, in words."""
    try:
        if not events_log_path(log.root, log.run_id).exists():
            raise Refused("the log is gone")
        events: list[Event] = [_node_end(log, node_id, outcome)]
        if ends_run and outcome.status == 0:
            events.append(PipeCompleted(**log.head()))
        elif ends_run:
            reason = _sound(f"node {node_id}: {outcome.ending}")
            events.append(PipeAborted(**log.head(), reason=reason))
        log.append(*events, patience_s=_PATIENCE_S)
    except (Refused, OmnelogError, OSError) as error:
        what = "its end and the run's are" if ends_run else "its end is"
        told = f"{what} not in the log: {error}; it ended with {outcome.ending}: "
        return [told + "put that right and add the events with `omnelog append`"]
    return []


def _node_end(log: _Log, node_id: str, outcome: Outcome) -> NodeCompleted | NodeFailed:
    if outcome.failure is None:
        path = node_capture_wire_path(log.run_id, node_id)
        return NodeCompleted(**log.head(), node_id=node_id, output_path=path)
    words = [outcome.stderr_tail]
    if not outcome.stderr_tail or outcome.killed:  # a shell, too, says of a signal alone
        words.insert(0, outcome.ending)
    message = "\n".join(filter(None, words))
    error = NodeError(kind=outcome.failure)
    return NodeFailed(**log.head(), node_id=node_id, error=error, message=message)


def _taken(run_id: str, node_id: str) -> str:
    return (
        f"run {run_id} has a node {node_id!r} already, whose output would be overwritten; "
        f"take another node id, say {node_id}-2"
    )


def _sound(text: str) -> str:
    """`text` as an event can hold it: arguments that are not UTF-8 hold lone surrogates."""
    return text.encode(errors="surrogateescape").decode(errors="replace")
