# SPDX-License-Identifier: MIT
"""Both engines of examples/fleet.py print the right table of 2,000 runs in five volumes."""

import subprocess
import sys
from collections.abc import Callable
from types import ModuleType

import pytest

from ..documents import PROJECT
from .fleet import Fleet

EXAMPLE = PROJECT / "examples" / "fleet.py"


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Fleet:
    return Fleet(tmp_path_factory.mktemp("fleet"), runs=2000, volumes=5)


@pytest.mark.parametrize("engine", ["dask", "duckdb"])
def test_the_table_is_what_was_written(
    engine: str, fleet: Fleet, module: Callable[[str], ModuleType]
) -> None:
    for name in ("duckdb", "distributed"):
        module(name)
    done = subprocess.run(
        [sys.executable, EXAMPLE, engine, *fleet.roots], capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == fleet.table
    assert min(fleet.counts.values()) > 5
