# SPDX-License-Identifier: MIT
"""What SPEC.md demands of single system calls and of defaults, where nothing else shows it."""

import errno
import inspect
import math
import os
from pathlib import Path
from typing import Any

import pytest

from . import omnelog
from .inside import mutex_of, path_was_checked, replace_mutex
from .samples import RUN, node


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    """The name and the flags of each file that is opened, except directories."""
    calls: list[tuple[str, int]] = []
    real = os.open

    def record(path: str | Path, flags: int, mode: int = 0o777) -> int:
        if not flags & os.O_DIRECTORY:
            calls.append((os.path.basename(path), flags))
        return real(path, flags, mode)

    monkeypatch.setattr(os, "open", record)
    return calls


@pytest.mark.spec("LOCK-4", "LOCK-5", "APP-1", "APP-19", "READ-1")
def test_every_file_is_opened_for_itself_and_never_inherited_nor_waited_for(
    tmp_path: Path, opened: list[tuple[str, int]]
) -> None:
    with omnelog.EventLog.for_run(tmp_path, RUN) as log:
        log.path.write_bytes(b"torn")
        log.append(node(1))
        assert list(omnelog.read_run(tmp_path, RUN)) == [node(1)]
    carefully = os.O_CLOEXEC | os.O_NOCTTY | os.O_NONBLOCK
    appending = os.O_RDWR | os.O_APPEND | os.O_CREAT
    assert [(name, flags & ~os.O_LARGEFILE) for name, flags in opened] == [
        ("events.jsonl", appending | carefully),
        ("events.jsonl.torn", appending | carefully),
        ("events.jsonl", os.O_RDONLY | carefully),
    ]


@pytest.mark.spec("LOCK-14")
@pytest.mark.parametrize("fault", [OSError(errno.EIO, "broken"), KeyboardInterrupt()])
def test_the_lock_is_freed_although_somebody_has_a_copy_of_the_descriptor(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: BaseException
) -> None:
    """A program spawned during the append has a copy, so closing ours does not release the lock."""
    copies: list[int] = []

    def spawn_and_fail(fd: int, data: bytes) -> int:
        copies.append(os.dup(fd))
        raise fault

    try:
        with omnelog.EventLog.for_run(tmp_path, RUN) as log:
            with monkeypatch.context() as patch:
                patch.setattr(os, "write", spawn_and_fail)
                with pytest.raises((omnelog.LogIOError, KeyboardInterrupt)):
                    log.append(node(1))
            with omnelog.EventLog.for_run(tmp_path, RUN, lock_timeout=0) as other:
                other.append(node(2))
        assert len(copies) == 1
    finally:
        for fd in copies:
            os.close(fd)


@pytest.mark.spec("LOCK-10", "LOCK-13")
@pytest.mark.parametrize(
    ("lock_timeout_s", "pause_s"), [(5.0, 0.002), (0.0005, 0.0005), (0.0, 0.0), (math.inf, 0.002)]
)
def test_a_writer_that_held_the_lock_for_long_pauses_before_taking_it_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lock_timeout_s: float, pause_s: float
) -> None:
    """The writer never pauses past its deadline, or for less than 0 s.

    The clock begins near 0 s, as on a machine that has just started.
    """
    clock = [0.001]
    held_s = [0.0]
    pauses: list[float] = []
    write = os.write

    def slowly(fd: int, data: bytes) -> int:
        clock[0] += held_s[0]
        return write(fd, data)

    def tick() -> float:
        clock[0] += 1e-6
        return clock[0]

    with omnelog.EventLog.for_run(tmp_path, RUN, lock_timeout=lock_timeout_s) as log:
        monkeypatch.setattr(omnelog.linelog.appender, "monotonic", tick)
        monkeypatch.setattr(omnelog.linelog.appender, "sleep", pauses.append)
        monkeypatch.setattr(os, "write", slowly)
        path_was_checked(log, clock[0])  # so that the path is not checked here
        for held_s[0] in (0.0015, 0.0005, 0.0005, 0.0015, 0.0005, 0.0005):
            log.append(node(1))
    assert pauses == [pytest.approx(pause_s, abs=1e-5)] * 2
    assert min(pauses) >= 0, "which sleep() refuses"


@pytest.mark.spec("LOCK-13")
def test_a_writer_that_waited_long_for_the_lock_has_not_held_it_for_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next append does not pause, whether the writer waited for a process or for a thread."""
    clock = [100.0]
    pauses: list[float] = []

    class Mutex:
        """A mutex that can be acquired only after a wait of one second."""

        def __init__(self, real: Any) -> None:
            self.real = real

        def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
            if not blocking:
                return False
            clock[0] += 1
            return bool(self.real.acquire())

        def __getattr__(self, name: str) -> Any:
            return getattr(self.real, name)

    def acquire(_: object, started: float, timeout_s: float) -> None:
        clock[0] += 1

    with omnelog.EventLog.for_run(tmp_path, RUN) as log:
        for module in (omnelog.linelog.appender, omnelog.linelog.lock):
            monkeypatch.setattr(module, "monotonic", lambda: clock[0])
            monkeypatch.setattr(module, "sleep", pauses.append)
        monkeypatch.setattr(omnelog.linelog.appender, "PATH_CHECK_INTERVAL_S", math.inf)
        log.append(node(0))
        with monkeypatch.context() as patch:
            patch.setattr(omnelog.linelog.appender, "try_lock", lambda _: False)
            patch.setattr(omnelog.linelog.lock.LockableFile, "acquire", acquire)
            log.append(node(1))
        log.append(node(2))
        replace_mutex(log, Mutex(mutex_of(log)))
        log.append(node(3))
        log.append(node(4))
    assert pauses == []


@pytest.mark.spec("LOCK-11")
def test_no_two_waiters_sleep_for_the_same_times(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [100.0]
    slept: list[float] = []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        clock[0] += seconds

    monkeypatch.setattr(omnelog.linelog.lock, "monotonic", lambda: clock[0])
    monkeypatch.setattr(omnelog.linelog.lock, "sleep", sleep)
    with omnelog.EventLog.for_run(tmp_path, RUN) as log:
        holder = omnelog.linelog.lock.LockableFile(log.path, os.O_RDWR)
        assert omnelog.linelog.lock.try_lock(holder.fd)
        series = []
        for _ in range(2):
            slept.clear()
            with omnelog.linelog.lock.LockableFile(log.path, os.O_RDWR) as waiter:
                with pytest.raises(omnelog.LockTimeout):
                    waiter.acquire(clock[0], 0.5)
            series.append(slept[:-1])  # the last sleep ends at the deadline
        holder.close()
    assert 0 < max(map(max, series)) <= 0.025
    assert len({*series[0], *series[1]}) == len(series[0]) + len(series[1])


@pytest.mark.spec("APP-20")
def test_a_long_tail_is_copied_in_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []
    write = os.write

    def record(fd: int, data: bytes) -> int:
        sizes.append(len(data))
        return write(fd, data)

    tail = bytes(3_000_000)
    with omnelog.EventLog.for_run(tmp_path, RUN) as log:
        log.path.write_bytes(tail)
        monkeypatch.setattr(os, "write", record)
        log.append(node(1))
    assert log.path.with_name("events.jsonl.torn").read_bytes() == tail + b"\n"
    assert sum(sizes) > len(tail)
    assert max(sizes) <= 1 << 20


@pytest.mark.spec("APP-3", "READ-25", "ULID-2")
def test_defaults_are_what_the_specification_says() -> None:
    def default(function: object, name: str) -> object:
        assert callable(function)
        return inspect.signature(function).parameters[name].default

    assert default(omnelog.EventLog.for_run, "lock_timeout") == 5.0
    assert default(omnelog.allocate_ulid, "lock_timeout") == 5.0
    assert default(omnelog.follow_run, "poll_interval") == 0.05
