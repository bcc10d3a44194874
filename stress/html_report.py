# SPDX-License-Identifier: MIT
"""The report as one self-contained HTML file: tables, latencies, each writer's share."""

import math
from collections.abc import Iterator, Sequence
from html import escape
from io import StringIO
from pathlib import Path

from rich.console import Console, RenderableType

from .report import RoundReport, RunReport, WriterReport, duration, merged, sabotages, tables

_WIDTH, _LEFT, _RIGHT = 760, 190, 20  # pixels
_BARS_HEIGHT, _ROW_HEIGHT = 150, 15
_DECADES = 0, 7  # powers of ten on the time axis: from 1 µs to 10 s
_COLOURS = ("#2f6db3", "#c2571a", "#3a8f4d", "#8a4fa3", "#a33b3b", "#6b6b2a")

_STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; max-width: 1100px; margin: 2em auto; padding: 0 1em;
  color: #222; background: #fff }
h1 { font-size: 1.5em } h2 { font-size: 1.15em; margin: 2em 0 .3em }
pre { font: 12.5px/1.35 ui-monospace, monospace; overflow-x: auto }
.good { color: #1a7a34 } .bad { color: #b01c1c }
svg { display: block; margin: .4em 0 1em } text { font-size: 11px; fill: #444 }
.axis { stroke: #ddd } .note { color: #666; font-size: .9em }
"""


def save_html(path: Path, report: RunReport) -> None:
    """Write the report to `path` as a page."""
    path.write_text("\n".join(_page(report)) + "\n", encoding="utf-8")


def _page(report: RunReport) -> Iterator[str]:
    verdict, colour = report.verdict, "bad" if report.failed else "good"
    yield "<!doctype html><html lang=en><meta charset=utf-8>"
    yield "<meta name=viewport content='width=device-width'>"
    yield f"<title>omnelog stress: {verdict}</title><style>{_STYLE}</style>"
    yield f"<h1>omnelog stress: <span class={colour}>{verdict}</span></h1>"
    yield f"<p>{report.events:,} events in {len(report.rounds):,} rounds, "
    yield f"{report.found:,} violations. Repeat with <code>{escape(report.command)}</code></p>"
    for failure in report.complaints:
        yield f"<p class=bad>{escape(failure)}</p>"
    for round_ in report.rounds:
        for found in round_.evidence.values():
            yield f"<pre class=bad>{escape(found[0])}</pre>"
    for part in tables(report, 110):
        yield _as_text(part)
    for scenario in report.scenarios:
        yield f"<p><b>{escape(scenario.name)}</b>: {escape(scenario.line)}</p>"
    for round_ in merged(report.rounds):
        yield f"<h2>{escape(round_.name)}</h2>"
        yield "<p class=note>How long acknowledged appends took, with the wait for the lock.</p>"
        yield from _histogram(round_)
        yield "<p class=note>Append times of each writer: the dot is the median, the bar ends at"
        yield " p99, the tick is the slowest append. On the right: its number of events. Writers of"
        yield " one kind have one colour.</p>"
        yield from _fairness(round_.by_writer)
    if report.sabotages:
        yield "<h2>Sabotages</h2>"
        yield _as_text(sabotages(report))
    yield "</html>"


def _as_text(shown: RenderableType) -> str:
    file = StringIO()
    Console(file=file, width=110).print(shown)
    return f"<pre>{escape(file.getvalue().rstrip())}</pre>"


def _x(us: float) -> float:
    """Return the position of a time on the axis, which is logarithmic."""
    first, last = _DECADES
    part = (math.log10(max(us, 1)) - first) / (last - first)
    return _LEFT + min(part, 1) * (_WIDTH - _LEFT - _RIGHT)


def _frame(height: int) -> Iterator[str]:
    """Yield the beginning of a drawing: its size, and the time axis at the bottom."""
    yield f"<svg width={_WIDTH} height={height + 22} viewBox='0 0 {_WIDTH} {height + 22}'>"
    for decade in range(_DECADES[0], _DECADES[1] + 1):
        x = _x(10.0**decade)
        yield f"<line class=axis x1={x:.1f} x2={x:.1f} y1=0 y2={height} />"
        yield f"<text x={x:.1f} y={height + 15} text-anchor=middle>{_tick(decade)}</text>"


def _tick(decade: int) -> str:
    unit, power = [("µs", 0), ("ms", 3), ("s", 6)][decade // 3]
    return f"{10 ** (decade - power)} {unit}"


def _histogram(round_: RoundReport) -> Iterator[str]:
    """Yield a drawing with a bar for each bucket.

    Heights are logarithmic, so that a single append is visible.
    """
    yield from _frame(_BARS_HEIGHT)
    most = math.log10(1 + max(round_.latencies.values(), default=1))
    for bound, count in round_.latencies.items():
        right = _x(float(bound))
        left = _x(float(bound) / math.sqrt(2))
        height = _BARS_HEIGHT * math.log10(1 + count) / most
        yield (
            f"<rect x={left:.1f} width={max(right - left - 1, 1):.1f} "
            f"y={_BARS_HEIGHT - height:.1f} height={height:.1f} fill='{_COLOURS[0]}'>"
            f"<title>{count:,} took up to {duration(float(bound))}</title></rect>"
        )
    power = 1
    while power <= 10**most:
        y = _BARS_HEIGHT - _BARS_HEIGHT * math.log10(1 + power) / most
        yield f"<text x={_LEFT - 8} y={max(y + 4, 10):.1f} text-anchor=end>{power:,}</text>"
        power *= 10
    yield "</svg>"


def _fairness(writers: Sequence[WriterReport]) -> Iterator[str]:
    kinds = list(dict.fromkeys(writer.kind for writer in writers))
    ordered = sorted(writers, key=lambda writer: kinds.index(writer.kind))
    yield from _frame(_ROW_HEIGHT * len(ordered))
    for row, writer in enumerate(ordered):
        y = _ROW_HEIGHT * (row + 0.5)
        colour = _COLOURS[kinds.index(writer.kind) % len(_COLOURS)]
        name = f"{writer.name.removeprefix('writer-')} {writer.kind}"
        name = name if len(name) <= 28 else name[:27] + "…"
        yield f"<text x={_LEFT - 8} y={y + 4:.1f} text-anchor=end>{escape(name)}</text>"
        if not writer.events:
            continue
        median, tail, slowest = _x(writer.p50_us), _x(writer.p99_us), _x(writer.max_us)
        yield (
            f"<g stroke='{colour}' fill='{colour}'><title>{escape(writer.process)}: "
            f"p50 {duration(writer.p50_us)}, p99 {duration(writer.p99_us)}, "
            f"max {duration(writer.max_us)}</title>"
            f"<line x1={median:.1f} x2={tail:.1f} y1={y} y2={y} stroke-width=4 />"
            f"<line x1={tail:.1f} x2={slowest:.1f} y1={y} y2={y} />"
            f"<line x1={slowest:.1f} x2={slowest:.1f} y1={y - 4} y2={y + 4} />"
            f"<circle cx={median:.1f} cy={y} r=4 /></g>"
            f"<text x={_WIDTH - 2} y={y + 4:.1f} text-anchor=end>{writer.events:,}</text>"
        )
    yield "</svg>"
