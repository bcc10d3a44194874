# SPDX-License-Identifier: MIT
"""The command line: its words, and the help that teaches them. ASCII, for any terminal."""

import os
from argparse import SUPPRESS, ArgumentParser, RawDescriptionHelpFormatter
from collections.abc import Sequence
from dataclasses import dataclass

from .. import __version__
from .environment import ROOT_VARIABLE, RUN_VARIABLE

_PROGRAM = """\
Record, read and extend the event logs of omne runs.

A volume is a directory that holds .omne; each run in it has a log, one event a
line, to which any number of processes append at once.
"""

_PROGRAM_END = """\
examples:
  mkdir .omne                                    make this directory a volume
  omnelog record --pipe ci test -- pytest -q     record a command as a run
  omnelog runs                                   see all runs, and their state
  omnelog show ci-01kpfntqeej7vhn935kc0tm9vn     see what happened in one

The volume is --root DIR, else $OMNE_VOLUME_ROOT, else the nearest directory from
here upwards that holds .omne.

exit status:
  0    done
  1    refused, or a log is damaged: standard error says what and where
  2    wrong command line
  130  interrupted; 141: nobody reads the output
  `record` has the recorded command's, see `omnelog record --help`
"""

_RECORD = """\
Run a command as a node of a run, and log its start and its end.

With --pipe a run is started, its id printed on standard error as run_id=..., and
ended when the command ends: completed if that succeeded, else aborted. Without, the
node is added to the run that --run or $OMNE_RUN_ID names, which must not have ended
and must not have a node of that id. The command finds OMNE_RUN_ID, OMNE_NODE_ID and
OMNE_VOLUME_ROOT in its environment, so what it runs can add nodes to the same run,
any number at once.

What the command prints is passed through as it comes, and kept in
.omne/var/runs/RUN/nodes/NODE.out. Signals are passed on to it. If whoever reads the
output stops reading, the command gets SIGPIPE, as in any pipeline. Processes it
leaves running in the background are recorded for one second after its end.
"""

_RECORD_END = """\
examples:
  omnelog record --pipe ci test -- pytest -q
  omnelog record --pipe ci all -- make -j8
      with recipes such as: omnelog record lint -- ruff check .
  omnelog record --pipe ci all -- sh -c '
      printf "%s\\n" lint types | xargs -P2 -I{} omnelog record {} -- nox -s {}'

exit status:
  that of the command, 128+N if signal N ended it, and
  125  omnelog failed: the command was not run, or it succeeded and its record is
       incomplete; standard error says what is missing and what to do
  126  the command cannot be executed
  127  the command was not found
  2    wrong command line
"""

_SHOW = """\
Print the events of a run, one a line: when, what, which node, and what it says; of
an error message the last line. Of a damaged log all that is sound is printed, and
standard error says what is not, as path:line: reason; the exit status is 1 then.
"""

_RUNS = """\
List all runs with their state: running (or died without logging its end), completed,
aborted, empty (nothing logged yet) or damaged. For a damaged log standard error says
the first thing wrong, as path:line: reason, and the exit status is 1.
"""

_APPEND = """\
Append the events on standard input, one JSON object a line, to the log of a run.

Each is checked and appended as soon as it is read. At the first line that is not an
event of this run it stops: standard error says line: reason, the exit status is 1,
the events before that line are kept and nothing from it on is appended. Blank lines
are passed over. A run that does not exist is begun by a pipe.started.
"""

_APPEND_END = """\
examples:
  omnelog append RUN < events.jsonl
  tail -n +7 events.jsonl | omnelog append RUN     go on from a mended line 7
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Arguments:
    """A command line, taken apart; what its verb has no use for is at its default."""

    verb: str
    root: str | None = None
    run: str = ""
    node: str = ""
    pipe: str | None = None
    json: bool = False
    command: tuple[str, ...] = ()


def parse(words: Sequence[str]) -> Arguments:
    """Take `words` apart.

    Exits as argparse does, by SystemExit, after --help and --version (0) or with a message (2).
    """
    parser, record = _parsers()
    command: tuple[str, ...] = ()
    if verb(words) == "record":  # argparse would take a second -- away as well
        at = words.index("--") if "--" in words else len(words)
        words, command = words[:at], tuple(words[at + 1 :])
        if not command and not {"-h", "--help"} & set(words):
            record.error("the command goes after --, as in: omnelog record lint -- ruff check")
    arguments = Arguments(command=command, **vars(parser.parse_args(words)))
    if arguments.verb == "record" and arguments.pipe is None and not arguments.run:
        record.error(
            "no run to add to: start one with --pipe NAME, or name one with --run RUN or "
            f"{RUN_VARIABLE}"
        )
    return arguments


def verb(words: Sequence[str]) -> str | None:
    """The first of `words` that is neither an option nor the value of one."""
    rest = iter(words)
    for word in rest:
        if word == "--root":
            next(rest, None)
        elif not word.startswith("-"):
            return word
    return None


def _parsers() -> tuple[ArgumentParser, ArgumentParser]:
    """The parser of all, and that of `record`."""
    parser = ArgumentParser(
        prog="omnelog",
        description=_PROGRAM,
        epilog=_PROGRAM_END,
        formatter_class=RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"omnelog {__version__}")
    _add_root(parser, None)
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)

    def add(name: str, summary: str, description: str, end: str = "") -> ArgumentParser:
        added = verbs.add_parser(
            name,
            help=summary,
            description=description,
            epilog=end,
            formatter_class=RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )
        _add_root(added, SUPPRESS)  # after the verb as well, without undoing the one before it
        return added

    record = add("record", "run a command as a node of a run", _RECORD, _RECORD_END)
    record.usage = "omnelog record [--root DIR] [--pipe NAME | --run RUN] NODE -- CMD [ARG ...]"
    which = record.add_mutually_exclusive_group()
    which.add_argument("--pipe", metavar="NAME", help="start a run of the pipe NAME")
    which.add_argument(
        "--run",
        metavar="RUN",
        default=os.environ.get(RUN_VARIABLE, ""),
        help=f"add to this run (default: ${RUN_VARIABLE})",
    )
    record.add_argument("node", metavar="NODE", help="id of the node, new in its run")

    show = add("show", "print the events of a run", _SHOW)
    show.add_argument("--json", action="store_true", help="print them as canonical lines")
    show.add_argument("run", metavar="RUN", help="id of the run")

    add("runs", "list all runs with their state", _RUNS)

    append = add("append", "append events from standard input", _APPEND, _APPEND_END)
    append.add_argument("run", metavar="RUN", help="id of the run")
    return parser, record


def _add_root(parser: ArgumentParser, default: str | None) -> None:
    parser.add_argument(
        "--root",
        metavar="DIR",
        default=default,
        help=f"the volume (default: ${ROOT_VARIABLE}, else the nearest around here)",
    )
