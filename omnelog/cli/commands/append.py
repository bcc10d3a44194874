# SPDX-License-Identifier: MIT
"""`append`: events from standard input into the log of a run, each checked before it is written.

It stops at the first line that is no event of that run. So what was appended is always the input up
to a line that is named, or as far as it could be read; once that line is mended the rest can follow
in order. Where it is not known whether the line is in the log, that is said.
"""

import sys
from argparse import Namespace
from pathlib import Path

from ... import (
    AppendIndeterminate,
    Event,
    EventLog,
    OmnelogError,
    PipeStarted,
    decode,
    run_exists,
)
from ..exits import FINDINGS, OK, Refused
from ..parser import Verbs
from ..streams import complain, input_lines

_HELP = """\
Append the events on standard input, one JSON object a line, to the log of a run.

Each is checked and appended as soon as it is read. At the first line that is not an
event of this run it stops: standard error says line: reason, the exit status is 1,
the events before that line are kept and nothing from it on is appended, unless it
says that this is not known of the line itself. Blank lines are passed over. A run
that does not exist is begun by a pipe.started.
"""

_HELP_END = """\
examples:
  omnelog append RUN < events.jsonl
  tail -n +7 events.jsonl | omnelog append RUN     go on from a mended line 7
"""


def declare(verbs: Verbs, summary: str) -> None:
    """Say what `append` takes."""
    verb = verbs.add("append", summary, _carry_out, _HELP, _HELP_END)
    verb.run_argument(help="id of the run, whole")


def _carry_out(root: Path, given: Namespace) -> int:
    return append(root, given.run)


def append(root: Path, run_id: str) -> int:
    """Append the events on standard input, one JSON object a line, each as soon as it is read.

    Returns 0, or 1 after ``line: reason`` on standard error for the first line that was not
    appended, or may not have been, all before it kept. Blank lines are passed over. A run that is
    not there is begun by its pipe.started. Raises Refused, after saying how many were appended,
    when standard input fails; else Refused, OmnelogError or OSError with nothing appended.
    """
    log = EventLog.for_run(root, run_id) if run_exists(root, run_id) else None
    if sys.stdin is not None and sys.stdin.isatty():
        complain("omnelog: append: type one JSON event a line, then Ctrl-D")
    appended = 0
    try:
        for number, line in enumerate(input_lines(), start=1):
            if not line.strip():
                continue
            try:
                event = _event(line, run_id)
                log = log or _begun(root, event)
                log.append(event)
            except (OmnelogError, Refused) as error:
                complain(f"{number}: {error}")
                what = f"nothing from line {number} on"
                if isinstance(error, AppendIndeterminate):
                    what = (
                        f"line {number} may be in the log or not, look before you append it again"
                    )
                complain(f"omnelog: append: {appended} appended; {what}")
                return FINDINGS
            appended += 1
    except Refused:
        if appended:
            complain(f"omnelog: append: {appended} appended, and then:")
        raise
    finally:
        if log is not None:
            log.close()
    if log is None:
        raise _unknown(root, run_id)
    return OK


def _event(line: bytes, run_id: str) -> Event:
    event = decode(line)
    if event.run_id != run_id:
        raise Refused(f"{event.type}.run_id: expected {run_id!r}, got {event.run_id!r:.80}")
    return event


def _begun(root: Path, event: Event) -> EventLog:
    """The log of a run that is not there yet: a misspelt run id must not make one."""
    if not isinstance(event, PipeStarted):
        raise _unknown(root, event.run_id)
    return EventLog.for_run(root, event.run_id)


def _unknown(root: Path, run_id: str) -> Refused:
    return Refused(
        f"no run {run_id!r} in {root}, and only a pipe.started can begin one; "
        "`omnelog runs` lists those there are"
    )
