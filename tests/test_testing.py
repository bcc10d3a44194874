# SPDX-License-Identifier: MIT
"""What the strategies and fixtures for everybody's tests promise to draw."""

import os
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import Phase, find, given, settings

from . import omnelog, testing

FIRST_FOUND = settings(phases=[Phase.generate], max_examples=10_000, database=None)
"""`find` goes on until it has found one, be it one in fifteen, which 100 may not hold."""


@given(testing.run_ids())
def test_a_run_id_is_one_that_a_volume_takes(run_id: str) -> None:
    assert omnelog.run_dir(".", run_id).name == run_id


@given(testing.ulids())
def test_ulids_have_26_lowercase_digits(ulid: str) -> None:
    assert len(ulid) == 26
    assert set(ulid) <= set("0123456789abcdefghjkmnpqrstvwxyz")
    assert ulid[0] <= "7"


@given(testing.texts())
def test_texts_have_a_utf8_form(text: str) -> None:
    assert text.encode().decode() == text


@given(testing.runs())
def test_a_run_is_one_that_can_be_appended_and_read(run: list[omnelog.Event]) -> None:
    run_id = run[0].run_id
    with testing.new_volume() as root:
        with omnelog.EventLog.for_run(root, run_id) as log:
            log.append_many(run)
        assert omnelog.read_run(root, run_id) == run


@given(testing.runs())
def test_a_run_is_told_in_the_order_of_its_life(run: list[omnelog.Event]) -> None:
    first, *rest = run
    assert isinstance(first, omnelog.PipeStarted)
    assert [event.id for event in run] == sorted({event.id for event in run})
    assert [event.ts for event in run] == sorted(event.ts for event in run)
    assert {event.run_id for event in run} == {first.run_id}
    assert first.run_id.startswith(f"{first.pipe}-")
    for event in rest[:-1]:
        assert not event.type.startswith("pipe.")
    lives: dict[str, list[str]] = {}
    for event in rest:
        match event:
            case omnelog.PipeCompleted() | omnelog.PipeAborted() | omnelog.PipeStarted():
                continue
            case omnelog.NodeCompleted(node_id=node_id, output_path=path):
                assert path == omnelog.node_capture_wire_path(first.run_id, node_id)
            case _:
                pass
        lives.setdefault(event.node_id, []).append(event.type)
    for life in lives.values():
        count = Counter(life)
        assert life[0] == "node.started"
        assert count["node.started"] == 1
        ends = count["node.completed"] + count["node.failed"]
        assert ends == int(life[-1] in ("node.completed", "node.failed"))


@pytest.mark.parametrize("name", testing.EVENTS)
def test_every_type_comes_up_in_runs(name: str) -> None:
    find(testing.runs(), lambda run: any(e.type == name for e in run), settings=FIRST_FOUND)


@given(testing.damaged_logs())
def test_a_damaged_log_is_read_as_it_says(log: testing.DamagedLog) -> None:
    with testing.new_volume() as root:
        path = omnelog.events_log_path(root, "run")
        path.parent.mkdir(parents=True)
        path.write_bytes(log.data)
        scan = omnelog.scan_run(root, "run")
    assert scan.events == log.events
    assert [problem.line for problem in scan.problems] == log.bad_lines != []
    assert isinstance(scan.problems[-1], omnelog.TornTailError) == log.torn
    assert scan.blank_lines == log.blank_lines


@pytest.mark.parametrize("torn", [True, False])
def test_damage_comes_at_the_end_and_elsewhere(torn: bool) -> None:
    find(
        testing.damaged_logs(),
        lambda log: log.torn is torn and len(log.events) > 0,
        settings=FIRST_FOUND,
    )


def test_the_volume_is_empty_and_the_only_one_that_commands_know(
    omne_volume: Path,
) -> None:
    assert omnelog.enumerate_runs(omne_volume) == []
    assert omnelog.find_omne_root(omne_volume) == omne_volume.resolve()
    assert os.environ["OMNE_VOLUME_ROOT"] == str(omne_volume)
    assert "OMNE_RUN_ID" not in os.environ


def test_the_log_is_that_of_a_new_run(omne_volume: Path, omne_log: omnelog.EventLog) -> None:
    run_id = omne_log.path.parent.name
    assert omnelog.enumerate_runs(omne_volume) == [run_id]
    assert omnelog.read_run(omne_volume, run_id) == []


def test_readmes_tests_pass(tmp_path: Path) -> None:
    readme = (Path(__file__).parents[1] / "README.md").read_text()
    section = readme.split("\n## Testing\n")[1].split("\n## ")[0]
    [snippet] = re.findall(r"```python\n(.*?)```", section, re.DOTALL)
    [plugins] = re.findall(r"`(pytest_plugins = .*?)`", section)
    (tmp_path / "test_mine.py").write_text(snippet)
    (tmp_path / "conftest.py").write_text(plugins)
    command = [sys.executable, "-m", "pytest", "-q", "-W", "error", "-p", "no:cacheprovider"]
    done = subprocess.run(
        [*command, f"--rootdir={tmp_path}", tmp_path], cwd=tmp_path, capture_output=True, text=True
    )
    assert "3 passed" in done.stdout, done.stdout
