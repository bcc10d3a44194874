# SPDX-License-Identifier: MIT
"""If a tool is missing, its tests are skipped. In `nox -s tools`, they fail."""

import importlib
import os
import shutil
from collections.abc import Callable
from types import ModuleType

import pytest

CACHES = shutil.ignore_patterns(
    *(".git", ".venv", ".nox", ".tox", ".hypothesis", ".omne", ".*_cache"),
    *("__pycache__", "dist", "build", "*.egg-info"),
)
"""Files that a fresh checkout does not have."""

NEEDED = "OMNELOG_TOOLS" in os.environ


def missing(tool: str) -> None:
    if NEEDED:
        pytest.fail(f"{tool} is not installed")
    pytest.skip(f"{tool} is not installed; `nox -s tools` has it")


@pytest.fixture(autouse=True)
def nothing_is_left() -> None:
    """Allow other programs to leave files. Dask keeps a directory for its next run."""


@pytest.fixture
def module() -> Callable[[str], ModuleType]:
    """A function that imports a module, which may be missing."""

    def load(name: str) -> ModuleType:
        if importlib.util.find_spec(name) is None:
            missing(name)
        return importlib.import_module(name)

    return load


@pytest.fixture
def program() -> Callable[[str], str]:
    """A function that finds the path of a program, which may be missing."""

    def find(name: str) -> str:
        path = shutil.which(name)
        if path is None:
            missing(name)
        return path or ""

    return find
