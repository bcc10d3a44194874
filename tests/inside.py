# SPDX-License-Identifier: MIT
"""The place where tests use private names of the package.

Each function says why a test needs it. If one of these names changes, only this file changes. There
are three exceptions. The modules of the core look up their constants, ``os``, ``monotonic``,
``sleep`` and the functions of the lock in their own name space at every call. Tests replace these
names there, as ``faults/logs.py`` and ``faults/system.py`` do. A few tests replace ``_decode`` or
``_close_file`` of a handle, or look at ``_read`` and ``_WRITERS`` of the codec. And the tests in
``linelog/`` can be copied without the other tests, so they do not use this file.
"""

from typing import Any

from . import omnelog


def mutex_of(log: "omnelog.LineLog[Any]") -> Any:
    """The mutex that keeps the threads of a process apart: a test asks which thread has it."""
    return log._mutex


def replace_mutex(log: "omnelog.LineLog[Any]", mutex: object) -> None:
    """Replace the mutex, so that a test can interrupt the wait for another thread."""
    log._mutex = mutex


def file_of(log: "omnelog.LineLog[Any]") -> Any:
    """The open file of a handle: a test asks whether it is closed, or asks the system about it."""
    return log._file


def is_closed(log: "omnelog.LineLog[Any]") -> bool:
    """Whether the handle is closed for good. A public method would open its file or raise."""
    return log._closed


def path_was_checked(log: "omnelog.LineLog[Any]", at_s: float) -> None:
    """Make the next append assume that the path was checked at `at_s`, by time.monotonic()."""
    log._path_checked_at = at_s


def functions_of(log: "omnelog.LineLog[Any]") -> tuple[object, object]:
    """The encoder and the decoder of a handle, which a copy has to share."""
    return log._encode, log._decode


def pause_s(tries: int, age_s: float) -> float:
    """How long a waiter sleeps after so many tries. Only these numbers show that it is fair."""
    return omnelog.linelog.lock._pause_s(tries, age_s)


def read_strictly(text: str) -> "omnelog.Event":
    """Decode without the fast path, which must have the same results."""
    return omnelog.codec._read(text)


def check_strictly(event: "omnelog.Event") -> None:
    """Check an event strictly, as an encoder does before it explains a refusal."""
    omnelog.codec._check_event(event)
