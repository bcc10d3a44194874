# SPDX-License-Identifier: MIT
"""`record` with an output that blocks or has lost its reader, and output passed on by lines."""

import os
import pty
import shlex
import signal
import socket
import struct
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from .. import omnelog
from .streams import full_pipe
from .volume import RUN, WATCHDOG_S, Volume, finish, started

lastlines = import_module(f"{omnelog.__name__}.cli.lastlines")
outputs = import_module(f"{omnelog.__name__}.cli.nonblocking_output")


@contextmanager
def unread_terminal() -> Iterator[int]:
    """A terminal whose output nobody reads."""
    keyboard, screen = pty.openpty()
    yield screen
    os.close(screen)
    os.close(keyboard)


@contextmanager
def unread_socket() -> Iterator[int]:
    """A socket whose other end nobody reads."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours.fileno()


STUCK = [full_pipe, unread_terminal, unread_socket]


@pytest.mark.parametrize("stuck", STUCK)
@pytest.mark.parametrize("options", [(), ("--lines",)], ids=str)
def test_an_output_that_nobody_drains_keeps_no_signal_from_the_command(
    volume: Volume,
    stuck: Callable[[], AbstractContextManager[int]],
    options: tuple[str, ...],
) -> None:
    """The command also starts, although nobody drains standard error either."""
    os.mkfifo("up")
    script = "echo > up; exec yes"
    with stuck() as output:
        words = ("record", "--pipe", "p", *options, "n", "--", "sh", "-c", script)
        with volume.start(*words, stdout=output, stderr=output) as process:
            Path("up").read_bytes()
            process.terminate()
            assert process.wait(WATCHDOG_S) == 128 + signal.SIGTERM
        assert os.get_blocking(output)
    [run_id] = volume.runs()
    assert volume.types(run_id)[-1] == "pipe.aborted"


@pytest.mark.parametrize("stuck", STUCK)
def test_an_output_that_nobody_drains_does_not_stop_the_time_limit(
    volume: Volume, stuck: Callable[[], AbstractContextManager[int]]
) -> None:
    with stuck() as output:
        words = ("record", "--pipe", "p", "--timeout", "0.5", "n", "--", "yes")
        with volume.start(*words, stdout=output, stderr=output) as process:
            assert process.wait(WATCHDOG_S) == 124
        assert os.get_blocking(output)
    [run_id] = volume.runs()
    assert volume.types(run_id)[-1] == "pipe.aborted"


def test_the_flag_of_a_shared_output_is_never_changed_for_others(volume: Volume) -> None:
    """If O_NONBLOCK were set, a command that reads the same terminal would see its reads fail."""
    keyboard, screen = pty.openpty()
    script = "exec 2>&1; yes | head -c 300000; grep flags /proc/self/fdinfo/0 > flags"
    words = ("record", "--pipe", "p", "n", "--", "sh", "-c", script)
    with volume.start(*words, stdin=screen, stdout=screen, stderr=screen) as process:
        os.close(screen)
        with suppress(OSError):  # how a terminal says that nobody has it open any more
            while os.read(keyboard, 65536):
                pass
        assert process.wait(WATCHDOG_S) == 0
    os.close(keyboard)
    [_, flags] = Path("flags").read_text().split()
    assert not int(flags, 8) & os.O_NONBLOCK


def lost_pipe() -> tuple[int, int]:
    return os.pipe()


def lost_terminal() -> tuple[int, int]:
    return pty.openpty()


def lost_connection() -> tuple[int, int]:
    """A connection that its other end resets."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        reader = socket.create_connection(server.getsockname())
        writer, _ = server.accept()
    reader.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    return reader.detach(), writer.detach()


@pytest.mark.parametrize("lost", [lost_pipe, lost_terminal, lost_connection])
def test_a_reader_that_goes_is_noticed_whatever_the_error(
    volume: Volume, lost: Callable[[], tuple[int, int]]
) -> None:
    outlet, inlet = lost()
    words = ("record", "--pipe", "p", "n", "--", "yes")
    with volume.start(*words, stdout=inlet) as process:
        os.close(inlet)
        os.read(outlet, 1)
        os.close(outlet)
        said = finish(process)
    assert said.status == 128 + signal.SIGPIPE
    assert said.err == f"run_id={said.run_id}\n"


def test_a_socket_that_was_never_connected_has_no_reader(volume: Volume) -> None:
    with socket.socket() as output:
        said = volume.run("record", "--pipe", "p", "n", "--", "yes", stdout=output.fileno())
    assert said.status == 128 + signal.SIGPIPE


def fill(output: Any) -> None:
    """Write until there is no room."""
    while True:
        assert output.write(bytes(1000)) > 0


def test_an_output_that_cannot_be_opened_again_is_written_to_without_waiting() -> None:
    """Such an output is, for example, the terminal of another user.

    O_NONBLOCK is set only during each write.
    """
    outlet, inlet = os.pipe()
    output = outputs.Output(inlet)
    output.close()  # closes what it had opened, not `inlet`
    with pytest.raises(BlockingIOError):
        fill(output)
    assert os.get_blocking(inlet)
    assert output.claim()
    os.close(outlet)
    with pytest.raises(outputs.ReaderGone):
        output.write(b"x")
    os.close(inlet)


class TestByLines:
    def test_parallel_recorders_do_not_mix_within_a_line(self, volume: Volume) -> None:
        """The two commands take turns, and each writes half a line at a time."""
        volume.write(started())
        os.mkfifo("ab")
        os.mkfifo("ba")
        outlet, inlet = os.pipe()
        first = "exec 3>ab 4<ba; for i in 1 2 3; do printf a; echo >&3; read x <&4; echo A; done"
        second = "exec 4<ab 3>ba; for i in 1 2 3; do read x <&4; printf b; echo >&3; echo B; done"
        recorders = [
            volume.start(
                *("record", "--lines", "--run", RUN, name, "--", "sh", "-c", script),
                stdout=inlet,
            )
            for name, script in (("a", first), ("b", second))
        ]
        os.close(inlet)
        with open(outlet, "rb") as out:
            lines = out.read().split()
        assert [finish(recorder).status for recorder in recorders] == [0, 0]
        assert sorted(lines) == [b"aA"] * 3 + [b"bB"] * 3

    def test_a_line_that_is_never_ended_is_ended(self, volume: Volume) -> None:
        said = volume.call("record", "--lines", "--pipe", "p", "n", "--", "printf", "a\nb")
        assert said.out == b"a\nb\n"
        assert volume.capture(said.run_id, "n") == b"a\nb"

    def test_long_lines_do_not_mix(self, volume: Volume) -> None:
        """Each line is longer than what a pipe takes at once, and than `_LONGEST_LINE`."""
        volume.write(started())
        outlet, inlet = os.pipe()
        recorders = [
            volume.start(
                *("record", "--lines", "--run", RUN, letter, "--", "sh", "-c"),
                f"for i in 1 2 3; do yes {letter} | head -c 3000000 | tr -d '\\n'; echo; done",
                stdout=inlet,
            )
            for letter in "ab"
        ]
        os.close(inlet)
        with open(outlet, "rb") as out:
            lines = out.read().split(b"\n")
        assert [finish(recorder).status for recorder in recorders] == [0, 0]
        assert sorted((len(line), line[:1], len(set(line))) for line in lines) == [
            (0, b"", 0),
            *[(1_500_000, b"a", 1)] * 3,
            *[(1_500_000, b"b", 1)] * 3,
        ]


def test_what_is_left_running_is_reported_in_one_line(volume: Volume) -> None:
    os.mkfifo("go")
    script = "(read x < go) & echo started"
    said = volume.call("record", "--pipe", "p", "n", "--", "sh", "-c", script)
    os.close(os.open("go", os.O_WRONLY))
    assert (said.status, said.out) == (0, b"started\n")
    _, line = said.err.splitlines()
    assert f"node n of {said.run_id}: a process that it left running still had its output" in line


class TestANodeThatOutlivesItsRun:
    @pytest.mark.spec("EVT-9")
    @pytest.mark.parametrize(("ending", "status"), [("", 125), ("; exit 3", 3)])
    def test_is_named_by_the_run_that_is_aborted_for_it(
        self, volume: Volume, ending: str, status: int
    ) -> None:
        os.mkfifo("up")
        os.mkfifo("go")
        inner = "omnelog record slow -- sh -c 'echo > up; read x < go' > /dev/null 2>&1"
        script = f"{inner} & read x < up{ending}"
        said = volume.shell(f"omnelog record --pipe p outer -- sh -c {shlex.quote(script)}")
        followed = omnelog.follow_run(volume.root, said.run_id)
        Path("go").write_text("go\n")
        events = [next(followed) for _ in range(6)]
        assert said.status == status
        assert "ended while nodes were still running: slow" in said.err
        abort, end = events[-2:]
        assert isinstance(abort, omnelog.PipeAborted)
        assert abort.reason.endswith("ended while nodes were still running: slow")
        assert isinstance(end, omnelog.NodeCompleted)
        assert volume.call("verify", said.run_id).status == 0

    def test_finds_that_somebody_else_has_ended_it(self, volume: Volume) -> None:
        words = ("record", "--pipe", "p", "n", "--", "sh", "-c", "echo up; read x")
        with volume.start(*words) as process:
            assert process.stdout
            assert process.stdout.readline() == b"up\n"
            [run_id] = volume.runs()
            assert volume.call("end", run_id, "--abort", "enough").status == 0
            said = finish(process, b"go\n")
        assert said.status == 125
        assert "somebody else has ended the run already (aborted)" in said.err
        assert volume.types(run_id)[2:] == ["pipe.aborted", "node.completed"]
        assert volume.call("verify", run_id).status == 0


def repeated(piece: bytes, times: int) -> bytes:
    return piece * times


PIECES = st.builds(
    repeated,
    st.binary(max_size=300) | st.sampled_from([b"a line\n", b"\r50%", b"\x1b[0m", b"x"]),
    st.sampled_from([1, 1, 1, 100, 700]),
)


@example([b"why\n", b"\n" * 16_384], b"")
@example([b"x" * 4_097, b"\n" * 16_000], b"end\n")
@example([b"\x1b[3", b"1m" + b"x" * 16_384], b"")
@example([b"why\n" + b"50%\r" * 5_000], b"")
@example([b"why\n" + b"\x1b[0m" * 5_000], b"")
@example([b"x" * 16_385, b"\r50%\nwhy\n"], b"")
@example([b"x" * 200_000 + b"end\n" + b"y" * 65_000, b"\r50%\n"], b"")
@example([b"why it failed\n" + b"y" * 16_375], b"\r50%\n")
@example([b"why it fai", b"led\n" + b"a line of it\n" * 314 + b"10% done, and more"], b"\r20%\n")
@example([b"\x1b[3", b"1m" + b"x" * 4_095], b"")
@given(st.lists(PIECES, max_size=8), st.binary(max_size=20))
def test_the_last_lines_are_the_same_however_they_come(pieces: list[bytes], end: bytes) -> None:
    printed = b"".join(pieces) + end
    crumbs = [printed[i : i + 1000] for i in range(0, len(printed), 1000)]
    texts = set()
    for arrivals in ([printed], [*pieces, end], crumbs):
        last = lastlines.LastLines()
        for piece in arrivals:
            last.add(memoryview(piece))
        texts.add(last.text())
    assert len(texts) == 1, texts
    [text] = texts
    assert len(text.encode()) <= 3 * 4096


def test_codes_for_the_terminal_push_no_line_out() -> None:
    last = lastlines.LastLines()
    last.add(b"error: the cause is here\n")
    for _ in range(20_000):
        last.add(b"\x1b[?25l\x1b[32m\x1b[0m")
    assert last.text() == "error: the cause is here"


def test_output_without_progress_bars_is_not_taken_apart_before_its_end_is_wanted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Otherwise, recording a gigabyte would take twice as long."""
    taken_apart: list[int] = []
    as_seen: Callable[[bytes], bytes] = lastlines.as_seen

    def counting(printed: bytes) -> bytes:
        taken_apart.append(len(printed))
        return as_seen(printed)

    monkeypatch.setattr(lastlines, "as_seen", counting)
    last = lastlines.LastLines()
    for number in range(100_000):
        last.add(b"line %d\n" % number)
    assert taken_apart == []
    assert last.text().endswith("line 99998\nline 99999")
    assert sum(taken_apart) < 1_000_000


@pytest.mark.parametrize(
    ("printed", "text"),
    [
        (b"", ""),
        (b"one\ntwo\n", "one\ntwo"),
        (b"10%\r50%\r100%\n", "100%"),
        (b"ok\n10%\r50%\r", "ok\n50%"),
        (b"10%\r50%\r      \r", "50%"),
        (b"on a terminal\r\nit is so\r\n", "on a terminal\nit is so"),
        (b"\x1b[31mred\x1b[0m \x1b]0;title\x07x", "red x"),
        (b"\x1b[2K\r50%", "50%"),
    ],
)
def test_the_last_lines_are_what_a_person_saw(printed: bytes, text: str) -> None:
    lines = lastlines.LastLines()
    lines.add(printed)
    assert lines.text() == text


def test_a_long_progress_bar_leaves_the_lines_above_it(volume: Volume) -> None:
    script = "import sys; print('the reason', file=sys.stderr)\n"
    script += "for i in range(30000): sys.stderr.write(f'{i:9}%\\r')\nsys.exit(1)"
    said = volume.call("record", "--pipe", "p", "n", "--", sys.executable, "-c", script)
    *_, failed, _ = volume.events(said.run_id)
    assert isinstance(failed, omnelog.NodeFailed)
    assert failed.message == "exit status 1\nthe reason\n    29999%"


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


def test_a_full_output_is_reported_and_the_capture_is_whole(volume: Volume) -> None:
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
