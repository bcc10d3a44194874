# SPDX-License-Identifier: MIT
"""How many cases the fault tests ran, told at the end of the run.

A test counts its cases in a property of its report, which pytest-xdist brings to the process that
sums them up. That process loads no conftest below the folder it was told to test: for the sums to
be told of every run, the topmost conftest has to import `pytest_terminal_summary` from here, too.
"""

from collections import Counter
from collections.abc import Callable
from typing import TypeAlias

import pytest

Count: TypeAlias = Callable[[str, int], None]

PREFIX = "fault cases: "
_told = pytest.StashKey[bool]()


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Say how many cases of each kind were run, once."""
    total: Counter[str] = Counter()
    for reports in terminalreporter.stats.values():
        for report in reports:
            for name, cases in getattr(report, "user_properties", ()):
                if name.startswith(PREFIX) and getattr(report, "when", "") == "call":
                    total[name.removeprefix(PREFIX)] += cases
    if total and not config.stash.get(_told, False):
        config.stash[_told] = True
        terminalreporter.section("faults")
        for kind, cases in sorted(total.items()):
            terminalreporter.write_line(f"{cases:7,} {kind}")
