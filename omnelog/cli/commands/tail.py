# SPDX-License-Identifier: MIT
"""`tail`: the last events of a run, and those that come, a line each, never half a line."""

import errno
import os
import select
from argparse import ArgumentTypeError, Namespace
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import TypeAlias

from ... import (
    DeserializeError,
    Event,
    LogIOError,
    NodeCompleted,
    NodeFailed,
    PipeAborted,
    PipeCompleted,
    events_log_path,
)
from ..exits import FINDINGS, OK, Refused
from ..lines import Lines, log_exists
from ..locate import LATEST, find_run
from ..parser import Verbs
from ..streams import STDOUT, complain, flush
from ..terminal import Screen, cells, pad
from ..text import detail, plain

_HELP = """\
Print the last events of a run, one a line: when, what, which node, and what it says.

With -f go on as the run does, until its pipe is completed or aborted. The run need
not be there yet. An event is printed once its line is whole. What is no event is
told on standard error, as path:line: reason; the exit status is 1 then.
"""

_HELP_END = """\
examples:
  omnelog tail -f latest
  omnelog tail -n +1 RUN | grep node.failed    all events, from the first on
"""

_Found: TypeAlias = Event | DeserializeError

_POLL_MS = 100  # to a person that is at once
_WIDEST_NODE = 24  # a longer node id shifts its own line, not every other
_STYLES: dict[type, str] = {
    NodeCompleted: "green",
    PipeCompleted: "bold green",
    NodeFailed: "red",
    PipeAborted: "bold red",
}


def declare(verbs: Verbs, summary: str) -> None:
    """Say what `tail` takes."""
    verb = verbs.add("tail", summary, _carry_out, _HELP, _HELP_END)
    verb.parser.add_argument("-f", "--follow", action="store_true", help="until the pipe has ended")
    verb.parser.add_argument(
        "-n",
        "--lines",
        metavar="N",
        type=_count,
        default="10",
        help="begin with the last N events, or with +N at the Nth (default: 10)",
    )
    verb.run_argument()


def _count(text: str) -> tuple[int, int | None]:
    """Which events to begin with: how many to pass over, how many at most of the last ones."""
    digits = text.removeprefix("+")
    if not (digits.isascii() and digits.isdigit() and len(digits) < 10):
        raise ArgumentTypeError(f"{text!r} is no number of events")
    return (max(0, int(digits) - 1), None) if text.startswith("+") else (0, int(digits))


def _carry_out(root: Path, given: Namespace) -> int:
    try:
        run_id = find_run(root, given.run)
    except Refused as error:
        if not given.follow or given.run == LATEST:
            raise
        run_id = given.run
        complain(f"omnelog: waiting for it: {error}")
    return tail(events_log_path(root, run_id), *given.lines, follow=given.follow)


def tail(path: Path, passed_over: int, last: int | None, *, follow: bool) -> int:
    """Print the events of the log at `path`, but for the first `passed_over`: the `last` ones.

    If `follow` is set, then those that come, until the pipe has ended. Returns 1 if a line was no
    event, else 0. Raises LogIOError, OSError, Refused.
    """
    if not follow and not log_exists(path):
        return OK
    printer = _Printer()
    lines = _opened(lambda: Lines(path), printer, wait=follow)
    try:
        early: Iterable[_Found] = _read(
            lines, lines.advance() if follow else lines.snapshot_lines()
        )
        early = islice(printer.noting(early), passed_over, None)
        printer.print(early if last is None else deque(early, last))
        while follow and not printer.ended:
            printer.pause()
            left_behind = (
                lines.is_left_behind()
            )  # asked before looking, so that all is seen that came
            printer.print(printer.noting(_read(lines, lines.advance())))
            if left_behind and not printer.ended:
                complain(f"omnelog: {path}: replaced or removed; following what is there next")
                lines = _opened(lines.successor, printer, wait=True)
    finally:
        lines.close()
    return FINDINGS if printer.damaged else OK


def _opened(opener: Callable[[], Lines], printer: "_Printer", *, wait: bool) -> Lines:
    while True:
        try:
            return opener()
        except LogIOError as error:
            if not wait or error.errno not in (errno.ENOENT, errno.ENOTDIR):
                raise
        printer.pause()


def _read(lines: Lines, found: Iterable[bytes]) -> Iterator[_Found]:
    for line in found:
        if event := lines.event(line):
            yield event


class _Printer:
    """Prints events and knows what came: whether the pipe has `ended`, and anything `damaged`."""

    def __init__(self) -> None:
        """Nothing has come yet."""
        self._screen, self._node_width = Screen(), 0
        self.ended = self.damaged = False
        self._reader = select.poll()  # tells when whoever reads our output is gone
        self._reader.register(STDOUT, 0)

    def noting(self, found: Iterable[_Found]) -> Iterator[_Found]:
        """Pass `found` on, whether it will be printed or not."""
        for event in found:
            self.ended |= isinstance(event, PipeCompleted | PipeAborted)
            yield event

    def print(self, found: Iterable[_Found]) -> None:
        """Print an event a line, and of what is no event the reason; at once."""
        for event in found:
            if isinstance(event, DeserializeError):
                flush()
                complain(f"{event}")
                self.damaged = True
                continue
            node = plain(getattr(event, "node_id", ""), 80)
            self._node_width = max(self._node_width, min(_WIDEST_NODE, cells(node)))
            self._screen.line(
                (f"{plain(event.ts, 20)}  ", "dim"),
                pad((f"{event.type}  ", _STYLES.get(type(event), "")), 19),
                pad((f"{node}  ", "bold"), self._node_width + 2),
                (detail(event), ""),
            )
        flush()

    def pause(self) -> None:
        """Wait a moment. Raises BrokenPipeError if whoever reads the output has gone meanwhile."""
        if self._reader.poll(_POLL_MS):
            raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE))
