# SPDX-License-Identifier: MIT
"""Which run is meant by a whole id, the beginning or the end of an id, or ``latest``."""

import json
from dataclasses import replace

import pytest

from .. import omnelog
from .volume import RUN, Said, Volume, started

OLD, NEW = "z-01kpfntqeej7vhn935kc0tm9vn", "a-01kpfnwqeej7vhn935kc0tm9vn"


def shown(volume: Volume, named: str) -> Said:
    """What `show` prints about the run that `named` means."""
    return volume.call("show", "--json", named)


@pytest.fixture
def two(volume: Volume) -> Volume:
    """A volume with an older run and a newer one."""
    for run_id in (OLD, NEW):
        volume.write(started(run_id), run_id=run_id)
    return volume


@pytest.mark.parametrize("named", [OLD, "z", "z-", OLD[:-1]])
def test_a_beginning_that_no_other_run_has_is_enough(two: Volume, named: str) -> None:
    assert shown(two, named).out == omnelog.encode(started(OLD))


def test_latest_is_the_newest(two: Volume) -> None:
    assert shown(two, "latest").out == omnelog.encode(started(NEW))


@pytest.mark.parametrize("named", [OLD[-4:], OLD[2:], "vhn935kc0tm9vn"])
def test_an_end_that_no_other_run_has_is_enough(volume: Volume, named: str) -> None:
    volume.write(started(OLD), run_id=OLD)
    volume.write(started("other"), run_id="other")
    assert shown(volume, named).out == omnelog.encode(started(OLD))


def test_an_end_that_several_have_is_refused(two: Volume) -> None:
    assert "2 runs end with '9vn'" in shown(two, "9vn").err


def test_a_beginning_is_meant_before_an_end(two: Volume) -> None:
    two.write(started("9vn-x"), run_id="9vn-x")
    assert shown(two, "9vn").out == omnelog.encode(started("9vn-x"))


@pytest.mark.parametrize(
    ("named", "found"),
    [
        ("latest~0", 3), ("latest~1", 2), ("latest~3", 0),
        ("latest:a", 2), ("latest:a~1", 0), ("latest:b", 3), ("latest:b~1", 1),
        ("latest~4", "there are only 4"), ("latest:b~2", "there are only 2 of pipe 'b'"),
        ("latest:c", "there is none of pipe 'c'"), ("latest:", "no run"), ("latest~x", "no run"),
    ],
)  # fmt: skip
def test_the_newest_are_counted_backwards_of_all_or_of_a_pipe(
    volume: Volume, named: str, found: int | str
) -> None:
    ids = ["01kpfntqeej7vhn935kc0tm9vn", "01kpfnvqeej7vhn935kc0tm9vn",
           "01kpfnwqeej7vhn935kc0tm9vn", "01kpfnxqeej7vhn935kc0tm9vn"]  # fmt: skip
    names = [f"x-{each}" for each in ids]
    for name, pipe in zip(names, "abab", strict=True):
        volume.write(replace(started(name), pipe=pipe), run_id=name)
    said = shown(volume, named)
    if isinstance(found, int):
        assert json.loads(said.out)["run_id"] == names[found]
    else:
        assert (said.status, found in said.err) == (1, True)


def test_latest_goes_by_the_first_event_where_the_id_says_no_time(two: Volume) -> None:
    late = omnelog.PipeCompleted(id="x", ts="2031-01-01T00:00:00Z", run_id="odd")
    two.write(late, run_id="odd")
    assert shown(two, "latest").out == omnelog.encode(late)


def test_a_run_that_is_called_latest_is_meant_first(two: Volume) -> None:
    two.write(started("latest"), run_id="latest")
    assert shown(two, "latest").out == omnelog.encode(started("latest"))


def test_a_whole_id_is_meant_though_others_begin_with_it(two: Volume) -> None:
    two.write(started("z"), run_id="z")
    assert shown(two, "z").out == omnelog.encode(started("z"))


def test_a_beginning_that_several_have_is_refused_with_their_names(volume: Volume) -> None:
    for number in range(5):
        volume.log(f"ci-{number}")
    said = shown(volume, "ci")
    assert (said.status, said.out) == (1, b"")
    assert "5 runs begin with 'ci'" in said.err
    assert "ci-4, ci-3, ci-2 and 2 more" in said.err


def test_an_unknown_run_is_refused_with_the_nearest_names(two: Volume) -> None:
    said = shown(two, OLD.replace("vhn9", "nvh9"))
    assert said.status == 1
    assert OLD in said.err
    assert "Traceback" not in said.err


def test_a_run_unlike_any_other_is_refused_with_the_way_to_list_them(
    two: Volume,
) -> None:
    assert "omnelog runs" in shown(two, "??????????").err


@pytest.mark.parametrize("named", ["latest", "x"])
def test_in_a_volume_without_runs_it_is_said_how_to_make_one(volume: Volume, named: str) -> None:
    said = shown(volume, named)
    assert said.status == 1
    assert "omnelog record" in said.err


def test_names_that_would_upset_a_terminal_are_escaped(volume: Volume) -> None:
    for number in range(2):
        volume.log(f"x\x1b\n{number}")
    said = shown(volume, "x")
    assert r"x\x1b\n0" in said.err
    assert "\x1b" not in said.err


@pytest.mark.parametrize("verb", [["append"], ["record", "n", "--run"]])
def test_a_verb_that_writes_needs_the_whole_id(two: Volume, verb: list[str]) -> None:
    command = ["--", "true"] if verb[0] == "record" else []
    said = two.run(*verb, OLD[:-1], *command, given=omnelog.encode(started(OLD)))
    assert said.status != 0
    assert two.runs() == [NEW, OLD]
    assert two.events(OLD) == [started(OLD)]
    assert RUN not in two.runs()


def test_record_adds_to_the_newest_run_if_it_is_asked_to(two: Volume) -> None:
    said = two.run("record", "--run", "latest", "n", "--", "true")
    assert said.status == 0
    assert two.types(NEW)[-2:] == ["node.started", "node.completed"]
