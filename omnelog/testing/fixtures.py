# SPDX-License-Identifier: MIT
"""Fixtures for pytest: ``pytest_plugins = ["omnelog.testing.fixtures"]`` in a conftest.py."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from .. import EventLog, allocate_ulid
from .volume import new_volume


@pytest.fixture
def omne_volume(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Yield the root of a new, empty volume. The environment names it, so commands use no other.

    All examples of a property would share it, so use `omnelog.testing.new_volume` there.
    """
    with new_volume() as root:
        for variable in ("OMNE_RUN_ID", "OMNE_NODE_ID"):
            monkeypatch.delenv(variable, raising=False)
        monkeypatch.setenv("OMNE_VOLUME_ROOT", str(root))
        yield root


@pytest.fixture
def omne_log(omne_volume: Path) -> Iterator[EventLog]:
    """Yield a handle on the log of a new run in `omne_volume`; its directory is named by its id."""
    with EventLog.for_run(omne_volume, f"test-{allocate_ulid(omne_volume)}") as log:
        yield log
