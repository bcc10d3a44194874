# SPDX-License-Identifier: MIT
"""Ctrl-C ends the command that runs the mutants, and the tests that it started."""

import sys
from pathlib import Path

from ..ctrl_c import press_ctrl_c

MADE_UP = """
import sys
from pathlib import Path
from conformance.program import run
from tests.mutation import copy_of_project, run_mutants
copy_of_project.PROJECT = Path(sys.argv.pop())
sys.argv[1:] = ["--jobs", "1"]
run_mutants.sound = lambda _: {"a test": "test_slow.py"}
run(run_mutants.main)
"""
SLOW = """
import os
import time
def test_slow():
    with open(f"/proc/{os.getppid()}/fd/1", "w") as output_of_the_command:
        print("ready", file=output_of_the_command, flush=True)
        time.sleep(300)
"""


def test_ctrl_c_ends_the_mutants_and_the_tests_that_run(tmp_path: Path) -> None:
    """A test that still runs would keep the output open, and this test would fail."""
    project = tmp_path / "project"
    for part in ("omnelog", "tests"):
        (project / part).mkdir(parents=True)
    (project / "pyproject.toml").touch()
    (project / "tests" / "test_slow.py").write_text(SLOW)
    command = [sys.executable, "-W", "error", "-c", MADE_UP, str(project)]
    done = press_ctrl_c(command, lambda line: line == "ready\n")
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")
