# SPDX-License-Identifier: MIT
"""`record` if the disk, the volume, the log or the system fails: the command comes first.

If something fails before the command is run, `record` refuses to run it. Once the command runs, it
runs to its end, which is logged if that is possible. What could not be recorded is reported in one
line, and a success becomes status 125.
"""

import errno
import os
import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from .. import omnelog
from .volume import RUN, Volume, finish, started

CLI = f"{omnelog.__name__}.cli"
SCRIPT = "echo before; sleep 0.1; echo after; echo error >&2"


def limited(size: int) -> tuple[str, ...]:
    """A prefix with which no file grows beyond `size` bytes, as on a full disk."""
    return ("prlimit", f"--fsize={size}")


class TestAFullDisk:
    @pytest.mark.parametrize(("ends", "status"), [("exit 0", 125), ("exit 3", 3)])
    def test_cuts_the_capture_short_and_nothing_else(
        self, volume: Volume, ends: str, status: int
    ) -> None:
        script = f"seq 1000; {ends}"
        said = volume.run(
            "record", "--pipe", "ci", "n", "--", "sh", "-c", script, prefix=limited(1500)
        )
        whole = b"".join(b"%d\n" % i for i in range(1, 1001))
        assert (said.status, said.out) == (status, whole)
        assert volume.capture(said.run_id, "n") == whole[:1500]
        _, loss = said.err.splitlines()
        assert f"node n of {said.run_id}: the capture of its output is cut short" in loss
        assert os.strerror(errno.EFBIG) in loss
        assert volume.types(said.run_id)[-1] in ("pipe.completed", "pipe.aborted")

    def test_that_leaves_the_end_unlogged_does_not_hide_the_commands_status(
        self, volume: Volume
    ) -> None:
        """The log has room for the start of the node, but not for its end."""
        script = "seq 1000 >&2; exit 3"
        said = volume.run(
            "record", "--pipe", "ci", "n", "--", "sh", "-c", script, prefix=limited(450)
        )
        assert said.status == 3
        assert volume.types(said.run_id) == ["pipe.started", "node.started"]
        loss = said.err.splitlines()[-1]
        assert "not in the log" in loss
        assert str(omnelog.events_log_path(volume.root, said.run_id)) in loss
        assert "exit status 3" in loss
        assert "omnelog append" in loss

    def test_before_the_command_is_run_is_a_refusal(self, volume: Volume) -> None:
        said = volume.run("record", "--pipe", "ci", "n", "--", "touch", "ran", prefix=limited(99))
        assert said.status == 125
        assert os.strerror(errno.EFBIG) in said.err
        assert not Path("ran").exists()


class TestAVolumeThatCannotBeUsed:
    def refused(self, volume: Volume) -> str:
        said = volume.call("record", "--pipe", "ci", "n", "--", "touch", "ran")
        assert said.status == 125
        assert said.err.count("\n") == 1
        assert not Path("ran").exists()
        return said.err

    def test_for_it_is_read_only(self, volume: Volume) -> None:
        """Even root, whom permissions do not stop, cannot create a file in sysfs."""
        os.symlink("/sys", volume.root / ".omne" / "var")
        assert ".ulid-last" in self.refused(volume)

    def test_for_var_is_a_file(self, volume: Volume) -> None:
        (volume.root / ".omne" / "var").write_text("")
        assert ".omne/var" in self.refused(volume)

    def test_for_its_last_ulid_is_none(self, volume: Volume) -> None:
        path = volume.root / ".omne" / "var" / ".ulid-last"
        path.parent.mkdir()
        path.write_text("nonsense")
        assert str(path) in self.refused(volume)
        assert path.read_text() == "nonsense"


def test_a_run_whose_node_cannot_be_started_is_aborted(volume: Volume) -> None:
    node_id = "n" * 300  # too long for the name of its capture
    said = volume.call("record", "--pipe", "ci", node_id, "--", "touch", "ran")
    assert said.status == 125
    assert os.strerror(errno.ENAMETOOLONG) in said.err
    *_, end = volume.events(said.run_id)
    assert isinstance(end, omnelog.PipeAborted)
    assert "not run" in end.reason
    assert not Path("ran").exists()


def test_a_node_whose_start_cannot_be_logged_is_not_claimed(volume: Volume) -> None:
    path = volume.write(started())
    size = path.stat().st_size + 10
    words = ("record", "--run", RUN, "n", "--", "touch", "ran")
    said = volume.run(*words, prefix=limited(size))
    assert said.status == 125
    assert volume.run(*words).status == 0


def test_a_run_that_is_removed_meanwhile_is_not_created_again(volume: Volume) -> None:
    with volume.start("record", "--pipe", "ci", "n", "--", "sh", "-c", "echo; read x") as process:
        assert process.stdout
        process.stdout.readline()
        shutil.rmtree(volume.root / ".omne" / "var" / "runs")
        said = finish(process, b"go\n")
    assert said.status == 125
    assert "the log was removed while the command ran" in said.err
    assert volume.runs() == []


def test_a_process_that_the_system_cannot_start_is_not_the_commands_fault(
    volume: Volume, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_room(*_: object, **__: object) -> None:
        raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))

    monkeypatch.setattr("os.fork", no_room)
    said = volume.call("record", "--pipe", "ci", "n", "--", "true")
    assert said.status == 125
    assert os.strerror(errno.EAGAIN) in said.err
    *_, failed, end = volume.events(said.run_id)
    assert isinstance(failed, omnelog.NodeFailed)
    assert failed.error.kind == "crash"
    assert isinstance(end, omnelog.PipeAborted)


def refuse(number: int) -> Callable[..., Any]:
    """A function that fails with this error number, as a refused system call does."""

    def refused(*_: object, **__: object) -> Any:
        raise OSError(number, os.strerror(number))

    return refused


class PollRefused:
    """A poll(2) that fails, as it does if few descriptors may be open."""

    def register(self, *_: object) -> None: ...

    poll = refuse(errno.EINVAL)


def no_thread(_: threading.Thread) -> None:
    raise RuntimeError("can't start new thread")


REFUSED = {
    "pidfd_open is not permitted": ("os.pidfd_open", refuse(errno.EPERM)),
    "pidfd_open is not there": ("os.pidfd_open", refuse(errno.ENOSYS)),
    "no thread can be created": ("threading.Thread.start", no_thread),
    "the signal mask cannot be set": ("signal.pthread_sigmask", refuse(errno.EPERM)),
    "signals cannot be waited for": ("signal.sigwaitinfo", refuse(errno.ENOSYS)),
    "poll": ("select.poll", PollRefused),
    "waitid": ("os.waitid", refuse(errno.ENOSYS)),
    "ioctl": (f"{CLI}.run_command.ioctl", refuse(errno.ENOTTY)),
    "flock": (f"{CLI}.claims.flock", refuse(errno.ENOLCK)),
    "ULIDs, once it runs": (f"{omnelog.__name__}.recording.allocate_ulid", None),
}


@pytest.mark.parametrize(("name", "replacement"), REFUSED.values(), ids=REFUSED)
def test_what_the_system_refuses_costs_the_command_nothing(
    volume: Volume, monkeypatch: pytest.MonkeyPatch, name: str, replacement: Any
) -> None:
    monkeypatch.setattr(name, replacement or ulids_until_it_runs(volume))
    said = volume.call("record", "--pipe", "ci", "n", "--", "sh", "-c", f"touch up; {SCRIPT}")
    monkeypatch.undo()
    assert (said.status, said.out) == (0, b"before\nafter\n")
    assert said.err == f"run_id={said.run_id}\nerror\n"
    assert volume.types(said.run_id)[-2:] == ["node.completed", "pipe.completed"]
    assert sorted(volume.capture(said.run_id, "n").split()) == [b"after", b"before", b"error"]


def ulids_until_it_runs(volume: Volume) -> Callable[[Any], str]:
    """An allocator that fails once the command has made the file `up`."""

    def allocate(root: Any) -> str:
        if (volume.root / "up").exists():
            raise omnelog.UlidError("damaged")
        return omnelog.allocate_ulid(root)

    return allocate


@pytest.mark.parametrize("times", [1, 1_000_000])
def test_what_nobody_foresaw_is_reported_once_the_command_has_ended(
    volume: Volume, monkeypatch: pytest.MonkeyPatch, times: int
) -> None:
    left = [times]

    def fail(*_: object) -> None:
        left[0] -= 1
        if left[0] >= 0:
            raise ZeroDivisionError("odd")

    monkeypatch.setattr(f"{CLI}.lastlines.LastLines.add", fail)
    said = volume.call("record", "--pipe", "ci", "n", "--", "sh", "-c", f"{SCRIPT}; touch done")
    assert said.status == 125
    assert (volume.root / "done").exists()
    assert "something unforeseen happened while it ran: ZeroDivisionError: odd" in said.err
    assert volume.capture(said.run_id, "n").count(b"\n") == 3
    assert volume.types(said.run_id)[-2:] == ["node.completed", "pipe.completed"]


def test_a_failure_of_the_log_at_the_end_does_not_hide_how_the_command_ended(
    volume: Volume, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("odd")

    monkeypatch.setattr(f"{CLI}.commands.record.unfinished_nodes", fail)
    said = volume.call("record", "--pipe", "ci", "n", "--", "sh", "-c", "exit 3")
    assert said.status == 3
    assert "exit status 3, but its end and the run's are not in the log: odd; " in said.err


def test_an_error_without_a_file_is_not_blamed_on_standard_output(
    volume: Volume, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.pipe", refuse(errno.EMFILE))
    said = volume.call("record", "--pipe", "ci", "n", "--", "true")
    assert said.status == 125
    assert said.err.startswith(f"omnelog: {os.strerror(errno.EMFILE)}")


def test_an_error_of_standard_output_is(volume: Volume) -> None:
    with open("/dev/full", "wb") as full:
        said = volume.run("schema", stdout=full)
    assert (
        said.err == "omnelog: standard output: No space left on device; make room, then try again\n"
    )
