# SPDX-License-Identifier: MIT
"""Faults of the real kernel: a size limit, a full disk, a stopped process, and chattr +a.

Nothing is simulated here. If the file system takes only a part of a line, the core cuts the log
back to its last whole line and raises an error. The next append succeeds when there is room. If the
core cannot cut the log back, the error says so. A writer that is stopped in the middle of a line is
named in the error of those who wait for it, and does not disturb readers.
"""

import errno
import os
import resource
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from .. import omnelog
from .logs import RUN, between, close_logs, event, line, lock_is_free, names, open_log, quarantine
from .processes import Channel, forked, in_child, mount_tmpfs

__all__ = ["close_logs"]  # a fixture

LINE = len(line(0))


def limit_file_size(size: int) -> None:
    """Make writes beyond `size` bytes fail with EFBIG, because CPython ignores SIGXFSZ."""
    _, most = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, most))


def unlimit_file_size() -> None:
    """Remove that limit."""
    _, most = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))


# A file size limit.


@pytest.mark.parametrize("room", [0, 1, LINE // 2, LINE - 1])
def test_a_line_beyond_the_size_limit_is_taken_back(tmp_path: Path, room: int) -> None:
    def body(_: Channel) -> None:
        log = open_log(tmp_path)
        log.append(event(0))
        limit_file_size(LINE + room)
        for _again in range(2):
            with pytest.raises(omnelog.LogIOError) as caught:
                log.append(event(1))
            assert caught.value.errno == errno.EFBIG
            assert caught.value.filename == str(log.path)
            assert caught.value.appended == 0
            assert log.path.read_bytes() == line(0)
            assert lock_is_free(log.path)
        unlimit_file_size()
        log.append(event(2))
        assert log.path.read_bytes() == line(0) + line(2)
        assert omnelog.read_run(tmp_path, RUN) == [event(0), event(2)]
        assert quarantine(log.path) == []

    in_child(body)


@pytest.mark.parametrize("room", [0, LINE - 1, LINE, LINE + 1, 2 * LINE, 3 * LINE - 1])
def test_of_a_batch_beyond_the_size_limit_the_whole_lines_stand(tmp_path: Path, room: int) -> None:
    def body(_: Channel) -> None:
        log = open_log(tmp_path)
        log.append(event(0))
        limit_file_size(LINE + room)
        with pytest.raises(omnelog.LogIOError) as caught:
            log.append_many([event(1), event(2), event(3)])
        stand = room // LINE
        assert (caught.value.errno, caught.value.appended) == (errno.EFBIG, stand)
        assert log.path.read_bytes() == b"".join(map(line, range(1 + stand)))
        unlimit_file_size()
        log.append(event(4))
        assert names(log.path.read_bytes())[-1] == ("w", 4)
        assert lock_is_free(log.path)

    in_child(body)


def test_a_torn_tail_that_the_quarantine_cannot_take_whole_stays(tmp_path: Path) -> None:
    torn = line(1, size=5000)[:-9]

    def body(_: Channel) -> None:
        log = open_log(tmp_path)
        log.append(event(0))
        with log.path.open("ab") as file:
            file.write(torn)
        limit_file_size(1000)
        for _again in range(2):
            with pytest.raises(omnelog.LogIOError) as caught:
                log.append(event(2))
            assert caught.value.filename == f"{log.path}.torn"
            assert caught.value.errno == errno.EFBIG
            assert log.path.read_bytes() == line(0) + torn
            assert lock_is_free(log.path)
        unlimit_file_size()
        log.append(event(2))
        assert log.path.read_bytes() == line(0) + line(2)
        *cut_short, whole = quarantine(log.path)
        assert whole == torn
        assert all(torn.startswith(fragment) for fragment in cut_short)

    in_child(body)


# A full disk.


def on_small_disk(tmp_path: Path, body: Any) -> None:
    """Run ``body(root, ballast)`` on a tmpfs of 64 KiB; `ballast` is a file of 32 KiB on it."""
    disk = tmp_path / "disk"
    disk.mkdir()

    def mounted(_: Channel) -> str | None:
        if why := mount_tmpfs(disk, "size=64k"):
            return why
        ballast = disk / "ballast"
        ballast.write_bytes(bytes(32 * 1024))
        body(disk, ballast)
        return None

    if why := in_child(mounted):
        pytest.skip(f"A FULL DISK WAS NOT TESTED: {why}")


def fill(disk: Path) -> None:
    """Leave no room on `disk`."""
    descriptor = os.open(disk / "filler", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    try:
        with pytest.raises(OSError, match=os.strerror(errno.ENOSPC)):
            os.posix_fallocate(descriptor, 0, 1 << 20)
        with suppress(OSError):
            while os.write(descriptor, bytes(4096)):
                pass
    finally:
        os.close(descriptor)


def test_a_line_that_fills_the_disk_is_taken_back_and_room_is_enough_to_go_on(
    tmp_path: Path,
) -> None:
    def body(disk: Path, ballast: Path) -> None:
        log, count, size = open_log(disk), 0, 3000

        def append_for_ever() -> None:
            nonlocal count
            while True:
                log.append(event(count, size=size))
                count += 1

        with pytest.raises(omnelog.LogIOError) as caught:
            append_for_ever()
        assert caught.value.errno == errno.ENOSPC
        assert caught.value.filename == str(log.path)
        assert count, "it never got that far"
        acknowledged = [event(number, size=size) for number in range(count)]
        assert omnelog.read_run(disk, RUN) == acknowledged
        assert log.path.stat().st_size == len(line(0, size=size)) * count
        assert lock_is_free(log.path)
        ballast.unlink()
        log.append(event(count, size=size))
        assert omnelog.read_run(disk, RUN) == [*acknowledged, event(count, size=size)]
        assert quarantine(log.path) == []

    on_small_disk(tmp_path, body)


def test_on_a_full_disk_a_torn_tail_stays_until_the_quarantine_has_room(tmp_path: Path) -> None:
    torn = line(1, size=6000)[:-9]

    def body(disk: Path, ballast: Path) -> None:
        log = open_log(disk)
        log.append(event(0))
        with log.path.open("ab") as file:
            file.write(torn)
        fill(disk)
        for _again in range(2):
            with pytest.raises(omnelog.LogIOError) as caught:
                log.append(event(2))
            assert caught.value.errno == errno.ENOSPC
            assert caught.value.filename == f"{log.path}.torn"
            assert log.path.read_bytes() == line(0) + torn
            assert lock_is_free(log.path)
        with pytest.raises(omnelog.TornTailError):
            omnelog.read_run(disk, RUN)
        ballast.unlink()
        log.append(event(2))
        assert omnelog.read_run(disk, RUN) == [event(0), event(2)]
        assert quarantine(log.path) == [torn]

    on_small_disk(tmp_path, body)


def test_a_disk_without_room_for_another_file_is_a_clear_error(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()

    def body(_: Channel) -> str | None:
        if why := mount_tmpfs(disk, "size=64k,nr_inodes=3"):
            return why
        with pytest.raises(omnelog.LogIOError) as caught:
            open_log(disk)
        assert caught.value.errno == errno.ENOSPC
        assert caught.value.filename is not None
        return None

    if why := in_child(body):
        pytest.skip(f"A FULL DISK WAS NOT TESTED: {why}")


# A writer that is stopped.


def stopped_mid_line(root: Path) -> Any:
    """The body of a child that writes half of its line, says so, and continues when asked."""

    def body(channel: Channel) -> str:
        with pytest.MonkeyPatch.context() as patch:
            log = open_log(root)

            def write_half(descriptor: int, data: Any) -> int:
                patch.undo()
                written = os.write(descriptor, data[: len(data) // 2])
                channel.tell("holding")
                channel.hear()
                return written

            between(patch, write=write_half)
            log.append(event(0, "stopped"))
        return "appended"

    return body


def test_waiting_for_a_stopped_writer_reports_its_pid_and_goes_on_after_it(
    tmp_path: Path,
) -> None:
    with forked(stopped_mid_line(tmp_path)) as child:
        assert child.hear() == "holding"
        child.stop()
        log = open_log(tmp_path, lock_timeout=0.02)
        with pytest.raises(omnelog.LockTimeout) as caught:
            log.append(event(1))
        assert caught.value.filename == str(log.path)
        assert caught.value.holder_pid == child.pid
        assert caught.value.waited_s >= 0.02
        assert f"process {child.pid}" in str(caught.value)
        child.send_signal(signal.SIGCONT)
        child.tell()
        assert child.hear() == "appended"
        log.append(event(1))
    assert names(log.path.read_bytes()) == [("stopped", 0), ("w", 1)]


@pytest.mark.spec("READ-10", "READ-6")
def test_half_a_line_of_a_stopped_writer_is_no_damage_to_a_reader(tmp_path: Path) -> None:
    open_log(tmp_path).append(event(1))
    with forked(stopped_mid_line(tmp_path)) as child:
        assert child.hear() == "holding"
        child.stop()
        assert omnelog.read_run(tmp_path, RUN) == [event(1)]
        scan = omnelog.scan_run(tmp_path, RUN)
        assert (scan.events, scan.problems, scan.tail_in_flight) == ([event(1)], [], True)


def test_a_stopped_writer_that_is_killed_gives_the_lock_away(tmp_path: Path) -> None:
    with forked(stopped_mid_line(tmp_path)) as child:
        assert child.hear() == "holding"
        child.stop()
        child.kill()
        log = open_log(tmp_path, lock_timeout=0)
        log.append(event(1))
    whole = line(0, "stopped")
    assert log.path.read_bytes() == line(1)
    assert quarantine(log.path) == [whole[: len(whole) // 2]]


# A file that can only grow.


@contextmanager
def only_growing(path: Path) -> Iterator[None]:
    """Set the append-only attribute on `path`, or skip the test if that is not permitted."""
    chattr = shutil.which("chattr")
    if not chattr:
        pytest.skip("AN APPEND-ONLY FILE WAS NOT TESTED: there is no chattr")
    done = subprocess.run([chattr, "+a", path], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"AN APPEND-ONLY FILE WAS NOT TESTED: {done.stderr.strip()}")
    try:
        yield
    finally:
        subprocess.run([chattr, "-a", path], check=True)


def test_an_append_only_file_takes_appends(tmp_path: Path) -> None:
    log = open_log(tmp_path)
    with only_growing(log.path):
        log.append(event(0))
        open_log(tmp_path).append(event(1))
    assert names(log.path.read_bytes()) == [("w", 0), ("w", 1)]


def test_what_cannot_be_taken_back_is_indeterminate(tmp_path: Path) -> None:
    log = open_log(tmp_path)
    log.append(event(0))

    def body(_: Channel) -> None:
        limit_file_size(LINE + LINE // 2)
        with pytest.raises(omnelog.AppendIndeterminate) as caught:
            log.append(event(1))
        assert caught.value.errno == errno.EFBIG
        assert caught.value.filename == str(log.path)
        assert os.strerror(errno.EFBIG) in str(caught.value)
        assert os.strerror(errno.EPERM) in str(caught.value)

    with only_growing(log.path):
        in_child(body)
        assert lock_is_free(log.path)
        half = line(1)[: LINE // 2]
        assert log.path.read_bytes() == line(0) + half
    log.append(event(2))
    assert names(log.path.read_bytes()) == [("w", 0), ("w", 2)]
    assert quarantine(log.path) == [half]


def test_a_torn_tail_that_cannot_be_cut_off_stops_the_append_and_is_copied_once(
    tmp_path: Path,
) -> None:
    log = open_log(tmp_path)
    log.append(event(0))
    torn = line(1)[:-9]
    with log.path.open("ab") as file:
        file.write(torn)
    with only_growing(log.path):
        for _again in range(3):
            with pytest.raises(omnelog.LogIOError) as caught:
                log.append(event(2))
            assert caught.value.errno == errno.EPERM
            assert caught.value.filename == str(log.path)
            assert log.path.read_bytes() == line(0) + torn
    log.append(event(2))
    assert log.path.read_bytes() == line(0) + line(2)
    assert quarantine(log.path) == [torn]
