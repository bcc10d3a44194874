# SPDX-License-Identifier: MIT
"""What a whole event costs: an id, the event, its append, and all three in turn."""

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TypeAlias

from omnelog import EventLog, NodeKind, NodeStarted, UlidAllocator

from .peers import RUN_ID, Loop

Opening: TypeAlias = Callable[[Path], AbstractContextManager[Loop]]

_ID = "01kpfntqeej7vhn935kc0tm9vn"
_TS = "2026-01-31T23:59:59Z"


def _event(ulid: str, ts: str) -> NodeStarted:
    return NodeStarted(
        id=ulid, ts=ts, run_id=RUN_ID, node_id="unit-tests", kind=NodeKind.BASH, name="unit tests"
    )


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


@contextmanager
def _ids(root: Path) -> Iterator[Loop]:
    with UlidAllocator(root) as allocator:

        def allocate(count: int) -> None:
            for _ in range(count):
                allocator.allocate()

        yield allocate


@contextmanager
def _events(root: Path) -> Iterator[Loop]:
    def make(count: int) -> None:
        for _ in range(count):
            _event(_ID, _now())

    yield make


@contextmanager
def _appends(root: Path) -> Iterator[Loop]:
    event = _event(_ID, _TS)
    with EventLog.for_run(root, RUN_ID) as log:

        def append(count: int) -> None:
            for _ in range(count):
                log.append(event)

        yield append


@contextmanager
def _all(root: Path) -> Iterator[Loop]:
    with UlidAllocator(root) as allocator, EventLog.for_run(root, RUN_ID) as log:

        def record(count: int) -> None:
            for _ in range(count):
                log.append(_event(allocator.allocate(), _now()))

        yield record


PARTS: dict[str, Opening] = {
    "id": _ids,
    "event": _events,
    "append of one event": _appends,
    "id, event and append": _all,
}
"""The loop of each part, by the name of the part."""
