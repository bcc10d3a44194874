# SPDX-License-Identifier: MIT
"""The one place where tests see what the package keeps to itself.

Each function says why a test has to know. A change of a private name is a change of this file, and
of no other test. What is not here: the modules of the core look up their constants, ``os``,
``monotonic``, ``sleep`` and the functions of the lock in their own name space at every call, so a
test replaces those there (``faults/logs.py`` and ``faults/system.py`` do). ``linelog/`` can be
copied without the other tests, and sees for itself.
"""

from typing import Any

from . import omnelog


def mutex_of(log: "omnelog.LineLog[Any]") -> Any:
    """What keeps the threads of a process apart: is it free, and who has it?"""
    return log._mutex


def replace_mutex(log: "omnelog.LineLog[Any]", mutex: object) -> None:
    """Let a test strike where a handle waits for another thread."""
    log._mutex = mutex


def file_of(log: "omnelog.LineLog[Any]") -> Any:
    """The open file of a handle: is it closed, and what does the system say about it?"""
    return log._file


def is_closed(log: "omnelog.LineLog[Any]") -> bool:
    """Whether the handle is closed for good; asking it otherwise would open it or raise."""
    return log._closed


def path_was_checked(log: "omnelog.LineLog[Any]", at_s: float) -> None:
    """Let the next append believe that the path was checked at that time.monotonic()."""
    log._path_checked_at = at_s


def functions_of(log: "omnelog.LineLog[Any]") -> tuple[object, object]:
    """The encoder and the decoder of a handle, which a copy has to share."""
    return log._encode, log._decode


def pause_s(tries: int, age_s: float) -> float:
    """How long a waiter sleeps after so many tries: what is fair shows only in the numbers."""
    return omnelog.linelog.lock._pause_s(tries, age_s)


def read_strictly(text: str) -> "omnelog.Event":
    """Decode without the fast path, which may only ever say the same."""
    return omnelog.codec._read(text)


def check_strictly(event: "omnelog.Event") -> None:
    """Check an event as before it is explained why it cannot be written."""
    omnelog.codec._check_event(event)
