# SPDX-License-Identifier: MIT
"""Draw a run as an SVG file that does not need any other file.

All text from the log passes through `plain`, which replaces the characters that XML forbids, and
through ElementTree, which escapes the rest.
"""

from xml.etree.ElementTree import Element, SubElement, tostring

from .bars import Block, Chart, chart_of, rows_of, ticks_ms, title_of
from .describe import outcome, took
from .state import NodeState, Summary
from .terminal import cells
from .text import short
from .times import spell_ms

_ROW = 24  # pixels
_TOP = 64  # pixels
_PLOT = 800  # pixels
_RIGHT = 130  # pixels, for `running 12h20m` behind a bar
_LABEL = 36  # characters of a node's name at most
_CHARACTER = 7.3  # pixels, the width of a character
_COLOURS = {"✓": "#2e7d32", "✗": "#c62828", "⏸": "#a05a00"}
_STROKES = {
    "✓": "m0 5 4 4 6-9",
    "✗": "m1 1 8 8m0-8-8 8",
    "⏸": "m2 0v10m5-10v10",
}  # drawn as paths, because some fonts do not have these signs
_FONT = "font-family:ui-monospace,Menlo,Consolas,monospace;font-size:12px"


def svg(run_id: str, run: Summary, now_ms: int) -> str:
    """Return the content of the SVG file. `now_ms`: the time, in milliseconds since 1970."""
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + _text(_drawing(run_id, run, now_ms)) + "\n"


def _text(element: Element) -> str:
    return tostring(element, encoding="unicode")


def _drawing(run_id: str, run: Summary, now_ms: int) -> Element:
    chart = chart_of(run, now_ms)
    rows = rows_of(chart)
    names = [short(row.label, _LABEL) for row in rows]
    left = 40 + _CHARACTER * max(map(cells, names), default=0)
    width = left + _PLOT + _RIGHT
    height = _TOP + _ROW * len(names) + 16
    drawing = Element(
        "svg",
        xmlns="http://www.w3.org/2000/svg",
        viewBox=f"0 0 {width:.0f} {height}",
        width=f"{width:.0f}",
        height=f"{height}",
        style=_FONT,
    )
    SubElement(drawing, "rect", width="100%", height="100%", fill="#fff")
    longest = int((width - 24) / _CHARACTER)
    _label(drawing, 12, 24, short(run_id, longest), weight="bold")
    _label(drawing, 12, 42, short(outcome(run, now_ms), longest), fill="#555")
    _axis(drawing, chart, left, height)
    for number, (row, name) in enumerate(zip(rows, names, strict=True)):
        y = _TOP + _ROW * number
        alone = len(row.blocks) == 1 and len(row.blocks[0].bars) == 1
        if alone:
            _sign(drawing, row.blocks[0].sign, y + 6)
        _label(drawing, 32, y + 15, name)
        for block in row.blocks:
            span = left + _x(chart, block.start_ms), left + _x(chart, block.end_ms)
            group = _block(drawing, block, span, y, title_of(block, run, now_ms))
            if alone:
                time = took(block.bars[0].node, run, now_ms)
                _label(group, max(span[0] + 3, span[1]) + 5, y + 15, time, fill="#555")
    return drawing


def _axis(drawing: Element, chart: Chart, left: float, height: int) -> None:
    for tick in ticks_ms(chart.length_ms, 9):
        x = left + _x(chart, tick)
        SubElement(
            drawing,
            "line",
            {"x1": f"{x:.1f}", "x2": f"{x:.1f}", "y1": f"{_TOP - 4}", "y2": f"{height - 12}"},
            stroke="#ddd",
        )
        _label(drawing, x + 2, _TOP - 6, spell_ms(tick), fill="#777")


def _block(
    drawing: Element, block: Block, span: tuple[float, float], y: int, title: str
) -> Element:
    group = SubElement(drawing, "g")
    SubElement(group, "title").text = title
    ended = any(bar.node.state is not NodeState.RUNNING for bar in block.bars)
    SubElement(
        group,
        "rect",
        {"x": f"{span[0]:.1f}", "y": f"{y + 3}", "rx": "2", "height": f"{_ROW - 8}"},
        width=f"{max(3.0 if len(block.bars) == 1 else 1.0, span[1] - span[0]):.1f}",
        fill=_COLOURS[block.sign],
        opacity="1" if ended else "0.5",
    )
    return group


def _sign(drawing: Element, sign: str, y: int) -> None:
    style = {"stroke": _COLOURS[sign], "stroke-width": "2.5", "fill": "none"}
    SubElement(drawing, "path", style, d=_STROKES[sign], transform=f"translate(14 {y})")


def _x(chart: Chart, at_ms: int) -> float:
    return _PLOT * at_ms / max(1, chart.length_ms)


def _label(
    parent: Element, x: float, y: float, text: str, *, fill: str = "#111", weight: str = "normal"
) -> None:
    attributes = {"x": f"{x:.1f}", "y": f"{y:.1f}", "fill": fill, "font-weight": weight}
    SubElement(parent, "text", attributes).text = text
