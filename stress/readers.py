# SPDX-License-Identifier: MIT
"""The processes that look on: one takes snapshots all the while, one follows each log.

What they got is told as digests of lines that `json` made of it, without omnelog's encoder.
"""

import json
import threading
from dataclasses import fields
from pathlib import Path
from threading import Event as Flag
from time import monotonic_ns, sleep
from typing import Any

from omnelog import Event, NodeError, TornTailError, follow_run, read_run

from .history import RunningDigest, history_path, volume_path
from .plan import RoundPlan
from .records import Record, canonical_line
from .workers import Gate, until_terminated

READER, FOLLOWER = "reader-000", "follower-000"
_REST = 1.0  # of the time that a snapshot took: readers are not to starve the writers


def record_of(event: Event) -> Record:
    """The plain JSON of `event`, made without omnelog's codec."""
    return {"type": event.type, **_members_of(event)}


def _members_of(value: Any) -> Record:
    members = ((field.name, getattr(value, field.name)) for field in fields(value))
    return {name: _plain(member) for name, member in members if member is not None}


def _plain(member: Any) -> Any:
    if isinstance(member, list):
        return [_members_of(item) for item in member]
    return _members_of(member) if isinstance(member, NodeError) else member


def read(directory: Path, plan: RoundPlan, gate: Gate) -> None:
    """Take snapshots of all runs in turn, the last ones after all is over."""
    gate.close_others()
    path = history_path(directory, f"{READER}.snapshots")
    with until_terminated(directory, READER) as stop, path.open("w") as snapshots:
        gate.wait()
        over = False
        while not over and not stop:
            over = gate.is_over()  # asked before looking, so that the last look sees everything
            for run, run_id in enumerate(plan.run_ids):
                taken = _snapshot(volume_path(directory), run, run_id)
                snapshots.write(json.dumps(taken) + "\n")
                snapshots.flush()
                if not over:
                    sleep((taken["end_ns"] - taken["begin_ns"]) * _REST / 1e9)


def _snapshot(root: Path, run: int, run_id: str) -> dict[str, Any]:
    begin_ns = monotonic_ns()
    taken: dict[str, Any] = {"run": run, "begin_ns": begin_ns}
    try:
        events = read_run(root, run_id)
    except Exception as error:  # whatever it is, it is the checker's to judge
        return taken | {"end_ns": monotonic_ns(), **_told(error)}
    taken["end_ns"] = monotonic_ns()
    digest = RunningDigest()
    for event in events:
        digest.add(canonical_line(record_of(event)))
    return taken | digest.told()


def _told(error: Exception) -> dict[str, Any]:
    """An error as the history has it; two kinds may be right, if there is a reason for them."""
    reason = "torn" if isinstance(error, TornTailError) else None
    if isinstance(error.__cause__, FileNotFoundError):
        reason = "absent"
    return {"error": f"{type(error).__name__}: {error}", "reason": reason}


def follow(directory: Path, plan: RoundPlan, gate: Gate) -> None:
    """Follow all runs, each in a thread of its own, until all is over."""
    gate.close_others()
    path = history_path(directory, f"{FOLLOWER}.followed")
    flag = Flag()
    with until_terminated(directory, FOLLOWER) as stop:
        told: list[dict[str, Any]] = [{}] * len(plan.run_ids)

        def follow_one(run: int, run_id: str) -> None:
            told[run] = _follow(volume_path(directory), run, run_id, flag)

        gate.wait()
        threads = [
            threading.Thread(target=follow_one, args=each) for each in enumerate(plan.run_ids)
        ]
        for thread in threads:
            thread.start()
        while not stop and not gate.line.poll(0.05):
            pass
        flag.set()
        for thread in threads:
            thread.join()
        path.write_text("".join(json.dumps(each) + "\n" for each in told))


def _follow(root: Path, run: int, run_id: str, flag: Flag) -> dict[str, Any]:
    digest, begin_ns = RunningDigest(), monotonic_ns()
    failed: dict[str, Any] = {}
    try:
        for event in follow_run(root, run_id, stop=flag):
            digest.add(canonical_line(record_of(event)))
    except Exception as error:
        failed = _told(error)
    return {"run": run, "begin_ns": begin_ns, "end_ns": monotonic_ns(), **digest.told(), **failed}
