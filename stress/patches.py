# SPDX-License-Identifier: MIT
"""Patches between omnelog and the system in one process: a fault and a counter.

On a local disk, one write(2) of a whole line is never torn apart by another one, even without the
lock. So a round without faults says little about the lock. If writes are cut short, a writer needs
several of them for a line, and only the lock keeps other writers out in between.
"""

import builtins
import io
import os
import sys
import threading
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import omnelog.linelog.lock

SHORT_WRITE_BYTES = 64


class Strikes:
    """How often a fault had an effect. A fault without an effect proves nothing."""

    def __init__(self) -> None:
        self.capped = 0


def cap_writes(root: Path) -> Strikes:
    """Cut all appends of this process short from now on, including those of libraries.

    This patches `os.write` in omnelog, and Python's `open` for appending to a path under `root`.
    """
    strikes = Strikes()
    _cap_os_write(strikes)
    _cap_files(strikes, root)
    return strikes


def _cap_os_write(strikes: Strikes) -> None:
    write = os.write

    def short_write(fd: int, data: Any) -> int:
        view = memoryview(data)
        if len(view) > SHORT_WRITE_BYTES:
            strikes.capped += 1
        return write(fd, view[:SHORT_WRITE_BYTES])

    stand_in = types.ModuleType("os", "os, except that writes fall short")
    stand_in.__dict__.update(vars(os), write=short_write)
    for module, attribute, value in _attributes():
        if value is os:
            setattr(module, attribute, stand_in)
        elif value is write:
            setattr(module, attribute, short_write)


def _cap_files(strikes: Strikes, root: Path) -> None:
    """Give each file that is opened for appending a raw file that takes few bytes at a time.

    The buffer of the file writes until all is written, as it does after a short write of the
    system.
    """
    real_open = io.open

    class ShortFile(io.FileIO):
        def write(self, data: Any, /) -> int:
            view = memoryview(data).cast("B")
            if len(view) > SHORT_WRITE_BYTES:
                strikes.capped += 1
            return super().write(view[:SHORT_WRITE_BYTES])

    def short_open(  # noqa: PLR0917 - what `open` takes
        file: Any,
        mode: str = "r",
        buffering: int = -1,
        encoding: str | None = None,
        errors: str | None = None,
        newline: str | None = None,
        closefd: bool = True,
        opener: Any = None,
    ) -> Any:
        appends = set(mode) <= set("abt") and "a" in mode
        if not appends or not buffering or not _is_under(file, root):
            return real_open(file, mode, buffering, encoding, errors, newline, closefd, opener)
        raw = ShortFile(file, "ab", closefd, opener)
        buffered = io.BufferedWriter(raw, buffering if buffering > 1 else io.DEFAULT_BUFFER_SIZE)
        if "b" in mode:
            return buffered
        return io.TextIOWrapper(buffered, encoding, errors, newline, buffering == 1)

    builtins.open = short_open
    io.open = short_open
    for module in list(sys.modules.values()):
        for attribute, value in list(vars(module).items()):
            if value is real_open:
                setattr(module, attribute, short_open)


def _is_under(file: Any, root: Path) -> bool:
    return isinstance(file, str | os.PathLike) and Path(os.fsdecode(file)).is_relative_to(root)


class Waits(threading.local):
    """How often this thread found the lock taken since the last call of `taken`."""

    count = 0

    def taken(self) -> int:
        """Return the count, and count from 0 again."""
        count, self.count = self.count, 0
        return count


def count_waits() -> Waits:
    """Count from now on how often omnelog finds the lock taken in this process."""
    waits = Waits()
    try_lock = omnelog.linelog.lock.try_lock

    def counting(*args: Any, **kwargs: Any) -> bool:
        free = try_lock(*args, **kwargs)
        if not free:
            waits.count += 1
        return free

    for module, attribute, value in _attributes():
        if value is try_lock:
            setattr(module, attribute, counting)
    return waits


def _attributes() -> Iterator[tuple[types.ModuleType, str, Any]]:
    """Yield all attributes of all modules of omnelog: the module, the name and the value."""
    for name, module in list(sys.modules.items()):
        if name.partition(".")[0] == "omnelog":
            for attribute, value in list(vars(module).items()):
                yield module, attribute, value
