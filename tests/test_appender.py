# SPDX-License-Identifier: MIT
"""Appending: what the log then holds, in which order, after which damage, and what is refused."""

import errno
import math
import os
import pickle
import stat
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from . import omnelog, testing
from .samples import RUN, lines, log_path, node, of_every_type, quarantine_path

EventLog = omnelog.EventLog
LINE_SIZE = len(lines(node(0)))


def full_disk_after(size: int) -> Callable[[int, bytes], int]:
    """An os.write for a disk that has room for `size` bytes."""
    write = os.write
    room = size

    def write_while_there_is_room(fd: int, data: bytes) -> int:
        nonlocal room
        if room == 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        written = write(fd, data[:room])
        room -= written
        return written

    return write_while_there_is_room


class TestAsTheOriginalDoes:
    def test_one_event_round_trips(self, tmp_path: Path) -> None:
        for event in of_every_type():
            with EventLog.for_run(tmp_path, event.type) as log:
                log.append(event)
            assert omnelog.read_run(tmp_path, event.type) == [event]

    def test_a_hundred_appends_are_a_hundred_lines_in_order(self, tmp_path: Path) -> None:
        with EventLog.for_run(tmp_path, RUN) as log:
            for number in range(100):
                log.append(node(number))
        assert log.path.read_bytes() == lines(*map(node, range(100)))

    def test_for_run_makes_the_parents(self, tmp_path: Path) -> None:
        root = tmp_path / "a" / "b"
        with EventLog.for_run(root, RUN) as log:
            assert log.path == root / ".omne" / "var" / "runs" / RUN / "events.jsonl"
            assert log.path.read_bytes() == b""

    def test_a_malformed_line_2_is_reported_as_line_2(self, tmp_path: Path) -> None:
        log_path(tmp_path).write_bytes(lines(node(1)) + b"{broken\n" + lines(node(3)))
        with pytest.raises(omnelog.DeserializeError) as caught:
            omnelog.read_run(tmp_path, RUN)
        assert (caught.value.line, caught.value.path) == (2, log_path(tmp_path))

    def test_run_exists_distinguishes_created_from_absent(self, tmp_path: Path) -> None:
        assert not omnelog.run_exists(tmp_path, RUN)
        EventLog.for_run(tmp_path, RUN).close()
        assert omnelog.run_exists(tmp_path, RUN)
        assert omnelog.enumerate_runs(tmp_path) == [RUN]


class TestOpening:
    def test_an_existing_log_is_continued(self, tmp_path: Path) -> None:
        for number in range(3):
            with EventLog.for_run(tmp_path, RUN) as log:
                log.append(node(number))
        assert omnelog.read_run(tmp_path, RUN) == [node(0), node(1), node(2)]

    @pytest.mark.parametrize("run_id", ["", ".", "..", "a/b", "/a", "a\\b", "a\0b", "\ud800", None])
    def test_a_bad_run_id_is_refused_before_anything_is_touched(
        self, tmp_path: Path, run_id: str
    ) -> None:
        with pytest.raises(omnelog.InvalidRunId):
            EventLog.for_run(tmp_path, run_id)
        assert list(tmp_path.iterdir()) == []

    @pytest.mark.parametrize("timeout", [-1, -0.001, math.nan, -math.inf])
    def test_a_bad_timeout_is_refused_before_anything_is_touched(
        self, tmp_path: Path, timeout: float
    ) -> None:
        with pytest.raises(ValueError, match="lock_timeout"):
            EventLog.for_run(tmp_path, RUN, lock_timeout=timeout)
        assert list(tmp_path.iterdir()) == []

    def test_options_are_given_by_name(self, tmp_path: Path) -> None:
        with pytest.raises(TypeError, match="positional"):
            EventLog.for_run(tmp_path, RUN, 5.0)  # type: ignore[call-arg]
        assert not (tmp_path / ".omne").exists()

    def test_an_endless_timeout_is_fine(self, tmp_path: Path) -> None:
        with EventLog.for_run(tmp_path, RUN, lock_timeout=math.inf) as log:
            log.append(node(1))

    @pytest.mark.parametrize("kind", ["fifo", "directory"])
    def test_what_is_not_a_file_is_refused_and_does_not_hang(
        self, tmp_path: Path, kind: str
    ) -> None:
        path = log_path(tmp_path)
        path.mkdir() if kind == "directory" else os.mkfifo(path)
        with pytest.raises(omnelog.LogIOError, match=f"{path}: cannot open"):
            EventLog.for_run(tmp_path, RUN)

    def test_a_file_where_a_directory_should_be_is_an_error_with_errno(
        self, tmp_path: Path
    ) -> None:
        (tmp_path / ".omne").write_bytes(b"")
        with pytest.raises(omnelog.LogIOError) as caught:
            EventLog.for_run(tmp_path, RUN)
        assert caught.value.errno == errno.ENOTDIR
        assert caught.value.filename == str(omnelog.events_log_path(tmp_path, RUN))

    def test_a_system_without_flock_is_reported_plainly(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        class Elsewhere:
            name = "nt"

            def __getattr__(self, name: str) -> object:
                return getattr(os, name)

        monkeypatch.setattr(omnelog.linelog.lock, "os", Elsewhere())
        with pytest.raises(omnelog.LogIOError, match="flock"):
            EventLog.for_run(tmp_path, RUN)
        assert not any(path.is_file() for path in tmp_path.rglob("*"))

    @pytest.mark.spec("APP-4")
    def test_a_relative_root_is_the_one_of_the_moment(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "elsewhere").mkdir()
        monkeypatch.chdir(tmp_path)
        with EventLog.for_run(".", RUN) as log:
            monkeypatch.chdir("elsewhere")
            with pickle.loads(pickle.dumps(log)) as copy:
                copy.append(node(1))
        assert omnelog.read_run(tmp_path, RUN) == [node(1)]

    @pytest.mark.usefixtures("gone_directory")
    def test_a_working_directory_that_is_gone_is_reported_plainly(self) -> None:
        with pytest.raises(omnelog.LogIOError, match="No such file"):
            EventLog.for_run(".", RUN)
        with pytest.raises(omnelog.LogIOError, match="No such file"):
            omnelog.allocate_ulid(".")

    def test_the_file_mode_is_left_to_the_umask(self, tmp_path: Path) -> None:
        before = os.umask(0o027)
        try:
            with EventLog.for_run(tmp_path, RUN) as log:
                assert stat.S_IMODE(log.path.stat().st_mode) == 0o640
        finally:
            os.umask(before)


class TestAppendMany:
    @pytest.mark.spec("APP-23")
    def test_all_lines_are_written_by_one_call(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        written: list[bytes] = []
        write = os.write

        def record(fd: int, data: bytes) -> int:
            written.append(data)
            return write(fd, data)

        monkeypatch.setattr(os, "write", record)
        with EventLog.for_run(tmp_path, RUN) as log:
            log.append_many(node(number) for number in range(5))
        assert written == [lines(*map(node, range(5)))]

    def test_none_is_nothing(self, tmp_path: Path) -> None:
        with EventLog.for_run(tmp_path, RUN) as log:
            log.append_many([])
        assert log.path.read_bytes() == b""

    def test_one_misfit_means_that_nothing_is_written(self, tmp_path: Path) -> None:
        with EventLog.for_run(tmp_path, RUN) as log:
            with pytest.raises(omnelog.SerializeError):
                log.append_many([node(1), None])  # type: ignore[list-item]
        assert log.path.read_bytes() == b""

    @pytest.mark.parametrize("room", range(1, LINE_SIZE * 3))
    def test_whole_lines_stay_and_the_rest_is_cut_when_room_runs_out(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, room: int
    ) -> None:
        before = b"\n" * (room % 4)  # blank lines, so that the log ends in various places
        log_path(tmp_path).write_bytes(before)
        with EventLog.for_run(tmp_path, RUN) as log:
            with monkeypatch.context() as patch:
                patch.setattr(os, "write", full_disk_after(room))
                with pytest.raises(omnelog.LogIOError, match="No space left") as caught:
                    log.append_many([node(0), node(1), node(2)])
            whole = room // LINE_SIZE
            assert caught.value.errno == errno.ENOSPC
            assert caught.value.appended == whole
            assert log.path.read_bytes() == before + lines(*map(node, range(whole)))
            log.append(node(3))
        assert log.path.read_bytes() == before + lines(*map(node, range(whole)), node(3))


class TestShortWrites:
    @pytest.mark.spec("APP-24")
    @given(st.lists(st.integers(1, 50), min_size=1))
    @example([1])
    def test_a_line_written_in_pieces_is_whole(self, pieces: list[int]) -> None:
        """Each write takes as many bytes as the list says. Later appends find a sound log."""
        write = os.write
        script = iter(pieces * 1000)
        with pytest.MonkeyPatch.context() as patch, testing.new_volume() as root:
            patch.setattr(os, "write", lambda fd, data: write(fd, data[: next(script)]))
            with EventLog.for_run(root, RUN) as log:
                log.append(node(1))
                log.append_many([node(2), node(3, 30)])
            assert log.path.read_bytes() == lines(node(1), node(2), node(3, 30))

    @pytest.mark.spec("APP-26")
    def test_a_write_that_gets_nowhere_is_an_error_not_a_loop(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with EventLog.for_run(tmp_path, RUN) as log:
            monkeypatch.setattr(os, "write", lambda fd, data: 0)
            with pytest.raises(omnelog.LogIOError, match="no progress"):
                log.append(node(1))
        assert log.path.read_bytes() == b""

    @pytest.mark.spec("APP-26")
    @pytest.mark.parametrize("first", [0, 10])
    def test_a_write_that_takes_nothing_is_not_tried_again(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, first: int
    ) -> None:
        write = os.write
        lengths = iter([first, 0]) if first else iter([0])

        def write_nothing_at_last(fd: int, data: bytes) -> int:
            for length in lengths:
                return write(fd, data[:length]) if length else 0
            return write(fd, data)

        with EventLog.for_run(tmp_path, RUN) as log:
            with monkeypatch.context() as patch:
                patch.setattr(os, "write", write_nothing_at_last)
                with pytest.raises(omnelog.LogIOError, match="no progress"):
                    log.append(node(1))
            assert log.path.read_bytes() == b""
            log.append(node(2))
        assert omnelog.read_run(tmp_path, RUN) == [node(2)]


class TestWhatCannotBeTakenBack:
    def refuse_one_unlock(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Make the system refuse the next release of the lock."""

        def refuse(_: int) -> None:
            monkeypatch.undo()
            raise OSError(errno.EIO, "broken")

        monkeypatch.setattr(omnelog.linelog.appender, "unlock", refuse)

    @pytest.mark.spec("APP-28", "APP-30")
    def test_foreign_bytes_after_a_partial_line_stay(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        write = os.write

        def write_half_then_let_another_in(fd: int, data: bytes) -> int:
            write(fd, data[:10])
            write(fd, b"foreign")
            raise OSError(errno.EIO, "broken")

        with EventLog.for_run(tmp_path, RUN) as log:
            with monkeypatch.context() as patch:
                patch.setattr(os, "write", write_half_then_let_another_in)
                with pytest.raises(omnelog.AppendIndeterminate, match="without taking the lock"):
                    log.append(node(1))
            assert log.path.read_bytes() == lines(node(1))[:10] + b"foreign"

    @pytest.mark.spec("APP-28", "ERR-6")
    def test_foreign_bytes_in_the_place_of_ours_do_not_count_as_ours(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """There are as many foreign bytes as there were bytes left to write."""
        write = os.write

        def write_half_then_let_another_in(fd: int, data: bytes) -> int:
            write(fd, data[:10] + b"x" * (len(data) - 10))
            raise OSError(errno.EIO, "broken")

        with EventLog.for_run(tmp_path, RUN) as log:
            monkeypatch.setattr(os, "write", write_half_then_let_another_in)
            with pytest.raises(omnelog.AppendIndeterminate) as caught:
                log.append(node(1))
        assert caught.value.appended == 0

    @pytest.mark.spec("APP-28", "ERR-6")
    def test_a_foreign_line_after_a_partial_one_does_not_count_as_ours(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        write = os.write

        def write_a_piece_and_let_another_in(fd: int, data: bytes) -> int:
            write(fd, data[: LINE_SIZE + 10])
            write(fd, lines(node(9)))
            raise OSError(errno.ENOSPC, "full")

        with EventLog.for_run(tmp_path, RUN) as log:
            monkeypatch.setattr(os, "write", write_a_piece_and_let_another_in)
            with pytest.raises(omnelog.AppendIndeterminate) as caught:
                log.append_many([node(1), node(2), node(3)])
        assert caught.value.appended == 1

    @pytest.mark.spec("APP-30")
    def test_a_partial_line_that_cannot_be_cut_is_indeterminate(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fail(*_: object) -> int:
            raise OSError(errno.EPERM, "append-only")

        with EventLog.for_run(tmp_path, RUN) as log:
            with monkeypatch.context() as patch:
                patch.setattr(os, "write", full_disk_after(LINE_SIZE + 10))
                patch.setattr(os, "ftruncate", fail)
                with pytest.raises(omnelog.AppendIndeterminate) as caught:
                    log.append_many([node(1), node(2)])
            assert caught.value.appended == 1
            log.append(node(3))
        assert omnelog.read_run(tmp_path, RUN) == [node(1), node(3)]

    @pytest.mark.spec("APP-31", "ERR-8")
    @pytest.mark.parametrize("count", [1, 300])
    def test_lines_that_are_whole_although_the_write_failed_are_indeterminate(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, count: int
    ) -> None:
        events, write = [*map(node, range(count))], os.write

        def write_and_fail(fd: int, data: bytes) -> int:
            write(fd, data)
            raise OSError(errno.EIO, "broken")

        with EventLog.for_run(tmp_path, RUN) as log:
            with monkeypatch.context() as patch:
                patch.setattr(os, "write", write_and_fail)
                with pytest.raises(omnelog.AppendIndeterminate) as caught:
                    log.append_many(events)
        assert caught.value.appended == count
        assert omnelog.read_run(tmp_path, RUN) == events

    def test_a_repair_does_not_count_as_a_line_that_could_stand(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with EventLog.for_run(tmp_path, RUN) as log:
            self.refuse_one_unlock(monkeypatch)
            with pytest.raises(omnelog.LogIOError):
                log.repair()

    @pytest.mark.spec("APP-29")
    def test_a_write_that_left_nothing_needs_no_cut(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A file that can only be appended to would not allow the cut."""

        def refuse(*_: object) -> int:
            raise OSError(errno.ENOSPC, "full")

        with EventLog.for_run(tmp_path, RUN) as log:
            monkeypatch.setattr(os, "write", refuse)
            monkeypatch.setattr(os, "ftruncate", refuse)
            with pytest.raises(omnelog.LogIOError, match="0 of 1 lines"):
                log.append(node(1))

    @pytest.mark.spec("APP-31", "ERR-6")
    def test_a_line_whose_lock_cannot_be_freed_stands(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with EventLog.for_run(tmp_path, RUN) as log:
            self.refuse_one_unlock(monkeypatch)
            with pytest.raises(omnelog.AppendIndeterminate, match="1 of 1 lines") as caught:
                log.append(node(1))
            assert caught.value.appended == 1
            log.append(node(2))
        assert omnelog.read_run(tmp_path, RUN) == [node(1), node(2)]


TORN = {
    "half a line": lines(node(7))[:40],
    "one byte": b"{",
    "NULs": bytes(5000),
    "not UTF-8": b'{"type":"\xff',
    "white space": b"  \t",
    "JSON but no event": b"{}",
    "an event and more": lines(node(7))[:-1] + b"{",
    "longer than a block": b"x" * 300_000,
}


class TestRepair:
    @pytest.mark.parametrize("torn", TORN.values(), ids=TORN)
    @pytest.mark.parametrize("before", [b"", lines(node(1))], ids=["empty", "after a line"])
    def test_a_torn_tail_goes_to_the_quarantine_before_the_next_append(
        self, tmp_path: Path, before: bytes, torn: bytes
    ) -> None:
        log_path(tmp_path).write_bytes(before + torn)
        with EventLog.for_run(tmp_path, RUN) as log:
            log.append(node(2))
        assert log.path.read_bytes() == before + lines(node(2))
        assert quarantine_path(tmp_path).read_bytes() == torn + b"\n"

    @pytest.mark.parametrize("end", [b"", b"\r", b" \t"])
    def test_a_whole_event_gets_its_newline(self, tmp_path: Path, end: bytes) -> None:
        tail = lines(node(1))[:-1] + end
        log_path(tmp_path).write_bytes(tail)
        with EventLog.for_run(tmp_path, RUN) as log:
            log.append(node(2))
        assert log.path.read_bytes() == tail + b"\n" + lines(node(2))
        assert not quarantine_path(tmp_path).exists()

    def test_a_given_newline_stays_when_the_append_fails(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A reader may have seen the line."""
        log_path(tmp_path).write_bytes(lines(node(1))[:-1])
        write = os.write

        def write_but_a_newline(fd: int, data: bytes) -> int:
            if data != b"\n":
                raise OSError(errno.ENOSPC, "full")
            return write(fd, data)

        with EventLog.for_run(tmp_path, RUN) as log:
            monkeypatch.setattr(os, "write", write_but_a_newline)
            with pytest.raises(omnelog.LogIOError):
                log.append(node(2))
        assert log.path.read_bytes() == lines(node(1))

    @pytest.mark.spec("APP-54")
    def test_repair_does_what_an_append_does_first_and_appends_nothing(
        self, tmp_path: Path
    ) -> None:
        whole = lines(node(1))
        with EventLog.for_run(tmp_path, RUN) as log:
            for tail, repaired in (b"", whole), (b"torn", whole), (whole[:-1], whole * 2):
                log.path.write_bytes(whole + tail)
                log.repair()
                assert log.path.read_bytes() == repaired
        assert quarantine_path(tmp_path).read_bytes() == b"torn\n"

    def test_a_handle_sees_what_was_torn_since_its_last_append(self, tmp_path: Path) -> None:
        with EventLog.for_run(tmp_path, RUN) as log:
            log.append(node(1))
            with log.path.open("ab") as other:
                other.write(b"torn")
            log.append(node(2))
            os.truncate(log.path, log.path.stat().st_size - 1)
            log.append(node(3))
        assert log.path.read_bytes() == lines(node(1), node(2), node(3))
        assert quarantine_path(tmp_path).read_bytes() == b"torn\n"

    @pytest.mark.parametrize(
        ("quarantined", "expected"),
        [
            (b"", b"torn\n"),
            (b"torn\n", b"torn\n"),
            (b"other\ntorn\n", b"other\ntorn\n"),
            (b"of\ntorn\n", b"of\ntorn\n"),  # an even number of bytes, unlike the case above
            (b"torn", b"torn\n"),
            (b"to", b"to\ntorn\n"),
            (b"xtorn\n", b"xtorn\ntorn\n"),
            (b"torn\nother\n", b"torn\nother\ntorn\n"),
            (b"\n", b"\ntorn\n"),
            (b"torn\n\n", b"torn\n\ntorn\n"),
            (b"xxxx\n", b"xxxx\ntorn\n"),
        ],
    )
    def test_what_the_quarantine_ends_with_is_not_copied_again(
        self, tmp_path: Path, quarantined: bytes, expected: bytes
    ) -> None:
        """A writer may have died between the copy and the cut, or during the copy."""
        log_path(tmp_path).write_bytes(lines(node(0)) + b"torn")
        quarantine_path(tmp_path).write_bytes(quarantined)
        with EventLog.for_run(tmp_path, RUN) as log:
            log.append(node(1))
        assert quarantine_path(tmp_path).read_bytes() == expected
        assert log.path.read_bytes() == lines(node(0), node(1))

    @pytest.mark.spec("APP-17")
    def test_what_the_quarantine_ends_with_and_more_is_not_a_copy(self, tmp_path: Path) -> None:
        """Tail and quarantine agree over the length of the tail, a whole number of blocks."""
        tail = bytes(256 * 1024)
        log_path(tmp_path).write_bytes(tail)
        quarantine_path(tmp_path).write_bytes(tail + b"x\n")
        with EventLog.for_run(tmp_path, RUN) as log:
            log.append(node(1))
            copied = quarantine_path(tmp_path).read_bytes()
            assert copied == tail + b"x\n" + tail + b"\n"
            log.path.write_bytes(tail)
            log.append(node(2))
        assert quarantine_path(tmp_path).read_bytes() == copied

    def test_a_log_that_is_cut_while_its_tail_is_copied_is_not_lengthened_again(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Another program cuts the log without the lock. A cut at the old place would add NULs."""
        log_path(tmp_path).write_bytes(lines(node(0)) + b"torn")

        def cut(_: int) -> None:
            monkeypatch.undo()
            os.truncate(log_path(tmp_path), 0)

        with EventLog.for_run(tmp_path, RUN) as log:
            monkeypatch.setattr(os, "fsync", cut)
            with pytest.raises(omnelog.LogIOError, match="without taking the lock"):
                log.append(node(1))
        assert log.path.read_bytes() == b""

    @pytest.mark.spec("APP-18")
    def test_the_copy_is_synced_before_the_log_is_cut(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        log_path(tmp_path).write_bytes(b"torn")
        calls: list[str] = []

        def record(fd: int, *rest: int) -> None:
            calls.append(os.readlink(f"/proc/self/fd/{fd}"))

        monkeypatch.setattr(os, "fsync", record)
        monkeypatch.setattr(os, "ftruncate", record)
        with EventLog.for_run(tmp_path, RUN) as log:
            log.append(node(1))
        torn = quarantine_path(tmp_path)
        assert calls == [str(torn), str(torn.parent), str(log.path)]

    @pytest.mark.parametrize(("mode", "expected"), [(0o600, 0o600), (0o777, 0o666)])
    def test_whoever_may_read_the_log_and_nobody_else_may_read_the_quarantine(
        self, tmp_path: Path, mode: int, expected: int
    ) -> None:
        log_path(tmp_path).write_bytes(b"torn")
        log_path(tmp_path).chmod(mode)
        umask = os.umask(0)
        try:
            with EventLog.for_run(tmp_path, RUN) as log:
                log.append(node(1))
        finally:
            os.umask(umask)
        assert stat.S_IMODE(quarantine_path(tmp_path).stat().st_mode) == expected

    def test_fragments_are_kept_a_line_each(self, tmp_path: Path) -> None:
        with EventLog.for_run(tmp_path, RUN) as log:
            for fragment in (b"one", b"two"):
                with log.path.open("ab") as other:
                    other.write(fragment)
                log.append(node(1))
        assert quarantine_path(tmp_path).read_bytes() == b"one\ntwo\n"

    @pytest.mark.parametrize("kind", ["fifo", "directory"])
    def test_a_quarantine_that_is_no_file_means_that_nothing_is_touched(
        self, tmp_path: Path, kind: str
    ) -> None:
        log_path(tmp_path).write_bytes(b"torn")
        path = quarantine_path(tmp_path)
        path.mkdir() if kind == "directory" else os.mkfifo(path)
        with EventLog.for_run(tmp_path, RUN) as log:
            with pytest.raises(omnelog.LogIOError, match=str(path)):
                log.append(node(1))
        assert log.path.read_bytes() == b"torn"

    @pytest.mark.parametrize("call", ["fsync", "ftruncate"])
    def test_a_tail_that_cannot_be_kept_or_cut_means_that_nothing_is_written(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
    ) -> None:
        log_path(tmp_path).write_bytes(b"torn")

        def fail(*_: object) -> None:
            raise OSError(errno.EIO, "broken")

        with EventLog.for_run(tmp_path, RUN) as log:
            with monkeypatch.context() as patch:
                patch.setattr(os, call, fail)
                with pytest.raises(omnelog.LogIOError, match="broken"):
                    log.append(node(1))
            assert log.path.read_bytes() == b"torn"
            log.append(node(2))
        assert log.path.read_bytes() == lines(node(2))
        assert quarantine_path(tmp_path).read_bytes() == b"torn\n"


class TestOneHandleInManyThreads:
    def test_every_line_is_whole_and_each_threads_are_in_order(self, tmp_path: Path) -> None:
        threads, each = 8, 50
        gate = threading.Barrier(threads)

        def work(thread: int) -> None:
            gate.wait()
            for number in range(each):
                log.append(node(thread * 1000 + number, number))

        with EventLog.for_run(tmp_path, RUN, lock_timeout=60) as log:
            with ThreadPoolExecutor(threads) as pool:
                list(pool.map(work, range(threads)))
        events = omnelog.read_run(tmp_path, RUN)
        assert len(events) == threads * each
        for thread in range(threads):
            mine = [node(thread * 1000 + number, number) for number in range(each)]
            assert [event for event in events if event in mine] == mine

    @pytest.mark.spec("APP-6")
    def test_one_deadline_covers_the_wait_for_another_thread(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        inside, go_on = threading.Event(), threading.Event()
        write = os.write

        def write_slowly(fd: int, data: bytes) -> int:
            inside.set()
            go_on.wait()
            return write(fd, data)

        monkeypatch.setattr(os, "write", write_slowly)
        with EventLog.for_run(tmp_path, RUN, lock_timeout=0) as log, ThreadPoolExecutor(1) as pool:
            first = pool.submit(log.append, node(1))
            inside.wait()
            with pytest.raises(omnelog.LockTimeout) as caught:
                log.append(node(2))
            go_on.set()
            first.result()
            assert caught.value.holder_pid == os.getpid()
            log.append(node(3))
        assert omnelog.read_run(tmp_path, RUN) == [node(1), node(3)]


class TestClosing:
    @pytest.mark.spec("APP-44", "APP-45")
    def test_a_closed_handle_appends_no_more_and_may_be_closed_again(self, tmp_path: Path) -> None:
        log = EventLog.for_run(tmp_path, RUN)
        log.close()
        log.close()
        with pytest.raises(omnelog.LogClosed, match=str(log.path)):
            log.append(node(1))
        assert log.path.read_bytes() == b""


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

    @pytest.mark.spec("DUR-3", "DUR-7")
    def test_each_append_syncs_the_log_and_opening_the_way_to_it(
        self, tmp_path: Path, synced: list[str]
    ) -> None:
        with EventLog.for_run(tmp_path, RUN, durable=True) as log:
            chain = [str(path) for path in log.path.parents[:5]]
            assert synced == chain
            assert chain[-1] == str(tmp_path)
            log.append(node(1))
            log.append_many([node(2), node(3)])
        assert synced == [*chain, str(log.path), str(log.path)]

    @pytest.mark.spec("DUR-3", "APP-54")
    def test_a_repair_is_synced_too(self, tmp_path: Path, synced: list[str]) -> None:
        with EventLog.for_run(tmp_path, RUN, durable=True) as log:
            log.path.write_bytes(lines(node(1))[:-1])
            synced.clear()
            log.repair()
        assert synced == [str(log.path)]

    @pytest.mark.spec("DUR-10", "DUR-5")
    def test_the_lock_is_free_while_the_whole_lines_of_a_failed_batch_are_synced(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def append_another(_: int) -> None:
            monkeypatch.undo()
            other.append(node(9))

        with (
            EventLog.for_run(tmp_path, RUN, durable=True) as log,
            EventLog.for_run(tmp_path, RUN, lock_timeout=0) as other,
        ):
            monkeypatch.setattr(os, "write", full_disk_after(LINE_SIZE + 10))
            monkeypatch.setattr(os, "fdatasync", append_another)
            with pytest.raises(omnelog.LogIOError):
                log.append_many([node(1), node(2)])
        assert omnelog.read_run(tmp_path, RUN) == [node(1), node(9)]

    @pytest.mark.spec("DUR-7")
    def test_what_cannot_sync_the_way_to_its_log_is_not_opened(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fail(_: int) -> None:
            raise OSError(errno.EIO, "broken")

        before = os.listdir("/proc/self/fd")
        monkeypatch.setattr(os, "fsync", fail)
        with pytest.raises(omnelog.LogIOError, match="broken"):
            EventLog.for_run(tmp_path, RUN, durable=True)
        assert os.listdir("/proc/self/fd") == before

    @pytest.mark.spec("DUR-1")
    def test_the_default_syncs_nothing(
        self, tmp_path: Path, synced: list[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Not even the lines that stand after a failed batch are synced."""
        with EventLog.for_run(tmp_path, RUN) as log:
            log.append(node(1))
            monkeypatch.setattr(os, "write", full_disk_after(LINE_SIZE + 10))
            with pytest.raises(omnelog.LogIOError, match="1 of 2 lines"):
                log.append_many([node(2), node(3)])
        assert synced == []

    @pytest.mark.spec("DUR-5")
    def test_the_lock_is_free_while_it_syncs(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def append_another(fd: int) -> None:
            other.append(node(2))

        with (
            EventLog.for_run(tmp_path, RUN, durable=True) as log,
            EventLog.for_run(tmp_path, RUN, lock_timeout=0) as other,
        ):
            monkeypatch.setattr(os, "fdatasync", append_another)
            log.append(node(1))
        assert omnelog.read_run(tmp_path, RUN) == [node(1), node(2)]

    @pytest.mark.spec("DUR-10")
    def test_the_whole_lines_of_a_batch_that_failed_are_synced_before_they_are_reported(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, synced: list[str]
    ) -> None:
        with EventLog.for_run(tmp_path, RUN, durable=True) as log:
            synced.clear()
            monkeypatch.setattr(os, "write", full_disk_after(LINE_SIZE + 10))
            with pytest.raises(omnelog.LogIOError) as caught:
                log.append_many([node(1), node(2)])
        assert caught.value.appended == 1
        assert synced == [str(log.path)]
        assert log.path.read_bytes() == lines(node(1))

    @pytest.mark.spec("APP-31", "DUR-10")
    def test_lines_that_are_whole_are_synced_also_when_foreign_bytes_follow_them(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, synced: list[str]
    ) -> None:
        write = os.write

        def write_let_another_in_and_fail(fd: int, data: bytes) -> int:
            write(fd, data + b"foreign")
            raise OSError(errno.EIO, "broken")

        with EventLog.for_run(tmp_path, RUN, durable=True) as log:
            synced.clear()
            monkeypatch.setattr(os, "write", write_let_another_in_and_fail)
            with pytest.raises(omnelog.AppendIndeterminate, match="300 of 300 lines") as caught:
                log.append_many(map(node, range(300)))
        assert caught.value.appended == 300
        assert synced == [str(log.path)]

    @pytest.mark.spec("DUR-8", "DUR-9")
    def test_after_a_failed_sync_the_handle_promises_nothing_more(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fail(fd: int) -> None:
            raise OSError(errno.EIO, "broken")

        with EventLog.for_run(tmp_path, RUN, durable=True) as log:
            with monkeypatch.context() as patch:
                patch.setattr(os, "fdatasync", fail)
                with pytest.raises(omnelog.AppendIndeterminate) as caught:
                    log.append_many([node(1), node(2)])
            assert caught.value.appended == 2
            with pytest.raises(omnelog.LogIOError, match="earlier sync failed"):
                log.append(node(3))
        with EventLog.for_run(tmp_path, RUN, durable=True) as another:
            another.append(node(4))
        assert omnelog.read_run(tmp_path, RUN) == [node(1), node(2), node(4)]


class TestWhatASignalHandlerRaises:
    @pytest.mark.spec("APP-40")
    @pytest.mark.parametrize("call", ["lseek", "write", "pread", "ftruncate", "fsync", "open"])
    def test_comes_out_as_it_is_and_leaves_no_lock(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
    ) -> None:
        """The TimeoutError of a signal handler has no errno. An error of the system has one."""
        log_path(tmp_path).write_bytes(b"torn")
        alarm = TimeoutError("alarm")

        def strike(*_: object) -> None:
            monkeypatch.undo()
            raise alarm

        with EventLog.for_run(tmp_path, RUN) as log:
            monkeypatch.setattr(os, call, strike)
            with pytest.raises(TimeoutError) as caught:
                log.append(node(1))
            assert caught.value is alarm
            with EventLog.for_run(tmp_path, RUN, lock_timeout=0) as other:
                other.append(node(2))
        assert omnelog.read_run(tmp_path, RUN) == [node(2)]

    def test_comes_out_of_the_clean_up_of_a_failed_write_as_well(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        alarm = TimeoutError("alarm")

        def full(*_: object) -> int:
            raise OSError(errno.ENOSPC, "full")

        def strike(*_: object) -> bytes:
            monkeypatch.undo()
            raise alarm

        with EventLog.for_run(tmp_path, RUN) as log:
            monkeypatch.setattr(os, "write", full)
            monkeypatch.setattr(os, "pread", strike)
            with pytest.raises(TimeoutError) as caught:
                log.append(node(1))
            assert caught.value is alarm
            log.append(node(2))
        assert omnelog.read_run(tmp_path, RUN) == [node(2)]

    def test_comes_out_of_a_repair_though_it_read_a_damaged_log(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        log_path(tmp_path).write_bytes(lines(node(1))[:-1])
        damage = omnelog.DeserializeError("damaged", tmp_path / "another", 1, 0)

        strikes = iter([damage])

        def read_another(tail: bytes) -> omnelog.Event:
            for strike in strikes:
                raise strike
            return omnelog.decode(tail)

        with EventLog.for_run(tmp_path, RUN) as log:
            monkeypatch.setattr(log, "_decode", read_another)
            with pytest.raises(omnelog.DeserializeError) as caught:
                log.append(node(2))
            assert caught.value is damage
            log.append(node(3))
        assert omnelog.read_run(tmp_path, RUN) == [node(1), node(3)]

    def test_leaves_no_lock_though_two_signals_strike_at_the_end_of_the_clean_up(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def struck(_: EventLog) -> None:
            raise KeyboardInterrupt

        def full(*_: object) -> int:
            raise OSError(errno.ENOSPC, "full")

        with EventLog.for_run(tmp_path, RUN) as log:
            with monkeypatch.context() as patch:
                patch.setattr(EventLog, "_close_file", struck)
                patch.setattr(os, "write", full)
                with pytest.raises(KeyboardInterrupt):
                    log.append(node(1))
            with EventLog.for_run(tmp_path, RUN, lock_timeout=0) as other:
                other.append(node(2))
            log.append(node(3))
        assert omnelog.read_run(tmp_path, RUN) == [node(2), node(3)]


class TestSystemCalls:
    def test_an_uncontended_append_makes_four(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The calls lock, find the end, write and unlock. One more would slow every append down."""
        calls: list[str] = []
        # On a busy machine the first append may take so long that the second one does more.
        monkeypatch.setattr(omnelog.linelog.appender, "LONG_HOLD_S", math.inf)
        monkeypatch.setattr(omnelog.linelog.appender, "PATH_CHECK_INTERVAL_S", math.inf)

        class Recorder:
            def __getattr__(self, name: str) -> object:
                calls.append(name)
                return getattr(os, name)

        with EventLog.for_run(tmp_path, RUN) as log:
            log.append(node(1))
            for module in (omnelog.linelog.appender, omnelog.linelog.lock):
                monkeypatch.setattr(module, "os", Recorder())
            for name in ("try_lock", "unlock"):
                real = getattr(omnelog.linelog.appender, name)

                def record(fd: int, name: str = name, real: object = real) -> object:
                    calls.append(name)
                    return real(fd)  # type: ignore[operator]

                monkeypatch.setattr(omnelog.linelog.appender, name, record)
            for number in range(2, 6):
                calls.clear()
                log.append(node(number))
                calls = [call for call in calls if not call.startswith("SEEK")]
                assert calls == ["try_lock", "lseek", "write", "unlock"]
            monkeypatch.undo()
