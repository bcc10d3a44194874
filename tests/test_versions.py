# SPDX-License-Identifier: MIT
"""The versions of Python and of tools: each is named in several files, which must agree."""

import re
import tomllib

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from .documents import text_of

PYPROJECT = tomllib.loads(text_of("pyproject.toml"))
PINS = dict(
    line.split("==") for line in text_of("constraints.txt").splitlines() if not line.startswith("#")
)


def test_the_interpreters_are_the_same_everywhere() -> None:
    prefix = "Programming Language :: Python :: "
    versions = [name.removeprefix(prefix) for name in PYPROJECT["project"]["classifiers"]]
    classified = [version for version in versions if re.fullmatch(r"3\.\d+", version)]
    [core] = re.findall(r"^@nox.session\(python=\[(.*)\]\)$", text_of("noxfile.py"), re.MULTILINE)
    workflow = text_of(".github/workflows/ci.yml")
    [matrix] = re.findall(r"^ +python: \[(.*)\]$", workflow, re.MULTILINE)
    [tox] = re.findall(r"^env_list = py\{(.*)\}-\{", text_of("tox.ini"), re.MULTILINE)
    with_threads = [version for version in re.findall(r'"(.*?)"', core) if version.endswith("t")]
    assert re.findall(r'"([\d.]+)"', core) == classified
    assert re.findall(r'"([\d.]+)"', matrix) == classified
    assert tox.split(",") == [name.replace(".", "") for name in [*classified, *with_threads]]
    assert PYPROJECT["project"]["requires-python"] == f">={classified[0]}"
    # No hosted runner has an interpreter without the global lock, so no classifier promises it.
    assert any(name.startswith("Free Threading") for name in versions) == ('t"' in matrix)


def test_the_hosted_runner_runs_what_everybody_runs() -> None:
    steps = re.findall(r"^ +- run: (.*)$", text_of(".github/workflows/ci.yml"), re.MULTILINE)
    assert steps[-1] == ".ci/run"


def test_every_tool_is_pinned_in_a_version_that_it_may_have() -> None:
    groups = PYPROJECT["dependency-groups"]
    named = [word for name in groups if name != "spark" for word in groups[name]]
    requirements = [Requirement(word) for word in named if isinstance(word, str)]
    assert len(requirements) > 15
    for requirement in requirements:
        assert requirement.specifier.contains(PINS[canonicalize_name(requirement.name)]), (
            requirement
        )


def test_filelock_is_not_pinned() -> None:
    """The tests run with the newest version, and with the oldest one that is allowed."""
    assert "filelock" not in PINS


def test_a_pin_is_a_name_and_a_version() -> None:
    """A pin that is the address of a file would tie the project to one place."""
    for name, version in PINS.items():
        assert re.fullmatch(r"[a-z0-9-]+", name), name
        assert re.fullmatch(r"[0-9][0-9a-z.]*", version), (name, version)


def test_every_session_of_nox_installs_what_is_pinned() -> None:
    installs = re.findall(r"session\.install\((.*?)\)\n", text_of("noxfile.py"), re.DOTALL)
    unpinned = [words for words in installs if not words.startswith('"-c", str(CONSTRAINTS), ')]
    assert unpinned == ['filelock.replace(">=", "==")']


def test_a_commit_is_checked_by_the_ruff_that_lint_has() -> None:
    hooks = re.findall(r'additional_dependencies: \["(.*)"\]', text_of(".pre-commit-config.yaml"))
    assert hooks == [f"ruff=={PINS['ruff']}"] * 2
