# SPDX-License-Identifier: MIT
"""`wait`: wait until a run has ended; the exit status says how it ended."""

import time
from argparse import Namespace
from pathlib import Path

from ... import PipeCompleted, events_log_path, run_exists
from ..exits import FINDINGS, OK, RECORDER, TIMED_OUT, Refused
from ..locate import find_run
from ..log_lines import LogLines, log_exists, pipe_ends
from ..parser import Verbs, seconds
from ..streams import complain

_HELP = """\
Wait until a run has ended. Nothing is printed; the exit status says how it ended.
"""

_HELP_END = """\
examples:
  omnelog wait latest && echo fine
  omnelog wait --timeout 10m RUN

exit status:
  0    its pipe was completed
  1    its pipe was aborted
  124  it has not ended by --timeout
  125  there is no such run, or it was removed or cannot be read; standard error says
       why
  2    wrong command line
"""

_POLL_S = 0.1  # seconds between two checks


def declare(verbs: Verbs, summary: str) -> None:
    """Declare the arguments of `wait`."""
    verb = verbs.add("wait", summary, _carry_out, _HELP, _HELP_END, trouble=RECORDER)
    verb.parser.add_argument(
        "--timeout", metavar="TIME", type=seconds, help="wait no longer than this: 90, 5m or 2h"
    )
    verb.run_argument()


def _carry_out(root: Path, given: Namespace) -> int:
    return wait(root, find_run(root, given.run), timeout_s=given.timeout)


def wait(root: Path, run_id: str, *, timeout_s: float | None) -> int:
    """Wait until a run has ended. Returns 0 if it was completed, 1 if it was aborted.

    Returns 124 after `timeout_s` seconds; None is no limit. Raises Refused if the run is removed;
    LogIOError.
    """
    deadline = None if timeout_s is None else time.monotonic() + timeout_s
    path = events_log_path(root, run_id)
    lines: LogLines | None = None
    try:
        while True:
            if lines is None and log_exists(path):
                lines = LogLines(path)
            status = None if lines is None else _ending(lines)
            if status is not None:
                return status
            if not run_exists(root, run_id):
                raise Refused(f"run {run_id} was removed")
            left_s = None if deadline is None else deadline - time.monotonic()
            if left_s is not None and left_s <= 0:
                complain(f"omnelog: wait: run {run_id} has not ended after {timeout_s:g} s")
                return TIMED_OUT
            if lines is not None and lines.is_left_behind():
                lines.close()  # the log was moved away, so open the path again
                lines = None
            time.sleep(_POLL_S if left_s is None else min(_POLL_S, left_s))
    finally:
        if lines is not None:
            lines.close()


def _ending(lines: LogLines) -> int | None:
    """Return the exit status for the last end of a pipe among the new lines; None without one."""
    status = None
    for end in pipe_ends(line.data for line in lines.advance()):
        status = OK if isinstance(end, PipeCompleted) else FINDINGS
    return status
