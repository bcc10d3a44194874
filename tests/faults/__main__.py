# SPDX-License-Identifier: MIT
"""Every fault at length, then every mutant, then one line that says what came of it.

``python -m tests.faults`` runs the tests of this folder in their long versions and, if all pass,
the mutants. Arguments are pytest's, to choose among the tests, say; then the mutants are left out.
"""

import os
import sys
from collections import Counter
from pathlib import Path

os.environ["OMNELOG_FAULTS"] = "thorough"

import pytest

from conformance.program import run as run_program

from ..mutation.mutants import MUTANTS
from ..mutation.run_mutants import run
from .counts import CRASHED, INTERRUPTED, KILLED, totals


class Sums:
    """What a run of the tests came to."""

    def __init__(self) -> None:
        self.cases: Counter[str] = Counter()
        self.passed = self.skipped = self.violations = 0

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Take it down."""
        stats = terminalreporter.stats
        self.cases = totals(terminalreporter)
        self.passed, self.skipped = len(stats.get("passed", ())), len(stats.get("skipped", ()))
        self.violations = len(stats.get("failed", ())) + len(stats.get("error", ()))

    def __str__(self) -> str:
        special = {
            "kills": self.cases[KILLED],
            "interrupts": self.cases[INTERRUPTED],
            "crash states": self.cases[CRASHED],
        }
        other = self.cases.total() - sum(special.values())
        return f"{self.passed:,} tests with {other:,} cases, " + ", ".join(
            f"{number:,} {what}" for what, number in special.items()
        )


def main(arguments: list[str]) -> int:
    """Run it all; 0 if nothing went wrong."""
    sums = Sums()
    folder = str(Path(__file__).parent)
    imported = "ignore::pytest.PytestAssertRewriteWarning"  # hypothesis, by us: it asserts nothing
    code = int(pytest.main(["-n", "auto", "-W", imported, folder, *arguments], [sums]))
    if code == pytest.ExitCode.INTERRUPTED:
        raise KeyboardInterrupt  # which pytest has reported
    killed = "mutants not tried"
    if not code and not arguments:
        dead, tried = run(MUTANTS)
        killed, code = f"{dead} of {tried} mutants killed", int(dead != tried)
    skipped = f", {sums.skipped} tests SKIPPED, see above" if sums.skipped else ""
    print(f"faults: {sums}, {killed}, {sums.violations} violations{skipped}")
    return code


if __name__ == "__main__":
    run_program(lambda: main(sys.argv[1:]))
