# SPDX-License-Identifier: MIT
"""Show text, numbers and sizes to people, harmless to a terminal and of bounded length."""

from collections.abc import Iterable, Sequence

LONGEST = 500  # characters of one text at most; `show --full` shows all


def plain(text: str, longest: int = LONGEST) -> str:
    """Return `text` on one line, with what does not print escaped, such as codes for colours."""
    cut = text[:longest]
    if not cut.isprintable():
        escaped = (c if c.isprintable() else c.encode("unicode_escape").decode() for c in cut)
        cut = "".join(escaped)
    return cut if len(text) <= longest else f"{cut}... ({len(text)} characters)"


def short(text: str, longest: int) -> str:
    """Return `text` harmless as in `plain`, cut to `longest` characters."""
    whole = plain(text[: longest + 1])
    return whole if len(whole) <= longest else f"{whole[: longest - 3]}..."


def counted(number: int, noun: str) -> str:
    """Return a number of things in English, such as ``1,200 lines``."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def some(names: Sequence[str], most: int) -> str:
    """Return the first `most` of `names`, and how many more there are."""
    more = f" and {len(names) - most:,} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def names_like(wanted: str, names: Iterable[str]) -> str:
    """Return a hint for the end of a message: which of `names` are most similar to `wanted`."""
    from difflib import get_close_matches  # noqa: PLC0415 - only messages need it

    near = get_close_matches(wanted, list(names), n=3, cutoff=0.5)
    return f"; the nearest is {', '.join(near)}" if near else ""


def spell_size(size: int) -> str:
    """Return a number of bytes as text, in units of 1,000."""
    amount = float(size)
    for unit in ("B", "kB", "MB"):
        if amount < 999.5:
            return f"{amount:.0f} {unit}" if unit == "B" or amount >= 10 else f"{amount:.1f} {unit}"
        amount /= 1000
    return f"{amount:.1f} GB"
