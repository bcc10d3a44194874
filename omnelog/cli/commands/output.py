# SPDX-License-Identifier: MIT
"""`output`: print what a node printed, unchanged, and with -f what it still prints."""

import os
from argparse import Namespace
from pathlib import Path

from ... import (
    Event,
    LogIOError,
    NodeCompleted,
    NodeFailed,
    NodeStarted,
    PipeAborted,
    PipeCompleted,
    events_log_path,
    run_exists,
)
from ...recording import node_capture_path
from ..checks import Findings, sound_events
from ..exits import FINDINGS, OK, Refused
from ..locate import find_run
from ..log_lines import LogLines, log_exists
from ..parser import Verbs
from ..streams import complain, flush, output, pause
from ..text import names_like

_HELP = """\
Print what a node printed, byte for byte: standard output and standard error together,
in the order in which they came. This is the file that `omnelog record` keeps in
.omne/var/runs/RUN/nodes/NODE.out.

With -f, go on until the end of the node, or of the run, is in the log.
"""

_HELP_END = """\
examples:
  omnelog output latest test | less -R
  omnelog output -f latest test
"""

_BLOCK = 64 * 1024  # bytes


def declare(verbs: Verbs, summary: str) -> None:
    """Declare the arguments of `output`."""
    verb = verbs.add("output", summary, _carry_out, _HELP, _HELP_END)
    verb.parser.add_argument("-f", "--follow", action="store_true", help="until the node has ended")
    verb.run_argument()
    verb.parser.add_argument("node", metavar="NODE", help="id of the node")


def _carry_out(root: Path, given: Namespace) -> int:
    return print_output(root, find_run(root, given.run), given.node, follow=given.follow)


def print_output(root: Path, run_id: str, node_id: str, *, follow: bool) -> int:
    """Print what a node printed. If `follow` is set, continue until the node or its run has ended.

    Returns 0, or 1 if the run was removed while it was followed. Raises Refused if the output was
    not kept; InvalidRunId; LogIOError; OSError.
    """
    path = node_capture_path(root, run_id, node_id)
    log = events_log_path(root, run_id)
    try:
        file = path.open("rb", buffering=0)
    except FileNotFoundError as error:
        raise _nothing_kept(log, run_id, node_id, path) from error
    with file:
        if not follow:
            _copy(file.fileno())
            return OK
        return _follow(root, log, run_id, node_id, file.fileno())


def _follow(root: Path, log: Path, run_id: str, node_id: str, fd: int) -> int:
    with LogLines(log) as lines:
        ended = False
        while True:
            for line in lines.advance():
                event = lines.event(line)
                if isinstance(event, Event):
                    ended = _ended_after(event, node_id, before=ended)
            _copy(fd)  # after the log was read, so that all output before the end is printed
            if ended:
                return OK
            if not run_exists(root, run_id):
                complain(f"omnelog: run {run_id} was removed")
                return FINDINGS
            pause()


def _ended_after(event: Event, node_id: str, *, before: bool) -> bool:
    """Return whether a node has ended after `event`. `before`: whether it had ended before that."""
    if isinstance(event, PipeCompleted | PipeAborted):
        return True
    if isinstance(event, NodeStarted) and event.node_id == node_id:
        return False
    ends = isinstance(event, NodeCompleted | NodeFailed) and event.node_id == node_id
    return before or ends


def _copy(fd: int) -> None:
    """Print the rest of a file, from where the last call ended."""
    while data := os.read(fd, _BLOCK):
        output().write(data)
    flush()


def _nothing_kept(log: Path, run_id: str, node_id: str, path: Path) -> Refused:
    """Return the error which says why there is no output of a node."""
    nodes: dict[str, None] = {}
    try:
        if log_exists(log):
            for event in sound_events(log, Findings(str(log))):
                if isinstance(event, NodeStarted):
                    nodes[event.node_id] = None
    except LogIOError:
        pass
    if node_id in nodes:
        return Refused(f"the output of node {node_id!r} was not kept: there is no {path}")
    return Refused(f"run {run_id} has no node {node_id!r}{names_like(node_id, nodes)}")
