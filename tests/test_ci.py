# SPDX-License-Identifier: MIT
"""`.ci/run`: it begins with README's test command, keeps its order, and stops at a failure."""

import os
import re
import subprocess
from pathlib import Path

import pytest

from .documents import PROJECT, text_of

PYTHON = """#!/bin/sh
test "$*" = "-m venv .venv" || exit 99
mkdir -p .venv/bin
for program in pip nox; do
    printf '#!/bin/sh\\necho "%s $*" >> log\\ncase "$*" in *"$FAILING"*) exit 7;; esac\\n' \\
        $program > .venv/bin/$program
    chmod +x .venv/bin/$program
done
"""


def commands(directory: Path, failing: str) -> tuple[int, list[str]]:
    """Run a copy of `.ci/run` in which pip and nox only write down how they are called.

    A call that contains `failing` fails. Return the exit status and the calls.
    """
    programs = directory / "programs"
    programs.mkdir()
    for name, text in (("python3", PYTHON), ("strace", "#!/bin/sh\n")):
        (programs / name).write_text(text)
        (programs / name).chmod(0o755)
    script = directory / ".ci" / "run"
    script.parent.mkdir()
    script.write_text(text_of(".ci/run"))
    done = subprocess.run(
        ["bash", script],
        env={"PATH": f"{programs}:/usr/bin:/bin", "HOME": str(directory), "FAILING": failing},
        capture_output=True,
        timeout=60,
    )
    return done.returncode, (directory / "log").read_text().splitlines()


def test_the_first_command_is_readmes() -> None:
    [quoted] = re.findall(r'^tests="(.*)"$', text_of(".ci/run"), re.MULTILINE)
    assert f"\n    {quoted}\n" in text_of("README.md")
    assert quoted.endswith("nox -s tests")


def test_everything_is_checked_in_order(tmp_path: Path) -> None:
    status, calls = commands(tmp_path, "nothing fails")
    assert status == 0
    assert [call.partition(" -- ")[0] for call in calls] == [
        "pip install -q nox[uv]",
        "nox -s tests",
        "nox -s lint types",
        "nox -s conformance",
        "nox -s system",
        "nox -s stress",
        "nox -s tools",
        "nox -s vendoring",
        "nox --no-error-on-missing-interpreters -s core-3.12 core-3.13 core-3.14 core-3.14t",
    ]


@pytest.mark.parametrize("step", ["install", "-s tests", "lint", "stress", "core-3.14"])
def test_a_step_that_fails_ends_it(step: str, tmp_path: Path) -> None:
    status, calls = commands(tmp_path, step)
    assert status == 7
    assert step in calls[-1]


@pytest.mark.skipif(not (PROJECT / ".git").exists(), reason="an sdist holds no file modes")
def test_it_can_be_executed() -> None:
    assert os.access(PROJECT / ".ci" / "run", os.X_OK)
