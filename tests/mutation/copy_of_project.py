# SPDX-License-Identifier: MIT
"""Runs tests on a copy of the project in which one module may be another."""

import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

PROJECT = Path(__file__).parents[2]
TIMEOUT_S = 300  # many times what the slowest tests here take on a busy machine


def run_tests(
    tests: str, module: str = "", text: str = "", timeout_s: float = TIMEOUT_S
) -> tuple[int | None, str]:
    """Run `tests` on a copy of the project, with `text` as that module: exit code, last words.

    None instead of the exit code: they took too long. What they try is the same every time.
    """
    with tempfile.TemporaryDirectory(prefix="omnelog-mutant-") as name:
        copy = Path(name)
        for part in ("omnelog", "tests"):
            ignore = shutil.ignore_patterns("__pycache__")
            shutil.copytree(PROJECT / part, copy / part, ignore=ignore)
        shutil.copy(PROJECT / "pyproject.toml", copy)
        if module:
            (copy / "omnelog" / f"{module}.py").write_text(text)
        options = ["-x", "-q", "--no-header", "-p", "no:cacheprovider", "-p", "no:xdist"]
        command = [sys.executable, "-m", "pytest", *options, f"--basetemp={copy / 'tmp'}"]
        brief = {name: of for name, of in os.environ.items() if not name.startswith("OMNELOG_")}
        process = subprocess.Popen(
            command + [f"tests/{test}" for test in shlex.split(tests)],
            cwd=copy,
            env={**brief, "PYTHONDONTWRITEBYTECODE": "1", "HYPOTHESIS_PROFILE": "repeatable"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,  # to end what the tests started with them
        )
        try:
            said, _ = process.communicate(timeout=timeout_s)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
            return None, f"took longer than {timeout_s} s"
        output = said.strip().splitlines() or [""]
        failed = [line for line in output if line.startswith(("FAILED", "ERROR"))]
        return process.returncode, (failed or output)[-1][:100]
