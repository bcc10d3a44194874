# SPDX-License-Identifier: MIT
"""At any depth of the stack, a call works or raises RecursionError, and leaks nothing.

A program that logs in an ``except`` clause may do so when the stack is nearly full. These tests
make each public call with room for 0, 1, 2 … more frames, until it works. After each call the log
is whole, another thread can append and read at once, and no descriptor is leaked. The calls are
made in a thread of their own, so that no other test is near the limit.
"""

import gc
import os
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from threading import Event as Flag
from typing import Any

import pytest

from .. import omnelog
from .logs import (
    RUN,
    between,
    close_logs,
    event,
    line,
    lock_is_free,
    names,
    open_descriptors,
    open_log,
    quarantine,
)
from .processes import WATCHDOG_S

__all__ = ["close_logs"]  # a fixture

MOST_ROOM = 250  # frames: no call needs more
ENOUGH = 5  # times in a row that a call must work

TAILS = {
    "clean": b"",
    "torn": line(1, "tail")[:-9],
    "unterminated": line(1, "tail")[:-1],
    "nested": b'{"type":"pipe.completed","id":"1","ts":"","run_id":"tail","x":%b}'
    % (b"[" * 120 + b"]" * 120),
}
"""The ends of a log: all except the torn one are valid."""

Act = Callable[[], object]


def descend(frames: int, act: Act) -> object:
    """Call `act` from `frames` more frames down, and return what it returns."""
    return descend(frames - 1, act) if frames else act()


def depth() -> int:
    """Return how many frames `descend` can go down from here."""
    low, high = 0, sys.getrecursionlimit()
    while high - low > 1:
        middle = (low + high) // 2
        try:
            descend(middle, int)
            low = middle
        except RecursionError:
            high = middle
    return low


@pytest.fixture
def thread() -> Iterator[ThreadPoolExecutor]:
    """A thread that may come near the limit."""
    with ThreadPoolExecutor(1) as pool:
        yield pool


@pytest.fixture
def other() -> Iterator[ThreadPoolExecutor]:
    """A thread that never comes near the limit."""
    with ThreadPoolExecutor(1) as pool:
        yield pool


@pytest.fixture(autouse=True)
def lost(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[object]]:
    """The types of exceptions in finalizers, which Python drops; only RecursionError may occur."""
    lost: list[object] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda what: lost.append(what.exc_type))
    yield lost
    assert {*lost} <= {RecursionError}


def at_every_depth(
    prepare: Act,
    act: Callable[[], object],
    look: Callable[[object], None],
    expected: type[BaseException] | None = None,
) -> None:
    """Call `act` with more and more room, until it ends as `expected` `ENOUGH` times in a row.

    Call `prepare` before each call and `look` after it. `look` gets what `act` has returned, or the
    class of what it has raised.
    """
    met = 0
    worked = 0
    deepest = depth()
    for room in range(MOST_ROOM):
        prepare()
        outcome: object
        try:
            outcome = descend(deepest - room, act)
        except BaseException as error:
            outcome = type(error)
        gc.collect(0)
        if outcome is RecursionError:
            met += 1
            worked = 0
        else:
            raised = outcome if isinstance(outcome, type) else None
            assert raised is expected, f"with room for {room} frames: {raised}"
            worked += 1
        look(outcome)
        if worked == ENOUGH:
            assert met, "the limit was never met"
            return
    raise AssertionError("the call never worked")


class Log:
    """A log with a tail, which is made again before each call."""

    def __init__(
        self, root: Path, tail: bytes, other: ThreadPoolExecutor, *, durable: bool = False
    ) -> None:
        self.root = root
        self.tail = tail
        self.other = other
        self.durable = durable
        self.log = open_log(root, lock_timeout=0, durable=durable)
        self.path = self.log.path
        self.torn = self.path.with_name("events.jsonl.torn")

    def prepare(self) -> None:
        """Make the log as at the beginning: one event of the handle, and the tail."""
        self.torn.unlink(missing_ok=True)
        os.truncate(self.path, 0)
        self.log.append(event(0))
        with self.path.open("ab") as file:
            file.write(self.tail)

    def look(self, appended: int | None) -> None:
        """Check that nothing is leaked and nothing is lost.

        The log must have `appended` lines of the append or, if that is None, at most 3.
        """
        assert lock_is_free(self.path)
        assert len(open_descriptors(self.root)) <= 1
        self.other.submit(self.log.append, event(9, "other")).result(WATCHDOG_S)
        whole = [("tail", 1)] if self.tail and self.tail[-1:] == b"}" else []
        found = names(self.path.read_bytes())
        lines = found.count(("new", 2))
        assert found == [("w", 0), *whole, *[("new", 2)] * lines, ("other", 9)]
        assert lines == appended if appended is not None else lines <= 3
        aside = quarantine(self.path)
        if self.tail and not whole:
            assert aside[-1:] == [self.tail]
        tails = (self.tail, line(2, "new"))
        assert all(any(tail.startswith(piece) for tail in tails) for piece in aside)
        assert whole == [] or aside == [] or self.tail not in aside


@pytest.mark.spec("APP-38", "LOCK-15")
@pytest.mark.parametrize("durable", [False, True], ids=["quick", "durable"])
@pytest.mark.parametrize("tail", TAILS)
@pytest.mark.parametrize("call", ["append", "append_many", "repair"])
def test_an_append_at_any_depth_works_or_is_refused_and_holds_nothing(
    root: Path,
    thread: ThreadPoolExecutor,
    other: ThreadPoolExecutor,
    call: str,
    tail: str,
    *,
    durable: bool,
) -> None:
    log = Log(root, TAILS[tail], other, durable=durable)
    one = event(2, "new")
    acts: dict[str, tuple[Act, int]] = {
        "append": (lambda: log.log.append(one), 1),
        "append_many": (lambda: log.log.append_many([one] * 3), 3),
        "repair": (log.log.repair, 0),
    }
    act, lines = acts[call]

    def look(outcome: object) -> None:
        log.look(None if outcome is RecursionError else lines)

    thread.submit(at_every_depth, log.prepare, act, look).result()


@pytest.mark.spec("APP-38", "APP-27")
@pytest.mark.parametrize("tail", TAILS)
def test_a_write_that_fails_at_any_depth_is_reported_or_refused_and_holds_nothing(
    root: Path, thread: ThreadPoolExecutor, other: ThreadPoolExecutor, tail: str
) -> None:
    log = Log(root, TAILS[tail], other)
    is_full = [False]
    one = event(2, "new")

    def write(descriptor: int, data: Any) -> int:
        if not is_full[0] or data == b"\n":
            return os.write(descriptor, data)
        if len(data) < len(line(2, "new")):
            raise OSError(28, "No space left on device")
        return os.write(descriptor, data[:31])

    def act() -> None:
        is_full[0] = True
        try:
            log.log.append(one)
        finally:
            is_full[0] = False

    def look(outcome: object) -> None:
        log.look(0)

    with pytest.MonkeyPatch.context() as patch:
        between(patch, write=write)
        thread.submit(at_every_depth, log.prepare, act, look, omnelog.LogIOError).result()


@pytest.mark.spec("APP-43", "APP-45")
def test_closing_at_any_depth_works_or_is_refused_and_holds_nothing(
    root: Path, thread: ThreadPoolExecutor, other: ThreadPoolExecutor
) -> None:
    logs: list[omnelog.EventLog] = []

    def prepare() -> None:
        logs.append(open_log(root, lock_timeout=0))
        logs[-1].append(event(2, "new"))

    def close() -> None:
        logs[-1].close()

    def look(outcome: object) -> None:
        log = logs.pop()
        assert lock_is_free(log.path)
        with suppress(omnelog.LogClosed):
            other.submit(log.append, event(9, "other")).result(WATCHDOG_S)
        other.submit(log.close).result(WATCHDOG_S)
        with pytest.raises(omnelog.LogClosed):
            log.append(event(3))
        assert open_descriptors(root) == []

    thread.submit(at_every_depth, prepare, close, look).result()


@pytest.mark.parametrize("durable", [False, True], ids=["quick", "durable"])
def test_opening_at_any_depth_works_or_is_refused_and_leaves_nothing_open(
    root: Path, thread: ThreadPoolExecutor, *, durable: bool
) -> None:
    def act() -> None:
        log = omnelog.EventLog.for_run(root, RUN, lock_timeout=0, durable=durable)
        del log

    def look(outcome: object) -> None:
        gc.collect()
        assert open_descriptors(root) == []

    thread.submit(at_every_depth, int, act, look).result()


class Reading:
    """A log that is read, and the events that each way of reading must find."""

    def __init__(self, root: Path, tail: bytes) -> None:
        self.root = root
        path = omnelog.events_log_path(root, RUN)
        path.parent.mkdir(parents=True)
        path.write_bytes(line(0) + line(1) + tail)
        self.is_torn = tail == TAILS["torn"]
        self.events = [event(0), event(1)]
        if tail and not self.is_torn:
            self.events.append(omnelog.decode(tail))
        self.terminated = [event(0), event(1)]

    def scan(self) -> object:
        scan = omnelog.scan_run(self.root, RUN)
        return scan.events, [type(problem) for problem in scan.problems], scan.tail_in_flight

    def follow(self) -> object:
        stop = Flag()
        stop.set()
        return list(omnelog.follow_run(self.root, RUN, stop=stop))


@pytest.mark.spec("READ-8", "OBJ-7")
@pytest.mark.parametrize("tail", TAILS)
@pytest.mark.parametrize("how", ["read", "iterate", "scan", "follow"])
def test_reading_at_any_depth_finds_all_or_is_refused_and_condemns_nothing(
    root: Path, thread: ThreadPoolExecutor, how: str, tail: str
) -> None:
    reading = Reading(root, TAILS[tail])
    torn = [omnelog.TornTailError] if reading.is_torn else []
    acts: dict[str, tuple[Act, object]] = {
        "read": (lambda: omnelog.read_run(root, RUN), reading.events),
        "iterate": (lambda: list(omnelog.iter_run(root, RUN)), reading.events),
        "scan": (reading.scan, (reading.events, torn, False)),
        "follow": (reading.follow, reading.terminated),
    }
    act, found = acts[how]
    fails = reading.is_torn and how in ("read", "iterate")

    def look(outcome: object) -> None:
        assert outcome in (RecursionError, omnelog.TornTailError if fails else found)
        assert lock_is_free(omnelog.events_log_path(root, RUN))
        assert open_descriptors(root) == []

    expected = omnelog.TornTailError if fails else None
    thread.submit(at_every_depth, int, act, look, expected).result()


def test_a_ulid_at_any_depth_is_allocated_or_refused_and_holds_nothing(
    root: Path, thread: ThreadPoolExecutor, other: ThreadPoolExecutor
) -> None:
    last = [omnelog.allocate_ulid(root)]

    def look(outcome: object) -> None:
        assert open_descriptors(root) == []
        if isinstance(outcome, str):
            assert outcome > last[0]
            last[0] = outcome
        ulid = other.submit(omnelog.allocate_ulid, root, lock_timeout=0).result(WATCHDOG_S)
        assert ulid > last[0]
        last[0] = ulid

    act = lambda: omnelog.allocate_ulid(root, lock_timeout=0)  # noqa: E731
    thread.submit(at_every_depth, int, act, look).result()


@pytest.mark.spec("ACC-20")
@pytest.mark.parametrize(
    "written",
    [line(1, '"\\'), line(1), TAILS["nested"], b'{ "type":"pipe.completed","id":""}', b"{"],
    ids=["escaped", "plain", "nested", "incomplete", "broken"],
)
def test_decoding_at_any_depth_says_the_same_or_is_refused(
    thread: ThreadPoolExecutor, written: bytes
) -> None:
    """The first run forgets the readers of all types, so that one is made at that depth."""
    codec = sys.modules[omnelog.decode.__module__]
    try:
        found: object = omnelog.decode(written)
        expected = None
    except omnelog.DeserializeError as error:
        found = type(error)
        expected = type(error)

    def forget() -> None:
        codec._PLAIN_READERS.clear()
        codec._ESCAPED_READERS.clear()

    def look(outcome: object) -> None:
        assert outcome in (found, RecursionError)

    act = lambda: omnelog.decode(written)  # noqa: E731
    thread.submit(at_every_depth, forget, act, look, expected).result()
    thread.submit(at_every_depth, int, act, look, expected).result()


def test_encoding_at_any_depth_says_the_same_or_is_refused(thread: ThreadPoolExecutor) -> None:
    unfit: Any = omnelog.PipeAborted(id="", ts="", run_id="", reason=None)  # type: ignore[arg-type]
    for one, expected in ((event(1), None), (unfit, omnelog.SerializeError)):

        def act(one: Any = one) -> object:
            return omnelog.encode(one)

        def look(outcome: object) -> None:
            assert outcome in (line(1), RecursionError, omnelog.SerializeError)

        thread.submit(at_every_depth, int, act, look, expected).result()


def test_the_limit_is_deeper_than_any_call_needs() -> None:
    assert depth() > MOST_ROOM
