# SPDX-License-Identifier: MIT
"""How many faults the tests are to meet, and how many they met: a report at the end of the run.

A test counts its cases in a property of its report, which pytest-xdist brings to the process that
sums them up. That process loads no conftest below the folder it was asked to test. So the
topmost conftest has to import `pytest_terminal_summary` from here, or some runs report no sums.
"""

import os
from collections import Counter
from collections.abc import Callable
from typing import TypeAlias

import pytest

THOROUGH = os.environ.get("OMNELOG_FAULTS") == "thorough"
KILLS = int(os.environ.get("OMNELOG_KILLS", "2000" if THOROUGH else "60"))
INTERRUPTS = int(os.environ.get("OMNELOG_INTERRUPTS", "100000" if THOROUGH else "3000"))
"""By real signals; the tests say what else these three stand for."""

KILLED = "writers killed at a random moment"
INTERRUPTED = "appends interrupted, at every bytecode or by a signal"
CRASHED = "states that a power loss leaves"

Count: TypeAlias = Callable[[str, int], None]

PREFIX = "fault cases: "
_is_printed = pytest.StashKey[bool]()


def totals(reporter: pytest.TerminalReporter) -> Counter[str]:
    """How many cases of each kind were run."""
    total: Counter[str] = Counter()
    for reports in reporter.stats.values():
        for report in reports:
            for name, cases in getattr(report, "user_properties", ()):
                if name.startswith(PREFIX) and getattr(report, "when", "") == "call":
                    total[name.removeprefix(PREFIX)] += cases
    return total


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Say how many cases of each kind were run, once."""
    total = totals(terminalreporter)
    if total and not config.stash.get(_is_printed, False):
        config.stash[_is_printed] = True
        terminalreporter.section("faults")
        for kind, cases in sorted(total.items()):
            terminalreporter.write_line(f"{cases:9,} {kind}")
