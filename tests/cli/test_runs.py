# SPDX-License-Identifier: MIT
"""`runs`: which there are, and how far they have come."""

import os

import pytest

from .. import omnelog
from .volume import Volume, aborted, completed, started


def test_a_fresh_volume_has_none(volume: Volume) -> None:
    said = volume.call("runs")
    assert (said.status, said.out, said.err) == (0, b"", "")


def test_each_run_is_listed_in_order_with_its_state(volume: Volume) -> None:
    volume.write(started("d-run"), run_id="d-run")
    volume.write(started("a-completed"), completed("a-completed"), run_id="a-completed")
    volume.write(started("b"), aborted("b"), run_id="b")
    volume.log("c-without-a-log")
    volume.write(run_id="e-of-no-bytes")
    said = volume.call("runs")
    assert (said.status, said.err) == (0, "")
    assert said.out.decode().splitlines() == [
        "a-completed      completed",
        "b                aborted",
        "c-without-a-log  empty",
        "d-run            running",
        "e-of-no-bytes    empty",
    ]


def test_what_a_node_says_after_the_end_of_its_pipe_does_not_reopen_the_run(volume: Volume) -> None:
    late = omnelog.NodeCompleted(
        id="x", ts="x", run_id="r", node_id="slow", output_path="nodes/slow.out"
    )
    volume.write(started("r"), aborted("r"), late, run_id="r")
    assert volume.call("runs").out == b"r  aborted\n"


@pytest.mark.parametrize(
    ("damage", "line"), [(b"\xff\n", 2), (b"{}\n", 2), (b'{"type":"pipe.com', 2)]
)
def test_a_damaged_log_is_a_state_and_a_reason(volume: Volume, damage: bytes, line: int) -> None:
    path = volume.write(started("bad"), damage, run_id="bad")
    volume.write(started("good"), run_id="good")
    said = volume.call("runs")
    assert said.status == 1
    assert said.out == b"bad   damaged\ngood  running\n"
    assert said.err.startswith(f"{path}:{line}: ")
    assert said.err.count("\n") == 1


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir])
def test_a_log_that_is_no_file_is_damaged_and_hangs_nothing(volume: Volume, make: object) -> None:
    path = volume.log("odd")
    assert callable(make)
    make(path)
    said = volume.call("runs")
    assert (said.status, said.out) == (1, b"odd  damaged\n")
    assert f"{path}: " in said.err


def test_a_run_id_that_would_upset_a_terminal_is_escaped(volume: Volume) -> None:
    volume.log("a\x1b[31m\nb")
    assert volume.call("runs").out == rb"a\x1b[31m\nb  empty" + b"\n"


def test_runs_that_cannot_be_listed_are_an_error(volume: Volume) -> None:
    path = volume.root / ".omne" / "var"
    path.mkdir()
    (path / "runs").write_text("")
    said = volume.call("runs")
    assert (said.status, said.out) == (1, b"")
    assert str(path / "runs") in said.err
