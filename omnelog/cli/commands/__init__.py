# SPDX-License-Identifier: MIT
"""The verbs of the command, in the order in which its help lists them.

Each verb is a module, which is imported only when it is needed, because importing all of them takes
as long as the rest of the command.
"""

import os
from argparse import Namespace
from collections.abc import Callable, Sequence

from ..parser import Verbs, first_word

_SUMMARIES = {
    "record": "run a command as a node of a run",
    "begin": "start a run that no command surrounds",
    "end": "end a run",
    "runs": "list all runs with their state",
    "show": "show a run, node by node",
    "tail": "print a run's last events, or follow it",
    "output": "print what a node printed, or follow it",
    "wait": "wait until a run has ended",
    "timeline": "draw when each node was at work",
    "verify": "check every line of logs",
    "repair": "set a torn tail aside",
    "append": "append events from standard input",
    "events": "print the events of many runs as JSON lines",
    "export": "write a run for another tool",
    "schema": "print the JSON Schema of a line",
}


def parse(words: Sequence[str]) -> Namespace:
    """Parse a command line, without the program's name, as `Verbs.parse` does."""
    verbs = Verbs()
    named = first_word(words)
    if named == "help":  # as with git: the word after it is the verb
        words = [*(word for word in words if word != "help"), "--help"]
        named = first_word(words)
    if named == "tail":
        words = _with_counts(words)
    completes = "_ARGCOMPLETE" in os.environ  # a shell may ask for the options of any verb
    alone = list(words[:1]) == [named] and not completes  # a list of all verbs is not needed then
    for name, summary in _SUMMARIES.items():
        if completes or name == named:
            _declaration(name)(verbs, summary)
        elif not alone or named not in _SUMMARIES:
            verbs.mention(name, summary)
    return verbs.parse(words)


def _with_counts(words: Sequence[str]) -> list[str]:
    """Return `words` with each ``-3`` before ``--`` replaced by ``-n3``: tail(1) accepts both."""
    end = words.index("--") if "--" in words else len(words)
    return [_with_count(word) for word in words[:end]] + list(words[end:])


def _with_count(word: str) -> str:
    is_count = word[:1] == "-" and word[1:].isascii() and word[1:].isdigit()
    return f"-n{word[1:]}" if is_count else word


def _declaration(name: str) -> Callable[[Verbs, str], None]:
    """Import the module of the verb `name`; return its function that declares the arguments."""
    # ruff: noqa: PLC0415 - only one of them must be imported
    match name:
        case "record":
            from . import record

            return record.declare
        case "begin":
            from . import begin

            return begin.declare
        case "end":
            from . import end

            return end.declare
        case "runs":
            from . import runs

            return runs.declare
        case "show":
            from . import show

            return show.declare
        case "tail":
            from . import tail

            return tail.declare
        case "output":
            from . import output

            return output.declare
        case "wait":
            from . import wait

            return wait.declare
        case "events":
            from . import events

            return events.declare
        case "timeline":
            from . import timeline

            return timeline.declare
        case "verify":
            from . import verify

            return verify.declare
        case "repair":
            from . import repair

            return repair.declare
        case "append":
            from . import append

            return append.declare
        case "export":
            from . import export

            return export.declare
        case _:
            from . import schema

            return schema.declare
