# SPDX-License-Identifier: MIT
"""CONTRIBUTING.md has current verbs and tables. Copies of the list of events are complete."""

import ast
import re
from pathlib import Path

from conformance.generate.samples import LINES

from . import omnelog
from .documents import PROJECT
from .samples import of_every_type
from .schedules.mutants import MUTANTS
from .schedules.table import BRIEF
from .strategies import EVENTS
from .test_codec import SCHEMA

CONTRIBUTING = (PROJECT / "CONTRIBUTING.md").read_text(encoding="utf-8")
PACKAGE = Path(omnelog.__file__).parent


def test_the_verbs_are_those_of_nox() -> None:
    tree = ast.parse((PROJECT / "noxfile.py").read_text(encoding="utf-8"))
    functions = [node for node in tree.body if isinstance(node, ast.FunctionDef)]
    verbs = {node.name for node in functions if "nox.session" in map(name_of, node.decorator_list)}
    [section] = re.findall(r"^## Verbs\n(.*?)^## ", CONTRIBUTING, re.DOTALL | re.MULTILINE)
    table = [line for line in section.splitlines() if line.startswith("| `")]
    named = set(re.findall(r"`([a-z]+)`", "\n".join(table)))
    assert named == verbs


def name_of(decorator: ast.expr) -> str:
    return ast.unparse(decorator.func if isinstance(decorator, ast.Call) else decorator)


def test_what_is_written_twice_has_every_type() -> None:
    assert set(SCHEMA) == set(EVENTS)
    assert {event.type for event in of_every_type()} == set(EVENTS)
    assert set(LINES) == set(EVENTS)


def test_every_test_is_in_the_map() -> None:
    [section] = re.findall(
        r"^## Which tests for which change\n(.*?)^## ", CONTRIBUTING, re.DOTALL | re.MULTILINE
    )
    named = set(re.findall(r"`(tests/\w+(?:\.py)?)`", section))
    tests = {path.relative_to(PROJECT).as_posix() for path in PROJECT.glob("tests/test_*.py")}
    folders = {
        path.parent.relative_to(PROJECT).as_posix() for path in PROJECT.glob("tests/*/__init__.py")
    }
    assert tests | folders == named


def rows(heading: str) -> list[list[str]]:
    """The cells of the table that has this heading."""
    [table] = re.findall(
        rf"^{re.escape(heading)}\n\|[-|]+\n((?:\|.*\n)+)", CONTRIBUTING, re.MULTILINE
    )
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in table.splitlines()]


def test_the_table_of_scenarios_has_those_that_the_tests_search() -> None:
    ways = {"all": "every order", "pruned": "every order that differs in more than what commutes"}
    expected = {
        (entry.title, ways.get(entry.how, f"every order with at most {entry.how}")): entry.at_least
        for entry in BRIEF
    }
    found = {
        (title, how): int(number.replace(",", ""))
        for title, how, number in rows("| Scenario | Searched | Schedules |")
    }
    assert found.keys() == expected.keys()
    for entry, least in expected.items():
        assert found[entry] >= least


def test_the_table_of_mistakes_has_those_that_a_schedule_shows() -> None:
    assert [name for name, _ in rows("| Mistake | Noticed in |")] == [m.name for m in MUTANTS]
