# SPDX-License-Identifier: MIT
"""For the tests of those who use omnelog: events, runs and damaged logs, made by hypothesis.

Fixtures for pytest are in `omnelog.testing.fixtures`. Needs hypothesis and pytest, which
``omnelog[testing]`` brings; the package itself never imports this part, so a vendored copy can
leave it out.
"""

from .strategies import (
    AWKWARD,
    EVENTS,
    DamagedLog,
    damaged_logs,
    events,
    run_ids,
    runs,
    texts,
    timestamps,
    ulids,
)
from .volume import new_volume

__all__ = [
    "AWKWARD",
    "EVENTS",
    "DamagedLog",
    "damaged_logs",
    "events",
    "new_volume",
    "run_ids",
    "runs",
    "texts",
    "timestamps",
    "ulids",
]
