# SPDX-License-Identifier: MIT
"""`runs`: list the runs of a volume with their state."""

import json
import math
from argparse import Namespace
from collections.abc import Callable, Container, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeAlias

from ... import Event, LogIOError, enumerate_runs, events_log_path
from ..checks import Findings
from ..exits import FINDINGS, OK
from ..glance import Counts, Glance, count_nodes, glance
from ..locate import age_key
from ..log_lines import log_exists
from ..parser import Verbs, number, since
from ..progress import Progress
from ..silence import Silence, silence
from ..state import RunState
from ..streams import complain, emit, flush
from ..terminal import Screen, Span, cells, columns
from ..text import plain, spell_size
from ..times import elapsed_ms, moment_ms, now_ms, spell_age, spell_ms

_HELP = """\
List the runs, the newest last: id, pipe, state, how many nodes are done, how many
failed, how many there are, when the run began, how long it took or has taken so far,
when its last event was logged, and the size of its log. On a narrow terminal there
are fewer columns, and an age instead of a time.

The state is one of these:
  running    it goes on, or its recorder died without logging the end
  silent 3h  its recorder is gone, and its last event is so old; see `omnelog end`
  completed
  aborted
  empty      nothing is logged yet
  damaged    standard error says the first thing that is wrong, as path:line: reason,
             and the exit status is 1

In a log of more than 256 KiB the nodes are counted, but not every line is checked. To
see damage in the middle of it, use --full or `omnelog verify`.
"""

_HELP_END = """\
examples:
  omnelog runs -n 20                           the newest 20
  omnelog runs --since 2h --state running
  omnelog runs --pipe ci --since 2026-01-31
  omnelog runs --json | jq -r 'select(.nodes.failed > 0).run_id'

With --json each run is an object on a line: run_id, pipe, state, nodes {completed,
failed, total}, started, last_event, duration_ms and size in bytes. A run that has not
ended also has silent_ms, the time since its last event, and has_recorder, whether a
recorder is alive. What is not known is null.
"""

_LAYOUTS = (
    "RUN,PIPE,STATE,DONE,FAILED,NODES,STARTED,TOOK,LAST EVENT,SIZE",
    "RUN,PIPE,STATE,DONE,FAILED,NODES,STARTED,TOOK,SIZE",
    "RUN,STATE,DONE,FAILED,NODES,STARTED,TOOK",
    "RUN,STATE,DONE,FAILED,NODES,AGE,TOOK",
    "RUN,STATE,FAILED,NODES,AGE,TOOK",
)
"""The columns of the table, for narrower and narrower terminals."""
Row: TypeAlias = dict[str, Span]
"""What to print about a run, by the head of the column."""

_RIGHT = {"DONE", "FAILED", "NODES", "SIZE", "AGE", "TOOK"}
_STYLES = {
    RunState.RUNNING: "yellow",
    RunState.COMPLETED: "green",
    RunState.ABORTED: "red",
    RunState.DAMAGED: "bold red",
    RunState.EMPTY: "dim",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which runs to list."""

    states: Container[str] = tuple(RunState)
    pipe: str | None = None
    since_ms: int = 0
    """Only runs that began at this time or later, in milliseconds since 1970."""
    newest: int | None = None
    """Of these, only so many of the newest; None for all."""


def declare(verbs: Verbs, summary: str) -> None:
    """Declare the arguments of `runs`."""
    verb = verbs.add("runs", summary, _carry_out, _HELP, _HELP_END)
    verb.parser.add_argument(
        "-n", "--newest", metavar="N", type=number, help="only the N newest of those asked for"
    )
    verb.parser.add_argument(
        "--since",
        metavar="TIME",
        type=since,
        default=0,
        help="only runs that began since: 2h ago, or 2026-01-31T23:59:59Z",
    )
    verb.parser.add_argument("--pipe", metavar="NAME", help="only runs of this pipe")
    verb.parser.add_argument(
        "--state",
        action="append",
        metavar="STATE",
        choices=[str(state) for state in RunState],
        help=f"only runs in this state, or in several: {', '.join(RunState)}",
    )
    verb.parser.add_argument("--full", action="store_true", help="check every line of large logs")
    verb.parser.add_argument("--json", action="store_true", help="print an object for each run")


def _carry_out(root: Path, given: Namespace) -> int:
    wanted = Wanted(
        states=given.state or tuple(RunState),
        pipe=given.pipe,
        since_ms=given.since,
        newest=given.newest,
    )
    return runs(root, wanted, full=given.full, as_json=given.json)


def runs(root: Path, wanted: Wanted, *, full: bool, as_json: bool) -> int:
    """Print the wanted runs of the volume. Returns 1 if the log of one is damaged, otherwise 0.

    Raises LogIOError if the runs cannot be listed; OSError; Refused.
    """
    run_ids = sorted(enumerate_runs(root), key=lambda run_id: age_key(root, run_id))
    if not run_ids:
        complain(
            f"omnelog: {root} has no runs yet; see `omnelog record --help` for how to make one"
        )
    complaints: list[str] = []
    rows: list[Row] = []
    at_ms = now_ms()
    with Progress("reading logs", len(run_ids)) as progress:
        for run_id, run in _listed(root, run_ids, wanted, progress, full=full):
            complaints += map(str, run.findings.kept[:1])  # `show` and `verify` print all of them
            silent = _silence(root, run_id, run)
            if as_json:
                progress.hide()
                emit(json.dumps(_object(run_id, run, silent, at_ms)))
            else:
                rows.append(_row(run_id, run, silent, at_ms))
    if rows:
        _print(rows)
    flush()  # so that on a terminal the complaints come last
    for complaint in complaints:
        complain(complaint)
    return FINDINGS if complaints else OK


def _silence(root: Path, run_id: str, run: Glance) -> Silence | None:
    """Return how long a run has been silent; None if it is not running."""
    if run.state is not RunState.RUNNING:
        return None
    try:
        return silence(root, run_id, run.first, run.last)
    except LogIOError:  # the log was removed in the meantime
        return None


def _listed(
    root: Path, run_ids: list[str], wanted: Wanted, progress: Progress, *, full: bool
) -> Iterator[tuple[str, Glance]]:
    """Yield the wanted runs, the oldest first. Only the logs that are needed for that are read."""
    if wanted.newest is None:
        yield from _matching(root, run_ids, wanted, progress, full=full)
        return
    newest: list[tuple[str, Glance]] = []
    for run in _matching(root, run_ids[::-1], wanted, progress, full=full):
        if len(newest) == wanted.newest:
            break
        newest.append(run)
    yield from reversed(newest)


def _matching(
    root: Path, run_ids: list[str], wanted: Wanted, progress: Progress, *, full: bool
) -> Iterator[tuple[str, Glance]]:
    for done, run_id in enumerate(run_ids):
        progress.reached(done)
        if wanted.since_ms and age_key(root, run_id)[0] < wanted.since_ms:
            continue
        path = events_log_path(root, run_id)
        run = _glance(path, full=full)
        if run.state not in wanted.states or wanted.pipe not in (None, run.pipe):
            continue
        if run.nodes is None and not run.findings.count:
            run = replace(run, nodes=_counted(path, _share(progress, done, run.size)))
        yield run_id, run


def _share(progress: Progress, done: int, size: int) -> Callable[[int], None]:
    """Return a function that reports progress within a log of `size` bytes.

    The function takes the number of bytes read since its last call. `done`: the logs before.
    """
    read = 0

    def count(more: int) -> None:
        nonlocal read
        read += more
        progress.reached(done + read / max(1, size))

    return count


def _glance(path: Path, *, full: bool) -> Glance:
    findings = Findings(str(path))
    state = RunState.EMPTY
    nodes: Counts | None = Counts(completed=0, failed=0, total=0)
    try:
        if log_exists(path):
            return glance(path, full=full)
    except LogIOError as error:
        findings.add(error.strerror or str(error))
        state = RunState.DAMAGED
        nodes = None
    return Glance(
        state=state,
        pipe=None,
        first=None,
        last=None,
        ended=None,
        nodes=nodes,
        size=0,
        findings=findings,
    )


def _counted(path: Path, read: Callable[[int], None]) -> Counts | None:
    try:
        return count_nodes(path, read)
    except LogIOError:  # the log was removed in the meantime
        return None


def _print(rows: list[Row]) -> None:
    """Print a table of the runs that fit into it, and two lines for each other run."""
    screen = Screen()
    room = math.inf if screen.width is None else screen.width
    layouts = [layout.split(",") for layout in _LAYOUTS]
    has_room = [_needed([row], layouts[-1]) <= room for row in rows]
    in_table = [row for row, fits in zip(rows, has_room, strict=True) if fits]
    heads = next((heads for heads in layouts if _needed(in_table, heads) <= room), None)
    if not in_table or heads is None:
        for row in rows:
            _print_on_two_lines(screen, row)
        return
    right = frozenset(i for i, head in enumerate(heads) if head in _RIGHT)
    lines = columns(_table(in_table, heads), right=right)
    screen.line(*next(lines))
    for row, fits in zip(rows, has_room, strict=True):
        if fits:
            screen.line(*next(lines))
        else:
            _print_on_two_lines(screen, row)


def _print_on_two_lines(screen: Screen, row: Row) -> None:
    screen.paragraph(*row["RUN"], indent=0)
    when = f" {row['TOOK'][0]}, {row['AGE'][0]} ago, "
    nodes = (f"{row['FAILED'][0]}/{row['NODES'][0]} failed", row["FAILED"][1])
    if row["NODES"][0] == "0":
        nodes = ("no nodes", "")
    screen.row(("  ", ""), row["STATE"], (when, ""), nodes)


def _table(rows: list[Row], heads: Sequence[str]) -> list[list[Span]]:
    """Return the columns `heads` of `rows`, with the heads as the first row."""
    table: list[list[Span]] = [[(head, "bold") for head in heads]]
    return table + [[row[head] for head in heads] for row in rows]


def _needed(rows: list[Row], heads: Sequence[str]) -> int:
    """Return how many columns of a terminal a table takes."""
    table = _table(rows, heads)
    widths = (max(cells(text) for text, _ in column) for column in zip(*table, strict=True))
    return sum(width + 2 for width in widths) - 2


def _row(run_id: str, run: Glance, silent: Silence | None, at_ms: int) -> Row:
    counts: list[Span] = [("-", "dim")] * 3
    if run.nodes is not None:
        failed = "red" if run.nodes.failed else ""
        counts = [(str(run.nodes.completed), ""), (str(run.nodes.failed), failed)]
        counts.append((str(run.nodes.total), ""))
    first_ms = moment_ms(run.first)
    state = str(run.state)
    if silent is not None and silent.has_recorder is False:
        state = f"silent {spell_age(silent.lasts_ms)}"
    return {
        "RUN": (plain(run_id), ""),
        "PIPE": (plain(run.pipe or "-", 40), ""),
        "STATE": (state, _STYLES[run.state]),
        "DONE": counts[0],
        "FAILED": counts[1],
        "NODES": counts[2],
        "STARTED": (_when(run.first), ""),
        "AGE": (spell_age(elapsed_ms(first_ms, at_ms)) if run.first else "-", ""),
        "TOOK": (spell_ms(_duration_ms(run, at_ms)) if run.first else "-", ""),
        "LAST EVENT": (_when(run.last), ""),
        "SIZE": (spell_size(run.size), ""),
    }


def _duration_ms(run: Glance, at_ms: int) -> int | None:
    """Return how long a run took, or has taken until now; None if that is unknown."""
    if run.first is None:
        return None
    end_ms = at_ms if run.ended is None else moment_ms(run.ended)
    return elapsed_ms(moment_ms(run.first), end_ms)


def _when(event: Event | None) -> str:
    return plain(event.ts, 20) if event else "-"


def _object(run_id: str, run: Glance, silent: Silence | None, at_ms: int) -> dict[str, object]:
    nodes = run.nodes and {
        "completed": run.nodes.completed,
        "failed": run.nodes.failed,
        "total": run.nodes.total,
    }
    return {
        "run_id": run_id,
        "pipe": run.pipe,
        "state": run.state,
        "nodes": nodes,
        "started": run.first and run.first.ts,
        "last_event": run.last and run.last.ts,
        "duration_ms": _duration_ms(run, at_ms),
        "silent_ms": silent and silent.lasts_ms,
        "has_recorder": silent and silent.has_recorder,
        "size": run.size,
    }
