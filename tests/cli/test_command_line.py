# SPDX-License-Identifier: MIT
"""The command line: what it accepts, and how its errors help."""

import shlex
import sys

import pytest

from .. import omnelog
from .volume import RUN, Volume, completed, started

VERBS = [
    "record",
    "begin",
    "end",
    "runs",
    "show",
    "tail",
    "output",
    "wait",
    "timeline",
    "verify",
    "repair",
    "append",
    "events",
    "export",
    "schema",
]


@pytest.mark.parametrize("words", [[], *([verb] for verb in VERBS)])
def test_help_fits_any_terminal(volume: Volume, words: list[str]) -> None:
    said = volume.call(*words, "--help")
    assert (said.status, said.err) == (0, "")
    assert said.out.isascii()
    assert max(map(len, said.out.splitlines())) <= 78


@pytest.mark.parametrize("buffered", ["", "PYTHONUNBUFFERED=1"])
def test_help_that_cannot_be_written_is_an_error(volume: Volume, buffered: str) -> None:
    said = volume.shell(f"{buffered} omnelog show --help > /dev/full")
    assert said.status == 1
    assert said.err.startswith("omnelog: standard output: ")


def test_the_help_names_every_verb(volume: Volume) -> None:
    said = volume.call("--help")
    assert all(f"\n    {verb} " in said.out.decode() for verb in VERBS)


def test_the_version_is_the_packages(volume: Volume) -> None:
    assert volume.call("--version").out.decode() == f"omnelog {omnelog.__version__}\n"


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ([], "VERB"),
        (["frobnicate"], "frobnicate"),
        (["show"], "RUN"),
        (["runs", "--frob"], "--frob"),
        (["record", "--pipe", "ci", "n"], "after --"),
        (["record", "--pipe", "ci", "n", "true"], "after --"),
        (["record", "--pipe", "ci", "n", "--"], "after --"),
        (["record", "--pipe", "ci", "--", "true"], "NODE"),
        (["record", "--pipe", "ci", "--run", "r", "n", "--", "true"], "not allowed with"),
        (["record", "n", "--", "true"], "OMNE_RUN_ID"),
        (["record", "--run", "", "n", "--", "true"], "OMNE_RUN_ID"),
        (["record", "--timeout", "0", "--pipe", "ci", "n", "--", "true"], "length of time"),
        (["record", "--timeout", "nan", "--pipe", "ci", "n", "--", "true"], "length of time"),
        (["record", "--timeout", "5x", "--pipe", "ci", "n", "--", "true"], "length of time"),
        (["record", "--kill-after", "1", "--pipe", "ci", "n", "--", "true"], "needs --timeout"),
        (["record", "--pty", "--lines", "--pipe", "ci", "n", "--", "true"], "not allowed with"),
        (["runs", "--state", "odd"], "--state"),
        (["tail", "-n", "-3", "x"], "expected one argument"),
        (["tail", "-n", "few", "x"], "not a number of events, such as 10"),
        (["verify"], "--all"),
        (["verify", "--all", "x"], "--all"),
        (["verify", "--all", "-j", "0"], "from 1 to"),
        (["repair", "--yes", "--dry-run", "x"], "not allowed with"),
    ],
)
def test_a_wrong_command_line_is_status_2_and_says_what_is_missing(
    volume: Volume, words: list[str], says: str
) -> None:
    said = volume.call(*words)
    assert (said.status, said.out) == (2, b"")
    assert says in said.err
    assert volume.runs() == []


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["record", "--pip", "ci", "n", "--", "true"], "no option --pip; the nearest is --pipe"),
        (["record", "--pip=ci", "--", "true"], "no option --pip; the nearest is --pipe"),
        (["show", "--jsn", "x"], "no option --jsn; the nearest is --json"),
        (["show", "--jsn"], "no option --jsn; the nearest is --json"),
        (["runs", "latest"], "unexpected argument 'latest'"),
        (["tail", "x", "y"], "unexpected argument 'y'"),
        (["wait"], "required: RUN"),
        (["runs", "--since", "soon"], "'soon' is neither how long ago, such as 2h, nor"),
        (["runs", "-n", "few"], "'few' is not a whole number, 0 or more"),
        (["tail", "--type", "odd", "x"], "invalid choice: 'odd'"),
        (["events"], "--all"),
        (["events", "--all", "x"], "--all"),
    ],
)
def test_the_word_that_is_wrong_is_named_with_the_usage_of_its_verb(
    volume: Volume, words: list[str], says: str
) -> None:
    said = volume.call(*words)
    assert (said.status, said.out) == (2, b"")
    assert said.err.startswith(f"usage: omnelog {words[0]} ")
    assert says in said.err.splitlines()[-1]


@pytest.mark.parametrize("length", ["90", "2e6", "1.5m", "2h", "3d", "1w", "1h30m", "250ms"])
def test_a_length_of_time_has_units(volume: Volume, length: str) -> None:
    volume.write(started(), completed())
    assert volume.call("wait", "--timeout", length, RUN).status == 0


@pytest.mark.parametrize(
    "length", ["", "0", "m", "5x", "1h 30m", "1m30", "-5", "nan", "1e9", "1e99", "\u0662s"]
)
def test_what_is_not_a_length_of_time_is_refused(volume: Volume, length: str) -> None:
    said = volume.call("wait", f"--timeout={length}", RUN)
    assert (said.status, "is not a length of time" in said.err) == (2, True)


def test_help_is_a_verb_as_well(volume: Volume) -> None:
    assert volume.call("help").out == volume.call("--help").out
    assert volume.call("help", "wait").out == volume.call("wait", "--help").out


def test_the_version_has_a_short_option(volume: Volume) -> None:
    assert volume.call("-V").out == volume.call("--version").out


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32"])
def test_no_line_begins_with_a_byte_order_mark(volume: Volume, encoding: str) -> None:
    volume.write(started(), b"damage\n")
    said = volume.shell(f"PYTHONIOENCODING={encoding} omnelog runs")
    plain = {"utf-8-sig": "utf-8"}.get(encoding, f"{encoding}-le")
    assert said.out.decode(plain).startswith("RUN ")
    assert "\ufeff" not in said.out.decode(plain)
    assert "\ufeff" not in said.err


def test_all_after_the_first_two_dashes_is_the_command(volume: Volume) -> None:
    said = volume.call("record", "--pipe", "ci", "n", "--", "echo", "--", "--root", "-h")
    assert (said.status, said.out) == (0, b"-- --root -h\n")


def test_a_root_called_record_is_not_a_verb(volume: Volume) -> None:
    (volume.root / "record" / ".omne").mkdir(parents=True)
    assert volume.call("--root", "record", "runs").status == 0


def test_two_dashes_let_a_run_id_begin_with_one(volume: Volume) -> None:
    volume.write(started("-r"), run_id="-r")
    assert volume.call("show", "--json", "--", "-r").out == omnelog.encode(started("-r"))


def test_an_interrupt_while_the_verb_is_loaded_ends_it_quietly(volume: Volume) -> None:
    """Importing the verbs takes half of the start. In the half before, none of our code runs."""
    script = (
        "import signal, sys\n"
        f"from {omnelog.__name__}.cli import main\n"
        "class Interrupt:\n"
        "    def find_spec(self, name, path, target=None):\n"
        "        if name.endswith('.runs'): signal.raise_signal(signal.SIGINT)\n"
        "sys.meta_path.insert(0, Interrupt())\n"
        "sys.exit(main(['runs']))\n"
    )
    said = volume.shell(f"exec {shlex.quote(sys.executable)} -c {shlex.quote(script)}")
    assert (said.status, said.out, said.err) == (130, b"", "")


def test_python_m_is_the_command(volume: Volume) -> None:
    volume.write(started())
    assert volume.run("show", RUN, "--json").out == omnelog.encode(started())


def test_the_process_ends_without_taking_the_interpreter_apart(volume: Volume) -> None:
    """Taking it apart would take longer than most verbs.

    The output and the exit status are complete without it.
    """
    run_id = "r" * 200
    volume.write(started(run_id), run_id=run_id)
    script = (
        "import atexit, sys\n"
        f"from {omnelog.__name__}.cli import run\n"
        "atexit.register(print, 'taken apart')\n"
        "run()\n"
    )
    python = f"{shlex.quote(sys.executable)} -c {shlex.quote(script)}"
    assert volume.shell(f"{python} show --json {run_id}").out == omnelog.encode(started(run_id))
    assert volume.shell(f"{python} show no-such-run").status == 1
