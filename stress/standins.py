# SPDX-License-Identifier: MIT
"""What is put between omnelog and the system, within one process: a fault, or a meter.

On a local disk one write(2) of a whole line is never torn apart by another, lock or no lock, so
that a round without faults says little about the lock. With its writes cut short a writer needs
several for a line, and nothing but the lock keeps the others out between them.
"""

import os
import sys
import threading
import types
from collections.abc import Iterator
from typing import Any

import omnelog.linelog.lock

SHORT_WRITE_BYTES = 64


class Strikes:
    """How often a fault made a difference: one that never does proves nothing."""

    def __init__(self) -> None:
        self.capped = 0


def cap_writes() -> Strikes:
    """Make every `os.write` by omnelog in this process a short one from now on."""
    strikes = Strikes()
    write = os.write

    def short_write(fd: int, data: Any) -> int:
        view = memoryview(data)
        if len(view) > SHORT_WRITE_BYTES:
            strikes.capped += 1
        return write(fd, view[:SHORT_WRITE_BYTES])

    stand_in = types.ModuleType("os", "os, but for short writes")
    stand_in.__dict__.update(vars(os), write=short_write)
    for module, attribute, value in _attributes():
        if value is os:
            setattr(module, attribute, stand_in)
        elif value is write:
            setattr(module, attribute, short_write)
    return strikes


class Waits(threading.local):
    """How often this thread found the lock taken, since it last asked."""

    count = 0

    def taken(self) -> int:
        """Say so, and count from 0 again."""
        count, self.count = self.count, 0
        return count


def count_waits() -> Waits:
    """Have every try for the lock by omnelog in this process counted from now on."""
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
    """What the modules of omnelog have under which name."""
    for name, module in list(sys.modules.items()):
        if name.partition(".")[0] == "omnelog":
            for attribute, value in list(vars(module).items()):
                yield module, attribute, value
