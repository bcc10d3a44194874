# SPDX-License-Identifier: MIT
"""`export`: write a run in the format of another tool."""

import json
from argparse import Namespace
from collections.abc import Iterator
from pathlib import Path

from ... import events_log_path
from ..checks import Findings, sound_events
from ..chrome_trace import trace_events
from ..exits import FINDINGS, OK
from ..locate import find_run
from ..parser import Verbs
from ..streams import complain, emit, flush

_HELP = """\
Write a run to standard output, in the format of another tool.

chrome-trace is the Trace Event Format, which is JSON. Open it at
https://ui.perfetto.dev (nothing is uploaded) or in chrome://tracing.

A line that is not an event is reported on standard error, as path:line: reason, and
the exit status is then 1.
"""

_HELP_END = """\
examples:
  omnelog export latest --to chrome-trace > run.json
"""


def declare(verbs: Verbs, summary: str) -> None:
    """Declare the arguments of `export`."""
    verb = verbs.add("export", summary, _carry_out, _HELP, _HELP_END)
    verb.parser.add_argument("--to", required=True, choices=["chrome-trace"], help="the format")
    verb.run_argument()


def _carry_out(root: Path, given: Namespace) -> int:
    run_id = find_run(root, given.run)
    return export(events_log_path(root, run_id), run_id)


def export(path: Path, run_id: str) -> int:
    """Print the run whose log is at `path` in the Trace Event Format.

    Returns 0, or 1 if a line of the log is not an event. Raises LogIOError, OSError, Refused.
    """
    findings = Findings(str(path))
    for text in _document(run_id, trace_events(run_id, sound_events(path, findings))):
        emit(text)
    flush()
    for finding in findings:
        complain(str(finding))
    return FINDINGS if findings.count else OK


def _document(run_id: str, events: Iterator[dict[str, object]]) -> Iterator[str]:
    """Yield the lines of the JSON document, with an event on each.

    They are ASCII, so that the encoding of standard output cannot change them.
    """
    head = json.dumps({"displayTimeUnit": "ms", "otherData": {"run_id": run_id}})
    yield f'{head[:-1]}, "traceEvents": ['
    waiting = json.dumps(next(events))  # there is at least one
    for event in events:
        yield f"{waiting},"
        waiting = json.dumps(event)
    yield f"{waiting}]}}"
