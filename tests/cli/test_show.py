# SPDX-License-Identifier: MIT
"""`show`: every event on a line, and whatever else a log may hold."""

import os
import subprocess

import pytest

from .. import omnelog
from ..samples import of_every_type
from .volume import RUN, Volume, completed, started


def failed(message: str | None) -> "omnelog.NodeFailed":
    error = omnelog.NodeError(kind=omnelog.ErrorKind.CRASH)
    return omnelog.NodeFailed(id="x", ts="T", run_id=RUN, node_id="n", error=error, message=message)


def test_each_event_is_a_line_in_columns(volume: Volume) -> None:
    volume.write(*of_every_type())
    said = volume.call("show", RUN)
    assert (said.status, said.err) == (0, "")
    assert said.out.decode().splitlines() == [
        '2026-01-31T23:59:59Z  pipe.started             feature k=quo"te é=\\n (1.2.3)',
        "2026-01-31T23:59:59Z  node.started       lint  bash n m",
        "2026-01-31T23:59:59Z  iteration.started  lint  1 from byte 27",
        "2026-01-31T23:59:59Z  gate.passed        lint  review by hook",
        "2026-01-31T23:59:59Z  node.completed     lint  nodes/lint.out",
        "2026-01-31T23:59:59Z  node.failed        lint  crash: \\u2028 broke",
        "2026-01-31T23:59:59Z  pipe.aborted             given up",
        "2026-01-31T23:59:59Z  pipe.completed",
    ]


def test_as_json_each_event_is_its_canonical_line(volume: Volume) -> None:
    events = of_every_type()
    spaced = omnelog.encode(events[0]).replace(b'":', b'" : ')
    volume.write(spaced, b"\n", *events[1:])
    said = volume.call("show", RUN, "--json")
    assert (said.status, said.err) == (0, "")
    assert said.out == b"".join(map(omnelog.encode, events))


@pytest.mark.parametrize(
    ("message", "shown"),
    [
        ("Traceback:\n  at\nKeyError: 'x'\n\n", "crash: KeyError: 'x'"),
        (None, "crash"),
        ("\x1b[31mred\x1b[0m", r"crash: \x1b[31mred\x1b[0m"),
        ("a\rb\tc\u202e", r"crash: a\rb\tc\u202e"),
    ],
)
def test_of_a_message_the_last_line_is_shown_harmless(
    volume: Volume, message: str | None, shown: str
) -> None:
    volume.write(failed(message))
    assert volume.call("show", RUN).out.decode() == f"T  node.failed  n  {shown}\n"


def test_a_long_node_id_shifts_no_line_but_its_own(volume: Volume) -> None:
    kind = omnelog.NodeKind.COMMAND
    long = omnelog.NodeStarted(id="x", ts="T", run_id=RUN, node_id="n" * 90, kind=kind)
    volume.write(long, failed(None))
    assert volume.call("show", RUN).out.decode().splitlines()[1].endswith("n" + " " * 25 + "crash")


@pytest.mark.parametrize("options", [[], ["--json"]], ids=["plain", "json"])
@pytest.mark.parametrize(
    "damage",
    [
        b'{"type":"\xff"}\n',
        b"\0\0\0\0\n",
        b'{"type":"no.such"}\n',
        b'{"n":' + b"9" * 5000 + b"}\n",
        b"[" * 100_000 + b"\n",
        b"x" * 10_000_000 + b"\n",
    ],
    ids=["UTF-8", "NUL", "type", "digits", "nesting", "10 MB"],
)
def test_of_a_damaged_log_all_that_is_sound_is_shown_and_what_is_not_is_told(
    volume: Volume, options: list[str], damage: bytes
) -> None:
    path = volume.write(started(), damage, completed())
    said = volume.call("show", RUN, *options)
    assert said.status == 1
    assert said.out.count(b"\n") == 2
    assert said.err.startswith(f"{path}:2: ")
    assert said.err.count("\n") == 1
    assert len(said.err) < 1000


def test_a_torn_tail_is_told(volume: Volume) -> None:
    path = volume.write(started(), b'{"type":"pipe.co')
    said = volume.call("show", RUN)
    assert (said.status, said.out.count(b"\n")) == (1, 1)
    assert said.err.startswith(f"{path}:2: ")


def test_a_line_being_written_is_told_and_no_damage(volume: Volume) -> None:
    path = volume.write(started(), b'{"type":"pipe.co')
    with subprocess.Popen(
        ["flock", str(path), "sh", "-c", "echo locked; read go"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as holder:
        assert holder.stdout
        assert holder.stdout.readline() == b"locked\n"
        said = volume.call("show", RUN)
        holder.communicate(b"\n")
    assert (said.status, said.out.count(b"\n")) == (0, 1)
    assert "being written" in said.err


def test_a_sound_line_of_10_megabytes_is_shown(volume: Volume) -> None:
    volume.write(failed("x" * 10_000_000))
    said = volume.call("show", RUN)
    assert (said.status, len(said.out) > 10_000_000) == (0, True)


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir])
def test_a_log_that_is_no_file_is_an_error_and_no_hang(volume: Volume, make: object) -> None:
    path = volume.log()
    assert callable(make)
    make(path)
    said = volume.call("show", RUN)
    assert (said.status, said.out) == (1, b"")
    assert f"{path}: " in said.err


def test_a_run_without_a_log_has_no_events_yet(volume: Volume) -> None:
    volume.log()
    said = volume.call("show", RUN)
    assert (said.status, said.out) == (0, b"")
    assert "no events yet" in said.err


def test_an_unknown_run_is_an_error_that_says_where_to_look(volume: Volume) -> None:
    said = volume.call("show", "nope")
    assert said.status == 1
    assert "'nope'" in said.err
    assert "omnelog runs" in said.err


@pytest.mark.parametrize("run_id", ["..", "../..", "a/b", ""])
def test_a_run_id_that_leads_elsewhere_is_refused(volume: Volume, run_id: str) -> None:
    said = volume.call("show", run_id)
    assert (said.status, "plain path component" in said.err) == (1, True)


class TestOnOutputsThatDoNotTakeIt:
    def test_a_reader_that_is_gone_ends_it_quietly(self, volume: Volume) -> None:
        volume.write(started())
        outlet, inlet = os.pipe()
        os.close(outlet)
        said = volume.run("show", RUN, stdout=inlet)
        os.close(inlet)
        assert (said.status, said.err) == (141, "")

    def test_help_for_a_reader_that_is_gone_ends_quietly(self, volume: Volume) -> None:
        outlet, inlet = os.pipe()
        os.close(outlet)
        said = volume.run("--help", stdout=inlet)
        os.close(inlet)
        assert (said.status, said.err) == (141, "")

    def test_what_its_encoding_lacks_is_escaped(self, volume: Volume) -> None:
        volume.write(failed("caf\xe9 \u2713"))
        said = volume.shell(f"PYTHONIOENCODING=latin-1 omnelog show {RUN}")
        assert (said.status, said.err) == (0, "")
        assert said.out == b"T  node.failed  n  crash: caf\xe9 \\u2713\n"

    def test_a_full_disk_is_one_line(self, volume: Volume) -> None:
        volume.write(started())
        with open("/dev/full", "wb") as full:
            said = volume.run("show", RUN, stdout=full)
        assert said.status == 1
        assert said.err == "omnelog: standard output: No space left on device\n"

    def test_a_closed_one_is_one_line(self, volume: Volume) -> None:
        volume.write(started())
        said = volume.shell(f"omnelog show {RUN} >&-")
        assert (said.status, said.err) == (1, "omnelog: standard output is closed\n")
