# SPDX-License-Identifier: MIT
"""`begin` and `end`, and runs that no recorder will end."""

import json
from pathlib import Path

import pytest

from .. import omnelog
from .volume import Volume, finish


def begun(volume: Volume, *words: str) -> str:
    """Begin a run; return its id."""
    said = volume.call("begin", "ci", *words)
    assert (said.status, said.err) == (0, "")
    return said.out.decode().removesuffix("\n")


def test_steps_that_share_no_parent_make_one_run(volume: Volume) -> None:
    run_id = begun(volume, "--input", "branch=main", "--input", "tag=a=b")
    assert volume.call("record", "--run", run_id, "one", "--", "true").status == 0
    assert volume.call("record", "--run", run_id, "two", "--", "true").status == 0
    said = volume.call("end", run_id)
    assert (said.status, said.out, said.err) == (0, b"", "")
    first, *_, last = volume.events(run_id)
    assert isinstance(first, omnelog.PipeStarted)
    assert [(one.key, one.value) for one in first.inputs] == [("branch", "main"), ("tag", "a=b")]
    assert isinstance(last, omnelog.PipeCompleted)
    assert volume.call("verify", run_id).status == 0


def test_a_run_can_be_ended_as_aborted(volume: Volume) -> None:
    run_id = begun(volume)
    assert volume.call("end", "latest", "--abort", "given up").status == 0
    *_, last = volume.events(run_id)
    assert isinstance(last, omnelog.PipeAborted)
    assert last.reason == "given up"


def test_a_run_that_has_ended_is_not_ended_again(volume: Volume) -> None:
    run_id = begun(volume)
    volume.call("end", run_id)
    said = volume.call("end", run_id, "--abort", "late")
    assert said.status == 1
    assert "has ended already (completed)" in said.err
    assert volume.types(run_id) == ["pipe.started", "pipe.completed"]


@pytest.mark.parametrize("words", [("--input", "x"), ("--input", "=x")])
def test_an_input_is_a_key_and_a_value(volume: Volume, words: tuple[str, ...]) -> None:
    said = volume.call("begin", "ci", *words)
    assert said.status == 2
    assert "KEY=VALUE" in said.err
    assert volume.runs() == []


def test_a_run_is_not_begun_by_a_name_that_is_not_plain(volume: Volume) -> None:
    assert "pipe name" in volume.call("begin", "a/b").err
    assert volume.runs() == []


@pytest.mark.spec("EVT-9")
def test_a_run_whose_recorder_was_killed_can_only_be_aborted(volume: Volume) -> None:
    """While the recorder is at work, and once it is gone, every verb that shows a run says so."""
    words = ("record", "--pipe", "ci", "n", "--", "sh", "-c", "echo up; read x")
    with volume.start(*words) as process:
        assert process.stdout
        assert process.stdout.readline() == b"up\n"
        [run_id] = volume.runs()
        assert b"its recorder is at work" in volume.call("show", run_id).out
        assert json.loads(volume.call("runs", "--json").out)["has_recorder"] is True
        assert b" running " in volume.call("runs").out
        assert "no end yet" not in volume.call("verify", run_id).err
        said = volume.call("end", run_id)
        assert said.status == 1
        assert "these nodes have no end: 'n' (its recorder is at work)" in said.err
        process.kill()
        finish(process)
    shown = volume.call("show", run_id).out.decode()
    assert "its recorder is gone; `omnelog end RUN --abort REASON` ends the run" in shown
    assert json.loads(volume.call("runs", "--json").out)["has_recorder"] is False
    assert b" silent " in volume.call("runs").out
    assert f"run {run_id} has no end yet: silent for " in volume.call("verify", run_id).err
    assert "(its recorder is gone)" in volume.call("end", run_id).err
    assert volume.call("end", run_id, "--abort", "killed").status == 0
    *_, last = volume.events(run_id)
    assert isinstance(last, omnelog.PipeAborted)
    assert last.reason == "killed (nodes without an end: n)"
    assert volume.call("verify", run_id).status == 0


def test_of_a_run_between_two_steps_nobody_knows_whether_it_goes_on(volume: Volume) -> None:
    begun(volume)
    run = json.loads(volume.call("runs", "--json").out)
    assert (run["state"], run["has_recorder"]) == ("running", None)
    assert run["silent_ms"] >= 0


def test_a_run_of_another_program_has_no_recorder_that_is_known(volume: Volume) -> None:
    """Only a recorder locks the captures of its nodes."""
    run_id = "other-01kpfntqeej7vhn935kc0tm9vn"
    head = {"id": "01kpfntqeej7vhn935kc0tm9vn", "ts": "2026-01-31T23:59:59Z", "run_id": run_id}
    kind = omnelog.NodeKind.BASH
    volume.write(
        omnelog.PipeStarted(**head, pipe="other", inputs=[], distro_version="omne 1"),
        omnelog.NodeStarted(**head, node_id="n", kind=kind),
        run_id=run_id,
    )
    capture = Path(omnelog.nodes_dir(volume.root, run_id)) / "n.out"
    capture.parent.mkdir()
    capture.touch()
    assert json.loads(volume.call("runs", "--json").out)["has_recorder"] is None
    assert b"its recorder" not in volume.call("show", run_id).out


@pytest.mark.parametrize("output", ["> /dev/full", ">&-", "| false"])
def test_a_run_of_which_nobody_learns_the_id_is_aborted(volume: Volume, output: str) -> None:
    volume.shell(f"omnelog begin pipe {output}")
    [run_id] = volume.runs()
    assert volume.types(run_id) == ["pipe.started", "pipe.aborted"]
