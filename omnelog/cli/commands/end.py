# SPDX-License-Identifier: MIT
"""`end`: end a run that `begin` started, or whose recorder died before it could log the end."""

from argparse import Namespace
from pathlib import Path

from ... import PipeAborted, PipeCompleted
from ...recording import event_text, unfinished_nodes
from ..claims import is_being_recorded, spell_recorder
from ..exits import OK, Refused
from ..locate import find_run
from ..parser import Verbs
from ..run_writer import open_run
from ..text import some

_HELP = """\
End a run: as completed, or with --abort as aborted.

This is for a run that `omnelog begin` started, and for one whose recorder was killed
before it could log the end. If a node of the run has no end, the run cannot be
completed, only aborted. A recorder that is still at work then logs the end of its
node and leaves the run as it is.
"""

_HELP_END = """\
examples:
  omnelog end RUN
  omnelog end latest --abort 'the machine was restarted'
"""

_SHOWN = 5  # nodes in a message


def declare(verbs: Verbs, summary: str) -> None:
    """Declare the arguments of `end`."""
    verb = verbs.add("end", summary, _carry_out, _HELP, _HELP_END)
    verb.parser.add_argument("--abort", metavar="REASON", help="it was aborted, and why")
    verb.run_argument()


def _carry_out(root: Path, given: Namespace) -> int:
    log = open_run(root, find_run(root, given.run))
    unfinished = unfinished_nodes(log.root, log.run_id)
    if given.abort is None and unfinished:
        described = [_described(root, log.run_id, node_id) for node_id in unfinished[:_SHOWN]]
        names = some([*described, *unfinished[_SHOWN:]], _SHOWN)
        raise Refused(
            f"run {log.run_id} cannot be completed, because these nodes have no end: {names}; "
            "wait for them, or end it with --abort REASON"
        )
    if given.abort is None:
        log.append(PipeCompleted(**log.head()))
        return OK
    reason = given.abort
    if unfinished:
        reason += f" (nodes without an end: {', '.join(unfinished)})"
    log.append(PipeAborted(**log.head(), reason=event_text(reason)))
    return OK


def _described(root: Path, run_id: str, node_id: str) -> str:
    """Return a node's id and, if it is known, whether its recorder is alive."""
    recorder = spell_recorder(is_being_recorded(root, run_id, node_id))
    return f"{node_id!r} ({recorder})" if recorder else repr(node_id)
