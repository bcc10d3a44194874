# SPDX-License-Identifier: MIT
"""README.md and docs/: snippets run as they stand, links lead somewhere, every name is listed."""

import importlib.util
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from .documents import DOCUMENTS, PROJECT, blocks, text_of

RUN_BY = {
    ("README.md", "python"): "tests/test_documents.py",
    ("docs/command.md", "console"): "tests/cli/test_session.py",
    ("docs/command.md", "make"): "tests/cli/test_session.py",
    ("docs/recipes.md", "py"): "tests/tools/test_queries.py",
    ("docs/recipes.md", "python"): "tests/test_documents.py",
    ("docs/recipes.md", "sh"): "tests/tools/test_queries.py",
    ("docs/recipes.md", "sql"): "tests/tools/test_queries.py",
    ("docs/recording.md", "python"): "tests/test_documents.py",
    ("docs/testing.md", "python"): "tests/test_testing.py",
    ("docs/vendoring.md", "python"): "tests/vendoring.py",
    ("docs/vendoring.md", "sh"): "tests/vendoring.py",
    ("docs/vendoring.md", "text"): "tests/vendoring.py",
    ("docs/vendoring.md", "toml"): "tests/vendoring.py",
}
"""What runs the blocks of each language in each document."""

FIGURES = {("docs/stress.md", "text")}
"""Blocks that are the output of a long run, which no test repeats."""

SNIPPETS = [
    pytest.param(snippet, id=f"{name}-{number}")
    for (name, language), runner in RUN_BY.items()
    if runner == "tests/test_documents.py"
    for number, snippet in enumerate(blocks(name, language))
]
USER_DOCUMENTS = [path for path in DOCUMENTS if path.parent.name == "docs"] + [
    PROJECT / "README.md"
]
API_MODULES = ["omnelog", "omnelog.linelog", "omnelog.recording", "omnelog.testing"]


def run(snippet: str, directory: Path) -> str:
    """Run a snippet in a directory as a program; return what it printed."""
    command = [sys.executable, "-c", snippet]
    done = subprocess.run(command, cwd=directory, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_every_block_is_run_by_something() -> None:
    found = set()
    for path in USER_DOCUMENTS:
        name = path.relative_to(PROJECT).as_posix()
        fences = re.findall(r"^```(.*)$", text_of(name), re.MULTILINE)
        assert set(fences[1::2]) <= {""}, f"{name}: a fence is not closed"
        found |= {(name, language) for language in fences[::2]}
    assert found == set(RUN_BY) | FIGURES
    for (name, language), runner in RUN_BY.items():
        assert name in text_of(runner), f"{runner} does not read {name}"
        looks_for = [f'"{language}"', f"```{language}\\n"]
        assert any(word in text_of(runner) for word in looks_for), f"{runner}: {language}"


@pytest.mark.parametrize("snippet", SNIPPETS)
def test_a_snippet_runs_as_it_stands(snippet: str, tmp_path: Path) -> None:
    run(snippet, tmp_path)


def test_readmes_first_snippet_appends_records_and_reads_them(tmp_path: Path) -> None:
    [snippet, _] = blocks("README.md", "python")
    assert run(snippet, tmp_path) == "ada hello\nbob one\nbob two\n"
    assert len((tmp_path / "notes.jsonl").read_bytes().splitlines()) == 3


def test_readmes_second_snippet_records_a_run_that_verify_accepts(tmp_path: Path) -> None:
    [_, snippet] = blocks("README.md", "python")
    run(snippet, tmp_path)
    command = [sys.executable, "-m", "omnelog", "verify", "--all"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "")
    assert "1 log, 4 lines, 0 findings" in done.stderr


def test_a_recorded_run_is_read_back(tmp_path: Path) -> None:
    snippet, _ = blocks("docs/recording.md", "python")
    types = ["pipe.started", "node.started", "node.completed", "pipe.completed"]
    lines = [rf"{re.escape(name)} [0-9a-z]{{26}}\n" for name in types]
    assert re.fullmatch("".join(lines), run(snippet, tmp_path))


def test_dicts_and_a_dataclass_are_records(tmp_path: Path) -> None:
    snippet, *_ = blocks("docs/recipes.md", "python")
    dicts, messages = run(snippet, tmp_path).splitlines()
    assert dicts == "[{'from': 'ada', 'text': 'hello', 'tags': ['first']}, {'from': 'bob'}]"
    assert messages == "[Message(sender='ada', text='hello')]"
    with (tmp_path / "chat.jsonl").open("rb") as log:
        assert log.read() == b'{"sender": "ada", "text": "hello"}\n'


@pytest.mark.parametrize("number", [1, 2])
def test_classes_of_pydantic_and_msgspec_are_records(number: int, tmp_path: Path) -> None:
    snippet = blocks("docs/recipes.md", "python")[number]
    assert run(snippet, tmp_path) == "[Message(sender='ada', text='hello')]\n"


def test_a_log_is_followed_and_a_torn_tail_is_reported_and_repaired(tmp_path: Path) -> None:
    _, _, _, follow, scan, _ = blocks("docs/recipes.md", "python")
    assert run(follow, tmp_path) == "{'from': 'ada', 'text': 'hello'}\n"
    assert "TornTailError('not JSON:" in run(scan, tmp_path)
    assert (tmp_path / "chat.jsonl.torn").read_bytes() == b'{"from":"bob","te\n'


def anchors(path: Path) -> set[str]:
    """Return the anchors in a document: its headings, as renderers spell them in links."""
    headings = re.findall(r"^#+ (.*)$", path.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def relative_links() -> Iterator[tuple[Path, str]]:
    """Yield each document and each link in it that does not lead to the web."""
    for path in DOCUMENTS:
        without_code = re.sub(
            r"^```.*?^```$|`[^`\n]*`",
            "",
            path.read_text(encoding="utf-8"),
            flags=re.DOTALL | re.MULTILINE,
        )
        for target in re.findall(r"\]\(([^)]*)\)", without_code):
            if not target.startswith("https://"):
                yield path, target


def test_links_between_documents_lead_somewhere() -> None:
    links = list(relative_links())
    assert len(links) > 30
    for path, target in links:
        file, _, anchor = target.partition("#")
        destination = path.parent / file if file else path
        assert destination.exists(), f"{path}: {target}"
        assert destination.resolve().is_relative_to(PROJECT), f"{path}: {target}"
        if anchor:
            assert anchor in anchors(destination), f"{path}: {target}"


def test_files_and_modules_that_are_named_exist() -> None:
    """This includes names in code, which `relative_links` leaves out."""
    folders = "omnelog|conformance|docs|examples|stress|tests"
    files = set()
    modules = set()
    for path in DOCUMENTS:
        text = path.read_text(encoding="utf-8")
        files |= set(re.findall(rf"`((?:{folders})/[\w./-]*)`", text))
        modules |= set(re.findall(rf"python -m ((?:{folders})[\w.]*)", text))
    assert len(files) > 20
    assert len(modules) > 3
    assert [file for file in files if not (PROJECT / file).exists()] == []
    assert [module for module in modules if importlib.util.find_spec(module) is None] == []


def test_readme_links_to_every_document() -> None:
    linked = {target for path, target in relative_links() if path.name == "README.md"}
    documents = {path.relative_to(PROJECT).as_posix() for path in DOCUMENTS}
    assert documents - linked == {"README.md", "conformance/PROTOCOL.md"}


def test_every_verb_of_the_command_is_described() -> None:
    rows = re.findall(r"^\| (`[a-z`, ]+`) \|", text_of("docs/command.md"), re.MULTILINE)
    described = [verb for row in rows for verb in re.findall("[a-z]+", row)]
    commands = PROJECT / "omnelog" / "cli" / "commands"
    assert sorted(described) == sorted({path.stem for path in commands.glob("[a-z]*.py")})


def test_readme_is_short() -> None:
    assert len(text_of("README.md").splitlines()) <= 150


@pytest.mark.parametrize("module", API_MODULES)
def test_the_overview_lists_every_public_name_once(module: str) -> None:
    sections = dict(
        re.findall(r"^## (\S+)\n(.*?)(?=^## |\Z)", text_of("docs/api.md"), re.DOTALL | re.MULTILINE)
    )
    assert list(sections) == API_MODULES
    listed = re.findall(r"^\| `(\w+)` \| \S.* \|$", sections[module], re.MULTILINE)
    public = set(importlib.import_module(module).__all__)
    if module == "omnelog":
        public -= set(importlib.import_module("omnelog.linelog").__all__)
    assert sorted(listed) == sorted(public)


def test_the_overview_says_that_the_lower_layer_is_importable_from_the_package() -> None:
    names = importlib.import_module("omnelog.linelog").__all__
    assert set(names) <= set(importlib.import_module("omnelog").__all__)


@pytest.mark.parametrize("verb", ["tests", "stress"])
def test_the_two_commands_differ_in_the_verb_alone(verb: str) -> None:
    commands = re.findall(
        r"^ {4}(python3 -m venv .*nox -s (\w+))$", text_of("README.md"), re.MULTILINE
    )
    assert [command.removesuffix(name) for command, name in commands if name == verb] == [
        "python3 -m venv .venv && .venv/bin/pip install -q 'nox[uv]' && .venv/bin/nox -s "
    ]
