# SPDX-License-Identifier: MIT
"""Every error a line log raises: what is wrong, where, and what it means (SPEC: ERR).

All of them derive from `OmnelogError` and from the builtin exception that a caller would expect.
Each can be pickled with its attributes, and its cause is chained. `str()` of an error about a file
reads ``path: what is wrong`` or ``path:line: what is wrong``. A bad argument, such as a negative
number of seconds or a path with a null character, is a plain ValueError.
"""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from os import PathLike
from pathlib import Path
from typing import Self


class OmnelogError(Exception):
    """The base class of every error that this package defines."""


class _FileError(OmnelogError, OSError):
    """An OSError with `errno` and `filename`.

    `appended` says how many records of the failed call are in the log as whole lines.
    """

    def __init__(
        self, code: int | None, message: str, path: str | PathLike[str], appended: int = 0
    ) -> None:
        super().__init__(code, message, str(path))
        self.appended: int = appended

    def __str__(self) -> str:
        return f"{self.filename}: {self.strerror}"


class LogIOError(_FileError):
    """The system refused something. Apart from `appended` whole lines nothing was written."""


class AppendIndeterminate(_FileError):
    """The first `appended` records are whole lines. The state of the others is unknown.

    Either what was written could be neither completed nor rolled back, or the sync of a durable
    append failed, so a power loss may take the lines. Look at the log before you append again.
    After a failed sync every later append of this handle raises LogIOError; open another one then.
    """


class LockTimeout(_FileError, TimeoutError):
    """The lock was not free before the deadline; nothing was written.

    `waited_s` is how long the call waited, in seconds. `holder_pid` is the process that holds the
    lock, or None if it is not known.
    """

    def __init__(self, path: str | PathLike[str], waited_s: float, holder_pid: int | None) -> None:
        holder = f" by process {holder_pid}" if holder_pid else ""
        message = f"locked{holder}; gave up after {waited_s:.3f} s, nothing was written"
        super().__init__(errno.ETIMEDOUT, message, path)
        self.waited_s: float = waited_s
        self.holder_pid: int | None = holder_pid

    def __reduce__(self) -> tuple[type[Self], tuple[str, float, int | None]]:
        return type(self), (self.filename, self.waited_s, self.holder_pid)


class LogBusy(OmnelogError, RuntimeError):
    """Code within an append, such as a signal handler, used the same handle; nothing was done."""


class LogClosed(OmnelogError, ValueError):
    """The handle was closed; open another one."""


class SerializeError(OmnelogError, ValueError):
    """A record that cannot be written as a line; nothing was written."""


class DeserializeError(OmnelogError, ValueError):
    """A line that is not a record.

    `reason` says why. For a line of a file, `path` is the file, `line` is the number of the line,
    counted from 1, and `offset` is the byte at which it begins, counted from 0. For a line that
    was given to a decoder by itself these three are None.
    """

    def __init__(
        self,
        reason: str,
        path: Path | None = None,
        line: int | None = None,
        offset: int | None = None,
    ) -> None:
        super().__init__(reason, path, line, offset)
        self.reason: str = reason
        self.path: Path | None = path
        self.line: int | None = line
        self.offset: int | None = offset

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.reason}" if self.path else self.reason


class TornTailError(DeserializeError):
    """The log ends in part of a line that nobody is writing; the next append sets it aside."""


def is_refusal(error: OSError) -> bool:
    """Whether the system raised `error`, as far as that can be known.

    False for the errors of this module, which reach the caller unchanged, and for an OSError
    without an errno, such as ``TimeoutError()``, which only a signal handler raises (SPEC: APP-40).
    """
    return error.errno is not None and not isinstance(error, OmnelogError)


_CLOSED = "the file is closed, as it is in a forked child; open it again"


@contextmanager
def refusals(what: str, path: str | PathLike[str]) -> Iterator[None]:
    """Raise LogIOError, which begins with `path` and `what`, for what the system refuses."""
    try:
        yield
    except OSError as error:
        if not is_refusal(error):
            raise
        why = _CLOSED if error.errno == errno.EBADF else error.strerror
        raise LogIOError(error.errno, f"{what}: {why}", path) from error


@contextmanager
def refusals_ignored() -> Iterator[None]:
    """Go on when the system refuses something that nothing depends on."""
    try:
        yield
    except OSError as error:
        if not is_refusal(error):
            raise
