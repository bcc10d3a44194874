# SPDX-License-Identifier: MIT
"""Which volume the command uses, and what it says if there is none."""

import json
from pathlib import Path

import pytest

from .volume import Volume, powerless, started


def listed(volume: Volume, *words: str) -> list[str]:
    """The runs of the volume that is found."""
    said = volume.call(*(words or ("runs",)), "--json")
    return [json.loads(line)["run_id"] for line in said.out.splitlines()]


@pytest.fixture
def elsewhere(volume: Volume, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Another volume, with the run `other`. The current volume has a run as well."""
    root = tmp_path_factory.mktemp("elsewhere")
    (root / ".omne/var/runs/other").mkdir(parents=True)
    volume.write(started())
    return root


def test_the_volume_around_the_current_directory_is_found(
    volume: Volume, monkeypatch: pytest.MonkeyPatch
) -> None:
    volume.write(started("here"), run_id="here")
    below = volume.root / "a" / "b"
    below.mkdir(parents=True)
    monkeypatch.chdir(below)
    assert listed(volume) == ["here"]


def test_the_environment_names_it_before_the_directory_does(
    volume: Volume, elsewhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMNE_VOLUME_ROOT", str(elsewhere))
    assert listed(volume) == ["other"]


@pytest.mark.parametrize("after", [False, True], ids=["before the verb", "after it"])
def test_the_option_names_it_before_the_environment_does(
    volume: Volume, elsewhere: Path, monkeypatch: pytest.MonkeyPatch, *, after: bool
) -> None:
    monkeypatch.setenv("OMNE_VOLUME_ROOT", str(volume.root))
    option = ["--root", str(elsewhere)]
    words = ["runs", *option] if after else [*option, "runs"]
    assert listed(volume, *words) == ["other"]


def test_an_empty_variable_counts_as_unset(volume: Volume, monkeypatch: pytest.MonkeyPatch) -> None:
    volume.write(started("here"), run_id="here")
    monkeypatch.setenv("OMNE_VOLUME_ROOT", "")
    assert listed(volume) == ["here"]


@pytest.mark.parametrize(
    ("words", "status"),
    [
        (["runs"], 1),
        (["show", "x"], 1),
        (["append", "x"], 1),
        (["tail", "-f", "x"], 1),
        (["verify", "--all"], 2),
        (["repair", "x"], 1),
        (["record", "--pipe", "ci", "n", "--", "touch", "ran"], 125),
    ],
)
def test_without_a_volume_it_says_how_to_make_one_and_does_nothing(
    volume: Volume, words: list[str], status: int
) -> None:
    (volume.root / ".omne").rmdir()
    said = volume.call(*words)
    assert said.status == status
    assert "no omne volume" in said.err
    assert "mkdir .omne" in said.err
    assert sorted(path.name for path in volume.root.iterdir()) == ["bin"]


@pytest.mark.parametrize("named", ["missing", "bin", "bin/omnelog", ""])
def test_a_named_root_that_is_not_a_volume_is_refused_and_not_made_one(
    volume: Volume, named: str
) -> None:
    said = volume.call("--root", named, "runs")
    assert said.status == 1
    assert ".omne" in said.err
    assert sorted(path.name for path in volume.root.iterdir()) == [".omne", "bin"]


@pytest.mark.parametrize("root", [[], ["--root", "."]], ids=["none", "relative"])
def test_in_a_directory_that_is_gone_it_asks_for_a_root(
    volume: Volume, gone_directory: None, root: list[str]
) -> None:
    said = volume.call(*root, "runs")
    assert (said.status, "use --root with an absolute path" in said.err) == (1, True)


@pytest.mark.parametrize("words", [("--root", "{}", "runs"), ("runs",)], ids=["option", "variable"])
def test_a_volume_that_may_not_be_looked_at_does_not_pass_for_none(
    volume: Volume, words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    hidden = volume.root / "hidden"
    (hidden / "volume" / ".omne").mkdir(parents=True)
    hidden.chmod(0)
    monkeypatch.setenv("OMNE_VOLUME_ROOT", str(hidden / "volume"))
    said = volume.run(*(word.format(hidden / "volume") for word in words), prefix=powerless())
    hidden.chmod(0o700)
    assert said.status == 1
    assert f"{hidden / 'volume' / '.omne'}: Permission denied" in said.err
