# SPDX-License-Identifier: MIT
"""Layer 1 needs only itself, the standard library and a lock, so that it can be vendored."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from . import linelog

FOLDER = Path(linelog.__file__).parent
FILES = sorted(FOLDER.rglob("*.py"))
LOCKS = {"filelock", linelog.__name__.split(".")[0]}  # a host may have its own filelock


def statements_that_run(tree: ast.AST) -> Iterator[ast.AST]:
    """All parts of a file except those that only a type checker reads."""
    yield tree
    for part in ast.iter_child_nodes(tree):
        if isinstance(part, ast.If) and ast.unparse(part.test) == "TYPE_CHECKING":
            for statement in part.orelse:
                yield from statements_that_run(statement)
        else:
            yield from statements_that_run(part)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_a_file_imports_only_its_siblings_and_the_standard_library(path: Path) -> None:
    siblings = {file.stem for file in FILES}
    allowed = {*sys.stdlib_module_names, *(LOCKS if path.name == "lock.py" else [])}
    for statement in statements_that_run(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(statement, ast.Import):
            assert {alias.name.split(".")[0] for alias in statement.names} <= allowed
        elif isinstance(statement, ast.ImportFrom) and statement.level == 0:
            assert (statement.module or "").split(".")[0] in allowed
        elif isinstance(statement, ast.ImportFrom):
            names = [statement.module] if statement.module else [a.name for a in statement.names]
            assert statement.level == 1
            assert set(names) <= siblings


def test_every_file_is_in_one_folder() -> None:
    assert {path.parent for path in FILES} == {FOLDER}
    assert len(FILES) > 5
