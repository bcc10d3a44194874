# SPDX-License-Identifier: MIT
"""`runs` lists the runs and their progress."""

import json
import os
from collections.abc import Callable
from dataclasses import replace
from importlib import import_module
from pathlib import Path

import pytest

from .. import omnelog
from .histories import Clock, History
from .volume import RUN, Volume, started

ULIDS = ["01kpfntqeej7vhn935kc0tm9vn", "01kpfnwqeej7vhn935kc0tm9vn", "01kpfnxqeej7vhn935kc0tm9vn"]


def listed(volume: Volume, *words: str) -> list[dict[str, object]]:
    """What `runs --json` prints."""
    return [json.loads(line) for line in volume.call("runs", "--json", *words).out.splitlines()]


def test_a_fresh_volume_has_none_and_it_says_how_to_make_one(volume: Volume) -> None:
    said = volume.call("runs")
    assert (said.status, said.out) == (0, b"")
    assert "omnelog record" in said.err


def test_each_run_is_a_row_under_heads(volume: Volume, clock: Clock) -> None:
    clock.after_s = 65
    history = History().begin().start("a").done("a").start("b").fail("b").start("c")
    path = volume.write(*history.events)
    said = volume.call("runs")
    assert (said.status, said.err) == (0, "")
    heads, row = said.out.decode().splitlines()
    assert heads.split() == [
        *("RUN", "PIPE", "STATE", "DONE", "FAILED", "NODES"),
        *("STARTED", "TOOK", "LAST", "EVENT", "SIZE"),
    ]
    size = f"{path.stat().st_size / 1000:.1f}"
    assert row.split() == [
        *(RUN, "feature", "running", "1", "1", "3"),
        *("2026-01-31T23:59:59Z", "1m05s", "2026-02-01T00:00:04Z", size, "kB"),
    ]


def test_as_json_each_run_is_an_object(volume: Volume) -> None:
    path = volume.write(*History().begin().start("a").done("a").complete().events)
    volume.log("without-a-log")
    assert listed(volume) == [
        {
            "run_id": "without-a-log",
            "pipe": None,
            "state": "empty",
            "nodes": {"completed": 0, "failed": 0, "total": 0},
            "started": None,
            "last_event": None,
            "duration_ms": None,
            "silent_ms": None,
            "has_recorder": None,
            "size": 0,
        },
        {
            "run_id": RUN,
            "pipe": "feature",
            "state": "completed",
            "nodes": {"completed": 1, "failed": 0, "total": 1},
            "started": "2026-01-31T23:59:59Z",
            "last_event": "2026-02-01T00:00:02Z",
            "duration_ms": 3000,
            "silent_ms": None,
            "has_recorder": None,
            "size": path.stat().st_size,
        },
    ]


def test_the_states_are_distinguished(volume: Volume) -> None:
    volume.write(*History("completed").begin().complete().events, run_id="completed")
    volume.write(*History("aborted").begin().abort().events, run_id="aborted")
    volume.write(*History("running").begin().events, run_id="running")
    volume.write(started("damaged"), b"x\n", run_id="damaged")
    volume.log("empty")
    found = {run["run_id"]: run["state"] for run in listed(volume)}
    assert {**found} == {state: state for state in found}
    assert len(found) == 5


@pytest.mark.parametrize(
    ("asked", "runs"),
    [([], ["a", "b", "c"]), (["running"], ["a", "c"]), (["completed", "aborted"], ["b"])],
)
def test_only_runs_in_a_state_that_is_asked_for_are_listed(
    volume: Volume, asked: list[str], runs: list[str]
) -> None:
    for run_id in "abc":
        history = History(run_id).begin()
        volume.write(*(history.complete() if run_id == "b" else history).events, run_id=run_id)
    words = [word for state in asked for word in ("--state", state)]
    assert [run["run_id"] for run in listed(volume, *words)] == runs


def test_they_are_sorted_by_the_time_in_their_ids_whatever_their_pipes(volume: Volume) -> None:
    names = ["z-" + ULIDS[0], "m-" + ULIDS[1], "a-" + ULIDS[2]]
    for name in names:
        volume.write(started(name), run_id=name)
    assert [run["run_id"] for run in listed(volume)] == names


def test_where_an_id_says_no_time_the_first_event_does(volume: Volume) -> None:
    early = omnelog.PipeCompleted(id="x", ts="2001-01-01T00:00:00Z", run_id="z")
    late = omnelog.PipeCompleted(id="x", ts="2031-01-01T00:00:00Z", run_id="a")
    volume.write(early, run_id="z")
    volume.write(started())
    volume.write(late, run_id="a")
    assert [run["run_id"] for run in listed(volume)] == ["z", RUN, "a"]


@pytest.mark.parametrize("words", [[], ["--full"]])
def test_of_a_large_log_the_nodes_are_counted_too(volume: Volume, words: list[str]) -> None:
    history = History().begin().start("n", name="x" * 300_000).fail("n").start("m").start("é")
    volume.write(*history.done("m").gate("g").events)
    counted = {"completed": 1, "failed": 1, "total": 4}
    assert [run["nodes"] for run in listed(volume, *words)] == [counted]
    assert volume.call("runs", *words).out.splitlines()[1].split()[3:6] == [b"1", b"1", b"4"]


def aged(volume: Volume, *ages_s: int) -> list[str]:
    """Make runs that began these numbers of seconds before the first event of a `History`.

    Return their ids.
    """
    names = []
    for age_s in ages_s:
        history = History("x")
        history.after_s = -age_s
        first = history.begin().events[0]
        assert isinstance(first, omnelog.PipeStarted)
        name = f"{'new' if age_s < 100 else 'old'}-{first.id}"
        volume.write(replace(first, run_id=name, pipe=name[:3]), run_id=name)
        names.append(name)
    return names


@pytest.mark.parametrize(
    ("words", "indices"),
    [
        (["-n", "2"], [2, 3]),
        (["-n", "0"], []),
        (["-n", "9"], [0, 1, 2, 3]),
        (["-n", "1", "--pipe", "old"], [1]),
        (["--pipe", "new"], [2, 3]),
        (["--since", "10m"], [1, 2, 3]),
        (["--since", "90"], [2, 3]),
        (["--since", "2026-01-31T23:59:59Z"], []),
        (["--since", "2026-01-31T23:59:58"], [3]),
        (["--since", "2026-01-31", "--pipe", "old", "-n", "1"], [1]),
    ],
)
def test_only_runs_that_are_asked_for_are_listed(
    volume: Volume, clock: Clock, words: list[str], indices: list[int]
) -> None:
    assert clock.after_s == 0
    names = aged(volume, 7200, 500, 60, 1)
    found = [run["run_id"] for run in listed(volume, *words)]
    assert found == [names[index] for index in indices]


def test_to_list_the_newest_no_other_log_is_read(volume: Volume) -> None:
    names = aged(volume, *range(1, 30))
    for name in names[5:]:
        volume.log(name).write_bytes(b"damage\n")
    said = volume.call("runs", "-n", "5")
    assert (said.status, said.err, said.out.count(b"\n")) == (0, "", 6)


def test_a_damaged_run_that_is_not_listed_is_not_reported(volume: Volume) -> None:
    volume.write(started("bad"), b"damage\n", run_id="bad")
    volume.write(*History("good").begin().complete().events, run_id="good")
    said = volume.call("runs", "--state", "completed")
    assert (said.status, said.err) == (0, "")


@pytest.mark.parametrize(
    ("damage", "line"), [(b"\xff\n", 2), (b"{}\n", 2), (b'{"type":"pipe.com', 2)]
)
def test_a_damaged_log_is_a_state_and_a_reason(volume: Volume, damage: bytes, line: int) -> None:
    path = volume.write(started("bad"), damage, run_id="bad")
    volume.write(started("good"), run_id="good")
    said = volume.call("runs")
    assert said.status == 1
    assert [row.split()[2] for row in said.out.splitlines()[1:]] == [b"damaged", b"running"]
    assert said.err.startswith(f"{path}:{line}: ")
    assert said.err.count("\n") == 1


@pytest.mark.parametrize(
    "make",
    [
        os.mkfifo,
        os.mkdir,
        lambda path: os.symlink("nowhere", path),
        lambda path: os.symlink("/proc/self/maps", path),  # where seeking the end fails
    ],
)
def test_a_log_that_is_not_a_file_is_damaged_and_hides_no_other(
    volume: Volume, make: Callable[[Path], object]
) -> None:
    path = volume.log("odd")
    make(path)
    volume.write(started("sound"), run_id="sound")
    said = volume.call("runs")
    assert said.status == 1
    assert [row.split()[:3:2] for row in said.out.splitlines()[1:]] == [
        [b"odd", b"damaged"],
        [b"sound", b"running"],
    ]
    assert f"{path}: " in said.err


def test_a_run_id_that_would_upset_a_terminal_is_escaped_wherever_it_is_shown(
    volume: Volume,
) -> None:
    name = "a\x1b[31m\nb\u202e"
    volume.write(started(name), b"damage\n", run_id=name)
    said = volume.call("runs")
    for shown in (said.out.decode(), said.err):
        assert r"a\x1b[31m\nb\u202e" in shown
        assert shown.replace("\n", "").isprintable()
    assert (said.out.count(b"\n"), said.err.count("\n")) == (2, 1)


def test_what_a_log_says_that_would_upset_a_terminal_is_escaped_and_cut_short(
    volume: Volume,
) -> None:
    hostile = "\x1b]0;owned\x07\u202e" + "x" * 100_000
    event = omnelog.PipeStarted(
        id=hostile, ts=hostile, run_id=RUN, pipe=hostile, inputs=[], distro_version=hostile
    )
    volume.write(event)
    said = volume.call("runs")
    assert said.out.decode().replace("\n", "").isprintable()
    assert len(said.out) < 2000


def test_runs_that_cannot_be_listed_are_an_error(volume: Volume) -> None:
    path = volume.root / ".omne" / "var"
    path.mkdir()
    (path / "runs").write_text("")
    said = volume.call("runs")
    assert (said.status, said.out) == (1, b"")
    assert str(path / "runs") in said.err


@pytest.mark.parametrize(
    ("size", "shown"),
    [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (9949, "9.9 kB"), (123_456, "123 kB"),
     (999_600, "1.0 MB"), (5_500_000, "5.5 MB"), (2 * 10**12, "2000.0 GB")],
)  # fmt: skip
def test_a_size_is_short(size: int, shown: str) -> None:
    assert import_module(f"{omnelog.__name__}.cli.text").spell_size(size) == shown
