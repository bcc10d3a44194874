# SPDX-License-Identifier: MIT
"""For the tests of those who use omnelog: events, runs and damaged logs, made by hypothesis.

`findings` says what is wrong with the log that a program under test wrote. `Strategies` draws the
events of another copy of omnelog. Fixtures for pytest are in `omnelog.testing.fixtures`.

Needs hypothesis and pytest, which ``omnelog[testing]`` brings. The package itself never imports
this part, so a vendored copy can leave it out.
"""

from .logs import findings, write_log
from .strategies import (
    AWKWARD,
    EVENTS,
    DamagedLog,
    Strategies,
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
    "Strategies",
    "damaged_logs",
    "events",
    "findings",
    "new_volume",
    "run_ids",
    "runs",
    "texts",
    "timestamps",
    "ulids",
    "write_log",
]
