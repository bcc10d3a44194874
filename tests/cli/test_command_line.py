# SPDX-License-Identifier: MIT
"""The command line: what it understands, and that it teaches."""

import shlex
import sys

import pytest

from .. import omnelog
from .volume import RUN, Volume, started

VERBS = [
    "record",
    "runs",
    "show",
    "tail",
    "timeline",
    "verify",
    "repair",
    "append",
    "export",
    "schema",
]


@pytest.mark.parametrize("words", [[], *([verb] for verb in VERBS)])
def test_help_fits_any_terminal(volume: Volume, words: list[str]) -> None:
    said = volume.call(*words, "--help")
    assert (said.status, said.err) == (0, "")
    assert said.out.isascii()
    assert max(map(len, said.out.splitlines())) <= 90


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
        (["runs", "--state", "odd"], "--state"),
        (["tail", "-n", "-3", "x"], "expected one argument"),
        (["tail", "-n", "few", "x"], "not a number of events"),
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


def test_all_after_the_first_two_dashes_is_the_command(volume: Volume) -> None:
    said = volume.call("record", "--pipe", "ci", "n", "--", "echo", "--", "--root", "-h")
    assert (said.status, said.out) == (0, b"-- --root -h\n")


def test_a_root_called_record_is_no_verb(volume: Volume) -> None:
    (volume.root / "record" / ".omne").mkdir(parents=True)
    assert volume.call("--root", "record", "runs").status == 0


def test_two_dashes_let_a_run_id_begin_with_one(volume: Volume) -> None:
    volume.write(started("-r"), run_id="-r")
    assert volume.call("show", "--json", "--", "-r").out == omnelog.encode(started("-r"))


def test_an_interrupt_while_the_verb_is_loaded_ends_it_quietly(volume: Volume) -> None:
    """They take as long as the core; the half before them nobody can guard."""
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
