# SPDX-License-Identifier: MIT
"""When the nodes of a run were at work, as bars on one scale of time, and those in a terminal.

`Chart` is pure, for any picture; `draw` prints it.
"""

from dataclasses import dataclass

from .state import Node, Summary
from .terminal import Screen, cells, glyph_of, pad, sign, width
from .text import outcome, plain, short
from .times import moment_ms, spell_ms

_WIDEST_NODE, _NARROWEST, _UNKNOWN = 24, 10, 80  # columns
_TAKES = 9  # columns of a duration, and the blanks around


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """A node, and from when to when it was at work, in milliseconds after the run began.

    Where the log does not say, a node began when the run did and goes on until its last event.
    """

    node: Node
    start_ms: int
    end_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """The bars of a run, in the order in which its nodes came up, and how long it all took."""

    bars: list[Bar]
    length_ms: int


def chart_of(run: Summary) -> Chart:
    """The chart of a run."""
    begin = (run.first and moment_ms(run.first)) or 0
    known = [moment_ms(e) for node in run.nodes.values() for e in (node.start, node.end) if e]
    known.append(moment_ms(run.last) if run.last else None)
    length = max(0, *(ms - begin for ms in known if ms is not None), 0)
    bars = []
    for node in run.nodes.values():
        start = moment_ms(node.start) if node.start else None
        end = moment_ms(node.end) if node.end else None
        start_ms = min(length, max(0, (begin if start is None else start) - begin))
        end_ms = length if end is None else max(start_ms, end - begin)
        bars.append(Bar(node=node, start_ms=start_ms, end_ms=end_ms))
    return Chart(bars=bars, length_ms=length)


def ticks_ms(length_ms: int, most: int) -> list[int]:
    """Round points of time from 0 to `length_ms`, at most `most` of them."""
    step = 1
    units = (1, 10, 100, 1000, 10_000, 60_000, 600_000, 3_600_000, 36_000_000, 86_400_000)
    for step in (unit * factor for unit in units for factor in (1, 2, 5)):
        if length_ms // step < most:
            break
    else:
        step = max(1, length_ms)
    return list(range(0, length_ms + 1, step))


def draw(run_id: str, run: Summary) -> None:
    """Draw a run on standard output."""
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
