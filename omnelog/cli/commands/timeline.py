# SPDX-License-Identifier: MIT
"""`timeline`: draw when each node of a run was at work, in the terminal or into a file."""

from argparse import ArgumentTypeError, Namespace
from pathlib import Path

from ... import events_log_path
from ..bars import draw
from ..checks import Findings, sound_events
from ..exits import FINDINGS, OK
from ..locate import find_run
from ..parser import Verbs
from ..progress import Progress, size_of
from ..state import summarize
from ..streams import complain, flush, write_file
from ..times import now_ms

_HELP = """\
Draw when each node of a run was at work, as bars on one scale of time. A node without
an end has a thin bar, up to now if the run goes on, otherwise up to its last event.

With -o the drawing is written to a file that needs no other file. SVG is the picture
alone. HTML is a report that can be searched: the failures first, each with the end of
its output and a link to all of it, then the picture and a table. If there are more
than 300 nodes, nodes that were not at work at the same time share a lane, and bars
too close to be drawn apart become one.

A line that is not an event is reported on standard error, as path:line: reason, and
the exit status is then 1.
"""

_HELP_END = """\
examples:
  omnelog timeline latest
  omnelog timeline latest -o run.html
"""


def declare(verbs: Verbs, summary: str) -> None:
    """Declare the arguments of `timeline`."""
    verb = verbs.add("timeline", summary, _carry_out, _HELP, _HELP_END)
    verb.parser.add_argument(
        "-o", "--output", metavar="FILE", type=_picture, help="write x.svg or x.html instead"
    )
    verb.run_argument()


def _picture(name: str) -> Path:
    if not name.lower().endswith((".svg", ".html")):
        raise ArgumentTypeError(f"{name!r} ends neither in .svg nor in .html")
    return Path(name)


def _carry_out(root: Path, given: Namespace) -> int:
    run_id = find_run(root, given.run)
    return timeline(root, run_id, given.output)


def timeline(root: Path, run_id: str, output: Path | None) -> int:
    """Draw a run, in the terminal or into the file `output`.

    Returns 0, or 1 if a line of the log is not an event. Raises LogIOError, OSError, Refused.
    """
    path = events_log_path(root, run_id)
    findings = Findings(str(path))
    with Progress("reading the log", size_of(path)) as progress:
        run = summarize(sound_events(path, findings, progress.reached))
    if output is None:
        draw(run_id, run, now_ms())
    elif output.suffix.lower() == ".svg":
        from .. import svg  # noqa: PLC0415 - imports XML, which only this needs

        write_file(output, [svg.svg(run_id, run, now_ms())])
    else:
        from .. import html_report  # noqa: PLC0415 - only this needs it

        directory = output.absolute().parent
        write_file(output, html_report.report(root, run_id, run, now_ms(), directory))
    flush()
    for finding in findings:
        complain(str(finding))
    return FINDINGS if findings.count else OK
