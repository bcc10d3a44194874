# SPDX-License-Identifier: MIT
"""`append`: append events from standard input to the log of a run, each after a check.

The command stops at the first line that is not an event of that run, and names the line. So exactly
the lines before it are in the log. When the line is corrected, it and the rest can be appended in
order. If it is not known whether the line itself is in the log, the message says so.
"""

import sys
from argparse import Namespace
from pathlib import Path

from ... import (
    AppendIndeterminate,
    DeserializeError,
    Event,
    EventLog,
    OmnelogError,
    PipeStarted,
    decode,
    events_log_path,
    run_exists,
)
from ..checks import Checker
from ..exits import FINDINGS, OK, Refused
from ..log_lines import LogLines, is_blank, log_exists, reason_of
from ..parser import Verbs
from ..streams import complain, input_lines
from ..text import counted, plain

_HELP = """\
Append the events on standard input, one JSON object on each line, to the log of a run.

Each event is checked and appended as soon as it is read. The command stops at the
first line that is not an event of this run, or that `omnelog verify` would report.
Standard error then says line: reason, and the exit status is 1. The events before
that line are kept, and nothing from that line on is appended; if it is not known
whether the line itself was appended, the message says so. With --force, any event of
this run is appended, even if `omnelog verify` will report it. Blank lines are skipped.
If the run does not exist, a pipe.started begins it.

The checks include what other processes have appended by then.
"""

_HELP_END = """\
examples:
  omnelog append RUN < events.jsonl
  tail -n +7 events.jsonl | omnelog append RUN     go on from a corrected line 7
"""


def declare(verbs: Verbs, summary: str) -> None:
    """Declare the arguments of `append`."""
    verb = verbs.add("append", summary, _carry_out, _HELP, _HELP_END)
    verb.parser.add_argument("--force", action="store_true", help="also what verify would report")
    verb.run_argument(help="id of the run, whole")


def _carry_out(root: Path, given: Namespace) -> int:
    return append(root, given.run, force=given.force)


def append(root: Path, run_id: str, *, force: bool) -> int:
    """Append the events on standard input, one JSON object a line, each as soon as it is read.

    Stops at the first line that is not appended, or perhaps not; prints ``line: reason`` on
    standard error and returns 1. The lines before it are kept. Otherwise returns 0. Unless `force`
    is set, a line that `verify` would report is not appended. Blank lines are skipped. If the run
    does not exist, its pipe.started begins it. Raises Refused if standard input fails, after
    printing how many events were appended. Raises Refused, OmnelogError or OSError if nothing was
    appended.
    """
    log = EventLog.for_run(root, run_id) if run_exists(root, run_id) else None
    order = None if force else _Order(root, run_id)
    if sys.stdin is not None and sys.stdin.isatty():
        complain("omnelog: append: type one JSON event a line, then Ctrl-D")
    appended = 0
    try:
        for number, line in enumerate(input_lines(), start=1):
            if is_blank(line.removesuffix(b"\n")):
                continue
            try:
                event = _event(line, run_id)
                log = log or _begun(root, event)
                if order is not None:
                    log.repair()  # as the append would do, because the tail may be a whole event
                    order.check(event)
                log.append(event)
            except (OmnelogError, Refused) as error:
                complain(f"{number}: {error}")
                what = f"nothing from line {number} on"
                if isinstance(error, AppendIndeterminate):
                    what = (
                        f"line {number} may be in the log; "
                        "check with `omnelog tail` before you append it again"
                    )
                complain(f"omnelog: append: {counted(appended, 'event')} appended; {what}")
                return FINDINGS
            appended += 1
    except Refused:
        if appended:
            complain(f"omnelog: append: {counted(appended, 'event')} appended before this error:")
        raise
    finally:
        if log is not None:
            log.close()
        if order is not None:
            order.close()
    if log is None:
        raise _unknown(root, run_id)
    return OK


def _event(line: bytes, run_id: str) -> Event:
    try:
        event = decode(line)
    except DeserializeError as error:
        raise Refused(reason_of(error, line)) from error
    if event.run_id != run_id:
        raise Refused(f"{event.type}.run_id: expected {run_id!r}, got {event.run_id!r:.80}")
    return event


class _Order:
    """What is in the log by now, and which events may come next."""

    def __init__(self, root: Path, run_id: str) -> None:
        self._path = events_log_path(root, run_id)
        self._checker = Checker(run_id)
        self._lines: LogLines | None = None

    def check(self, event: Event) -> None:
        """Check that `verify` would not report `event` at the end of the log.

        Raises Refused; LogIOError.
        """
        self._catch_up()
        faults = list(self._checker.faults(event))
        if self._checker.has_id_of(event):
            faults.append(f"id {plain(event.id, 80)!r} is in the log already")
        if faults:
            raise Refused(f"{'; '.join(faults)}; use --force to append it anyway")

    def _catch_up(self) -> None:
        """Read the lines that came since the last call."""
        if self._lines is None:
            if not log_exists(self._path):
                return
            self._lines = LogLines(self._path)
        for line in self._lines.advance():
            event = self._lines.event(line)
            if event is not None and not isinstance(event, DeserializeError):
                self._checker.take(line.number, event)  # `verify` reports what is wrong with it

    def close(self) -> None:
        """Close the log."""
        if self._lines is not None:
            self._lines.close()


def _begun(root: Path, event: Event) -> EventLog:
    """Return the log of a new run. Raises Refused unless `event` may begin it.

    Otherwise a misspelt run id would make a run.
    """
    if not isinstance(event, PipeStarted):
        raise _unknown(root, event.run_id)
    return EventLog.for_run(root, event.run_id)


def _unknown(root: Path, run_id: str) -> Refused:
    return Refused(
        f"no run {run_id!r} in {root}, and only a pipe.started can begin one; "
        "`omnelog runs` lists those there are"
    )
