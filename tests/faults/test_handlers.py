# SPDX-License-Identifier: MIT
"""An exception of a signal handler reaches the caller unchanged, and no valid line is rejected.

A handler may raise an exception of a class that the core itself catches somewhere. These tests
raise each of these classes at each place where CPython looks for signals after a call, in every
public call that touches a log. The caller must get the very object that was raised, unless the call
succeeds.
"""

import errno
import gc
import itertools
import json
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from threading import Event as Flag
from typing import Any

import pytest

from .. import omnelog
from .counts import INTERRUPTS
from .logs import (
    RUN,
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
from .strikes import (
    WAYS,
    Bench,
    Strike,
    in_a_thread,
    lost,
    nothing_but_the_append,
    other_thread,
    torn,
    unterminated,
)

__all__ = ["close_logs", "lost", "nothing_but_the_append", "other_thread"]  # fixtures


class ErrnoError(Exception):
    """An exception that looks like an OSError but is not one, as in some libraries."""

    def __init__(self) -> None:
        super().__init__(errno.EAGAIN, "Resource temporarily unavailable")
        self.errno, self.strerror = self.args


KINDS: dict[str, Callable[[], BaseException]] = {
    "ValueError": lambda: ValueError("a handler's own"),
    "KeyError": lambda: KeyError("a handler's own"),
    "TypeError": lambda: TypeError("a handler's own"),
    "AttributeError": lambda: AttributeError("a handler's own"),
    "TimeoutError": lambda: TimeoutError("a handler's own"),
    "ErrnoError": ErrnoError,
    "DeserializeError": lambda: omnelog.DeserializeError("a handler's own", Path("other"), 1, 0),
    "UnicodeDecodeError": lambda: UnicodeDecodeError("utf-8", b"\xff", 0, 1, "a handler's own"),
    "JSONDecodeError": lambda: json.JSONDecodeError("a handler's own", "", 0),
}
"""The exceptions that a handler raises, by their class."""


def is_swallowed(file: str) -> bool:
    """Whether `file` is of `pathlib`, which catches TypeError or ValueError in some places."""
    return "pathlib" in file


OF_A_PARSER = {"UnicodeDecodeError", "JSONDecodeError"}
"""Exceptions that a call in the codec raises itself.

If a handler raises one of them there, it may come out as the cause of another exception.
"""

OF_A_DECODER = {*OF_A_PARSER, "DeserializeError"}


def places(kind: str, way: int = 0, every_nth: int = 1) -> Iterator[int]:
    """The places at which `kind` is raised on one way through the core, without an end.

    In the long versions these are all places. By default only one kind is raised at each place, or
    at every nth. On the way with the next number, the next kind is raised at that place.
    """
    if INTERRUPTS >= 100_000:
        return itertools.count(1)
    stride = every_nth * len(KINDS)
    first = (every_nth * [*KINDS].index(kind) + way) % stride + 1
    return itertools.count(first, stride)


class Handler:
    """The action of a strike: it raises an exception, and remembers it."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.raised: BaseException | None = None

    def __call__(self) -> None:
        self.raised = KINDS[self.kind]()
        raise self.raised

    def came_out(self, outcome: BaseException | None) -> bool:
        """Whether `outcome` is the raised exception, or may only have it as its cause."""
        if self.kind in OF_A_PARSER and outcome is not self.raised and outcome is not None:
            return outcome.__cause__ is self.raised
        return outcome is self.raised


WAYS_OF_AN_APPEND = [
    "uncontended",
    "batch",
    "durable",
    "looked at",
    "reopened",
    "contended",
    "torn tail",
    "unterminated tail",
    "short write",
    "failing write",
    "failing sync",
    "timed out",
]


@pytest.mark.spec("APP-40", "OBJ-7")
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", WAYS_OF_AN_APPEND)
@in_a_thread
def test_what_a_handler_raises_in_an_append_arrives_and_no_sound_line_is_condemned(
    tmp_path: Path, other_thread: ThreadPoolExecutor, name: str, kind: str
) -> None:
    way = WAYS[name]
    bench = Bench(tmp_path, way, other_thread)
    for at in places(kind, WAYS_OF_AN_APPEND.index(name)):
        handler = Handler(kind)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)  # of /proc/locks, before its with
            outcome, struck = bench.strike(at, handler, at_looks=True)
        bench.look()
        if struck:
            assert is_swallowed(bench.file) or handler.came_out(outcome), (
                f"{bench.where}: {outcome!r}"
            )
        else:
            assert type(outcome) is (way.expected or type(None))
        if way.arrange is unterminated:
            assert names(bench.fresh())[0] == ("open", 0), bench.where
        if not struck:
            break
    assert at > 10, "this struck nowhere"
    if way.arrange is not torn and not way.leaves_tail:
        assert quarantine(bench.log.path) == []


@pytest.mark.spec("APP-54")
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("tail", [line(1)[:-1], line(1)[:-9]], ids=["unterminated", "torn"])
@in_a_thread
def test_what_a_handler_raises_in_a_repair_arrives_and_no_sound_line_is_condemned(
    tmp_path: Path, other_thread: ThreadPoolExecutor, tail: bytes, kind: str
) -> None:
    log = open_log(tmp_path, lock_timeout=0)
    is_whole = tail == line(1)[:-1]
    for at in places(kind):
        log.path.write_bytes(tail)
        handler = Handler(kind)
        strike = Strike(at, handler, at_looks=True)
        outcome: BaseException | None = None
        try:
            with strike:
                log.repair()
        except BaseException as error:
            outcome = error
        struck = strike.struck > 0
        arrived = is_swallowed(strike.file) or handler.came_out(outcome)
        assert arrived, f"{strike.where}: {outcome!r}"
        assert lock_is_free(log.path)
        other_thread.submit(log.append, event(2)).result(WATCHDOG_S)
        assert names(log.path.read_bytes()) == [("w", 1)] * is_whole + [("w", 2)]
        if not struck:
            break
    assert (quarantine(log.path) == []) == is_whole


@pytest.mark.spec("APP-43")
@pytest.mark.parametrize("kind", KINDS)
@in_a_thread
def test_what_a_handler_raises_in_closing_arrives_and_leaves_nothing_locked(
    tmp_path: Path, other_thread: ThreadPoolExecutor, kind: str
) -> None:
    for at in places(kind):
        log = open_log(tmp_path, lock_timeout=0)
        handler = Handler(kind)
        strike = Strike(at, handler, at_looks=True)
        outcome: BaseException | None = None
        try:
            with strike:
                log.close()
        except BaseException as error:
            outcome = error
        struck = strike.struck > 0
        assert handler.came_out(outcome), f"{strike.where}: {outcome!r}"
        with suppress(omnelog.LogClosed):
            other_thread.submit(log.append, event(at)).result(WATCHDOG_S)
        log.close()
        assert open_descriptors(tmp_path) == []
        if not struck:
            break


BAD = b'{"type":"pipe.aborted","id":"bad"}\n'
ENDS = {"clean": b"", "torn": line(3)[:-9], "unterminated": line(3)[:-1]}


def read(root: Path) -> object:
    return omnelog.read_run(root, RUN)


def iterate(root: Path) -> object:
    return list(omnelog.iter_run(root, RUN))


def scan(root: Path) -> object:
    found = omnelog.scan_run(root, RUN)
    problems = [(type(problem), problem.line) for problem in found.problems]
    return found.events, problems, found.tail_in_flight, found.blank_lines


def follow(root: Path) -> object:
    stop = Flag()
    stop.set()
    return list(omnelog.follow_run(root, RUN, stop=stop))


WAYS_OF_READING: list[Callable[[Path], object]] = [read, iterate, scan, follow]


@pytest.mark.spec("READ-8", "OBJ-7")
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("how", WAYS_OF_READING)
@in_a_thread
def test_what_a_handler_raises_in_reading_arrives_and_no_sound_line_is_condemned(
    tmp_path: Path, lost: list[object], how: Callable[[Path], object], end: str, kind: str
) -> None:
    """At a damaged line, an exception of the decoder's classes may look like that damage."""
    path = omnelog.events_log_path(tmp_path, RUN)
    path.parent.mkdir(parents=True)
    bad = BAD + b" \n" if how is scan else b""
    path.write_bytes(line(1) + bad + line(2, '"\\') + ENDS[end])
    expected: object
    try:
        expected = how(tmp_path)
    except omnelog.TornTailError as error:
        expected = type(error)
    way = len(WAYS_OF_READING) * [*ENDS].index(end) + WAYS_OF_READING.index(how)
    for at in places(kind, way, every_nth=3):
        lost.clear()
        handler = Handler(kind)
        strike = Strike(at, handler, at_looks=True)
        outcome: BaseException | None = None
        found: object = None
        try:
            with strike:
                found = how(tmp_path)
        except BaseException as error:
            outcome = error
        struck = strike.struck > 0
        assert lock_is_free(path)
        if is_swallowed(strike.file):
            continue
        if (not struck or lost or kind in OF_A_DECODER) and not handler.came_out(outcome):
            assert (found if outcome is None else type(outcome)) == expected, strike.where
        elif handler.raised is None:
            assert found == expected
        else:
            assert handler.came_out(outcome), f"{strike.where}: {outcome!r}"
        if not struck:
            break
    assert at > 100, "this struck nowhere"
    gc.collect()
    assert open_descriptors(tmp_path) == []


@pytest.mark.spec("ULID-7")
@pytest.mark.parametrize("kind", KINDS)
@in_a_thread
def test_what_a_handler_raises_in_allocating_a_ulid_arrives_and_leaves_nothing_locked(
    tmp_path: Path, lost: list[object], kind: str
) -> None:
    last = omnelog.allocate_ulid(tmp_path)
    for at in places(kind):
        handler = Handler(kind)
        strike = Strike(at, handler, at_looks=True)
        outcome: BaseException | None = None
        try:
            with strike:
                omnelog.allocate_ulid(tmp_path)
        except BaseException as error:
            outcome = error
        struck = strike.struck > 0
        assert is_swallowed(strike.file) or handler.came_out(outcome), (
            f"{strike.where}: {outcome!r}"
        )
        ulid = omnelog.allocate_ulid(tmp_path, lock_timeout=0)
        assert ulid > last
        last = ulid
        if not struck:
            break
    gc.collect()
    assert open_descriptors(tmp_path) == []


# A decoder of the user.


class Decoder:
    """A decoder that raises the exceptions of a script, None meaning none, and then decodes."""

    def __init__(self, *script: Exception | None) -> None:
        self.script = list(script)

    def __call__(self, written: bytes) -> Any:
        if self.script:
            step = self.script.pop(0)
            if step is not None:
                raise step
        return json.loads(written)


@pytest.mark.spec("OBJ-6", "OBJ-7")
@pytest.mark.parametrize("terminated", [True, False], ids=["line", "tail"])
class TestADecoderThatIsInterrupted:
    """The line is valid, but the decoder raises what its script says."""

    @staticmethod
    def path(tmp_path: Path, *, terminated: bool) -> Path:
        path = tmp_path / "log"
        path.write_bytes(b'{"n":1}\n' if terminated else b'{"n":1}')
        return path

    @pytest.mark.parametrize(
        "alarm",
        [ValueError("alarm"), MemoryError(), RecursionError(), omnelog.DeserializeError("alarm")],
        ids=lambda alarm: type(alarm).__name__,
    )
    def test_once_condemns_nothing(
        self, tmp_path: Path, alarm: Exception, *, terminated: bool
    ) -> None:
        path = self.path(tmp_path, terminated=terminated)
        for read_all in (omnelog.read_log, omnelog.scan_log):
            with pytest.raises(type(alarm)) as caught:
                read_all(path, decode=Decoder(alarm))
            assert caught.value is alarm
        assert omnelog.read_log(path, decode=Decoder()) == [{"n": 1}]

    @pytest.mark.parametrize("alarm", [KeyError("alarm"), MemoryError(), RecursionError()])
    def test_as_it_is_asked_again_lets_that_out(
        self, tmp_path: Path, alarm: Exception, *, terminated: bool
    ) -> None:
        """The decoder raises `no` twice, which shows that `alarm` is not its own exception."""
        path = self.path(tmp_path, terminated=terminated)
        no = ValueError("no")
        for script in ([no, alarm, no], [alarm, no, no]):
            with pytest.raises(type(alarm)) as caught:
                omnelog.scan_log(path, decode=Decoder(*script))
            assert caught.value is alarm

    @pytest.mark.parametrize("alarm", [MemoryError, RecursionError])
    def test_by_a_lack_of_memory_or_stack_whenever_it_is_asked_again_lets_that_out(
        self, tmp_path: Path, alarm: type[Exception], *, terminated: bool
    ) -> None:
        path = self.path(tmp_path, terminated=terminated)
        with pytest.raises(alarm):
            omnelog.scan_log(path, decode=Decoder(ValueError("no"), alarm(), alarm()))

    def test_twice_by_a_lack_of_memory_or_stack_condemns_nothing(
        self, tmp_path: Path, *, terminated: bool
    ) -> None:
        path = self.path(tmp_path, terminated=terminated)
        for alarms in ([MemoryError(), MemoryError()], [RecursionError(), RecursionError()]):
            with pytest.raises(type(alarms[0])):
                omnelog.scan_log(path, decode=Decoder(*alarms))

    def test_not_at_all_but_that_refuses_is_believed(
        self, tmp_path: Path, *, terminated: bool
    ) -> None:
        path = self.path(tmp_path, terminated=terminated)
        no = [LookupError("no"), LookupError("no")]
        scan = omnelog.scan_log(path, decode=Decoder(*no))
        [problem] = scan.problems
        assert (problem.reason, problem.__cause__) == ("LookupError: no", no[0])
        assert isinstance(problem, omnelog.TornTailError) != terminated


@pytest.mark.spec("OBJ-7", "APP-40")
@pytest.mark.parametrize(
    "alarm", [ValueError("alarm"), MemoryError(), omnelog.DeserializeError("alarm")]
)
def test_a_decoder_that_is_interrupted_once_in_a_repair_moves_nothing_to_the_quarantine(
    tmp_path: Path, alarm: Exception
) -> None:
    path = tmp_path / "log"
    path.write_bytes(b'{"n":1}')
    decode = Decoder(alarm)
    with omnelog.LineLog(path, decode=decode) as log:
        with pytest.raises(type(alarm)) as caught:
            log.append({"n": 2})
        assert caught.value is alarm
        log.append({"n": 3})
    assert path.read_bytes() == b'{"n":1}\n{"n":3}\n'
    assert not (tmp_path / "log.torn").exists()
