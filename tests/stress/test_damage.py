# SPDX-License-Identifier: MIT
"""The damage of a round: each count can differ from 0, and is 0 without damage."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stress.damage import count_damage
from stress.payloads import tagged_line, tagged_record

from .made_up_rounds import MadeUp

A0, A1, B0, B1 = (
    tagged_line(tagged_record(writer, seq, 120)) for writer in (1, 2) for seq in (0, 1)
)
SOUND = A0 + B0 + A1 + B1


def _damage(directory: Path, log: bytes, **others: Any) -> dict[str, int]:
    """The counts that are not 0, except for the acknowledged records."""
    made = MadeUp(log=log, meant={1: A0 + A1, 2: B0 + B1}, **others)
    counted = asdict(count_damage(made.check(directory)))
    assert counted.pop("acknowledged") == sum(
        outcome == "acknowledged" for calls in made.calls.values() for *_, outcome in calls
    )
    return {name: count for name, count in counted.items() if count}


def test_a_sound_log_has_no_damage(tmp_path: Path) -> None:
    assert _damage(tmp_path, SOUND) == {}


def test_a_record_that_is_nowhere_is_lost(tmp_path: Path) -> None:
    assert _damage(tmp_path, A0 + B0 + B1) == {"lost": 1}


def test_what_is_in_a_log_that_was_moved_away_is_not_lost(tmp_path: Path) -> None:
    assert _damage(tmp_path, A1 + B1, moved=[(A0 + B0, 5, 30)]) == {}


def test_what_was_appended_long_after_the_move_is_left_behind(tmp_path: Path) -> None:
    late = 3_000_000_000
    calls = {
        1: [(10, 20, "acknowledged"), (late, late + 9, "acknowledged")],
        2: [(15, 25, "acknowledged"), (late, late + 9, "acknowledged")],
    }
    moved = [(A0 + B0 + A1, 5, 30)]
    assert _damage(tmp_path, B1, moved=moved, calls=calls) == {"left_behind": 1}


@pytest.mark.parametrize("piece", [A0[:60], A0[30:90], A0[40:-1], A0[:1], A0[-3:-1], b""])
def test_a_part_of_a_record_is_a_torn_line(tmp_path: Path, piece: bytes) -> None:
    assert _damage(tmp_path, SOUND + piece + b"\n") == {"torn": 1}


def test_a_tail_is_torn_unless_it_lacks_nothing_but_its_newline(tmp_path: Path) -> None:
    (tmp_path / "whole").mkdir()
    (tmp_path / "torn").mkdir()
    assert _damage(tmp_path / "whole", A0 + B0 + A1 + B1[:-1]) == {}
    assert _damage(tmp_path / "torn", A0 + B0 + A1 + B1[:-2]) == {"torn": 1, "lost": 1}


@pytest.mark.parametrize(
    "line",
    [A0[:60] + B0, A0[:60] + B0[50:], A0[-3:-1] + B0, A0[:-1] + B0, A0[:1] + B0, B0[:40] + B0],
)
def test_a_line_of_pieces_is_glued(tmp_path: Path, line: bytes) -> None:
    assert _damage(tmp_path, A0 + B0 + A1 + B1 + line) == {"glued": 1}


def test_the_record_behind_a_torn_tail_is_lost_with_it(tmp_path: Path) -> None:
    calls = {
        1: [(10, 20, "acknowledged"), (30, None, "")],
        2: [(15, 25, "acknowledged"), (35, 45, "acknowledged")],
    }
    log = A0 + B0 + A1[:50] + B1
    assert _damage(tmp_path, log, calls=calls, deaths={1: [33]}) == {
        "glued": 1,
        "lost": 1,
        "cut_short": 1,
    }


def test_a_later_record_of_the_same_writer_comes_first(tmp_path: Path) -> None:
    assert _damage(tmp_path, A1 + A0 + B0 + B1) == {"out_of_order": 1}


def test_what_raised_is_refused_and_not_lost(tmp_path: Path) -> None:
    calls = {
        1: [(10, 20, "acknowledged"), (30, 40, "refused")],
        2: [(15, 25, "acknowledged"), (35, 45, "timed out")],
    }
    assert _damage(tmp_path, A0 + B0, calls=calls) == {"refused": 2}


def test_a_record_may_stand_twice(tmp_path: Path) -> None:
    assert _damage(tmp_path, SOUND + A1) == {"twice": 1}


@pytest.mark.parametrize("line", [b"\0\0\n", A0[:40] + b"\0" + A0[41:], b"\xff\n"])
def test_bytes_of_no_record_are_foreign(tmp_path: Path, line: bytes) -> None:
    assert _damage(tmp_path, SOUND + line) == {"foreign": 1}


def test_json_with_spaces_is_recognized(tmp_path: Path) -> None:
    """jsonl-log writes such JSON."""
    lines = {
        w: [tagged_line(tagged_record(w, seq, 120), spaced=True) for seq in (0, 1)] for w in (1, 2)
    }
    log = lines[1][0] + lines[2][0] + lines[1][1][:50] + lines[2][1]
    made = MadeUp(log=log, meant={w: b"".join(each) for w, each in lines.items()})
    counted = count_damage(made.check(tmp_path))
    assert (counted.lost, counted.glued, counted.torn) == (2, 1, 0)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_torn_and_glued_lines_are_distinguished_wherever_a_log_is_cut(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    """If a record is cut into pieces that each end with a newline, every piece is torn.

    If the beginning of a record is put before another record, the line is glued.
    """
    directory = tmp_path_factory.mktemp("made-up")
    cuts = data.draw(st.sets(st.integers(1, len(A1) - 2), max_size=5))
    ends = [*sorted(cuts), len(A1) - 1]
    pieces = [A1[b:e] for b, e in zip([0, *ends], ends, strict=False)]
    log = A0 + B0 + B1 + b"".join(piece + b"\n" for piece in pieces)
    expected = {"torn": len(pieces), "lost": 1} if len(pieces) > 1 else {}
    assert _damage(directory, log) == expected
    glued = tmp_path_factory.mktemp("glued")
    at = data.draw(st.integers(1, len(A1) - 1))
    assert _damage(glued, A0 + B0 + A1[:at] + B1) == {"glued": 1, "lost": 2}
