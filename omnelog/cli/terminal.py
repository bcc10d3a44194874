# SPDX-License-Identifier: MIT
"""Text for people: styled lines, columns, and signs that the output can show.

rich provides the colours, if it is installed. They are used if standard output is a terminal that
can show them, or if they were asked for. The text is the same without them.
"""

import sys
from collections.abc import Iterator
from functools import cache
from typing import TypeAlias
from unicodedata import combining, east_asian_width

from .describe import sign_of
from .exits import Refused
from .state import Node
from .streams import emit, encoding_of, heeds_codes, width

Span: TypeAlias = tuple[str, str]
"""A piece of text on one line, and the name that rich has for its style, or "" for no style."""

_STYLES = {"✓": "green", "⏸": "yellow", "✗": "red"}
_ASCII = {"✓": "+", "✗": "x", "⏸": "=", "…": "...", "█": "#", "·": "."}


@cache
def sign(wanted: str) -> str:
    """Return the sign `wanted`, or one in ASCII if standard output's encoding does not have it."""
    try:
        wanted.encode(encoding_of(sys.stdout))
    except UnicodeEncodeError:
        return _ASCII[wanted]
    return wanted


def glyph_of(node: Node) -> Span:
    """Return the sign of a node for standard output, with its style."""
    wanted = sign_of(node)
    return sign(wanted), _STYLES[wanted]


def cells(text: str) -> int:
    """Return how many columns `text` takes on a terminal."""
    if text.isascii():
        return len(text)
    return sum(_cell(character) for character in text)


def _cell(character: str) -> int:
    return 0 if combining(character) else 1 + (east_asian_width(character) in "WF")


def pad(span: Span, to: int, *, right: bool = False) -> Span:
    """Return `span` filled with blanks up to `to` columns: after the text, or before if `right`."""
    text, style = span
    blanks = " " * (to - cells(text))
    return (blanks + text if right else text + blanks), style


def fitting(text: str, room: int) -> str:
    """Return as much of the beginning of `text` as fits in `room` columns."""
    if text.isascii():
        return text[: max(0, room)]
    taken = 0
    for at, character in enumerate(text):
        taken += _cell(character)
        if taken > room:
            return text[:at]
    return text


def cut(text: str, room: int) -> str:
    """Return `text` if it fits in `room` columns, otherwise its beginning and a mark."""
    if cells(text) <= room:
        return text
    mark = sign("…")
    return fitting(text, room - cells(mark)) + mark


def pieces(text: str, room: int) -> Iterator[str]:
    """Yield `text` in pieces of at most `room` columns, cut between words where that is possible.

    A character that is wider than `room` is a piece of its own.
    """
    while cells(text) > room:
        at = len(fitting(text, room)) or 1
        blank = text.rfind(" ", 1, at + 1)
        if blank > at // 2:
            yield text[:blank]
            text = text[blank + 1 :]
        else:
            yield text[:at]
            text = text[at:]
    yield text


def columns(
    rows: list[list[Span]], *, right: frozenset[int] = frozenset(), widest: int = 64
) -> Iterator[list[Span]]:
    """Yield each row as a line in which the cells of a column are aligned.

    `right`: the numbers of the columns that are aligned to the right. A cell wider than `widest`
    shifts the rest of its own row only.
    """
    count = max(map(len, rows), default=0)
    widths = [
        max((w for row in rows if i < len(row) and (w := cells(row[i][0])) <= widest), default=0)
        for i in range(count)
    ]
    for row in rows:
        line: list[Span] = []
        for i, span in enumerate(row):
            last = i == len(row) - 1 and i not in right
            line.append(span if last else pad(span, widths[i], right=i in right))
            line.append(("" if i == len(row) - 1 else "  ", ""))
        yield line


_wanted = "auto"  # when to use colour, as `choose_colour` takes it


def choose_colour(when: str) -> None:
    """Set when to use colour: ``always``, ``never``, or ``auto``: on a terminal that can show it.

    Raises Refused for ``always`` if rich is not installed.
    """
    global _wanted  # noqa: PLW0603 - there is one standard output
    _wanted = when
    if when == "always" and not _codes_of("bold")[0]:
        raise Refused("--color=always needs rich, which is not installed; install omnelog[cli]")


class Screen:
    """Standard output for lines of styled text. Raises what `streams.emit` raises."""

    def __init__(self) -> None:
        """Find out the width of standard output, and whether to use colour."""
        self.width: int | None = width()
        self._styled = _wanted == "always" or (
            _wanted == "auto" and self.width is not None and heeds_codes()
        )
        self._codes: dict[str, tuple[str, str]] = {"": ("", "")}

    def line(self, *spans: Span) -> None:
        """Write a line. A terminal continues it below if it is too long."""
        text = "".join([text for text, _ in spans]).rstrip()
        if not self._styled:
            emit(text)
            return
        styled = ""
        left = len(text)
        for piece, style in spans:
            shown = piece[:left]  # without the blanks at the end of the line
            left -= len(shown)
            if style not in self._codes:
                self._codes[style] = _codes_of(style)
            before, after = self._codes[style]
            styled += f"{before}{shown}{after}" if shown else ""
        emit(styled)

    def row(self, *spans: Span) -> None:
        """Write a line, cut at the width of the terminal."""
        if self.width is None or sum(cells(text) for text, _ in spans) <= self.width:
            self.line(*spans)
            return
        mark = sign("…")
        room = self.width - cells(mark)
        kept: list[Span] = []
        for text, style in spans:
            fits = fitting(text, room)
            kept.append((fits, style))
            room -= cells(fits)
            if fits != text:
                break
        self.line(*kept, (mark, "dim"))

    def paragraph(self, text: str, style: str = "", *, indent: int) -> None:
        """Write `text` after `indent` blanks, on as many lines as a terminal needs for it."""
        blanks = " " * indent
        if self.width is None:
            self.line((blanks, ""), (text, style))
            return
        for piece in pieces(text, max(1, self.width - indent)):
            self.line((blanks, ""), (piece, style))


def _codes_of(style: str) -> tuple[str, str]:
    """Return the codes before and after text in a style, those that rich has for this terminal."""
    try:
        # ruff: noqa: PLC0415 - an extra, which takes 60 ms to import, for colour alone
        from rich.color import ColorSystem
        from rich.console import Console
        from rich.style import Style
    except ImportError:
        return "", ""
    if _wanted == "always":
        console = Console(force_terminal=True, color_system="standard", no_color=False)
    else:
        console = Console()
    if console.color_system is None:
        return "", ""
    systems = {
        "standard": ColorSystem.STANDARD,
        "256": ColorSystem.EIGHT_BIT,
        "truecolor": ColorSystem.TRUECOLOR,
        "windows": ColorSystem.WINDOWS,
    }
    parsed = Style.parse(style)
    if console.no_color:
        parsed = parsed.without_color
    before, _, after = parsed.render("\0", color_system=systems[console.color_system]).partition(
        "\0"
    )
    return before, after
