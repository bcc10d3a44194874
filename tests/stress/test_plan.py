# SPDX-License-Identifier: MIT
"""That a seed repeats a round, and that a round is what it is said to be."""

from collections import Counter
from dataclasses import replace

from omnelog import encode
from stress.plan import Handle, RoundPlan, Start, canonical_line, draw_records, draw_round
from stress.workers import event_of, record_of

PLAN = draw_round(7, writers=8, events=60)


def _lines(plan: RoundPlan, writer: int) -> list[bytes]:
    return [canonical_line(record) for record in draw_records(plan, plan.writers[writer])]


def test_same_seed_draws_the_same() -> None:
    again = draw_round(7, writers=8, events=60)
    assert again == PLAN
    assert _lines(again, 3) == _lines(PLAN, 3)


def test_other_seed_draws_other_events() -> None:
    assert _lines(replace(PLAN, seed=8), 3) != _lines(PLAN, 3)


def test_writers_draw_different_events() -> None:
    assert not set(_lines(PLAN, 1)) & set(_lines(PLAN, 2))


def test_half_are_spawned_and_half_forked_with_both_kinds_of_handle() -> None:
    patient = [writer for writer in PLAN.writers[1:] if writer.lock_timeout_s]
    ways = Counter((writer.start, writer.handle) for writer in patient)
    assert ways == {(s, h): 2 for s in (Start.SPAWN, Start.FORK) for h in Handle}


def test_every_writer_has_lines_beyond_a_page_and_beyond_64_kib() -> None:
    for writer in range(1, len(PLAN.writers)):
        sizes = sorted(map(len, _lines(PLAN, writer)))
        assert sizes[-1] > 65536
        assert any(4096 < size < 65536 for size in sizes)
        assert sizes[len(sizes) // 2] < 1024


def test_expected_lines_are_what_the_encoder_writes() -> None:
    """Two opinions, formed independently, about all types of events."""
    types = set()
    for writer in PLAN.writers:
        for record in draw_records(PLAN, writer):
            event = event_of(record)
            assert encode(event) == canonical_line(record)
            assert record_of(event) == record
            types.add(event.type)
    assert len(types) == 8
