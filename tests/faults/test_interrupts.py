# SPDX-License-Identifier: MIT
"""An exception or a signal handler may strike between any two steps of an append.

The first half strikes at the bytecodes of an append, on every way through it, in the frames of the
core and of everything it calls. It uses a trace function, whose exception comes out of the very
place it was called for, as that of a signal handler does. The second half uses real signals. After
each strike the lock of the file is free, the mutex is free, the log is valid, the append is in it
whole or not at all, and the handle works.

``OMNELOG_INTERRUPTS`` is the number of real signals (3,000, or 100,000 in the long versions). If it
is 100,000 or more, the tests leave out no bytecode.
"""

import os
import random
import signal
import threading
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from .. import omnelog
from ..inside import file_of, is_closed, mutex_of
from .counts import INTERRUPTED, INTERRUPTS, Count
from .logs import close_logs, event, line, lock_is_free, names, open_log
from .processes import WATCHDOG_S
from .strikes import (
    WAYS,
    Bench,
    Strike,
    failing_write,
    in_a_thread,
    lost,
    nothing_but_the_append,
    other_thread,
    torn,
    with_system,
)

__all__ = ["close_logs", "lost", "nothing_but_the_append", "other_thread"]  # fixtures

STEP = 1 if INTERRUPTS >= 100_000 else 5
"""By default, handlers that append or raise strike at every fifth bytecode only.

So do interrupts of opening and reading.
"""


def interrupt() -> None:
    """Raise what Python raises when a user types ^C."""
    raise KeyboardInterrupt


@pytest.mark.spec("APP-38", "LOCK-15")
@pytest.mark.parametrize("name", WAYS)
@in_a_thread
def test_an_interrupt_wherever_one_can_strike_leaks_no_lock_and_no_half_line(
    tmp_path: Path, other_thread: ThreadPoolExecutor, name: str, count: Count
) -> None:
    way = WAYS[name]
    bench = Bench(tmp_path, way, other_thread)
    at, struck = 0, True
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # of a file just opened
        while struck:
            at += 1
            outcome, struck = bench.strike(at, interrupt, at_looks=True)
            whole = bench.look()
            if struck:
                assert isinstance(outcome, KeyboardInterrupt), (
                    f"{bench.where}: {outcome!r} came out"
                )
                assert 0 <= whole <= way.batch
                assert way.batch > 1 or way.expected is not omnelog.LockTimeout or not whole
            else:
                assert type(outcome) is (way.expected or type(None)), outcome
    assert at > 15, "this struck nowhere"
    count(INTERRUPTED, at - 1)


@pytest.mark.spec("APP-42")
@pytest.mark.parametrize("name", WAYS)
@in_a_thread
def test_an_append_from_a_handler_at_any_bytecode_is_whole_or_refused_at_once(
    tmp_path: Path, other_thread: ThreadPoolExecutor, name: str
) -> None:
    """A nested append raises LogBusy and never hangs; the append that it interrupts still works."""
    way = WAYS[name]
    bench = Bench(tmp_path, way, other_thread)
    outcomes: dict[object, int] = {}

    def nested() -> None:
        patience, bench.log.lock_timeout = bench.log.lock_timeout, 0
        before = bench.fresh().count(b"nested")
        try:
            bench.log.append(event(0, "nested"))
            result: object = None
        except omnelog.OmnelogError as error:
            result = type(error)
        bench.log.lock_timeout = patience
        written = bench.fresh().count(b"nested") - before
        assert written == (result in (None, omnelog.AppendIndeterminate))
        outcomes[result] = outcomes.get(result, 0) + 1

    at, struck = 0, True
    while struck:
        at += STEP
        outcome, struck = bench.strike(at, nested)
        whole = bench.look()
        if way.dies and outcome is not None:
            assert isinstance(outcome, omnelog.AppendIndeterminate | omnelog.LogIOError)
        elif way.arrange is failing_write and outcome is None:
            assert None not in outcomes, "the nested one did not take the failure in its stead"
        elif way.expected:
            assert isinstance(outcome, way.expected), outcome
        else:
            assert outcome is None, f"{bench.where}: {outcome!r}"
            assert whole == way.batch
    assert outcomes[omnelog.LogBusy] > 10


@in_a_thread
def test_closing_from_a_handler_at_any_bytecode_of_an_append_is_done_or_refused_at_once(
    tmp_path: Path, other_thread: ThreadPoolExecutor
) -> None:
    bench = Bench(tmp_path, WAYS["uncontended"], other_thread)
    outcomes: set[object] = set()

    def nested() -> None:
        try:
            bench.log.close()
            outcomes.add(None)
        except omnelog.LogBusy:
            outcomes.add(omnelog.LogBusy)

    at, struck = 0, True
    while struck:
        at += 1
        outcome, struck = bench.strike(at, nested)
        assert outcome is None or isinstance(outcome, omnelog.LogClosed)
        path = bench.log.path
        assert names(bench.fresh()) == [("struck", bench.count)] * (not outcome)
        assert lock_is_free(path)
        bench.log = open_log(tmp_path)
    assert outcomes == {None, omnelog.LogBusy}


@in_a_thread
def test_an_append_from_a_handler_at_any_bytecode_of_closing_never_hangs(tmp_path: Path) -> None:
    """Even if that append fails, the handle is closed in the end, and no lock is leaked."""
    at, struck, other = 0, True, 0
    for full in (False, True):
        at, struck = 0, True
        while struck:
            at += 1
            log = open_log(tmp_path, lock_timeout=0)
            size = log.path.stat().st_size

            def nested(log: "omnelog.EventLog" = log, *, full: bool = full) -> None:
                with pytest.MonkeyPatch.context() as patch, suppress(omnelog.OmnelogError):
                    if full:
                        failing_write(log, patch, ExitStack())
                    log.append(event(0, "nested"))

            strike = Strike(at, nested)
            with strike:
                log.close()
            struck = strike.struck > 0
            assert lock_is_free(log.path)
            assert names(log.path.read_bytes()[size:]) in ([], [("nested", 0)])
            with pytest.raises(omnelog.LogClosed):
                log.append(event(1))
            other += 1
    assert other > 50


@pytest.mark.parametrize("name", ["uncontended", "torn tail", "contended", "waiting for a thread"])
@in_a_thread
def test_an_append_that_fails_in_a_handler_leaves_the_interrupted_one_its_locks(
    tmp_path: Path, other_thread: ThreadPoolExecutor, name: str
) -> None:
    way = WAYS[name]
    bench = Bench(tmp_path, way, other_thread)
    at, struck = 0, True

    def nested() -> None:
        patience, bench.log.lock_timeout = bench.log.lock_timeout, 0
        with pytest.MonkeyPatch.context() as patch, suppress(omnelog.OmnelogError):
            with_system(patch, write=no_room)
            bench.log.append(event(0, "nested"))
        bench.log.lock_timeout = patience

    def no_room(_: int, data: Any) -> int:
        raise OSError(28, "No space left on device")

    while struck:
        at += STEP
        outcome, struck = bench.strike(at, nested)
        assert outcome is None, f"{bench.where}: {outcome!r}"
        assert bench.look() == 1


@pytest.mark.parametrize("name", ["uncontended", "batch", "torn tail", "short write", "durable"])
@in_a_thread
def test_what_a_handler_raises_comes_out_and_frees_the_lock_whatever_its_class(
    tmp_path: Path, other_thread: ThreadPoolExecutor, name: str
) -> None:
    """A handler of SIGALRM may raise TimeoutError, an OSError; one that appends, LockTimeout.

    The core must not treat such an exception as an error of the system, or of the append that the
    handler interrupts.
    """
    bench = Bench(tmp_path, WAYS[name], other_thread)
    raised: list[BaseException] = []
    closed = open_log(tmp_path)
    closed.close()
    impatient = open_log(tmp_path, lock_timeout=0)

    def alarm() -> None:
        raise TimeoutError("too slow")

    def append_with_a_closed_handle() -> None:
        closed.append(event(0, "nested"))

    def append_with_another_handle() -> None:
        impatient.append(event(0, "nested"))

    for handler in (alarm, append_with_a_closed_handle, append_with_another_handle):
        at, struck = 0, True

        def act(handler: Callable[[], None] = handler) -> None:
            try:
                handler()
            except BaseException as error:
                raised.append(error)
                raise

        while struck:
            at += STEP
            raised.clear()
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ResourceWarning)
                outcome, struck = bench.strike(at, act)
            bench.look()
            expected = raised[0] if raised else None
            if isinstance(outcome, omnelog.SerializeError):  # the strike was in the encoder
                outcome = outcome.__cause__
            assert outcome is expected, f"{bench.where}: {outcome!r} instead of {expected!r}"


def test_a_handler_that_appends_with_another_handle_waits_no_longer_than_its_deadline(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It cannot get the lock, because its own thread holds it and cannot continue meanwhile."""
    log, other = open_log(tmp_path), open_log(tmp_path, lock_timeout=0.02)

    def write(descriptor: int, data: Any) -> int:
        monkeypatch.undo()
        with pytest.raises(omnelog.LockTimeout) as caught:
            other.append(event(2))
        assert caught.value.holder_pid == os.getpid()
        return os.write(descriptor, data)

    with_system(monkeypatch, write=write)
    log.append(event(1))
    other.append(event(3))
    assert names(log.path.read_bytes()) == [("w", 1), ("w", 3)]


# Calls other than appends.


@in_a_thread
def test_an_interrupt_between_any_two_bytecodes_of_opening_leaves_nothing_locked(
    tmp_path: Path,
) -> None:
    at, struck = 0, True
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        while struck:
            at += STEP
            strike = Strike(at, interrupt)
            with suppress(KeyboardInterrupt), strike:
                open_log(tmp_path, durable=at % 2 == 0)
            struck = strike.struck > 0
            log = open_log(tmp_path, lock_timeout=0)
            log.append(event(at))
            log.close()
    assert names(log.path.read_bytes()) == [("w", number) for number in range(STEP, at + 1, STEP)]


@pytest.mark.parametrize("durable", [False, True], ids=["quick", "durable"])
@in_a_thread
def test_an_interrupt_wherever_signals_strike_in_opening_keeps_no_other_thread_from_it(
    tmp_path: Path, other_thread: ThreadPoolExecutor, *, durable: bool
) -> None:
    """A lock that is held during an opening, against forks for example, is free again."""

    def open_as_well() -> None:
        with open_log(tmp_path, lock_timeout=0) as log:
            log.append(event(at))

    at, struck = 0, True
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        while struck:
            at += 1
            strike = Strike(at, interrupt, at_looks=True)
            with suppress(KeyboardInterrupt), strike:
                open_log(tmp_path, durable=durable)
            struck = strike.struck > 0
            other_thread.submit(open_as_well).result(WATCHDOG_S)
    assert at > 20, "this struck nowhere"
    path = omnelog.events_log_path(tmp_path, "r")
    assert names(path.read_bytes()) == [("w", number) for number in range(1, at + 1)]


@in_a_thread
def test_an_interrupt_wherever_signals_strike_in_closing_is_got_over_by_closing(
    tmp_path: Path, other_thread: ThreadPoolExecutor
) -> None:
    """Another thread can open and close the log, too."""
    at, struck = 0, True
    while struck:
        at += 1
        log = open_log(tmp_path, lock_timeout=0)
        log.append(event(at))
        strike = Strike(at, interrupt, at_looks=True)
        with suppress(KeyboardInterrupt), strike:
            log.close()
        struck = strike.struck > 0
        log.close()
        with pytest.raises(omnelog.LogClosed):
            log.append(event(0))
        assert lock_is_free(log.path)
        read = other_thread.submit(omnelog.read_run, tmp_path, "r")
        assert len(read.result(WATCHDOG_S)) == at


THEN = [(), *((n,) for n in range(1, 13)), *((n, m) for n in (1, 2, 3, 5) for m in (1, 2, 3, 5))]
"""After how many more calls the second and the third interrupt come."""


def mutex_is_free(log: "omnelog.EventLog", thread: ThreadPoolExecutor) -> bool:
    """Whether `thread` can acquire the mutex of `log` without waiting."""

    def enter() -> bool:
        entered = mutex_of(log).acquire(blocking=False)
        if entered:
            mutex_of(log).release()
        return bool(entered)

    return thread.submit(enter).result(WATCHDOG_S)


@pytest.mark.spec("APP-43", "LOCK-15")
@pytest.mark.parametrize("then", THEN, ids=str)
@in_a_thread
def test_any_number_of_interrupts_of_closing_leave_nothing_locked(
    tmp_path: Path, other_thread: ThreadPoolExecutor, then: tuple[int, ...]
) -> None:
    at, struck, most = 0, True, 0
    while struck:
        at += 1
        log = open_log(tmp_path, lock_timeout=0)
        strike = Strike(at, interrupt, at_looks=True, then=then)
        with suppress(KeyboardInterrupt), strike:
            log.close()
        struck = strike.struck > 0
        most = max(most, strike.struck)
        assert mutex_is_free(log, other_thread), f"{strike.where}, then {then}"
        assert file_of(log).closed or not is_closed(log), "it stays open"
        assert lock_is_free(log.path)
        other_thread.submit(log.close).result(WATCHDOG_S)
        with pytest.raises(omnelog.LogClosed):
            log.append(event(0))
    assert most > 1 or max(then, default=0) != 1, "it struck only once"


@pytest.mark.spec("APP-38", "LOCK-15")
@pytest.mark.parametrize("then", THEN[1:], ids=str)
@in_a_thread
def test_any_number_of_interrupts_of_a_failing_append_leave_nothing_locked(
    tmp_path: Path, other_thread: ThreadPoolExecutor, then: tuple[int, ...]
) -> None:
    bench = Bench(tmp_path, WAYS["failing write"], other_thread)
    at, struck = 0, True
    while struck:
        at += 1
        outcome, struck = bench.strike(at, interrupt, at_looks=True, then=then)
        expected = KeyboardInterrupt if struck else omnelog.LogIOError
        assert type(outcome) is expected, f"{bench.where}: {outcome!r}"
        assert mutex_is_free(bench.log, other_thread), f"{bench.where}, then {then}"
        bench.look()
    assert at > 20, "this struck nowhere"


@in_a_thread
def test_an_interrupt_between_any_two_bytecodes_of_reading_leaves_nothing_locked(
    tmp_path: Path, lost: list[object]
) -> None:
    log = open_log(tmp_path)
    log.append(event(1))
    torn(log, pytest.MonkeyPatch(), ExitStack())
    at, struck = 0, True
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        while struck:
            at += STEP
            strike = Strike(at, interrupt)
            with suppress(KeyboardInterrupt, omnelog.TornTailError), strike:
                omnelog.read_run(tmp_path, "r")
            struck = strike.struck > 0
            assert lock_is_free(log.path)
    assert {*lost} <= {KeyboardInterrupt}


# Real signals.


class Interrupter:
    """Sends this process signals whose handler raises KeyboardInterrupt, while it is armed."""

    number = signal.SIGALRM

    def __init__(self) -> None:
        self.armed = False

    def handle(self, _number: int, _frame: FrameType | None) -> None:
        """Raise KeyboardInterrupt, as Python does for SIGINT."""
        if self.armed:
            self.armed = False
            raise KeyboardInterrupt

    def arm(self, delay_s: float) -> None:
        """Interrupt the code that runs next."""
        raise NotImplementedError

    def end(self) -> None:
        """Send no more."""


class Timer(Interrupter):
    """Signals of the kernel's interval timer: at any moment, also during system calls."""

    def arm(self, delay_s: float) -> None:
        self.armed = True
        signal.setitimer(signal.ITIMER_REAL, delay_s)

    def end(self) -> None:
        signal.setitimer(signal.ITIMER_REAL, 0)


class Thread(Interrupter):
    """Signals of another thread: at the moments when the interpreter lets it run."""

    number = signal.SIGUSR1

    def __init__(self) -> None:
        super().__init__()
        self.go, self.over = threading.Lock(), False  # in C: not interruptible
        self.go.acquire()
        self.thread = threading.Thread(target=self.send)
        self.thread.start()

    def send(self) -> None:
        """Send a signal each time `arm` is called."""
        main = threading.main_thread().ident
        assert main
        while self.go.acquire() and not self.over:
            signal.pthread_kill(main, self.number)

    def arm(self, delay_s: float) -> None:
        self.armed = True
        self.go.release()

    def end(self) -> None:
        self.over = True
        self.go.release()
        self.thread.join()


class Storm:
    """A handle whose appends are interrupted, and the checks of its log."""

    def __init__(self, root: Path, pool: ThreadPoolExecutor, *, durable: bool) -> None:
        self.log, self.pool = open_log(root, durable=durable, lock_timeout=0), pool
        self.begun = self.done = self.looked = 0  # the numbers of appends
        self.size = 0  # how many bytes of the log were checked

    def append_until_interrupted(self, interrupter: Interrupter, choice: random.Random) -> int:
        """Append events, alone or in batches, sometimes to a torn log; return the batch size."""
        batch = choice.choice((1, 1, 1, 3))
        if choice.random() < 0.1:
            with self.log.path.open("ab") as file:
                file.write(line(0, "torn")[: choice.randrange(1, 60)])
        self.looked = self.done = self.begun
        delay_s = choice.uniform(10e-6, 200e-6)
        # The loop is in a function of its own, because in CPython 3.14 a `try:` around a loop does
        # not cover the jump back, where signals are handled.
        with suppress(KeyboardInterrupt):
            interrupter.arm(delay_s)
            self._append_while_armed(interrupter, batch)
        return batch

    def _append_while_armed(self, interrupter: Interrupter, batch: int) -> None:
        # Python may drop the exception, in a finalizer for example: `armed` shows the strike.
        while interrupter.armed:
            self.begun += 1
            if batch == 1:
                self.log.append(event(self.begun, "storm"))
            else:
                self.log.append_many([event(self.begun, "storm")] * batch)
            self.done = self.begun

    def look(self, batch: int) -> None:
        """Check the log and the locks after the interrupt."""
        path, log = self.log.path, self.log
        assert lock_is_free(path), "the lock of the file is leaked"
        self.pool.submit(log.append, event(self.begun, "other")).result(WATCHDOG_S)
        log.append(event(self.begun, "own"))
        with path.open("rb") as file:
            file.seek(self.size)
            fresh = file.read()
        self.size += len(fresh)
        *found, other, own = names(fresh)
        assert (other, own) == (("other", self.begun), ("own", self.begun))
        sure = [("storm", n + 1) for n in range(self.looked, self.done) for _ in range(batch)]
        assert found[: len(sure)] == sure
        perhaps = found[len(sure) :]
        assert perhaps == [("storm", self.begun)] * len(perhaps)
        assert len(perhaps) <= batch * (self.begun - self.done)


@pytest.mark.parametrize("durable", [False, True], ids=["quick", "durable"])
@pytest.mark.parametrize("kind", [Timer, Thread])
def test_real_interrupts_leak_no_lock_and_no_half_line(
    tmp_path: Path,
    other_thread: ThreadPoolExecutor,
    lost: list[object],
    kind: type[Interrupter],
    count: Count,
    *,
    durable: bool,
) -> None:
    """Python always drops exceptions in a finalizer or in the callback of a weak reference."""
    if threading.current_thread() is not threading.main_thread():
        pytest.skip("REAL INTERRUPTS WERE NOT TESTED: signals need the main thread")
    choice = random.Random(f"{kind.__name__} {durable}")
    storm = Storm(tmp_path, other_thread, durable=durable)
    interrupter = kind()
    before = signal.signal(kind.number, interrupter.handle)
    try:
        for _ in range(-(-INTERRUPTS // 4)):
            storm.look(storm.append_until_interrupted(interrupter, choice))
    finally:
        interrupter.end()
        signal.signal(kind.number, before)
    assert set(lost) <= {KeyboardInterrupt, ResourceWarning}
    assert len(lost) < INTERRUPTS // 20
    count(INTERRUPTED, -(-INTERRUPTS // 4) - len(lost))
