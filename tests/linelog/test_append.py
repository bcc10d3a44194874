# SPDX-License-Identifier: MIT
"""Appending to a line log: where it may be, what it then holds, and what is repaired first."""

import errno
import fcntl
import math
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from . import linelog

LineLog = linelog.LineLog
A = {"a": 1}
B = {"b": [2, "é"]}


def torn_path(path: Path) -> Path:
    """The quarantine of the log at `path`."""
    return path.with_name(path.name + ".torn")


class TestAppending:
    def test_puts_each_record_on_a_line_of_its_own(self, path: Path) -> None:
        with LineLog(path) as log:
            log.append(A)
            log.append_many([B, {}])
            log.append_many([])
        assert path.read_bytes() == b'{"a":1}\n{"b":[2,"\xc3\xa9"]}\n{}\n'
        assert linelog.read_log(path) == [A, B, {}]

    def test_continues_a_log(self, path: Path) -> None:
        for number in range(3):
            with LineLog(path) as log:
                log.append({"n": number})
        assert linelog.read_log(path) == [{"n": number} for number in range(3)]

    @pytest.mark.spec("APP-23", "OBJ-1")
    def test_writes_a_line_by_one_call(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        written: list[bytes] = []
        write = os.write

        def record(fd: int, data: bytes) -> int:
            written.append(data)
            return write(fd, data)

        with LineLog(path) as log:
            monkeypatch.setattr(os, "write", record)
            log.append({"text": "x" * 10_000_000})
            log.append_many([A, B])
        assert [data.count(b"\n") for data in written] == [1, 2]

    def test_after_another_handles_reads_one_byte_of_a_healthy_log(
        self, path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The lock is held during the read, so any further read would delay others."""
        asked: list[int] = []
        pread = os.pread

        def record(fd: int, length: int, offset: int) -> bytes:
            asked.append(length)
            return pread(fd, length, offset)

        with LineLog(path) as log, LineLog(path) as other:
            other.append(A)
            monkeypatch.setattr(os, "pread", record)
            log.append(B)
        assert asked == [1]

    def test_that_is_refused_for_one_record_of_a_batch_writes_none(self, path: Path) -> None:
        with LineLog(path) as log:
            with pytest.raises(linelog.SerializeError, match="nan"):
                log.append_many([A, {"x": math.nan}, B])
        assert path.read_bytes() == b""

    def test_undoes_a_line_that_does_not_fit(
        self, path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        write = os.write

        def write_while_there_is_room(fd: int, data: bytes) -> int:
            left = 20 - os.fstat(fd).st_size
            if left <= 0:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return write(fd, data[:left])

        with LineLog(path) as log:
            with monkeypatch.context() as patch:
                patch.setattr(os, "write", write_while_there_is_room)
                with pytest.raises(linelog.LogIOError, match="No space left") as caught:
                    log.append_many([A, A, A])
            assert caught.value.appended == 2
            assert path.read_bytes() == b'{"a":1}\n{"a":1}\n'
            log.append(B)
        assert linelog.read_log(path) == [A, A, B]

    def test_to_a_closed_handle_is_an_error(self, path: Path) -> None:
        log = LineLog(path)
        log.close()
        log.close()
        uses: list[Callable[[], None]] = [
            lambda: log.append(A),
            lambda: log.append_many([A]),
            log.repair,
        ]
        for use in uses:
            with pytest.raises(linelog.LogClosed, match=str(path)):
                use()
        assert path.read_bytes() == b""

    def test_from_many_threads_keeps_each_ones_order(self, path: Path) -> None:
        threads = 6
        each = 30
        gate = threading.Barrier(threads)

        def work(name: int) -> None:
            gate.wait()
            for number in range(each):
                log.append({"from": name, "number": number, "text": "x" * number})

        with LineLog(path, lock_timeout=60) as log, ThreadPoolExecutor(threads) as pool:
            list(pool.map(work, range(threads)))
        records = linelog.read_log(path)
        assert len(records) == threads * each
        for name in range(threads):
            assert [r["number"] for r in records if r["from"] == name] == [*range(each)]


class TestAPath:
    @pytest.mark.parametrize("wrong", [None, 3, b"log", ["log"]])
    def test_that_is_not_one_is_a_type_error(self, wrong: Any) -> None:
        for use in (LineLog, linelog.read_log, linelog.follow_log):
            with pytest.raises(TypeError):
                use(wrong)

    @pytest.mark.parametrize(
        ("name", "error", "reason"),
        [
            ("a\0b", ValueError, "embedded null"),
            ("\ud800", ValueError, "surrogates not allowed"),
            ("x" * 300, linelog.LogIOError, "too long"),
        ],
        ids=["NUL", "lone surrogate", "long"],
    )
    @pytest.mark.parametrize("durable", [False, True])
    def test_that_no_system_takes_is_refused_and_nothing_is_created(
        self, tmp_path: Path, name: str, error: type[Exception], reason: str, durable: bool
    ) -> None:
        places = [tmp_path / name, tmp_path / name / "log.jsonl"]
        if error is ValueError:  # raised before the directories above it are created
            places.append(tmp_path / "new" / name)
        for place in places:
            with pytest.raises(error, match=reason):
                LineLog(place, durable=durable)
            with pytest.raises(error, match=reason):
                linelog.read_log(place)
        assert list(tmp_path.iterdir()) == []

    def test_may_be_a_string(self, path: Path) -> None:
        with LineLog(str(path)) as log:
            assert log.path == path
            log.append(A)
        assert linelog.read_log(str(path)) == [A]

    @pytest.mark.parametrize("empty", ["", "."])
    @pytest.mark.spec("APP-4")
    def test_that_is_empty_is_the_working_directory_which_is_not_a_file(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, empty: str
    ) -> None:
        monkeypatch.chdir(tmp_path)
        with pytest.raises(linelog.LogIOError, match="directory"):
            LineLog(empty)

    @pytest.mark.spec("APP-4", "OBJ-10")
    def test_that_is_relative_is_the_one_of_the_moment(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        elsewhere = tmp_path / "elsewhere"
        elsewhere.mkdir()
        monkeypatch.chdir(tmp_path)
        with LineLog("log.jsonl") as log:
            reading = linelog.iter_log("log.jsonl")
            following = linelog.follow_log("log.jsonl", poll_interval=0)
            monkeypatch.chdir(elsewhere)
            assert log.path == tmp_path / "log.jsonl"
            log.append(A)
            (tmp_path / "log.jsonl").rename(tmp_path / "old")
            monkeypatch.setattr(linelog.appender, "PATH_CHECK_INTERVAL_S", 0)
            log.append(B)
            assert list(reading) == [B]
            assert next(following) == B
        assert list(elsewhere.iterdir()) == []

    @pytest.mark.parametrize("kind", ["directory", "fifo", "device"])
    def test_that_leads_to_something_else_is_an_io_error_and_nothing_hangs(
        self, tmp_path: Path, kind: str
    ) -> None:
        path = tmp_path / kind
        if kind == "directory":
            path.mkdir()
        elif kind == "fifo":
            os.mkfifo(path)
        else:
            path.symlink_to("/dev/null")
        for use in (LineLog, linelog.read_log, linelog.scan_log):
            with pytest.raises(linelog.LogIOError, match=str(path)) as caught:
                use(path)
            assert caught.value.filename == str(path)
            assert isinstance(caught.value.__cause__, OSError)
        with pytest.raises(linelog.LogIOError, match=str(path)):
            linelog.append_log(path, A)

    def test_gets_its_missing_parents(self, tmp_path: Path) -> None:
        path = tmp_path / "a" / "b" / "c" / "log.jsonl"
        with pytest.raises(linelog.LogIOError, match="No such file"):
            linelog.read_log(path)
        assert list(tmp_path.iterdir()) == []
        with LineLog(path) as log:
            log.append(A)
        assert linelog.read_log(path) == [A]

    def test_below_a_file_is_an_io_error(self, tmp_path: Path) -> None:
        (tmp_path / "file").touch()
        for durable in (False, True):
            with pytest.raises(linelog.LogIOError) as caught:
                LineLog(tmp_path / "file" / "log.jsonl", durable=durable)
            assert caught.value.errno in (errno.ENOTDIR, errno.EEXIST)

    @pytest.mark.parametrize("durable", [False, True])
    def test_in_a_directory_that_may_not_be_written_is_an_io_error(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, durable: bool
    ) -> None:
        """The test gives the system's answer, because the superuser may write anywhere."""
        real_open = os.open

        def refuse_to_create(path: Any, flags: int, mode: int = 0o777) -> int:
            if flags & os.O_CREAT and not os.path.exists(path):
                raise OSError(errno.EACCES, os.strerror(errno.EACCES), path)
            return real_open(path, flags, mode)

        def refuse_to_make(path: Any, mode: int = 0o777) -> None:
            raise OSError(errno.EROFS, os.strerror(errno.EROFS), path)

        monkeypatch.setattr(os, "open", refuse_to_create)
        monkeypatch.setattr(os, "mkdir", refuse_to_make)
        with pytest.raises(linelog.LogIOError, match="Permission denied") as caught:
            LineLog(tmp_path / "log.jsonl", durable=durable)
        assert caught.value.errno == errno.EACCES
        with pytest.raises(linelog.LogIOError, match="Read-only file system"):
            LineLog(tmp_path / "new" / "log.jsonl", durable=durable)
        assert list(tmp_path.iterdir()) == []

    def test_may_be_a_link_to_the_log(self, tmp_path: Path) -> None:
        link = tmp_path / "link"
        link.symlink_to("log.jsonl")
        with LineLog(link) as log, LineLog(tmp_path / "log.jsonl") as other:
            log.append(A)
            other.append(B)
        assert linelog.read_log(link) == [A, B]


class TestOptions:
    @pytest.mark.parametrize("seconds", [-1, -0.001, math.nan, -math.inf])
    def test_a_bad_timeout_is_refused_before_anything_is_touched(
        self, tmp_path: Path, seconds: float
    ) -> None:
        path = tmp_path / "new" / "log.jsonl"
        with pytest.raises(ValueError, match="lock_timeout must be 0 s or more"):
            LineLog(path, lock_timeout=seconds)
        with pytest.raises(ValueError, match="lock_timeout must be 0 s or more"):
            linelog.append_log(path, A, lock_timeout=seconds)
        assert list(tmp_path.iterdir()) == []

    def test_are_given_by_name(self, path: Path) -> None:
        with pytest.raises(TypeError, match="positional"):
            LineLog(path, linelog.encode_object)  # type: ignore[call-arg]
        assert not path.exists()

    def test_stand_in_the_handle(self, path: Path) -> None:
        with LineLog(path) as log:
            assert (log.path, log.lock_timeout, log.durable) == (path, 5.0, False)
        with LineLog(path, lock_timeout=0.5, durable=True) as log:
            assert (log.lock_timeout, log.durable) == (0.5, True)


class TestAppendLog:
    @pytest.mark.spec("OBJ-9")
    def test_opens_appends_and_closes(self, path: Path) -> None:
        before = os.listdir("/proc/self/fd")
        linelog.append_log(path, A)
        linelog.append_log(str(path), B, lock_timeout=1, durable=True)
        linelog.append_log(path, 3, encode=lambda number: f'{{"number":{number}}}')
        assert os.listdir("/proc/self/fd") == before
        assert linelog.read_log(path) == [A, B, {"number": 3}]

    @pytest.mark.spec("OBJ-12")
    @pytest.mark.parametrize("record", [None, [1], {"a": math.nan}, {1: 1}])
    def test_refuses_a_record_before_it_creates_anything(self, tmp_path: Path, record: Any) -> None:
        with pytest.raises(linelog.SerializeError):
            linelog.append_log(tmp_path / "new" / "log.jsonl", record)
        with pytest.raises(linelog.SerializeError):
            linelog.append_log(tmp_path / "new" / "log.jsonl", record, encode=lambda _: "[]")
        assert list(tmp_path.iterdir()) == []

    @pytest.mark.spec("OBJ-9")
    def test_asks_the_encoder_once(self, path: Path) -> None:
        asked: list[object] = []

        def encode(record: object) -> str:
            asked.append(record)
            return "{}"

        linelog.append_log(path, "record", encode=encode)
        assert asked == ["record"]

    def test_repairs_first(self, path: Path) -> None:
        path.write_bytes(b'{"a":1}\n{"torn')
        linelog.append_log(path, B)
        assert linelog.read_log(path) == [A, B]
        assert torn_path(path).read_bytes() == b'{"torn\n'

    def test_waits_for_the_lock_no_longer_than_it_may(self, path: Path) -> None:
        with path.open("wb") as other:
            fcntl.flock(other, fcntl.LOCK_EX)
            with pytest.raises(linelog.LockTimeout):
                linelog.append_log(path, A, lock_timeout=0)
        assert path.read_bytes() == b""


TORN = {
    "half a record": b'{"a":1,"b":"',
    "one byte": b"{",
    "an array": b"[1]",
    "a number": b"12",
    "a record and more": b'{"a":1}{',
    "white space": b" \t",
    "NULs": bytes(5000),
    "a duplicate name": b'{"a":1,"a":1}',
    "longer than a block": b'{"a":"' + b"x" * 300_000,
}


class TestRepair:
    @pytest.mark.parametrize("torn", TORN.values(), ids=TORN)
    @pytest.mark.parametrize("before", [b"", b'{"a":1}\n'], ids=["empty", "after a line"])
    def test_moves_a_torn_tail_to_the_quarantine(
        self, path: Path, before: bytes, torn: bytes
    ) -> None:
        path.write_bytes(before + torn)
        with LineLog(path) as log:
            log.repair()
            assert path.read_bytes() == before
            log.append(B)
        assert path.read_bytes() == before + linelog.encode_object(B) + b"\n"
        assert torn_path(path).read_bytes() == torn + b"\n"

    @pytest.mark.spec("OBJ-8")
    @pytest.mark.parametrize("end", [b"", b"\r", b" \t"])
    def test_gives_a_whole_record_its_newline(self, path: Path, end: bytes) -> None:
        path.write_bytes(b'{"a": 1}' + end)
        with LineLog(path) as log:
            log.append(B)
        assert linelog.read_log(path) == [A, B]
        assert not torn_path(path).exists()

    @pytest.mark.spec("APP-21")
    def test_adds_no_newline_to_a_log_that_grows_while_its_tail_is_decoded(
        self, path: Path
    ) -> None:
        """Another program writes without the lock, so the tail has changed."""

        def decode_slowly(line: bytes) -> dict[str, Any]:
            with path.open("ab") as file:
                file.write(b"foreign\n")
            return linelog.decode_object(line)

        path.write_bytes(b'{"a":1}')
        with LineLog(path, decode=decode_slowly) as log:
            with pytest.raises(linelog.LogIOError, match="without taking the lock") as caught:
                log.append(B)
            assert caught.value.errno == errno.EBUSY
        assert path.read_bytes() == b'{"a":1}foreign\n'

    def test_of_another_tools_log_leaves_its_lines_alone(self, path: Path) -> None:
        foreign = b'\xef\xbb\xbf{"a":1}\r\n[1,2]\r\n\r\n7\nnot JSON\n'
        path.write_bytes(foreign)
        with LineLog(path) as log:
            log.append(A)
        assert path.read_bytes() == foreign + b'{"a":1}\n'
        assert not torn_path(path).exists()

    @pytest.mark.spec("APP-56")
    def test_decodes_what_any_program_may_write(self) -> None:
        assert linelog.repair.LONGEST_DECODED >= 1024 * 1024

    @pytest.mark.spec("APP-63")
    @pytest.mark.parametrize("is_allowed", [True, False])
    def test_gives_a_new_quarantine_the_owner_of_its_log_where_the_system_allows_it(
        self, path: Path, monkeypatch: pytest.MonkeyPatch, is_allowed: bool
    ) -> None:
        """The test plays the system's part, because only the superuser may change an owner."""
        given: list[tuple[str, int, int]] = []
        real_fstat = os.fstat

        def owned_by_another(fd: int) -> os.stat_result:
            status = real_fstat(fd)
            if os.readlink(f"/proc/self/fd/{fd}") == str(path):
                status = os.stat_result((*status[:4], 12345, 54321, *status[6:]))
            return status

        def fchown(fd: int, user: int, group: int) -> None:
            given.append((os.readlink(f"/proc/self/fd/{fd}"), user, group))
            if not is_allowed:
                raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))

        path.write_bytes(b"torn")
        with LineLog(path) as log:
            monkeypatch.setattr(os, "fstat", owned_by_another)
            monkeypatch.setattr(os, "fchown", fchown)
            log.append(A)
            with path.open("ab") as other:
                other.write(b"again")
            log.append(A)
        assert given == [(str(torn_path(path)), 12345, 54321)]
        assert torn_path(path).read_bytes() == b"torn\nagain\n"


class TestAPathThatLeadsElsewhere:
    @pytest.fixture(autouse=True)
    def check_at_each_append(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(linelog.appender, "PATH_CHECK_INTERVAL_S", 0)

    def test_is_followed(self, path: Path) -> None:
        with LineLog(path) as log:
            log.append(A)
            path.rename(path.with_name("old"))
            log.append(B)
        assert linelog.read_log(path.with_name("old")) == [A]
        assert linelog.read_log(path) == [B]

    @pytest.mark.spec("APP-55")
    def test_that_may_not_be_looked_at_leaves_the_log_that_is_open(
        self, path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A process may have given up the privileges with which it opened the log."""
        with LineLog(path) as log:
            log.append(A)

            def refuse(*_: object, **__: object) -> os.stat_result:
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

            with monkeypatch.context() as patch:
                patch.setattr(os, "stat", refuse)
                log.append(B)
        assert linelog.read_log(path) == [A, B]

    def test_does_not_get_its_directory_again(self, tmp_path: Path) -> None:
        path = tmp_path / "new" / "log.jsonl"
        with LineLog(path) as log:
            path.unlink()
            path.parent.rmdir()
            with pytest.raises(linelog.LogIOError, match="No such file"):
                log.append(A)
        assert list(tmp_path.iterdir()) == []


class TestTheLock:
    def test_that_somebody_holds_is_waited_for_until_the_deadline(self, path: Path) -> None:
        with path.open("wb") as other, LineLog(path, lock_timeout=0.01) as log:
            fcntl.flock(other, fcntl.LOCK_EX)
            with pytest.raises(linelog.LockTimeout) as caught:
                log.append(A)
            assert caught.value.waited_s >= 0.01
            assert caught.value.holder_pid == os.getpid()
            assert caught.value.filename == str(path)
            fcntl.flock(other, fcntl.LOCK_UN)
            log.append(B)
        assert linelog.read_log(path) == [B]

    @pytest.mark.spec("LOCK-17", "READ-6")
    def test_that_the_system_refuses_for_good_is_an_io_error_by_the_deadline(
        self, path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A security module may refuse it with EACCES, which libraries take for a held lock."""

        def refuse(fd: Any, operation: int) -> None:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

        path.write_bytes(b'{"a":1}')
        with LineLog(path, lock_timeout=0.01) as log:
            monkeypatch.setattr(linelog.lock, "try_lock", lambda fd: False)
            monkeypatch.setattr(linelog.appender, "try_lock", lambda fd: False)
            monkeypatch.setattr(fcntl, "flock", refuse)
            with pytest.raises(linelog.LogIOError, match="Permission denied") as caught:
                log.append(A)
            assert caught.value.errno == errno.EACCES
            with pytest.raises(linelog.LogIOError, match="Permission denied"):
                linelog.read_log(path)
            monkeypatch.undo()
            log.append(B)
        assert linelog.read_log(path) == [A, B]

    @pytest.mark.spec("LOCK-17")
    @pytest.mark.parametrize("code", [errno.ENOLCK, errno.EOPNOTSUPP])
    def test_that_the_system_does_not_have_is_an_io_error_at_once(
        self, path: Path, monkeypatch: pytest.MonkeyPatch, code: int
    ) -> None:
        def refuse(fd: int) -> bool:
            raise OSError(code, os.strerror(code))

        with LineLog(path, lock_timeout=math.inf) as log:
            monkeypatch.setattr(linelog.appender, "try_lock", refuse)
            with pytest.raises(linelog.LogIOError) as caught:
                log.append(A)
        assert caught.value.errno == code
        assert path.read_bytes() == b""

    def test_is_never_held_by_an_idle_handle(self, path: Path) -> None:
        with LineLog(path) as log:
            log.append(A)
            with path.open("rb") as other:
                fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)


class TestDurable:
    @pytest.fixture
    def synced(self, monkeypatch: pytest.MonkeyPatch) -> list[str]:
        """The paths of what is synced, in order."""
        synced: list[str] = []

        def record(fd: int) -> None:
            synced.append(os.readlink(f"/proc/self/fd/{fd}"))

        monkeypatch.setattr(os, "fsync", record)
        monkeypatch.setattr(os, "fdatasync", record)
        return synced

    @pytest.mark.spec("DUR-11")
    def test_opening_syncs_the_directories_it_made_and_the_one_they_are_in(
        self, tmp_path: Path, synced: list[str]
    ) -> None:
        path = tmp_path / "a" / "b" / "log.jsonl"
        with LineLog(path, durable=True) as log:
            made = [str(tmp_path / "a" / "b"), str(tmp_path / "a"), str(tmp_path)]
            assert synced == made
            synced.clear()
            log.append(A)
            assert synced == [str(path)]

    @pytest.mark.spec("DUR-11")
    def test_opening_where_all_directories_are_syncs_that_of_the_log(
        self, path: Path, synced: list[str]
    ) -> None:
        for _ in range(2):
            LineLog(path, durable=True).close()
        assert synced == [str(path.parent)] * 2

    @pytest.mark.spec("DUR-11")
    def test_reopening_syncs_the_same_directories_again(
        self, tmp_path: Path, synced: list[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(linelog.appender, "PATH_CHECK_INTERVAL_S", 0)
        path = tmp_path / "a" / "log.jsonl"
        with LineLog(path, durable=True) as log:
            log.append(A)
            path.rename(tmp_path / "old")
            synced.clear()
            log.append(B)
        assert synced == [str(tmp_path / "a"), str(tmp_path), str(path)]

    @pytest.mark.spec("DUR-11")
    def test_a_log_whose_directory_cannot_be_synced_is_not_opened(
        self, path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fail(fd: int) -> None:
            raise OSError(errno.EIO, "broken")

        before = os.listdir("/proc/self/fd")
        monkeypatch.setattr(os, "fsync", fail)
        with pytest.raises(linelog.LogIOError, match=r"has to sync this directory: broken"):
            LineLog(path, durable=True)
        assert os.listdir("/proc/self/fd") == before

    def test_the_default_syncs_nothing(self, tmp_path: Path, synced: list[str]) -> None:
        with LineLog(tmp_path / "new" / "log.jsonl") as log:
            log.append(A)
        assert synced == []

    def test_after_a_failed_sync_the_handle_promises_nothing(
        self, path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fail(fd: int) -> None:
            raise OSError(errno.EIO, "broken")

        with LineLog(path, durable=True) as log:
            with monkeypatch.context() as patch:
                patch.setattr(os, "fdatasync", fail)
                with pytest.raises(linelog.AppendIndeterminate) as caught:
                    log.append_many([A, A])
            assert caught.value.appended == 2
            with pytest.raises(linelog.LogIOError, match="earlier sync failed"):
                log.append(B)
        assert linelog.read_log(path) == [A, A]

    @pytest.mark.spec("DUR-9")
    def test_a_failed_sync_is_remembered_although_a_signal_interrupts_its_handling(
        self, path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fail(fd: int) -> None:
            raise OSError(errno.EIO, "broken")

        def interrupt(error: OSError) -> bool:
            raise KeyboardInterrupt

        with LineLog(path, durable=True) as log:
            with monkeypatch.context() as patch:
                patch.setattr(os, "fdatasync", fail)
                patch.setattr(linelog.appender, "is_refusal", interrupt)
                with pytest.raises(KeyboardInterrupt):
                    log.append(A)
            with pytest.raises(linelog.LogIOError, match="earlier sync failed"):
                log.append(B)
