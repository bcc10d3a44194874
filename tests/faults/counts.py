# SPDX-License-Identifier: MIT
"""How many cases the tests run, and a report of their numbers at the end.

A test stores the number of its cases as a property of its report. pytest-xdist sends the reports to
the process that adds the numbers up. That process loads no conftest from below the folder it was
asked to test. So the topmost conftest must import `pytest_terminal_summary` from here; otherwise
some runs report no sums.
"""

import os
from collections import Counter
from collections.abc import Callable
from typing import TypeAlias

import pytest

THOROUGH = os.environ.get("OMNELOG_FAULTS") == "thorough"
KILLS = int(os.environ.get("OMNELOG_KILLS", "2000" if THOROUGH else "60"))
INTERRUPTS = int(os.environ.get("OMNELOG_INTERRUPTS", "100000" if THOROUGH else "3000"))
"""How many appends a real signal interrupts.

The tests that use these three constants say what else they stand for.
"""

KILLED = "writers killed at a random moment"
INTERRUPTED = "appends interrupted, between bytecodes or by a signal"
CRASHED = "states that a power loss leaves"

Count: TypeAlias = Callable[[str, int], None]

PREFIX = "fault cases: "
_is_printed = pytest.StashKey[bool]()


def totals(reporter: pytest.TerminalReporter) -> Counter[str]:
    """Return how many cases of each kind were run."""
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
    """Print once how many cases of each kind were run."""
    total = totals(terminalreporter)
    if total and not config.stash.get(_is_printed, False):
        config.stash[_is_printed] = True
        terminalreporter.section("faults")
        for kind, cases in sorted(total.items()):
            terminalreporter.write_line(f"{cases:9,} {kind}")
