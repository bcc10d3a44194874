# SPDX-License-Identifier: MIT
"""The processes that read: one takes snapshots during the whole round, one follows all logs.

They report digests of what they read, as lines that `json` makes without omnelog's encoder.
"""

import json
import threading
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from threading import Event as Flag
from time import monotonic_ns, sleep
from typing import Any

from omnelog import TornTailError

from .logs import LOGS
from .payloads import Record, canonical_line
from .plan import RoundPlan
from .receipts import RunningDigest, history_path
from .workers import Gate, until_terminated

READER, FOLLOWER = "reader-000", "follower-000"
_REST = 1.0  # the pause after a snapshot, as a multiple of its time, so that writers do not starve
_SABOTAGE_REST_S = 0.05  # a sabotage is caught by what is in the log, not by what a reader sees


def read(directory: Path, plan: RoundPlan, gate: Gate) -> None:
    """Take snapshots of all runs in turn, the last ones after the writers have ended."""
    gate.close_others()
    path, take = history_path(directory, f"{READER}.snapshots"), LOGS[plan.log].read
    assert take is not None
    with until_terminated(directory, READER) as stop, path.open("w") as snapshots:
        gate.wait()
        over = False
        while not over and not stop:
            over = gate.is_over()  # before the snapshots, so that the last ones hold everything
            for run, run_id in enumerate(plan.run_ids):
                taken = _snapshot(partial(take, directory, run_id), run)
                snapshots.write(json.dumps(taken) + "\n")
                snapshots.flush()
                if not over:
                    pause_s = (taken["end_ns"] - taken["begin_ns"]) * _REST / 1e9
                    if plan.sabotage:
                        pause_s = _SABOTAGE_REST_S
                    sleep(pause_s)


def _snapshot(take: Callable[[], Iterable[Record]], run: int) -> dict[str, Any]:
    begin_ns = monotonic_ns()
    taken: dict[str, Any] = {"run": run, "begin_ns": begin_ns}
    try:
        records = take()
    except Exception as error:  # the checker judges whether the error is right
        return taken | {"end_ns": monotonic_ns(), **_error_as_json(error)}
    taken["end_ns"] = monotonic_ns()
    digest = RunningDigest()
    for record in records:
        digest.add(canonical_line(record))
    return taken | digest.as_json()


def _error_as_json(error: Exception) -> dict[str, Any]:
    """Return an error in the form of the history.

    Two kinds of error have a reason, by which the checker decides whether they are right.
    """
    reason = "torn" if isinstance(error, TornTailError) else None
    if isinstance(error.__cause__, FileNotFoundError):
        reason = "absent"
    return {"error": f"{type(error).__name__}: {error}", "reason": reason}


class _Stop(Flag):
    """The flag that stops a follower. The follower first reads it after it has opened its log."""

    def __init__(self) -> None:
        super().__init__()
        self.is_open = Flag()

    def is_set(self) -> bool:
        self.is_open.set()
        return super().is_set()


def follow(directory: Path, plan: RoundPlan, gate: Gate) -> None:
    """Follow all runs, each in a thread of its own, until the writers have ended.

    Each log is opened before the gate, so a log that is replaced later is read to its end.
    """
    gate.close_others()
    path = history_path(directory, f"{FOLLOWER}.followed")
    follow_log = LOGS[plan.log].follow
    assert follow_log is not None
    stops = [_Stop() for _ in plan.run_ids]
    with until_terminated(directory, FOLLOWER) as stop:
        found: list[dict[str, Any]] = [{}] * len(plan.run_ids)

        def follow_one(run: int, run_id: str) -> None:
            try:
                found[run] = _follow(follow_log(directory, run_id, stops[run]), run)
            finally:
                stops[run].is_open.set()  # even if the log could not be opened

        threads = [
            threading.Thread(target=follow_one, args=each) for each in enumerate(plan.run_ids)
        ]
        for thread in threads:
            thread.start()
        for each in stops:
            each.is_open.wait()
        try:
            gate.wait()
            while not stop and not gate.line.poll(0.05):
                pass
        finally:
            for each in stops:
                each.set()
            for thread in threads:
                thread.join()
        path.write_text("".join(json.dumps(each) + "\n" for each in found))


def _follow(records: Iterator[Record], run: int) -> dict[str, Any]:
    digest, begin_ns = RunningDigest(), monotonic_ns()
    failed: dict[str, Any] = {}
    try:
        for record in records:
            digest.add(canonical_line(record))
    except Exception as error:
        failed = _error_as_json(error)
    return {
        "run": run,
        "begin_ns": begin_ns,
        "end_ns": monotonic_ns(),
        **digest.as_json(),
        **failed,
    }
