# SPDX-License-Identifier: MIT
"""Every error omnelog raises: what is wrong, where, and what it means (SPEC: ERR).

All derive from `OmnelogError` and from the builtin a caller would expect, but for the ValueError of
an argument that is no path, or no number of seconds. Each pickles with its attributes; its cause is
chained. `str()` reads ``path:line: what is wrong; what it means``.
"""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from os import PathLike
from pathlib import Path
from typing import Self


class OmnelogError(Exception):
    """Base of every error that has a type of its own here."""


class _FileError(OmnelogError, OSError):
    """An OSError with errno and filename. `appended`: how many events of the call do stand."""

    def __init__(
        self, code: int | None, message: str, path: str | PathLike[str], appended: int = 0
    ) -> None:
        super().__init__(code, message, str(path))
        self.appended = appended

    def __str__(self) -> str:
        return f"{self.filename}: {self.strerror}"


class LogIOError(_FileError):
    """The system refused. Beyond `appended` whole lines nothing was written."""


class AppendIndeterminate(_FileError):
    """Beyond `appended` whole lines, more may or may not be in the log, now or after power loss.

    What was written could be neither completed nor taken back, or a durable append's sync failed,
    or a fork struck amid the append and this is the child. Look before appending it again.
    """


_CLOSED_OR_NFS = "closed by a fork; open it anew (or this is NFS, where a reader cannot lock)"


@contextmanager
def refusals(what: str, path: str | PathLike[str]) -> Iterator[None]:
    """Turn what the system refuses meanwhile into LogIOError.

    An OSError that a signal handler raised is the caller's, if it can be told from the system's: it
    has no errno, or a type of ours.
    """
    try:
        yield
    except OSError as error:
        if isinstance(error, OmnelogError) or error.errno is None:
            raise
        why = error.strerror if error.errno != errno.EBADF else _CLOSED_OR_NFS
        raise LogIOError(error.errno, f"{what}: {why}", path) from error


class LockTimeout(_FileError, TimeoutError):
    """The lock was taken for `waited_s` seconds, by `holder_pid` if known; nothing was written."""

    def __init__(self, path: str | Path, waited_s: float, holder_pid: int | None) -> None:
        holder = f" by process {holder_pid}" if holder_pid else ""
        message = f"locked{holder}; gave up after {waited_s:.3f} s, nothing was written"
        super().__init__(errno.ETIMEDOUT, message, path)
        self.waited_s, self.holder_pid = waited_s, holder_pid

    def __reduce__(self) -> tuple[type[Self], tuple[str, float, int | None]]:
        return type(self), (self.filename, self.waited_s, self.holder_pid)


class LogBusy(OmnelogError, RuntimeError):
    """A signal handler used the handle whose append it interrupted; nothing was done."""


class LogClosed(OmnelogError, ValueError):
    """The handle was closed; open another with `EventLog.for_run`."""


class InvalidRunId(OmnelogError, ValueError):
    """A run or node id that is not one plain path component; nothing was touched."""


class UlidError(OmnelogError, ValueError):
    """The volume's last ULID is none, or the greatest there can be; nothing was overwritten."""


class SerializeError(OmnelogError, ValueError):
    """An event with a field that does not fit the schema; nothing was written."""


class DeserializeError(OmnelogError, ValueError):
    """A line that is no event: `reason`, and for a line in a file its `path`, `line` and `offset`.

    `line` counts from 1, `offset` is the byte where the line begins; all None for a bare line.
    """

    def __init__(
        self,
        reason: str,
        path: Path | None = None,
        line: int | None = None,
        offset: int | None = None,
    ) -> None:
        super().__init__(reason, path, line, offset)
        self.reason, self.path, self.line, self.offset = reason, path, line, offset

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.reason}" if self.path else self.reason


class TornTailError(DeserializeError):
    """The log ends in part of a line that nobody is writing; the next append sets it aside."""
