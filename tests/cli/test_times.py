# SPDX-License-Identifier: MIT
"""When things happened and how long they took."""

from calendar import timegm
from importlib import import_module
from time import strptime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from .. import omnelog
from ..strategies import CROCKFORD, events

recording = import_module(f"{omnelog.__name__}.recording")
times = import_module(f"{omnelog.__name__}.cli.times")

SECOND_MS = 1_769_903_999_000  # 2026-01-31T23:59:59Z


def ulid(ms: int) -> str:
    """A ULID of the time `ms`."""
    return "".join(CROCKFORD[ms << 80 >> shift & 31] for shift in range(125, -1, -5))


def at(ulid: str, ts: str = "2026-01-31T23:59:59Z") -> int | None:
    """The moment of an event with this id and this ts."""
    found: int | None = times.moment_ms(omnelog.PipeCompleted(id=ulid, ts=ts, run_id="r"))
    return found


@pytest.mark.parametrize(
    ("ms", "moment"),
    [
        (SECOND_MS, SECOND_MS),
        (SECOND_MS + 123, SECOND_MS + 123),
        (SECOND_MS - 1500, SECOND_MS - 1500),
        (SECOND_MS + 5000, SECOND_MS),
        (0, SECOND_MS),
    ],
)
def test_the_milliseconds_of_the_id_count_where_they_agree_with_ts(ms: int, moment: int) -> None:
    assert at(ulid(ms)) == moment


@pytest.mark.parametrize(
    ("ts", "agrees"),
    [
        ("2026-01-31T23:59:59Z", True),
        ("2024-02-29T00:00:00Z", True),
        ("2016-12-31T23:59:60Z", True),
        ("2023-02-29T00:00:00Z", False),
        ("2026-01-31T24:00:00Z", False),
        ("2026-01-31T23:59:59+00:00", False),
        ("2026-01-31t23:59:59z", False),
        ("0000-01-31T23:59:59Z", False),
        ("\u0662026-01-31T23:59:59Z", False),
        (" 2026-01-31T23:59:59Z", False),
    ],
)
def test_a_ts_is_a_time_in_one_spelling(ts: str, agrees: bool) -> None:
    expected = None
    if agrees:
        expected = timegm(strptime(ts, "%Y-%m-%dT%H:%M:%SZ")) * 1000
    assert recording.ts_ms(ts) == expected


@pytest.mark.parametrize(
    ("text", "ms"),
    [
        ("2026-01-31T23:59:59Z", SECOND_MS),
        ("2026-01-31T23:59:59", SECOND_MS),
        ("2026-02-01T01:59:59.500+02:00", SECOND_MS + 500),
        ("2026-02-01", SECOND_MS + 1000),
        ("2h", None),
        ("", None),
    ],
)
def test_a_time_is_taken_in_any_spelling_of_iso_8601(text: str, ms: int | None) -> None:
    assert times.time_ms(text) == ms


@given(st.integers(-(2**63), 2**63))
def test_any_moment_is_spelt_or_unknown(ms: int) -> None:
    spelt = times.spell_moment(ms)
    assert spelt is None or times.time_ms(spelt) == ms


@pytest.mark.parametrize(
    ("ms", "spelt"),
    [(None, "?"), (-5, "0s"), (59_999, "59s"), (60_000, "1m"), (3_599_999, "59m"),
     (3_600_000, "1h"), (172_799_999, "47h"), (172_800_000, "2d"), (10**11, "1157d")],
)  # fmt: skip
def test_an_age_is_shorter_still(ms: int | None, spelt: str) -> None:
    assert times.spell_age(ms) == spelt


@pytest.mark.parametrize("name", ["", "x", "8" * 26, "i" * 26, "Z" * 26])
def test_an_id_that_is_not_a_ulid_says_no_time(name: str) -> None:
    assert omnelog.ulid.ulid_ms(name) is None
    assert at(name) == SECOND_MS


@pytest.mark.parametrize("ts", ["", "yesterday", "2026-13-01T00:00:00Z", "2026-01-31 23:59:59"])
def test_without_a_time_the_moment_is_unknown(ts: str) -> None:
    assert at(ulid(SECOND_MS), ts) is None


@given(events(), events())
def test_of_any_two_events_the_time_between_is_known_and_not_negative_or_unknown(
    one: "omnelog.Event", two: "omnelog.Event"
) -> None:
    between = times.between_ms(one, two)
    assert between is None or between >= 0
    assert times.spell_ms(between)


@pytest.mark.parametrize(
    ("ms", "spelt"),
    [(None, "?"), (0, "0s"), (49, "49ms"), (999, "999ms"), (1000, "1.0s"),
     (9_949, "9.9s"), (9_950, "10s"), (59_400, "59s"),
     (59_600, "1m00s"), (3_599_000, "59m59s"), (3_600_000, "1h00m"), (90_061_000, "25h01m"),
     (359_940_000, "99h59m"), (359_999_900, "4d04h"), (1_000_000_000, "11d13h")],
)  # fmt: skip
def test_a_duration_is_short(ms: int | None, spelt: str) -> None:
    assert times.spell_ms(ms) == spelt
