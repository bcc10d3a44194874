# SPDX-License-Identifier: MIT
"""`record` and signals: the command gets each of them once, and the log gets its end."""

import os
import pty
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import IO

import pytest

from .. import omnelog
from .volume import WATCHDOG_S, Volume, finish

COUNTING = """
import os, signal
told = os.open("told", os.O_WRONLY)
got = []
def note(signum, frame):
    got.append(signum)
    os.write(told, b"%d\\n" % signum)
    if signum == signal.SIGUSR1:
        os._exit(100 + got.count(signal.SIGINT))
for signum in (signal.SIGINT, signal.SIGUSR1):
    signal.signal(signum, note)
os.write(1, b"up\\n")
while True:
    signal.pause()
"""


def line(process: subprocess.Popen[bytes]) -> bytes:
    """The next line of a process's output, once it is there."""
    assert process.stdout
    return process.stdout.readline()


@contextmanager
def recording(volume: Volume, *command: str) -> Iterator[subprocess.Popen[bytes]]:
    """A recorder of a command that has said "up"."""
    with volume.start("record", "--pipe", "ci", "n", "--", *command) as process:
        assert line(process) == b"up\n"
        yield process


@pytest.mark.parametrize(
    "signum", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1]
)
def test_a_signal_ends_the_command_and_is_on_record(volume: Volume, signum: signal.Signals) -> None:
    with recording(volume, "sh", "-c", "echo up; exec cat") as process:
        process.send_signal(signum)
        process.wait()
        said = finish(process)
    assert said.status == 128 + signum
    *_, failed, end = volume.events(said.run_id)
    assert isinstance(failed, omnelog.NodeFailed)
    assert (failed.error.kind, failed.message) == ("crash", f"killed by {signum.name}")
    assert isinstance(end, omnelog.PipeAborted)


def test_a_command_that_handles_the_signal_has_the_last_word(volume: Volume) -> None:
    script = "import os, signal; signal.signal(signal.SIGTERM, lambda *_: os._exit(0)); "
    script += "print('up', flush=True); [signal.pause() for _ in iter(int, 1)]"
    with recording(volume, sys.executable, "-c", script) as process:
        process.terminate()
        process.wait()
        said = finish(process)
    assert said.status == 0
    assert volume.types(said.run_id)[-2:] == ["node.completed", "pipe.completed"]


@pytest.fixture
def told(volume: Volume) -> Iterator[IO[bytes]]:
    """What the counting command tells, past the recorder: each signal it gets.

    To be read once it is up: before it opened its end, a read would find the end of the file.
    """
    os.mkfifo(volume.root / "told")
    outlet = os.open(volume.root / "told", os.O_RDONLY | os.O_NONBLOCK)
    os.set_blocking(outlet, True)
    with open(outlet, "rb", buffering=0) as pipe:
        yield pipe


def test_each_signal_sent_to_the_recorder_reaches_the_command_once(
    volume: Volume, told: IO[bytes]
) -> None:
    with recording(volume, sys.executable, "-c", COUNTING) as process:
        for signum in (signal.SIGINT, signal.SIGINT, signal.SIGUSR1):
            process.send_signal(signum)
            assert told.readline() == b"%d\n" % signum
    assert process.returncode == 102


@contextmanager
def terminal(volume: Volume, script: str) -> Iterator[tuple[int, subprocess.Popen[bytes]]]:
    """A recorder in the foreground of a terminal of its own: what types into it, the recorder."""
    keyboard, screen = pty.openpty()
    words = ("record", "--pipe", "ci", "n", "--", sys.executable, "-c", script)
    with volume.start(*words, prefix=("setsid", "--ctty"), stdin=screen) as process:
        os.close(screen)
        assert line(process) == b"up\n"
        yield keyboard, process
    os.close(keyboard)


def test_a_ctrl_c_which_the_terminal_sends_to_both_is_not_passed_on(
    volume: Volume, told: IO[bytes]
) -> None:
    """The recorder is held back until the command has had its own, or two might count as one.

    SIGUSR1 comes by the recorder's hand after whatever it did about the Ctrl-C.
    """
    with terminal(volume, COUNTING) as (keyboard, process):
        process.send_signal(signal.SIGSTOP)
        os.waitpid(process.pid, os.WUNTRACED)
        os.write(keyboard, b"\x03")
        assert told.readline() == b"%d\n" % signal.SIGINT
        process.send_signal(signal.SIGUSR1)
        process.send_signal(signal.SIGCONT)
    assert process.returncode == 101


def test_a_ctrl_c_is_passed_on_to_a_command_that_left_the_foreground_group(
    volume: Volume, told: IO[bytes]
) -> None:
    with terminal(volume, f"import os; os.setpgid(0, 0); {COUNTING}") as (keyboard, process):
        os.write(keyboard, b"\x03")
        assert told.readline() == b"%d\n" % signal.SIGINT
        process.send_signal(signal.SIGUSR1)
    assert process.returncode == 101


def test_what_is_ignored_as_by_nohup_stays_ignored(volume: Volume) -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with recording(volume, "sh", "-c", "echo up; exec cat") as process:
            process.send_signal(signal.SIGHUP)
            process.terminate()
            process.wait()
            assert finish(process).status == 128 + signal.SIGTERM
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_signal_ends_it_though_nobody_takes_its_output(volume: Volume) -> None:
    outlet, inlet = os.pipe()
    os.set_blocking(inlet, False)
    with suppress(BlockingIOError):
        while True:
            os.write(inlet, bytes(4096))
    os.set_blocking(inlet, True)
    script = "echo stuck; echo up >&2; exec cat"
    words = ("record", "--pipe", "ci", "n", "--", "sh", "-c", script)
    with volume.start(*words, stdout=inlet) as process:
        assert process.stderr
        run_id = process.stderr.readline().decode().strip().removeprefix("run_id=")
        assert process.stderr.readline() == b"up\n"
        process.terminate()
        assert process.wait(timeout=WATCHDOG_S) == 128 + signal.SIGTERM
    os.close(inlet)
    os.close(outlet)
    assert volume.types(run_id)[-1] == "pipe.aborted"
    assert sorted(volume.capture(run_id, "n").split()) == [b"stuck", b"up"]


def test_a_call_leaves_the_signals_of_its_process_as_they_were(volume: Volume) -> None:
    handled = [signal.SIGCHLD, signal.SIGHUP, signal.SIGINT, signal.SIGTERM]
    before = [signal.getsignal(signum) for signum in handled]
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, [])
    descriptors = os.listdir("/proc/self/fd")
    assert volume.call("record", "--pipe", "ci", "n", "--", "true").status == 0
    assert [signal.getsignal(signum) for signum in handled] == before
    assert signal.pthread_sigmask(signal.SIG_BLOCK, []) == mask
    assert os.listdir("/proc/self/fd") == descriptors


def test_the_command_starts_with_the_signals_as_they_were(volume: Volume) -> None:
    script = "grep -E '^Sig(Blk|Ign|Cgt)' /proc/self/status"
    plain = subprocess.run(["sh", "-c", script], capture_output=True, check=True).stdout
    assert volume.call("record", "--pipe", "ci", "n", "--", "sh", "-c", script).out == plain
