# SPDX-License-Identifier: MIT
"""Documents, comments and names have no word over which a reader stumbles."""

import re
from pathlib import Path

import pytest

from .documents import DOCUMENTS, PROJECT

UNWANTED = re.compile(
    r"(?<![a-z])(mend(s|ed|ing)?|amid|anew|afresh|lest|be it|told|but for)(?![a-z])", re.IGNORECASE
)
"""Say repair, during, again, so that not, even, reported, except."""

FOLDERS = [PROJECT / name for name in ("omnelog", "stress", "conformance", "tests", "examples")]
MODULES = {path for folder in FOLDERS for path in folder.rglob("*.py")} - {Path(__file__)}


def unwanted(text: str) -> list[str]:
    return [found[0] for found in UNWANTED.finditer(text)]


def test_documents_and_modules_are_in_plain_english() -> None:
    found = {path: unwanted(path.read_text(encoding="utf-8")) for path in {*DOCUMENTS, *MODULES}}
    assert len(found) > 300
    assert {str(path): words for path, words in found.items() if words} == {}


@pytest.mark.parametrize("text", ["mended", "Be it so", "_was_told", "it is\ntold", "been anew."])
def test_an_unwanted_word_is_found_wherever_it_is(text: str) -> None:
    assert len(unwanted(text)) == 1


def test_a_part_of_a_word_is_not_a_word() -> None:
    assert unwanted("amend, recommended, latest, amidst") == []
