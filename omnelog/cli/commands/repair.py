# SPDX-License-Identifier: MIT
"""`repair`: show what the next append would do to a torn tail, and let the core do it."""

from argparse import Namespace
from pathlib import Path

from ... import EventLog, TornTailError, events_log_path
from ..exits import FINDINGS, OK, Refused
from ..locate import find_run
from ..log_lines import LogLines, log_exists, quarantine_path
from ..parser import Verbs
from ..streams import ask, complain, emit, flush
from ..text import plain

_HELP = """\
Repair the end of a log after a writer died inside a line, as the next append would.

A tail that is a whole event gets the newline that it lacks. Any other tail is copied
to the quarantine, events.jsonl.torn beside the log, and then cut off. The command
first shows what it would do, and does it if you agree, or at once with --yes. Whole
lines are never changed, not even damaged ones.
"""

_HELP_END = """\
examples:
  omnelog repair --dry-run RUN | less     look at every byte of the tail
  omnelog repair --yes RUN

exit status:
  0    repaired, or there was nothing to repair; with --dry-run also if there is
  1    not repaired: you said no, or standard error says why
"""

_SHOWN = 256  # bytes of the tail; --dry-run shows all
_ROW = 16  # bytes


def declare(verbs: Verbs, summary: str) -> None:
    """Declare the arguments of `repair`."""
    verb = verbs.add("repair", summary, _carry_out, _HELP, _HELP_END)
    how = verb.parser.add_mutually_exclusive_group()
    how.add_argument("--dry-run", action="store_true", help="only show what would be done, whole")
    how.add_argument("-y", "--yes", action="store_true", help="do it without asking")
    verb.run_argument()


def _carry_out(root: Path, given: Namespace) -> int:
    return repair(root, find_run(root, given.run), yes=given.yes, dry_run=given.dry_run)


def repair(root: Path, run_id: str, *, yes: bool, dry_run: bool) -> int:
    """Show the tail of a run's log, and repair it if `yes` is set or the user agrees.

    With `dry_run` it is only shown. Returns 0, or 1 if the user did not agree. Raises Refused,
    OmnelogError, OSError.
    """
    path = events_log_path(root, run_id)
    tail = None
    whole = False
    if log_exists(path):
        with LogLines(path) as lines:
            tail = lines.tail()
            if lines.tail_in_flight:
                raise Refused(f"{path}: somebody is writing now; try again")
            whole = not isinstance(lines.event(tail), TornTailError)
    if tail is None or not tail.data:
        emit(f"{plain(str(path), 2000)}: nothing to repair")
        return OK
    _show(path, tail.data, tail.offset, whole=whole, all_of_it=dry_run)
    if dry_run:
        return OK
    if not yes and not ask("repair it? [y/N] "):
        complain("omnelog: repair: nothing was changed")
        return FINDINGS
    with EventLog.for_run(root, run_id) as log:
        log.repair()
    emit("repaired")
    return OK


def _show(path: Path, tail: bytes, offset: int, *, whole: bool, all_of_it: bool) -> None:
    if whole:
        deed = "it is a whole event; it would get the newline it lacks"
    else:
        deed = (
            f"they would be moved to {quarantine_path(path).name} beside it, "
            f"and the log cut to {offset} bytes"
        )
    emit(
        plain(f"{path}: {len(tail)} bytes after the last newline, from byte {offset}: {deed}", 2000)
    )
    shown = len(tail) if all_of_it else _SHOWN
    for at in range(0, min(len(tail), shown), _ROW):
        row = tail[at : min(at + _ROW, shown)]
        text = "".join(chr(b) if 0x20 <= b < 0x7F else "." for b in row)
        emit(f"{offset + at:08x}  {row.hex(' '):{3 * _ROW - 1}}  |{text}|")
    if shown < len(tail):
        emit(f"... {len(tail) - shown} more, which --dry-run shows")
    flush()
