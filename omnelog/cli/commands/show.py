# SPDX-License-Identifier: MIT
"""`show`: one run, node by node, or its events as they stand in the log.

Damage is never passed over: what is sound goes to standard output, what is not to standard error
as ``path:line: reason``, and the status is 1.
"""

import os
from argparse import Namespace
from collections.abc import Iterator
from pathlib import Path

from ... import (
    InvalidRunId,
    NodeFailed,
    encode,
    events_log_path,
    node_capture_wire_path,
)
from ..checks import Findings, sound
from ..exits import FINDINGS, OK
from ..lines import Lines, log_exists
from ..locate import find_run
from ..parser import Verbs
from ..state import Node, NodeState, RunState, Summary, summarize
from ..streams import complain, flush, output
from ..terminal import Screen, Span, columns, glyph_of
from ..text import counted, detail, failure, outcome, plain, work
from ..times import between_ms, spell_ms

_HELP = """\
Show a run: how it went, and its nodes in the order in which they began, each with a
sign, when it began after the run did, how long it took, and what it was. Below a
node are its iterations and gates, and why it failed.

  signs: + done, x failed, = not ended or blocked (where the output takes UTF-8, the
  usual ones)

Of a damaged log all that is sound is shown, and standard error says what is not, as
path:line: reason; the exit status is 1 then.
"""

_HELP_END = """\
examples:
  omnelog show latest
  omnelog show ci-01m8                         an id's beginning will do
  omnelog show latest --json | jq -c 'select(.type == "node.failed")'

With --json the events are printed as canonical lines, in the order of the log.
"""


def declare(verbs: Verbs, summary: str) -> None:
    """Say what `show` takes."""
    verb = verbs.add("show", summary, _carry_out, _HELP, _HELP_END)
    verb.parser.add_argument("--json", action="store_true", help="print its events as they stand")
    verb.run_argument()


def _carry_out(root: Path, given: Namespace) -> int:
    return show(root, find_run(root, given.run), as_json=given.json)


def show(root: Path, run_id: str, *, as_json: bool) -> int:
    """Print a run: for people, or its events as canonical lines if `as_json`.

    Returns 0, or 1 if the log holds anything that is no event. Raises OmnelogError, OSError.
    """
    path = events_log_path(root, run_id)
    if not log_exists(path):
        complain(f"omnelog: run {run_id} has no events yet")
        return OK
    findings = Findings(str(path))
    with Lines(path) as lines:
        if as_json:
            output().writelines(map(encode, sound(lines, findings)))
        else:
            _print(root, run_id, summarize(sound(lines, findings)))
    flush()  # so that on a terminal the complaints come last
    for finding in findings:
        complain(finding)
    if lines.tail_in_flight:
        complain(f"omnelog: run {run_id}: its last line is being written and was left out")
    return FINDINGS if findings.count else OK


def _print(root: Path, run_id: str, run: Summary) -> None:
    screen = Screen()
    screen.line((f"run {plain(run_id)}", "bold"))
    screen.line((outcome(run), ""))
    if run.begun:
        screen.line((f"{plain(run.begun.ts, 20)}  {detail(run.begun)}", ""))
    if not run.nodes:
        return
    counts = [f"{run.count(state)} {state}" for state in NodeState if run.count(state)]
    screen.line((f"{counted(len(run.nodes), 'node')}: {', '.join(counts)}", ""))
    screen.line()
    rows = [row for node in run.nodes.values() for row in _rows(root, run_id, run, node)]
    for line in columns(rows, right=frozenset((2, 3)), widest=40):
        screen.line(*line)


def _rows(root: Path, run_id: str, run: Summary, node: Node) -> Iterator[list[Span]]:
    glyph, style = glyph_of(node)
    after = f"+{spell_ms(between_ms(run.first, node.start))}"
    took = spell_ms(between_ms(node.start, node.end)) if node.end else "no end"
    if not node.end and run.state is RunState.RUNNING:
        took = "running"
    what = work(node.start) if node.start else "never started"
    yield [(glyph, style), (plain(node.id, 80), "bold"), (after, "dim"), (took, ""), (what, "")]
    if earlier := node.step_count - len(node.steps):
        yield _below(f"{counted(earlier, 'earlier step')}", "dim")
    for step in node.steps:
        after = spell_ms(between_ms(node.start, step))
        yield _below(f"+{after}  {detail(step)}", "dim")
    if isinstance(node.end, NodeFailed):
        yield _below(failure(node.end), style)
        if capture := _capture(root, run_id, node.id):
            yield _below(f"its output: {plain(capture)}", "dim")


def _below(text: str, style: str) -> list[Span]:
    return [("", ""), ("", ""), ("", ""), ("", ""), (text, style)]


def _capture(root: Path, run_id: str, node_id: str) -> str | None:
    """Where the output of a node is, from the root; None if it was not captured."""
    try:
        path = node_capture_wire_path(run_id, node_id)
    except InvalidRunId:  # out of a log, so it may be anything
        return None
    return path if os.path.isfile(root / path) else None
