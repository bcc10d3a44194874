# SPDX-License-Identifier: MIT
"""Loads the profile of hypothesis, even where this folder was copied without the other tests."""

from pathlib import Path

import pytest

from . import profiles

__all__ = ["profiles"]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """The path of a log that does not exist yet."""
    return tmp_path / "log.jsonl"
