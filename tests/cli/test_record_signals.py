# SPDX-License-Identifier: MIT
"""`record` and signals: the command gets each signal once, and its end is in the log."""

import os
import pty
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import IO, Any

import pytest

from .. import omnelog
from .streams import full_pipe, in_terminal, read_until
from .volume import RUN, WATCHDOG_S, Process, Volume, finish, locked, started

Signals = import_module(f"{omnelog.__name__}.cli.signals").Signals

COUNTING = """
import os, signal
heard = os.open("heard", os.O_WRONLY)
got = []
def note(signum, frame):
    got.append(signum)
    os.write(heard, b"%d\\n" % signum)
    if signum == signal.SIGUSR1:
        os._exit(100 + got.count(signal.SIGINT))
for signum in (signal.SIGINT, signal.SIGUSR1):
    signal.signal(signum, note)
outlet, inlet = os.pipe()
os.set_blocking(inlet, False)
signal.set_wakeup_fd(inlet)  # so that a signal which comes before the wait ends it as well
os.write(1, b"up\\n")
while True:
    os.read(outlet, 99)
"""


def line(process: subprocess.Popen[bytes]) -> bytes:
    """Wait for the next line of a process's output; return it."""
    assert process.stdout
    return process.stdout.readline()


@contextmanager
def recording(volume: Volume, *command: str) -> Iterator[subprocess.Popen[bytes]]:
    """Record a command, and yield the recorder once the command has printed "up"."""
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
    assert said.status == (-signum if signum == signal.SIGINT else 128 + signum)
    *_, failed, end = volume.events(said.run_id)
    assert isinstance(failed, omnelog.NodeFailed)
    assert (failed.error.kind, failed.message) == ("crash", f"killed by {signum.name}\nup")
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
def heard(volume: Volume) -> Iterator[IO[bytes]]:
    """A pipe by which the command reports each signal that it gets, without the recorder.

    Read it only once the command is up. Before that, a read finds the end of the file.
    """
    os.mkfifo(volume.root / "heard")
    outlet = os.open(volume.root / "heard", os.O_RDONLY | os.O_NONBLOCK)
    os.set_blocking(outlet, True)
    with open(outlet, "rb", buffering=0) as pipe:
        yield pipe


def test_each_signal_sent_to_the_recorder_reaches_the_command_once(
    volume: Volume, heard: IO[bytes]
) -> None:
    with recording(volume, sys.executable, "-c", COUNTING) as process:
        for signum in (signal.SIGINT, signal.SIGINT, signal.SIGUSR1):
            process.send_signal(signum)
            assert heard.readline() == b"%d\n" % signum
    assert process.returncode == 102


EVERY = """
import os, signal
heard = os.open("heard", os.O_WRONLY)
for signum in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
    signal.signal(signum, lambda signum, _: os.write(heard, b"%d\\n" % signum))
outlet, inlet = os.pipe()
os.set_blocking(inlet, False)
signal.set_wakeup_fd(inlet)  # so that a signal which comes before the wait ends it as well
os.write(1, b"up\\n")
while True:
    os.read(outlet, 99)
"""
CATCHABLE = sorted(signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP})
BY_HANDLERS = sorted(
    {*CATCHABLE}
    - {signal.SIGSEGV, signal.SIGBUS, signal.SIGFPE, signal.SIGILL}  # not safe to handle in Python
    - {signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU}  # a terminal stops programs with these
    - {signal.SIGCHLD, signal.SIGPIPE, signal.SIGXFSZ}  # Python or the recorder uses these
)


def test_every_signal_that_can_be_caught_is_passed_on(volume: Volume, heard: IO[bytes]) -> None:
    with recording(volume, sys.executable, "-c", EVERY) as process:
        for signum in CATCHABLE:
            process.send_signal(signum)
            assert heard.readline() == b"%d\n" % signum
        end_command(process)


def test_without_threads_the_signals_are_passed_on_that_python_can_handle(
    volume: Volume, heard: IO[bytes]
) -> None:
    without = (
        "import sys, threading\n"
        "def refuse(thread): raise RuntimeError\n"
        "threading.Thread.start = refuse\n"
        f"from {omnelog.__name__}.cli import main\n"
        "sys.exit(main())\n"
    )
    words = ["record", "--pipe", "ci", "n", "--", sys.executable, "-c", EVERY]
    with Process(
        [sys.executable, "-c", without, *words],
        cwd=volume.root,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=volume.environment(),
    ) as process:
        assert line(process) == b"up\n"
        for signum in BY_HANDLERS:
            process.send_signal(signum)
            assert heard.readline() == b"%d\n" % signum
        end_command(process)


def test_a_signal_that_we_ignored_from_the_start_is_passed_on_too(
    volume: Volume, heard: IO[bytes]
) -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with recording(volume, sys.executable, "-c", EVERY) as process:
            process.send_signal(signal.SIGHUP)
            assert heard.readline() == b"%d\n" % signal.SIGHUP
            end_command(process)
    finally:
        signal.signal(signal.SIGHUP, before)


def child_of(process: subprocess.Popen[bytes]) -> str:
    """The process id of the command, or "" once the recorder has waited for its end."""
    with open(f"/proc/{process.pid}/task/{process.pid}/children") as children:
        return children.read().strip()


def end_command(process: subprocess.Popen[bytes]) -> None:
    """Kill a command that no other signal ends, and check that the recorder ends too."""
    os.kill(int(child_of(process)), signal.SIGKILL)
    assert process.wait(WATCHDOG_S) == 128 + signal.SIGKILL


class TestJobControl:
    """The recorder runs in the foreground of a shell with job control."""

    @pytest.mark.parametrize("options", [(), ("--timeout", "999"), ("--pty",)], ids=str)
    def test_ctrl_z_stops_the_command_and_fg_continues_it(
        self, volume: Volume, options: tuple[str, ...]
    ) -> None:
        command = (
            "import os, signal\n"
            "outlet, inlet = os.pipe()\n"
            "os.set_blocking(inlet, False)\n"
            "signal.signal(signal.SIGCONT, lambda *_: (os.write(1, b'woke\\n'), os._exit(7)))\n"
            "signal.set_wakeup_fd(inlet)\n"
            "os.write(1, b'up\\n')\n"
            "while True: os.read(outlet, 99)\n"
        )
        program = [sys.executable, "-c", command]
        words = shlex.join(["record", *options, "--pipe", "p", "n", "--", *program])
        script = f"omnelog {words}; echo stopped $?; fg; echo over $?"
        with in_terminal(volume, "sh", "-m", "-c", script) as (keyboard, process):
            read_until(keyboard, b"up\r\n")
            os.write(keyboard, b"\x1a")
            read_until(keyboard, b"stopped %d\r\n" % (128 + signal.SIGTSTP))
            read_until(keyboard, b"woke\r\n")
            read_until(keyboard, b"over 7\r\n")
            process.wait(WATCHDOG_S)

    def test_a_command_that_stops_itself_is_seen_to_stop(self, volume: Volume) -> None:
        script = "omnelog record --pipe p n -- sh -c 'kill -TSTP $$; exit 7'; echo stopped $?; fg"
        with in_terminal(volume, "sh", "-m", "-c", f"{script}; echo over $?") as (keyboard, _):
            read_until(keyboard, b"stopped %d\r\n" % (128 + signal.SIGTSTP))
            read_until(keyboard, b"over 7\r\n")

    def test_a_ctrl_c_ends_a_loop_of_a_shell(self, volume: Volume) -> None:
        command = "omnelog record --pipe p n$i -- sh -c 'echo up; exec sleep 99'"
        script = f"for i in 1 2; do {command}; done; echo went on"
        with in_terminal(volume, "bash", "-c", script) as (keyboard, process):
            read_until(keyboard, b"up\r\n")
            os.write(keyboard, b"\x03")
            assert process.wait(WATCHDOG_S) == -signal.SIGINT
        assert len(volume.runs()) == 1


def test_an_interrupt_before_the_command_runs_ends_the_recorder(volume: Volume) -> None:
    """The recorder waits for the lock of the log, which we hold."""
    path = volume.write(started())
    with locked(path):
        process = volume.start("record", "--run", RUN, "n", "--", "touch", "ran")
        capture = path.parent / "nodes" / "n.out"
        while not capture.exists():  # the capture is made before the log is locked
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        assert finish(process).status == -signal.SIGINT
    assert not (volume.root / "ran").exists()
    assert not capture.exists()
    assert volume.events(RUN) == [started()]


def test_a_second_interrupt_ends_the_wait_for_the_lock_at_the_end(volume: Volume) -> None:
    path = volume.write(started())
    words = ("record", "--run", RUN, "n", "--", "sh", "-c", "echo up; read x; exit 3")
    with volume.start(*words) as process:
        assert line(process) == b"up\n"
        assert process.stdin
        assert process.stderr
        with locked(path):
            process.stdin.write(b"go\n")
            process.stdin.flush()
            while child_of(process):
                pass
            process.send_signal(signal.SIGINT)
            assert b"to give up" in process.stderr.readline()
            process.send_signal(signal.SIGINT)
            said = finish(process)
    assert said.status == 3
    assert "exit status 3, but its end is not in the log: interrupted; correct that" in said.err


@contextmanager
def terminal(
    volume: Volume, script: str, *options: str
) -> Iterator[tuple[int, subprocess.Popen[bytes]]]:
    """Start a recorder in the foreground of a new terminal; yield the keyboard and the recorder."""
    keyboard, screen = pty.openpty()
    words = ("record", "--pipe", "ci", *options, "n", "--", sys.executable, "-c", script)
    with volume.start(*words, prefix=("setsid", "--ctty"), stdin=screen) as process:
        os.close(screen)
        assert line(process) == b"up\n"
        yield keyboard, process
    os.close(keyboard)


def test_a_ctrl_c_reaches_a_command_with_a_timeout_which_has_a_process_group_of_its_own(
    volume: Volume,
) -> None:
    script = (
        "import signal, sys\n"
        "signal.signal(signal.SIGINT, lambda *_: sys.exit(5))\n"
        "print('up', flush=True)\n"
        "while True:\n"
        "    signal.pause()\n"
    )
    with terminal(volume, script, "--timeout", "3600") as (keyboard, process):
        os.write(keyboard, b"\x03")
        assert finish(process).status == 5
    [run_id] = volume.runs()
    *_, failed, _ = volume.events(run_id)
    assert isinstance(failed, omnelog.NodeFailed)
    assert failed.error.kind == "crash"


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_is_passed_on_to_a_command_with_a_timeout(
    volume: Volume, signum: signal.Signals
) -> None:
    words = ("record", "--pipe", "ci", "--timeout", "999", "n", "--")
    with volume.start(*words, "sh", "-c", "echo up; exec cat") as process:
        assert line(process) == b"up\n"
        process.send_signal(signum)
        process.wait(WATCHDOG_S)
        said = finish(process)
    assert said.status == (-signum if signum == signal.SIGINT else 128 + signum)
    *_, failed, _ = volume.events(said.run_id)
    assert isinstance(failed, omnelog.NodeFailed)
    assert failed.error.kind == "crash"


def test_a_command_that_is_killed_by_a_signal_without_a_name_is_on_record(volume: Volume) -> None:
    signum = signal.SIGRTMIN + 3
    said = volume.run("record", "--pipe", "ci", "n", "--", "sh", "-c", f"kill -{signum} $$")
    assert said.status == 128 + signum
    *_, end = volume.events(said.run_id)
    assert isinstance(end, omnelog.PipeAborted)
    assert end.reason == "node n: killed by SIGRTMIN+3"


def test_a_ctrl_c_which_the_terminal_sends_to_both_is_not_passed_on(
    volume: Volume, heard: IO[bytes]
) -> None:
    """The recorder is stopped until the command has got its signal from the terminal.

    Otherwise a second SIGINT might come while the first is pending, and not be counted.

    The recorder passes SIGUSR1 on after it has dealt with the Ctrl-C.
    """
    with terminal(volume, COUNTING) as (keyboard, process):
        process.send_signal(signal.SIGSTOP)
        os.waitpid(process.pid, os.WUNTRACED)
        os.write(keyboard, b"\x03")
        assert heard.readline() == b"%d\n" % signal.SIGINT
        process.send_signal(signal.SIGUSR1)
        process.send_signal(signal.SIGCONT)
    assert process.returncode == 101


def test_a_ctrl_c_is_passed_on_to_a_command_that_left_the_foreground_group(
    volume: Volume, heard: IO[bytes]
) -> None:
    with terminal(volume, f"import os; os.setpgid(0, 0); {COUNTING}") as (keyboard, process):
        os.write(keyboard, b"\x03")
        assert heard.readline() == b"%d\n" % signal.SIGINT
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
    script = "echo stuck; echo up >&2; exec cat"
    words = ("record", "--pipe", "ci", "n", "--", "sh", "-c", script)
    with full_pipe() as output, volume.start(*words, stdout=output) as process:
        assert process.stderr
        run_id = process.stderr.readline().decode().strip().removeprefix("run_id=")
        assert process.stderr.readline() == b"up\n"
        process.terminate()
        assert process.wait(timeout=WATCHDOG_S) == 128 + signal.SIGTERM
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


def test_a_signal_that_comes_while_its_handler_is_restored_is_handled_by_that(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    handled = []
    change = signal.signal

    def change_while_it_comes(signum: int, handler: Any) -> Any:
        if signum == signal.SIGUSR1:
            signal.raise_signal(signum)  # to this thread: pytest-xdist has others
        return change(signum, handler)

    before = signal.signal(signal.SIGUSR1, lambda signum, _: handled.append(signum))
    try:
        with Signals():
            monkeypatch.setattr(signal, "signal", change_while_it_comes)
        assert handled == [signal.SIGUSR1]
    finally:
        monkeypatch.undo()
        signal.signal(signal.SIGUSR1, before)


def test_the_command_starts_with_the_signals_as_they_were(volume: Volume) -> None:
    script = "grep -E '^Sig(Blk|Ign|Cgt)' /proc/self/status"
    plain = subprocess.run(["sh", "-c", script], capture_output=True, check=True).stdout
    assert volume.call("record", "--pipe", "ci", "n", "--", "sh", "-c", script).out == plain
