# SPDX-License-Identifier: MIT
"""When the nodes of a run were at work, as bars on one scale of time, and those in a terminal.

`Chart` is pure, for any picture; `draw` prints it.
"""

from dataclasses import dataclass

from .state import Node, NodeState, Summary, latest_ms
from .terminal import Screen, cells, glyph_of, pad, sign
from .text import outcome, plain, short, took
from .times import moment_ms, spell_ms

_WIDEST_NODE, _NARROWEST, _UNKNOWN = 24, 10, 80  # columns


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """A node, and from when to when it was at work, in milliseconds after the run began.

    Where the log does not say, a node began when the run did and goes on until the chart's end.
    """

    node: Node
    start_ms: int
    end_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """The bars of a run, in the order in which its nodes came up, and how long it all took."""

    bars: list[Bar]
    length_ms: int


def chart_of(run: Summary, now_ms: int) -> Chart:
    """The chart of a run, up to its last event, or to now if it goes on."""
    begin = (run.first and moment_ms(run.first)) or 0
    known = [ms for node in run.nodes.values() for ms in (node.start_ms, node.end_ms) if ms]
    if run.first is not None and (begin or known):
        known.append(latest_ms(run, now_ms))
    length = max(0, *(ms - begin for ms in known), 0)
    bars = []
    for node in run.nodes.values():
        start = begin if node.start_ms is None else node.start_ms
        start_ms = min(length, max(0, start - begin))
        end_ms = length if node.end_ms is None else max(start_ms, node.end_ms - begin)
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


def draw(run_id: str, run: Summary, now_ms: int) -> None:
    """Draw a run on standard output."""
    screen = Screen()
    chart = chart_of(run, now_ms)
    room = screen.width or _UNKNOWN
    widest = min(_WIDEST_NODE, room // 4)
    names = [short(bar.node.id, widest) for bar in chart.bars]
    label = max(map(cells, names), default=0)
    times = [took(bar.node, run, now_ms) for bar in chart.bars]
    room = max(_NARROWEST, room - label - max(map(len, times), default=0) - 8)
    screen.paragraph(f"run {plain(run_id)}", "bold", indent=0)
    screen.paragraph(outcome(run, now_ms), indent=0)
    if chart.bars:
        screen.row((" " * (label + 5) + _axis(chart, room), "dim"))
    for bar, name, time in zip(chart.bars, names, times, strict=True):
        glyph, style = glyph_of(bar.node)
        before, bars = _bar(bar, chart, room)
        screen.row(
            *((f"{glyph}  ", style), pad((name, "bold"), label), ("  ", "")),
            *((before, ""), (bars, style), (f"  {time}", "")),
        )


def _bar(bar: Bar, chart: Chart, room: int) -> tuple[str, str]:
    """The blanks before a bar, and the bar: one column at least, `room` at most."""
    scale = room / max(1, chart.length_ms)
    start = min(room - 1, int(bar.start_ms * scale))
    end = max(start + 1, min(room, round(bar.end_ms * scale)))
    ended = bar.node.state is not NodeState.RUNNING
    return " " * start, sign("█" if ended else "·") * (end - start)


def _axis(chart: Chart, room: int) -> str:
    line = ""
    for tick in ticks_ms(chart.length_ms, max(2, room // 12)):
        at = int(tick * room / max(1, chart.length_ms))
        if at >= len(line):
            line = f"{line:{at}}{spell_ms(tick)} "
    return line
