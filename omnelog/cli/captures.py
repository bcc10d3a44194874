# SPDX-License-Identifier: MIT
"""Find what nodes printed, and show its last lines to people."""

import os
from pathlib import Path

from .. import InvalidRunId
from ..recording import node_capture_path
from .lastlines import as_seen
from .text import plain

_END = 16 * 1024  # bytes that are read for the last lines, at least
_WIDEST = 300  # characters of one line, at most


def capture_path(root: Path, run_id: str, node_id: str) -> Path | None:
    """Return the file that holds the output of a node; None if it was not captured."""
    try:
        path = node_capture_path(root, run_id, node_id)
    except InvalidRunId:  # the node id is from a log, so it may be any text
        return None
    return path if os.path.isfile(path) else None


def path_from_here(path: Path) -> str:
    """Return an absolute path, or the path from the current directory if that is shorter."""
    try:
        relative = os.path.relpath(path)
    except OSError:  # the current directory is gone
        return str(path)
    return min(relative, str(path), key=len)


def last_lines(path: Path, count: int, longest: int = _WIDEST) -> list[str]:
    """Return the last `count` lines of a capture that are not blank, harmless to a terminal.

    They are as a terminal shows them: without escape sequences, and of a line that was overwritten,
    such as a progress bar, only what was written last. The list is empty if the file cannot be
    read.
    """
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            begin = file.seek(max(0, size - max(_END, count * longest)))
            lines = as_seen(file.read()).split(b"\n")
    except OSError:
        return []
    if begin > 0 and len(lines) > 1:
        lines.pop(0)  # its beginning may be missing
    shown = [line.decode(errors="replace").rstrip().expandtabs() for line in lines[-4 * count :]]
    return [plain(line, longest) for line in shown if line][-count:]
