# SPDX-License-Identifier: MIT
"""How the package is built: what may import what, and what every file and public name has."""

import ast
import inspect
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

from . import omnelog
from .mutants import MUTANTS, Mutant

PACKAGE = Path(omnelog.__file__).parent
CORE = ["errors", "events", "codec", "volume", "lock", "appender", "reader"]
MAY_IMPORT = {
    "errors": set(),
    "events": set(),
    "codec": {"errors", "events"},
    "volume": {"errors"},
    "lock": {"errors"},
    "ulid": {"errors", "lock", "volume"},
    "appender": {"errors", "events", "codec", "lock", "volume"},
    "reader": {"errors", "events", "codec", "lock", "volume"},
}
FILES = sorted(PACKAGE.rglob("*.py"))


def imports(path: Path) -> tuple[set[str], set[str]]:
    """The siblings that a module imports, and the packages from elsewhere."""
    siblings, others = set(), set()
    for statement in ast.walk(ast.parse(path.read_text())):
        if isinstance(statement, ast.Import):
            others |= {alias.name.split(".")[0] for alias in statement.names}
        elif isinstance(statement, ast.ImportFrom) and statement.level == 0:
            others.add((statement.module or "").split(".")[0])
        elif isinstance(statement, ast.ImportFrom):
            names = [statement.module] if statement.module else [a.name for a in statement.names]
            siblings |= {(name or "").split(".")[0] for name in names}
    return siblings, others


@pytest.mark.parametrize("module", MAY_IMPORT)
def test_imports_point_one_way(module: str) -> None:
    assert imports(PACKAGE / f"{module}.py")[0] <= MAY_IMPORT[module]


@pytest.mark.parametrize("module", [*CORE, "ulid", "__init__"])
def test_the_core_imports_the_standard_library_and_filelock_in_one_place(module: str) -> None:
    allowed = {*sys.stdlib_module_names, *(["filelock"] if module == "lock" else [])}
    assert imports(PACKAGE / f"{module}.py")[1] <= allowed


@pytest.mark.parametrize("module", [*CORE, "ulid", "__init__"])
def test_the_core_knows_nothing_of_the_command_nor_of_tests(module: str) -> None:
    assert not {"cli", "testing"} & imports(PACKAGE / f"{module}.py")[0]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_every_file_has_its_licence_and_says_what_it_promises(path: Path) -> None:
    text = path.read_text()
    assert text.startswith("# SPDX-License-Identifier: MIT\n")
    assert ast.get_docstring(ast.parse(text))


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_no_file_imports_the_package_by_its_name(path: Path) -> None:
    assert "omnelog" not in imports(path)[1]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_no_file_asks_what_is_installed(path: Path) -> None:
    """importlib.metadata knows nothing of a vendored copy."""
    assert "importlib" not in imports(path)[1]


def test_no_imports_go_in_circles() -> None:
    """Sub-packages included; ``from .. import Name`` leads to the ``__init__`` of that package."""
    modules = {path.relative_to(PACKAGE).with_suffix("").parts: path for path in FILES}
    graph: dict[tuple[str, ...], set[tuple[str, ...]]] = {module: set() for module in modules}
    for module, path in modules.items():
        for statement in ast.walk(ast.parse(path.read_text())):
            if isinstance(statement, ast.ImportFrom) and statement.level:
                origin = *module[: -statement.level], *(statement.module or "").split(".")
                base = tuple(filter(None, origin))
                for name in [(*base, alias.name) for alias in statement.names]:
                    found = [name, (*name, "__init__"), base, (*base, "__init__")]
                    graph[module].add(next(one for one in found if one in modules))
    assert sum(map(len, graph.values())) > len(modules)
    list(TopologicalSorter(graph).static_order())  # raises CycleError


def test_every_module_of_the_core_is_told_what_it_may_import() -> None:
    core = {path.stem for path in PACKAGE.glob("*.py")} - {"__init__", "__main__"}
    assert core == set(MAY_IMPORT)


def test_every_public_name_is_exported_sorted_and_documented() -> None:
    assert omnelog.__all__ == sorted(omnelog.__all__)
    for name in omnelog.__all__:
        public = getattr(omnelog, name)
        if inspect.isclass(public) or inspect.isfunction(public):
            assert inspect.getdoc(public), name
            assert "__doc__" in vars(public) or inspect.isfunction(public), name


def test_what_is_public_in_a_module_is_public_in_the_package() -> None:
    """But for what the modules share among themselves."""
    shared = {"checked_seconds", "refusals", "is_blank", "try_lock", "LockableFile", "LogFile"}
    for module in [*CORE, "ulid"]:
        tree = ast.parse((PACKAGE / f"{module}.py").read_text())
        for statement in tree.body:
            if isinstance(statement, ast.ClassDef | ast.FunctionDef):
                name = statement.name
                assert name.startswith("_") or name in {*shared, *omnelog.__all__}, name


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_what_a_mutant_breaks_stands_in_the_core(mutant: Mutant) -> None:
    assert (PACKAGE / f"{mutant.module}.py").read_text().count(mutant.before) == 1
