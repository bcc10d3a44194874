# SPDX-License-Identifier: MIT
"""What a person sees: lines of styled text, in columns, with signs that the output can show.

Colour is rich's work, if that is installed and standard output is a terminal that takes it; the
text is the same without.
"""

import shutil
import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, TypeAlias
from unicodedata import combining, east_asian_width

from .state import Node
from .streams import emit, heeds_codes
from .text import sign_of

if TYPE_CHECKING:
    from rich.console import Console

Span: TypeAlias = tuple[str, str]
"""A piece of text on one line, and its style as rich names it; "" for none."""

_ASCII = {"✓": "+", "✗": "x", "⏸": "=", "…": "...", "█": "#", "·": "."}


def is_terminal() -> bool:
    """Whether standard output is one."""
    return sys.stdout is not None and sys.stdout.isatty()


def width() -> int | None:
    """The columns of the terminal that standard output is; None if it is none."""
    return shutil.get_terminal_size().columns if is_terminal() else None


def sign(wanted: str) -> str:
    """The sign `wanted`, or one in ASCII where standard output's encoding lacks it."""
    try:
        wanted.encode(getattr(sys.stdout, "encoding", None) or "utf-8")
    except UnicodeEncodeError:
        return _ASCII[wanted]
    return wanted


def glyph_of(node: Node) -> Span:
    """The sign of a node for standard output, with its style."""
    wanted = sign_of(node)
    return sign(wanted), {"✓": "green", "⏸": "yellow", "✗": "red"}[wanted]


def cells(text: str) -> int:
    """How many columns `text` takes on a terminal."""
    if text.isascii():
        return len(text)
    return sum(0 if combining(c) else 1 + (east_asian_width(c) in "WF") for c in text)


def pad(span: Span, to: int, *, right: bool = False) -> Span:
    """`span` with blanks up to `to` columns, before the text if it goes to the right."""
    text, style = span
    blanks = " " * (to - cells(text))
    return (blanks + text if right else text + blanks), style


def columns(
    rows: Sequence[Sequence[Span]], *, right: frozenset[int] = frozenset(), widest: int = 64
) -> Iterable[list[Span]]:
    """Yield each row as a line, its cells below each other, the columns `right` to the right.

    A cell wider than `widest` shifts its own row, not every other.
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


class Screen:
    """Standard output for lines of styled text. Raises what `streams.emit` raises."""

    def __init__(self) -> None:
        """Look at what standard output is."""
        self._console = _console() if is_terminal() else None

    def line(self, *spans: Span) -> None:
        """Write a line."""
        text = "".join(text for text, _ in spans).rstrip()
        if self._console is None:
            emit(text)
            return
        from rich.text import Text  # noqa: PLC0415 - an extra, which is there if a console is

        encoding = sys.stdout.encoding
        styled = Text(end="")
        for piece, style in spans:
            styled.append(piece.encode(encoding, "backslashreplace").decode(encoding), style)
        styled.rstrip()
        with self._console.capture() as captured:
            self._console.print(styled, soft_wrap=True, end="")
        emit(captured.get())


def _console() -> "Console | None":
    if not heeds_codes():
        return None
    try:
        from rich.console import Console  # noqa: PLC0415 - an extra; 60 ms, for terminals alone
    except ImportError:
        return None
    return Console(highlight=False, markup=False, emoji=False)
