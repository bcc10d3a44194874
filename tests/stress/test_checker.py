# SPDX-License-Identifier: MIT
"""The checker on hand-made histories. It has to find each kind of violation."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from stress.checker import check
from stress.evidence import Evidence, EvidenceError, load
from stress.violations import Kind, hexdump, violation_text

from ..documents import PROJECT
from .made_up_rounds import Call, MadeUp, line, look

ACKNOWLEDGED, REFUSED, TIMED_OUT = "acknowledged", "refused", "timed out"
INDETERMINATE = "indeterminate"
A0, B0, A1, B1 = line(1, 0), line(2, 0), line(1, 1), line(2, 1)


def test_sound_history_is_not_accused(tmp_path: Path) -> None:
    whole = A0 + B0 + A1 + B1
    verdict = MadeUp(
        snapshots=[look(1, 2, b""), look(26, 29, A0 + B0), look(50, 60, whole)],
        followed=[look(1, 60, whole)],
    ).check(tmp_path)
    assert not verdict.counts
    assert (verdict.events, verdict.met) == (4, 2)


def test_concurrent_appends_may_stand_in_either_order(tmp_path: Path) -> None:
    assert not MadeUp(log=B0 + A0 + B1 + A1).kinds(tmp_path)


def test_missing_acknowledged_event(tmp_path: Path) -> None:
    assert MadeUp(log=A0 + A1 + B1).kinds(tmp_path) == {Kind.MISSING: 1}


def test_missing_last_event(tmp_path: Path) -> None:
    assert MadeUp(log=A0 + B0 + A1).kinds(tmp_path) == {Kind.MISSING: 1}


def test_empty_log_misses_everything(tmp_path: Path) -> None:
    assert MadeUp(log=b"").kinds(tmp_path) == {Kind.MISSING: 4}


def test_duplicate(tmp_path: Path) -> None:
    verdict = MadeUp(log=A0 + B0 + A0 + A1 + B1).check(tmp_path)
    assert verdict.counts == {Kind.DUPLICATE: 1}
    at = len(A0 + B0)
    assert verdict.violations[0].spans == ((0, 0, len(A0)), (0, at, at + len(A0)))


@pytest.mark.parametrize("outcome", [REFUSED, TIMED_OUT])
def test_refused_event_in_the_log(tmp_path: Path, outcome: str) -> None:
    made = MadeUp()
    made.calls[2][1] = (35, 45, outcome)
    assert made.kinds(tmp_path) == {Kind.REFUSED_BUT_WRITTEN: 1}


@pytest.mark.parametrize("outcome", [REFUSED, TIMED_OUT, INDETERMINATE])
def test_what_was_not_acknowledged_may_be_absent(tmp_path: Path, outcome: str) -> None:
    made = MadeUp(log=A0 + B0 + A1)
    made.calls[2][1] = (35, 45, outcome)
    assert not made.kinds(tmp_path)


def test_indeterminate_event_may_be_there_once(tmp_path: Path) -> None:
    made = MadeUp()
    made.calls[2][1] = (35, 45, INDETERMINATE)
    assert not made.kinds(tmp_path)


def test_indeterminate_event_may_not_be_there_twice(tmp_path: Path) -> None:
    made = MadeUp(log=A0 + B0 + A1 + B1 + B1)
    made.calls[2][1] = (35, 45, INDETERMINATE)
    assert made.kinds(tmp_path) == {Kind.DUPLICATE: 1}


def test_reordered_within_a_writer(tmp_path: Path) -> None:
    made = MadeUp(log=A1 + A0, calls={1: [(10, 20, ACKNOWLEDGED), (20, 30, ACKNOWLEDGED)]})
    assert made.kinds(tmp_path) == {Kind.REORDERED: 1}


def test_real_time_order_broken(tmp_path: Path) -> None:
    """A0 had returned at 20, before B1 was called at 35, but B1 comes first in the log."""
    verdict = MadeUp(log=B0 + B1 + A0 + A1).check(tmp_path)
    assert verdict.counts == {Kind.REAL_TIME: 1}
    assert verdict.violations[0].attempts == ((1, 0), (2, 1))


def test_real_time_order_holds_for_what_is_indeterminate(tmp_path: Path) -> None:
    """An indeterminate append has written its event, if at all, by the time it returns."""
    made = MadeUp(log=B0 + B1 + A0 + A1)
    made.calls[1][0] = (10, 20, INDETERMINATE)
    assert made.kinds(tmp_path) == {Kind.REAL_TIME: 1}


def test_real_time_order_holds_for_a_killed_writer(tmp_path: Path) -> None:
    """The writer of A0 was killed, and started again at 30, before B1 was called."""
    made = MadeUp(log=B0 + B1 + A0 + A1, deaths={1: [25]}, resumed={(1, 0): 30})
    made.calls[1][0] = (10, None, "")
    assert made.kinds(tmp_path) == {Kind.REAL_TIME: 1}


@pytest.mark.parametrize("foreign", [b'{"type":"x"}\n', b"[]\n", b"17\n", line(3, 0), line(1, 9)])
def test_foreign_line(tmp_path: Path, foreign: bytes) -> None:
    assert MadeUp(log=A0 + foreign + B0 + A1 + B1).kinds(tmp_path) == {Kind.FOREIGN: 1}


@pytest.mark.parametrize("foreign", [b"\0\0\0\n", b"\xff\n", b"{}{}\n", b"[" * 100_000 + b"\n"])
def test_foreign_bytes(tmp_path: Path, foreign: bytes) -> None:
    assert MadeUp(log=A0 + foreign + B0 + A1 + B1).kinds(tmp_path) == {Kind.NOT_JSON: 1}


def test_blank_line(tmp_path: Path) -> None:
    assert MadeUp(log=A0 + b"\n" + B0 + A1 + B1).kinds(tmp_path) == {Kind.BLANK: 1}


def test_torn_line(tmp_path: Path) -> None:
    """The first half of A0, then B0 on the same line: both are missing, and both are named."""
    made = MadeUp(log=A0[:60] + B0 + A1 + B1)
    verdict = made.check(tmp_path)
    assert verdict.counts == {Kind.NOT_JSON: 1, Kind.MISSING: 2}
    assert verdict.violations[0].attempts == ((1, 0), (2, 0))
    assert verdict.violations[0].focus == (0, 60)


def test_altered_byte(tmp_path: Path) -> None:
    verdict = MadeUp(log=A0 + B0.replace(b"reason", b"season") + A1 + B1).check(tmp_path)
    assert verdict.counts == {Kind.ALTERED: 1}
    same, size = B0.index(b"reason"), len(B0)
    assert verdict.violations[0].focus == (0, len(A0) + same)
    assert verdict.violations[0].what == (
        f"line 2 has {size} bytes; the first {same} are correct, then "
        f"{B0[same : same + 16]!r} was expected; the correct line has {size} bytes"
    )


def test_altered_spelling_of_the_same_json(tmp_path: Path) -> None:
    made = MadeUp(log=A0 + B0.replace(b'":', b'": ') + A1 + B1)
    assert made.kinds(tmp_path) == {Kind.ALTERED: 1}


def test_unterminated_tail(tmp_path: Path) -> None:
    assert MadeUp(log=A0 + B0 + A1 + B1[:-1]).kinds(tmp_path) == {
        Kind.UNTERMINATED: 1,
        Kind.MISSING: 1,
    }


def killed(log: bytes, **others: Any) -> MadeUp:
    """A round in which writer 2 was killed during its second append, and not started again."""
    made = MadeUp(log=log, deaths={2: [40]}, meant={2: B0 + B1}, **others)
    made.calls[2][1] = (35, None, "")
    return made


def test_event_of_a_killed_writer_may_be_there(tmp_path: Path) -> None:
    assert not killed(A0 + B0 + A1 + B1).kinds(tmp_path)


def test_event_of_a_killed_writer_may_be_absent(tmp_path: Path) -> None:
    assert not killed(A0 + B0 + A1).kinds(tmp_path)


def test_event_of_a_killed_writer_may_not_be_there_twice(tmp_path: Path) -> None:
    assert killed(A0 + B0 + A1 + B1 + B1).kinds(tmp_path) == {Kind.DUPLICATE: 1}


def test_tail_of_a_writer_that_was_killed(tmp_path: Path) -> None:
    assert not killed(A0 + B0 + A1 + B1[:30]).kinds(tmp_path)


def test_tail_that_is_not_of_the_writer_that_was_killed(tmp_path: Path) -> None:
    assert killed(A0 + B0 + A1 + b"garbage").kinds(tmp_path) == {Kind.UNTERMINATED: 1}


def test_fragment_of_a_writer_that_was_killed(tmp_path: Path) -> None:
    made = killed(A0 + B0 + A1, beside={"events.jsonl.torn": B1[:70] + b"\n"})
    verdict = made.check(tmp_path)
    assert not verdict.counts
    assert verdict.fragments == 1


def test_copy_that_was_cut_short_counts_like_a_whole_one(tmp_path: Path) -> None:
    """The writer that was moving the tail was killed, and no writer appended after that."""
    verdict = killed(A0 + B0 + A1, beside={"events.jsonl.torn": B1[:70]}).check(tmp_path)
    assert not verdict.counts
    assert verdict.fragments == 1


@pytest.mark.parametrize(("interrupted", "found"), [(False, {Kind.QUARANTINE: 1}), (True, {})])
def test_copy_that_was_cut_short_and_that_no_killed_writer_left(
    tmp_path: Path, *, interrupted: bool, found: dict[Kind, int]
) -> None:
    """After an interrupt such a copy is not reported, because any writer may have made it."""
    made = killed(A0 + B0 + A1, beside={"events.jsonl.torn": A0[:9] + b"x"})
    assert dict(made.check(tmp_path, interrupted=interrupted).counts) == found


@pytest.mark.parametrize(("line", "found"), [(B1[:70] + A1[:60], 0), (B1[:70] + A0[:60], 1)])
def test_two_tails_on_one_line_of_the_quarantine_that_two_logs_share(
    tmp_path: Path, line: bytes, found: int
) -> None:
    """The two logs have different locks, so two tails may be copied to one line."""
    made = replaced(A0, B0, deaths={1: [40], 2: [40]}, meant={1: A0 + A1, 2: B0 + B1})
    made.beside = {"events.jsonl.torn": line + b"\n"}
    for calls in made.calls.values():
        calls[1] = (35, None, "")
    assert made.kinds(tmp_path).get(Kind.QUARANTINE, 0) == found


@pytest.mark.parametrize(
    "torn",
    [
        A0[:9] + b"x\n",
        B1[:70] + A1[:20] + b"\n",
        b"\n",
        B0[:60] + b"\n",  # of that writer, but not of the line that it was writing
        B1[:70] + b"\n" + B1[:70] + b"\n",  # two fragments, but one death
    ],
)
def test_fragment_that_no_killed_writer_left(tmp_path: Path, torn: bytes) -> None:
    made = killed(A0 + B0 + A1, beside={"events.jsonl.torn": torn})
    assert made.kinds(tmp_path) == {Kind.QUARANTINE: 1}


def test_fragment_when_nobody_was_killed(tmp_path: Path) -> None:
    found = MadeUp(beside={"events.jsonl.torn": A0[:9] + b"\n"}).kinds(tmp_path)
    assert found == {Kind.QUARANTINE: 2}  # no killed writer left it, and nobody was killed


def test_death_that_nobody_caused(tmp_path: Path) -> None:
    made = MadeUp(log=A0 + B0 + A1)
    made.calls[2][1] = (35, None, "")
    assert made.kinds(tmp_path) == {Kind.DEATH: 1}


def test_writer_that_was_resumed_more_often_than_killed(tmp_path: Path) -> None:
    made = MadeUp(deaths={1: [21]}, resumed={(1, 0): 25, (1, 1): 50})
    assert made.kinds(tmp_path) == {Kind.DEATH: 1}


def test_a_file_that_should_not_be_there(tmp_path: Path) -> None:
    assert MadeUp(beside={"events.jsonl.lock": b""}).kinds(tmp_path) == {Kind.LITTER: 1}


def test_failed_process(tmp_path: Path) -> None:
    made = MadeUp(exits={"writer-002": 1, "reader-000": -11, "reader-001": None})
    assert made.kinds(tmp_path) == {Kind.EXIT: 3}


def test_writer_that_stopped_early(tmp_path: Path) -> None:
    made = MadeUp(meant={1: A0 + A1 + line(1, 2)})
    assert made.kinds(tmp_path) == {Kind.UNFINISHED: 1}


@pytest.mark.parametrize(("code", "count"), [(-9, 0), (-11, 1), (-15, 1), (1, 1), (None, 0)])
def test_a_crash_is_noticed_although_the_round_was_interrupted(
    tmp_path: Path, code: int | None, count: int
) -> None:
    """A process that was killed, or that hung, may have been ended by the interrupt."""
    made = MadeUp(exits={"process-001": code})
    assert made.check(tmp_path, interrupted=True).counts[Kind.EXIT] == count


def test_writer_may_stop_early_when_interrupted(tmp_path: Path) -> None:
    made = MadeUp(meant={1: A0 + A1 + line(1, 2)})
    assert not made.check(tmp_path, interrupted=True).counts


def test_event_that_was_never_appended(tmp_path: Path) -> None:
    """The writer never called an append of the event, but the event is in the log."""
    made = MadeUp(meant={1: A0 + A1 + line(1, 2)}, log=A0 + B0 + A1 + B1 + line(1, 2))
    verdict = made.check(tmp_path, interrupted=True)
    assert verdict.counts == {Kind.REFUSED_BUT_WRITTEN: 1}


def test_forked_child_may_be_unborn_if_its_parent_was_killed(tmp_path: Path) -> None:
    made = MadeUp(log=A0 + A1, forked={2}, unborn={2}, meant={2: B0}, deaths={2: [12]})
    assert not made.kinds(tmp_path)


def test_forked_child_is_born_if_its_parent_lives(tmp_path: Path) -> None:
    made = MadeUp(log=A0 + A1, forked={2}, unborn={2}, meant={2: B0})
    assert made.kinds(tmp_path) == {Kind.UNFINISHED: 1}


def test_changed_bystander(tmp_path: Path) -> None:
    assert MadeUp(bystander=b"as it is").kinds(tmp_path) == {Kind.BYSTANDER: 1}


# ---- batches ----

A2 = line(1, 2)


def batch(log: bytes, outcome: str = ACKNOWLEDGED, appended: int = 0) -> MadeUp:
    """A round in which writer 1 appends three events at once, and writer 2 appends two."""
    calls: dict[int, list[Call]] = {
        1: [(10, 40, outcome)],
        2: [(15, 25, ACKNOWLEDGED), (35, 45, ACKNOWLEDGED)],
    }
    return MadeUp(calls, log, {1: [3]}, {(1, 0): appended} if appended else {})


@pytest.mark.parametrize("log", [A0 + A1 + A2 + B0 + B1, B0 + A0 + A1 + A2 + B1])
def test_batch_in_one_piece(tmp_path: Path, log: bytes) -> None:
    assert not batch(log).kinds(tmp_path)


@pytest.mark.parametrize("log", [A0 + B0 + A1 + A2 + B1, A0 + A1 + B0 + B1 + A2])
def test_batch_that_is_torn_apart(tmp_path: Path, log: bytes) -> None:
    assert batch(log).kinds(tmp_path) == {Kind.SPLIT: 1}


def test_batch_in_another_order(tmp_path: Path) -> None:
    found = batch(A1 + A0 + A2 + B0 + B1).kinds(tmp_path)
    assert found == {Kind.SPLIT: 1, Kind.REORDERED: 1}


def test_batch_without_its_middle(tmp_path: Path) -> None:
    found = batch(A0 + A2 + B0 + B1).kinds(tmp_path)
    assert found == {Kind.SPLIT: 1, Kind.MISSING: 1}


@pytest.mark.parametrize("outcome", [REFUSED, INDETERMINATE])
def test_batch_of_which_the_first_stand(tmp_path: Path, outcome: str) -> None:
    assert not batch(A0 + A1 + B0 + B1, outcome, appended=2).kinds(tmp_path)


@pytest.mark.parametrize("outcome", [REFUSED, INDETERMINATE])
def test_batch_of_which_fewer_stand_than_was_said(tmp_path: Path, outcome: str) -> None:
    verdict = batch(A0 + B0 + B1, outcome, appended=2).check(tmp_path)
    assert verdict.counts == {Kind.MISCOUNTED: 1}
    said = f"{outcome}: the error says that the log has 2 of 3 events, but it has 1"
    assert verdict.violations[0].what == f"event 0 of writer-001: {said}"


def test_batch_of_which_more_stand_than_was_said(tmp_path: Path) -> None:
    made = batch(A0 + A1 + B0 + B1, REFUSED, appended=1)
    assert made.kinds(tmp_path) == {Kind.MISCOUNTED: 1}


def test_batch_of_which_the_last_stand(tmp_path: Path) -> None:
    assert batch(A1 + A2 + B0 + B1, INDETERMINATE).kinds(tmp_path) == {Kind.SPLIT: 1}


# ---- logs that were replaced ----

S = 1_000_000_000  # ns


def replaced(first: bytes, second: bytes, **others: Any) -> MadeUp:
    """A round in which the log `first` was moved away at 50 to 60 ns, and `second` was begun."""
    return MadeUp(log=second, moved=[(first, 50, 60)], **others)


def test_union_of_the_logs_counts(tmp_path: Path) -> None:
    verdict = replaced(A0 + B0, A1 + B1).check(tmp_path)
    assert not verdict.counts
    assert verdict.events == 4


def test_no_order_holds_between_the_logs(tmp_path: Path) -> None:
    made = replaced(B0 + B1, A0 + A1)
    assert not made.kinds(tmp_path)


def test_writer_that_goes_back_to_the_old_log(tmp_path: Path) -> None:
    assert replaced(B0 + A1, A0 + B1).kinds(tmp_path) == {Kind.REORDERED: 1}


def test_event_in_both_logs(tmp_path: Path) -> None:
    verdict = replaced(A0 + B0, A1 + B0 + B1).check(tmp_path)
    assert verdict.counts == {Kind.DUPLICATE: 1}
    assert [span[0] for span in verdict.violations[0].spans] == [0, 1]


@pytest.mark.parametrize(("begin_ns", "found"), [(S, {}), (2 * S, {Kind.LEFT_BEHIND: 1})])
def test_event_in_a_log_that_has_left(
    tmp_path: Path, begin_ns: int, found: dict[Kind, int]
) -> None:
    made = replaced(A0 + B0 + B1, A1)
    made.calls[2][1] = (begin_ns, begin_ns + 5, ACKNOWLEDGED)
    assert made.kinds(tmp_path) == found


def test_snapshot_of_either_log(tmp_path: Path) -> None:
    seen = [look(46, 55, A0 + B0), look(55, 70, A1 + B1), look(70, 80, A1 + B1)]
    assert not replaced(A0 + B0, A1 + B1, snapshots=seen).kinds(tmp_path)


def test_snapshot_of_a_log_that_has_left(tmp_path: Path) -> None:
    made = replaced(A0 + B0, A1 + B1, snapshots=[look(61, 70, A0 + B0)])
    assert made.kinds(tmp_path) == {Kind.SNAPSHOT_STALE: 1}


def test_follower_goes_on_with_the_next_log(tmp_path: Path) -> None:
    made = replaced(A0 + B0, A1 + B1, followed=[look(1, 90, A0 + B0 + A1 + B1)])
    assert not made.kinds(tmp_path)


def test_follower_that_stays_with_the_old_log(tmp_path: Path) -> None:
    made = replaced(A0 + B0, A1 + B1, followed=[look(1, 90, A0 + B0)])
    assert made.kinds(tmp_path) == {Kind.FOLLOWER_DIFFERS: 1}


def absent(begin_ns: int) -> dict[str, Any]:
    about = {"error": "LogIOError: no such file", "reason": "absent"}
    return {"run": 0, "begin_ns": begin_ns, "end_ns": begin_ns + 5, **about}


@pytest.mark.parametrize(("begin_ns", "found"), [(55, {}), (3 * S, {Kind.SNAPSHOT_RAISED: 1})])
def test_snapshot_without_a_log(tmp_path: Path, begin_ns: int, found: dict[Kind, int]) -> None:
    made = replaced(A0 + B0, A1 + B1, snapshots=[absent(begin_ns)])
    assert made.kinds(tmp_path) == found


def test_snapshot_without_a_log_that_was_never_moved(tmp_path: Path) -> None:
    assert MadeUp(snapshots=[absent(55)]).kinds(tmp_path) == {Kind.SNAPSHOT_RAISED: 1}


# ---- readers ----


@pytest.mark.parametrize("seen", [A0 + B0 + A1, A0 + B0 + A1 + B1 + B1, A0 + A1 + B0 + B1, b""])
def test_follower_that_saw_something_else(tmp_path: Path, seen: bytes) -> None:
    made = MadeUp(followed=[look(1, 90, seen)])
    assert made.kinds(tmp_path) == {Kind.FOLLOWER_DIFFERS: 1}


@pytest.mark.parametrize(
    ("seen", "message"),
    [
        (A0 + A1 + B0 + B1, "differs from the log for the first time in lines 1 to 4"),
        (A0 + B0 + A1, "saw 3 lines of 4"),
    ],
)
def test_what_a_follower_saw_instead_is_said(tmp_path: Path, seen: bytes, message: str) -> None:
    [violation] = MadeUp(followed=[look(1, 90, seen)]).check(tmp_path).violations
    assert message in violation.what


def test_follower_that_raised(tmp_path: Path) -> None:
    said = look(1, 90, A0) | {"error": "LogIOError('no')", "reason": None}
    assert MadeUp(followed=[said]).kinds(tmp_path) == {Kind.FOLLOWER_RAISED: 1}


@pytest.mark.parametrize(("end_ns", "found"), [(41, {}), (39, {Kind.SNAPSHOT_RAISED: 1})])
def test_torn_tail_only_after_a_death(tmp_path: Path, end_ns: int, found: dict[Kind, int]) -> None:
    torn = {"run": 0, "begin_ns": 1, "end_ns": end_ns, "error": "TornTailError", "reason": "torn"}
    assert killed(A0 + B0 + A1, snapshots=[torn]).kinds(tmp_path) == found


def test_snapshot_with_a_tail_that_lacks_its_newline(tmp_path: Path) -> None:
    """The writer of the tail was killed, and no append followed."""
    made = killed(A0 + B0 + A1 + B1[:-1], snapshots=[look(41, 60, A0 + B0 + A1 + B1)])
    assert not made.kinds(tmp_path)


def test_snapshot_that_raised(tmp_path: Path) -> None:
    made = MadeUp(
        snapshots=[{"run": 0, "begin_ns": 1, "end_ns": 2, "error": "DeserializeError('no')"}]
    )
    assert made.kinds(tmp_path) == {Kind.SNAPSHOT_RAISED: 1}


def test_snapshot_of_other_lines(tmp_path: Path) -> None:
    made = MadeUp(snapshots=[look(26, 29, B0 + A0)])
    assert made.kinds(tmp_path) == {Kind.SNAPSHOT_NO_PREFIX: 1}


def test_snapshot_longer_than_the_final_log(tmp_path: Path) -> None:
    made = MadeUp(snapshots=[look(50, 60, A0 + B0 + A1 + B1 + A0)])
    assert made.kinds(tmp_path) == {Kind.SNAPSHOT_NO_PREFIX: 1}


def test_snapshot_without_what_was_acknowledged_before(tmp_path: Path) -> None:
    """B0 had returned at 25, before the snapshot began at 26."""
    made = MadeUp(snapshots=[look(24, 60, A0), look(26, 60, A0)])
    verdict = made.check(tmp_path)
    assert verdict.counts == {Kind.SNAPSHOT_STALE: 1}
    assert verdict.violations[0].attempts == ((2, 0),)


def test_snapshot_with_what_was_not_yet_appended(tmp_path: Path) -> None:
    """A1 was called at 30, after the snapshot had ended at 29."""
    made = MadeUp(snapshots=[look(1, 31, A0 + B0 + A1), look(1, 29, A0 + B0 + A1)])
    verdict = made.check(tmp_path)
    assert verdict.counts == {Kind.SNAPSHOT_EARLY: 1}
    assert verdict.violations[0].attempts == ((1, 1),)


def test_file_that_grows_while_it_is_judged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No process should be writing any more, so the size is read after all lines."""

    def load_and_grow(directory: Path) -> Evidence:
        said = load(directory)
        with said.files[0].path.open("ab") as file:
            file.write(b"x")
        return said

    monkeypatch.setattr("stress.checker.load", load_and_grow)
    assert MadeUp().kinds(tmp_path) == {Kind.SIZE: 1}


def test_difference_of_a_snapshot_is_narrowed_down(tmp_path: Path) -> None:
    lines = [line(1, seq) for seq in range(600)]
    calls: list[Call] = [(2 * seq, 2 * seq + 1, ACKNOWLEDGED) for seq in range(600)]
    seen = [*lines[:300], line(1, 300, "changed since"), *lines[301:]]
    verdict = MadeUp(
        calls={1: calls}, log=b"".join(lines), snapshots=[look(0, 5000, b"".join(seen))]
    ).check(tmp_path)
    assert verdict.counts == {Kind.SNAPSHOT_NO_PREFIX: 1}
    assert "lines 257 to 512" in verdict.violations[0].what


def test_few_of_a_kind_are_kept_and_all_are_counted(tmp_path: Path) -> None:
    calls: list[Call] = [(2 * seq, 2 * seq + 1, ACKNOWLEDGED) for seq in range(50)]
    verdict = MadeUp(calls={1: calls}, log=b"").check(tmp_path)
    assert verdict.counts == {Kind.MISSING: 50}
    assert len(verdict.violations) == 3


def test_history_that_cannot_be_read(tmp_path: Path) -> None:
    MadeUp().check(tmp_path)
    (tmp_path / "history" / "writer-001.receipts").write_text('{"seq":1,"n":1,"begin_ns":5}\n')
    with pytest.raises(EvidenceError, match="append of 1 follows that of -1"):
        check(tmp_path)


@pytest.mark.parametrize(
    "receipts",
    [
        [(0, "after")],
        [(0, "before"), (1, "after")],
        [(0, "before"), (0, "after"), (0, "after")],
        [(0, "before"), (1, "before"), (0, "after")],
        [(0, "before"), (0, "resumed"), (0, "after")],
    ],
)
def test_outcome_counts_only_for_the_append_that_was_under_way(
    tmp_path: Path, receipts: list[tuple[int, str]]
) -> None:
    """Otherwise an outcome could be taken for that of another append."""
    forms = {
        "before": '{"seq":%d,"n":1,"begin_ns":5}\n',
        "after": '{"seq":%d,"called_ns":6,"end_ns":7,"outcome":"acknowledged"}\n',
        "resumed": '{"resumed_ns":8%d}\n',
    }
    MadeUp().check(tmp_path)
    text = "".join(forms[form] % seq for seq, form in receipts)
    (tmp_path / "history" / "writer-001.receipts").write_text(text)
    with pytest.raises(EvidenceError, match=r"no append of \d was under way"):
        check(tmp_path)


def test_evidence_shows_events_receipts_and_bytes(tmp_path: Path) -> None:
    verdict = MadeUp(log=A0[:60] + B0 + A1 + B1).check(tmp_path)
    text = violation_text(verdict, verdict.violations[0])
    assert f"bytes 0 to {60 + len(B0)}" in text
    assert "event 0 of writer-001" in text
    assert "called at 15 ns\n    receipts: returned at 25 ns, acknowledged" in text
    assert "repeat with: python -m stress --seed 1" in text
    [row] = [row for row in text.splitlines() if row.startswith("  > ")]
    assert row.startswith("  > 00000030  ")  # byte 60 is in the row of 0x30
    assert '{"' in row.rpartition("|")[0]  # where B0 begins


def test_hexdump_stops_at_both_ends() -> None:
    assert list(hexdump(b"ab\n", 1)) == [f"  > 00000000  {'61 62 0a':47}  |ab.|"]


def test_checker_shares_no_code_with_omnelog() -> None:
    code = "import sys; sys.modules['omnelog'] = None; import stress.checker, stress.violations"
    subprocess.run([sys.executable, "-c", code], cwd=PROJECT, check=True)
