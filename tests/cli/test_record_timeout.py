# SPDX-License-Identifier: MIT
"""`record --timeout` ends a command that takes too long, and every process that it started."""

import os
import select
import shlex
import sys
from time import monotonic

import pytest

from .. import omnelog
from .volume import WATCHDOG_S, Said, Volume, finish

PROCESS = f"{omnelog.__name__}.cli.run_command"
LONG = "999"


def record(volume: Volume, seconds: str, *command: str, options: tuple[str, ...] = ()) -> Said:
    """Record a command with a timeout."""
    words = ("record", "--pipe", "ci", "--timeout", seconds, *options, "n", "--")
    return volume.call(*words, *command)


def ends(volume: Volume, said: Said) -> tuple["omnelog.NodeFailed", "omnelog.PipeAborted"]:
    """The last two events of the run."""
    *_, failed, end = volume.events(said.run_id)
    assert isinstance(failed, omnelog.NodeFailed)
    assert isinstance(end, omnelog.PipeAborted)
    return failed, end


def pids(volume: Volume, said: Said) -> list[int]:
    """The process ids that the command printed."""
    return [int(word) for word in volume.capture(said.run_id, "n").split()]


def assert_gone(pid: int) -> None:
    """Wait until a process that is not our child has ended."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    assert select.select([descriptor], [], [], WATCHDOG_S)[0] == [descriptor]
    os.close(descriptor)


def test_a_command_that_is_quick_enough_is_left_alone(volume: Volume) -> None:
    said = record(volume, LONG, "sh", "-c", "echo out; exit 3")
    assert (said.status, said.out) == (3, b"out\n")
    failed, end = ends(volume, said)
    assert (failed.error.kind, end.reason) == ("crash", "node n: exit status 3")


@pytest.fixture
def clock(volume: Volume, monkeypatch: pytest.MonkeyPatch) -> None:
    """A clock that jumps an hour ahead once the command has made the file `up`.

    The recorder looks at the clock whenever the command prints something. So the time is up only
    once the command has made that file, even on a slow machine.
    """
    up = volume.root / "up"
    monkeypatch.setattr(f"{PROCESS}.monotonic", lambda: monotonic() + 3600 * up.exists())


@pytest.mark.usefixtures("clock")
class TestWhatTakesTooLong:
    def test_is_ended_as_a_timeout(self, volume: Volume) -> None:
        script = f"echo last words >&2; touch up; echo; exec sleep {LONG}"
        said = record(volume, LONG, "sh", "-c", script)
        assert said.status == 124
        assert f"omnelog: record: timed out after {LONG} s\n" in said.err
        failed, end = ends(volume, said)
        assert failed.error.kind == "timeout"
        assert failed.message == f"timed out after {LONG} s\nlast words"
        assert end.reason == f"node n: timed out after {LONG} s"

    def test_is_ended_with_all_of_its_process_group(self, volume: Volume) -> None:
        script = f"sleep {LONG} & echo $!; (sleep {LONG} & echo $!); touch up; echo; wait"
        said = record(volume, LONG, "sh", "-c", script)
        assert said.status == 124
        children = pids(volume, said)
        assert len(children) == 2
        for pid in children:
            assert_gone(pid)

    def test_is_killed_if_it_heeds_no_signal(self, volume: Volume) -> None:
        script = f"trap '' TERM; echo $$; (sleep {LONG} & echo $!); touch up; echo; sleep {LONG}"
        said = record(volume, LONG, "sh", "-c", script, options=("--kill-after", "0.1"))
        assert said.status == 124
        assert len(pids(volume, said)) == 2
        for pid in pids(volume, said):
            assert_gone(pid)

    def test_leaves_nothing_running_though_it_has_gone_itself(
        self, volume: Volume, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """SIGTERM ends the command. Its child ignores SIGTERM, and holds the output open."""
        monkeypatch.setattr(f"{PROCESS}._LINGER_S", 0.1)
        deaf = "import os, signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); "
        deaf += 'print(os.getpid(), flush=True); open("up", "w"); print(flush=True); '
        deaf += "[signal.pause() for _ in iter(int, 1)]"
        said = record(volume, LONG, "sh", "-c", f"{shlex.quote(sys.executable)} -c '{deaf}' & wait")
        assert said.status == 124
        [pid] = pids(volume, said)
        assert_gone(pid)

    def test_has_time_to_clean_up(self, volume: Volume) -> None:
        os.mkfifo("fifo")
        script = "trap 'echo cleaned; exit 0' TERM; echo 1; touch up; echo 2; read x < fifo"
        said = record(volume, LONG, "sh", "-c", script)
        assert (said.status, said.out.endswith(b"cleaned\n")) == (124, True)
        assert ends(volume, said)[0].error.kind == "timeout"

    def test_is_woken_to_be_ended_if_it_is_stopped(self, volume: Volume) -> None:
        script = "trap 'echo woke; exit' TERM; touch up; echo; kill -STOP $$"
        said = record(volume, LONG, "sh", "-c", script)
        assert (said.status, said.out.endswith(b"woke\n")) == (124, True)

    def test_is_ended_and_a_recorder_within_logs_its_end(self, volume: Volume) -> None:
        inner = f"omnelog record inner -- sh -c 'touch up; echo up; exec sleep {LONG}'"
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("PATH", volume.environment()["PATH"])
            patch.setenv("PYTHONPATH", volume.environment()["PYTHONPATH"])
            said = record(volume, LONG, "sh", "-c", inner)
        assert said.status == 124
        failed = [e for e in volume.events(said.run_id) if isinstance(e, omnelog.NodeFailed)]
        assert [(e.node_id, e.error.kind) for e in failed] == [
            ("inner", "crash"),
            ("n", "timeout"),
        ]


def test_time_runs_though_nobody_reads_what_it_prints(volume: Volume) -> None:
    words = ("record", "--pipe", "ci", "--timeout", "0.3", "n", "--", "yes")
    with volume.start(*words) as process:
        assert process.stdout
        assert process.wait(WATCHDOG_S) == 124
        said = finish(process)
    run_id = said.run_id
    assert volume.types(run_id)[-2:] == ["node.failed", "pipe.aborted"]


@pytest.mark.parametrize("seconds", ["2147484", "3000000", "86400000", "999999999"])
def test_a_time_limit_may_be_of_any_length(volume: Volume, seconds: str) -> None:
    said = record(volume, seconds, "sh", "-c", "echo before; sleep 0.1; echo after")
    assert (said.status, said.out) == (0, b"before\nafter\n")
    assert volume.types(said.run_id)[-1] == "pipe.completed"
