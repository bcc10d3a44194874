# SPDX-License-Identifier: MIT
"""`output`: what a node printed, byte for byte, and what it prints from then on."""

import os
import shutil
import subprocess

import pytest

from .. import omnelog
from .histories import History
from .volume import RUN, Volume, finish

BYTES = b"\xff\x00\x1b[31mred\r\nno newline"


@pytest.fixture
def working(volume: Volume) -> Volume:
    """A volume with a run whose only node is at work and has printed something."""
    volume.write(*History().begin().start("n").events)
    capture = volume.log().parent / "nodes" / "n.out"
    capture.parent.mkdir()
    capture.write_bytes(BYTES)
    return volume


def test_it_is_printed_byte_for_byte(working: Volume) -> None:
    said = working.call("output", RUN, "n")
    assert (said.status, said.out, said.err) == (0, BYTES, "")


def test_what_record_kept_is_printed(volume: Volume) -> None:
    recorded = volume.call("record", "--pipe", "ci", "n", "--", "sh", "-c", "echo a; echo b >&2")
    said = volume.call("output", "latest", "n")
    assert sorted(said.out.split()) == [b"a", b"b"]
    assert said.out == volume.capture(recorded.run_id, "n")


@pytest.mark.parametrize("end", ["done", "fail", "abort"])
def test_following_ends_with_the_node_or_the_run(working: Volume, end: str) -> None:
    history = History().begin().start("n")
    getattr(history, end)(*([] if end == "abort" else ["n"]))
    command = ("output", "-f", RUN, "n")
    with working.start(*command, stdin=subprocess.DEVNULL) as process:
        assert process.stdout
        assert process.stdout.read(len(BYTES)) == BYTES
        with (working.log().parent / "nodes" / "n.out").open("ab") as capture:
            capture.write(b"more\n")
        assert process.stdout.readline() == b"more\n"
        with (working.log().parent / "nodes" / "n.out").open("ab") as capture:
            capture.write(b"last\n")
        with omnelog.EventLog.for_run(working.root, RUN) as log:
            log.append(history.events[-1])
        said = finish(process)
    assert (said.status, said.out, said.err) == (0, b"last\n", "")


def test_following_a_node_that_has_ended_prints_all_and_ends(working: Volume) -> None:
    working.write(*History().begin().start("n").done("n").events)
    assert working.call("output", "-f", RUN, "n").out == BYTES


def test_following_a_run_that_is_removed_ends(working: Volume) -> None:
    with working.start("output", "-f", RUN, "n", stdin=subprocess.DEVNULL) as process:
        assert process.stdout
        assert process.stdout.read(len(BYTES)) == BYTES
        shutil.rmtree(working.log().parent)
        said = finish(process)
    assert (said.status, said.err) == (1, f"omnelog: run {RUN} was removed\n")


def test_following_ends_when_its_reader_does(working: Volume) -> None:
    said = working.shell(f"omnelog output -f {RUN} n | head -c 1")
    assert (said.status, said.out, said.err) == (0, BYTES[:1], "")


@pytest.mark.parametrize(
    ("node", "says"),
    [
        ("lint", "the output of node 'lint' was not kept"),
        ("lnit", "no node 'lnit'; the nearest is lint"),
        ("../../x", "is not one plain path component"),
        ("", "is not one plain path component"),
    ],
)
def test_where_nothing_was_kept_it_says_why(volume: Volume, node: str, says: str) -> None:
    volume.write(*History().begin().start("lint").events)
    said = volume.call("output", RUN, node)
    assert (said.status, said.out, says in said.err) == (1, b"", True)


def test_of_a_run_without_a_log_it_says_that_there_is_no_such_node(volume: Volume) -> None:
    volume.log()
    assert "has no node 'n'" in volume.call("output", RUN, "n").err


def test_a_full_disk_is_one_line(working: Volume) -> None:
    with open("/dev/full", "wb") as full:
        said = working.run("output", RUN, "n", stdout=full)
    assert (said.status, said.err.count("\n")) == (1, 1)
    assert os.strerror(28) in said.err
