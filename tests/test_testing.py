# SPDX-License-Identifier: MIT
"""The strategies and fixtures for the tests of users give what they promise."""

import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import Phase, find, given, settings
from hypothesis.errors import NoSuchExample
from hypothesis.strategies import SearchStrategy

from . import omnelog, testing
from .documents import blocks, text_of

FIRST_FOUND = settings(phases=[Phase.generate], max_examples=10_000, database=None)
"""`find` needs this many examples: a hundred may lack what one example in fifteen has."""


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
def test_the_events_of_a_run_are_in_the_order_of_its_life(run: list[omnelog.Event]) -> None:
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


def test_every_type_comes_up_in_runs() -> None:
    missing = {*testing.EVENTS}

    def completes_them(run: list[omnelog.Event]) -> bool:
        missing.difference_update(event.type for event in run)
        return not missing

    with suppress(NoSuchExample):
        find(testing.runs(), completes_them, settings=FIRST_FOUND)
    assert missing == set()


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


# ---- examples that can be pasted, and other copies ----


def printed_arguments(strategy: SearchStrategy[Any], condition: Callable[[Any], bool]) -> list[str]:
    """The arguments that hypothesis prints for the first example that meets a condition."""

    @settings(database=None, max_examples=2000, phases=[Phase.generate])  # without shrinking
    @given(strategy)
    def fails(example: Any) -> None:
        assert not condition(example)

    with pytest.raises(AssertionError) as caught:
        fails()
    [note] = [note for note in caught.value.__notes__ if "example=" in note]
    return re.findall(r"example=(.*),\n\)", note, re.DOTALL)


NAMES = {**vars(omnelog), **vars(testing)}


@pytest.mark.parametrize("name", testing.EVENTS)
def test_an_example_of_an_event_can_be_pasted(name: str) -> None:
    found: list[omnelog.Event] = []

    def is_it(event: omnelog.Event) -> bool:
        found.append(event)
        return event.type == name and len(event.id) > 1

    [text] = printed_arguments(testing.events(), is_it)
    assert eval(text, dict(NAMES)) in found
    assert "type=" not in text


def test_an_example_of_a_run_can_be_pasted() -> None:
    found: list[list[omnelog.Event]] = []

    def is_long(run: list[omnelog.Event]) -> bool:
        found.append(run)
        return len(run) > 2

    [text] = printed_arguments(testing.runs(), is_long)
    assert eval(text, dict(NAMES)) in found


def test_an_example_of_a_damaged_log_can_be_pasted() -> None:
    found: list[testing.DamagedLog] = []

    def has_events(log: testing.DamagedLog) -> bool:
        found.append(log)
        return len(log.events) > 0

    [text] = printed_arguments(testing.damaged_logs(), has_events)
    assert eval(text, dict(NAMES)) in found


@pytest.mark.parametrize(
    "strategy", [testing.ulids(), testing.run_ids(), testing.timestamps()], ids=str
)
def test_an_example_of_a_text_can_be_pasted(strategy: SearchStrategy[str]) -> None:
    [text] = printed_arguments(strategy, lambda _: True)
    assert isinstance(eval(text, {}), str)


OTHER_COPY = """
import importlib, sys
from hypothesis import HealthCheck, given, settings
ours = importlib.import_module(sys.argv[1])
testing = importlib.import_module(sys.argv[1] + ".testing")
from host import omnelog as copy

strategies = testing.Strategies(copy)
assert set(strategies.EVENTS) == set(testing.EVENTS)

settings.register_profile(
    "slow", database=None, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("slow")

@settings(max_examples=20)
@given(strategies.runs(), strategies.damaged_logs(), strategies.events())
def are_of_the_copy(run, log, event):
    for found in [event, *run, *log.events]:
        assert type(found).__module__ == "host.omnelog.events"
        assert copy.decode(copy.encode(found)) == found
        try:
            ours.encode(found)
        except ours.SerializeError as error:
            assert "(of the module host.omnelog.events) is not an event" in str(error)
        else:
            raise AssertionError(found)

@settings(max_examples=1)
@given(strategies.EVENTS["node.started"])
def is_printed(event):
    raise KeyError

are_of_the_copy()
try:
    is_printed()
except KeyError as error:
    print(*error.__notes__)
"""


def test_strategies_can_be_of_another_copy_of_the_package(tmp_path: Path) -> None:
    package = Path(omnelog.__file__).parent
    left_out = shutil.ignore_patterns("__pycache__", "cli", "testing", "__main__.py")
    shutil.copytree(package, tmp_path / "host" / "omnelog", ignore=left_out)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])}
    command = [sys.executable, "-c", OTHER_COPY, omnelog.__name__]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert "event=NodeStarted(id=" in done.stdout
    assert "kind=NodeKind." in done.stdout


# ---- logs of the program under test ----


@given(testing.damaged_logs())
def test_a_damaged_log_has_findings_on_its_bad_lines(log: testing.DamagedLog) -> None:
    with testing.new_volume() as root:
        path = testing.write_log(root, "run", log.data)
        assert path.read_bytes() == log.data
        found = testing.findings(root, "run")
    for number in log.bad_lines:
        assert any(finding.startswith(f"{path}:{number}: ") for finding in found)


@given(testing.runs())
def test_a_run_has_no_findings_and_a_repeated_one_has(run: list[omnelog.Event]) -> None:
    with testing.new_volume() as root:
        data = b"".join(map(omnelog.encode, run))
        testing.write_log(root, run[0].run_id, data)
        assert testing.findings(root, run[0].run_id) == []
        testing.write_log(root, run[0].run_id, data + data)
        assert testing.findings(root, run[0].run_id) != []


def test_a_run_that_does_not_exist_has_no_findings_but_is_an_error(omne_volume: Path) -> None:
    with pytest.raises(omnelog.LogIOError, match="there is no run 'other'"):
        testing.findings(omne_volume, "other")
    with pytest.raises(omnelog.InvalidRunId):
        testing.findings(omne_volume, "../other")
    with pytest.raises(omnelog.InvalidRunId):
        testing.write_log(omne_volume, "../other", b"")


PATIENT = """
from hypothesis import HealthCheck, settings

settings.register_profile(
    "patient", deadline=None, max_examples=20, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("patient")
"""


def test_the_documented_tests_pass(tmp_path: Path) -> None:
    [snippet] = blocks("docs/testing.md", "python")
    [plugins] = re.findall(r"`(pytest_plugins = .*?)`", text_of("docs/testing.md"))
    (tmp_path / "test_mine.py").write_text(snippet)
    (tmp_path / "conftest.py").write_text(f"{plugins}\n{PATIENT}")
    command = [sys.executable, "-m", "pytest", "-q", "-W", "error", "-p", "no:cacheprovider"]
    done = subprocess.run(
        [*command, f"--rootdir={tmp_path}", tmp_path], cwd=tmp_path, capture_output=True, text=True
    )
    assert "3 passed" in done.stdout, done.stdout
