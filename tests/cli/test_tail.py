# SPDX-License-Identifier: MIT
"""`tail`: the last events, and those that come, each once it is whole."""

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from .. import omnelog
from .histories import History
from .volume import RUN, Process, Volume, finish


def line(process: Process) -> str:
    """The next line that it prints, once it is there."""
    assert process.stdout
    return process.stdout.readline().decode()


@contextmanager
def following(volume: Volume, *words: str) -> Iterator[Process]:
    """A process that follows the run."""
    with volume.start("tail", "-f", *words, RUN, stdin=subprocess.DEVNULL) as process:
        yield process


def iterations(count: int) -> History:
    """A run of a loop that is going on."""
    history = History().begin().start("n", "loop")
    for number in range(count):
        history.iterate("n", number)
    return history


@pytest.mark.parametrize(
    ("words", "first", "count"),
    [
        ([], 10, 10),
        (["-n", "3"], 17, 3),
        (["-n", "0"], 20, 0),
        (["-n", "99"], -2, 22),
        (["-n", "+1"], -2, 22),
        (["-n", "+21"], 18, 2),
        (["-n", "+99"], 99, 0),
    ],
)
def test_so_many_of_the_last_events_are_printed(
    volume: Volume, words: list[str], first: int, count: int
) -> None:
    volume.write(*iterations(20).events)
    said = volume.call("tail", *words, RUN)
    lines = said.out.decode().splitlines()
    assert (said.status, said.err, len(lines)) == (0, "", count)
    if lines and first >= 0:
        assert f"iteration {first} " in lines[0]


def test_an_event_is_a_line_in_columns(volume: Volume) -> None:
    history = History().begin().start("build", name="make").fail("build", message="a\nb\n")
    volume.write(*history.abort("why").events)
    assert volume.call("tail", RUN).out.decode().splitlines() == [
        "2026-01-31T23:59:59Z  pipe.started         feature (1)",
        "2026-02-01T00:00:00Z  node.started       build  command make",
        "2026-02-01T00:00:01Z  node.failed        build  crash: b",
        "2026-02-01T00:00:02Z  pipe.aborted              why",
    ]


@pytest.mark.parametrize("end", ["complete", "abort"])
def test_following_ends_with_the_pipe(volume: Volume, end: str) -> None:
    history = History().begin()
    volume.write(*history.events)
    with following(volume) as process:
        assert "pipe.started" in line(process)
        getattr(history.start("n").done("n"), end)()
        with omnelog.EventLog.for_run(volume.root, RUN) as log:
            for event in history.events[1:]:
                log.append(event)
        said = finish(process)
    kinds = [row.split()[1] for row in said.out.decode().splitlines()]
    assert (said.status, said.err) == (0, "")
    assert kinds == ["node.started", "node.completed", history.events[-1].type]


def test_following_a_run_that_has_ended_prints_all_and_ends(volume: Volume) -> None:
    volume.write(*History().begin().start("n").complete().done("n").events)
    said = volume.run("tail", "-f", RUN)
    assert (said.status, said.out.count(b"\n")) == (0, 4)


def test_following_waits_for_a_run_that_is_not_there_yet(volume: Volume) -> None:
    with following(volume) as process:
        assert process.stderr
        assert b"waiting" in process.stderr.readline()
        volume.write(*History().begin().complete().events)
        said = finish(process)
    assert (said.status, said.out.count(b"\n")) == (0, 2)


def test_following_waits_for_a_log_that_is_not_there_yet(volume: Volume) -> None:
    path = volume.log()
    with following(volume) as process:
        whole = path.with_name("whole")
        whole.write_bytes(b"".join(map(omnelog.encode, History().begin().complete().events)))
        whole.rename(path)
        assert finish(process).status == 0


def test_a_line_is_printed_once_it_is_whole(volume: Volume) -> None:
    """And byte by byte it comes; after each the follower has had its look."""
    history = History().begin().start("n", name="é").complete()
    first, *rest = map(omnelog.encode, history.events)
    path = volume.write(first)
    with following(volume) as process:
        assert "pipe.started" in line(process)
        with path.open("ab", buffering=0) as log:
            for byte in b"".join(rest):
                log.write(bytes((byte,)))
        said = finish(process)
    assert (said.status, said.err) == (0, "")
    assert [row.split()[1] for row in said.out.decode().splitlines()] == [
        "node.started",
        "pipe.completed",
    ]


def test_a_torn_tail_is_waited_for_and_its_repair_seen(volume: Volume) -> None:
    history = History().begin()
    path = volume.write(*history.events, b'{"type":"pipe.comp')
    with following(volume) as process:
        assert "pipe.started" in line(process)
        with omnelog.EventLog.for_run(volume.root, RUN) as log:
            log.append(history.complete().events[-1])
        said = finish(process)
    assert (said.status, said.err) == (0, "")
    assert b"pipe.completed" in said.out
    assert path.with_name("events.jsonl.torn").exists()


def test_damage_is_told_and_following_goes_on(volume: Volume) -> None:
    path = volume.write(*History().begin().events)
    with following(volume) as process:
        assert "pipe.started" in line(process)
        with path.open("ab") as log:
            log.write(b"damage\n" + omnelog.encode(History().complete().events[0]))
        said = finish(process)
    assert said.status == 1
    assert b"pipe.completed" in said.out
    assert said.err.startswith(f"{path}:2: ")


def test_a_log_that_was_replaced_is_followed_where_it_is_now(volume: Volume) -> None:
    path = volume.write(*History().begin().events)
    with following(volume) as process:
        assert "pipe.started" in line(process)
        path.rename(path.with_name("old"))
        volume.write(*History().begin().complete().events)
        said = finish(process)
    assert (said.status, said.out.count(b"\n")) == (0, 2)
    assert "replaced" in said.err


def test_a_log_that_comes_back_is_not_printed_twice(volume: Volume) -> None:
    path = volume.write(*History().begin().events)
    away = path.with_name("away")
    with following(volume) as process:
        assert "pipe.started" in line(process)
        path.rename(away)
        assert process.stderr
        assert b"removed" in process.stderr.readline()
        with away.open("ab") as log:
            log.write(omnelog.encode(History().complete().events[0]))
        away.rename(path)
        said = finish(process)
    assert (said.status, said.out.count(b"\n")) == (0, 1)
    assert b"pipe.completed" in said.out


def test_a_log_that_was_cut_is_an_error(volume: Volume) -> None:
    path = volume.write(*History().begin().start("n").events)
    with following(volume) as process:
        assert "pipe.started" in line(process)
        os.truncate(path, 5)
        said = finish(process)
    assert said.status == 1
    assert f"{path}: cannot read: cut to " in said.err


def test_a_run_that_was_removed_is_waited_for(volume: Volume) -> None:
    path = volume.write(*History().begin().events)
    with following(volume) as process:
        assert "pipe.started" in line(process)
        shutil.rmtree(path.parent)
        assert process.stderr
        assert b"removed" in process.stderr.readline()
        volume.write(*History().begin().complete().events)
        assert finish(process).status == 0


def test_it_ends_when_its_reader_does_though_nothing_comes(volume: Volume) -> None:
    volume.write(*History().begin().events)
    said = volume.shell(f"omnelog tail -f {RUN} | head -n 1")
    assert (said.status, said.err) == (0, "")
    assert b"pipe.started" in said.out


def test_an_interrupt_ends_it_quietly(volume: Volume) -> None:
    volume.write(*History().begin().events)
    with following(volume) as process:
        assert "pipe.started" in line(process)
        process.send_signal(signal.SIGINT)
        said = finish(process)
    assert (said.status, said.out, said.err) == (130, b"", "")


def test_latest_is_not_waited_for(volume: Volume) -> None:
    said = volume.run("tail", "-f", "latest")
    assert (said.status, "none yet" in said.err) == (1, True)
