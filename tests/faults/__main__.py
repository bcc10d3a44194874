# SPDX-License-Identifier: MIT
"""Run the tests of faults in their long versions, then the mutants; sum up in one line.

``python -m tests.faults`` runs the mutants only if all tests pass. It hands its arguments to
pytest, for example to select tests; with arguments, it does not run the mutants.
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
    """The numbers of cases, tests and failures of a run of the tests."""

    def __init__(self) -> None:
        self.cases: Counter[str] = Counter()
        self.passed = self.skipped = self.violations = 0

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Keep the numbers that pytest reports at the end."""
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
    """Run everything; return 0 if nothing failed."""
    sums = Sums()
    folder = str(Path(__file__).parent)
    imported = "ignore::pytest.PytestAssertRewriteWarning"  # of hypothesis, which has no asserts
    code = int(pytest.main(["-n", "auto", "-W", imported, folder, *arguments], [sums]))
    if code == pytest.ExitCode.INTERRUPTED:
        raise KeyboardInterrupt  # pytest has reported it
    killed = "mutants not tried"
    if not code and not arguments:
        dead, tried = run(MUTANTS)
        killed, code = f"{dead} of {tried} mutants killed", int(dead != tried)
    skipped = f", {sums.skipped} tests SKIPPED, see above" if sums.skipped else ""
    print(f"faults: {sums}, {killed}, {sums.violations} violations{skipped}")
    return code


if __name__ == "__main__":
    run_program(lambda: main(sys.argv[1:]))
