# SPDX-License-Identifier: MIT
"""`runs`: all runs of a volume, and how far each has come."""

import json
from argparse import Namespace
from collections.abc import Container
from pathlib import Path

from ... import Event, LogIOError, enumerate_runs, events_log_path
from ..checks import Findings
from ..exits import FINDINGS, OK
from ..glance import Glance, glance
from ..lines import log_exists
from ..locate import age_key
from ..parser import Verbs
from ..progress import Progress
from ..state import RunState
from ..streams import complain, emit, flush
from ..terminal import Screen, Span, cells, columns, width
from ..text import plain, spell_size
from ..times import moment_ms

_HELP = """\
List all runs, the newest last: id, pipe, state, how many nodes are done, failed and
there in all, when the first and the last event were logged, size of the log.

The state is running (or whoever ran it died without logging the end), completed,
aborted, empty (nothing logged yet) or damaged: then standard error says the first
thing wrong, as path:line: reason, and the exit status is 1.

Of a log above 256 KiB only the ends are read. That does for the state, but its nodes
are not counted, and damage in its middle is not seen: both take --full, or `verify`.
"""

_HELP_END = """\
examples:
  omnelog runs --state running
  omnelog runs --json | jq -r 'select(.nodes.failed > 0).run_id'

With --json each run is an object on a line: run_id, pipe, state, nodes {completed,
failed, total}, started, last_event, size in bytes; null where it is not known.
"""

_HEADS = ("RUN", "PIPE", "STATE", "DONE", "FAILED", "NODES", "STARTED", "LAST EVENT", "SIZE")
_RIGHT = frozenset((3, 4, 5, 8))
_EXPENDABLE = ("PIPE", "SIZE", "LAST EVENT", "STARTED")  # on a narrow terminal, in this order
_STYLES = {
    RunState.RUNNING: "yellow",
    RunState.COMPLETED: "green",
    RunState.ABORTED: "red",
    RunState.DAMAGED: "bold red",
    RunState.EMPTY: "dim",
}


def declare(verbs: Verbs, summary: str) -> None:
    """Say what `runs` takes."""
    verb = verbs.add("runs", summary, _carry_out, _HELP, _HELP_END)
    verb.parser.add_argument(
        "--state",
        action="append",
        choices=[str(state) for state in RunState],
        help="only runs in this state; may be given several times",
    )
    verb.parser.add_argument("--full", action="store_true", help="read large logs whole")
    verb.parser.add_argument("--json", action="store_true", help="print an object for each run")


def _carry_out(root: Path, given: Namespace) -> int:
    return runs(root, given.state or tuple(RunState), full=given.full, as_json=given.json)


def runs(root: Path, states: Container[str], *, full: bool, as_json: bool) -> int:
    """Print the runs of the volume that are in one of `states`. Returns 1 if any log is damaged.

    Raises LogIOError if they cannot be listed; OSError, Refused.
    """
    found: list[tuple[str, Glance]] = []
    run_ids = enumerate_runs(root)
    with Progress("reading logs", len(run_ids)) as progress:
        for done, run_id in enumerate(run_ids):
            progress.reached(done)
            found.append((run_id, _glance(events_log_path(root, run_id), full=full)))
    found.sort(key=lambda run: age_key(root, run[0], _first_ms(run[1])))
    listed = [(run_id, run) for run_id, run in found if run.state in states]
    if as_json:
        for run_id, run in listed:
            emit(json.dumps(_object(run_id, run)))
    elif listed:
        _print(listed)
    flush()  # so that on a terminal the complaints come last
    if not found:
        complain(
            f"omnelog: {root} has no runs yet; see `omnelog record --help` for how to make one"
        )
    for _, run in found:
        for finding in run.findings.kept[:1]:  # `show` and `verify` tell them all
            complain(finding)
    return FINDINGS if any(run.findings.count for _, run in found) else OK


def _glance(path: Path, *, full: bool) -> Glance:
    findings, state = Findings(str(path)), RunState.EMPTY
    nodes: tuple[int, int, int] | None = (0, 0, 0)
    try:
        if log_exists(path):
            return glance(path, full=full)
    except LogIOError as error:
        findings.add(error.strerror or str(error))
        state, nodes = RunState.DAMAGED, None
    return Glance(
        state=state, pipe=None, first=None, last=None, nodes=nodes, size=0, findings=findings
    )


def _first_ms(run: Glance) -> int:
    return (run.first and moment_ms(run.first)) or 0


def _print(runs: list[tuple[str, Glance]]) -> None:
    rows: list[dict[str, Span]] = [
        dict(zip(_HEADS, _row(run_id, run), strict=True)) for run_id, run in runs
    ]
    heads: dict[str, Span] = {head: (head, "bold") for head in _HEADS}
    room = width()
    for expendable in _EXPENDABLE:
        if room is None or _needed([heads, *rows]) <= room:
            break
        for row in (heads, *rows):
            del row[expendable]
    right = frozenset(i for i, head in enumerate(heads) if _HEADS.index(head) in _RIGHT)
    screen = Screen()
    for line in columns([list(row.values()) for row in (heads, *rows)], right=right):
        screen.line(*line)


def _needed(rows: list[dict[str, Span]]) -> int:
    """How many columns a table takes."""
    return sum(max(cells(row[head][0]) for row in rows) + 2 for head in rows[0]) - 2


def _row(run_id: str, run: Glance) -> list[Span]:
    counts = [(str(n), "") for n in run.nodes] if run.nodes else [("-", "dim")] * 3
    if run.nodes and run.nodes[1]:
        counts[1] = (counts[1][0], "red")
    return [
        (plain(run_id), ""),
        (plain(run.pipe or "-", 40), ""),
        (run.state, _STYLES[run.state]),
        *counts,
        (_when(run.first), ""),
        (_when(run.last), ""),
        (spell_size(run.size), ""),
    ]


def _when(event: Event | None) -> str:
    return plain(event.ts, 20) if event else "-"


def _object(run_id: str, run: Glance) -> dict[str, object]:
    nodes = run.nodes and dict(zip(("completed", "failed", "total"), run.nodes, strict=True))
    return {
        "run_id": run_id,
        "pipe": run.pipe,
        "state": run.state,
        "nodes": nodes,
        "started": run.first and run.first.ts,
        "last_event": run.last and run.last.ts,
        "size": run.size,
    }
