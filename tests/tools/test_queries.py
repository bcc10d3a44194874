# SPDX-License-Identifier: MIT
"""The recipes of docs/recipes.md, unchanged, work on 1,000 runs, some of which are damaged."""

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path
from types import ModuleType
from typing import Any, get_args

import pytest

from .. import omnelog
from ..documents import PROJECT, blocks
from ..samples import RUN, TS, ULID, of_every_type
from .fleet import Fleet

JQ, FEED = blocks("docs/recipes.md", "sh")
[SQL] = blocks("docs/recipes.md", "sql")
SNIPPETS = dict(zip(("polars", "pandas", "pyspark"), blocks("docs/recipes.md", "py"), strict=True))


@pytest.fixture(scope="module")
def volume(tmp_path_factory: pytest.TempPathFactory) -> Fleet:
    """A volume of 1,000 runs, with the feed in a file. Every fiftieth run is damaged.

    Two more runs have odd ids: one looks like a partition, the other begins with a dot.
    """
    fleet = Fleet(tmp_path_factory.mktemp("volume"), runs=1000, volumes=1)
    [root] = fleet.roots
    for run_id in ("year=2026", ".hidden"):
        with omnelog.EventLog.for_run(root, run_id) as log:
            log.append(replace(of_every_type()[5], run_id=run_id))
    done = shell(root, FEED)
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == fleet.total("bad_lines")
    return fleet


def shell(root: Path, script: str) -> "subprocess.CompletedProcess[str]":
    """Run a recipe in the volume `root`, with `omnelog` on the PATH."""
    bin_directory = root / ".omne" / "bin"
    bin_directory.mkdir(exist_ok=True)
    command = bin_directory / "omnelog"
    command.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m omnelog "$@"\n')
    command.chmod(0o755)
    environment = {"PATH": f"{bin_directory}:{os.environ['PATH']}", "PYTHONPATH": str(PROJECT)}
    return subprocess.run(
        ["sh", "-c", script],
        cwd=root,
        env={k: v for k, v in os.environ.items() if k[:5] != "OMNE_"} | environment,
        capture_output=True,
        text=True,
    )


def sound(root: Path) -> list["omnelog.Event"]:
    """All sound events of the volume."""
    runs = omnelog.enumerate_runs(root)
    return [event for run_id in runs for event in omnelog.scan_run(root, run_id).events]


def failures(root: Path) -> list[tuple[str, str, str | None]]:
    """Run, node and message of all failures, sorted."""
    found = [event for event in sound(root) if isinstance(event, omnelog.NodeFailed)]
    assert len(found) > 100
    return sorted((event.run_id, event.node_id, event.message) for event in found)


@pytest.fixture
def every_type(tmp_path: Path) -> Path:
    """A volume of one run, with an event of every type, and the feed in a file."""
    with omnelog.EventLog.for_run(tmp_path, RUN) as log:
        log.append_many(of_every_type())
        greatest = {"iteration": 2**32 - 1, "byte_offset": 2**64 - 1}
        log.append(omnelog.IterationStarted(id=ULID, ts=TS, run_id=RUN, node_id="n", **greatest))
    assert shell(tmp_path, FEED).returncode == 0
    return tmp_path


def test_jq_lists_what_failed_and_why(volume: Fleet, program: Callable[[str], str]) -> None:
    program("jq")
    [root] = volume.roots
    done = shell(root, JQ)
    assert done.returncode == 0
    rows = [line.split("\t") for line in done.stdout.removesuffix("\n").split("\n")]
    assert sorted((run_id, node, message) for run_id, node, _, message in rows) == [
        (run_id, node, (message or "").replace("\\", "\\\\"))
        for run_id, node, message in failures(root)
    ]


@pytest.mark.parametrize("library", SNIPPETS)
def test_a_data_frame_has_every_sound_event(
    volume: Fleet,
    library: str,
    module: Callable[[str], ModuleType],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    module(library)
    [root] = volume.roots
    monkeypatch.chdir(root)
    program = [sys.executable, "-c", f"{SNIPPETS[library]}\n{AS_JSON[library]}"]
    done = subprocess.run(program, cwd=root, env=spark(), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    count, greatest, failed = json.loads(done.stdout.splitlines()[-1])
    assert (count, greatest) == (len(sound(root)), 2**64 - 1)
    assert sorted(map(tuple, failed)) == failures(root)


def spark() -> dict[str, str]:
    """An environment in which Spark uses this machine only, and prints little."""
    options = "--master local[1] --conf spark.ui.enabled=false pyspark-shell"
    return os.environ | {"PYSPARK_SUBMIT_ARGS": options, "SPARK_LOCAL_IP": "127.0.0.1"}


AS_JSON = {
    "polars": "rows = failed.select('run_id', 'node_id', 'message').rows()\n"
    "import json; print(json.dumps([len(events), events['byte_offset'].max(), rows]))",
    "pandas": "rows = failed[['run_id', 'node_id', 'message']].values.tolist()\n"
    "print(json.dumps([len(events), events.byte_offset.dropna().max(), rows]))",
    "pyspark": "rows = failed.select('run_id', 'node_id', 'message').collect()\n"
    "greatest = int(events.agg({'byte_offset': 'max'}).collect()[0][0])\n"
    "import json; print(json.dumps([events.count(), greatest, [list(row) for row in rows]]))",
}
"""Programs that print, as JSON, the number of events, the greatest offset, and the failures."""


def test_jq_reads_what_json_of_python_reads(
    every_type: Path, program: Callable[[str], str]
) -> None:
    path = omnelog.events_log_path(every_type, RUN)
    lines = path.read_bytes().splitlines()[: len(of_every_type())]  # jq rounds the last offset
    done = subprocess.run([program("jq"), "-c", "."], input=b"\n".join(lines), capture_output=True)
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert found == [json.loads(line) for line in lines]


def connected(duckdb: ModuleType, root: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.chdir(root)
    connection = duckdb.connect()
    connection.execute("SET threads = 2")
    return connection


def test_duckdb_finds_the_slowest_nodes(
    volume: Fleet, module: Callable[[str], ModuleType], monkeypatch: pytest.MonkeyPatch
) -> None:
    connection = connected(module("duckdb"), volume.roots[0], monkeypatch)
    *before, query = SQL.rstrip().removesuffix(";").split(";")
    connection.execute(";".join(before))
    slowest = sorted(volume.nodes, key=lambda node: (-node[2], node))[:10]
    assert connection.execute(query).fetchall() == slowest
    [(count,)] = connection.execute("SELECT count(*) FROM 'events.parquet'").fetchall()
    runs = connection.execute("SELECT DISTINCT run_id FROM events").fetchall()
    assert count == len(sound(volume.roots[0]))
    assert {("year=2026",), (".hidden",)} <= set(runs)


def test_duckdb_has_every_value_with_the_right_type(
    every_type: Path, module: Callable[[str], ModuleType], monkeypatch: pytest.MonkeyPatch
) -> None:
    connection = connected(module("duckdb"), every_type, monkeypatch)
    connection.execute(SQL)
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
