# SPDX-License-Identifier: MIT
"""Where the volumes of the fault tests are, and where their cases are counted."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from .counts import PREFIX, Count, pytest_terminal_summary

__all__ = ["pytest_terminal_summary"]


@pytest.fixture
def root(tmp_path: Path) -> Iterator[Path]:
    """Where a volume can be made, again and again: in memory where the system has such a place."""
    place = "/dev/shm" if os.access("/dev/shm", os.W_OK) else tmp_path
    with TemporaryDirectory(prefix="omnelog-faults-", dir=place) as directory:
        yield Path(directory, "volume")


@pytest.fixture
def count(record_property: Callable[[str, object], None]) -> Count:
    """Takes down that so many cases of a kind were run."""
    return lambda kind, cases: record_property(PREFIX + kind, cases)
