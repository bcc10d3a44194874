# SPDX-License-Identifier: MIT
"""Fit help text to the width of a terminal.

Lines that are not indented are paragraphs, which are filled. An indented line stays as it is if
there is room for it. Otherwise it is continued below its second column, which is what follows two
blanks or more, as in a table. The lines of the text that continue such a line are joined to it
first.
"""

import re
from collections.abc import Iterator
from textwrap import wrap

_WIDEST = 88  # columns; longer lines are hard to read
_HANGING = 4  # columns by which the continuation of an indented line is further to the right
_FIRST_COLUMN = r" +\S+(?: \S+)*  +(?=\S)"


def reflow(text: str, width: int) -> str:
    """Return `text` with lines of at most `width` columns, unless a single word is longer."""
    return "\n".join(_lines(text, min(width, _WIDEST)))


def _lines(text: str, width: int) -> Iterator[str]:
    block = ""
    hanging = 0  # the indent of a line that would continue the block; -1: no line can
    for line in text.splitlines():
        indent = len(line) - len(line.lstrip())
        if block and line and indent == hanging:
            block = f"{block} {line.strip()}"
            continue
        yield from _filled(block, hanging, width)
        if not line:
            yield ""
        block = line
        first_column = re.match(_FIRST_COLUMN, line)
        hanging = len(first_column[0]) if first_column else -1
        if not indent:
            hanging = 0
    yield from _filled(block, hanging, width)


def _filled(block: str, hanging: int, width: int) -> Iterator[str]:
    if not block:
        return
    indent = len(block) - len(block.lstrip())
    if not indent:
        hanging = 0
    elif not 0 < hanging <= width // 2:
        hanging = indent + _HANGING
    yield from wrap(
        block.strip(),
        width,
        initial_indent=" " * indent,
        subsequent_indent=" " * hanging,
        break_long_words=False,
        break_on_hyphens=False,
    )
