# SPDX-License-Identifier: MIT
"""A seed repeats its round, and a round has the parts that its plan describes."""

import json
from collections import Counter
from itertools import chain
from pathlib import Path
from random import Random

import pytest

from omnelog import decode_object, encode, encode_object
from stress.logs import event_of, record_of
from stress.payloads import canonical_line, draw_messages, draw_tagged, tagged_line
from stress.plan import SHELL, Handle, RoundPlan, Size, Start, draw_longer, draw_round
from stress.workers import draw_calls, draw_lines

SIZE = Size(processes=24, threads=3, events=60, runs=2, seconds=1)
PLAN = draw_round(7, "plain", SIZE)
OURS = [process for process in PLAN.processes if not process.foreign]


def _lines(tmp_path: Path, plan: RoundPlan) -> dict[int, list[bytes]]:
    """The lines that the writers of the first processes mean to write, by writer."""
    (tmp_path / "history").mkdir(parents=True)
    return {
        writer.writer: list(map(canonical_line, draw_lines(tmp_path, plan, process.run, writer)))
        for process in plan.processes[:3]
        for writer in process.writers
    }


def test_same_seed_draws_the_same(tmp_path: Path) -> None:
    again = draw_round(7, "plain", SIZE)
    assert again == PLAN
    assert _lines(tmp_path / "again", again) == _lines(tmp_path / "once", PLAN)


@pytest.mark.parametrize(("seed", "name"), [(8, "plain"), (7, "other")])
def test_other_seed_or_round_draws_other_events(tmp_path: Path, seed: int, name: str) -> None:
    other = _lines(tmp_path / "other", draw_round(seed, name, SIZE))
    once = _lines(tmp_path / "once", PLAN)
    assert not set(chain(*other.values())) & set(chain(*once.values()))


def test_writers_draw_different_events(tmp_path: Path) -> None:
    every = list(chain(*_lines(tmp_path, PLAN).values()))
    assert len(set(every)) == len(every)


def test_writers_are_numbered_without_gaps() -> None:
    plans = [*PLAN.runners, *(w for p in PLAN.processes for w in (*p.writers, *p.children))]
    assert [plan.writer for plan in plans] == list(range(len(plans)))


def test_a_third_each_is_spawned_forked_and_forked_by_a_server() -> None:
    assert Counter(process.start for process in OURS) == dict.fromkeys(Start, 8)


def test_some_are_durable_some_impatient_and_half_of_the_rest_use_a_passed_handle() -> None:
    assert Counter(process.durable for process in OURS)[True] == 3
    assert Counter(process.lock_timeout_s for process in OURS) == {5: 18, 0: 3, 0.05: 3}
    usual = [each for each in OURS if each.lock_timeout_s == 5 and not each.durable]
    assert {each.handle for each in usual} == set(Handle)


def test_processes_have_one_to_so_many_threads() -> None:
    assert Counter(len(process.writers) for process in OURS) == {1: 8, 2: 8, 3: 8}


def test_half_of_the_writers_are_flat_out() -> None:
    pauses = [w.pause_s for p in OURS if not p.durable for w in p.writers]
    assert 0.4 < sum(not pause for pause in pauses) / len(pauses) < 0.6


def test_the_shell_and_each_command_have_a_process() -> None:
    plan = draw_round(7, "plain", SIZE, foreign=[SHELL, ("perl", "x.pl")])
    assert [p.foreign for p in plan.processes if p.foreign] == [SHELL, ("perl", "x.pl")]


def test_only_the_fault_fork_has_children() -> None:
    assert not any(process.children for process in PLAN.processes)
    forking = draw_round(7, "fork", SIZE, faults=["fork"])
    assert all(process.children for process in forking.processes if not process.foreign)


def test_every_writer_has_short_lines_and_lines_of_up_to_1_mib(tmp_path: Path) -> None:
    for lines in _lines(tmp_path, PLAN).values():
        sizes = sorted(map(len, lines))
        assert sizes[0] < 200
        assert sizes[len(sizes) // 2] < 1024
        assert any(4096 < size < 65536 for size in sizes)
        assert 256 * 1024 < sizes[-1] <= 1024 * 1024


def test_calls_cover_all_events_and_go_on_where_they_stopped() -> None:
    writers = [w for p in PLAN.processes for w in p.writers]
    assert {writer.batch for writer in writers} == {1, 8}
    for writer in writers:
        calls = list(draw_calls(PLAN, writer, 0))
        covered = [seq for first, n in calls for seq in range(first, first + n)]
        assert covered == list(range(writer.events))
        middle = len(calls) // 2
        assert list(draw_calls(PLAN, writer, calls[middle][0])) == calls[middle:]


def test_expected_lines_are_what_the_encoder_writes(tmp_path: Path) -> None:
    """Two independent implementations agree, for all types of events."""
    (tmp_path / "history").mkdir()
    types = set()
    for process in PLAN.processes[:3]:
        for writer in process.writers:
            for record in draw_lines(tmp_path, PLAN, process.run, writer):
                event = event_of(record)
                assert encode(event) == canonical_line(record)
                assert record_of(event) == record
                types.add(event.type)
    assert len(types) == 8


def test_a_round_that_is_run_again_takes_longer() -> None:
    again = draw_longer(PLAN, 2)
    assert (again.name, again.seconds) == ("plain.2", 2 * PLAN.seconds)
    assert again.events == PLAN.events
    before = [each.pause_s for process in PLAN.processes for each in process.writers]
    after = [each.pause_s for process in again.processes for each in process.writers]
    assert after == [2 * pause_s for pause_s in before]


def test_a_tagged_line_is_what_json_makes_of_its_record() -> None:
    records = list(draw_tagged(Random(1), "run", 3, 50, 50_000))
    sizes = [len(tagged_line(record)) for record in records]
    assert 49_900 < max(sizes) <= 50_000
    assert min(sizes) >= 60
    for record in records:
        assert tagged_line(record) == canonical_line(record)
        assert tagged_line(record, spaced=True) == f"{json.dumps(record)}\n".encode()


def test_messages_are_not_events_and_are_read_back_as_they_were_written() -> None:
    messages = list(draw_messages(Random(1), "run", 3, 200, 100_000))
    assert len({tuple(message)[1:] for message in messages}) > 2
    for message in messages:
        assert "type" not in message
        assert encode_object(message) + b"\n" == canonical_line(message)
        assert decode_object(canonical_line(message)) == message
