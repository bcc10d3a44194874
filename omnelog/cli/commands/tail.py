# SPDX-License-Identifier: MIT
"""`tail`: print the last events of a run, and with -f those that come; always whole lines."""

import errno
from argparse import ArgumentTypeError, Namespace
from collections.abc import Callable, Iterable, Iterator
from itertools import chain, islice
from pathlib import Path
from typing import TypeAlias

from ... import (
    DeserializeError,
    Event,
    LogIOError,
    NodeCompleted,
    NodeFailed,
    NodeStarted,
    PipeAborted,
    PipeCompleted,
    encode,
    events_log_path,
    run_exists,
)
from ..describe import detail
from ..exits import FINDINGS, OK, Refused
from ..locate import find_run, is_relative
from ..log_lines import Line, LogLines, log_exists, pipe_ends
from ..parser import Verbs
from ..streams import complain, emit_json_lines, flush, pause
from ..terminal import Screen, cells, pad
from ..text import plain, short
from ..times import elapsed_ms, moment_ms, spell_ms
from ..wanted_events import WantedEvents

_HELP = """\
Print the last events of a run, one on each line: when, what, which node, and what the
event says.

With -f, go on until the pipe is completed or aborted. The run need not exist yet. If
it is removed, that is the end, with exit status 1. An event is printed once its line
is complete. A line that is not an event is reported on standard error, as
path:line: reason, and the exit status is then 1.
"""

_HELP_END = """\
examples:
  omnelog tail -f latest
  omnelog tail -n 30 --node test latest
  omnelog tail -n +1 --type node.failed RUN    all of them, from the first event on
  omnelog tail -f --json latest | jq -r .type
"""

_Found: TypeAlias = Event | DeserializeError

_WIDEST_NODE = 24  # columns; a longer node id shifts only its own line
_NARROW = 100  # columns; on a narrower terminal the time and the type are short
_LOOK_BACK = 2000  # lines before the printed ones in which starts of nodes are looked for
_STYLES: dict[type, str] = {
    NodeCompleted: "green",
    PipeCompleted: "bold green",
    NodeFailed: "red",
    PipeAborted: "bold red",
}


def declare(verbs: Verbs, summary: str) -> None:
    """Declare the arguments of `tail`."""
    verb = verbs.add("tail", summary, _carry_out, _HELP, _HELP_END)
    verb.parser.add_argument("-f", "--follow", action="store_true", help="until the pipe has ended")
    verb.parser.add_argument(
        "-n",
        "--lines",
        metavar="N",
        type=_count,
        default="10",
        help="begin with the last N events, or with +N at the Nth (default: 10); -N will do",
    )
    verb.filter_arguments()
    verb.parser.add_argument("--json", action="store_true", help="print events as JSON lines")
    verb.run_argument()


def _count(text: str) -> tuple[int, int | None]:
    """Parse N or +N. Returns how many events to skip, and how many of the last ones to print."""
    digits = text.removeprefix("+")
    if not (digits.isascii() and digits.isdigit() and len(digits) < 10):
        raise ArgumentTypeError(
            f"{text!r} is not a number of events, such as 10, or +10 to begin with the 10th"
        )
    return (max(0, int(digits) - 1), None) if text.startswith("+") else (0, int(digits))


def _carry_out(root: Path, given: Namespace) -> int:
    try:
        run_id = find_run(root, given.run)
    except Refused as error:
        if not given.follow or is_relative(given.run):
            raise
        run_id = given.run
        complain(f"omnelog: waiting until run {run_id!r} begins: {error}")
    wanted = WantedEvents(types=frozenset(given.type), nodes=frozenset(given.node))
    printer: _Printer = _JsonPrinter(wanted) if given.json else _TextPrinter(wanted)
    return tail(root, run_id, given.lines, printer, follow=given.follow)


def tail(
    root: Path,
    run_id: str,
    count: tuple[int, int | None],
    printer: "_Printer",
    *,
    follow: bool,
) -> int:
    """Print the events of a run, except the first ones, or only a number of the last ones.

    `count`: how many of the first to skip, and how many of the last to print, or None for all. If
    `follow` is set, continue with new events until the pipe has ended. To print the last ones, only
    the end of the log is decoded. Returns 1 if a line was not an event, or if the run was removed
    while it was followed; otherwise 0. Raises LogIOError, OSError, Refused.
    """
    path = events_log_path(root, run_id)
    if not follow and not log_exists(path):
        return OK
    lines = _opened(lambda: LogLines(path), wait=follow)
    try:
        _print_early(lines, *count, printer, follow=follow)
        while follow and not printer.ended:
            pause()
            # Checked before the log is read, so that everything in it is printed.
            left_behind = lines.is_left_behind()
            printer.print(_read(lines, lines.advance()))
            if left_behind and not printer.ended:
                if not run_exists(root, run_id):
                    complain(f"omnelog: run {run_id} was removed")
                    return FINDINGS
                complain(
                    f"omnelog: {path}: the log was replaced or removed; "
                    "continuing with the next log at this path"
                )
                lines = _opened(lines.successor, wait=True)
    finally:
        lines.close()
    return FINDINGS if printer.damaged else OK


def _print_early(
    lines: LogLines, passed_over: int, last: int | None, printer: "_Printer", *, follow: bool
) -> None:
    """Print the wanted events that are in the log now."""
    if last is None:
        found = lines.advance() if follow else lines.snapshot_lines()
        printer.print(islice(printer.noting(_read(lines, found)), passed_over, None))
        return
    if follow:
        end, _ = lines.extent()
        printer.ended = any(pipe_ends(lines.whole_lines(end)))
        torn: list[Line] = []
    else:
        rest = lines.tail()
        end = rest.offset
        torn = [rest] if rest.data else []
    if follow:
        lines.go_to(end)
    printer.print(_last(lines, torn, end, last, printer))


def _last(
    lines: LogLines, torn: list[Line], end: int, count: int, printer: "_Printer"
) -> list[_Found]:
    """Return the last `count` wanted events and damaged lines, in order."""
    before = lines.backwards(end)
    found: list[_Found] = []
    if count:
        for event in _read(lines, chain(torn, before)):
            if isinstance(event, DeserializeError) or printer.wanted.has(event):
                found.append(event)
                if len(found) == count:
                    break
    for line in islice(before, _LOOK_BACK):
        if b'"node.started"' in line.data:
            start = lines.event(line)
            if isinstance(start, NodeStarted):
                printer.knows_start(start)
    return found[::-1]


def _opened(opener: Callable[[], LogLines], *, wait: bool) -> LogLines:
    while True:
        try:
            return opener()
        except LogIOError as error:
            if not wait or error.errno not in (errno.ENOENT, errno.ENOTDIR):
                raise
        pause()


def _read(lines: LogLines, found: Iterable[Line]) -> Iterator[_Found]:
    for line in found:
        if event := lines.event(line):
            yield event


class _Printer:
    """Prints events; notes whether the pipe has `ended`, and whether a line was `damaged`."""

    def __init__(self, wanted: WantedEvents) -> None:
        """Begin before the first event."""
        self.wanted = wanted
        self.ended: bool = False
        self.damaged: bool = False
        self._starts: dict[str, int | None] = {}  # when nodes started, in milliseconds since 1970

    def knows_start(self, event: NodeStarted) -> None:
        """Note when a node began, unless that is known; its duration is computed from it."""
        self._starts.setdefault(event.node_id, moment_ms(event))

    def noting(self, found: Iterable[_Found]) -> Iterator[_Found]:
        """Yield `found`, and take note of each event even if it will not be printed."""
        for event in found:
            self._note(event)
            yield event

    def _note(self, event: _Found) -> None:
        self.ended |= isinstance(event, PipeCompleted | PipeAborted)
        if isinstance(event, NodeStarted):
            self._starts[event.node_id] = moment_ms(event)

    def print(self, found: Iterable[_Found]) -> None:
        """Print the wanted events, and why other lines are not events, and flush the output."""
        for event in found:
            self._note(event)
            if isinstance(event, DeserializeError):
                flush()
                complain(f"{event}")
                self.damaged = True
            elif self.wanted.has(event):
                self._print_event(event)
        flush()

    def _print_event(self, event: Event) -> None:
        raise NotImplementedError


class _JsonPrinter(_Printer):
    def _print_event(self, event: Event) -> None:
        emit_json_lines([encode(event)])


class _TextPrinter(_Printer):
    def __init__(self, wanted: WantedEvents) -> None:
        super().__init__(wanted)
        self._screen = Screen()
        self._node_width = 0
        self._narrow = self._screen.width is not None and self._screen.width < _NARROW
        self._widest = max(12, (self._screen.width or 400) // 5)

    def _print_event(self, event: Event) -> None:
        node = short(getattr(event, "node_id", ""), self._widest)
        self._node_width = max(self._node_width, min(_WIDEST_NODE, cells(node)))
        when = plain(event.ts, 20)
        what: str = event.type
        if self._narrow:
            when = when[11:19]
            what = what.rpartition(".")[2]
        self._screen.row(
            (f"{when}  ", "dim"),
            pad((f"{what}  ", _STYLES.get(type(event), "")), 11 if self._narrow else 19),
            pad((f"{node}  ", "bold"), self._node_width + 2),
            (self._said(event), ""),
        )

    def _said(self, event: Event) -> str:
        """Return what an event says; for the end of a node, first how long it took, if known."""
        if not isinstance(event, NodeCompleted | NodeFailed):
            return detail(event)
        start_ms = self._starts.pop(event.node_id, None)
        took = elapsed_ms(start_ms, moment_ms(event))
        lasted = "" if took is None else f"after {spell_ms(took)}"
        if isinstance(event, NodeCompleted):
            return lasted or detail(event)
        return "  ".join(filter(None, (lasted, detail(event))))
