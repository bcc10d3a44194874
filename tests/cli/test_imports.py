# SPDX-License-Identifier: MIT
"""A verb imports only what it uses, because importing takes most of the time of a short verb.

Modules are counted, because time depends on what else the machine does.
"""

import json
import shlex
import subprocess
import sys

import pytest

from .. import omnelog
from .histories import History
from .volume import RUN, Volume

SCRIPT = f"""
import json, os, sys
import {omnelog.__name__}
before = set(sys.modules)
from {omnelog.__name__}.cli import main
report = os.dup(2)
status = main(sys.argv[1:])
added = sorted(set(sys.modules) - before)
os.write(report, ("\\n" + json.dumps([status, added])).encode())
"""

SLOW = {
    *("asyncio", "concurrent.futures", "csv", "ctypes", "datetime", "difflib", "fractions", "html"),
    *("http", "importlib.metadata", "multiprocessing", "rich", "select", "shlex", "socket"),
    *("statistics", "subprocess", "tempfile", "termios", "tty", "unicodedata", "uuid", "xml"),
}
"""Modules that take a millisecond or more to import, or that only some verbs need."""

VERBS: list[tuple[str, int, set[str]]] = [
    ("--help", 8, set()),
    ("runs", 21, {"datetime", "unicodedata"}),
    (f"show {RUN}", 19, {"datetime", "unicodedata"}),
    (f"tail {RUN}", 15, {"datetime", "unicodedata"}),
    (f"timeline {RUN}", 18, {"datetime", "unicodedata"}),
    (f"verify {RUN}", 18, {"datetime"}),
    (f"repair --dry-run {RUN}", 11, set()),
    (f"output {RUN} n", 14, set()),
    (f"wait {RUN}", 11, set()),
    (f"events {RUN}", 14, set()),
    (f"export --to chrome-trace {RUN}", 15, {"datetime"}),
    (f"append {RUN}", 13, set()),
    ("schema", 10, set()),
    ("begin pipe", 12, set()),
    (
        f"record --pipe pipe n -- {shlex.quote(sys.executable)} -c pass",
        21,
        {"select", "shlex", "termios"},
    ),
]
"""Command lines, how many modules of omnelog each may add to the core, and which slow modules."""


@pytest.mark.parametrize(
    ("line", "most", "slow"), VERBS, ids=[verb[0].split()[0] for verb in VERBS]
)
def test_a_verb_imports_only_what_it_uses(
    volume: Volume, line: str, most: int, slow: set[str]
) -> None:
    volume.write(*History().begin().start("n").done("n").complete().events)
    volume.log().parent.joinpath("nodes").mkdir()
    volume.log().parent.joinpath("nodes", "n.out").touch()
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, *shlex.split(line)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        env=volume.environment(),
        cwd=volume.root,
    )
    status, added = json.loads(done.stderr.splitlines()[-1])
    assert status == 0
    assert {name for name in added if name in SLOW} <= slow
    ours = [name for name in added if name.startswith(omnelog.__name__)]
    assert len(ours) <= most
