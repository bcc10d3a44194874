# SPDX-License-Identifier: MIT
"""`show`: show one run, node by node, or print its events or nodes for programs.

Sound lines are shown on standard output. Damage is reported on standard error as ``path:line:
reason``, and the exit status is then 1.
"""

import json
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path

from ... import encode, events_log_path
from ..captures import capture_path, last_lines, path_from_here
from ..checks import Findings, sound
from ..claims import has_recorder, spell_recorder
from ..describe import detail, failure, outcome, took, work
from ..exits import FINDINGS, OK, Misused, Refused
from ..locate import find_run
from ..log_lines import LogLines, log_exists
from ..parser import Verbs
from ..progress import Progress
from ..state import Node, NodeState, Summary, summarize
from ..streams import complain, emit, emit_json_lines, flush
from ..terminal import Screen, cells, cut, glyph_of, pad
from ..text import counted, names_like, plain
from ..times import elapsed_ms, moment_ms, now_ms, spell_moment, spell_ms

_HELP = """\
Show a run: how it went, and its nodes in the order in which they began. Each node has
a sign, when it began after the run did, how long it took, and what it was. Below it
are its iterations and gates. Below a node that failed are the reason, where its
output is kept, and the last lines of that output. Lines are cut at the width of the
terminal.

The signs are + done, x failed and = not ended or blocked, or the usual ones where the
output is UTF-8.

Of a damaged log everything that is sound is shown. Standard error says what is not,
as path:line: reason, and the exit status is then 1.
"""

_HELP_END = """\
examples:
  omnelog show latest
  omnelog show latest test lint                these nodes alone
  omnelog show latest --failed --full          all that is known of what failed
  omnelog show latest --sort duration          the slowest first
  omnelog show latest --json | jq -c 'select(.type == "node.failed")'
  omnelog show latest --nodes | jq -r 'select(.duration_ms > 60000).node_id'

With --json the events are printed as canonical lines, in the order of the log. With
--nodes each node is an object on a line: run_id, node_id, state, kind, name, model,
started, ended, duration_ms, error, message, output (where it is kept) and steps. What
is not known is null. Its state is running, completed or failed, or unfinished if
the run has ended without it.
"""

_WIDEST_NODE = 40  # columns; a longer node id shifts only its own line
_AROUND_NAME = 10  # columns for the sign, the blanks between columns, and the mark of a cut
_INDENT = 3  # columns
_STEPS = 10  # iterations and gates of a node
_OUTPUT_LINES = 5
_FULL_STEPS = 10_000
_FULL_OUTPUT_LINES = 100
_FULL_LENGTH = 1_000_000  # characters of one text


def declare(verbs: Verbs, summary: str) -> None:
    """Declare the arguments of `show`."""
    verb = verbs.add("show", summary, _carry_out, _HELP, _HELP_END)
    verb.parser.add_argument("--failed", action="store_true", help="only nodes that failed")
    verb.parser.add_argument(
        "--sort",
        choices=["start", "duration", "name"],
        default="start",
        help="the order of the nodes (default: start; duration: the slowest first)",
    )
    verb.parser.add_argument(
        "--full", action="store_true", help="cut nothing short, and show more of the output"
    )
    verb.parser.add_argument("--json", action="store_true", help="print its events as they stand")
    verb.parser.add_argument("--nodes", action="store_true", help="print its nodes, as JSON")
    verb.run_argument()
    verb.parser.add_argument("node", metavar="NODE", nargs="*", help="only these nodes")


def _carry_out(root: Path, given: Namespace) -> int:
    if given.json and (given.nodes or given.failed or given.full or given.sort != "start"):
        raise Misused(
            "--json cannot be combined with --nodes, --failed, --full or --sort; "
            "only NODE can be added"
        )
    run_id = find_run(root, given.run)
    path = events_log_path(root, run_id)
    if not log_exists(path):
        complain(f"omnelog: run {run_id} has no events yet")
        return OK
    if given.json:
        return _show_events(path, run_id, given.node)
    findings = Findings(str(path))
    with LogLines(path) as lines, Progress("reading the log", lines.extent()[1]) as progress:
        steps = _FULL_STEPS if given.full else _STEPS
        run = summarize(sound(lines, findings, progress.reached), steps=steps)
    nodes = _chosen(run, run_id, given.node)
    if given.failed:
        nodes = [node for node in nodes if node.state is NodeState.FAILED]
    if given.sort == "duration":
        at_ms = now_ms()
        nodes.sort(key=lambda node: -_so_far_ms(node, at_ms))
    elif given.sort == "name":
        nodes.sort(key=lambda node: node.id)
    if given.nodes:
        for node in nodes:
            emit(json.dumps(_object(root, run_id, run, node)))
    else:
        _Printer(root, run_id, run, full=given.full).print(nodes)
    return _report_findings(findings, run_id, tail_in_flight=lines.tail_in_flight)


def _show_events(path: Path, run_id: str, node_ids: Sequence[str]) -> int:
    findings = Findings(str(path))
    with LogLines(path) as lines:
        events = sound(lines, findings)
        if node_ids:
            events = (e for e in events if getattr(e, "node_id", None) in node_ids)
        emit_json_lines(map(encode, events))
    return _report_findings(findings, run_id, tail_in_flight=lines.tail_in_flight)


def _report_findings(findings: Findings, run_id: str, *, tail_in_flight: bool) -> int:
    """Print what is wrong with the log, and return the exit status."""
    flush()  # so that on a terminal the complaints come last
    for finding in findings:
        complain(str(finding))
    if tail_in_flight:
        complain(f"omnelog: run {run_id}: its last line is being written and was left out")
    return FINDINGS if findings.count else OK


def _chosen(run: Summary, run_id: str, node_ids: Sequence[str]) -> list[Node]:
    """Return the nodes with these ids; without ids, all nodes. Raises Refused for an unknown id."""
    if not node_ids:
        return list(run.nodes.values())
    for node_id in node_ids:
        if node_id not in run.nodes:
            hint = names_like(node_id, run.nodes)
            raise Refused(f"run {run_id} has no node {node_id!r}{hint}")
    return [run.nodes[node_id] for node_id in dict.fromkeys(node_ids)]


def _so_far_ms(node: Node, at_ms: int) -> int:
    if node.state is NodeState.RUNNING:
        return elapsed_ms(node.start_ms, at_ms) or 0
    return node.duration_ms or 0


def _object(root: Path, run_id: str, run: Summary, node: Node) -> dict[str, object]:
    capture = capture_path(root, run_id, node.id)
    open_end = node.state is NodeState.RUNNING and run.ended is not None
    return {
        "run_id": run_id,
        "node_id": node.id,
        "state": "unfinished" if open_end else node.state,
        "kind": node.kind,
        "name": node.name,
        "model": node.model,
        "started": spell_moment(node.start_ms),
        "ended": spell_moment(node.end_ms),
        "duration_ms": node.duration_ms,
        "error": node.error,
        "message": node.message,
        "output": capture and str(capture),
        "steps": node.step_count,
    }


class _Printer:
    """Prints a run for people."""

    def __init__(self, root: Path, run_id: str, run: Summary, *, full: bool) -> None:
        self._root = root
        self._run_id = run_id
        self._run = run
        self._full = full
        self._longest = _FULL_LENGTH if full else 500
        self._now_ms = now_ms()
        self._begin_ms = moment_ms(run.first)
        self._screen = Screen()

    def _outcome(self) -> str:
        """Return how the run went; if it has not ended, also whether its recorder is alive."""
        said = outcome(self._run, self._now_ms)
        if self._run.ended is not None:
            return said
        nodes = self._run.nodes.values()
        unfinished = (node.id for node in nodes if node.state is NodeState.RUNNING)
        alive = has_recorder(self._root, self._run_id, self._run.begun, unfinished)
        words = [said, spell_recorder(alive)]
        advice = "; `omnelog end RUN --abort REASON` ends the run" if alive is False else ""
        return ", ".join(filter(None, words)) + advice

    def print(self, nodes: Sequence[Node]) -> None:
        """Print how the run went, and these of its nodes."""
        run = self._run
        self._screen.paragraph(f"run {plain(self._run_id)}", "bold", indent=0)
        self._screen.paragraph(self._outcome(), indent=0)
        if run.begun:
            begun = f"{plain(run.begun.ts, 20)}  {detail(run.begun)}"
            self._screen.paragraph(begun, indent=0)
        if not run.nodes:
            return
        counts = [f"{run.count(state)} {state}" for state in NodeState if run.count(state)]
        self._screen.paragraph(f"{counted(len(run.nodes), 'node')}: {', '.join(counts)}", indent=0)
        self._screen.line()
        widest = max(8, min(_WIDEST_NODE, (self._screen.width or 1000) // 3))
        names = 0
        after = 0
        longest = 0
        texts = [self._texts(node) for node in nodes]
        for name, began, lasted in texts:
            name_cells = cells(name)
            if name_cells <= widest:
                names = max(names, name_cells)
            after = max(after, len(began))
            longest = max(longest, len(lasted))
        for node, row in zip(nodes, texts, strict=True):
            self._print_node(node, row, (names, after, longest))

    def _texts(self, node: Node) -> tuple[str, str, str]:
        """Return a node's id, the time from the run's start to the node's, and the duration."""
        began = f"+{spell_ms(elapsed_ms(self._begin_ms, node.start_ms))}"
        return plain(node.id, 80), began, took(node, self._run, self._now_ms)

    def _print_node(
        self, node: Node, texts: tuple[str, str, str], widths: tuple[int, int, int]
    ) -> None:
        glyph, style = glyph_of(node)
        name, began, lasted = texts
        names, after, longest = widths
        if self._screen.width is not None and not self._full:
            room = self._screen.width - after - longest - _AROUND_NAME
            name = cut(name, max(names, room))
        what = "never started"
        if node.kind is not None:
            what = work(node.kind, node.name, node.model, self._longest)
        show = self._screen.line if self._full else self._screen.row
        show(
            (f"{glyph}  ", style),
            pad((f"{name}  ", "bold"), names + 2),
            pad((began, "dim"), after, right=True),
            pad((f"  {lasted}  ", ""), longest + 4, right=True),
            (what, ""),
        )
        if earlier := node.step_count - len(node.steps):
            self._below(counted(earlier, "earlier step"), "dim")
        for step in node.steps:
            later = spell_ms(elapsed_ms(node.start_ms, moment_ms(step)))
            self._below(f"+{later}  {detail(step)}", "dim")
        if node.error is not None:
            self._print_failure(node, style)

    def _print_failure(self, node: Node, style: str) -> None:
        if node.error is None:
            return
        message = (node.message or "").strip("\n")
        if self._full and "\n" in message:
            self._below(f"{node.error}:", style)
            for line in message.split("\n"):
                self._below(plain(line, self._longest), "", indent=2 * _INDENT)
        else:
            self._below(failure(node.error, node.message, self._longest), style)
        capture = capture_path(self._root, self._run_id, node.id)
        if capture is None:
            return
        path = plain(path_from_here(capture), 5000)
        self._screen.line((" " * _INDENT, ""), (f"its output: {path}", "dim"))  # not split
        count = _FULL_OUTPUT_LINES if self._full else _OUTPUT_LINES
        for line in last_lines(capture, count):
            self._below(line, "dim", indent=2 * _INDENT)

    def _below(self, text: str, style: str, *, indent: int = _INDENT) -> None:
        self._screen.paragraph(text, style, indent=indent)
