# SPDX-License-Identifier: MIT
"""Strike between any two steps of an append, on every way through the append.

A trace function runs at the very place it was called for, and its exception comes out of that
place, as with a signal handler. A `Strike` uses this to act at one chosen bytecode. `WAYS` are the
ways that an append can take; each is arranged again before every strike.
"""

import _weakrefset
import dis
import gc
import os
import sys
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from threading import get_ident
from types import CodeType, FrameType
from typing import Any, ClassVar, ParamSpec, Self

import hypothesis
import pytest

from .. import omnelog
from .logs import (
    APPENDER,
    LOCK,
    between,
    event,
    holding,
    line,
    lock_is_free,
    names,
    open_log,
)
from .processes import WATCHDOG_S

SPARED = (
    os.path.dirname(__file__),
    _weakrefset.__file__,
    os.path.dirname(hypothesis.__file__),  # the garbage collector calls it
)


class _Places:
    """What a `Strike` must know about the bytecodes of one code object."""

    _known: ClassVar[dict[int, "_Places"]] = {}

    def __init__(self, code: CodeType) -> None:
        self.code = code  # kept alive, so that no other code object can get its id
        steps = [*dis.get_instructions(code)]
        ends = {at.offset for at in steps if at.argrepr == "INTRINSIC_STOPITERATION_ERROR"}
        reraised = {at + 2 for at in ends}
        nothing_done = {at.offset for at in steps if at.opname in {"NOP", "NOT_TAKEN"}}
        self.unheeded = frozenset(nothing_done | ends | reraised)
        """The places where CPython calls a trace function, but no signal handler.

        Some are bytecodes that do nothing. CPython may leave out the NOP of a ``try:`` that is
        inside another, and CPython 3.14 the NOT_TAKEN after a jump. The others are the end of a
        generator, where a StopIteration becomes a RuntimeError. CPython 3.12 goes there to close a
        generator that is dropped, and no exception comes out of that.
        """
        looks = ("CALL", "RESUME", "JUMP_BACKWARD")
        self.looks = frozenset(at.offset for at in steps if at.opname.startswith(looks))
        """The bytecodes after which CPython calls signal handlers: calls, starts and loops."""

    @classmethod
    def of(cls, code: CodeType) -> "_Places":
        """Return the places of `code`, by its id, because its hash takes long."""
        places = cls._known.get(id(code))
        if places is None:
            places = cls._known[id(code)] = cls(code)
        return places


Test = ParamSpec("Test")


def in_a_thread(test: Callable[Test, None]) -> Callable[Test, None]:
    """Run a test in a thread of its own.

    An exception that is raised between two bytecodes, for example in the clean-up of an ``except``
    clause, may stay in the sys.exc_info() of its thread for ever. Every later error of the thread
    would be chained to that exception. The end of the thread removes it.
    """

    @wraps(test)
    def run(*args: Test.args, **kwargs: Test.kwargs) -> None:
        with ThreadPoolExecutor(1) as pool:
            pool.submit(test, *args, **kwargs).result()

    return run


class Strike:
    """Call `act` before bytecode number `at` of what this thread runs.

    Bytecodes of the tests do not count. Those of callbacks of weak references and of the garbage
    collector do not count either, because Python lets no exception out of such callbacks. With
    `at_looks`, only the bytecodes count before which CPython looks for signals. `then` adds more
    strikes: each number says how many calls after the strike before it.
    """

    def __init__(
        self,
        at: int,
        act: Callable[[], None],
        *,
        at_looks: bool = False,
        then: Sequence[int] = (),
    ) -> None:
        self.at, self.act, self.seen = at, act, 0
        self.where, self.at_looks = "nowhere", at_looks
        self.last: tuple[CodeType | None, int] = None, -1
        self.file = ""  # of the code that was struck
        self.then = list(then)
        self.struck = 0  # how often it has struck

    def __enter__(self) -> Self:
        self.thread = get_ident()
        self._watch()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop()

    def step(self, code: CodeType, offset: int) -> None:
        """Count the bytecode at `offset`, which is about to run."""
        places = _Places.of(code)
        if offset in places.unheeded:
            return
        if self.at_looks:
            before, last = self.last
            self.last = code, offset
            if before is not code or last not in places.looks:
                return
        self.seen += 1
        if self.seen == self.at:
            self.where = f"{code.co_name}, offset {offset}"
            self.file = code.co_filename
            self.hit()

    def hit(self) -> None:
        """Strike, and get ready for the next time."""
        self.struck += 1
        self._stop()
        if self.then:
            self.at, self.seen, self.at_looks = self.then.pop(0), 0, True
            self._watch_again()
        self.act()

    # Trace functions see every bytecode up to CPython 3.11. In 3.12 and 3.13.0 they may miss some.

    if sys.version_info >= (3, 12):

        def _watch(self) -> None:
            monitoring = sys.monitoring
            monitoring.use_tool_id(monitoring.DEBUGGER_ID, "strike")
            instruction = monitoring.events.INSTRUCTION
            monitoring.register_callback(monitoring.DEBUGGER_ID, instruction, self._instruction)
            monitoring.set_events(monitoring.DEBUGGER_ID, instruction)
            self.watching = True

        def _watch_again(self) -> None:
            self.last = None, -1
            self._watch()

        def _stop(self) -> None:
            if self.watching:
                self.watching = False
                sys.monitoring.set_events(sys.monitoring.DEBUGGER_ID, 0)
                sys.monitoring.free_tool_id(sys.monitoring.DEBUGGER_ID)

        def _instruction(self, code: CodeType, offset: int) -> None:
            if get_ident() == self.thread and not code.co_filename.startswith(SPARED):
                self.step(code, offset)

    else:

        def _watch(self) -> None:
            self.before = sys.gettrace()
            sys.settrace(self._trace)

        def _watch_again(self) -> None:
            # CPython removes a trace function that raises. A profile function then replaces it,
            # which is called after each call into C. A trace function replaces that one in turn.
            if self.struck % 2:
                sys.setprofile(self._profile)
                return
            frame: FrameType | None = sys._getframe()
            while frame is not None:
                if not frame.f_code.co_filename.startswith(SPARED):
                    frame.f_trace, frame.f_trace_opcodes = self._trace, True
                frame = frame.f_back
            sys.settrace(self._trace)

        def _stop(self) -> None:
            sys.setprofile(None)
            sys.settrace(self.before)

        def _profile(self, frame: FrameType, kind: str, _: object) -> None:
            if kind == "c_return" and not frame.f_code.co_filename.startswith(SPARED):
                self.seen += 1
                if self.seen == self.at:
                    self.hit()

        def _trace(self, frame: FrameType, kind: str, _: object) -> Any:
            if kind == "call":
                if frame.f_code.co_filename.startswith(SPARED):
                    return None
                frame.f_trace_opcodes, frame.f_trace_lines = True, False
            elif kind == "opcode":
                self.step(frame.f_code, frame.f_lasti)
            return self._trace


def with_system(patch: pytest.MonkeyPatch, **functions: Callable[..., Any]) -> None:
    """Replace functions as `between` does, and let no sync wait for a disk."""
    quick: Any = {"fsync": lambda _: None, "fdatasync": lambda _: None}
    between(patch, **(quick | functions))


Arrange = Callable[["omnelog.EventLog", pytest.MonkeyPatch, ExitStack], None]


def uncontended(_log: "omnelog.EventLog", _patch: pytest.MonkeyPatch, _stack: ExitStack) -> None:
    """No other writer is there."""


def reopened(log: "omnelog.EventLog", patch: pytest.MonkeyPatch, _: ExitStack) -> None:
    """The append finds another file at the path, and opens that one."""
    patch.setattr(APPENDER, "PATH_CHECK_INTERVAL_S", 0.0)
    new = log.path.with_suffix(".new")
    new.touch()
    new.replace(log.path)


def looked_at(_log: "omnelog.EventLog", patch: pytest.MonkeyPatch, _stack: ExitStack) -> None:
    """The append checks that its file is still at the path."""
    patch.setattr(APPENDER, "PATH_CHECK_INTERVAL_S", 0.0)


def contended(log: "omnelog.EventLog", patch: pytest.MonkeyPatch, stack: ExitStack) -> None:
    """Another process holds the lock, and releases it while the append waits."""
    free, here = stack.enter_context(holding(log.path)), os.getpid()
    patch.setattr(LOCK, "sleep", lambda _: free() if os.getpid() == here else None)


def polite(log: "omnelog.EventLog", patch: pytest.MonkeyPatch, _: ExitStack) -> None:
    """The handle has held the lock for long, and gives other writers a turn."""
    patch.setattr(APPENDER, "LONG_HOLD_S", -1.0)
    log.append(event(0, "before"))
    patch.setattr(APPENDER, "sleep", lambda _: None)


def torn(log: "omnelog.EventLog", _patch: pytest.MonkeyPatch, _stack: ExitStack) -> None:
    """The log ends in a torn line."""
    with log.path.open("ab") as file:
        file.write(line(0, "torn")[:-9])


def unterminated(log: "omnelog.EventLog", _patch: pytest.MonkeyPatch, _stack: ExitStack) -> None:
    """The log ends in an event that lacks its newline."""
    with log.path.open("ab") as file:
        file.write(line(0, "open")[:-1])


def short_write(_log: "omnelog.EventLog", patch: pytest.MonkeyPatch, _stack: ExitStack) -> None:
    """The system writes a line in pieces."""
    with_system(patch, write=lambda descriptor, data: os.write(descriptor, data[:31]))


def failing_write(_log: "omnelog.EventLog", patch: pytest.MonkeyPatch, _stack: ExitStack) -> None:
    """The system writes a part of a line, and then fails."""
    written: list[int] = []

    def write(descriptor: int, data: Any) -> int:
        if written:
            raise OSError(28, "No space left on device")
        written.append(descriptor)
        return os.write(descriptor, data[:31])

    with_system(patch, write=write)


def timed_out(log: "omnelog.EventLog", _: pytest.MonkeyPatch, stack: ExitStack) -> None:
    """Another process holds the lock, and keeps it."""
    stack.enter_context(holding(log.path))
    log.lock_timeout = 0


def waiting_for_a_thread(
    log: "omnelog.EventLog", patch: pytest.MonkeyPatch, stack: ExitStack
) -> None:
    """Another thread is in an append, which ends when this one is about to wait for it."""
    is_in, go, out = (threading.Lock() for _ in range(3))  # written in C: no strike inside them
    for closed_gate in (is_in, go, out):
        closed_gate.acquire()

    here = threading.get_ident()

    def write(descriptor: int, data: Any) -> int:
        if threading.get_ident() != here:
            is_in.release()
            assert go.acquire(timeout=WATCHDOG_S)
        return os.write(descriptor, data)

    def body() -> None:
        log.append(event(0, "thread"))
        out.release()

    ended: list[bool] = []

    def end() -> None:
        if not ended:
            ended.append(True)
            go.release()
            assert out.acquire(timeout=WATCHDOG_S)

    def end_and_min(*numbers: float) -> float:
        end()
        return min(*numbers)

    with_system(patch, write=write)
    patch.setattr(APPENDER, "min", end_and_min, raising=False)
    thread = threading.Thread(target=body)
    thread.start()
    stack.callback(thread.join)
    stack.callback(end)
    assert is_in.acquire(timeout=WATCHDOG_S)


def failing_sync(_log: "omnelog.EventLog", patch: pytest.MonkeyPatch, _stack: ExitStack) -> None:
    """The line gets into the file, but the sync fails."""

    def fdatasync(_: int) -> None:
        raise OSError(5, "Input/output error")

    with_system(patch, fdatasync=fdatasync)


@dataclass(frozen=True)
class Way:
    """A way that an append can take."""

    arrange: Arrange
    expected: type[BaseException] | None = None  # what it raises if nothing interrupts it
    durable: bool = False
    batch: int = 1
    leaves_tail: bool = False  # an interrupt of the clean-up may leave a torn tail
    dies: bool = False  # the handle may have to be replaced afterwards


WAYS = {
    "uncontended": Way(uncontended),
    "batch": Way(uncontended, batch=3),
    "durable": Way(uncontended, durable=True),
    "looked at": Way(looked_at),
    "reopened": Way(reopened),
    "reopened durable": Way(reopened, durable=True),
    "contended": Way(contended),
    "waiting for a thread": Way(waiting_for_a_thread),
    "polite": Way(polite),
    "torn tail": Way(torn),
    "unterminated tail": Way(unterminated),
    "short write": Way(short_write),
    "short write of a batch": Way(short_write, batch=3),
    "failing write": Way(failing_write, omnelog.LogIOError, leaves_tail=True),
    "failing sync": Way(failing_sync, omnelog.AppendIndeterminate, durable=True, dies=True),
    "timed out": Way(timed_out, omnelog.LockTimeout),
}


@pytest.fixture(autouse=True)
def nothing_but_the_append(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Make every append of a way take the same path through the core.

    Tracing takes time, but no handle gives others a turn because of that. No sync waits for a disk.
    The garbage collector is off, because it runs other code, and no exception comes out of that.
    """
    monkeypatch.setattr(APPENDER, "LONG_HOLD_S", float("inf"))
    with_system(monkeypatch)
    gc.disable()
    yield
    with warnings.catch_warnings():  # an interrupt may have dropped a file that was just opened
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()
    gc.enable()


@pytest.fixture
def lost(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """The types of exceptions that Python dropped, because a finalizer raised them for example."""
    lost: list[object] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda what: lost.append(what.exc_type))
    return lost


@pytest.fixture
def other_thread() -> Iterator[ThreadPoolExecutor]:
    """A thread besides this one."""
    with ThreadPoolExecutor(1) as pool:
        yield pool


class Bench:
    """A log whose appends are struck, and the checks of what must be true afterwards."""

    def __init__(self, root: Path, way: Way, pool: ThreadPoolExecutor) -> None:
        self.root, self.way, self.pool = root, way, pool
        self.log = open_log(root, durable=way.durable)
        self.count = 0
        self.where = ""
        self.file = ""  # of the code that was struck

    def strike(
        self,
        at: int,
        act: Callable[[], None],
        *,
        at_looks: bool = False,
        then: Sequence[int] = (),
    ) -> tuple[BaseException | None, bool]:
        """Append while `act` strikes at bytecode `at`; return the exception, and if it struck."""
        self.count += 1
        self.log.lock_timeout = 60.0
        size = self.log.path.stat().st_size
        outcome: BaseException | None = None
        strike = Strike(at, act, at_looks=at_looks, then=then)
        with pytest.MonkeyPatch.context() as patch, ExitStack() as stack:
            self.way.arrange(self.log, patch, stack)
            self.before = min(size, self.log.path.stat().st_size)  # a new file may be shorter
            try:
                if self.way.batch == 1:
                    one = event(self.count, "struck")
                    with strike:
                        self.log.append(one)
                else:
                    batch = [event(self.count, "struck")] * self.way.batch
                    with strike:
                        self.log.append_many(batch)
            except BaseException as error:  # any exception is an outcome
                outcome = error
        self.where = f"struck at bytecode {at}: {strike.where}"
        self.file = strike.file
        return outcome, strike.struck > 0

    def fresh(self) -> bytes:
        """The bytes that are in the log since the strike."""
        with self.log.path.open("rb") as file:
            file.seek(self.before)
            return file.read()

    def look(self) -> int:
        """Check that no lock leaked and appends work; return how many struck events are there."""
        path, log = self.log.path, self.log
        assert lock_is_free(path), f"the lock of the file is leaked; {self.where}"
        tail = self.fresh().rpartition(b"\n")[2]
        if tail and self.way.arrange not in (torn, unterminated):
            assert self.way.leaves_tail, f"half of an append; {self.where}"
        log.lock_timeout = 0
        if self.way.dies:
            with suppress(omnelog.LogIOError):
                self.pool.submit(log.append, event(self.count, "old")).result()
            log.close()
            self.log = log = open_log(self.root, durable=True, lock_timeout=0)
        try:
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(APPENDER, "PATH_CHECK_INTERVAL_S", 0.0)
                self.pool.submit(log.append, event(self.count, "other")).result(WATCHDOG_S)
                log.append(event(self.count, "own"))
        except omnelog.OmnelogError as error:
            raise AssertionError(f"the handle does not work again; {self.where}") from error
        found = names(self.fresh())
        ignored = {"before", "thread", "open", "old", "nested"}
        found = [name for name in found if name[0] not in ignored]
        struck, mine = ("struck", self.count), [("other", self.count), ("own", self.count)]
        whole = found.count(struck)
        assert found == [struck] * whole + mine
        return whole
