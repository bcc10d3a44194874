# SPDX-License-Identifier: MIT
"""The log is removed, moved or replaced while writers and readers have it open.

A writer follows the path within a second of its own clock, or fails and names the path. It never
hangs, and acknowledges no append to a file that left the path longer ago than a second. A follower
first reads what writers may still append to the old file, and then follows the path, too.

No test sleeps for that second: the tests set the clocks of the core. So they prove that the core
looks at the path when, by its own clock, a second has passed since the last look. They prove
nothing about the clock of the system.
"""

import errno
import os
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from .. import omnelog
from .logs import (
    APPENDER,
    LOCK,
    READER,
    RUN,
    between,
    close_logs,
    event,
    holding,
    line,
    names,
    open_descriptors,
    open_log,
    quarantine,
)
from .processes import WATCHDOG_S

__all__ = ["close_logs"]  # a fixture


class Clock:
    """The clock that the core reads."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self.now += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The clock by which the core waits and looks at the path."""
    clock = Clock()
    for module in (APPENDER, LOCK, READER):
        monkeypatch.setattr(module, "monotonic", clock)
    for module in (APPENDER, LOCK):
        monkeypatch.setattr(module, "sleep", clock.advance)
    return clock


def unlink(path: Path) -> None:
    path.unlink()


def rename(path: Path) -> None:
    path.rename(path.with_name("moved"))


def rename_back(path: Path) -> None:
    path.with_name("moved").rename(path)


def replace(path: Path) -> None:
    new = path.with_name("new")
    new.write_bytes(line(0, "new"))
    new.replace(path)


def link_to_file(path: Path) -> None:
    target = path.with_name("target")
    target.write_bytes(line(0, "new"))
    path.unlink()
    path.symlink_to(target)


def dangling_link(path: Path) -> None:
    path.unlink()
    path.symlink_to(path.with_name("nowhere yet"))


def renew_directory(path: Path) -> None:
    path.parent.rename(path.parent.with_name("moved"))
    path.parent.mkdir()


def make_directory(path: Path) -> None:
    path.unlink()
    path.mkdir()


def make_fifo(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def make_device(path: Path) -> None:
    path.unlink()
    path.symlink_to("/dev/null")


def make_loop(path: Path) -> None:
    path.unlink()
    path.symlink_to(path)


def link_to_no_directory(path: Path) -> None:
    path.unlink()
    path.symlink_to(path.with_name("nowhere") / "events.jsonl")


def remove_directory(path: Path) -> None:
    shutil.rmtree(path.parent)


def rename_directory(path: Path) -> None:
    path.parent.rename(path.parent.with_name("moved"))


def directory_becomes_file(path: Path) -> None:
    shutil.rmtree(path.parent)
    path.parent.write_bytes(b"")


FOLLOWED: list[Callable[[Path], None]] = [
    unlink,
    rename,
    replace,
    link_to_file,
    dangling_link,
    renew_directory,
]
"""After one of these, the path leads to another log, or a log can be made there."""

REFUSED: dict[Callable[[Path], None], int] = {
    make_directory: errno.EISDIR,
    make_fifo: errno.EINVAL,
    make_device: errno.EINVAL,
    make_loop: errno.ELOOP,
    link_to_no_directory: errno.ENOENT,
    remove_directory: errno.ENOENT,
    rename_directory: errno.ENOENT,
    directory_becomes_file: errno.ENOTDIR,
}
"""After one of these, no log is at the path, and none can be made there."""


@pytest.mark.spec("APP-51")
@pytest.mark.parametrize("fault", FOLLOWED)
def test_a_writer_follows_the_path_within_a_second(
    tmp_path: Path, clock: Clock, fault: Callable[[Path], None]
) -> None:
    log = open_log(tmp_path)
    log.append(event(1))
    fault(log.path)
    already_there = [*names(log.path.read_bytes())] if log.path.exists() else []
    clock.advance(1.0)
    log.append(event(2))
    log.append(event(3))
    assert names(log.path.read_bytes()) == [*already_there, ("w", 2), ("w", 3)]
    assert omnelog.read_run(tmp_path, RUN)[-1] == event(3)
    assert len(open_descriptors(tmp_path)) == 1


def test_a_writer_follows_the_path_on_a_machine_that_has_only_just_started(
    tmp_path: Path, clock: Clock
) -> None:
    """The clock of such a machine is near 0, so 0 is not a time long ago."""
    clock.now = 1.0
    log = open_log(tmp_path)
    log.append(event(1))
    unlink(log.path)
    clock.advance(1.0)
    log.append(event(2))
    assert names(log.path.read_bytes()) == [("w", 2)]


@pytest.mark.parametrize("fault", FOLLOWED)
def test_what_is_acknowledged_within_that_second_is_in_the_file_that_was_moved_away(
    tmp_path: Path, clock: Clock, fault: Callable[[Path], None]
) -> None:
    log = open_log(tmp_path)
    log.append(event(1))
    old = os.open(log.path, os.O_RDONLY)
    try:
        fault(log.path)
        clock.advance(0.99)
        log.append(event(2))
        assert os.pread(old, 1000, 0) == line(1) + line(2)
        clock.advance(0.02)
        log.append(event(3))
        assert os.pread(old, 1000, 0) == line(1) + line(2)
        assert names(log.path.read_bytes())[-1] == ("w", 3)
    finally:
        os.close(old)


@pytest.mark.parametrize("step", ["__init__", "replaced"])
def test_a_process_stopped_as_it_opens_or_looks_sees_at_its_next_append_what_was_replaced_meanwhile(
    tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    real, stops = getattr(LOCK.LockableFile, step), [replace]

    def stopped_after(file: Any, *args: Any) -> Any:
        result = real(file, *args)
        if stops:
            clock.advance(1.0)
            stops.pop()(file.path)
        return result

    if step == "__init__":
        monkeypatch.setattr(LOCK.LockableFile, step, stopped_after)
        log = open_log(tmp_path)
    else:
        log = open_log(tmp_path)
        monkeypatch.setattr(LOCK.LockableFile, step, stopped_after)
        clock.advance(1.0)
        log.append(event(1))  # looks at the path, is stopped, and then appends to the old file
    assert not stops
    log.append(event(2))
    assert names(log.path.read_bytes()) == [("new", 0), ("w", 2)]


@pytest.mark.spec("APP-53")
@pytest.mark.parametrize("fault", REFUSED)
def test_a_writer_without_a_log_to_follow_fails_and_names_the_path(
    tmp_path: Path, clock: Clock, fault: Callable[[Path], None]
) -> None:
    log = open_log(tmp_path)
    log.append(event(1))
    fault(log.path)
    clock.advance(1.0)
    for _again in range(2):
        with pytest.raises(omnelog.LogIOError) as caught:
            log.append(event(2))
        assert caught.value.filename == str(log.path)
        assert str(log.path) in str(caught.value)
        assert caught.value.errno == REFUSED[fault]
        assert caught.value.appended == 0
        assert open_descriptors(tmp_path) == []


@pytest.mark.parametrize("fault", REFUSED)
def test_a_writer_that_failed_goes_on_once_there_is_a_log_again(
    tmp_path: Path, clock: Clock, fault: Callable[[Path], None]
) -> None:
    log = open_log(tmp_path)
    log.append(event(1))
    fault(log.path)
    clock.advance(1.0)
    with pytest.raises(omnelog.LogIOError):
        log.append(event(2))
    if log.path.parent.is_dir() and not log.path.parent.is_symlink():
        shutil.rmtree(log.path.parent)
    else:
        log.path.parent.unlink(missing_ok=True)
    log.path.parent.mkdir()
    log.append(event(3))
    assert log.path.read_bytes() == line(3)


def test_the_path_is_looked_at_once_a_second_and_no_more(
    tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[Any] = []

    def stat(path: Any) -> os.stat_result:
        looks.append(path)
        return os.stat(path)

    log = open_log(tmp_path)
    between(monkeypatch, stat=stat)
    for number in range(100):
        clock.advance(0.1)
        log.append(event(number))
    assert len(looks) == 9 or len(looks) == 10
    assert {*looks} == {log.path}


def test_a_log_that_is_replaced_while_the_lock_is_waited_for_is_noticed(
    tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The wait may take longer than a second, so the core reads the clock after it."""
    log = open_log(tmp_path)
    log.append(event(1))
    with holding(log.path) as free:

        def sleep(_: float) -> None:
            replace(log.path)
            clock.advance(2.0)
            free()

        monkeypatch.setattr(LOCK, "sleep", sleep)
        log.append(event(2))
    assert names(log.path.read_bytes()) == [("new", 0), ("w", 2)]


def test_a_log_that_is_replaced_while_another_thread_is_waited_for_is_noticed(
    tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That thread may be in a long sync, during which the lock of the file is free."""
    log = open_log(tmp_path, durable=True)
    is_in, go = threading.Event(), threading.Event()

    def sync(_: int) -> None:
        is_in.set()
        assert go.wait(WATCHDOG_S)

    between(monkeypatch, fdatasync=sync, fsync=lambda _: None)
    thread = threading.Thread(target=log.append, args=(event(1),))
    thread.start()
    assert is_in.wait(WATCHDOG_S)

    def patience(*numbers: float) -> float:
        replace(log.path)
        clock.advance(10.0)
        go.set()
        thread.join()
        return min(*numbers)

    monkeypatch.setattr(APPENDER, "min", patience, raising=False)
    log.append(event(2))
    assert names(log.path.read_bytes()) == [("new", 0), ("w", 2)]


def test_a_lock_that_is_stuck_on_a_file_that_was_moved_away_does_not_stop_a_writer_for_good(
    tmp_path: Path, clock: Clock
) -> None:
    """The append that waited for the lock fails; the next one opens the file at the path."""
    log = open_log(tmp_path, lock_timeout=5.0)
    log.append(event(1))
    with holding(log.path):
        replace(log.path)
        with pytest.raises(omnelog.LockTimeout) as caught:
            log.append(event(2))
        assert caught.value.filename == str(log.path)
        log.append(event(3))
    assert names(log.path.read_bytes()) == [("new", 0), ("w", 3)]


def test_a_log_that_is_replaced_again_and_again_is_followed_each_time(
    tmp_path: Path, clock: Clock
) -> None:
    log = open_log(tmp_path)
    for number in range(20):
        replace(log.path)
        clock.advance(1.0)
        log.append(event(number))
        assert names(log.path.read_bytes()) == [("new", 0), ("w", number)]
    assert len(open_descriptors(tmp_path)) == 1


def test_a_log_that_is_replaced_while_it_is_opened_again_is_followed_at_once(
    tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The log is replaced twice: after it is opened and before it is locked, a third file comes."""
    log = open_log(tmp_path)
    replace(log.path)
    clock.advance(1.0)
    opened: list[int] = []

    def open_and_replace(path: Any, flags: int, mode: int = 0o777) -> int:
        opened.append(os.open(path, flags, mode))
        if len(opened) < 3:
            replace(log.path)
        return opened[-1]

    with monkeypatch.context() as patch:
        between(patch, open=open_and_replace)
        log.append(event(1))
    assert len(opened) == 3
    assert names(log.path.read_bytes()) == [("new", 0), ("w", 1)]
    assert len(open_descriptors(tmp_path)) == 1


@pytest.mark.spec("DUR-7")
def test_a_durable_handle_that_opens_its_log_again_syncs_the_way_to_it_again(
    tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The program that replaced the file may not have synced its directory entry."""
    synced: list[str] = []

    def record(descriptor: int) -> None:
        synced.append(os.readlink(f"/proc/self/fd/{descriptor}"))

    log = open_log(tmp_path, durable=True)
    between(monkeypatch, fsync=record, fdatasync=record)
    for number in range(2):
        replace(log.path)
        clock.advance(1.0)
        synced.clear()
        log.append(event(number))
        assert synced == [*map(str, log.path.parents[:5]), str(log.path)]


def test_a_torn_tail_of_the_file_that_came_to_the_path_is_repaired(
    tmp_path: Path, clock: Clock
) -> None:
    log = open_log(tmp_path)
    log.append(event(1))
    new = log.path.with_name("new")
    new.write_bytes(line(1, "longer", 400) + line(2)[:-9])
    new.replace(log.path)
    clock.advance(1.0)
    log.append(event(3))
    assert names(log.path.read_bytes()) == [("longer", 1), ("w", 3)]
    assert quarantine(log.path) == [line(2)[:-9]]


def test_a_replacement_of_the_same_size_with_a_torn_end_is_repaired(
    tmp_path: Path, clock: Clock
) -> None:
    """The length that the handle remembers is that of the old file."""
    log = open_log(tmp_path)
    log.append(event(1))
    torn = line(1, "other", 80)[: len(line(1))]
    new = log.path.with_name("new")
    new.write_bytes(torn)
    new.replace(log.path)
    clock.advance(1.0)
    log.append(event(2))
    assert log.path.read_bytes() == line(2)
    assert quarantine(log.path) == [torn]


@pytest.mark.parametrize("size", [0, 10, len(line(0)), len(line(0)) + 10])
def test_a_log_that_is_truncated_is_appended_to_as_it_is(tmp_path: Path, size: int) -> None:
    log = open_log(tmp_path)
    log.append(event(0))
    log.append(event(1))
    os.truncate(log.path, size)
    log.append(event(2))
    whole, rest = divmod(size, len(line(0)))
    assert names(log.path.read_bytes()) == [("w", 0)] * whole + [("w", 2)]
    assert quarantine(log.path) == [line(whole)[:rest]] * bool(rest)


def test_a_handle_is_closed_though_its_log_is_gone(tmp_path: Path) -> None:
    log = open_log(tmp_path)
    log.append(event(1))
    remove_directory(log.path)
    log.close()
    with pytest.raises(omnelog.LogClosed):
        log.append(event(2))
    assert open_descriptors(tmp_path) == []


@pytest.mark.parametrize("fault", REFUSED)
def test_opening_what_is_no_log_fails_and_names_a_path(
    tmp_path: Path, fault: Callable[[Path], None]
) -> None:
    open_log(tmp_path).close()
    path = tmp_path / ".omne" / "var" / "runs" / RUN / "events.jsonl"
    fault(path)
    if fault in (remove_directory, rename_directory):  # opening makes the directory again
        open_log(tmp_path).append(event(1))
        assert path.read_bytes() == line(1)
        return
    with pytest.raises(omnelog.LogIOError) as caught:
        open_log(tmp_path)
    assert caught.value.filename in (str(path), str(path.parent))
    assert open_descriptors(tmp_path) == []


# Readers.


@pytest.mark.parametrize("fault", [*REFUSED, unlink, rename, dangling_link, renew_directory])
def test_reading_what_is_no_log_fails_and_names_the_path(
    tmp_path: Path, fault: Callable[[Path], None]
) -> None:
    log = open_log(tmp_path)
    log.append(event(1))
    fault(log.path)
    for read in (omnelog.read_run, omnelog.scan_run):
        with pytest.raises(omnelog.LogIOError) as caught:
            read(tmp_path, RUN)
        assert caught.value.filename == str(log.path)


@pytest.mark.parametrize("fault", [unlink, rename, replace, link_to_file, dangling_link])
def test_a_snapshot_is_read_to_its_end_whatever_becomes_of_the_path(
    tmp_path: Path, fault: Callable[[Path], None]
) -> None:
    log = open_log(tmp_path)
    events = [event(number) for number in range(3)]
    log.append_many(events)
    reading = omnelog.iter_run(tmp_path, RUN)
    assert next(reading) == events[0]
    fault(log.path)
    assert [*reading] == events[1:]


class Stop(threading.Event):
    """Stops a follower when its script is done, and moves the clock instead of waiting.

    Each entry of `script` runs in place of one wait. A follower that looks again and again without
    a wait fails, because the clock stands still then and the follower would never stop.
    """

    def __init__(self, clock: Clock, *script: Callable[[], object]) -> None:
        super().__init__()
        self._clock, self._script, self._looks = clock, [*script], 0

    def is_set(self) -> bool:
        self._looks += 1
        assert self._looks < 10, "looks again and again without a wait"
        return super().is_set()

    def wait(self, timeout: float | None = None) -> bool:
        assert timeout is not None
        self._looks = 0
        if self._script:
            self._script.pop(0)()
        else:
            self.set()
        self._clock.advance(timeout)
        return self.is_set()


def follow(root: Path, stop: threading.Event, poll_interval: float = 0.5) -> Iterator[Any]:
    """The events that a follower yields until it is stopped."""
    return omnelog.follow_run(root, RUN, stop=stop, poll_interval=poll_interval)


@contextmanager
def held_open(path: Path) -> Iterator[int]:
    """A descriptor with which a test still appends to the file after it is moved."""
    fd = os.open(path, os.O_WRONLY | os.O_APPEND)
    try:
        yield fd
    finally:
        os.close(fd)


def nothing() -> None:
    """Do nothing until the next look."""


@pytest.mark.parametrize("fault", [replace, link_to_file])
@pytest.mark.parametrize("poll_interval", [0.05, 0.5, 1.5, 5.0])
def test_a_follower_reads_the_replaced_log_to_its_end_and_goes_on_with_the_new_one(
    tmp_path: Path, clock: Clock, fault: Callable[[Path], None], poll_interval: float
) -> None:
    """A writer may append to the old log for a second, also after a look of the follower."""
    log = open_log(tmp_path)
    log.append(event(1))
    with held_open(log.path) as old:
        stop = Stop(
            clock,
            lambda: fault(log.path),
            lambda: os.write(old, line(2)),
            *[nothing] * 50,
        )
        found = [*follow(tmp_path, stop, poll_interval)]
    assert found == [event(1), event(2), event(0, "new")]
    assert len(open_descriptors(tmp_path)) == 1, "more than the writer's"


@pytest.mark.spec("READ-29")
def test_a_follower_reads_what_is_appended_to_the_old_log_for_two_seconds_more(
    tmp_path: Path, clock: Clock
) -> None:
    """It does so however often it looks, because a writer may notice the new log that late."""
    log = open_log(tmp_path)
    log.append(event(1))
    with held_open(log.path) as old:
        script = [lambda: replace(log.path), *[nothing] * 36, lambda: os.write(old, line(2))]
        found = [*follow(tmp_path, Stop(clock, *script, *[nothing] * 50), poll_interval=0.05)]
    assert found == [event(1), event(2), event(0, "new")]


@pytest.mark.spec("READ-21", "READ-29")
@pytest.mark.parametrize("away", [1, 4])
def test_a_follower_yields_no_event_twice_of_a_log_that_is_moved_away_and_back(
    tmp_path: Path, clock: Clock, away: int
) -> None:
    """It is away for one look, or until just before the follower would leave it."""
    log = open_log(tmp_path)
    log.append(event(1))
    script = [lambda: rename(log.path), *[nothing] * (away - 1), lambda: rename_back(log.path)]
    stop = Stop(clock, *script, *[nothing] * 9, lambda: log.append(event(2)), nothing)
    assert [*follow(tmp_path, stop)] == [event(1), event(2)]


@pytest.mark.spec("READ-21", "READ-29")
def test_a_follower_yields_no_event_twice_of_a_log_that_is_back_just_as_it_would_be_left(
    tmp_path: Path, clock: Clock
) -> None:
    """It comes back after the follower's last look, while the caller handles an event of it."""
    log = open_log(tmp_path)
    log.append(event(1))
    with held_open(log.path) as old:
        script: list[Callable[[], object]] = [
            lambda: rename(log.path),
            *[nothing] * 3,
            lambda: os.write(old, line(2)),
        ]
        following = follow(tmp_path, Stop(clock, *script, *[nothing] * 9))
        assert [next(following), next(following)] == [event(1), event(2)]
        rename_back(log.path)
        os.write(old, line(3))
        assert [*following] == [event(3)]
    assert len(open_descriptors(tmp_path)) == 1, "more than the writer's"


@pytest.mark.spec("READ-29")
def test_a_follower_leaves_two_seconds_after_the_path_led_elsewhere_for_the_last_time(
    tmp_path: Path, clock: Clock
) -> None:
    log = open_log(tmp_path)
    log.append(event(1))
    with held_open(log.path) as old:
        script: list[Callable[[], object]] = [
            lambda: rename(log.path),
            nothing,
            lambda: rename_back(log.path),
            nothing,
            lambda: replace(log.path),
            *[nothing] * 3,
            lambda: os.write(old, line(2)),
        ]
        found = [*follow(tmp_path, Stop(clock, *script, *[nothing] * 9))]
    assert found == [event(1), event(2), event(0, "new")]


@pytest.mark.parametrize("fault", [unlink, rename, *REFUSED])
def test_a_follower_of_a_log_that_is_gone_for_good_fails_and_names_the_path(
    tmp_path: Path, clock: Clock, fault: Callable[[Path], None]
) -> None:
    log = open_log(tmp_path)
    log.append(event(1))
    following = follow(tmp_path, Stop(clock, lambda: fault(log.path), *[nothing] * 50))
    assert next(following) == event(1)
    with pytest.raises(omnelog.LogIOError) as caught:
        next(following)
    assert caught.value.filename == str(log.path)
    assert len(open_descriptors(tmp_path)) == 1, "more than the writer's"


def test_a_follower_follows_a_log_that_comes_back_in_time(tmp_path: Path, clock: Clock) -> None:
    log = open_log(tmp_path)
    log.append(event(1))

    def come_back() -> None:
        log.path.write_bytes(line(2))

    found = [*follow(tmp_path, Stop(clock, lambda: unlink(log.path), come_back, *[nothing] * 9))]
    assert found == [event(1), event(2)]


def test_a_follower_of_a_log_whose_final_lines_were_cut_off_fails(
    tmp_path: Path, clock: Clock
) -> None:
    log = open_log(tmp_path)
    log.append_many([event(1), event(2)])

    def cut() -> None:
        os.truncate(log.path, len(line(1)))

    following = follow(tmp_path, Stop(clock, cut, nothing))
    assert [next(following), next(following)] == [event(1), event(2)]
    with pytest.raises(omnelog.LogIOError, match="final") as caught:
        next(following)
    assert caught.value.filename == str(log.path)


def test_a_follower_waits_while_a_torn_tail_is_cut_off_and_written_again(
    tmp_path: Path, clock: Clock
) -> None:
    """The follower has yielded nothing of the torn tail, so it reads what replaces the tail."""
    log = open_log(tmp_path)
    log.append(event(1))

    def tear() -> None:
        with log.path.open("ab") as file:
            file.write(line(2, size=500)[:-9])

    found = [*follow(tmp_path, Stop(clock, tear, nothing, lambda: log.append(event(3)), nothing))]
    assert found == [event(1), event(3)]
    assert quarantine(log.path) == [line(2, size=500)[:-9]]
