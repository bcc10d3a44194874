# SPDX-License-Identifier: MIT
"""Looking at runs: `show` prints the events of one, `runs` lists all with their state.

Damage is never passed over: what is sound goes to standard output, what is not to standard error
as ``path:line: reason``, and the status is 1.
"""

import os
from pathlib import Path

from .. import (
    Event,
    GatePassed,
    IterationStarted,
    NodeCompleted,
    NodeFailed,
    NodeStarted,
    OmnelogError,
    PipeAborted,
    PipeStarted,
    encode,
    enumerate_runs,
    events_log_path,
    iter_run,
    run_exists,
    scan_run,
)
from .exits import FINDINGS, OK, Refused
from .state import RunState, derive_state
from .streams import complain, emit, flush, output, plain

_WIDEST_NODE = 24  # a longer node id shifts its own line, not every other


def show(root: Path, run_id: str, *, as_json: bool) -> int:
    """Print the events of a run, a line each: for people, or canonical if `as_json`.

    Returns 0, or 1 if the log holds anything that is no event. Raises Refused if there is no such
    run, OmnelogError, OSError.
    """
    if not run_exists(root, run_id):
        raise Refused(f"no run {run_id!r} in {root}; `omnelog runs` lists those there are")
    if not _has_log(root, run_id):
        complain(f"omnelog: run {run_id} has no events yet")
        return OK
    scan = scan_run(root, run_id)
    if as_json:
        output().writelines(map(encode, scan.events))
    else:
        for line in _table(scan.events):
            emit(line)
    flush()  # so that on a terminal the complaints come last
    for problem in scan.problems:
        complain(f"{problem}")
    if scan.tail_in_flight:
        complain(f"omnelog: run {run_id}: its last line is being written and was left out")
    return FINDINGS if scan.problems else OK


def runs(root: Path) -> int:
    """Print each run of the volume with its state. Returns 1 if a log is damaged, else 0.

    Raises OmnelogError if they cannot be listed; OSError, Refused.
    """
    found: list[tuple[str, RunState]] = []
    problems: list[OmnelogError] = []
    for run_id in enumerate_runs(root):
        try:
            state = _state(root, run_id)
        except OmnelogError as error:  # the first of its log; `show` tells them all
            problems.append(error)
            state = RunState.DAMAGED
        found.append((plain(run_id), state))
    width = max((len(run_id) for run_id, _ in found), default=0)
    for run_id, state in found:
        emit(f"{run_id:{width}}  {state}")
    flush()
    for problem in problems:
        complain(f"{problem}")
    return FINDINGS if problems else OK


def _has_log(root: Path, run_id: str) -> bool:
    """Whether anything at all is where the log should be; what it is, opening it will tell."""
    return os.path.lexists(events_log_path(root, run_id))


def _state(root: Path, run_id: str) -> RunState:
    return derive_state(iter_run(root, run_id)) if _has_log(root, run_id) else RunState.EMPTY


def _table(events: list[Event]) -> list[str]:
    rows = [(e.ts, e.type, getattr(e, "node_id", ""), _detail(e)) for e in events]
    type_width = max((len(kind) for _, kind, _, _ in rows), default=0)
    node_width = min(_WIDEST_NODE, max((len(plain(node)) for _, _, node, _ in rows), default=0))
    return [
        f"{plain(ts)}  {kind:{type_width}}  {plain(node):{node_width}}  {detail}".rstrip()
        for ts, kind, node, detail in rows
    ]


def _detail(event: Event) -> str:
    """What an event says beyond when, what and which node."""
    match event:
        case PipeStarted(pipe=pipe, inputs=inputs, distro_version=version):
            words = [pipe, *(f"{item.key}={item.value}" for item in inputs), f"({version})"]
        case PipeAborted(reason=reason):
            words = [reason]
        case NodeStarted(kind=kind, name=name, model=model):
            words = [kind, name or "", model or ""]
        case NodeCompleted(output_path=path):
            words = [path]
        case NodeFailed(error=error, message=message):
            words = [f"{error.kind}:", _last_line(message)] if message else [error.kind]
        case GatePassed(gate=gate, method=method):
            words = [gate, f"by {method}"]
        case IterationStarted(iteration=iteration, byte_offset=offset):
            words = [f"{iteration}", f"from byte {offset}"]
        case _:
            words = []
    return plain(" ".join(filter(None, words)))


def _last_line(message: str) -> str:
    """The line of an error output that most often says it."""
    return next((line for line in reversed(message.split("\n")) if line.strip()), "")
