# SPDX-License-Identifier: MIT
"""Every error omnelog raises: what is wrong, where, and what it means (SPEC: ERR).

All derive from `OmnelogError` and from the builtin a caller would expect. Each pickles with its
attributes; what caused it is chained. `str()` reads ``path:line: what is wrong; what it means``.
"""

from pathlib import Path
from typing import Any


class OmnelogError(Exception):
    """Base of every error omnelog raises on purpose."""


class _FileError(OmnelogError, OSError):
    """An OSError of ``(errno, message, filename)`` shown as ``filename: message``.

    `appended`: how many events of the call that failed stand in the log, whole and final.
    """

    appended: int = 0

    def __init__(self, errno: int | None, message: str, path: str | Path, **more: Any) -> None:
        super().__init__(errno, message, str(path))
        self.__dict__.update(more)  # attributes, kept by pickle as any other state

    def __str__(self) -> str:
        return f"{self.filename}: {self.strerror}"


class LogIOError(_FileError):
    """The system refused. Beyond `appended` whole lines nothing was written."""


class AppendIndeterminate(_FileError):
    """Besides the `appended` lines, more may or may not be in the log, now or after a power loss.

    What was written could be neither completed nor taken back, or a durable append's sync failed,
    or a fork struck amid the append and this is the child. Look before appending it again.
    """


class LockTimeout(_FileError, TimeoutError):
    """The lock stayed taken until the deadline; nothing was written.

    `waited_s`: seconds waited. `holder_pid`: who held it then, where the system tells, else None.
    """

    waited_s: float
    holder_pid: int | None


class LogBusy(OmnelogError, RuntimeError):
    """A signal handler used the very handle whose append it interrupted; nothing was done."""


class LogClosed(OmnelogError, ValueError):
    """The handle was closed; open another with `EventLog.for_run`."""


class InvalidRunId(OmnelogError, ValueError):
    """A run or node id that is not one plain path component; nothing was touched."""


class UlidError(OmnelogError, ValueError):
    """The volume's last ULID is no ULID, or the greatest there is; nothing was overwritten."""


class SerializeError(OmnelogError, ValueError):
    """An event with a field that does not fit the schema; nothing was written."""


class DeserializeError(OmnelogError, ValueError):
    """A line that is not an event: `reason`, and of a line in a file where it is.

    `path`, `line` (from 1) and `offset` (in bytes, of the line's begin) are None for a bare line.
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
