# SPDX-License-Identifier: MIT
"""README.md: its snippets run as they stand, and its commands are those that CI and nox know."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[1]
README = (PROJECT / "README.md").read_text()
SNIPPETS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)

RUN_BY = {
    "python": "tests/test_readme.py",
    "make": "tests/cli/test_session.py",
    "console": "tests/cli/test_session.py",
    "py": "tests/tools/test_queries.py",
    "sql": "tests/tools/test_queries.py",
    "sh": "tests/tools/test_queries.py and tests/vendoring.py",
    "toml": "tests/vendoring.py",
    "text": "tests/vendoring.py",
}
"""What runs the blocks of each language."""


def test_every_block_is_run_by_something() -> None:
    fences = re.findall(r"^```(.*)$", README, re.MULTILINE)
    assert set(fences[::2]) == set(RUN_BY)
    assert set(fences[1::2]) == {""}
    for language, paths in RUN_BY.items():
        for path in paths.split(" and "):
            source = (PROJECT / path).read_text()
            assert f"```{language}\\n" in source or f'"{language}"' in source, language


@pytest.mark.parametrize("snippet", SNIPPETS)
def test_a_snippet_runs_as_it_stands(snippet: str, tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", snippet], cwd=tmp_path, capture_output=True)
    assert (done.returncode, done.stderr) == (0, b"")


def test_the_first_snippet_logs_a_run_and_reads_it(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", SNIPPETS[0]], cwd=tmp_path, capture_output=True)
    types = ["pipe.started", "node.started", "node.completed", "pipe.completed"]
    lines = [rf"{re.escape(name)} [0-9a-z]{{26}}\n" for name in types]
    assert re.fullmatch("".join(lines), done.stdout.decode())


def test_the_second_snippet_appends_and_reads_dicts_and_a_dataclass(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", SNIPPETS[1]], cwd=tmp_path, capture_output=True)
    dicts, messages = done.stdout.decode().splitlines()
    assert dicts == "[{'from': 'ada', 'text': 'hello', 'tags': ['first']}, {'from': 'bob'}]"
    assert messages == "[Message(sender='ada', text='hello')]"
    with (tmp_path / "chat.jsonl").open("rb") as log:
        assert log.read() == b'{"sender": "ada", "text": "hello"}\n'


def test_what_the_first_snippet_logs_is_what_verify_wants(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-c", SNIPPETS[0]], cwd=tmp_path, check=True)
    done = subprocess.run([sys.executable, "-m", "omnelog", "verify", "--all"], cwd=tmp_path)
    assert done.returncode == 0


@pytest.mark.parametrize("verb", ["tests", "stress"])
def test_the_two_commands_differ_in_the_verb_alone(verb: str) -> None:
    commands = re.findall(r"^ {4}(python3 -m venv .*nox -s (\w+))$", README, re.MULTILINE)
    assert [command.removesuffix(name) for command, name in commands if name == verb] == [
        "python3 -m venv .venv && .venv/bin/pip install -q nox && .venv/bin/nox -s "
    ]
