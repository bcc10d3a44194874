# SPDX-License-Identifier: MIT
"""`tail`: the last events and the new ones, each as soon as it is whole."""

import json
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module

import pytest

from .. import omnelog
from .histories import History
from .volume import RUN, Process, Volume, finish

tail = import_module(f"{omnelog.__name__}.cli.commands.tail")


def line(process: Process) -> str:
    """Wait for the next line that a process prints; return it."""
    assert process.stdout
    return process.stdout.readline().decode()


@contextmanager
def following(volume: Volume, *words: str) -> Iterator[Process]:
    """A process that follows the run."""
    with volume.start("tail", "-f", *words, RUN, stdin=subprocess.DEVNULL) as process:
        yield process


def iterations(count: int) -> History:
    """A run with a loop that has begun `count` iterations and goes on."""
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
        "2026-02-01T00:00:01Z  node.failed        build  after 1.0s  crash: b",
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


def test_following_waits_for_a_log_that_is_not_there_yet(
    volume: Volume, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The log is created while the follower waits for the second time."""
    path = volume.log()
    content = b"".join(map(omnelog.encode, History().begin().complete().events))
    waits: list[bool] = []

    def pause() -> None:
        waits.append(path.exists())
        if len(waits) == 2:
            path.write_bytes(content)

    monkeypatch.setattr(tail, "pause", pause)
    said = volume.call("tail", "-f", RUN)
    assert (said.status, said.out.count(b"\n")) == (0, 2)
    assert waits == [False, False]


def test_a_line_is_printed_once_it_is_whole(
    volume: Volume,
    monkeypatch: pytest.MonkeyPatch,
    capfdbinary: pytest.CaptureFixture[bytes],
) -> None:
    """Each time that the follower has looked, the log gets one byte more."""
    history = History().begin().start("n", name="é").complete()
    first, second, third = map(omnelog.encode, history.events)
    path = volume.write(first)
    rest = iter(second + third)
    printed: list[bytes] = []

    def add_a_byte() -> None:
        printed.append(capfdbinary.readouterr().out)
        with path.open("ab") as log:
            log.write(bytes((next(rest),)))

    monkeypatch.setattr(tail, "pause", add_a_byte)
    said = volume.call("tail", "-f", RUN)
    printed.append(said.out)
    assert (said.status, said.err) == (0, "")
    lines = {number: out.split()[1] for number, out in enumerate(printed) if out}
    assert lines == {
        0: b"pipe.started",
        len(second): b"node.started",
        len(second + third): b"pipe.completed",
    }


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


def test_damage_is_reported_and_following_goes_on(volume: Volume) -> None:
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


def test_a_run_that_was_removed_ends_it(volume: Volume) -> None:
    path = volume.write(*History().begin().events)
    with following(volume) as process:
        assert "pipe.started" in line(process)
        shutil.rmtree(path.parent)
        said = finish(process)
    assert (said.status, said.err) == (1, f"omnelog: run {RUN} was removed\n")


def test_of_a_large_log_little_is_read(volume: Volume, monkeypatch: pytest.MonkeyPatch) -> None:
    """`tail` reads some hundreds of kilobytes, however large the log is."""
    read = 0
    pread = os.pread

    def counting(fd: int, size: int, offset: int) -> bytes:
        nonlocal read
        data = pread(fd, size, offset)
        read += len(data)
        return data

    path = volume.write(*iterations(100).events, *iterations(100).events * 400)
    monkeypatch.setattr(os, "pread", counting)
    said = volume.call("tail", RUN)
    assert (said.status, said.out.count(b"\n")) == (0, 10)
    assert read < 1_000_000 < path.stat().st_size


@pytest.mark.parametrize("long", [1, 70_000, 300_000])
def test_lines_of_any_length_are_read_from_the_end(volume: Volume, long: int) -> None:
    history = History().begin()
    for number in range(30):
        history.start(f"n{number}", name="x" * (long if number % 7 == 0 else 1))
    volume.write(*history.events)
    lines = volume.call("tail", "-n", "29", RUN).out.decode().splitlines()
    assert [each.split()[2] for each in lines] == [f"n{number}" for number in range(1, 30)]


def test_damage_near_the_end_is_reported_with_its_line(volume: Volume) -> None:
    path = volume.write(*iterations(100).events, b"damage\n", *iterations(3).events)
    said = volume.call("tail", RUN)
    assert (said.status, said.out.count(b"\n")) == (1, 5 + 4)
    assert said.err == f"{path}:103: not JSON: Expecting value, character 0\n"


def test_damage_before_what_is_printed_is_passed_over(volume: Volume) -> None:
    volume.write(b"damage\n", *iterations(100).events)
    assert volume.call("tail", RUN).status == 0


@pytest.mark.parametrize(
    ("words", "kept"),
    [
        (["--node", "b"], ["node.started b", "node.completed b"]),
        (["--type", "node.started"], ["node.started a", "node.started b"]),
        (["--type", "node.completed", "--type", "pipe.completed", "-n", "2"],
         ["node.completed a", "pipe.completed -"]),
        (["--node", "a", "--type", "node.started"], ["node.started a"]),
        (["-1"], ["pipe.completed -"]),
        (["-n", "+5", "--node", "a"], ["node.completed a"]),
    ],
)  # fmt: skip
def test_only_what_is_asked_for_is_printed(
    volume: Volume, words: list[str], kept: list[str]
) -> None:
    history = History().begin().start("a").start("b").done("b").done("a").complete()
    volume.write(*history.events)
    for follow in ([], ["-f"]):
        said = volume.call("tail", *follow, "--json", *words, RUN)
        found = [json.loads(each) for each in said.out.splitlines()]
        assert [f"{event['type']} {event.get('node_id', '-')}" for event in found] == kept


def test_an_end_far_from_what_is_printed_ends_it(volume: Volume) -> None:
    volume.write(*History().begin().complete().events, *iterations(50).events[1:])
    said = volume.call("tail", "-f", "-n", "3", RUN)
    assert (said.status, said.out.count(b"\n")) == (0, 3)


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
    assert (said.status, said.out, said.err) == (-signal.SIGINT, b"", "")


def test_latest_is_not_waited_for(volume: Volume) -> None:
    said = volume.run("tail", "-f", "latest")
    assert (said.status, "none yet" in said.err) == (1, True)
