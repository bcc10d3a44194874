# SPDX-License-Identifier: MIT
"""Logs as the fault tests make and examine them: by their bytes, not through the reader under test.

`between` stands between the core and the system where the language already allows it: it replaces
the name ``os`` in the core's modules, and nothing else.
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
    """A handle on the log of a run in the volume at `root`, closed when the test is over."""
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
    """Who wrote the lines in `data` and with which numbers; each must be whole JSON, none open."""
    assert not data or data.endswith(b"\n"), f"an open end: {data[-80:]!r}"
    parsed = [json.loads(line) for line in data.splitlines()]
    return [(member["run_id"], int(member["id"])) for member in parsed]


def quarantine(path: Path) -> list[bytes]:
    """The fragments beside the log at `path`."""
    torn = path.with_name(path.name + ".torn")
    if not torn.exists():
        return []
    data = torn.read_bytes()
    assert data.endswith(b"\n")
    return data[:-1].split(b"\n")


def lock_is_free(path: Path) -> bool:
    """Whether a descriptor of nobody else's can take the lock of the file at `path` at once."""
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
    """Hold the lock of the file at `path`, as a program that knows nothing of omnelog would.

    Gives a function that frees it early. What is open goes by another name: see the next function.
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
        free()  # which closing does not do while a forked child has it open
        os.close(descriptor)


def open_descriptors(root: Path) -> list[str]:
    """The descriptors of this process that are open on files below `root`, except `holding`'s."""
    found = []
    for number in os.listdir("/proc/self/fd"):
        try:
            target = os.readlink(f"/proc/self/fd/{number}")
        except FileNotFoundError:  # the one that lists them
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
    """An os.write that takes no more than `size` bytes: without a lock, lines would mingle."""
    return lambda descriptor, data: os.write(descriptor, data[:size])
