# SPDX-License-Identifier: MIT
"""The documents of the project and the blocks of code in them, for the tests that run these."""

import re
from pathlib import Path

PROJECT = Path(__file__).parents[1]
DOCUMENTS = sorted(
    [*PROJECT.glob("*.md"), *(PROJECT / "docs").glob("*.md"), PROJECT / "conformance/PROTOCOL.md"]
)


def text_of(name: str) -> str:
    """Return the text of a document, named by its path within the project."""
    return (PROJECT / name).read_text(encoding="utf-8")


def blocks(name: str, language: str) -> list[str]:
    """Return the fenced blocks of one language in a document, in order."""
    return re.findall(rf"^```{language}\n(.*?)^```$", text_of(name), re.DOTALL | re.MULTILINE)
