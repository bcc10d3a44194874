# SPDX-License-Identifier: MIT
"""CONTRIBUTING.md says all that a ninth event type takes. The change is tested in a copy."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

from .documents import PROJECT, text_of

[SECTION] = re.findall(
    r"^## To add a ninth event type\n(.*?)^## ",
    text_of("CONTRIBUTING.md"),
    re.DOTALL | re.MULTILINE,
)
DECLARATION, WRITER = re.findall(r"```python\n(.*?)```", SECTION, re.DOTALL)


class Edit(NamedTuple):
    """An edit of the file `path`: the text `old`, which is there once, becomes `new`."""

    path: str
    old: str
    new: str


def before(path: str, old: str, added: str) -> Edit:
    return Edit(path, old, added + old)


def after(path: str, old: str, added: str) -> Edit:
    return Edit(path, old, old + added)


_LAST_ROW = "18446744073709551615 | required | P |\n"
_ROWS = "".join(
    f"| `node.skipped` | `{member}` | string | required | A |\n"
    for member in ("id", "ts", "run_id", "node_id", "reason")
)

THE_CORE = [
    after("omnelog/events.py", "    byte_offset: U64  # P\n", f"\n\n{DECLARATION}"),
    after("omnelog/events.py", "GatePassed | IterationStarted", " | NodeSkipped"),
    before("omnelog/codec.py", "    NodeStarted,\n", "    NodeSkipped,\n"),
    before("omnelog/codec.py", "\n_U32_SPAN =", f"\n{WRITER}\n"),
    before(
        "omnelog/codec.py",
        "    NodeStarted: _write_node_started,\n",
        "    NodeSkipped: _write_node_skipped,\n",
    ),
    before("omnelog/__init__.py", "NodeStarted,", "NodeSkipped, "),
    before("omnelog/__init__.py", '"NodeStarted",', '"NodeSkipped", '),
]

WHAT_IS_WRITTEN_TWICE = [
    after("SPEC.md", _LAST_ROW, _ROWS),
    Edit("SPEC.md", "a value of one of the eight types", "a value of one of the nine types"),
    Edit("SPEC.md", "MUST be of one of the eight types", "MUST be of one of the nine types"),
    Edit("SPEC.md", "not one of the eight names", "not one of the nine names"),
    Edit("SPEC.md", "\nSpecification, version 1.0.\n", "\nSpecification, version 2.0.\n"),
    Edit("README.md", "follows in version 1.0,", "follows in version 2.0,"),
    before(
        "conformance/generate/samples.py",
        '    "iteration.started": \'',
        '    "node.skipped": \'{"type":"node.skipped",\' + _HEAD + \',"node_id":"lint",\'\n'
        '    \'"reason":"not needed"}\',\n',
    ),
    before(
        "conformance/adapters/perl/OmneLog/Event.pm",
        "    'iteration.started' =>",
        "    'node.skipped'      => [@NODE, reason => 'string'],\n",
    ),
    before(
        "omnelog/testing/strategies.py",
        "    if draw(st.booleans()):\n        error =",
        "    if draw(st.booleans()):\n"
        "        steps.append(partial(package.NodeSkipped, reason=draw(texts())))\n",
    ),
    before(
        "tests/test_events.py",
        "    omnelog.IterationStarted: (\n",
        '    omnelog.NodeSkipped: ("node.skipped", ["id", "ts", "run_id", "node_id", "reason"]),\n',
    ),
    before(
        "tests/test_codec.py",
        '    "iteration.started": (\n',
        '    "node.skipped": (\n'
        '        omnelog.NodeSkipped(**_node, reason="not needed"),\n'
        '        \'{"type":"node.skipped",\' + _HEAD + \',"node_id":"plan",\'\n'
        '        \'"reason":"not needed"}\',\n'
        "    ),\n",
    ),
    before(
        "tests/test_codec.py",
        '    "iteration.started": {',
        '    "node.skipped": {**_NODE, "reason": STRING},\n',
    ),
    before(
        "tests/samples.py",
        "        omnelog.IterationStarted(",
        '        omnelog.NodeSkipped(**at_node, reason="not needed"),\n',
    ),
    before("tests/tools/consumer.py", "    NodeStarted,\n", "    NodeSkipped,\n"),
    before(
        "tests/tools/consumer.py",
        "        case IterationStarted(",
        "        case NodeSkipped(reason=reason):\n            assert_type(reason, str)\n",
    ),
    before("docs/api.md", "| `IterationStarted` |", "| `NodeSkipped` | a node was not needed |\n"),
]

COMMANDS = [
    [sys.executable, "-m", "conformance.generate"],
    ["sh", "-c", f"{shlex.quote(sys.executable)} -m omnelog schema > conformance/line.schema.json"],
]

NOTICE = [
    "tests/test_events.py::test_there_are_eight_events_and_each_has_its_type",
    "tests/test_spec.py::TestEvents",
    "tests/test_contributing.py::test_what_is_written_twice_has_every_type",
    "tests/test_documents.py::test_the_overview_lists_every_public_name_once",
    "tests/tools/test_schema.py::test_the_committed_schema_is_what_the_command_prints_anywhere",
]
"""Each of these tests fails until the places that it checks have the event."""

AFFECTED = [
    *NOTICE,
    "tests/test_testing.py::test_every_type_comes_up_in_runs",  # not in NOTICE: it fails slowly
    "tests/test_codec.py::test_the_line_of_each_type_byte_for_byte",
    "tests/test_codec.py::test_decode_gives_back_what_encode_was_given",
    "tests/test_codec.py::test_type_comes_first_and_then_the_declared_order",
    "tests/test_codec.py::test_every_type_of_event_has_a_writer_and_nothing_else_has",
    "tests/tools/test_schema.py::test_every_event_is_valid",
    "tests/conformance/test_vectors.py::test_every_vector_is_as_the_schema_says",
]

BY_THE_COMMAND = """
from omnelog import EventLog, NodeSkipped, PipeCompleted, PipeStarted
from omnelog.cli import main

common = {"id": "1", "ts": "2026-01-31T23:59:59Z", "run_id": "r"}
with EventLog.for_run(".", "r") as log:
    log.append(PipeStarted(pipe="p", inputs=[], distro_version="1", **common))
    log.append(NodeSkipped(node_id="n", reason="why", **common))
    log.append(PipeCompleted(**common))
for words in ("runs", "show r", "tail r", "timeline r", "export r --to chrome-trace"):
    assert main(["--root", ".", *words.split()]) == 0, words
"""


def copy_of_the_project(copy: Path) -> Path:
    ignored = shutil.ignore_patterns(".*", "__pycache__", "build", "dist", "*.egg-info")
    shutil.copytree(PROJECT, copy, ignore=ignored)
    return copy


def change(project: Path, edits: list[Edit]) -> None:
    for path, old, new in edits:
        text = (project / path).read_text(encoding="utf-8")
        assert text.count(old) == 1, f"{old!r} is {text.count(old)} times in {path}"
        (project / path).write_text(text.replace(old, new), encoding="utf-8")


def run(project: Path, *command: str) -> "subprocess.CompletedProcess[str]":
    environment = os.environ | {"PYTHONPATH": str(project), "HYPOTHESIS_PROFILE": "brief"}
    return subprocess.run(command, cwd=project, env=environment, capture_output=True, text=True)


def run_tests(project: Path, tests: list[str]) -> "subprocess.CompletedProcess[str]":
    options = ["-q", "-p", "no:cacheprovider", "-p", "no:xdist", f"--basetemp={project / 'tmp'}"]
    return run(project, sys.executable, "-m", "pytest", *options, *tests)


def test_contributing_names_every_place() -> None:
    """This includes places that only a reader would miss, as the columns in docs/recipes.md."""
    paths = {edit.path for edit in THE_CORE + WHAT_IS_WRITTEN_TWICE}
    named = set(re.findall(r"[\w/.]+\.(?:py|md|pm|json)\b", SECTION))
    for_readers = {"docs/recipes.md", "omnelog/cli/describe.py", "omnelog/cli/chrome_trace.py"}
    more = {"omnelog/cli/state.py", "omnelog/cli/checks.py", "conformance/line.schema.json"}
    named = {"README.md" if name == "README" else name for name in named}
    assert {name for name in paths if name not in named and name != "README.md"} == set()
    assert "README names that version" in SECTION
    assert named - paths == for_readers | more


def test_the_core_and_the_command_know_the_event_once_it_is_declared_and_written(
    tmp_path: Path,
) -> None:
    project = copy_of_the_project(tmp_path / "copy")
    change(project, THE_CORE)
    done = run(project, sys.executable, "-c", BY_THE_COMMAND)
    assert (done.returncode, done.stderr) == (0, "")
    done = run_tests(project, NOTICE)
    for test in NOTICE:
        assert f"\nFAILED {test}" in done.stdout, "it does not notice what is missing"


def test_the_affected_tests_pass_once_every_place_has_the_event(tmp_path: Path) -> None:
    project = copy_of_the_project(tmp_path / "copy")
    change(project, THE_CORE + WHAT_IS_WRITTEN_TWICE)
    for command in COMMANDS:
        done = run(project, *command)
        assert done.returncode == 0, done.stderr
    done = run_tests(project, AFFECTED)
    assert done.returncode == 0, done.stdout
