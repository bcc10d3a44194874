# SPDX-License-Identifier: MIT
"""`record`: a command runs as a node of a run, its life and its output on record.

Until the command runs, whatever is amiss is refused and nothing is run. Once it runs it is let run
to its end, and its exit status is passed on, whatever becomes of the log; what could not be
recorded is said in one line, and turns a success into status 125.
"""

import os
import shlex
import time
from argparse import Namespace
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TypedDict

from ... import (
    ErrorKind,
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
    run_exists,
)
from ... import __version__ as version
from ..checks import Findings, sound_events
from ..exits import OK, RECORDER, Misused, Refused
from ..lines import log_exists
from ..locate import NODE_VARIABLE, ROOT_VARIABLE, RUN_VARIABLE
from ..parser import Verbs, seconds
from ..process import Outcome, run
from ..signals import Signals
from ..state import summarize
from ..streams import complain

_HELP = """\
Run a command as a node of a run, and log its start and its end.

With --pipe a run is started, its id printed on standard error as run_id=..., and
ended when the command ends: completed if that succeeded, else aborted. Without, the
node is added to the run that --run or $OMNE_RUN_ID names, which must not have ended
and must not have a node of that id. The command finds OMNE_RUN_ID, OMNE_NODE_ID and
OMNE_VOLUME_ROOT in its environment, so what it runs can add nodes to the same run,
any number at once.

What the command prints is passed through as it comes, and kept in
.omne/var/runs/RUN/nodes/NODE.out. Signals are passed on to it. If whoever reads the
output stops reading, the command gets SIGPIPE, as in any pipeline. Processes it
leaves running in the background are recorded for one second after its end.

With --timeout the command has a process group of its own. When the time is up the
whole group gets SIGTERM, and 5 seconds later SIGKILL if anything of it is left, or
one second after CMD itself has gone. Such a command cannot read from the terminal.
"""

_HELP_END = """\
examples:
  omnelog record --pipe ci test -- pytest -q
  omnelog record --pipe ci --timeout 600 test -- pytest -q
  omnelog record --pipe ci all -- make -j8
      with recipes such as: omnelog record lint -- ruff check .
  omnelog record --pipe ci all -- sh -c '
      printf "%s\\n" lint types | xargs -P2 -I{} omnelog record {} -- nox -s {}'

exit status:
  that of the command, 128+N if signal N ended it, and
  124  it was ended because it took longer than --timeout
  125  omnelog failed: the command was not run, or it succeeded and its record is
       incomplete; standard error says what is missing and what to do
  126  the command cannot be executed
  127  the command was not found
  2    wrong command line
"""

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


def declare(verbs: Verbs, summary: str) -> None:
    """Say what `record` takes."""
    example = "omnelog record lint -- ruff check"
    verb = verbs.add(
        *("record", summary, _carry_out, _HELP, _HELP_END),
        trouble=RECORDER,
        command_example=example,
    )
    verb.parser.usage = (
        "omnelog record [--root DIR] [--timeout SECONDS]\n"
        "                      [--pipe NAME | --run RUN] NODE -- CMD [ARG ...]"
    )
    which = verb.parser.add_mutually_exclusive_group()
    which.add_argument("--pipe", metavar="NAME", help="start a run of the pipe NAME")
    which.add_argument(
        "--run",
        metavar="RUN",
        default=os.environ.get(RUN_VARIABLE, ""),
        help=f"add to this run (default: ${RUN_VARIABLE})",
    )
    verb.parser.add_argument(
        "--timeout", metavar="SECONDS", type=seconds, help="end the command when it takes longer"
    )
    verb.parser.add_argument("node", metavar="NODE", help="id of the node, new in its run")


def _carry_out(root: Path, given: Namespace) -> int:
    if given.pipe is None and not given.run:
        raise Misused(
            "no run to add to: start one with --pipe NAME, or name one with --run RUN or "
            f"{RUN_VARIABLE}"
        )
    return record(
        *(root, given.node, given.command),
        pipe=given.pipe,
        run_id=given.run,
        timeout_s=given.timeout,
    )


def record(
    root: Path,
    node_id: str,
    command: Sequence[str],
    *,
    pipe: str | None,
    run_id: str,
    timeout_s: float | None,
) -> int:
    """Run `command` as node `node_id`, in a new run of `pipe` if given, else in the run `run_id`.

    It is ended when it takes longer than `timeout_s` seconds. Whoever makes the run, and says so
    with ``run_id=…`` on standard error, ends it: completed if the command succeeds, else aborted.
    Returns the command's exit status, or 125 if that was 0 and the record is incomplete. Raises
    Refused, OmnelogError or OSError if the command was not run.
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
            outcome = run(command, os.environ | variables, capture, signals, timeout_s)
        finally:
            os.close(capture)
        losses = [*outcome.losses, *_end(log, node_id, outcome, ends_run=pipe is not None)]
    if not outcome.ran or outcome.failure is ErrorKind.TIMEOUT:
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
    hint = "`omnelog runs` lists those there are, and --pipe NAME starts one"
    if not run_exists(root, run_id):
        raise Refused(f"no run {run_id!r} in {root} to add a node to; {hint}")
    path = events_log_path(root, run_id)
    run = summarize(sound_events(path, Findings(str(path))), steps=0)
    if not run.first:
        raise Refused(f"run {run_id} has no event yet, not even its pipe.started; {hint}")
    if run.ended:
        raise Refused(f"run {run_id} has ended ({run.state}), no node can be added to it")
    if node_id in run.nodes:
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
        if not log_exists(events_log_path(log.root, log.run_id)):
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
    if not outcome.stderr_tail or outcome.ended:  # a shell, too, says of a signal alone
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
