# SPDX-License-Identifier: MIT
"""Write the log of a run byte for byte, and check it as a whole, in the tests of a host."""

import errno
from pathlib import Path

from .. import LogIOError, events_log_path, run_exists
from ..volume import Root


def write_log(root: Root, run_id: str, data: bytes) -> Path:
    """Write `data` as the whole log of `run_id` in the volume at `root`; return the log's path.

    The directories above it are created if necessary. Raises InvalidRunId; OSError.
    """
    path = events_log_path(root, run_id)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def findings(root: Root, run_id: str) -> list[str]:
    """Return what ``omnelog verify`` says about the log of `run_id` in the volume at `root`.

    The list is empty if the log is clean. Otherwise it has texts like ``path:line: reason``: up to
    a hundred, and then how many more there are. Needs `omnelog.cli`. Raises InvalidRunId;
    LogIOError if there is no such run.
    """
    from ..cli.checks import check_log  # noqa: PLC0415 - a copy may lack the command

    if not run_exists(root, run_id):
        raise LogIOError(errno.ENOENT, f"there is no run {run_id!r:.80}", root)
    verdict = check_log(run_id, events_log_path(root, run_id), lambda _: None)
    return [str(finding) for finding in verdict.findings]
