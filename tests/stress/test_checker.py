# SPDX-License-Identifier: MIT
"""The checker against hand-made histories: one test for each kind of violation it must find."""

import subprocess
import sys
from pathlib import Path

import pytest

from stress.checker import HistoryError, Kind, Verdict, check
from stress.evidence import evidence, hexdump

from .histories import Call, MadeUp, line, snapshot

ACKNOWLEDGED, REFUSED, TIMED_OUT = "acknowledged", "refused", "timed out"
INDETERMINATE = "indeterminate"
A0, B0, A1, B1 = line(1, 0), line(2, 0), line(1, 1), line(2, 1)


def test_sound_history_is_not_accused(tmp_path: Path) -> None:
    verdict = MadeUp(
        snapshots=[snapshot(1, 2, b""), snapshot(26, 29, A0 + B0), snapshot(50, 60, A0 + B0 + A1)]
    )
    verdict.snapshots[2] = snapshot(50, 60, A0 + B0 + A1 + B1)
    found = verdict.check(tmp_path)
    assert not found.counts
    assert (found.events, found.snapshots, found.met) == (4, 3, 2)


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
    assert verdict.violations[0].spans == ((0, len(A0)), (at, at + len(A0)))


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
    """A0 had returned at 20 when B1 was called at 35, but B1 stands above it."""
    verdict = MadeUp(log=B0 + B1 + A0 + A1).check(tmp_path)
    assert verdict.counts == {Kind.REAL_TIME: 1}
    assert verdict.violations[0].attempts == ((1, 0), (2, 1))


def test_no_order_follows_from_an_append_that_was_not_acknowledged(tmp_path: Path) -> None:
    made = MadeUp(log=B0 + B1 + A0 + A1)
    made.calls[1][0] = (10, 20, INDETERMINATE)
    assert not made.kinds(tmp_path)


@pytest.mark.parametrize("foreign", [b'{"type":"x"}\n', b"[]\n", b"17\n", line(3, 0), line(1, 9)])
def test_foreign_line(tmp_path: Path, foreign: bytes) -> None:
    assert MadeUp(log=A0 + foreign + B0 + A1 + B1).kinds(tmp_path) == {Kind.FOREIGN: 1}


@pytest.mark.parametrize("foreign", [b"\0\0\0\n", b"\xff\n", b"{}{}\n", b"[" * 100_000 + b"\n"])
def test_foreign_bytes(tmp_path: Path, foreign: bytes) -> None:
    assert MadeUp(log=A0 + foreign + B0 + A1 + B1).kinds(tmp_path) == {Kind.NOT_JSON: 1}


def test_blank_line(tmp_path: Path) -> None:
    assert MadeUp(log=A0 + b"\n" + B0 + A1 + B1).kinds(tmp_path) == {Kind.BLANK: 1}


def test_torn_line(tmp_path: Path) -> None:
    """The first half of A0, then B0 on the same line: neither is there, and both are named."""
    made = MadeUp(log=A0[:60] + B0 + A1 + B1)
    verdict = made.check(tmp_path)
    assert verdict.counts == {Kind.NOT_JSON: 1, Kind.MISSING: 2}
    assert verdict.violations[0].attempts == ((1, 0), (2, 0))
    assert verdict.violations[0].focus == 60


def test_altered_byte(tmp_path: Path) -> None:
    verdict = MadeUp(log=A0 + B0.replace(b"reason", b"season") + A1 + B1).check(tmp_path)
    assert verdict.counts == {Kind.ALTERED: 1}
    assert verdict.violations[0].focus == len(A0) + B0.index(b"reason")


def test_altered_spelling_of_the_same_json(tmp_path: Path) -> None:
    made = MadeUp(log=A0 + B0.replace(b'":', b'": ') + A1 + B1)
    assert made.kinds(tmp_path) == {Kind.ALTERED: 1}


def test_unterminated_tail(tmp_path: Path) -> None:
    assert MadeUp(log=A0 + B0 + A1 + B1[:-1]).kinds(tmp_path) == {
        Kind.UNTERMINATED: 1,
        Kind.MISSING: 1,
    }


def test_tail_of_a_writer_that_was_killed_amid_its_append(tmp_path: Path) -> None:
    made = MadeUp(log=A0 + B0 + A1 + B1[:30], exits={"writer-002": -9})
    made.calls[2][1] = (35, None, "")
    assert not made.check(tmp_path, interrupted=True).counts


def test_tail_that_is_not_of_the_writer_that_was_killed(tmp_path: Path) -> None:
    made = MadeUp(log=A0 + B0 + A1 + b"garbage", exits={"writer-002": -9})
    made.calls[2][1] = (35, None, "")
    assert made.check(tmp_path, interrupted=True).counts == {Kind.UNTERMINATED: 1}


def test_quarantine(tmp_path: Path) -> None:
    made = MadeUp(beside={"events.jsonl.torn": A0[:9] + b"\n"})
    assert made.kinds(tmp_path) == {Kind.QUARANTINE: 1}


def test_litter(tmp_path: Path) -> None:
    assert MadeUp(beside={"events.jsonl.lock": b""}).kinds(tmp_path) == {Kind.LITTER: 1}


def test_failed_process(tmp_path: Path) -> None:
    made = MadeUp(exits={"writer-002": 1, "reader-000": -11, "reader-001": None})
    assert made.kinds(tmp_path) == {Kind.EXIT: 3}


def test_writer_that_stopped_early(tmp_path: Path) -> None:
    made = MadeUp(meant={1: A0 + A1 + line(1, 2)})
    assert made.kinds(tmp_path) == {Kind.UNFINISHED: 1}


def test_writer_may_stop_early_when_interrupted(tmp_path: Path) -> None:
    made = MadeUp(meant={1: A0 + A1 + line(1, 2)})
    assert not made.check(tmp_path, interrupted=True).counts


def test_event_that_was_never_appended(tmp_path: Path) -> None:
    """The writer meant to append it, but did not get to it: and yet it is there."""
    made = MadeUp(meant={1: A0 + A1 + line(1, 2)}, log=A0 + B0 + A1 + B1 + line(1, 2))
    verdict = made.check(tmp_path, interrupted=True)
    assert verdict.counts == {Kind.REFUSED_BUT_WRITTEN: 1}


def test_exit_in_the_middle_of_an_append(tmp_path: Path) -> None:
    made = MadeUp()
    made.calls[2][1] = (35, None, "")
    assert made.kinds(tmp_path) == {Kind.UNFINISHED: 1}


def test_snapshot_that_raised(tmp_path: Path) -> None:
    made = MadeUp(snapshots=[{"begin_ns": 1, "end_ns": 2, "error": "DeserializeError('no')"}])
    assert made.kinds(tmp_path) == {Kind.SNAPSHOT_RAISED: 1}


def test_snapshot_of_other_lines(tmp_path: Path) -> None:
    made = MadeUp(snapshots=[snapshot(26, 29, B0 + A0)])
    assert made.kinds(tmp_path) == {Kind.SNAPSHOT_NO_PREFIX: 1}


def test_snapshot_longer_than_the_final_log(tmp_path: Path) -> None:
    made = MadeUp(snapshots=[snapshot(50, 60, A0 + B0 + A1 + B1 + A0)])
    assert made.kinds(tmp_path) == {Kind.SNAPSHOT_NO_PREFIX: 1}


def test_snapshot_without_what_was_acknowledged_before(tmp_path: Path) -> None:
    """B0 had returned at 25, when the snapshot began at 26."""
    made = MadeUp(snapshots=[snapshot(24, 60, A0), snapshot(26, 60, A0)])
    verdict = made.check(tmp_path)
    assert verdict.counts == {Kind.SNAPSHOT_STALE: 1}
    assert verdict.violations[0].attempts == ((2, 0),)


def test_snapshot_with_what_was_not_yet_appended(tmp_path: Path) -> None:
    """A1 was called at 30, when the snapshot had ended at 29."""
    made = MadeUp(snapshots=[snapshot(1, 31, A0 + B0 + A1), snapshot(1, 29, A0 + B0 + A1)])
    verdict = made.check(tmp_path)
    assert verdict.counts == {Kind.SNAPSHOT_EARLY: 1}
    assert verdict.violations[0].attempts == ((1, 1),)


def test_file_that_grows_while_it_is_judged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody should be writing any more: so the size is asked for after all lines were read."""

    def grow(verdict: Verdict, *_: object) -> None:
        with verdict.log.open("ab") as file:
            file.write(b"x")

    monkeypatch.setattr("stress.checker._check_freshness", grow)
    assert MadeUp().kinds(tmp_path) == {Kind.SIZE: 1}


def test_difference_of_a_snapshot_is_narrowed_down(tmp_path: Path) -> None:
    lines = [line(1, seq) for seq in range(600)]
    calls: list[Call] = [(2 * seq, 2 * seq + 1, ACKNOWLEDGED) for seq in range(600)]
    seen = [*lines[:300], line(1, 300, "changed since"), *lines[301:]]
    verdict = MadeUp(
        calls={1: calls}, log=b"".join(lines), snapshots=[snapshot(0, 5000, b"".join(seen))]
    ).check(tmp_path)
    assert verdict.counts == {Kind.SNAPSHOT_NO_PREFIX: 1}
    assert "lines 257 to 512" in verdict.violations[0].what


def test_few_of_a_kind_are_kept_and_all_are_counted(tmp_path: Path) -> None:
    calls: list[Call] = [(2 * seq, 2 * seq + 1, ACKNOWLEDGED) for seq in range(50)]
    verdict = MadeUp(calls={1: calls}, log=b"").check(tmp_path)
    assert verdict.counts == {Kind.MISSING: 50}
    assert len(verdict.violations) == 3


def test_history_that_is_none(tmp_path: Path) -> None:
    MadeUp().check(tmp_path)
    (tmp_path / "history" / "writer-001.receipts").write_text('{"seq":1,"begin_ns":5}\n')
    with pytest.raises(HistoryError, match="append 1 follows -1"):
        check(tmp_path)


def test_evidence_shows_events_receipts_and_bytes(tmp_path: Path) -> None:
    verdict = MadeUp(log=A0[:60] + B0 + A1 + B1).check(tmp_path)
    text = evidence(verdict, verdict.violations[0])
    assert f"bytes 0 to {60 + len(B0)}" in text
    assert "append 0 of writer-001" in text
    assert "called at 15 ns, returned at 25 ns, acknowledged" in text
    [row] = [row for row in text.splitlines() if row.startswith("  > ")]
    assert row.startswith("  > 00000030  ")  # byte 60 is in the row of 0x30
    assert '{"' in row.rpartition("|")[0]  # where B0 begins


def test_hexdump_stops_at_both_ends() -> None:
    assert list(hexdump(b"ab\n", 1)) == [f"  > 00000000  {'61 62 0a':47}  |ab.|"]


def test_checker_shares_no_code_with_omnelog() -> None:
    code = "import sys; sys.modules['omnelog'] = None; import stress.checker, stress.evidence"
    root = Path(__file__).parents[2]
    subprocess.run([sys.executable, "-c", code], cwd=root, check=True)
