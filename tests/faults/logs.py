# SPDX-License-Identifier: MIT
"""Make and examine logs for the fault tests, by their bytes and not with the reader under test.

`between` replaces functions of the system that the core calls. It only replaces the name ``os`` in
the core's modules.
"""

import fcntl
import json
import os
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from .. import omnelog

LINELOG = omnelog.LineLog.__module__.removesuffix("appender")
APPENDER: ModuleType = sys.modules[f"{LINELOG}appender"]
READER: ModuleType = sys.modules[f"{LINELOG}reader"]
REPAIR: ModuleType = sys.modules[f"{LINELOG}repair"]
LOCK: ModuleType = sys.modules[f"{LINELOG}lock"]

RUN = "r"


_OPENED: list["omnelog.EventLog"] = []


@pytest.fixture(autouse=True)
def close_logs() -> Iterator[None]:
    """Close what `open_log` opened; every test module here imports it."""
    yield
    with warnings.catch_warnings():  # an interrupt may have left a file to the garbage collector
        warnings.simplefilter("ignore", ResourceWarning)
        while _OPENED:
            _OPENED.pop().close()


def open_log(
    root: Path, *, lock_timeout: float = 60.0, durable: bool = False, run: str = RUN
) -> "omnelog.EventLog":
    """Open a handle on the log of a run in the volume at `root`, until the test is over."""
    log = omnelog.EventLog.for_run(root, run, lock_timeout=lock_timeout, durable=durable)
    _OPENED.append(log)
    return log


def event(number: int, who: str = "w", size: int = 40) -> "omnelog.Event":
    """Event `number` of `who`, whose line is somewhat longer than `size` bytes."""
    return omnelog.PipeAborted(id=str(number), ts="", run_id=who, reason="r" * size)


def line(number: int, who: str = "w", size: int = 40) -> bytes:
    """The line of `event`."""
    return omnelog.encode(event(number, who, size))


def names(data: bytes) -> list[tuple[str, int]]:
    """The writer and the number of every line in `data`; all must be terminated and valid JSON."""
    assert not data or data.endswith(b"\n"), f"an open end: {data[-80:]!r}"
    parsed = [json.loads(line) for line in data.splitlines()]
    return [(member["run_id"], int(member["id"])) for member in parsed]


def quarantine(path: Path) -> list[bytes]:
    """The fragments in the quarantine of the log at `path`."""
    torn = path.with_name(path.name + ".torn")
    if not torn.exists():
        return []
    data = torn.read_bytes()
    assert data.endswith(b"\n")
    return data[:-1].split(b"\n")


def lock_is_free(path: Path) -> bool:
    """Whether a new descriptor can take the lock of the file at `path` without waiting."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(descriptor)
    return True


@contextmanager
def holding(path: Path) -> Iterator[Callable[[], None]]:
    """Hold the lock of the file at `path`, as a program without omnelog would.

    Yields a function that releases the lock early. The file is opened under another name, by which
    `open_descriptors` recognizes it.
    """
    other_name = path.with_name("held")
    other_name.hardlink_to(path)
    descriptor = os.open(other_name, os.O_RDONLY)
    other_name.unlink()

    def free() -> None:
        fcntl.flock(descriptor, fcntl.LOCK_UN)

    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield free
    finally:
        free()  # closing does not release it while a forked child has the descriptor, too
        os.close(descriptor)


def open_descriptors(root: Path) -> list[str]:
    """The descriptors of this process that are open on files below `root`, except `holding`'s."""
    found = []
    for number in os.listdir("/proc/self/fd"):
        try:
            target = os.readlink(f"/proc/self/fd/{number}")
        except FileNotFoundError:  # the descriptor that os.listdir used
            continue
        if target.startswith(f"{root}/") and not target.endswith("/held (deleted)"):
            found.append(f"{number} -> {target}")
    return found


class _System:
    """The module ``os``, except for the functions given."""

    def __init__(self, **functions: Callable[..., Any]) -> None:
        self.__dict__.update(functions)

    def __getattr__(self, name: str) -> Any:
        return getattr(os, name)


def between(patch: pytest.MonkeyPatch, **functions: Callable[..., Any]) -> None:
    """Let the core's modules call `functions` instead of those of ``os``."""
    for module in (APPENDER, REPAIR, LOCK):
        patch.setattr(module, "os", _System(**functions))


def write_at_most(size: int) -> Callable[[int, Any], int]:
    """An os.write that writes at most `size` bytes, so that lines would mix without a lock."""
    return lambda descriptor, data: os.write(descriptor, data[:size])
