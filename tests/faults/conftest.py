# SPDX-License-Identifier: MIT
"""Fixtures of the fault tests: a place for volumes, and a counter of cases."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from .counts import PREFIX, Count, pytest_terminal_summary

__all__ = ["pytest_terminal_summary"]


@pytest.fixture
def root(tmp_path: Path) -> Iterator[Path]:
    """A path at which a test can make volumes, one after another; in memory if possible."""
    place = "/dev/shm" if os.access("/dev/shm", os.W_OK) else tmp_path
    with TemporaryDirectory(prefix="omnelog-faults-", dir=place) as directory:
        yield Path(directory, "volume")


@pytest.fixture
def count(record_property: Callable[[str, object], None]) -> Count:
    """A function that records how many cases of a kind the test has run."""
    return lambda kind, cases: record_property(PREFIX + kind, cases)
