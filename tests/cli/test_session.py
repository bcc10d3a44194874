# SPDX-License-Identifier: MIT
"""The session in docs/command.md: what it shows is what the command prints."""

import re

from ..documents import blocks
from .volume import Volume

[MAKEFILE] = blocks("docs/command.md", "make")
SESSION, OWN_CHECKS = blocks("docs/command.md", "console")
STEPS = re.findall(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", SESSION, re.MULTILINE)


def alike(shown: str) -> list[str]:
    """The sorted lines, without the ids, times and sizes, which differ each time.

    They are sorted because nodes that run at the same time print in any order.
    """
    for pattern, instead in (
        (r"-[0-9a-hjkmnp-tv-z]{26}", "-ULID"),
        (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", "TS"),
        (r"((\d+m)?\d+(\.\d)?s|\d+ms)\b", "0s"),
        (r"\d\.\d kB", "SIZE"),
        (r" +", " "),
    ):
        shown = re.sub(pattern, instead, shown)
    return sorted(shown.splitlines())


def test_the_documented_session_is_what_a_user_gets(volume: Volume) -> None:
    (volume.root / ".omne").rmdir()
    (volume.root / "Makefile").write_text(MAKEFILE)
    assert len(STEPS) == SESSION.count("$ ")
    for command, shown in STEPS:
        said = volume.shell(f"({command}) 2>&1")
        assert alike(said.out.decode()) == alike(shown), command
