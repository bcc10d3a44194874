# SPDX-License-Identifier: MIT
"""`record --pty`: the command has its own terminal, and ours is as before once it has ended."""

import fcntl
import os
import signal
import struct
import subprocess
import termios
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

import pytest

from .. import omnelog
from .streams import in_terminal, read_some, read_until
from .volume import WATCHDOG_S, Process, Volume, finish


@contextmanager
def on_screen(
    volume: Volume, *words: str, stdin: IO[bytes] | int | None = None
) -> Iterator[tuple[int, Process]]:
    """Run `record --pty` in the foreground of a terminal of 33 rows and 111 columns."""
    command = [str(volume.command), "record", "--pty", "--pipe", "p", *words]
    with in_terminal(volume, *command, stdin=stdin, size=(33, 111)) as started:
        yield started


def rest(keyboard: int) -> bytes:
    """Read all that comes until the terminal is closed."""
    found = b""
    with suppress(OSError):
        while data := read_some(keyboard, 4096, found):
            found += data
    return found


def run_id(volume: Volume) -> str:
    [found] = volume.runs()
    return found


def test_all_three_streams_are_a_terminal_of_the_size_of_ours(volume: Volume) -> None:
    script = "test -t 0 -a -t 1 -a -t 2 && stty size && echo > /dev/tty; printf '\\33[31mred'"
    with on_screen(volume, "n", "--", "sh", "-c", script) as (keyboard, process):
        shown = rest(keyboard)
        assert process.wait(WATCHDOG_S) == 0
    captured = volume.capture(run_id(volume), "n")
    assert captured == b"33 111\r\n\r\n\x1b[31mred"
    assert shown.endswith(captured)


def test_a_new_size_is_passed_on(volume: Volume) -> None:
    script = "trap 'stty size; exit 7' WINCH; echo up; while :; do sleep 0.02; done"
    with on_screen(volume, "n", "--", "sh", "-c", script) as (keyboard, process):
        read_until(keyboard, b"up\r\n")
        fcntl.ioctl(keyboard, termios.TIOCSWINSZ, struct.pack("HHHH", 44, 122, 0, 0))
        assert b"44 122" in read_until(keyboard, b"44 122\r\n")
        assert process.wait(WATCHDOG_S) == 7


def test_what_is_typed_goes_to_the_command_and_our_terminal_is_restored(volume: Volume) -> None:
    script = "stty -echo; echo name?; read x; echo hello $x; cat > typed"
    with on_screen(volume, "n", "--", "sh", "-c", script) as (keyboard, process):
        before = termios.tcgetattr(keyboard)
        read_until(keyboard, b"name?\r\n")
        assert termios.tcgetattr(keyboard) != before
        os.write(keyboard, b"world\r")
        read_until(keyboard, b"hello world\r\n")
        os.write(keyboard, b"line\r\x04")
        rest(keyboard)
        assert process.wait(WATCHDOG_S) == 0
        assert termios.tcgetattr(keyboard) == before
    assert Path("typed").read_text() == "line\n"


def test_ctrl_c_that_is_typed_reaches_the_command_alone(volume: Volume) -> None:
    script = "trap 'echo caught; exit 5' INT; echo up; while :; do sleep 0.02; done"
    with on_screen(volume, "n", "--", "sh", "-c", script) as (keyboard, process):
        read_until(keyboard, b"up\r\n")
        os.write(keyboard, b"\x03")
        read_until(keyboard, b"caught\r\n")
        assert process.wait(WATCHDOG_S) == 5


def test_a_shell_on_it_has_job_control(volume: Volume) -> None:
    shell = ("env", "PS1=ready> ", "bash", "--norc", "--noediting", "-i")
    with on_screen(volume, "n", "--", *shell) as (keyboard, process):
        read_until(keyboard, b"ready> ")  # text typed earlier is echoed twice, as on any terminal
        os.write(keyboard, b"cat\r")
        read_until(keyboard, b"cat\r\n")
        os.write(keyboard, b"echoed\r")
        read_until(keyboard, b"echoed\r\nechoed\r\n")
        os.write(keyboard, b"\x1a")
        read_until(keyboard, b"Stopped")
        read_until(keyboard, b"ready> ")
        os.write(keyboard, b"fg\r")
        read_until(keyboard, b"fg\r\ncat\r\n")
        os.write(keyboard, b"\x04exit 4\r")
        rest(keyboard)
        assert process.wait(WATCHDOG_S) == 4


def test_a_standard_input_that_is_not_a_terminal_is_read_as_it_is(volume: Volume) -> None:
    said = volume.run(
        "record", "--pty", "--pipe", "p", "n", "--", "sh", "-c", "cat; test -t 1", given=b"\0\x04a"
    )
    assert (said.status, said.out) == (0, b"\0\x04a")


def test_its_two_outputs_are_our_standard_output(volume: Volume) -> None:
    said = volume.run("record", "--pty", "--pipe", "p", "n", "--", "sh", "-c", "echo a; echo b >&2")
    assert (said.status, said.out, said.err) == (0, b"a\r\nb\r\n", f"run_id={said.run_id}\n")


def test_the_message_of_a_failure_is_what_was_seen(volume: Volume) -> None:
    script = "printf '\\33[31mred\\33[0m\\n'; exit 3"
    said = volume.run("record", "--pty", "--pipe", "p", "n", "--", "sh", "-c", script)
    *_, failed, _ = volume.events(said.run_id)
    assert isinstance(failed, omnelog.NodeFailed)
    assert failed.message == "exit status 3\nred"


@pytest.mark.parametrize(
    ("program", "status"), [("no-such-program", 127), ("/", 126), ("./script", 6)]
)
def test_programs_are_found_as_without_it(volume: Volume, program: str, status: int) -> None:
    Path("script").write_text("exit 6\n")
    Path("script").chmod(0o755)
    said = volume.run("record", "--pty", "--pipe", "p", "n", "--", program)
    assert said.status == status
    assert volume.types(said.run_id)[-2:] == ["node.failed", "pipe.aborted"]


def test_a_time_limit_ends_a_command_that_heeds_no_hangup(volume: Volume) -> None:
    script = "trap '' HUP; echo up; exec sleep 999"
    words = ("--timeout", "0.2", "n", "--", "sh", "-c", script)
    with on_screen(volume, *words) as (keyboard, process):
        assert b"timed out" in rest(keyboard)
        assert process.wait(WATCHDOG_S) == 124


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGUSR1, signal.SIGRTMIN])
def test_a_signal_to_the_recorder_is_passed_on(volume: Volume, signum: signal.Signals) -> None:
    with on_screen(volume, "n", "--", "sh", "-c", "echo up; exec sleep 999") as (keyboard, process):
        read_until(keyboard, b"up\r\n")
        process.send_signal(signum)
        rest(keyboard)
        assert process.wait(WATCHDOG_S) == 128 + signum


def test_a_reader_that_goes_away_hangs_the_terminal_up(volume: Volume) -> None:
    outlet, inlet = os.pipe()
    script = "trap 'exit 9' HUP; while :; do echo y; done 2> /dev/null"
    words = ("record", "--pty", "--pipe", "p", "n", "--", "sh", "-c", script)
    with volume.start(*words, stdout=inlet, stdin=subprocess.DEVNULL) as process:
        os.close(inlet)
        os.read(outlet, 1)
        os.close(outlet)
        assert finish(process).status == 9


def test_a_command_whose_monitor_is_killed_is_on_record(volume: Volume) -> None:
    """The monitor is the parent of the command."""
    words = ("record", "--pty", "--pipe", "p", "n", "--", "sh", "-c", "kill -9 $PPID; sleep 0.1")
    said = volume.run(*words)
    assert said.status == 125
    assert volume.types(said.run_id)[-2:] == ["node.failed", "pipe.aborted"]


def test_a_command_that_ends_as_soon_as_it_is_stopped_keeps_its_exit_status(
    volume: Volume, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It ends after the monitor has seen that it is stopped, and before the monitor says so."""
    waitid = os.waitid

    def late(kind: int, pid: int, options: int) -> os.waitid_result | None:
        change = waitid(kind, pid, options)
        if change and change.si_code == os.CLD_STOPPED and options & os.WNOWAIT:
            os.kill(pid, signal.SIGKILL)
            waitid(kind, pid, os.WEXITED | os.WNOWAIT)
        return change

    monkeypatch.setattr(os, "waitid", late)
    said = volume.call("record", "--pty", "--pipe", "p", "n", "--", "sh", "-c", "kill -STOP $$")
    assert said.status == 128 + signal.SIGKILL
