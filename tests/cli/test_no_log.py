# SPDX-License-Identifier: MIT
"""A run without a log counts as empty. A run whose log we are not permitted to see does not."""

from collections.abc import Iterator

import pytest

from .volume import RUN, Volume, powerless

LOOKING = [
    ("verify", RUN),
    ("tail", RUN),
    ("timeline", RUN),
    ("export", "--to", "chrome-trace", RUN),
    ("repair", "--yes", RUN),
    ("runs", "--json"),
    ("show", "--json", RUN),
]
ADDING = ("record", "--run", RUN, "n", "--", "true")


@pytest.mark.parametrize("words", LOOKING)
def test_no_log_looks_like_an_empty_one_and_none_is_made(
    volume: Volume, words: tuple[str, ...]
) -> None:
    log = volume.log()
    without = volume.call(*words)
    assert not log.exists()
    log.touch()
    empty = volume.call(*words)
    assert (without.status, without.out) == (empty.status, empty.out)
    assert empty.status == 0


@pytest.mark.parametrize("touch", [True, False])
def test_a_node_is_not_added_before_the_run_has_begun(volume: Volume, touch: bool) -> None:
    log = volume.log()
    if touch:
        log.touch()
    said = volume.call(*ADDING)
    assert (said.status, "no event yet" in said.err) == (125, True)
    assert log.exists() is touch
    assert not touch or log.read_bytes() == b""


@pytest.fixture
def hidden(volume: Volume) -> Iterator[Volume]:
    """A volume with one run, which is damaged and in a directory that nobody may enter."""
    directory = volume.write(b"damage\n").parent
    directory.chmod(0)
    yield volume
    directory.chmod(0o700)


@pytest.mark.parametrize("words", [*LOOKING, ("show", RUN), ("verify", "--all"), ADDING])
def test_what_may_not_be_looked_at_does_not_pass_for_empty(
    hidden: Volume, words: tuple[str, ...]
) -> None:
    said = hidden.run(*words, prefix=powerless())
    assert said.status in (1, 125)
    assert "Permission denied" in said.out.decode() + said.err
