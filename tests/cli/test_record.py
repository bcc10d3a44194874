# SPDX-License-Identifier: MIT
"""`record`: the events and the captured output of a recorded command."""

import os
import sys
from pathlib import Path

import pytest

from .. import omnelog
from .volume import RUN, Volume, finish, started

PROCESS = f"{omnelog.__name__}.cli.run_command"


def only(volume: Volume, run_id: str, cls: type) -> "omnelog.Event":
    """The only event of a run that is a `cls`."""
    [event] = [event for event in volume.events(run_id) if isinstance(event, cls)]
    return event


class TestANewRun:
    @pytest.mark.spec("EVT-5")
    def test_of_a_command_that_succeeds_is_four_events(self, volume: Volume) -> None:
        said = volume.call("record", "--pipe", "ci", "lint", "--", "echo", "a b")
        run_id = said.run_id
        assert (said.status, said.out, said.err) == (0, b"a b\n", f"run_id={run_id}\n")
        begun, node, done, end = volume.events(run_id)
        assert isinstance(begun, omnelog.PipeStarted)
        assert (begun.pipe, begun.inputs) == ("ci", [])
        assert begun.distro_version == f"omnelog {omnelog.__version__}"
        assert isinstance(node, omnelog.NodeStarted)
        assert (node.node_id, node.kind, node.name) == ("lint", "command", "echo 'a b'")
        assert isinstance(done, omnelog.NodeCompleted)
        assert done.output_path == f".omne/var/runs/{run_id}/nodes/lint.out"
        assert (volume.root / done.output_path).read_bytes() == b"a b\n"
        assert isinstance(end, omnelog.PipeCompleted)

    @pytest.mark.spec("EVT-2", "EVT-4", "VOL-9")
    def test_has_an_id_made_of_the_pipe_and_a_rising_ulid(self, volume: Volume) -> None:
        first, second = (
            volume.call("record", "--pipe", "ci", "n", "--", "true").run_id for _ in "ab"
        )
        for run_id in (first, second):
            events = volume.events(run_id)
            ids = [run_id.removeprefix("ci-"), *(event.id for event in events)]
            assert {len(ulid) for ulid in ids} == {26}
            assert ids == sorted(set(ids))
            assert {event.run_id for event in events} == {run_id}
        assert first < second

    @pytest.mark.spec("EVT-3")
    def test_has_times_in_whole_seconds_of_utc(
        self, volume: Volume, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("time.time", lambda: 0.9)
        monkeypatch.setattr("time.gmtime", lambda: (1970, 1, 2, 3, 4, 5, 4, 2, 0))
        said = volume.call("record", "--pipe", "ci", "n", "--", "true")
        assert {event.ts for event in volume.events(said.run_id)} == {"1970-01-02T03:04:05Z"}

    def test_of_a_command_that_fails_is_aborted_with_its_status(self, volume: Volume) -> None:
        said = volume.call("record", "--pipe", "ci", "n", "--", "sh", "-c", "echo oh >&2; exit 7")
        assert said.status == 7
        *_, failed, end = volume.events(said.run_id)
        assert isinstance(failed, omnelog.NodeFailed)
        assert (failed.error.kind, failed.message) == ("crash", "exit status 7\noh")
        assert isinstance(end, omnelog.PipeAborted)
        assert end.reason == "node n: exit status 7"

    @pytest.mark.parametrize(
        ("program", "status"), [("no-such-program", 127), ("./no/such", 127), ("/", 126)]
    )
    def test_of_a_command_that_cannot_be_run_is_a_missing_host(
        self, volume: Volume, program: str, status: int
    ) -> None:
        said = volume.call("record", "--pipe", "ci", "n", "--", program)
        assert said.status == status
        assert f"cannot run {program}: " in said.err
        *_, failed, end = volume.events(said.run_id)
        assert isinstance(failed, omnelog.NodeFailed)
        assert failed.error.kind == "host_missing"
        assert failed.message
        assert failed.message in said.err
        assert isinstance(end, omnelog.PipeAborted)

    def test_of_a_file_without_the_permission_to_be_run_is_status_126(self, volume: Volume) -> None:
        Path("script").write_text("#!/bin/sh\n")
        assert volume.call("record", "--pipe", "ci", "n", "--", "./script").status == 126

    def test_of_a_killed_command_is_a_crash_that_names_the_signal(self, volume: Volume) -> None:
        script = "echo last words >&2; kill -KILL $$"
        said = volume.call("record", "--pipe", "ci", "n", "--", "sh", "-c", script)
        assert said.status == 128 + 9
        *_, failed, end = volume.events(said.run_id)
        assert isinstance(failed, omnelog.NodeFailed)
        assert (failed.error.kind, failed.message) == ("crash", "killed by SIGKILL\nlast words")
        assert isinstance(end, omnelog.PipeAborted)
        assert end.reason == "node n: killed by SIGKILL"

    def test_within_a_recorded_command_is_a_run_of_its_own(self, volume: Volume) -> None:
        said = volume.shell("omnelog record --pipe a n -- omnelog record --pipe b n -- true")
        assert said.status == 0
        inner, outer = sorted(volume.runs(), reverse=True)
        assert [len(volume.events(run_id)) for run_id in (outer, inner)] == [4, 4]
        assert (outer[:2], inner[:2]) == ("a-", "b-")


class TestTheMessageOfAFailure:
    def message(self, volume: Volume, script: str) -> str | None:
        said = volume.call("record", "--pipe", "ci", "n", "--", sys.executable, "-c", script)
        failed = only(volume, said.run_id, omnelog.NodeFailed)
        assert isinstance(failed, omnelog.NodeFailed)
        return failed.message

    def test_is_how_it_ended_where_nothing_was_said(self, volume: Volume) -> None:
        assert self.message(volume, "raise SystemExit(3)") == "exit status 3"

    def test_is_the_last_whole_lines_of_a_long_error_output(self, volume: Volume) -> None:
        script = (
            "import sys; [print('line', i, file=sys.stderr) for i in range(99999)]; sys.exit(1)"
        )
        message = self.message(volume, script)
        assert message
        status, *lines = message.split("\n")
        assert status == "exit status 1"
        assert lines == [f"line {i}" for i in range(99999 - len(lines), 99999)]
        assert 4000 < len("\n".join(lines)) <= 4096

    def test_is_bounded_where_there_are_no_lines(self, volume: Volume) -> None:
        script = "import os; os.write(2, '\u20ac'.encode() * 9999); os._exit(1)"
        message = self.message(volume, script)
        assert message
        _, tail = message.split("\n")
        assert set(tail) == {"\u20ac"}
        assert 4090 < len(tail.encode()) <= 4096

    def test_has_a_replacement_for_what_is_not_utf_8(self, volume: Volume) -> None:
        script = r"import os; os.write(2, b'\xff\xed\xa0\x80 \x00\n'); os._exit(1)"
        assert self.message(volume, script) == "exit status 1\n" + "\ufffd" * 4 + " \0"


class TestTheCommand:
    def test_finds_the_run_the_node_and_the_root_in_its_environment(self, volume: Volume) -> None:
        (volume.root / "sub").mkdir()
        script = 'cd sub; echo "$OMNE_RUN_ID $OMNE_NODE_ID $OMNE_VOLUME_ROOT"'
        said = volume.call("record", "--root", ".", "--pipe", "ci", "n", "--", "sh", "-c", script)
        assert said.out.decode() == f"{said.run_id} n {volume.root}\n"

    def test_reads_our_input(self, volume: Volume) -> None:
        said = volume.run("record", "--pipe", "ci", "n", "--", "cat", given=b"\0given")
        assert said.out == volume.capture(said.run_id, "n") == b"\0given"

    def test_has_its_two_outputs_kept_apart_and_captured_together(self, volume: Volume) -> None:
        script = r"import os; os.write(1, b'\xff\0out'); os.write(2, b'\xfeerr')"
        said = volume.run("record", "--pipe", "ci", "n", "--", sys.executable, "-c", script)
        assert (said.status, said.out) == (0, b"\xff\0out")
        assert said.err.endswith("\n\udcfeerr")
        assert volume.capture(said.run_id, "n") in (b"\xff\0out\xfeerr", b"\xfeerr\xff\0out")

    def test_has_its_output_passed_through_live_and_captured_as_it_came(
        self, volume: Volume
    ) -> None:
        script = "echo 1; read x; echo 2 >&2; read x; printf 3"
        words = ("record", "--pipe", "ci", "n", "--", "sh", "-c", script)
        with volume.start(*words) as process:
            assert process.stdin
            assert process.stdout
            assert process.stderr
            run_id = process.stderr.readline().decode().strip().removeprefix("run_id=")
            assert process.stdout.readline() == b"1\n"  # hangs if it waits for the command's end
            process.stdin.write(b"go\n")
            process.stdin.flush()
            assert process.stderr.readline() == b"2\n"
            process.stdin.write(b"go\n")
            process.stdin.flush()
            assert process.stdout.read() == b"3"
        assert process.returncode == 0
        assert volume.capture(run_id, "n") == b"1\n2\n3"

    def test_may_write_much(self, volume: Volume) -> None:
        script = (
            "import os, threading\n"
            "def flood(fd):\n"
            "    for i in range(300): os.write(fd, bytes([i % 251]) * 9999)\n"
            "t = threading.Thread(target=flood, args=[2]); t.start(); flood(1); t.join()\n"
        )
        words = ("record", "--pipe", "ci", "n", "--", sys.executable, "-c", script)
        with volume.start(*words) as process:
            out, err = process.communicate()
        expected = b"".join(bytes([i % 251]) * 9999 for i in range(300))
        said, _, err = err.partition(b"\n")
        assert out == err == expected
        captured = volume.capture(said.decode().removeprefix("run_id="), "n")
        assert len(captured) == 2 * len(expected)

    def test_may_leave_a_process_that_holds_its_output(
        self, volume: Volume, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The recorder ends although the process that is left is still waiting."""
        monkeypatch.setattr(f"{PROCESS}._READ", 1)
        monkeypatch.setattr(f"{PROCESS}._LINGER_S", 0)
        os.mkfifo("go")
        script = f"(read x < go; echo late) & echo {'x' * 2000}"
        said = volume.call("record", "--pipe", "ci", "n", "--", "sh", "-c", script)
        os.close(os.open("go", os.O_WRONLY))
        assert (said.status, said.out) == (0, b"x" * 2000 + b"\n")
        assert volume.capture(said.run_id, "n") == said.out

    def test_has_all_captured_that_it_wrote_however_late_it_is_read(
        self, volume: Volume, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Most of the output is unread when the command ends, and the recorder may not wait."""
        monkeypatch.setattr(f"{PROCESS}._READ", 1)
        monkeypatch.setattr(f"{PROCESS}._LINGER_S", 0)
        script = "import os; os.write(2, b'e' * 2000); os.write(1, b'o' * 2000)"
        said = volume.call("record", "--pipe", "ci", "n", "--", sys.executable, "-c", script)
        captured = volume.capture(said.run_id, "n")
        assert (captured.count(b"o"), captured.count(b"e")) == (2000, 2000)
        assert said.out == b"o" * 2000

    def test_may_close_its_outputs_and_go_on(self, volume: Volume) -> None:
        script = "exec >&- 2>&-; read x; exit 4"
        said = volume.run("record", "--pipe", "ci", "n", "--", "sh", "-c", script, given=b"go\n")
        assert said.status == 4

    def test_may_have_arguments_that_are_not_utf_8(self, volume: Volume) -> None:
        said = volume.shell(r'omnelog record --pipe ci n -- printf "$(printf "\377")"')
        assert (said.status, said.out) == (0, b"\xff")
        node = only(volume, said.run_id, omnelog.NodeStarted)
        assert isinstance(node, omnelog.NodeStarted)
        assert node.name == "printf '\ufffd'"


class TestManyAtOnce:
    def test_eight_recorders_add_to_one_run_and_it_reads_back_complete(
        self, volume: Volume
    ) -> None:
        volume.write(started())
        recorders = [
            volume.start(
                *("record", "--run", RUN, f"n{i}", "--", "sh", "-c", f"read x; echo {i}"),
                stderr=None,
            )
            for i in range(8)
        ]
        said = [finish(recorder, b"go\n") for recorder in recorders]
        assert [(s.status, s.out) for s in said] == [(0, b"%d\n" % i) for i in range(8)]
        first, *events = volume.events(RUN)
        assert first == started()
        for i in range(8):
            own = [event for event in events if getattr(event, "node_id", "") == f"n{i}"]
            assert [event.type for event in own] == ["node.started", "node.completed"]
            assert volume.capture(RUN, f"n{i}") == b"%d\n" % i
        assert len(events) == 16
        assert len({event.id for event in events}) == 16

    def test_a_recorded_xargs_has_its_recorders_add_to_its_run(self, volume: Volume) -> None:
        said = volume.shell(
            "omnelog record --pipe ci all -- sh -c "
            "'seq 8 | xargs -P8 -I{} omnelog record n{} -- echo {}'"
        )
        assert said.status == 0
        assert said.err == f"run_id={said.run_id}\n"
        types = volume.types(said.run_id)
        assert types[:2] == ["pipe.started", "node.started"]
        assert types[-2:] == ["node.completed", "pipe.completed"]
        assert (types.count("node.started"), types.count("node.completed")) == (9, 9)
        assert sorted(said.out.split()) == [b"%d" % i for i in range(1, 9)]
        assert sorted(volume.capture(said.run_id, "all").split()) == sorted(said.out.split())

    def test_of_recorders_of_one_node_only_one_runs_its_command(self, volume: Volume) -> None:
        volume.write(started())
        words = ("record", "--run", RUN, "n", "--", "sh", "-c", "read x; echo ran")
        recorders = [volume.start(*words) for _ in range(4)]
        said = [finish(recorder, b"go\n") for recorder in recorders]
        assert sorted(s.status for s in said) == [0, 125, 125, 125]
        assert b"".join(s.out for s in said) == b"ran\n"
        assert all("node 'n' already" in s.err for s in said if s.status)
        assert volume.types(RUN) == ["pipe.started", "node.started", "node.completed"]


@pytest.mark.parametrize("pipe", ["", ".", "..", "a/b", "a\\b", "a\nb"])
def test_a_pipe_name_that_is_not_a_plain_name_is_refused(volume: Volume, pipe: str) -> None:
    said = volume.call("record", "--pipe", pipe, "n", "--", "touch", "ran")
    assert said.status == 125
    assert "pipe name" in said.err
    assert volume.runs() == []
    assert not Path("ran").exists()


def test_a_make_whose_recipes_record_is_one_run(volume: Volume) -> None:
    recipes = (
        "all: a b c\na b:\n\t@omnelog record $@ -- echo $@\nc: a b\n\t@omnelog record c -- ls .\n"
    )
    Path("Makefile").write_text(recipes)
    said = volume.shell("omnelog record --pipe ci all -- make -s -j8")
    assert said.status == 0
    types = volume.types(said.run_id)
    assert (types.count("node.started"), types.count("node.completed")) == (4, 4)
    assert types[-1] == "pipe.completed"
