# SPDX-License-Identifier: MIT
"""Every small change to a module of the core, one at a time.

``python -m tests.mutation.every_change MODULE`` runs it.

Where `mutants` makes the mistakes that people make, this makes all those that a mutation tester can
think of: another operator, another number, a condition negated, an exception not caught. Those that
no test notices are looked up in ``survivors.toml``, which says why each of them makes no difference
that a test could see. One that is not listed there, or is listed and does not survive, makes the
run fail. It takes as long as it takes to run some tests several hundred times.
"""

import argparse
import os
import sys
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import ndiff
from itertools import count
from pathlib import Path

import pytest
from cosmic_ray.mutating import mutate_code
from cosmic_ray.plugins import get_operator, operator_names

from conformance.program import run as run_program

from .copy_of_project import PROJECT, parallel_runs, run_tests

SURVIVORS = Path(__file__).with_name("survivors.toml")
TIMEOUT_S = 300  # a loop that never ends is a change that is noticed; side by side they take 100
WORKERS = 2 * (os.cpu_count() or 1)  # for many a change is noticed by waiting in vain

TESTS = {
    "codec": "test_codec.py test_events.py",
    "linelog/appender": (
        "test_calls.py test_appender.py faults/test_paths.py faults/test_threads.py"
        " test_stateful.py faults/test_refusals.py faults/test_fork.py test_lock.py"
        " faults/test_interrupts.py faults/test_recursion.py"
    ),
    "linelog/lock": (
        "test_lock.py test_calls.py faults/test_quarantine.py faults/test_refusals.py"
        " faults/test_paths.py test_appender.py faults/test_fork.py"
    ),
    "linelog/objects": "test_codec.py faults/test_quarantine.py faults/test_handlers.py",
    "linelog/reader": (
        "test_reader.py faults/test_paths.py faults/test_every_byte.py faults/test_quarantine.py"
        " faults/test_fork.py::test_a_reader_in_a_child_says_that_its_file_is_gone"
    ),
    "linelog/repair": (
        "test_appender.py faults/test_quarantine.py faults/test_refusals.py test_calls.py"
    ),
}
"""What notices a change to each module, the quickest first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A module with one small change; `line` is what stood there, `becomes` what stands now."""

    module: str
    text: str
    line: str
    becomes: str

    def __str__(self) -> str:
        return f"{self.module}.py: {self.line}\n{'':>10}becomes: {self.becomes}"

    @property
    def key(self) -> tuple[str, str, str]:
        """What it is known by in the list of survivors."""
        return self.module, self.line, self.becomes


def changes(module: str) -> Iterator[Change]:
    """All that the mutation tester can do to a module."""
    source = (PROJECT / "omnelog" / f"{module}.py").read_text()
    for name in operator_names():
        if name.rpartition("/")[2].startswith("Variable"):
            continue  # these two are about variables that one has to name
        operator = get_operator(name)()
        for occurrence in count():
            try:
                text = mutate_code(source, operator, occurrence)
            except AttributeError:  # the tester stumbles over ``except (*THESE, That)``
                continue
            if text is None:
                break
            diff = list(ndiff(source.splitlines(), text.splitlines()))
            line, becomes = (
                " ".join(part[2:].strip() for part in diff if part.startswith(sign))
                for sign in "-+"
            )
            yield Change(module=module, text=text, line=line, becomes=becomes)


def survives(change: Change) -> tuple[bool, str]:
    """Whether the tests pass in spite of a change, and what they say."""
    code, said = run_tests(TESTS[change.module], change.module, change.text, timeout_s=TIMEOUT_S)
    return code == pytest.ExitCode.OK, said


def listed(modules: Sequence[str]) -> set[tuple[str, str, str]]:
    """The keys of those that are known to survive."""
    entries = tomllib.loads(SURVIVORS.read_text())
    return {
        (module, entry["line"], becomes)
        for module in modules
        for entry in entries.get(module, ())
        for becomes in entry["becomes"]
    }


def run(module: str, known: set[tuple[str, str, str]]) -> bool:
    """Try all changes to a module, telling of survivors; whether it was as the list says."""
    code, said = run_tests(TESTS[module])
    if code != pytest.ExitCode.OK:
        print(f"without any change, the tests of {module} do not pass: {said}")
        return False
    tried, survivors, noticed = 0, [], {}
    with parallel_runs(WORKERS) as pool:
        todo = list(changes(module))
        for change, (alive, said) in zip(todo, pool.map(survives, todo), strict=True):
            tried += 1
            if alive:
                survivors.append(change.key)
                print(f"{'listed' if change.key in known else 'SURVIVED':10}{change}", flush=True)
            else:
                noticed[change.key] = said
            if sys.stderr.isatty():
                print(f"\r{tried} of {len(todo)} ", end="", file=sys.stderr)
    stale = {key for key in known if key[0] == module}.difference(survivors)
    for key in sorted(stale):
        _, line, becomes = key
        print(f"listed, but not among the survivors: {line}\n{'':>10}becomes: {becomes}")
        print(f"{'':>10}{noticed.get(key, 'which is no change that can be made')}")
    share = (tried - len(survivors)) / tried
    print(f"{module}: {tried - len(survivors)} of {tried} changes noticed, {share:.1%}")
    return not stale and known.issuperset(survivors)


def main() -> int:
    """Try the modules that are given, or all; 1 if one was not as it should be."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.mutation.every_change", description=__doc__
    )
    parser.add_argument("modules", nargs="*", metavar="MODULE", help=f"of {' '.join(TESTS)}; all")
    modules: list[str] = parser.parse_args().modules or [*TESTS]
    if unknown := {*modules}.difference(TESTS):
        parser.error(f"no tests are known for {' '.join(sorted(unknown))}")
    known = listed(modules)
    failed = [module for module in modules if not run(module, known)]
    return int(bool(failed))


if __name__ == "__main__":
    run_program(main)
