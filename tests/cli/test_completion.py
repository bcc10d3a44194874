# SPDX-License-Identifier: MIT
"""What a shell with argcomplete offers for a word that is being typed."""

from pathlib import Path

import pytest

from .volume import Volume, started


def completions(volume: Volume, line: str, blocked: str = "") -> list[str]:
    """The words that a shell offers at the end of `line`."""
    out = volume.root / "completions"
    said = volume.shell(
        f"{blocked} _ARGCOMPLETE=1 _ARGCOMPLETE_STDOUT_FILENAME={out} _ARGCOMPLETE_IFS='|' "
        f"COMP_LINE='{line}' COMP_POINT={len(line)} COMP_TYPE=9 omnelog"
    )
    assert said.err == ""
    found = Path(out).read_text() if out.exists() else ""
    return [word.strip() for word in found.split("|") if word]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("omnelog ver", ["verify"]),
        ("omnelog show c", ["ci-1", "ci-2"]),
        ("omnelog tail -f l", ["latest", "lint-1"]),
        ("omnelog runs --state r", ["running"]),
        ("omnelog export latest --to ", ["chrome-trace"]),
        ("omnelog verify --a", ["--all"]),
    ],
)
def test_verbs_options_and_runs_are_completed(volume: Volume, line: str, words: list[str]) -> None:
    for run_id in ("ci-1", "ci-2", "lint-1"):
        volume.write(started(run_id), run_id=run_id)
    assert sorted(completions(volume, line)) == words


def test_without_a_volume_no_run_is_completed(volume: Volume) -> None:
    (volume.root / ".omne").rmdir()
    assert completions(volume, "omnelog show c") == []


def test_without_argcomplete_a_shell_gets_nothing(volume: Volume) -> None:
    blocked = volume.root / "blocked"
    blocked.mkdir()
    (blocked / "argcomplete.py").write_text("raise ImportError('blocked')\n")
    said = volume.shell(f"PYTHONPATH={blocked}:$PYTHONPATH _ARGCOMPLETE=1 omnelog --version")
    assert said.status == 0
