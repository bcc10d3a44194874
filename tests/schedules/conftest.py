# SPDX-License-Identifier: MIT
"""Fixtures of the schedules: a system with its files, and a counter."""

from collections.abc import Iterator

import pytest

from ..faults.conftest import count
from ..faults.counts import pytest_terminal_summary
from .run import in_memory, scheduled
from .system import ScheduledSystem

__all__ = ["count", "pytest_terminal_summary"]


@pytest.fixture
def system() -> Iterator[ScheduledSystem]:
    """A system in which schedules can be run, one after the other."""
    with in_memory() as directory, scheduled(directory) as system:
        yield system
