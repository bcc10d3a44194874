# SPDX-License-Identifier: MIT
"""What is done to the writers of a round to make trouble likely.

On a local disk one write(2) of a whole line is never torn apart by another, lock or no lock, so
that a round without faults says little about the lock. With its writes cut short a writer needs
several for a line, and nothing but the lock keeps the others out between them.
"""

import os
import sys
import types
from typing import Any

SHORT_WRITE = "short-write"
FAULTS = {SHORT_WRITE: "every write(2) of a writer takes 64 bytes at the most"}
SHORT_WRITE_BYTES = 64


class Strikes:
    """How often a fault made a difference: one that never does proves nothing."""

    def __init__(self) -> None:
        self.capped_writes = 0


def cap_writes() -> Strikes:
    """Make every `os.write` by omnelog in this process a short one from now on."""
    strikes = Strikes()
    write = os.write

    def short_write(fd: int, data: Any) -> int:
        view = memoryview(data)
        if len(view) > SHORT_WRITE_BYTES:
            strikes.capped_writes += 1
        return write(fd, view[:SHORT_WRITE_BYTES])

    stand_in = types.ModuleType("os", "os, but for short writes")
    stand_in.__dict__.update(vars(os), write=short_write)
    for name, module in list(sys.modules.items()):
        if name.partition(".")[0] == "omnelog":
            for attribute, value in list(vars(module).items()):
                if value is os:
                    setattr(module, attribute, stand_in)
                elif value is write:
                    setattr(module, attribute, short_write)
    return strikes
