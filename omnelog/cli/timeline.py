# SPDX-License-Identifier: MIT
"""`timeline`: when each node of a run was at work, drawn in the terminal or into a file."""

from argparse import ArgumentTypeError, Namespace
from pathlib import Path

from .. import events_log_path
from .arguments import Verbs
from .chart import Bar, Chart, chart_of, ticks_ms
from .exits import FINDINGS, OK
from .findings import Findings
from .lines import sound_events
from .lookup import find_run
from .moments import spell_ms
from .show import glyph_of, outcome
from .state import Summary, summarize
from .streams import complain, flush, write_file
from .terminal import Screen, cells, pad, sign, width
from .wording import plain, short

_HELP = """\
Draw when each node of a run was at work, as bars on one scale of time. A node whose
end was not logged has a thin bar up to the run's last event.

With -o the picture is written to a file, SVG or a page of HTML, that needs nothing
else: no network, no scripts.

What is no event is told on standard error, as path:line: reason; the exit status is 1
then.
"""

_HELP_END = """\
examples:
  omnelog timeline latest
  omnelog timeline latest -o run.html
"""

_WIDEST_NODE, _NARROWEST, _UNKNOWN = 24, 10, 80  # columns
_TAKES = 9  # columns of a duration, and the blanks around


def declare(verbs: Verbs) -> None:
    """Say what `timeline` takes."""
    verb = verbs.add("timeline", _carry_out, "draw when each node was at work", _HELP, _HELP_END)
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
    return timeline(events_log_path(root, run_id), run_id, given.output)


def timeline(path: Path, run_id: str, output: Path | None) -> int:
    """Draw the run whose log is at `path`, in the terminal or into the file `output`.

    Returns 0, or 1 if the log holds anything that is no event. Raises LogIOError, OSError, Refused.
    """
    findings = Findings(str(path))
    run = summarize(sound_events(path, findings))
    if output is None:
        _draw(run_id, run)
    else:
        from . import picture  # noqa: PLC0415 - XML is needed here alone

        draw = picture.svg if output.suffix.lower() == ".svg" else picture.html
        write_file(output, draw(run_id, run))
    flush()
    for finding in findings:
        complain(finding)
    return FINDINGS if findings.count else OK


def _draw(run_id: str, run: Summary) -> None:
    screen, chart = Screen(), chart_of(run)
    names = [short(bar.node.id, _WIDEST_NODE) for bar in chart.bars]
    label = max(map(cells, names), default=0)
    room = max(_NARROWEST, (width() or _UNKNOWN) - label - _TAKES - 5)
    screen.line((f"run {plain(run_id)}", "bold"))
    screen.line((outcome(run), ""))
    if chart.bars:
        screen.line((" " * (label + 5) + _axis(chart, room), "dim"))
    for bar, name in zip(chart.bars, names, strict=True):
        glyph, style = glyph_of(bar.node)
        before, bars = _bar(bar, chart, room)
        took = spell_ms(bar.end_ms - bar.start_ms) if bar.node.end else "no end"
        screen.line(
            *((f"{glyph}  ", style), pad((name, "bold"), label), ("  ", "")),
            *((before, ""), (bars, style), (f"  {took}", "")),
        )


def _bar(bar: Bar, chart: Chart, room: int) -> tuple[str, str]:
    """The blanks before a bar, and the bar: one column at least, `room` at most."""
    scale = room / max(1, chart.length_ms)
    start = min(room - 1, int(bar.start_ms * scale))
    end = max(start + 1, min(room, round(bar.end_ms * scale)))
    return " " * start, sign("█" if bar.node.end else "·") * (end - start)


def _axis(chart: Chart, room: int) -> str:
    line = ""
    for tick in ticks_ms(chart.length_ms, max(2, room // 12)):
        at = int(tick * room / max(1, chart.length_ms))
        if at >= len(line):
            line = f"{line:{at}}{spell_ms(tick)} "
    return line
