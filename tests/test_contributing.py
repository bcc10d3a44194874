# SPDX-License-Identifier: MIT
"""CONTRIBUTING.md: its verbs are nox's, and a ninth event type takes what it says."""

import ast
import re
import shutil
import subprocess
import sys
from pathlib import Path

from conformance.generate.samples import LINES

from . import omnelog
from .samples import of_every_type
from .strategies import EVENTS
from .test_codec import SCHEMA

PROJECT = Path(__file__).parents[1]
CONTRIBUTING = (PROJECT / "CONTRIBUTING.md").read_text()
PACKAGE = Path(omnelog.__file__).parent

NINTH = """
import json
from hypothesis import given, settings
from omnelog import NodeSkipped, decode, encode, testing
from omnelog.cli.commands.schema import line_schema

@settings(max_examples=20, deadline=None, database=None)
@given(testing.EVENTS["node.skipped"])
def goes_round(event):
    assert type(event) is NodeSkipped
    assert decode(encode(event)) == event
    found = json.loads(encode(event))
    assert list(found) == ["type", "id", "ts", "run_id", "node_id", "reason"]
    assert list(found) == line_schema()["$defs"]["node.skipped"]["required"]

goes_round()

from omnelog import EventLog, PipeCompleted, PipeStarted
from omnelog.cli import main

common = {"id": "1", "ts": "2026-01-31T23:59:59Z", "run_id": "r"}
with EventLog.for_run(".", "r") as log:
    log.append(PipeStarted(pipe="p", inputs=[], distro_version="1", **common))
    log.append(NodeSkipped(node_id="n", reason="why", **common))
    log.append(PipeCompleted(**common))
for words in ("runs", "show r", "tail r", "timeline r", "export r --to chrome-trace"):
    assert main(["--root", ".", *words.split()]) == 0, words
"""


def test_the_verbs_are_those_of_nox() -> None:
    tree = ast.parse((PROJECT / "noxfile.py").read_text())
    functions = [node for node in tree.body if isinstance(node, ast.FunctionDef)]
    verbs = {node.name for node in functions if "nox.session" in map(name_of, node.decorator_list)}
    [section] = re.findall(r"^## Verbs\n(.*?)^## ", CONTRIBUTING, re.DOTALL | re.MULTILINE)
    table = [line for line in section.splitlines() if line.startswith("| `")]
    named = set(re.findall(r"`([a-z]+)`", "\n".join(table)))
    assert named == verbs


def name_of(decorator: ast.expr) -> str:
    return ast.unparse(decorator.func if isinstance(decorator, ast.Call) else decorator)


def test_a_ninth_event_type_is_declared_in_one_place_and_written_in_another(tmp_path: Path) -> None:
    """What CONTRIBUTING says, done in a copy of the package: all else knows the type then."""
    copy = tmp_path / "omnelog"
    shutil.copytree(PACKAGE, copy, ignore=shutil.ignore_patterns("__pycache__"))
    declaration, writer = re.findall(r"```python\n(.*?)```", CONTRIBUTING, re.DOTALL)
    last = "    byte_offset: U64  # P\n"
    edit(copy / "events.py", last, f"{last}\n\n{declaration}")
    edit(copy / "events.py", "| NodeCompleted |", "| NodeSkipped | NodeCompleted |")
    edit(copy / "codec.py", "    NodeStarted,\n", "    NodeSkipped,\n    NodeStarted,\n")
    edit(copy / "codec.py", "\n_U32_SPAN =", f"\n{writer}\n\n_U32_SPAN =")
    written = "    NodeStarted: _write_node_started,\n"
    edit(copy / "codec.py", written, f"    NodeSkipped: _write_node_skipped,\n{written}")
    edit(copy / "__init__.py", "NodeStarted,", "NodeSkipped, NodeStarted,")
    edit(copy / "__init__.py", '"NodeStarted",', '"NodeSkipped", "NodeStarted",')
    done = subprocess.run([sys.executable, "-c", NINTH], cwd=tmp_path, capture_output=True)
    assert (done.returncode, done.stderr) == (0, b"")


def test_what_is_written_twice_has_every_type() -> None:
    assert set(SCHEMA) == set(EVENTS)
    assert {event.type for event in of_every_type()} == set(EVENTS)
    assert set(LINES) == set(EVENTS)


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert text.count(old) == 1, f"{old!r} is not once in {path}"
    path.write_text(text.replace(old, new))


def test_every_test_is_in_the_map() -> None:
    [section] = re.findall(
        r"^## Which tests for which change\n(.*?)^## ", CONTRIBUTING, re.DOTALL | re.MULTILINE
    )
    named = set(re.findall(r"`(tests/\w+(?:\.py)?)`", section))
    tests = {path.relative_to(PROJECT).as_posix() for path in PROJECT.glob("tests/test_*.py")}
    folders = {
        path.parent.relative_to(PROJECT).as_posix() for path in PROJECT.glob("tests/*/__init__.py")
    }
    assert tests | folders == named
