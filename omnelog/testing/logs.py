# SPDX-License-Identifier: MIT
"""The log of a run in the tests of a host: written byte for byte, and checked as a whole."""

import errno
from pathlib import Path

from .. import LogIOError, events_log_path, run_exists
from ..volume import Root


def write_log(root: Root, run_id: str, data: bytes) -> Path:
    """Let the log of `run_id` in the volume at `root` hold just `data`; return its path.

    The directories above it are created if necessary. Raises InvalidRunId; OSError.
    """
    path = events_log_path(root, run_id)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def findings(root: Root, run_id: str) -> list[str]:
    """Return what ``omnelog verify`` says about the log of `run_id` in the volume at `root`.

    It is empty if the log is clean, and otherwise holds ``path:line: reason``, a hundred at most.
    Needs `omnelog.cli`. Raises InvalidRunId; LogIOError if there is no such run.
    """
    from ..cli.checks import check_log  # noqa: PLC0415 - a copy without the command has the rest

    if not run_exists(root, run_id):
        raise LogIOError(errno.ENOENT, f"there is no run {run_id!r:.80}", root)
    verdict = check_log(run_id, events_log_path(root, run_id), lambda _: None)
    return [str(finding) for finding in verdict.findings]
