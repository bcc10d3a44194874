# SPDX-License-Identifier: MIT
"""`record` where the disk, the log or whoever reads along fails: the command comes first.

What could not be recorded is said in one line, and a success becomes status 125.
"""

import errno
import os
import shutil
from pathlib import Path

import pytest

from .. import omnelog
from .volume import RUN, Volume, finish, started


def limited(size: int) -> tuple[str, ...]:
    """A prefix for a disk on which no file grows beyond `size` bytes."""
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
        """Not even the exit status has room in the log, though the start had."""
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
        """Sysfs takes no new file even from root, whom no permission stops."""
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


def test_a_run_that_is_removed_meanwhile_is_not_made_anew(volume: Volume) -> None:
    with volume.start("record", "--pipe", "ci", "n", "--", "sh", "-c", "echo; read x") as process:
        assert process.stdout
        process.stdout.readline()
        shutil.rmtree(volume.root / ".omne" / "var" / "runs")
        said = finish(process, b"go\n")
    assert said.status == 125
    assert "the log is gone" in said.err
    assert volume.runs() == []


class TestAReaderThatIsGone:
    def test_takes_the_command_with_it_as_in_any_pipeline(self, volume: Volume) -> None:
        outlet, inlet = os.pipe()
        os.close(outlet)
        said = volume.run("record", "--pipe", "ci", "n", "--", "yes", stdout=inlet)
        os.close(inlet)
        assert said.status == 128 + 13
        assert said.err == f"run_id={said.run_id}\n"
        *_, failed, _ = volume.events(said.run_id)
        assert isinstance(failed, omnelog.NodeFailed)
        assert failed.message
        assert failed.message.startswith("killed by SIGPIPE\ny\n")
        assert volume.capture(said.run_id, "n").startswith(b"y\ny\n")

    def test_of_one_output_leaves_the_other_alone(self, volume: Volume) -> None:
        outlet, inlet = os.pipe()
        os.close(outlet)
        script = "trap '' PIPE; while echo x; do :; done 2> /dev/null; echo still >&2"
        words = ("record", "--pipe", "ci", "n", "--", "sh", "-c", script)
        said = volume.run(*words, stdout=inlet)
        os.close(inlet)
        assert (said.status, said.err) == (0, f"run_id={said.run_id}\nstill\n")
        assert volume.capture(said.run_id, "n").endswith(b"x\nstill\n")

    def test_of_the_errors_does_not_change_the_status(self, volume: Volume) -> None:
        outlet, inlet = os.pipe()
        os.close(outlet)
        words = ("record", "--pipe", "ci", "n", "--", "sh", "-c", "exit 7")
        with volume.start(*words, stderr=inlet) as process:
            os.close(inlet)
            assert finish(process).status == 7


def test_a_full_output_is_told_and_the_capture_is_whole(volume: Volume) -> None:
    with open("/dev/full", "wb") as full:
        said = volume.run("record", "--pipe", "ci", "n", "--", "seq", "1000", stdout=full)
    assert said.status == 125
    assert "not passed through: No space left on device" in said.err
    assert volume.capture(said.run_id, "n") == b"".join(b"%d\n" % i for i in range(1, 1001))


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_streams_do_not_become_the_log(volume: Volume, closed: str) -> None:
    """The log would get the lowest free descriptor, which is then a standard stream."""
    said = volume.shell(f"omnelog record --pipe ci n -- sh -c 'echo o; echo e >&2; cat' {closed}")
    assert said.status == 0
    [run_id] = volume.runs()
    assert volume.types(run_id) == [
        "pipe.started",
        "node.started",
        "node.completed",
        "pipe.completed",
    ]
    assert sorted(volume.capture(run_id, "n").split()) == [b"e", b"o"]


def test_an_output_that_does_not_block_is_waited_for(volume: Volume) -> None:
    outlet, inlet = os.pipe()
    os.set_blocking(inlet, False)
    with volume.start(
        *("record", "--pipe", "ci", "n", "--", "seq", "99999"), stdout=inlet
    ) as process:
        os.close(inlet)
        with open(outlet, "rb") as out:
            assert out.read() == b"".join(b"%d\n" % i for i in range(1, 100_000))
        assert finish(process).status == 0


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
