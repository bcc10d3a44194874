# SPDX-License-Identifier: MIT
"""README's recipes for jq and DuckDB, as they stand there, on 1,000 runs."""

import json
import re
import subprocess
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from types import ModuleType
from typing import Any, get_args

import pytest

from .. import omnelog
from ..samples import RUN, TS, ULID, of_every_type
from .fleet import Fleet

README = (Path(__file__).parents[2] / "README.md").read_text()
SECTION = README.split("\n## Tools\n")[1].split("\n## ")[0]


def shown(language: str) -> str:
    [found] = re.findall(rf"```{language}\n(.*?)```", SECTION, re.DOTALL)
    return str(found)


@pytest.fixture(scope="module")
def volume(tmp_path_factory: pytest.TempPathFactory) -> Fleet:
    """A volume of 1,000 undamaged runs."""
    return Fleet(tmp_path_factory.mktemp("volume"), runs=1000, volumes=1, damaged=False)


@pytest.fixture
def every_type(tmp_path: Path) -> Path:
    """A volume of one run, with an event of every type."""
    with omnelog.EventLog.for_run(tmp_path, RUN) as log:
        log.append_many(of_every_type())
    return tmp_path


def test_jq_lists_what_failed_and_why(volume: Fleet, program: Callable[[str], str]) -> None:
    program("jq")
    [root] = volume.roots
    done = subprocess.run(["sh", "-ec", shown("sh")], cwd=root, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    failed = [
        [event.run_id, event.node_id, event.error.kind, event.message]
        for run_id in omnelog.enumerate_runs(root)
        for event in omnelog.read_run(root, run_id)
        if isinstance(event, omnelog.NodeFailed)
    ]
    assert [line.split("\t") for line in done.stdout.splitlines()] == failed
    assert len(failed) > 100


def test_jq_reads_what_json_of_python_reads(
    every_type: Path, program: Callable[[str], str]
) -> None:
    path = omnelog.events_log_path(every_type, RUN)
    done = subprocess.run([program("jq"), "-c", ".", path], capture_output=True, check=True)
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert found == [json.loads(line) for line in path.read_bytes().splitlines()]


def connected(duckdb: ModuleType, root: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.chdir(root)
    connection = duckdb.connect()
    connection.execute("SET threads = 2")
    return connection


def test_duckdb_finds_the_slowest_nodes(
    volume: Fleet, module: Callable[[str], ModuleType], monkeypatch: pytest.MonkeyPatch
) -> None:
    connection = connected(module("duckdb"), volume.roots[0], monkeypatch)
    *view, query = shown("sql").rstrip().removesuffix(";").split(";")
    connection.execute(";".join(view))
    slowest = sorted(volume.nodes, key=lambda node: (-node[2], node))[:10]
    assert connection.execute(query).fetchall() == slowest


def test_duckdb_has_every_value_with_the_right_type(
    every_type: Path, module: Callable[[str], ModuleType], monkeypatch: pytest.MonkeyPatch
) -> None:
    with omnelog.EventLog.for_run(every_type, RUN) as log:
        greatest = {"iteration": 2**32 - 1, "byte_offset": 2**64 - 1}
        log.append(omnelog.IterationStarted(id=ULID, ts=TS, run_id=RUN, node_id="n", **greatest))
    connection = connected(module("duckdb"), every_type, monkeypatch)
    connection.execute(shown("sql"))
    found = connection.execute("SELECT * REPLACE (strftime(ts, '%xT%XZ') AS ts) FROM events")
    names = [column[0] for column in found.description]
    rows = [dict(zip(names, row, strict=True)) for row in found.fetchall()]
    present = [{name: value for name, value in row.items() if value is not None} for row in rows]
    path = omnelog.events_log_path(every_type, RUN)
    assert present == [json.loads(line) for line in path.read_bytes().split(b"\n")[:-1]]
    assert {"type", *names} == {
        "type",
        *(field.name for cls in get_args(omnelog.Event) for field in fields(cls)),
    }
