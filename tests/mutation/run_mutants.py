# SPDX-License-Identifier: MIT
"""Put each mutant into a copy of the project, and check that its tests fail.

A mutant is killed if its tests fail with it; without it they must pass. The run fails if a mutant
survives, or if the text that it replaces is not in the core exactly once.
"""

import argparse
import os
import shlex
from collections.abc import Sequence

import pytest

from .copy_of_project import TIMEOUT_S, parallel_runs, run_tests
from .mutants import MUTANTS, TESTS, Mutant

HANG_S = 60  # the time limit for a mutant that may hang


def killed(mutant: Mutant) -> tuple[bool, str]:
    """Return whether the tests fail with the mutant, and the last line of their output."""
    try:
        text = mutant.text()
    except ValueError as error:
        return False, str(error)
    tests = mutant.tests or TESTS[mutant.module]
    code, said = run_tests(tests, mutant.module, text, HANG_S if mutant.hangs else TIMEOUT_S)
    return code == pytest.ExitCode.TESTS_FAILED or (mutant.hangs and code is None), said


def sound(mutants: Sequence[Mutant]) -> dict[str, str]:
    """Return the tests of all `mutants` by their file, as arguments for pytest."""
    named: dict[str, set[str]] = {}
    for mutant in mutants:
        for test in shlex.split(mutant.tests or TESTS[mutant.module]):
            named.setdefault(test.partition("::")[0], set()).add(test)
    return {
        file: file if file in some else shlex.join(sorted(some)) for file, some in named.items()
    }


def run(mutants: Sequence[Mutant], jobs: int | None = None) -> tuple[int, int]:
    """Try all `mutants` and print each result; return how many were killed, and how many tried.

    `jobs` is how many run at once, by default one for each core.
    """
    dead = 0
    with parallel_runs(jobs or os.cpu_count() or 1) as pool:
        chosen = sound(mutants)
        results = pool.map(run_tests, chosen.values())
        for file, (code, said) in zip(chosen, results, strict=True):
            if code != pytest.ExitCode.OK:
                print(f"without any mutant, {file} does not pass: {said}")
                return 0, len(mutants)
        for mutant, (is_dead, said) in zip(mutants, pool.map(killed, mutants), strict=True):
            dead += is_dead
            print(f"{'killed  ' if is_dead else 'SURVIVED'}  {mutant.name}: {said}", flush=True)
    return dead, len(mutants)


def main() -> int:
    """Run all mutants, or the chosen ones; return 1 if any survives."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutation", description=__doc__)
    parser.add_argument("words", nargs="*", help="run only mutants with one of these in their name")
    parser.add_argument(
        "-m",
        "--module",
        choices=sorted({mutant.module for mutant in MUTANTS}),
        help="run only mutants of this module",
    )
    parser.add_argument(
        "-j", "--jobs", type=int, help="how many to run at once (one for each core)"
    )
    options = parser.parse_args()
    chosen = [
        mutant
        for mutant in MUTANTS
        if options.module in (None, mutant.module)
        and (not options.words or any(word in mutant.name for word in options.words))
    ]
    dead, tried = run(chosen, options.jobs)
    print(f"{dead} of {tried} mutants killed")
    return int(dead != tried or not tried)
