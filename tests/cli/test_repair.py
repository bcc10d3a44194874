# SPDX-License-Identifier: MIT
"""`repair` shows what the next append would do, asks, and then does only that."""

import fcntl
import os
import pty
from collections.abc import Callable
from pathlib import Path

import pytest

from .. import omnelog
from .histories import History
from .volume import RUN, Volume, finish

WHOLE = omnelog.encode(History().complete().events[0])
TORN = b'{"type":"pipe.comp\x1b[31m'


def files(volume: Volume) -> dict[str, bytes]:
    """The name and the content of each file of the run."""
    return {path.name: path.read_bytes() for path in volume.log().parent.iterdir()}


@pytest.fixture
def torn(volume: Volume) -> Volume:
    """A volume with a run that has a torn tail."""
    volume.write(*History().begin().events, TORN)
    return volume


def test_a_torn_tail_is_set_aside(torn: Volume) -> None:
    said = torn.call("repair", "--yes", RUN)
    assert (said.status, said.err) == (0, "")
    first = omnelog.encode(History().begin().events[0])
    assert files(torn) == {"events.jsonl": first, "events.jsonl.torn": TORN + b"\n"}
    assert f"{len(TORN)} bytes after the last newline, from byte {len(first)}" in said.out.decode()
    assert "moved to events.jsonl.torn" in said.out.decode()
    assert b"repaired" in said.out


def test_a_whole_event_gets_its_newline(volume: Volume) -> None:
    volume.write(*History().begin().events, WHOLE[:-1])
    said = volume.call("repair", "--yes", RUN)
    assert (said.status, said.err) == (0, "")
    assert b"newline it lacks" in said.out
    assert files(volume) == {"events.jsonl": omnelog.encode(History().begin().events[0]) + WHOLE}


@pytest.mark.parametrize("tail", [TORN, WHOLE[:-1], b" ", b"\r", b"{}", b"\0" * 5000, WHOLE + b"x"])
def test_it_leaves_what_the_next_append_would_leave(
    volume: Volume,
    tmp_path_factory: pytest.TempPathFactory,
    capfdbinary: pytest.CaptureFixture[bytes],
    tail: bytes,
) -> None:
    volume.write(*History().begin().events, tail)
    assert volume.call("repair", "--yes", RUN).status == 0
    repaired = files(volume)
    other = Volume(tmp_path_factory.mktemp("other"), capfdbinary)
    other.write(*History().begin().events, tail)
    with omnelog.EventLog.for_run(other.root, RUN) as log:
        log.append(History().complete().events[0])
    repaired["events.jsonl"] += WHOLE
    assert repaired == files(other)


def test_a_dry_run_shows_every_byte_harmless_and_changes_nothing(volume: Volume) -> None:
    tail = bytes(range(256)).replace(b"\n", b"") * 8
    volume.write(*History().begin().events, tail)
    before = files(volume)
    said = volume.call("repair", "--dry-run", RUN)
    assert (said.status, said.err, files(volume)) == (0, "", before)
    _, *rows = said.out.decode("ascii").splitlines()
    assert bytes.fromhex("".join(row[10:57] for row in rows)) == tail
    assert all(row.isprintable() and len(row) <= 80 for row in rows)
    assert int(rows[1].split()[0], 16) == volume.log().stat().st_size - len(tail) + 16


def test_of_a_long_tail_the_beginning_is_shown_before_it_is_repaired(volume: Volume) -> None:
    volume.write(b"x" * 1_000_000)
    said = volume.call("repair", "--yes", RUN)
    assert said.status == 0
    assert b"... 999744 more, which --dry-run shows" in said.out
    assert len(said.out) < 4000


@pytest.mark.parametrize("log", [b"", WHOLE, b"damage\n"])
@pytest.mark.parametrize("options", [[], ["--yes"], ["--dry-run"]])
def test_if_there_is_nothing_to_repair_nothing_is_done(
    volume: Volume, log: bytes, options: list[str]
) -> None:
    volume.write(log)
    said = volume.call("repair", *options, RUN)
    assert (said.status, said.err) == (0, "")
    assert b"nothing to repair" in said.out
    assert files(volume) == {"events.jsonl": log}


def test_without_a_terminal_nobody_is_asked_and_nothing_is_done(torn: Volume) -> None:
    before = files(torn)
    said = torn.run("repair", RUN, given=b"y\n")
    assert (said.status, files(torn)) == (1, before)
    assert "--yes" in said.err


@pytest.mark.parametrize(
    ("answer", "repaired"),
    [(b"y\n", True), (b"YES\n", True), (b"n\n", False), (b"\n", False), (b"\x04", False)],
)
def test_at_a_terminal_one_is_asked(torn: Volume, answer: bytes, *, repaired: bool) -> None:
    before = files(torn)
    ours, theirs = pty.openpty()
    with torn.start("repair", RUN, stdin=theirs) as process:
        os.close(theirs)
        assert process.stderr
        assert process.stderr.read(9) == b"repair it"
        os.write(ours, answer)
        said = finish(process)
    os.close(ours)
    assert said.status == (0 if repaired else 1)
    assert (files(torn) == before) != repaired


def test_while_somebody_is_writing_nothing_is_done(torn: Volume) -> None:
    before = files(torn)
    with torn.log().open("rb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        said = torn.call("repair", "--yes", RUN)
    assert (said.status, files(torn)) == (1, before)
    assert "writing now" in said.err


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir])
def test_a_log_that_is_not_a_file_is_one_line_and_none_is_made(
    volume: Volume, make: Callable[[Path], object]
) -> None:
    path = volume.log()
    make(path)
    said = volume.call("repair", "--yes", RUN)
    assert (said.status, said.out, said.err.count("\n")) == (1, b"", 1)
    assert str(path) in said.err
    assert path.is_file() is False


def test_a_full_disk_is_one_line_and_the_tail_stays(volume: Volume) -> None:
    volume.write(*History().begin().events, b"x" * 5000)
    before = files(volume)["events.jsonl"]
    said = volume.run("repair", "--yes", RUN, prefix=("prlimit", "--fsize=1000"))
    assert said.status == 1
    assert said.err.count("\n") == 1
    assert "events.jsonl.torn" in said.err
    assert files(volume)["events.jsonl"] == before


def test_a_reader_that_is_gone_counts_as_the_answer_no(torn: Volume) -> None:
    before = files(torn)
    outlet, inlet = os.pipe()
    os.close(outlet)
    said = torn.run("repair", "--yes", RUN, stdout=inlet)
    os.close(inlet)
    assert (said.status, files(torn)) == (141, before)
