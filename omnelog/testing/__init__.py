# SPDX-License-Identifier: MIT
"""Help for the tests of programs that use omnelog: hypothesis draws events, runs and damaged logs.

`findings` returns what is wrong with the log that a program under test wrote. `Strategies` draws
the events of another copy of omnelog. Fixtures for pytest are in `omnelog.testing.fixtures`.

This sub-package needs hypothesis and pytest, which ``omnelog[testing]`` installs. The rest of
omnelog never imports it, so a vendored copy can leave it out.
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
