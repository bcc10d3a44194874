# SPDX-License-Identifier: MIT
"""What nodes printed: where it is kept, and the last lines of it for people to read."""

import os
from pathlib import Path

from .. import InvalidRunId
from ..recording import node_capture_path
from .lastlines import as_seen
from .text import plain

_END = 16 * 1024  # bytes that are looked at for the last lines
_WIDEST = 300  # characters of one line


def capture_path(root: Path, run_id: str, node_id: str) -> Path | None:
    """Where the output of a node is kept; None if it was not captured."""
    try:
        path = node_capture_path(root, run_id, node_id)
    except InvalidRunId:  # out of a log, so it may be anything
        return None
    return path if os.path.isfile(path) else None


def path_from_here(path: Path) -> str:
    """An absolute path, or one from the current directory if that is shorter."""
    try:
        relative = os.path.relpath(path)
    except OSError:  # the current directory is gone
        return str(path)
    return min(relative, str(path), key=len)


def last_lines(path: Path, count: int, longest: int = _WIDEST) -> list[str]:
    """The last `count` lines of a capture that are not blank, harmless to a terminal.

    As a terminal would show them: without escape sequences, and of a line that was written over,
    as a progress bar does, what was written last. Empty if the file cannot be read.
    """
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            begin = file.seek(max(0, size - max(_END, count * longest)))
            lines = as_seen(file.read()).split(b"\n")
    except OSError:
        return []
    if begin > 0 and len(lines) > 1:
        lines.pop(0)  # it begins inside a line
    shown = [line.decode(errors="replace").rstrip().expandtabs() for line in lines[-4 * count :]]
    return [plain(line, longest) for line in shown if line][-count:]
