# SPDX-License-Identifier: MIT
"""Threads that share a handle, handles in one process, closed handles and pickled ones.

Any number of threads may use one handle, and any of them may close it. Two handles of one process
exclude each other as two processes do. A handle without references keeps no file open and no lock.
A pickled handle opens its log again, wherever it is unpickled.
"""

import json
import os
import pickle
import re
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from .. import omnelog
from ..inside import functions_of, mutex_of, replace_mutex
from .logs import (
    APPENDER,
    LOCK,
    RUN,
    between,
    close_logs,
    event,
    holding,
    line,
    lock_is_free,
    names,
    open_descriptors,
    open_log,
    quarantine,
    write_at_most,
)
from .processes import WATCHDOG_S, append_numbers

__all__ = ["close_logs"]  # a fixture


class Gate:
    """The first thread that comes waits here until the gate is opened."""

    def __init__(self) -> None:
        self._reached, self._opened = threading.Event(), threading.Event()

    def stand_still(self) -> None:
        """Wait until the gate is opened, if no other thread came before."""
        if not self._reached.is_set():
            self._reached.set()
            assert self._opened.wait(WATCHDOG_S)

    def reached(self) -> None:
        """Wait until a thread waits at the gate."""
        assert self._reached.wait(WATCHDOG_S)

    def open(self) -> None:
        """Let the waiting thread continue."""
        self._opened.set()


@contextmanager
def standing_still(
    monkeypatch: pytest.MonkeyPatch, log: "omnelog.EventLog", *, call: str = "write"
) -> Iterator[Callable[[], None]]:
    """Keep another thread inside an append to `log`; yield a function that lets it end."""
    gate, real = Gate(), getattr(os, call)

    def slow(*args: Any) -> Any:
        gate.stand_still()
        return real(*args)

    between(monkeypatch, **{call: slow})
    thread = threading.Thread(target=log.append, args=(event(0, "slow"),))

    def end() -> None:
        gate.open()
        thread.join()

    thread.start()
    try:
        gate.reached()
        yield end
    finally:
        end()


@pytest.mark.spec("APP-41")
def test_32_threads_on_one_handle_append_whole_lines_each_in_its_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A write takes only 7 bytes at a time here, so lines would mix without the mutex."""
    between(monkeypatch, write=write_at_most(7))
    log, threads, count = open_log(tmp_path), 32, 10
    start = threading.Barrier(threads)

    def body(who: str) -> None:
        start.wait(WATCHDOG_S)
        append_numbers(log, who, count)

    with ThreadPoolExecutor(threads) as pool:
        for done in [pool.submit(body, str(number)) for number in range(threads)]:
            done.result(WATCHDOG_S)
    found = names(log.path.read_bytes())
    assert len(found) == threads * count
    for who in map(str, range(threads)):
        assert [number for writer, number in found if writer == who] == [*range(count)]
    assert omnelog.read_run(tmp_path, RUN)[-1].run_id == found[-1][0]


def test_32_threads_with_a_handle_each_append_whole_lines_each_in_its_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    between(monkeypatch, write=write_at_most(7))
    threads, count = 32, 5
    logs = [open_log(tmp_path) for _ in range(threads)]
    with ThreadPoolExecutor(threads) as pool:
        for done in [
            pool.submit(append_numbers, log, str(number), count) for number, log in enumerate(logs)
        ]:
            done.result(WATCHDOG_S)
    found = names(logs[0].path.read_bytes())
    assert len(found) == threads * count
    for who in map(str, range(threads)):
        assert [number for writer, number in found if writer == who] == [*range(count)]


@pytest.mark.parametrize("same", [True, False], ids=["one handle", "two handles"])
def test_threads_exclude_each_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, same: bool
) -> None:
    log = open_log(tmp_path, lock_timeout=0)
    other = log if same else open_log(tmp_path, lock_timeout=0)
    with standing_still(monkeypatch, log) as end:
        with pytest.raises(omnelog.LockTimeout) as caught:
            other.append(event(1))
        assert caught.value.holder_pid == os.getpid()
        assert caught.value.filename == str(log.path)
        end()
        other.append(event(2))
    assert names(log.path.read_bytes()) == [("slow", 0), ("w", 2)]


@pytest.mark.spec("APP-6")
def test_the_wait_for_another_thread_ends_at_the_deadline_and_is_reported_in_seconds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The test moves the clock: each wait takes the time that is left and half a second more."""
    log, now = open_log(tmp_path, lock_timeout=2.5), [7.0]
    asked: list[float] = []

    class Taken:
        """A mutex that another thread holds."""

        def _is_owned(self) -> bool:
            return False

        def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
            if blocking:
                asked.append(timeout)
                now[0] += timeout + 0.5
            return False

        def release(self) -> None:
            raise RuntimeError

    mutex = mutex_of(log)
    replace_mutex(log, Taken())
    with monkeypatch.context() as by_hand:
        by_hand.setattr(APPENDER, "monotonic", lambda: now[0])
        with pytest.raises(omnelog.LockTimeout) as caught:
            log.append(event(1))
    replace_mutex(log, mutex)
    assert asked == [2.5]
    assert caught.value.waited_s == 3.0


@pytest.mark.spec("APP-6")
def test_one_deadline_covers_the_wait_for_threads_and_for_processes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of ten seconds, nine pass before the mutex is free: one is left for the lock of the file.

    The test moves the clock, so it proves the arithmetic, but not how long the system sleeps.
    """
    log, now = open_log(tmp_path, lock_timeout=10.0), [0.0]
    monkeypatch.setattr(APPENDER, "LONG_HOLD_S", float("inf"))

    def sleep(seconds: float) -> None:
        assert seconds >= 0
        now[0] += seconds

    with standing_still(monkeypatch, log) as end:
        for module in (APPENDER, LOCK):
            monkeypatch.setattr(module, "monotonic", lambda: now[0])
            monkeypatch.setattr(module, "sleep", sleep)

        def patience(*numbers: float) -> float:
            now[0] += 9.0
            end()
            free.append(holding(log.path))
            free[0].__enter__()
            return min(*numbers)

        free: list[Any] = []
        monkeypatch.setattr(APPENDER, "min", patience, raising=False)
        try:
            with pytest.raises(omnelog.LockTimeout) as caught:
                log.append(event(1))
        finally:
            free[0].__exit__(None, None, None)
    assert caught.value.waited_s == pytest.approx(10.0)
    assert now[0] == pytest.approx(10.0)


@pytest.mark.spec("APP-38")
def test_an_interrupt_as_an_append_ends_does_not_close_the_file_under_another_threads_append(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other thread enters as soon as the mutex is free, before the interrupted append ends."""
    log = open_log(tmp_path, lock_timeout=0)
    with ThreadPoolExecutor(1) as pool:
        gate = Gate()

        def write(descriptor: int, data: Any) -> int:
            gate.stand_still()
            return os.write(descriptor, data)

        class Mutex:
            """A mutex whose release lets another thread in, and is then interrupted."""

            def __init__(self, mutex: Any) -> None:
                self.mutex = mutex
                self.appending: Any = None

            def __getattr__(self, name: str) -> Any:
                return getattr(self.mutex, name)

            def release(self) -> None:
                self.mutex.release()
                if self.appending is None:
                    between(monkeypatch, write=write)
                    self.appending = pool.submit(log.append, event(2))
                    gate.reached()
                    raise KeyboardInterrupt

        mutex = Mutex(mutex_of(log))
        replace_mutex(log, mutex)
        with pytest.raises(KeyboardInterrupt):
            log.append(event(1))
        is_held = not lock_is_free(log.path)
        gate.open()
        mutex.appending.result(WATCHDOG_S)
    assert is_held
    assert names(log.path.read_bytes()) == [("w", 1), ("w", 2)]


# Closing.


@pytest.mark.spec("APP-43")
def test_closing_waits_for_the_append_that_another_thread_is_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = open_log(tmp_path, lock_timeout=0)  # the timeout is only for appends
    order: list[bytes] = []

    def close() -> None:
        log.close()
        order.append(log.path.read_bytes())

    with standing_still(monkeypatch, log) as end, ThreadPoolExecutor(1) as pool:
        closing = pool.submit(close)
        assert not wait([closing], 0.02).done, "closed during an append"
        assert order == []
        end()
        closing.result(WATCHDOG_S)
    assert order == [line(0, "slow")]
    with pytest.raises(omnelog.LogClosed):
        log.append(event(1))


@pytest.mark.spec("DUR-6")
def test_closing_waits_for_a_sync_that_another_thread_is_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise another file could get the number of the descriptor, and be synced instead."""
    log, stayed_open = open_log(tmp_path, durable=True), []
    gate = Gate()

    def sync(descriptor: int) -> None:
        gate.stand_still()
        stayed_open.append(os.readlink(f"/proc/self/fd/{descriptor}") == str(log.path))

    between(monkeypatch, fdatasync=sync)
    with ThreadPoolExecutor(2) as pool:
        appending = pool.submit(log.append, event(0))
        gate.reached()
        closing = pool.submit(log.close)
        assert not wait([closing], 0.02).done, "closed during a sync"
        gate.open()
        appending.result(WATCHDOG_S)
        closing.result(WATCHDOG_S)
    assert stayed_open == [True]


def test_threads_that_wait_while_a_handle_is_closed_end_one_way_or_the_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = open_log(tmp_path)

    def append(number: int) -> bool:
        try:
            log.append(event(number))
        except omnelog.LogClosed:
            return False
        return True

    with standing_still(monkeypatch, log) as end, ThreadPoolExecutor(9) as pool:
        appending = [pool.submit(append, number) for number in range(8)]
        closing = pool.submit(log.close)
        end()
        closing.result(WATCHDOG_S)
        appended = [number for number, done in enumerate(appending) if done.result(WATCHDOG_S)]
    found = names(log.path.read_bytes())
    assert found[0] == ("slow", 0)
    assert sorted(number for _, number in found[1:]) == appended
    assert open_descriptors(tmp_path) == []


def test_closing_twice_is_harmless_and_nothing_is_appended_afterwards(tmp_path: Path) -> None:
    with open_log(tmp_path) as log:
        log.append(event(1))
    log.close()
    log.close()
    with pytest.raises(omnelog.LogClosed, match=re.escape(str(log.path))):
        log.append(event(2))
    with pytest.raises(omnelog.LogClosed, match=re.escape(str(log.path))):
        log.append_many([event(2)])
    assert open_descriptors(tmp_path) == []
    assert log.path.read_bytes() == line(1)


def test_a_handle_that_nobody_holds_keeps_neither_file_nor_lock(tmp_path: Path) -> None:
    """The file closes itself without a warning, because nothing is buffered.

    The tests turn a warning into an error.
    """
    log = omnelog.EventLog.for_run(tmp_path, RUN)
    log.append(event(1))
    path, handles = log.path, [log]
    del log
    copies = [pickle.loads(pickle.dumps(handles[0]))]
    copies[0].append(event(2))
    copies.clear()
    handles.clear()
    assert open_descriptors(tmp_path) == []
    assert lock_is_free(path)


def test_a_thread_that_ends_leaves_its_handle_usable(tmp_path: Path) -> None:
    """The system reuses thread identifiers, so a new thread may have that of an ended one."""
    log = open_log(tmp_path, lock_timeout=0)
    for number in range(50):
        thread = threading.Thread(target=log.append, args=(event(number),))
        thread.start()
        thread.join()
    assert names(log.path.read_bytes()) == [("w", number) for number in range(50)]


# Pickle.


@pytest.mark.spec("APP-50")
def test_a_pickled_handle_opens_the_same_log_with_the_same_settings(tmp_path: Path) -> None:
    log = open_log(tmp_path, lock_timeout=1.5, durable=True)
    log.append(event(1))
    with pickle.loads(pickle.dumps(log)) as copy:
        assert (copy.path, copy.lock_timeout, copy.durable) == (log.path, 1.5, True)
        copy.append(event(2))
        copy.lock_timeout = 0
        with holding(log.path), pytest.raises(omnelog.LockTimeout):
            copy.append(event(0))
    log.append(event(3))
    assert names(log.path.read_bytes()) == [("w", 1), ("w", 2), ("w", 3)]


@pytest.mark.spec("OBJ-10")
def test_a_pickled_handle_on_a_line_log_has_the_same_functions_and_settings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    log = omnelog.LineLog(
        "log", encode=json.dumps, decode=json.loads, lock_timeout=1.5, durable=True
    )
    data = pickle.dumps(log)
    log.close()
    monkeypatch.chdir("/")
    with pickle.loads(data) as copy:
        assert (copy.path, copy.lock_timeout, copy.durable) == (tmp_path / "log", 1.5, True)
        copy.append({"n": 1})
        copy.path.write_bytes(b'{"number":NaN}')
        copy.repair()
    assert functions_of(copy) == (json.dumps, json.loads)
    assert copy.path.read_bytes() == b""
    assert quarantine(copy.path) == [b'{"number":NaN}']


def test_a_handle_is_pickled_while_another_thread_is_in_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = open_log(tmp_path, lock_timeout=0)
    with standing_still(monkeypatch, log) as end, pickle.loads(pickle.dumps(log)) as copy:
        with pytest.raises(omnelog.LockTimeout):
            copy.append(event(1))
        end()
        copy.append(event(2))
    assert names(log.path.read_bytes()) == [("slow", 0), ("w", 2)]


@pytest.mark.spec("APP-50")
def test_a_pickled_handle_finds_its_log_from_any_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    log = open_log(Path("volume"))
    data = pickle.dumps(log)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    log.append(event(1))
    with pickle.loads(data) as copy:
        copy.append(event(2))
    assert names(log.path.read_bytes()) == [("w", 1), ("w", 2)]
    assert [*elsewhere.iterdir()] == []
