# SPDX-License-Identifier: MIT
"""`append`: what is an event of the run gets in, and nothing else does."""

import errno
import os
import signal
import subprocess
from collections.abc import Iterator
from importlib import import_module

import pytest

from .. import omnelog
from ..samples import of_every_type
from .volume import RUN, Volume, aborted, completed, finish, started

append = import_module(f"{omnelog.__name__}.cli.commands.append")
exits = import_module(f"{omnelog.__name__}.cli.exits")

BAD = {
    "not JSON": b"hello\n",
    "not an event": b"{}\n",
    "another run": omnelog.encode(completed("other")),
    "not UTF-8": b'{"type":"\xff"}\n',
    "10 MB": b"x" * 10_000_000 + b"\n",
    "deep": b"[" * 100_000 + b"\n",
    "half a line": omnelog.encode(completed())[:-9],
}


def given(*events: "omnelog.Event") -> bytes:
    return b"".join(map(omnelog.encode, events))


def test_events_of_every_type_get_in_as_canonical_lines(volume: Volume) -> None:
    path = volume.write(started())
    events = of_every_type()
    spaced = given(*events).replace(b'":', b'" : ').replace(b"\n", b"\r\n\n")
    said = volume.run("append", RUN, given=spaced)
    assert (said.status, said.out, said.err) == (0, b"", "")
    assert path.read_bytes() == given(started(), *events)


def test_the_last_line_needs_no_newline(volume: Volume) -> None:
    path = volume.write(started())
    assert volume.run("append", RUN, given=given(completed())[:-1]).status == 0
    assert path.read_bytes() == given(started(), completed())


@pytest.mark.parametrize("bad", BAD.values(), ids=BAD)
def test_at_a_bad_line_it_stops_and_names_it_and_keeps_what_came_before(
    volume: Volume, bad: bytes
) -> None:
    path = volume.write(started())
    said = volume.run("append", RUN, given=given(aborted()) + b"\n" + bad + given(completed()))
    assert said.status == 1
    assert path.read_bytes() == given(started(), aborted())
    reason, summary = said.err.splitlines()
    assert reason.startswith("3: ")
    assert len(reason) < 1000
    assert "1 appended" in summary


def test_each_event_is_in_the_log_before_the_next_is_given(volume: Volume) -> None:
    volume.write(started())
    followed = omnelog.follow_run(volume.root, RUN)
    with volume.start("append", RUN) as process:
        assert process.stdin
        assert next(followed) == started()
        for event in (aborted(), completed()):
            process.stdin.write(given(event))
            process.stdin.flush()
            assert next(followed) == event  # or it hangs
        assert finish(process).status == 0


def test_a_pipe_started_begins_a_run(volume: Volume) -> None:
    said = volume.run("append", RUN, given=given(started(), completed()))
    assert (said.status, said.err) == (0, "")
    assert volume.events(RUN) == [started(), completed()]


@pytest.mark.parametrize("lines", [given(completed()), b"hello\n", b""])
def test_anything_else_begins_none(volume: Volume, lines: bytes) -> None:
    said = volume.run("append", RUN, given=lines)
    assert said.status == 1
    assert said.err
    assert volume.runs() == []


def test_a_torn_tail_is_mended_on_the_way(volume: Volume) -> None:
    path = volume.write(started(), b'{"torn')
    assert volume.run("append", RUN, given=given(completed())).status == 0
    assert path.read_bytes() == given(started(), completed())
    assert path.with_name("events.jsonl.torn").read_bytes() == b'{"torn\n'


@pytest.mark.parametrize("run_id", ["..", "a/b", ""])
def test_a_run_id_that_leads_elsewhere_is_refused(volume: Volume, run_id: str) -> None:
    said = volume.call("append", run_id)
    assert (said.status, "plain path component" in said.err) == (1, True)


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir])
def test_a_log_that_is_no_file_is_an_error_and_no_hang(volume: Volume, make: object) -> None:
    path = volume.log()
    assert callable(make)
    make(path)
    said = volume.call("append", RUN)
    assert said.status == 1
    assert f"{path}: " in said.err


def test_a_disk_that_is_full_names_the_line_and_keeps_what_got_in(volume: Volume) -> None:
    path = volume.write(started())
    size = len(given(started(), completed()))
    limit = ("prlimit", f"--fsize={size}")
    said = volume.run("append", RUN, prefix=limit, given=given(completed(), completed()))
    assert said.status == 1
    assert said.err.startswith(f"2: {path}: ")
    assert path.read_bytes() == given(started(), completed())


def test_a_closed_input_is_one_line(volume: Volume) -> None:
    volume.write(started())
    said = volume.shell(f"omnelog append {RUN} <&-")
    assert (said.status, said.err.count("\n")) == (1, 1)
    assert "standard input is closed" in said.err


def test_an_input_that_cannot_be_read_is_one_line(volume: Volume) -> None:
    volume.write(started())
    said = volume.shell(f"omnelog append {RUN} 0> write-only")
    assert (said.status, said.err.count("\n")) == (1, 1)
    assert "standard input: " in said.err


def test_an_input_that_fails_half_way_is_told_with_how_much_got_in(
    volume: Volume, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing() -> Iterator[bytes]:
        yield given(completed())
        raise exits.Refused("standard input: Input/output error")

    path = volume.write(started())
    monkeypatch.setattr(append, "input_lines", failing)
    said = volume.call("append", RUN)
    assert said.status == 1
    assert said.err.splitlines() == [
        "omnelog: append: 1 appended, and then:",
        "omnelog: standard input: Input/output error",
    ]
    assert path.read_bytes() == given(started(), completed())


def test_of_what_may_be_in_the_log_it_says_to_look(
    volume: Volume, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who went on from that line, as from one that was refused, might append it twice."""
    write = os.write

    def write_and_fail(fd: int, data: bytes) -> int:
        written = write(fd, data)
        if data == given(aborted()):
            raise OSError(errno.EIO, "broken")
        return written

    path = volume.write(started())
    monkeypatch.setattr(os, "write", write_and_fail)
    monkeypatch.setattr(append, "input_lines", lambda: [given(completed()), given(aborted())])
    said = volume.call("append", RUN)
    assert said.status == 1
    assert path.read_bytes() == given(started(), completed(), aborted())
    reason, summary = said.err.splitlines()
    assert reason.startswith("2: ")
    assert "1 appended; line 2 may be in the log or not" in summary


def test_an_interrupt_ends_it_quietly_with_what_got_in_kept(volume: Volume) -> None:
    volume.write(started())
    followed = omnelog.follow_run(volume.root, RUN)
    with volume.start("append", RUN, stdin=subprocess.PIPE) as process:
        assert process.stdin
        process.stdin.write(given(completed()))
        process.stdin.flush()
        assert [next(followed), next(followed)] == [started(), completed()]
        process.send_signal(signal.SIGINT)
        process.wait()
        said = finish(process)
    assert (said.status, said.err) == (130, "")
    assert volume.events(RUN) == [started(), completed()]
