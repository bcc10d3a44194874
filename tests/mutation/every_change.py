# SPDX-License-Identifier: MIT
"""Make every small change to a module of the core, one at a time, and run its tests.

The command is ``python -m tests.mutation.every_change MODULE``.

`mutants` has the mistakes that people make. This program makes all changes that a mutation tester
knows: another operator, another number, a negated condition, an exception that is not caught. A
change that no test notices must be listed in ``survivors.toml``, with the reason why no test can
notice it. The run fails if a change that survives is not listed, or if a listed change does not
survive. It takes long, because it runs some tests several hundred times.
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
TIMEOUT_S = 300  # after that, a change is noticed; in parallel the slowest tests take 100 s
# Many tests notice a change only when a wait times out, and use no processor until then.
WORKERS = 2 * (os.cpu_count() or 1)

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
"""The tests that notice changes to each module, the quickest first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A module with one small change: `becomes` replaces `line`, and `text` is the result."""

    module: str
    text: str
    line: str
    becomes: str

    def __str__(self) -> str:
        return f"{self.module}.py: {self.line}\n{'':>10}becomes: {self.becomes}"

    @property
    def key(self) -> tuple[str, str, str]:
        """The key of the change in the list of survivors."""
        return self.module, self.line, self.becomes


def changes(module: str) -> Iterator[Change]:
    """Yield all changes that the mutation tester can make to a module."""
    source = (PROJECT / "omnelog" / f"{module}.py").read_text()
    for name in operator_names():
        if name.rpartition("/")[2].startswith("Variable"):
            continue  # these two operators need the name of a variable
        operator = get_operator(name)()
        for occurrence in count():
            try:
                text = mutate_code(source, operator, occurrence)
            except AttributeError:  # the tester fails on ``except (*THESE, That)``
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
    """Return whether the tests pass with a change, and the last line of their output."""
    code, said = run_tests(TESTS[change.module], change.module, change.text, timeout_s=TIMEOUT_S)
    return code == pytest.ExitCode.OK, said


def listed(modules: Sequence[str]) -> set[tuple[str, str, str]]:
    """Return the keys of the changes to `modules` that are known to survive."""
    entries = tomllib.loads(SURVIVORS.read_text())
    return {
        (module, entry["line"], becomes)
        for module in modules
        for entry in entries.get(module, ())
        for becomes in entry["becomes"]
    }


def run(module: str, known: set[tuple[str, str, str]]) -> bool:
    """Try all changes to a module; print those that survive; return whether they are as listed."""
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
        print(f"listed, but it does not survive: {line}\n{'':>10}becomes: {becomes}")
        print(f"{'':>10}{noticed.get(key, 'which is not a change that can be made')}")
    share = (tried - len(survivors)) / tried
    print(f"{module}: {tried - len(survivors)} of {tried} changes noticed, {share:.1%}")
    return not stale and known.issuperset(survivors)


def main() -> int:
    """Try the given modules, or all; return 1 if the survivors in a module are not as listed."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.mutation.every_change", description=__doc__
    )
    parser.add_argument("modules", nargs="*", metavar="MODULE", help=f"of {' '.join(TESTS)} (all)")
    modules: list[str] = parser.parse_args().modules or [*TESTS]
    if unknown := {*modules}.difference(TESTS):
        parser.error(f"no tests are known for {' '.join(sorted(unknown))}")
    known = listed(modules)
    failed = [module for module in modules if not run(module, known)]
    return int(bool(failed))


if __name__ == "__main__":
    run_program(main)
