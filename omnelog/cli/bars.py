# SPDX-License-Identifier: MIT
"""When the nodes of a run were at work, as bars on one scale of time.

`chart_of` and `rows_of` compute the bars for any picture; `draw` prints them in a terminal.
"""

from dataclasses import dataclass
from heapq import heappop, heappush

from .describe import failure, outcome, sign_of, took, work
from .state import Node, NodeState, Summary, latest_ms
from .terminal import Screen, cells, glyph_of, pad, sign
from .text import plain, short
from .times import moment_ms, spell_ms

_WIDEST_NODE = 24  # columns of a node's id at most
_NARROWEST = 10  # columns for the bars at least
_UNKNOWN = 80  # columns, if standard output is not a terminal


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """A node, and from when to when it was at work, in milliseconds after the run began.

    If its start is not logged, the bar begins when the run does. If its end is not logged, the bar
    ends where the chart ends.
    """

    node: Node
    start_ms: int
    end_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """The bars of a run, in the order in which its nodes first occurred, and the whole length."""

    bars: list[Bar]
    length_ms: int


def chart_of(run: Summary, now_ms: int) -> Chart:
    """Return the chart of a run, up to its last event, or up to now if it has not ended."""
    begun_ms = moment_ms(run.first)
    begin = begun_ms or 0
    times = (ms for node in run.nodes.values() for ms in (node.start_ms, node.end_ms))
    known = [ms for ms in times if ms is not None]
    if begun_ms is not None or known:
        known.append(latest_ms(run, now_ms))
    length = max([0, *(ms - begin for ms in known)])
    bars = []
    for node in run.nodes.values():
        start = begin if node.start_ms is None else node.start_ms
        start_ms = min(length, max(0, start - begin))
        end_ms = length if node.end_ms is None else max(start_ms, node.end_ms - begin)
        bars.append(Bar(node=node, start_ms=start_ms, end_ms=end_ms))
    return Chart(bars=bars, length_ms=length)


@dataclass(slots=True)
class Block:
    """Nodes with the same sign that are drawn as one bar: one node, or many in a large run."""

    sign: str
    start_ms: int
    end_ms: int
    bars: list[Bar]


@dataclass(frozen=True, slots=True)
class Row:
    """What is drawn in one row: one node, or a lane of nodes in a large run."""

    label: str
    blocks: list[Block]
    node: Node | None = None
    """The node; None for a lane."""


_MOST_ROWS = 300  # nodes; if there are more, they are packed into lanes
_MOST_LANES = 100  # if there are more, the last one has all other nodes, drawn over each other
_MOST_BLOCKS = 20_000  # a browser draws so many without delay


def rows_of(chart: Chart) -> list[Row]:
    """Return the bars of a chart in rows: one row for each, or lanes if there are many.

    In a lane nodes follow each other, and nodes too close to be drawn apart are one block.
    """
    if len(chart.bars) <= _MOST_ROWS:
        return [Row(bar.node.id, [_block(bar)], bar.node) for bar in chart.bars]
    lanes = lanes_of(chart.bars)
    kept = lanes[: _MOST_LANES - 1]
    rest = [bar for lane in lanes[_MOST_LANES - 1 :] for bar in lane]
    if rest:
        kept.append(sorted(rest, key=lambda bar: bar.start_ms))
    finest_ms = chart.length_ms * len(kept) * 3 // _MOST_BLOCKS
    return [
        Row(f"lane {number}", _merged(lane, finest_ms)) for number, lane in enumerate(kept, start=1)
    ]


def lanes_of(bars: list[Bar]) -> list[list[Bar]]:
    """Return the bars in lanes, as few as possible, in which bars do not overlap."""
    lanes: list[list[Bar]] = []
    free: list[int] = []
    taken: list[tuple[int, int]] = []  # for each lane in use: until when it is, and its number
    for bar in sorted(bars, key=lambda bar: bar.start_ms):
        while taken and taken[0][0] <= bar.start_ms:
            heappush(free, heappop(taken)[1])
        if not free:
            free.append(len(lanes))
            lanes.append([])
        lane = heappop(free)
        lanes[lane].append(bar)
        heappush(taken, (bar.end_ms, lane))
    return lanes


def _block(bar: Bar) -> Block:
    return Block(sign_of(bar.node), bar.start_ms, bar.end_ms, [bar])


def _merged(lane: list[Bar], finest_ms: int) -> list[Block]:
    """Return the blocks of a lane. Bars of one sign less than `finest_ms` apart are one block.

    Failures come last, so that they are drawn over the others.
    """
    blocks: dict[str, list[Block]] = {"✓": [], "⏸": [], "✗": []}
    for bar in lane:
        block = _block(bar)
        alike = blocks[block.sign]
        if alike and block.start_ms - alike[-1].end_ms < finest_ms:
            alike[-1].end_ms = max(alike[-1].end_ms, block.end_ms)
            alike[-1].bars.append(bar)
        else:
            alike.append(block)
    return [block for alike in blocks.values() for block in alike]


def title_of(block: Block, run: Summary, now_ms: int) -> str:
    """Return the text for a block: what is known of its node, or how many nodes there are."""
    if len(block.bars) > 1:
        span = spell_ms(block.end_ms - block.start_ms)
        return f"{len(block.bars):,} nodes within {span}, the first {plain(block.bars[0].node.id)}"
    node = block.bars[0].node
    what = work(node.kind, node.name, node.model) if node.kind else "never started"
    words = [plain(node.id), what, took(node, run, now_ms)]
    if node.error is not None:
        words.append(failure(node.error, node.message))
    return "\n".join(words)


_S = 1000  # milliseconds
_M = 60 * _S
_H = 60 * _M
_STEPS = (
    *(1, 2, 5, 10, 20, 50, 100, 200, 500),
    *(step * _S for step in (1, 2, 5, 10, 15, 30)),
    *(step * _M for step in (1, 2, 5, 10, 15, 30)),
    *(step * _H for step in (1, 2, 3, 6, 12)),
    *(24 * step * _H for step in (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)),
)


def ticks_ms(length_ms: int, most: int) -> list[int]:
    """Return at most `most` moments from 0 to `length_ms`, at a distance that is a round number."""
    fitting = (step for step in _STEPS if length_ms // step < most)
    step = next(fitting, max(1, length_ms))
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
    """Return the blanks before a bar, and the bar, which has from 1 to `room` columns."""
    scale = room / max(1, chart.length_ms)
    start = min(room - 1, int(bar.start_ms * scale))
    end = max(start + 1, min(room, round(bar.end_ms * scale)))
    ended = bar.node.state is not NodeState.RUNNING
    return " " * start, sign("█" if ended else "·") * (end - start)


def _axis(chart: Chart, room: int) -> str:
    line = ""
    for tick in ticks_ms(chart.length_ms, max(2, room // 9)):
        at = int(tick * room / max(1, chart.length_ms))
        if at >= len(line):
            line = f"{line:{at}}{spell_ms(tick)} "
    return line
