# SPDX-License-Identifier: MIT
"""A glance at the beginning and the end of a log says the same as the whole log."""

import json
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any  # what a module that is imported by name returns
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from .. import omnelog, testing
from ..samples import log_path
from ..strategies import events
from .histories import History

MODULE = f"{omnelog.__name__}.cli.glance"
module = import_module(MODULE)


def spelt_otherwise(event: "omnelog.Event") -> bytes:
    """The line of an event in another spelling: its type is last, and every letter of it an escape.

    A search for the bytes of a canonical line does not find it.
    """
    members = json.loads(omnelog.encode(event))
    kind = "".join(f"\\u{ord(c):04x}" for c in members.pop("type"))
    return json.dumps(members, ensure_ascii=True)[:-1].encode() + f', "type": "{kind}"}}\n'.encode()


def glance(path: Path, *, window: int) -> Any:
    """Glance at a log as at a large one, and look at its last `window` bytes first."""
    with patch(f"{MODULE}._WHOLE", 0), patch(f"{MODULE}._WINDOW", window):
        return module.glance(path, full=False)


@given(
    st.lists(st.tuples(events(), st.sampled_from([omnelog.encode, spelt_otherwise])), min_size=1),
    st.integers(1, 3000),
)
def test_the_ends_of_any_log_say_what_all_of_it_says(
    lines: list[tuple["omnelog.Event", Callable[["omnelog.Event"], bytes]]], window: int
) -> None:
    with testing.new_volume() as root:
        path = log_path(root)
        path.write_bytes(b"".join(spell(event) for event, spell in lines))
        whole = module.glance(path, full=True)
        quick = glance(path, window=min(window, path.stat().st_size))
        assert module.count_nodes(path, lambda _: None) == whole.nodes
    for name in ("state", "pipe", "first", "last", "size"):
        assert getattr(quick, name) == getattr(whole, name), name
    assert quick.nodes in (None, whole.nodes)
    assert quick.ended == whole.ended
    assert not quick.findings.count


@pytest.mark.parametrize("end", ["complete", "abort"])
def test_an_end_far_from_the_end_of_the_log_is_found(tmp_path: Path, end: str) -> None:
    history = History().begin().start("n")
    getattr(history, end)()
    for number in range(200):
        history.iterate("n", number)
    log_path(tmp_path).write_bytes(b"".join(map(omnelog.encode, history.events)))
    found = glance(log_path(tmp_path), window=1000)
    assert found.state == ("completed" if end == "complete" else "aborted")
    assert found.nodes is None


def test_the_last_end_counts_though_the_first_event_is_one(tmp_path: Path) -> None:
    history = History().complete().abort()
    for number in range(200):
        history.iterate("n", number)
    log_path(tmp_path).write_bytes(b"".join(map(omnelog.encode, history.events)))
    assert glance(log_path(tmp_path), window=1000).state == "aborted"


def test_a_message_that_quotes_an_end_is_none(tmp_path: Path) -> None:
    history = History().begin().start("n")
    history.fail("n", message='{"type":"pipe.completed"} \\u0070ipe.aborted \x1b')
    for number in range(200):
        history.iterate("n", number)
    log_path(tmp_path).write_bytes(b"".join(map(omnelog.encode, history.events)))
    assert glance(log_path(tmp_path), window=1000).state == "running"


@pytest.mark.parametrize(
    "tail",
    [b"\n", b"damage\n", b'{"type":"pipe.com', omnelog.encode(History().complete().events[0])[:-1]],
)
def test_an_end_that_is_not_plain_takes_all_of_the_log(tmp_path: Path, tail: bytes) -> None:
    history = History().begin().start("a").done("a").start("b").done("b").start("n").done("n")
    log_path(tmp_path).write_bytes(b"".join(map(omnelog.encode, history.events)) + tail)
    whole = module.glance(log_path(tmp_path), full=True)
    quick = glance(log_path(tmp_path), window=500)
    assert (quick.state, quick.nodes, quick.last) == (whole.state, whole.nodes, whole.last)
    assert quick.findings.kept == whole.findings.kept


def test_little_is_read_of_a_large_log_that_has_ended(tmp_path: Path) -> None:
    history = History().begin()
    for number in range(3000):
        history.iterate("n", number)
    history.complete()
    log_path(tmp_path).write_bytes(b"".join(map(omnelog.encode, history.events)))
    with (
        patch(f"{MODULE}.decode", wraps=omnelog.decode) as decode,
        patch(f"{omnelog.__name__}.cli.log_lines.decode", wraps=omnelog.decode) as decode_end,
    ):
        found = module.glance(log_path(tmp_path), full=False)
    assert (found.state, found.nodes) == ("completed", None)
    assert decode.call_count == 2  # of the first event and of the last one
    assert decode_end.call_count == 1


def test_a_small_log_is_read_whole(tmp_path: Path) -> None:
    history = History().begin().start("a").done("a").start("b").fail("b").start("c").complete()
    log_path(tmp_path).write_bytes(b"".join(map(omnelog.encode, history.events)))
    counts = module.glance(log_path(tmp_path), full=False).nodes
    assert counts == module.Counts(completed=1, failed=1, total=3)
