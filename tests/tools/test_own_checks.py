# SPDX-License-Identifier: MIT
"""The checks of omnelog, recorded in a fresh checkout, print what docs/command.md shows."""

import os
import re
import shutil
import subprocess
from pathlib import Path

from ..cli.test_session import OWN_CHECKS, alike
from ..documents import PROJECT
from .conftest import CACHES, NEEDED, missing


def test_the_projects_own_checks_are_recorded_as_the_document_shows(tmp_path: Path) -> None:
    if not NEEDED:
        missing("the environment that the documented commands make")
    checkout = tmp_path / "omnelog"
    shutil.copytree(PROJECT, checkout, ignore=CACHES)
    commands = re.findall(r"^\$ ((?:.*[\\|]\n)*.*)$", OWN_CHECKS, re.MULTILINE)
    assert len(commands) == OWN_CHECKS.count("$ ") == 5
    *before, last = commands
    script = "\n".join([*before, "echo THE REST", last])
    done = subprocess.run(
        ["sh", "-ec", script],
        cwd=checkout,
        env={k: v for k, v in os.environ.items() if k != "PYTHONPATH" and k[:5] != "OMNE_"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert done.returncode == 0, done.stdout
    shown = OWN_CHECKS.partition(f"$ {last}\n")[2]
    assert alike(done.stdout.partition("THE REST\n")[2]) == alike(shown)
