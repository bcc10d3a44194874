# SPDX-License-Identifier: MIT
"""What a recorded command inherits: descriptors, ignored signals, and how programs are found."""

import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from .. import omnelog
from .volume import Process, Volume, finish

LISTING = (
    "import os; print(sorted((fd, os.readlink('/proc/self/fd/' + fd)) for fd in "
    "os.listdir('/proc/self/fd') if int(fd) > 2 and os.path.exists('/proc/self/fd/' + fd)))"
)


def test_a_process_substitution_can_be_read(volume: Volume) -> None:
    said = volume.shell("bash -c 'omnelog record --pipe p n -- cat <(echo hi)'")
    assert (said.status, said.out) == (0, b"hi\n")


def test_every_descriptor_that_was_inherited_is_passed_on_and_none_of_ours(volume: Volume) -> None:
    shown = f'{shlex.quote(sys.executable)} -c "{LISTING}"'
    plain = volume.shell(f"exec 7< bin/omnelog 9> lock; {shown}")
    recorded = volume.shell(f"exec 7< bin/omnelog 9> lock; omnelog record --pipe p n -- {shown}")
    assert recorded.out == plain.out
    assert b"bin/omnelog" in plain.out


def test_a_descriptor_that_the_command_closes_is_closed(volume: Volume) -> None:
    """The reader of the other end sees the end of the file while the command still runs."""
    outlet, inlet = os.pipe()
    os.set_inheritable(inlet, True)
    words = ("record", "--pipe", "p", "n", "--", "bash", "-c", f"exec {inlet}>&-; read x; echo $x")
    with Process(
        [str(volume.command), *words],
        cwd=volume.root,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=volume.environment(),
        close_fds=False,
    ) as process:
        os.close(inlet)
        assert os.read(outlet, 1) == b""
        assert finish(process, b"go\n").out == b"go\n"
    os.close(outlet)


def flood(fd: int) -> None:
    """Write until a write fails."""
    while True:
        os.write(fd, bytes(4096))


def test_a_standard_input_that_the_command_closes_is_closed(volume: Volume) -> None:
    outlet, inlet = os.pipe()
    words = ("record", "--pipe", "p", "n", "--", "sh", "-c", "exec <&-; echo up; read x < fifo")
    os.mkfifo("fifo")
    with volume.start(*words, stdin=outlet) as process:
        os.close(outlet)
        assert process.stdout
        assert process.stdout.readline() == b"up\n"
        with pytest.raises(BrokenPipeError):
            flood(inlet)
        Path("fifo").write_text("go\n")
    os.close(inlet)


def test_sockets_passed_to_us_are_passed_to_the_command(volume: Volume) -> None:
    said = volume.shell(
        "sh -c 'export LISTEN_PID=$$ LISTEN_FDS=1; exec omnelog record --pipe p n -- "
        'sh -c "test \\$LISTEN_PID = \\$\\$ && echo \\$LISTEN_FDS"\' 3< bin/omnelog'
    )
    assert (said.status, said.out) == (0, b"1\n")


IGNORED = (signal.SIGHUP, signal.SIGINT, signal.SIGCHLD, signal.SIGUSR1, signal.SIGRTMIN + 1)


@pytest.mark.parametrize("ignored", [(), IGNORED], ids=["none", "some"])
def test_signals_are_ignored_and_blocked_as_they_were(
    volume: Volume, ignored: tuple[int, ...]
) -> None:
    table = ("grep", "-E", "^Sig(Blk|Ign|Cgt)", "/proc/self/status")
    before = {signum: signal.signal(signum, signal.SIG_IGN) for signum in ignored}
    try:
        plain = subprocess.Popen(table, stdout=subprocess.PIPE)
        assert plain.stdout
        expected = plain.stdout.read()
        plain.stdout.close()
        plain.wait()
        said = volume.run("record", "--pipe", "ci", "n", "--", *table)
    finally:
        for signum, handler in before.items():
            signal.signal(signum, handler)
    assert (said.status, said.out) == (0, expected)


@pytest.mark.parametrize("found_on", ["the path", "its own path"])
def test_a_script_without_a_shebang_runs_in_a_shell(
    volume: Volume, monkeypatch: pytest.MonkeyPatch, found_on: str
) -> None:
    script = volume.root / "bin" / "script"
    script.write_text('echo "script $1"\nexit 7\n')
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{volume.root / 'bin'}:{os.environ['PATH']}")
    program = "script" if found_on == "the path" else "bin/script"
    said = volume.call("record", "--pipe", "p", "n", "--", program, "a b")
    assert (said.status, said.out) == (7, b"script a b\n")


def test_a_program_for_another_machine_does_not_run_in_a_shell(volume: Volume) -> None:
    program = volume.root / "program"
    program.write_bytes(b"\x7fELF\0\0\0\0echo ran\n")
    program.chmod(0o755)
    said = volume.call("record", "--pipe", "p", "n", "--", "./program")
    assert (said.status, said.out) == (126, b"")
    assert os.strerror(8) in said.err


def test_a_file_that_may_not_be_run_does_not_hide_one_further_on_the_path(
    volume: Volume, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, mode in (("first", 0o644), ("second", 0o755)):
        path = volume.root / name / "tool"
        path.parent.mkdir()
        path.write_text(f"#!/bin/sh\necho {name}\n")
        path.chmod(mode)
    monkeypatch.setenv("PATH", f"first:second:{os.environ['PATH']}")
    assert volume.call("record", "--pipe", "p", "n", "--", "tool").out == b"second\n"
    monkeypatch.setenv("PATH", "first")
    assert volume.call("record", "--pipe", "p", "m", "--", "tool").status == 126


@pytest.mark.parametrize("make", [Path.touch, lambda path: path.symlink_to("/nowhere/x")])
def test_what_is_in_the_way_of_the_captures_is_named(
    volume: Volume, make: Callable[[Path], object]
) -> None:
    run_id = volume.call("begin", "p").out.decode().strip()
    nodes = omnelog.nodes_dir(volume.root, run_id)
    make(nodes)
    said = volume.call("record", "--run", run_id, "n", "--", "touch", "ran")
    assert said.status == 125
    assert f"{nodes}: is not a directory" in said.err
    assert not Path("ran").exists()


def as_process_1() -> tuple[str, ...]:
    """A prefix with which a command becomes process 1 of its own namespace."""
    return ("unshare", "--user", "--map-root-user", "--pid", "--fork", "--mount-proc")


@pytest.mark.skipif(
    subprocess.run([*as_process_1(), "true"], capture_output=True).returncode != 0,
    reason="no process may be made process 1 here",
)
def test_as_process_1_it_reaps_orphans(volume: Volume) -> None:
    """Each subshell ends before its child, and the command waits until no zombie is left."""
    script = (
        "for i in 1 2 3; do (true & exec true); done; "
        "until [ $(grep -l '^State:.Z' /proc/[0-9]*/status 2>/dev/null | wc -l) = 0 ]; "
        "do :; done; echo clean"
    )
    words = ("record", "--pipe", "p", "n", "--", "sh", "-c", script)
    said = volume.run(*words, prefix=as_process_1())
    assert (said.status, said.out) == (0, b"clean\n")
