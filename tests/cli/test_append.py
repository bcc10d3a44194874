# SPDX-License-Identifier: MIT
"""`append` adds events of the run to the log, and nothing else."""

import errno
import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import replace
from importlib import import_module
from pathlib import Path

import pytest

from .. import omnelog
from ..samples import of_every_type
from .histories import History
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
    said = volume.call("append", "--force", RUN, given=spaced)
    assert (said.status, said.out, said.err) == (0, b"", "")
    assert path.read_bytes() == given(started(), *events)


BEGUN = History().begin().start("n").events
WRONG = {
    "a second end": (
        [*BEGUN, *History().abort().events],
        History().complete().events[0],
        "pipe.completed after the end of the pipe, line 3",
    ),
    "an unknown node": (BEGUN, History().done("m").events[0], "node 'm' was never started"),
    "a node again": (BEGUN, History().start("n").events[0], "'n' started again, after line 2"),
    "an open node": (BEGUN, History().complete().events[0], "node 'n' of line 2 has no end"),
    "an id again": (BEGUN, replace(started(), id=BEGUN[1].id), "is in the log already"),
    "no time": (BEGUN, replace(aborted(), ts="now"), "ts is 'now', which is not a time"),
}


@pytest.mark.parametrize(("there", "event", "fault"), WRONG.values(), ids=WRONG)
def test_what_verify_would_find_fault_with_is_refused_unless_forced(
    volume: Volume, there: list["omnelog.Event"], event: "omnelog.Event", fault: str
) -> None:
    event = replace(event, id=event.id if "already" in fault else "0" * 26)
    path = volume.write(*there)
    said = volume.call("append", RUN, given=given(event))
    assert said.status == 1
    assert said.err.startswith("1: ")
    assert fault in said.err
    assert "--force" in said.err
    assert path.read_bytes() == given(*there)
    assert volume.call("append", "--force", RUN, given=given(event)).status == 0
    assert path.read_bytes() == given(*there, event)
    assert volume.call("verify", RUN).status == 1


def test_what_was_appended_before_counts(volume: Volume) -> None:
    history = History().begin().start("n").done("n").complete()
    said = volume.call("append", RUN, given=given(*history.events, *History().abort().events))
    assert said.status == 1
    assert said.err.startswith("5: pipe.aborted after the end of the pipe, line 4; id ")
    assert volume.events(RUN) == history.events


def test_what_others_append_meanwhile_counts(volume: Volume) -> None:
    history = History().begin().start("n").done("n").complete()
    volume.write(history.events[0])
    followed = omnelog.follow_run(volume.root, RUN)
    with volume.start("append", RUN) as process:
        assert process.stdin
        assert next(followed) == history.events[0]
        process.stdin.write(given(history.events[1]))
        process.stdin.flush()
        assert next(followed) == history.events[1]  # hangs if it is not in the log
        with omnelog.EventLog.for_run(volume.root, RUN) as log:
            log.append_many(history.events[2:])
        said = finish(process, given(History().start("m").events[0]))
    assert said.status == 1
    assert "node.started after the end of the pipe, line 4" in said.err


def test_a_tail_that_is_a_whole_event_counts(volume: Volume) -> None:
    first, last = History().begin().complete().events
    volume.write(first, given(last)[:-1])
    said = volume.call("append", RUN, given=given(aborted()))
    assert (said.status, "after the end of the pipe, line 2" in said.err) == (1, True)
    assert volume.call("verify", RUN).status == 0


def test_a_byte_order_mark_is_named(volume: Volume) -> None:
    volume.write(started())
    said = volume.call("append", RUN, given=b"\xef\xbb\xbf" + given(completed()))
    assert said.err.startswith("1: begins with a byte order mark; ")


@pytest.mark.parametrize("blank", ["", " \t", "\x85", "\u3000", "\x0b\x0c"])
def test_a_blank_line_is_passed_over(volume: Volume, blank: str) -> None:
    path = volume.write(started())
    lines = f"{blank}\n".encode() + given(completed())
    assert volume.call("append", RUN, given=lines).status == 0
    assert path.read_bytes() == given(started(), completed())


@pytest.mark.parametrize("line", ["\x1c", "\x1f", "\ufeff", "\u200b"])
def test_what_is_blank_elsewhere_is_not_here(volume: Volume, line: str) -> None:
    volume.write(started())
    assert volume.call("append", RUN, given=f"{line}\n".encode()).status == 1


def test_the_last_line_needs_no_newline(volume: Volume) -> None:
    path = volume.write(started())
    assert volume.call("append", RUN, given=given(completed())[:-1]).status == 0
    assert path.read_bytes() == given(started(), completed())


@pytest.mark.parametrize("bad", BAD.values(), ids=BAD)
def test_at_a_bad_line_it_stops_and_names_it_and_keeps_what_came_before(
    volume: Volume, bad: bytes
) -> None:
    path = volume.write(started())
    said = volume.call("append", RUN, given=given(aborted()) + b"\n" + bad + given(completed()))
    assert said.status == 1
    assert path.read_bytes() == given(started(), aborted())
    reason, summary = said.err.splitlines()
    assert reason.startswith("3: ")
    assert len(reason) < 1000
    assert "1 event appended" in summary


def test_each_event_is_in_the_log_before_the_next_is_given(volume: Volume) -> None:
    volume.write(started())
    followed = omnelog.follow_run(volume.root, RUN)
    with volume.start("append", "--force", RUN) as process:
        assert process.stdin
        assert next(followed) == started()
        for event in (aborted(), completed()):
            process.stdin.write(given(event))
            process.stdin.flush()
            assert next(followed) == event  # hangs if it is not in the log
        assert finish(process).status == 0


def test_a_pipe_started_begins_a_run(volume: Volume) -> None:
    said = volume.call("append", RUN, given=given(started(), completed()))
    assert (said.status, said.err) == (0, "")
    assert volume.events(RUN) == [started(), completed()]


@pytest.mark.parametrize("lines", [given(completed()), b"hello\n", b""])
def test_anything_else_begins_none(volume: Volume, lines: bytes) -> None:
    said = volume.call("append", RUN, given=lines)
    assert said.status == 1
    assert said.err
    assert volume.runs() == []


def test_a_torn_tail_is_repaired_on_the_way(volume: Volume) -> None:
    path = volume.write(started(), b'{"torn')
    assert volume.call("append", RUN, given=given(completed())).status == 0
    assert path.read_bytes() == given(started(), completed())
    assert path.with_name("events.jsonl.torn").read_bytes() == b'{"torn\n'


@pytest.mark.parametrize("run_id", ["..", "a/b", ""])
def test_a_run_id_that_leads_elsewhere_is_refused(volume: Volume, run_id: str) -> None:
    said = volume.call("append", run_id)
    assert (said.status, "plain path component" in said.err) == (1, True)


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir])
def test_a_log_that_is_not_a_file_is_an_error_and_does_not_hang(
    volume: Volume, make: Callable[[Path], object]
) -> None:
    path = volume.log()
    make(path)
    said = volume.call("append", RUN)
    assert said.status == 1
    assert f"{path}: " in said.err


def test_a_disk_that_is_full_names_the_line_and_keeps_what_got_in(volume: Volume) -> None:
    path = volume.write(started())
    size = len(given(started(), completed()))
    limit = ("prlimit", f"--fsize={size}")
    said = volume.run("append", "--force", RUN, prefix=limit, given=given(completed(), completed()))
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


def test_an_input_that_fails_half_way_is_reported_with_how_much_got_in(
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
        "omnelog: append: 1 event appended before this error:",
        "omnelog: standard input: Input/output error",
    ]
    assert path.read_bytes() == given(started(), completed())


def test_of_what_may_be_in_the_log_it_says_to_look(
    volume: Volume, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A user who continued from this line, as from a refused one, might append it twice."""
    write = os.write

    def write_and_fail(fd: int, data: bytes) -> int:
        written = write(fd, data)
        if data == given(aborted()):
            raise OSError(errno.EIO, "broken")
        return written

    path = volume.write(started())
    monkeypatch.setattr(os, "write", write_and_fail)
    monkeypatch.setattr(append, "input_lines", lambda: [given(completed()), given(aborted())])
    said = volume.call("append", "--force", RUN)
    assert said.status == 1
    assert path.read_bytes() == given(started(), completed(), aborted())
    reason, summary = said.err.splitlines()
    assert reason.startswith("2: ")
    assert "1 event appended; line 2 may be in the log; check" in summary


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
    assert (said.status, said.err) == (-signal.SIGINT, "")
    assert volume.events(RUN) == [started(), completed()]
