# SPDX-License-Identifier: MIT
"""How the command line is taken apart, and how a verb says what it takes.

Help is ASCII and fits 80 columns, for any terminal.
"""

import os
from argparse import SUPPRESS, ArgumentParser, ArgumentTypeError, Namespace
from argparse import RawDescriptionHelpFormatter as AsItIs
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeAlias  # Any: what argparse says an option's settings are

from .. import __version__, enumerate_runs
from .exits import FINDINGS
from .locate import add_root_option, volume_root

Run: TypeAlias = Callable[[Path, Namespace], int]
"""Carries a verb out in the volume at the path given; returns the exit status."""

_PROGRAM = """\
Record, look at and check the event logs of omne runs.

A volume is a directory that holds .omne; each run in it has a log, one event a
line, to which any number of processes append at once.
"""

_PROGRAM_END = """\
examples:
  mkdir .omne                                  make this directory a volume
  omnelog record --pipe ci test -- pytest -q   record a command as a run
  omnelog runs                                 see all runs, the newest last
  omnelog show latest                          see how the newest went
  omnelog tail -f latest                       watch it

But for append and record, the first characters of a run's id are enough, if no
other run begins with them, and `latest` is the newest.

The volume is --root DIR, else $OMNE_VOLUME_ROOT, else the nearest directory from
here upwards that holds .omne. Colour is for terminals, and not if $NO_COLOR is set.
`eval "$(register-python-argcomplete omnelog)"` makes bash and zsh complete, with
the extra omnelog[cli].

exit status:
  0    done
  1    refused, or a log is damaged: standard error says what and where
  2    wrong command line
  130  interrupted; 141: nobody reads the output
  `record`, `repair` and `verify` have their own, see their --help
"""


def first_word(words: Sequence[str]) -> str:
    """The first of `words` that is neither an option nor the value of one."""
    rest = iter(words)
    for word in rest:
        if word == "--root":
            next(rest, None)
        elif not word.startswith("-"):
            return word
    return ""


class Verb:
    """One verb of the command, for which its module says what it takes."""

    def __init__(self, parser: ArgumentParser, command_example: str | None) -> None:
        """Made by `Verbs.add`."""
        self.parser: ArgumentParser = parser
        self.command_example: str | None = command_example

    def run_argument(self, **settings: Any) -> None:
        """Take the id of a run, which a shell can complete."""
        settings = {"metavar": "RUN", "help": "id of the run, its beginning, or latest"} | settings
        added = self.parser.add_argument("run", **settings)
        added.completer = _complete_run  # type: ignore[attr-defined]  # read by argcomplete


class Verbs:
    """The verbs, in the order in which they were added."""

    def __init__(self) -> None:
        """There are none yet."""
        self._added: dict[str, Verb] = {}
        self.parser: ArgumentParser = ArgumentParser(
            prog="omnelog",
            description=_PROGRAM,
            epilog=_PROGRAM_END,
            formatter_class=AsItIs,
            allow_abbrev=False,
        )
        self.parser.add_argument("--version", action="version", version=f"omnelog {__version__}")
        add_root_option(self.parser, None)
        self._parsers = self.parser.add_subparsers(dest="verb", metavar="VERB", required=True)

    def mention(self, name: str, summary: str) -> None:
        """List a verb in the help whose arguments nobody has asked for."""
        self._parsers.add_parser(name, help=summary, add_help=False)

    def add(
        self,
        name: str,
        summary: str,
        run: Run,
        description: str,
        end: str = "",
        *,
        trouble: int = FINDINGS,
        volume: bool = True,
        command_example: str | None = None,
    ) -> Verb:
        """Add a verb that `run` carries out.

        `trouble`: its exit status when it cannot be. `volume`: whether it needs one.
        `command_example`: it needs a command after ``--``, as here.
        """
        added = self._parsers.add_parser(
            name,
            help=summary,
            description=description,
            epilog=end,
            formatter_class=AsItIs,
            allow_abbrev=False,
        )
        added.set_defaults(carry_out=run, trouble=trouble, volume=volume, misused=added.error)
        add_root_option(added, SUPPRESS)  # after the verb, too; it does not undo one before
        self._added[name] = Verb(added, command_example)
        return self._added[name]

    def parse(self, words: Sequence[str]) -> Namespace:
        """Take `words` apart; of a verb that needs a command that is ``.command``.

        Exits as argparse does, by SystemExit, after --help and --version (0) or with a message (2).
        """
        if "_ARGCOMPLETE" in os.environ:
            _complete(self.parser)
        command: tuple[str, ...] = ()
        verb = self._added.get(first_word(words))
        if (
            verb is not None and verb.command_example
        ):  # argparse would take a second -- away as well
            at = words.index("--") if "--" in words else len(words)
            words, command = words[:at], tuple(words[at + 1 :])
            if not command and not {"-h", "--help"} & set(words):
                verb.parser.error(f"the command goes after --, as in: {verb.command_example}")
        return self.parser.parse_args(words, Namespace(command=command))


def seconds(text: str) -> float:
    """A length of time that can be waited, for argparse."""
    try:
        given = float(text)
    except ValueError:
        given = 0.0
    if not 0 < given < 1e9:
        raise ArgumentTypeError(f"{text!r} is no number of seconds above 0")
    return given


def _complete(parser: ArgumentParser) -> None:
    """Say what the word being typed can become, and exit, if a shell asked for that."""
    try:
        import argcomplete  # noqa: PLC0415 - an extra, and needed in a shell's question alone
    except ImportError:
        return
    argcomplete.autocomplete(parser, always_complete_options=False)


def _complete_run(prefix: str, parsed_args: Namespace, **_: object) -> list[str]:
    try:
        runs = enumerate_runs(volume_root(parsed_args.root))
    except Exception:  # whatever it is: a shell that asks has no use for it
        return []
    return [run_id for run_id in (*runs, "latest") if run_id.startswith(prefix)]
