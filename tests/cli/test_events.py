# SPDX-License-Identifier: MIT
"""`events` prints all sound events of many runs, even if some of the logs are damaged."""

import json
import os

import pytest

from .. import omnelog
from .histories import Clock, History
from .volume import RUN, Said, Volume, finish, powerless, started


@pytest.fixture
def three(volume: Volume) -> Volume:
    """A volume with three runs, one of them damaged."""
    old = History("old").begin().start("a").done("a").complete()
    volume.write(*old.events, run_id="old")
    bad = History("bad")
    bad.after_s = 100
    bad.begin().start("a").start("b")
    volume.write(*bad.events[:2], b"damage\n", bad.events[2], b"torn", run_id="bad")
    new = History("new")
    new.after_s = 200
    volume.write(*new.begin().start("b").fail("b").events, run_id="new")
    return volume


def printed(said: Said) -> list[str]:
    """The run, the type and the node of each event that was printed."""
    found = [json.loads(line) for line in said.out.splitlines()]
    return [f"{e['run_id']} {e['type']} {e.get('node_id', '')}".strip() for e in found]


def test_all_sound_events_come_run_by_run_the_oldest_first(three: Volume) -> None:
    said = three.call("events", "--all")
    assert said.status == 1
    assert [line.split()[0] for line in printed(said)] == ["old"] * 4 + ["bad"] * 3 + ["new"] * 3
    path = three.log("bad")
    reason = "not JSON: Expecting value, character 0"
    assert said.err == f"{path}:3: {reason}\n{path}:5: {reason}\n"


def test_they_are_canonical_lines(volume: Volume) -> None:
    spaced = omnelog.encode(started()).replace(b":", b" : ", 3)
    volume.write(spaced, b" \n", b"\n")
    said = volume.call("events", RUN)
    assert (said.status, said.out, said.err) == (0, omnelog.encode(started()), "")


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (["new", "old"], ["new"] * 3 + ["old"] * 4),
        (["latest", "new"], ["new"] * 3),
        (["--all", "--pipe", "feature", "--type", "pipe.started"], ["old", "bad", "new"]),
        (["--all", "--pipe", "other"], []),
        (["--all", "--node", "a"], ["old", "old", "bad"]),
        (["--all", "--node", "a", "--node", "b", "--type", "node.started"],
         ["old", "bad", "bad", "new"]),
        (["--all", "--since", "100s"], ["new"] * 3),
        (["--all", "--since", "2026-02-01T00:03:20Z"], ["new"] * 2),
    ],
)  # fmt: skip
def test_only_what_is_asked_for_is_printed(
    three: Volume, clock: Clock, words: list[str], found: list[str]
) -> None:
    clock.after_s = 250
    assert [line.split()[0] for line in printed(three.call("events", *words))] == found


def test_an_event_that_does_not_say_when_is_none_since_then(volume: Volume) -> None:
    volume.write(omnelog.PipeCompleted(id="x", ts="now", run_id=RUN))
    assert printed(volume.call("events", "--all", "--since", "1970-01-02")) == []
    assert printed(volume.call("events", "--all")) == [f"{RUN} pipe.completed"]


def test_a_log_that_cannot_be_read_hides_no_other(three: Volume) -> None:
    three.log("bad").chmod(0)
    os.mkfifo(three.log("fifo"))
    said = three.run("events", "--all", prefix=powerless())
    assert (said.status, len(printed(said))) == (1, 7)
    assert [line.split(": ")[0] for line in said.err.splitlines()] == [
        str(three.log("bad")),
        str(three.log("fifo")),
    ]


def test_of_a_volume_without_runs_nothing_is_printed(volume: Volume) -> None:
    said = volume.call("events", "--all")
    assert (said.status, said.out, said.err) == (0, b"", "")


def test_a_reader_that_is_gone_ends_it_quietly(three: Volume) -> None:
    said = three.shell("omnelog events --all | true; omnelog events --all | head -n 1")
    assert (said.status, said.out.count(b"\n")) == (0, 1)


def test_an_output_that_does_not_block_is_waited_for(volume: Volume) -> None:
    """The parent may have made the pipe non-blocking, for itself and so for us."""
    history = History().begin().start("n", "loop")
    for number in range(2000):
        history.iterate("n", number)
    path = volume.write(*history.events)
    outlet, inlet = os.pipe()
    os.set_blocking(inlet, False)
    with volume.start("events", "--all", stdout=inlet) as process:
        os.close(inlet)
        with open(outlet, "rb") as out:
            assert out.read() == path.read_bytes()
        said = finish(process)
    assert (said.status, said.err) == (0, "")
