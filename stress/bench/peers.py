# SPDX-License-Identifier: MIT
"""The peers: what the bench compares omnelog with, each used as its users would use it.

Logging libraries and SQLite get the finished line, so they do less than omnelog, which encodes an
event. The naive solutions put `filelock.FileLock` on a side file around ``open("a")``, and encode:
events with dataclasses-json, dicts with `json.dumps`. The floor makes the four system calls of an
append and nothing else.
"""

import fcntl
import importlib
import json
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, make_dataclass, replace
from functools import cache, partial
from importlib.util import find_spec
from itertools import cycle
from pathlib import Path
from threading import RLock
from time import monotonic
from typing import Any, TypeAlias

from filelock import FileLock, lock_descriptor, unlock_descriptor

from omnelog import (
    ErrorKind,
    Event,
    EventLog,
    GateMethod,
    GatePassed,
    Input,
    IterationStarted,
    LineLog,
    NodeCompleted,
    NodeError,
    NodeFailed,
    NodeKind,
    NodeStarted,
    PipeAborted,
    PipeCompleted,
    PipeStarted,
    encode,
)

from .. import usual_ways
from ..fairness import Append, Opener, PollingLog

RUN_ID = "bench-01kpfntqeej7vhn935kc0tm9vn"
BATCH = 100

_COMMON = {"id": "01kpfntqeej7vhn935kc0tm9vn", "ts": "2026-01-31T23:59:59Z", "run_id": RUN_ID}
_AT_NODE = {**_COMMON, "node_id": "unit-tests"}
_OUTPUT = f".omne/var/runs/{RUN_ID}/nodes/unit-tests.out"
EVENTS: list[Event] = [
    PipeStarted(
        **_COMMON,
        pipe="feature",
        inputs=[Input(key="branch", value="main"), Input(key="issue", value="1234")],
        distro_version="0.2.0",
    ),
    NodeStarted(**_AT_NODE, kind=NodeKind.BASH, name="unit tests", model=None),
    IterationStarted(**_AT_NODE, iteration=3, byte_offset=123_456),
    GatePassed(**_AT_NODE, gate="review", method=GateMethod.HUMAN_CLI),
    NodeCompleted(**_AT_NODE, output_path=_OUTPUT),
    NodeFailed(**_AT_NODE, error=NodeError(kind=ErrorKind.TIMEOUT), message="no answer in 30 s"),
    PipeAborted(**_COMMON, reason="interrupted by the user"),
    PipeCompleted(**_COMMON),
]
"""One event of each of the eight types. Every workload appends and reads them in turn."""
LINES = [encode(event) for event in EVENTS]
RECORDS: list[dict[str, Any]] = [json.loads(line) for line in LINES]
"""The same events as dicts, for a line log."""

Loop: TypeAlias = Callable[[int], object]
"""Appends as many events as its argument says, in a loop that does little else."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """A way of appending."""

    name: str
    one: Opener
    """Appends one event with each call."""
    loop: Callable[[Path], AbstractContextManager[Loop]]
    """Appends many events, one by one."""
    batch: Callable[[Path], AbstractContextManager[Loop]] | None = None
    """Appends many events, a hundred with each call."""
    module: str | None = None
    """The module that has to be installed, in addition to omnelog's own dependencies."""

    @property
    def installed(self) -> bool:
        """Whether the peer can be measured here."""
        return self.module is None or find_spec(self.module) is not None


_Opening: TypeAlias = Callable[[Path], AbstractContextManager[Callable[[Any], object]]]


def _peer(
    name: str,
    opening: _Opening,
    items: Callable[[], Sequence[Any]],
    *,
    batch: _Opening | None = None,
    module: str | None = None,
) -> Peer:
    """Return a peer that appends `items` in turn, one by one or a hundred with each call."""

    @contextmanager
    def one(root: Path) -> Iterator[Append]:
        with opening(root) as append:
            yield partial(_call, append, cycle(items()))

    @contextmanager
    def loop(root: Path) -> Iterator[Loop]:
        with opening(root) as append:
            yield partial(_each, append, items())

    @contextmanager
    def batches(root: Path) -> Iterator[Loop]:
        assert batch is not None
        hundred = (list(items()) * BATCH)[:BATCH]
        with batch(root) as append:
            yield lambda count: [append(hundred) for _ in range(count // BATCH)]

    return Peer(
        name=name, one=one, loop=loop, batch=None if batch is None else batches, module=module
    )


def _call(append: Callable[[Any], object], items: Iterator[Any]) -> None:
    append(next(items))


def _each(append: Callable[[Any], object], items: Sequence[Any], count: int) -> None:
    for _ in range(count // len(items)):
        for item in items:
            append(item)


def _log_path(root: Path) -> Path:
    root.mkdir(parents=True, exist_ok=True)
    return root / "log"


# omnelog, and the control that polls.


@contextmanager
def _omnelog(root: Path, *, log_class: type[EventLog] = EventLog, **how: Any) -> Iterator[Any]:
    with log_class.for_run(root, RUN_ID, **how) as log:
        yield log.append


@contextmanager
def _omnelog_batch(root: Path) -> Iterator[Any]:
    with EventLog.for_run(root, RUN_ID) as log:
        yield log.append_many


@contextmanager
def _line_log(root: Path) -> Iterator[Any]:
    with LineLog(_log_path(root)) as log:
        yield log.append


# The floor.


@contextmanager
def _floor(root: Path) -> Iterator[Callable[[bytes], None]]:
    fd = os.open(_log_path(root), os.O_RDWR | os.O_CREAT | os.O_APPEND)

    def append(line: bytes) -> None:
        fcntl.flock(fd, fcntl.LOCK_EX)
        os.lseek(fd, 0, os.SEEK_END)
        os.write(fd, line)
        fcntl.flock(fd, fcntl.LOCK_UN)

    try:
        yield append
    finally:
        os.close(fd)


@contextmanager
def _floor_loop(root: Path, steps: int = 0) -> Iterator[Loop]:
    """Yield a loop of the system calls of an append and `steps` of its other work.

    The steps are work that no append can avoid. Each loop is written out, because choosing or
    calling a part would be measured too.
    """
    flock, lseek, write = fcntl.flock, os.lseek, os.write
    lock, unlock, end = fcntl.LOCK_EX | fcntl.LOCK_NB, fcntl.LOCK_UN, os.SEEK_END
    mutex: Any = RLock()  # typeshed does not know its _is_owned
    fd = os.open(_log_path(root), os.O_RDWR | os.O_CREAT | os.O_APPEND)

    def floor(count: int) -> None:
        for _ in range(count // len(LINES)):
            for line in LINES:
                flock(fd, lock)
                lseek(fd, 0, end)
                write(fd, line)
                flock(fd, unlock)

    def encoding(count: int) -> None:
        for _ in range(count // len(EVENTS)):
            for event in EVENTS:
                line = encode(event)
                flock(fd, lock)
                lseek(fd, 0, end)
                write(fd, line)
                flock(fd, unlock)

    def through_filelock(count: int) -> None:
        for _ in range(count // len(EVENTS)):
            for event in EVENTS:
                line = encode(event)
                lock_descriptor(fd, blocking=False)
                lseek(fd, 0, end)
                write(fd, line)
                unlock_descriptor(fd)

    def guarded(count: int) -> None:
        for _ in range(count // len(EVENTS)):
            for event in EVENTS:
                line = encode(event)
                mutex._is_owned()
                monotonic()
                mutex.acquire(False)
                lock_descriptor(fd, blocking=False)
                lseek(fd, 0, end)
                write(fd, line)
                unlock_descriptor(fd)
                monotonic()
                mutex.release()

    try:
        yield {0: floor, 1: encoding, 2: through_filelock, 3: guarded}[steps]
    finally:
        os.close(fd)


@contextmanager
def _dumps_floor_loop(root: Path, **spelling: Any) -> Iterator[Loop]:
    """Yield a loop of `json.dumps` and the same system calls.

    `spelling`: keyword arguments of `json.dumps`.
    """
    flock, lseek, write, dumps = fcntl.flock, os.lseek, os.write, json.dumps
    lock, unlock, end = fcntl.LOCK_EX | fcntl.LOCK_NB, fcntl.LOCK_UN, os.SEEK_END
    fd = os.open(_log_path(root), os.O_RDWR | os.O_CREAT | os.O_APPEND)

    def floor(count: int) -> None:
        for _ in range(count // len(RECORDS)):
            for record in RECORDS:
                line = dumps(record).encode() + b"\n"
                flock(fd, lock)
                lseek(fd, 0, end)
                write(fd, line)
                flock(fd, unlock)

    def spelt(count: int) -> None:
        for _ in range(count // len(RECORDS)):
            for record in RECORDS:
                line = dumps(record, **spelling).encode() + b"\n"
                flock(fd, lock)
                lseek(fd, 0, end)
                write(fd, line)
                flock(fd, unlock)

    try:
        yield spelt if spelling else floor
    finally:
        os.close(fd)


# The naive solutions, for a line log of dicts and for a log of events.


@contextmanager
def _naive_of_dicts(root: Path) -> Iterator[Callable[[dict[str, Any]], object]]:
    """Yield an append: `json.dumps`, and a `FileLock` around opening, writing and closing."""
    with usual_ways.side_file_lock(_log_path(root)) as append:
        yield lambda record: append(json.dumps(record))


@cache
def _records() -> list[Any]:
    """Return records of dataclasses-json: flat, all strings, with the type as a field."""
    mixin = importlib.import_module("dataclasses_json").DataClassJsonMixin
    names = ["type", "id", "ts", "run_id", "node_id", "output_path"]
    record = make_dataclass("Record", [(name, str) for name in names], bases=(mixin,))
    return [record("node.completed", *_AT_NODE.values(), _OUTPUT)] * len(EVENTS)


@contextmanager
def _naive(root: Path, *, durable: bool = False) -> Iterator[Callable[[Any], object]]:
    with usual_ways.side_file_lock(_log_path(root), durable=durable) as append:
        yield lambda record: append(record.to_json())


@contextmanager
def _naive_batch(root: Path) -> Iterator[Callable[[Any], None]]:
    path = _log_path(root)
    lock = FileLock(f"{path}.lock", timeout=60)

    def append(records: Any) -> None:
        with lock, path.open("a") as file:
            file.writelines(record.to_json() + "\n" for record in records)

    yield append


# Libraries.


def _texts() -> list[str]:
    return [line.decode().rstrip("\n") for line in LINES]


def _at_log(opening: usual_ways.Opening, root: Path) -> AbstractContextManager[usual_ways.Append]:
    return opening(_log_path(root))


@contextmanager
def _sqlite_batch(root: Path, *, synchronous: str) -> Iterator[Callable[[list[str]], None]]:
    with usual_ways.sqlite_database(_log_path(root), synchronous) as database:

        def append(texts: list[str]) -> None:
            database.execute("BEGIN IMMEDIATE")
            database.executemany("INSERT INTO log VALUES (?)", [(text,) for text in texts])
            database.execute("COMMIT")

        yield append


def _sqlite_peer(synchronous: str) -> Peer:
    return _peer(
        f"SQLite WAL {synchronous}",
        partial(_at_log, partial(usual_ways.sqlite_rows, synchronous=synchronous)),
        _texts,
        batch=partial(_sqlite_batch, synchronous=synchronous),
    )


OMNELOG = _peer("omnelog", _omnelog, lambda: EVENTS, batch=_omnelog_batch)
DURABLE = _peer("omnelog, durable", partial(_omnelog, durable=True), lambda: EVENTS)
POLLING = _peer("25 ms polls", partial(_omnelog, log_class=PollingLog), lambda: EVENTS)
FLOOR = Peer(
    name="floor", one=_peer("floor", _floor, lambda: LINES).one, loop=_floor_loop, batch=_floor_loop
)
FLOOR_AND = [
    replace(FLOOR, name=f"floor, {more}", loop=partial(_floor_loop, steps=steps))
    for steps, more in enumerate(["encode", "encode, filelock", "encode, filelock, mutex"], 1)
]
"""The lower bounds of an append: the floor and, step by step, the work that no append can avoid."""
LINE_LOG = _peer("LineLog of dicts", _line_log, lambda: RECORDS)
DUMPS_FLOOR = replace(FLOOR, name="json.dumps and the floor", loop=_dumps_floor_loop)
SAME_BYTES_FLOOR = replace(
    FLOOR,
    name="json.dumps of the same bytes and the floor",
    loop=partial(_dumps_floor_loop, separators=(",", ":"), ensure_ascii=False),
)
NAIVE_OF_DICTS = _peer("FileLock, open, write, close", _naive_of_dicts, lambda: RECORDS)
FILE_HANDLER = _peer("logging.FileHandler", partial(_at_log, usual_ways.file_handler), _texts)
CONCURRENT = _peer(
    "concurrent-log-handler",
    partial(_at_log, usual_ways.concurrent_handler),
    _texts,
    module="concurrent_log_handler",
)
LOGURU = _peer(
    "loguru, enqueue", partial(_at_log, usual_ways.loguru_enqueue), _texts, module="loguru"
)
SQLITE_OFF, SQLITE_FULL = _sqlite_peer("OFF"), _sqlite_peer("FULL")
NAIVE = _peer(
    "FileLock + dataclasses-json",
    _naive,
    _records,
    batch=_naive_batch,
    module="dataclasses_json",
)
NAIVE_DURABLE = _peer(
    "FileLock + dataclasses-json, fsync",
    partial(_naive, durable=True),
    _records,
    module="dataclasses_json",
)
