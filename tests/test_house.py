# SPDX-License-Identifier: MIT
"""How the package is built: what may import what, and what every file and public name has."""

import ast
import inspect
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

from . import omnelog
from .mutation.mutants import MUTANTS, Mutant

PACKAGE = Path(omnelog.__file__).parent
MAY_IMPORT = {
    "linelog.errors": set(),
    "linelog.fork": set(),
    "linelog.objects": {"linelog.errors"},
    "linelog.lock": {"linelog.errors", "linelog.fork"},
    "linelog.repair": {"linelog.errors", "linelog.lock", "linelog.objects"},
    "linelog.reader": {"linelog.errors", "linelog.lock", "linelog.objects", "linelog.repair"},
    "linelog.appender": {
        "linelog.errors",
        "linelog.fork",
        "linelog.lock",
        "linelog.objects",
        "linelog.repair",
    },
    "events": set(),
    "codec": {"events", "linelog.errors", "linelog.objects"},
    "volume": {"linelog.errors"},
    "ulid": {"linelog.errors", "linelog.lock", "volume"},
    "eventlog": {
        "codec",
        "events",
        "linelog.appender",
        "linelog.errors",
        "linelog.lock",
        "linelog.reader",
        "volume",
    },
}
"""Each module of the core, and the modules that it may import. Lower layers come first."""

FACES = {
    "linelog.__init__": {name for name in MAY_IMPORT if name.startswith("linelog.")},
    "__init__": {*MAY_IMPORT, "linelog"},
}
"""The modules that only gather the public names of others."""

OPTIONAL = {"recording": {*MAY_IMPORT}}
"""Modules that a vendored copy may leave out, because no module of the core imports them."""

CORE = [*MAY_IMPORT, *FACES, *OPTIONAL]
FILES = sorted(PACKAGE.rglob("*.py"))


def path_of(module: str) -> Path:
    """The file of a module, which is named relative to the package."""
    return PACKAGE.joinpath(*module.split(".")).with_suffix(".py")


def imports(path: Path) -> tuple[set[str], set[str]]:
    """What a file imports: modules of the package, named relative to it, and other packages."""
    folder = path.relative_to(PACKAGE).parts[:-1]
    ours = set()
    others = set()
    for statement in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(statement, ast.Import):
            others |= {alias.name.split(".")[0] for alias in statement.names}
        elif isinstance(statement, ast.ImportFrom) and statement.level == 0:
            others.add((statement.module or "").split(".")[0])
        elif isinstance(statement, ast.ImportFrom):
            base = folder[: len(folder) - statement.level + 1]
            names = [statement.module] if statement.module else [a.name for a in statement.names]
            ours |= {".".join((*base, name or "")) for name in names}
    return ours, others


@pytest.mark.parametrize(
    ("module", "allowed"), {**MAY_IMPORT, **FACES, **OPTIONAL}.items(), ids=CORE
)
def test_imports_point_one_way(module: str, allowed: set[str]) -> None:
    """So the line log does not import the event log, and can be copied without it."""
    assert imports(path_of(module))[0] <= allowed


@pytest.mark.parametrize("module", CORE)
def test_the_core_imports_the_standard_library_and_filelock_in_one_place(module: str) -> None:
    found = imports(path_of(module))[1] - sys.stdlib_module_names
    if module == "linelog.objects":
        found.remove("typing_extensions")  # only for type checkers, as tests of layer 1 check
    assert found == ({"filelock"} if module == "linelog.lock" else set())


@pytest.mark.parametrize("module", CORE)
def test_the_core_knows_nothing_of_the_command_nor_of_tests(module: str) -> None:
    assert not {name.split(".")[0] for name in imports(path_of(module))[0]} & {"cli", "testing"}


def test_every_module_of_the_core_is_listed_with_what_it_may_import() -> None:
    paths = [*PACKAGE.glob("*.py"), *PACKAGE.glob("linelog/**/*.py")]
    found = {".".join(path.relative_to(PACKAGE).with_suffix("").parts) for path in paths}
    assert found - {"__main__"} == {*CORE}


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_no_file_makes_code_out_of_text(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            assert node.func.id not in {"exec", "eval", "compile"}, f"line {node.lineno}"


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
    """importlib.metadata does not know a vendored copy."""
    assert "importlib" not in imports(path)[1]


def test_no_imports_go_in_circles() -> None:
    """Sub-packages are included. ``from .. import Name`` counts as an import of ``__init__``."""
    modules = {path.relative_to(PACKAGE).with_suffix("").parts: path for path in FILES}
    graph: dict[tuple[str, ...], set[tuple[str, ...]]] = {module: set() for module in modules}
    for module, path in modules.items():
        for statement in ast.walk(ast.parse(path.read_text())):
            if isinstance(statement, ast.ImportFrom) and statement.level:
                origin = *module[: -statement.level], *(statement.module or "").split(".")
                base = tuple(filter(None, origin))
                for name in [(*base, alias.name) for alias in statement.names]:
                    found = [name, (*name, "__init__"), base, (*base, "__init__")]
                    left_out = base  # the command, which a vendored copy does not have
                    graph[module].add(next((one for one in found if one in modules), left_out))
    assert sum(map(len, graph.values())) > len(modules)
    list(TopologicalSorter(graph).static_order())  # raises CycleError


def test_every_public_name_is_exported_sorted_and_documented() -> None:
    assert omnelog.__all__ == sorted(omnelog.__all__)
    for name in omnelog.__all__:
        public = getattr(omnelog, name)
        if inspect.isclass(public) or inspect.isfunction(public):
            assert inspect.getdoc(public), name
            assert "__doc__" in vars(public) or inspect.isfunction(public), name


SHARED = {
    "linelog.errors": {"is_refusal", "refusals", "refusals_ignored"},
    "linelog.fork": {"Inherited", "register"},
    "linelog.lock": {
        "LockableFile",
        "absolute_path",
        "checked_seconds",
        "exists",
        "is_directory",
        "sync_directory",
        "try_lock",
        "try_lock_strictly",
    },
    "linelog.objects": {
        "Unfit",
        "is_blank",
        "line_of",
        "nesting",
        "parse_object",
        "refusal_of",
        "shown",
        "tail_refusal",
        "text_of",
    },
    "linelog.reader": {"LogReader"},
    "linelog.repair": {"is_too_long", "quarantine_path", "repair"},
    "ulid": {"ulid_ms"},
}
"""Names that the modules of the core share, and that are not public."""


@pytest.mark.parametrize("module", MAY_IMPORT)
def test_what_is_public_in_a_module_is_public_in_the_package(module: str) -> None:
    """The names in `SHARED` are excepted."""
    public = {*omnelog.__all__, *SHARED.get(module, ())}
    for statement in ast.parse(path_of(module).read_text(encoding="utf-8")).body:
        if isinstance(statement, ast.ClassDef | ast.FunctionDef):
            assert statement.name.startswith("_") or statement.name in public, statement.name


@pytest.mark.parametrize(("module", "names"), SHARED.items(), ids=SHARED)
def test_what_modules_share_is_there(module: str, names: set[str]) -> None:
    body = ast.parse(path_of(module).read_text(encoding="utf-8")).body
    assert names <= {s.name for s in body if isinstance(s, ast.ClassDef | ast.FunctionDef)}


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_what_a_mutant_breaks_stands_in_the_core(mutant: Mutant) -> None:
    mutant.text(PACKAGE)  # raises ValueError unless it is there exactly once
