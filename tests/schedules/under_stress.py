# SPDX-License-Identifier: MIT
"""How often a minute of the stress harness finds the mistakes that only a schedule shows.

``python -m tests.schedules.under_stress [WORD...]`` puts each mutant, or those with one of the
words in their name, into a copy of the project and lets the stress harness run there for a minute.
It says in how many rounds the harness found it.
"""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from .mutants import MUTANTS, Mutant

PROJECT = Path(__file__).parents[2]
TIMEOUT_S = 600


def rounds_that_notice(mutant: Mutant) -> tuple[int, int]:
    """Return in how many rounds of a minute the mutant was noticed, and how many there were."""
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
            check=False,  # it fails when it finds something
        )
        rounds = json.loads(report.read_text())["rounds"]
        return sum(bool(one["violations"]) for one in rounds), len(rounds)


def main(words: list[str]) -> int:
    """Try them one after the other, since each keeps all processors busy."""
    for mutant in MUTANTS:
        if not words or any(word in mutant.name for word in words):
            noticed, rounds = rounds_that_notice(mutant)
            print(f"{mutant.name}: noticed in {noticed} of {rounds} rounds", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
