# SPDX-License-Identifier: MIT
"""Measure how often the stress harness finds the mistakes that only a schedule shows.

``python -m tests.schedules.under_stress [WORD...]`` puts each mutant, or each with one of the words
in its name, into a copy of the project, and runs the stress harness there for a minute. It prints
in how many rounds the harness noticed the mutant.
"""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from ..documents import PROJECT
from .mutants import MUTANTS, Mutant

TIMEOUT_S = 600


def rounds_that_notice(mutant: Mutant) -> tuple[int, int]:
    """Run for a minute; return how many rounds noticed the mutant, and how many there were."""
    with TemporaryDirectory(prefix="omnelog-mutant-") as name:
        copy = Path(name)
        for part in ("omnelog", "stress", "conformance"):
            shutil.copytree(PROJECT / part, copy / part)
        _, text = mutant.mutated()
        source = Path(str(mutant.module.__file__)).relative_to(PROJECT)
        (copy / source).write_text(text)
        report = copy / "report.json"
        command = [sys.executable, "-m", "stress", "--soak", "1", "--rounds-only"]
        subprocess.run(
            [*command, "--json", str(report)],
            cwd=copy,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=TIMEOUT_S,
            check=False,  # it fails if it finds a violation
        )
        rounds = json.loads(report.read_text())["rounds"]
        return sum(bool(one["violations"]) for one in rounds), len(rounds)


def main(words: list[str]) -> int:
    """Try the mutants one after the other, because each run keeps all processors busy."""
    for mutant in MUTANTS:
        if not words or any(word in mutant.name for word in words):
            noticed, rounds = rounds_that_notice(mutant)
            print(f"{mutant.name}: noticed in {noticed} of {rounds} rounds", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
