# SPDX-License-Identifier: MIT
"""`begin`: start a run for steps that do not share a parent process."""

from argparse import ArgumentTypeError, Namespace
from contextlib import suppress
from pathlib import Path

from ... import Input, OmnelogError, PipeAborted
from ...recording import event_text
from ..exits import OK, Refused
from ..parser import Verbs
from ..run_writer import new_run
from ..streams import emit, flush

_HELP = """\
Start a run of a pipe, and print its id. The run goes on until `omnelog end` ends it.

This is for steps that share no parent process, such as those of a CI job: each step
records itself with `omnelog record --run RUN`.
"""

_HELP_END = """\
examples:
  run=$(omnelog begin ci --input branch=main)
  omnelog record --run "$run" test -- pytest -q
  omnelog end "$run"
"""


def declare(verbs: Verbs, summary: str) -> None:
    """Declare the arguments of `begin`."""
    verb = verbs.add("begin", summary, _carry_out, _HELP, _HELP_END)
    verb.parser.add_argument("pipe", metavar="PIPE", help="the name of the pipe")
    verb.parser.add_argument(
        "--input",
        metavar="KEY=VALUE",
        action="append",
        type=_input,
        default=[],
        help="an input of the run; may be given several times",
    )


def _input(text: str) -> Input:
    key, equals, value = text.partition("=")
    if not key or not equals:
        raise ArgumentTypeError(f"{text!r} must be KEY=VALUE")
    return Input(key=event_text(key), value=event_text(value))


def _carry_out(root: Path, given: Namespace) -> int:
    log = new_run(root, given.pipe)
    log.begin(given.pipe, given.input)
    try:
        emit(log.run_id)
        flush()
    except (OSError, Refused):  # nobody knows the run's id, so nobody could end it
        with suppress(OmnelogError, OSError):
            log.append(PipeAborted(**log.head(), reason="its id could not be printed"))
        raise
    return OK
