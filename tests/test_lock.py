# SPDX-License-Identifier: MIT
"""The lock: what it excludes, how it is waited for, and the file that it locks."""

import errno
import math
import os
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from . import omnelog
from .inside import pause_s
from .samples import RUN, lines, node, open_descriptors

LockableFile = omnelog.linelog.lock.LockableFile


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "file"
    path.write_bytes(b"")
    return path


class TestAgainstAnIndependentProgram:
    """flock(1) of util-linux, which shares no code with omnelog, locks the same file."""

    @pytest.mark.spec("LOCK-1")
    def test_an_append_waits_until_flock_lets_go(self, tmp_path: Path) -> None:
        with (
            omnelog.EventLog.for_run(tmp_path, RUN, lock_timeout=0) as log,
            subprocess.Popen(
                ["flock", str(log.path), "sh", "-c", "echo locked; read go"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
            ) as flock,
        ):
            assert flock.stdin is not None
            assert flock.stdout is not None
            assert flock.stdout.readline() == b"locked\n"
            with pytest.raises(omnelog.LockTimeout) as caught:
                log.append(node(1))
            assert caught.value.holder_pid == flock.pid
            flock.communicate(b"go\n")
            log.append(node(2))
        assert omnelog.read_run(tmp_path, RUN) == [node(2)]

    @pytest.mark.spec("LOCK-1")
    def test_flock_waits_until_an_append_is_done(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        verdicts: list[int] = []
        write = os.write

        def write_and_look(fd: int, data: bytes) -> int:
            verdicts.append(subprocess.run(["flock", "-n", log.path, "true"]).returncode)
            return write(fd, data)

        with omnelog.EventLog.for_run(tmp_path, RUN) as log:
            with monkeypatch.context() as patch:
                patch.setattr(os, "write", write_and_look)
                log.append(node(1))
            verdicts.append(subprocess.run(["flock", "-n", log.path, "true"]).returncode)
        assert verdicts == [1, 0]

    def test_a_shell_loop_and_a_handle_append_side_by_side(self, tmp_path: Path) -> None:
        """The shell writes each line in two pieces, and no other line may come between them."""
        line = lines(node(0))
        half = tmp_path / "half"
        rest = tmp_path / "rest"
        half.write_bytes(line[:20])
        rest.write_bytes(line[20:])
        script = 'read go; for i in $(seq 50); do flock "$1" sh -c "cat $2 >>$1; cat $3 >>$1"; done'
        with omnelog.EventLog.for_run(tmp_path, RUN, lock_timeout=60) as log:
            with subprocess.Popen(
                ["sh", "-c", script, "-", log.path, half, rest], stdin=subprocess.PIPE
            ) as shell:
                assert shell.stdin is not None
                shell.stdin.write(b"go\n")
                shell.stdin.close()
                ours = 0
                while shell.poll() is None:
                    ours += 1
                    log.append(node(ours))
            events = omnelog.read_run(tmp_path, RUN)
        assert shell.returncode == 0
        assert [e for e in events if e != node(0)] == [node(n + 1) for n in range(ours)]
        assert events.count(node(0)) == 50


class TestWaiting:
    def test_it_gets_the_lock_that_is_freed_in_time(self, path: Path) -> None:
        with LockableFile(path, os.O_RDWR) as ours, LockableFile(path, os.O_RDWR) as theirs:
            theirs.acquire(0, 0)
            free = threading.Timer(0.01, omnelog.linelog.lock.unlock, [theirs.fd])
            free.start()
            ours.acquire(monotonic(), 60)
            assert not omnelog.linelog.lock.try_lock(theirs.fd)
            free.join()

    @pytest.mark.spec("LOCK-18", "ERR-7")
    def test_past_the_deadline_it_names_the_path_the_wait_and_the_holder(self, path: Path) -> None:
        with LockableFile(path, os.O_RDWR) as ours, LockableFile(path, os.O_RDWR) as theirs:
            theirs.acquire(0, 0)
            with pytest.raises(omnelog.LockTimeout) as caught:
                ours.acquire(monotonic(), 0.05)
        assert caught.value.filename == str(path)
        assert caught.value.waited_s >= 0.05
        assert caught.value.holder_pid == os.getpid()
        assert caught.value.errno == errno.ETIMEDOUT
        assert str(os.getpid()) in str(caught.value)

    @pytest.mark.spec("LOCK-18", "ERR-7")
    def test_the_wait_that_is_named_is_how_long_it_really_took(
        self, path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A busy machine wakes a sleeper later than it asked for."""
        clock = [100.0]

        def oversleep(seconds: float) -> None:
            clock[0] += 1.75

        monkeypatch.setattr(omnelog.linelog.lock, "monotonic", lambda: clock[0])
        monkeypatch.setattr(omnelog.linelog.lock, "sleep", oversleep)
        with LockableFile(path, os.O_RDWR) as ours, LockableFile(path, os.O_RDWR) as theirs:
            theirs.acquire(0, 0)
            with pytest.raises(omnelog.LockTimeout) as caught:
                ours.acquire(100.0, 1.0)
        assert caught.value.waited_s == 1.75
        assert "1.750 s" in str(caught.value)

    def test_the_holder_is_this_files_whoever_else_holds_or_awaits_a_lock(
        self, path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        status = path.stat()
        device = f"{os.major(status.st_dev):02x}:{os.minor(status.st_dev):02x}"
        locks = [
            f"1: FLOCK  ADVISORY  WRITE 101 {device}:{status.st_ino + 1} 0 EOF",
            f"2: POSIX  ADVISORY  WRITE 102 {device}:{status.st_ino} 0 EOF",
            f"3: -> FLOCK  ADVISORY  WRITE 103 {device}:{status.st_ino} 0 EOF",
            f"4: FLOCK  ADVISORY  WRITE 104 ff:ff:{status.st_ino} 0 EOF",
            f"5: FLOCK  ADVISORY  WRITE 105 {device}:{status.st_ino} 0 EOF",
        ]
        with LockableFile(path, os.O_RDWR) as ours, LockableFile(path, os.O_RDWR) as theirs:
            theirs.acquire(0, 0)
            monkeypatch.setattr(Path, "read_bytes", lambda _: "\n".join(locks).encode())
            with pytest.raises(omnelog.LockTimeout) as caught:
                ours.acquire(0, 0)
        assert caught.value.holder_pid == 105

    def test_a_holder_that_cannot_be_found_is_none(
        self, path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with LockableFile(path, os.O_RDWR) as ours, LockableFile(path, os.O_RDWR) as theirs:
            theirs.acquire(0, 0)
            monkeypatch.setattr(Path, "read_bytes", lambda _: b"1: gibberish\n")
            with pytest.raises(omnelog.LockTimeout) as caught:
                ours.acquire(0, 0)
        assert caught.value.holder_pid is None

    @pytest.mark.spec("LOCK-11", "LOCK-12")
    @given(st.integers(0, 100), st.integers(2, 100), st.floats(0, 1e6), st.floats(0, 1e6))
    def test_an_old_waiter_sleeps_no_longer_than_a_young_one(
        self, few: int, more: int, age_s: float, later_s: float
    ) -> None:
        """The first two pauses are excepted, because they are always short."""
        assert 0.0001 <= pause_s(few, age_s) <= 0.025
        assert pause_s(more, 0.6 + later_s) <= pause_s(more, age_s)
        assert pause_s(more, 0.05 + age_s + later_s) <= pause_s(more, 0.05 + age_s)
        assert pause_s(0, age_s) <= pause_s(more, age_s)

    @pytest.mark.spec("LOCK-10")
    @given(st.floats(0, 3))
    @example(0.0)
    @example(5.0)
    def test_it_tries_until_the_deadline_and_sleeps_up_to_it(self, timeout_s: float) -> None:
        """Only sleeping moves this clock. The last sleep ends at the deadline."""
        now = 100.0
        tries = 0

        def sleep(seconds: float) -> None:
            nonlocal now
            assert 0 < seconds <= 0.025
            now += max(seconds, 1e-9)  # a clock never stands still

        def try_lock(_: int) -> bool:
            nonlocal tries
            tries += 1
            return False

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(omnelog.linelog.lock, "monotonic", lambda: now)
            patch.setattr(omnelog.linelog.lock, "sleep", sleep)
            patch.setattr(omnelog.linelog.lock, "try_lock", try_lock)
            patch.setattr(omnelog.linelog.lock, "try_lock_strictly", try_lock)
            with LockableFile(Path(__file__), os.O_RDONLY) as file:
                with pytest.raises(omnelog.LockTimeout) as caught:
                    file.acquire(100.0, timeout_s)
        assert math.isclose(now, 100.0 + timeout_s)
        assert math.isclose(caught.value.waited_s, timeout_s, abs_tol=1e-6)
        assert tries >= 2 + 50 * timeout_s + 1500 * max(0, timeout_s - 0.7)


@contextmanager
def holding(content: bytes, block: int) -> Iterator["omnelog.linelog.lock.LockableFile"]:
    """A file that holds `content` and is read `block` bytes at a time."""
    fd = os.memfd_create("content")
    with pytest.MonkeyPatch.context() as patch, open(fd, "wb", buffering=0) as anonymous:
        anonymous.write(content)
        patch.setattr(omnelog.linelog.lock, "BLOCK_SIZE", block)
        with LockableFile(Path(f"/proc/self/fd/{fd}"), os.O_RDWR) as file:
            yield file


class TestLockableFile:
    @pytest.mark.parametrize("flags", [os.O_RDONLY, os.O_RDWR | os.O_APPEND | os.O_CREAT])
    @pytest.mark.parametrize("kind", ["fifo", "directory", "device", "socket"])
    def test_what_is_not_a_regular_file_is_refused_and_nothing_hangs(
        self, tmp_path: Path, kind: str, flags: int
    ) -> None:
        path = tmp_path / kind
        match kind:
            case "fifo":
                os.mkfifo(path)
            case "directory":
                path.mkdir()
            case "device":
                path = Path("/dev/null")
            case "socket":
                import socket

                with socket.socket(socket.AF_UNIX) as unix:
                    unix.bind(str(path))
        before = open_descriptors()
        with pytest.raises(omnelog.LogIOError, match=f"{path}: cannot open") as caught:
            LockableFile(path, flags)
        assert caught.value.errno in (errno.EINVAL, errno.EISDIR, errno.ENXIO)
        assert isinstance(caught.value.__cause__, OSError)
        assert open_descriptors() == before

    @pytest.mark.spec("APP-46")
    def test_it_closes_itself_in_a_forked_child_and_frees_no_lock(self, path: Path) -> None:
        with LockableFile(path, os.O_RDWR) as file, LockableFile(path, os.O_RDWR) as other:
            file.acquire(0, 0)
            if (pid := os.fork()) == 0:
                os._exit(0 if file.closed else 1)
            assert os.waitpid(pid, 0)[1] == 0
            assert not omnelog.linelog.lock.try_lock(other.fd)

    @given(st.binary(max_size=40), st.integers(1, 7))
    @example(b"", 1)
    @example(b"abc", 2)
    @example(b"a\nb\nccc", 2)
    @example(b"\n", 1)
    def test_the_extent_is_where_the_last_newline_and_the_file_end(
        self, content: bytes, block: int
    ) -> None:
        with holding(content, block) as file:
            assert file.extent() == (content.rfind(b"\n") + 1, len(content))

    @given(st.binary(max_size=40), st.integers(1, 7), st.integers(0, 40), st.integers(0, 40))
    def test_blocks_are_what_the_file_holds(
        self, content: bytes, block: int, start: int, end: int
    ) -> None:
        start, end = sorted((min(start, len(content)), min(end, len(content))))
        with holding(content, block) as file:
            assert b"".join(file.blocks(start, end)) == content[start:end]

    def test_blocks_of_a_file_that_ends_before_are_an_error(self) -> None:
        with holding(b"abc", 2) as file, pytest.raises(OSError, match="shrank to 3 bytes"):
            list(file.blocks(0, 4))
