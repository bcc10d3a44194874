# SPDX-License-Identifier: MIT
"""`events`: print the events of many runs as JSON lines; damage does not stop it."""

from argparse import Namespace
from collections.abc import Iterator, Sequence
from pathlib import Path

from ... import Event, LogIOError, encode, enumerate_runs, events_log_path
from ..checks import Findings, sound_events
from ..exits import FINDINGS, OK, Misused
from ..locate import age_key, find_run, pipe_of
from ..parser import Verbs, since
from ..progress import Progress, size_of
from ..streams import complain, emit_json_lines, flush, is_terminal
from ..wanted_events import WantedEvents

_HELP = """\
Print the events of runs as canonical lines, for jq, DuckDB, Polars, pandas and Spark:
the oldest run first, and the events of each run in the order of its log.

Every line that is printed is a sound event. Anything else in the logs is reported on
standard error, as path:line: reason. The other events are still printed, and the exit
status is then 1.
"""

_HELP_END = """\
examples:
  omnelog events latest | jq -c 'select(.type == "node.failed")'
  omnelog events --all --pipe ci --since 7d --type node.failed > failed.jsonl
"""


def declare(verbs: Verbs, summary: str) -> None:
    """Declare the arguments of `events`."""
    verb = verbs.add("events", summary, _carry_out, _HELP, _HELP_END)
    verb.parser.add_argument("--all", action="store_true", help="of all runs of the volume")
    verb.parser.add_argument("--pipe", metavar="NAME", help="only of runs of this pipe")
    verb.parser.add_argument(
        "--since",
        metavar="TIME",
        type=since,
        help="only events made since: 2h ago, or 2026-01-31T23:59:59Z",
    )
    verb.filter_arguments()
    verb.run_argument(nargs="*")


def _carry_out(root: Path, given: Namespace) -> int:
    if given.all == bool(given.run):
        raise Misused("name the runs whose events are to be printed, or say --all")
    if given.all:
        run_ids = sorted(enumerate_runs(root), key=lambda run_id: age_key(root, run_id))
    else:
        run_ids = list(dict.fromkeys(find_run(root, name) for name in given.run))
    if given.pipe is not None:
        run_ids = [run_id for run_id in run_ids if pipe_of(root, run_id) == given.pipe]
    types = frozenset(given.type)
    wanted = WantedEvents(types=types, nodes=frozenset(given.node), since_ms=given.since)
    return events([events_log_path(root, run_id) for run_id in run_ids], wanted)


def events(paths: Sequence[Path], wanted: WantedEvents) -> int:
    """Print the wanted events of the logs at `paths`, as canonical lines.

    Returns 1 if a line of any log is not an event or a log cannot be read, otherwise 0. Raises
    OSError, Refused.
    """
    damaged = False
    seen = is_terminal()  # the events that appear there show the progress
    with Progress("reading logs", 0 if seen else sum(map(size_of, paths))) as progress:
        done = 0
        for path in paths:
            findings = Findings(str(path))
            found = _sound(path, findings, progress, done)
            emit_json_lines(encode(event) for event in found if wanted.has(event))
            done += size_of(path)
            if findings.count:
                damaged = True
                flush()
                progress.hide()
                for finding in findings:
                    complain(str(finding))
    flush()
    return FINDINGS if damaged else OK


def _sound(path: Path, findings: Findings, progress: Progress, done: int) -> Iterator[Event]:
    """Yield the events of a log. If it cannot be read, that is a finding and not an exception."""

    def read(size: int) -> None:
        progress.reached(done + size)

    try:
        yield from sound_events(path, findings, read)
    except LogIOError as error:
        findings.add(error.strerror or str(error))
