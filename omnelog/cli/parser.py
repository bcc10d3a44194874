# SPDX-License-Identifier: MIT
"""Parse the command line, and let verbs declare their arguments.

Help is ASCII and fits the terminal, or 80 columns.
"""

import os
import re
import sys
from argparse import SUPPRESS, ArgumentParser, ArgumentTypeError, HelpFormatter, Namespace
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any, NoReturn, TypeAlias, get_args

from .. import Event, __version__, enumerate_runs
from .exits import FINDINGS
from .locate import add_root_option, volume_root
from .streams import encoding_of, output, width

Run: TypeAlias = Callable[[Path, Namespace], int]
"""A function that runs a verb in the volume at the given path, and returns the exit status."""

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

A run is named by its id, or as one of these, except by append:
  latest, latest~1           the newest, the one before it
  latest:PIPE, latest:PIPE~1 the same among the runs of a pipe
By every verb except append and record it is also named by the beginning or the end
of its id, if no other run has the same.

The volume is --root DIR, else $OMNE_VOLUME_ROOT, else the nearest directory from
here upwards that holds .omne. Colour is for terminals, and not if $NO_COLOR is set;
--color=always gives it to `less -R` and to logs of CI as well.
`eval "$(register-python-argcomplete omnelog)"` makes bash and zsh complete, with
the extra omnelog[cli].

exit status:
  0    done
  1    refused, or a log is damaged: standard error says what and where
  2    wrong command line
  130  interrupted; 141: nobody reads the output
  `record`, `repair`, `verify` and `wait` have their own, see their --help
"""

_NUMBER = r"[0-9]+(?:\.[0-9]+)?(?:e[0-9]{1,2})?"
_DURATION = r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h|d|w)"
_TOO_LONG_S = 1e9
_SECONDS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}


def first_word(words: Sequence[str]) -> str:
    """Return the first of `words` that is neither an option nor the value of one, or ""."""
    rest = iter(words)
    for word in rest:
        if word in ("--root", "--color"):
            next(rest, None)
        elif not word.startswith("-"):
            return word
    return ""


class _Help(HelpFormatter):
    """A formatter of help that fits the terminal and keeps the lines of the examples.

    argparse makes one for every option that is added. If each asked the terminal for its width,
    that would take 3 ms, so `_help_width` asks once.
    """

    def __init__(self, prog: str) -> None:
        """Take the arguments that argparse passes."""
        super().__init__(prog, width=_help_width())

    def _fill_text(self, text: str, width: int, indent: str) -> str:  # noqa: ARG002 - argparse's
        from .reflow import reflow  # noqa: PLC0415 - only help needs it

        return reflow(text, width)

    def _format_usage(  # Any: as argparse has it
        self, usage: str | None, actions: Any, groups: Any, prefix: str | None
    ) -> str:
        if usage is not None and max(map(len, usage.splitlines())) > self._width:
            from .reflow import reflow  # noqa: PLC0415 - as above

            room = self._width - len("usage: ")
            usage = reflow(f"  {' '.join(usage.split())}", room).lstrip()
        return super()._format_usage(usage, actions, groups, prefix)


@cache
def _help_width() -> int:
    return (width() or 80) - 2


class _Parser(ArgumentParser):
    """A parser whose errors name the unknown word and show the usage of the verb."""

    def parse_known_args(  # type: ignore[override]  # typeshed has overloads for other namespaces
        self, args: Sequence[str] | None = None, namespace: Namespace | None = None
    ) -> tuple[Namespace, list[str]]:
        """Parse words; a word that is left over is an error."""
        try:
            found, rest = super().parse_known_args(args, namespace or Namespace())
        except _MissingWordError as missing:
            # An unknown option may be the reason, because argparse takes its value for another
            # argument. So an unknown option is reported first.
            self._refuse_options(args or ())
            super().error(str(missing))
        self._refuse(rest)
        return found, []

    def error(self, message: str) -> NoReturn:
        """Print what is wrong with the command line, and exit."""
        if message.startswith("the following arguments are required"):
            raise _MissingWordError(message)
        super().error(message)

    def _print_message(self, message: str, file: Any = None) -> None:  # Any: as argparse has it
        """Write help or a message. Raises OSError, which argparse would ignore, if help fails."""
        if file is not None and file is sys.stdout:
            output().write(message.encode(encoding_of(file), "backslashreplace"))
        else:
            super()._print_message(message, file)

    # argparse does not have a public list of a parser's options; argcomplete reads this one, too.
    def _refuse_options(self, words: Sequence[str]) -> None:
        known = self._option_string_actions
        unknown = [w for w in words if w.startswith("--") and w.partition("=")[0] not in known]
        self._refuse([word for word in unknown if word != "--"])

    def _refuse(self, rest: Sequence[str]) -> None:
        if not rest:
            return
        option = next((word for word in rest if word.startswith("-") and word != "-"), None)
        if option is None:
            super().error(f"unexpected argument {rest[0]!r}")
        from difflib import get_close_matches  # noqa: PLC0415 - only messages need it

        name = option.partition("=")[0]
        long = [known for known in self._option_string_actions if known.startswith("--")]
        near = get_close_matches(name, long, n=1)
        super().error(f"no option {name}" + (f"; the nearest is {near[0]}" if near else ""))


class _MissingWordError(Exception):
    """A required argument is missing."""


class Verb:
    """One verb of the command, whose module declares its arguments."""

    def __init__(self, parser: ArgumentParser, command_example: str | None) -> None:
        """For `Verbs.add`, which makes verbs."""
        self.parser: ArgumentParser = parser
        self.command_example: str | None = command_example

    def run_argument(self, **settings: Any) -> None:  # Any: as argparse has it
        """Add the argument RUN, which a shell can complete. `settings`: as for argparse."""
        settings = {"metavar": "RUN", "help": "id of the run, part of it, or latest"} | settings
        added = self.parser.add_argument("run", **settings)
        added.completer = _complete_run  # type: ignore[attr-defined]  # read by argcomplete

    def filter_arguments(self) -> None:
        """Add the options --type and --node, which may be given several times."""
        types = [cls.type for cls in get_args(Event)]
        self.parser.add_argument(
            "--type",
            metavar="TYPE",
            choices=types,
            action="append",
            default=[],
            help=f"only events of this type, or of several: {', '.join(types)}",
        )
        self.parser.add_argument(
            "--node",
            metavar="NODE",
            action="append",
            default=[],
            help="only events of this node, or of several",
        )


class Verbs:
    """The verbs, in the order in which they were added."""

    def __init__(self) -> None:
        """Begin without verbs."""
        self._added: dict[str, Verb] = {}
        self.parser: ArgumentParser = _Parser(
            prog="omnelog",
            description=_PROGRAM,
            epilog=_PROGRAM_END,
            formatter_class=_Help,
            allow_abbrev=False,
        )
        version = f"omnelog {__version__}"
        self.parser.add_argument("-V", "--version", action="version", version=version)
        add_root_option(self.parser, None)
        _add_color_option(self.parser, "auto")
        self._parsers = self.parser.add_subparsers(
            prog="omnelog", dest="verb", metavar="VERB", required=True
        )

    def mention(self, name: str, summary: str) -> None:
        """List a verb in the help of the program, without its arguments."""
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

        `trouble`: its exit status after an error. `volume`: whether it needs a volume.
        `command_example`: for a verb that needs a command after ``--``, an example of its use.
        """
        added = self._parsers.add_parser(
            name,
            help=summary,
            description=description,
            epilog=end,
            formatter_class=_Help,
            allow_abbrev=False,
        )
        added.set_defaults(carry_out=run, trouble=trouble, volume=volume, misused=added.error)
        add_root_option(added, SUPPRESS)  # so that it can come before or after the verb
        _add_color_option(added, SUPPRESS)
        self._added[name] = Verb(added, command_example)
        return self._added[name]

    def parse(self, words: Sequence[str]) -> Namespace:
        """Parse `words`. The words after ``--`` are ``.command``, for a verb that needs a command.

        Raises SystemExit, as argparse does: 0 after --help and --version, 2 after a message.
        """
        if "_ARGCOMPLETE" in os.environ:
            _complete(self.parser)
        command: tuple[str, ...] = ()
        verb = self._added.get(first_word(words))
        if verb is not None and verb.command_example:
            # argparse would remove a second -- as well
            at = words.index("--") if "--" in words else len(words)
            command = tuple(words[at + 1 :])
            words = words[:at]
            if not command and not {"-h", "--help"} & set(words):
                verb.parser.error(f"the command goes after --, as in: {verb.command_example}")
        return self.parser.parse_args(words, Namespace(command=command))


def seconds(text: str) -> float:
    """Parse a length of time above 0, for argparse: ``90``, ``5m``, ``1h30m``. Returns seconds."""
    if re.fullmatch(_NUMBER, text):
        given = float(text)
    else:
        parts = list(re.finditer(_DURATION, text))
        is_whole = "".join(part[0] for part in parts) == text
        given = sum(float(part[1]) * _SECONDS[part[2]] for part in parts) if is_whole else 0.0
    if not 0 < given < _TOO_LONG_S:
        raise ArgumentTypeError(
            f"{text!r} is not a length of time above 0 and below 30 years, such as 90, 5m or 2h"
        )
    return given


def since(text: str) -> int:
    """Parse a moment, for argparse. Returns milliseconds since 1970.

    `text` is a time of ISO 8601, which is in UTC if it does not have an offset; or a length of time
    that `seconds` accepts, which means so long ago.
    """
    from .times import now_ms, time_ms  # noqa: PLC0415 - few command lines have a time

    moment = time_ms(text)
    if moment is not None:
        return moment
    try:
        return max(1, now_ms() - int(seconds(text) * 1000))
    except ArgumentTypeError as error:
        raise ArgumentTypeError(
            f"{text!r} is neither how long ago, such as 2h, nor a time, such as 2026-01-31T23:59Z"
        ) from error


def number(text: str) -> int:
    """Parse a whole number from 0, for argparse."""
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise ArgumentTypeError(f"{text!r} is not a whole number, 0 or more")
    return int(text)


def _add_color_option(parser: ArgumentParser, default: str) -> None:
    parser.add_argument(
        "--color",
        metavar="WHEN",
        choices=["auto", "always", "never"],
        default=default,
        help="colour: always, never, or auto, the default: on terminals",
    )


def _complete(parser: ArgumentParser) -> None:
    """Print what the word being typed can be completed to, if a shell asked for that, and exit."""
    try:
        import argcomplete  # noqa: PLC0415 - an extra, needed only if a shell asks
    except ImportError:
        return
    argcomplete.autocomplete(parser, always_complete_options=False)


def _complete_run(prefix: str, parsed_args: Namespace, **_: object) -> list[str]:
    try:
        runs = enumerate_runs(volume_root(parsed_args.root))
    except Exception:  # whatever it is, a shell that completes a word cannot show a message
        return []
    return [run_id for run_id in (*runs, "latest") if run_id.startswith(prefix)]
