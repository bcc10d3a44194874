# SPDX-License-Identifier: MIT
"""Show the progress of long work in a line on standard error, if that is a terminal."""

import os
import sys
from contextlib import suppress
from pathlib import Path
from time import monotonic
from types import TracebackType
from typing import Self

from .streams import STDERR, heeds_codes

_AFTER_S = 0.5  # seconds before the line appears, so that short work does not show it
_EVERY_S = 0.1  # seconds between two updates, so that people can read the line
_CLEAR = "\r\x1b[K"


class Progress:
    """A line that says how much of `total` is done; as a context manager it removes the line."""

    def __init__(self, doing: str, total: int) -> None:
        """Do not show anything yet."""
        self._doing = doing
        self._total = total
        self._shown = False
        self._started = monotonic()
        self._next = self._started + _AFTER_S
        if not _is_terminal():
            self._next = float("inf")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.hide()

    def reached(self, done: float) -> None:
        """Show that `done` of the total is done, unless the line was updated just before."""
        now = monotonic()
        if now < self._next:
            return
        self._next = now + _EVERY_S
        self._shown = True
        part = min(1.0, done / max(1, self._total))
        filled = round(part * 30)
        left = f", {(now - self._started) * (1 - part) / part:.0f} s left" if part > 0.01 else ""
        line = f"{self._doing} [{'#' * filled}{'-' * (30 - filled)}] {part:4.0%}{left}"
        self._write(_CLEAR + line[: _columns() - 1])

    def hide(self) -> None:
        """Remove the line until the next update, so that other text can be printed."""
        if self._shown:
            self._write(_CLEAR)
            self._shown = False

    def _write(self, text: str) -> None:
        with suppress(OSError):
            os.write(STDERR, text.encode())


def size_of(path: Path) -> int:
    """Return the size of a file, or 0 if it is unknown; opening the file will report the error."""
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _is_terminal() -> bool:
    return heeds_codes() and sys.stderr is not None and sys.stderr.isatty()


def _columns() -> int:
    try:
        return os.get_terminal_size(STDERR).columns or 80  # 0: the terminal does not know its size
    except OSError:
        return 80
