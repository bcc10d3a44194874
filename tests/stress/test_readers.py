# SPDX-License-Identifier: MIT
"""The processes that read: a follower opens its log before anything happens to the log."""

import json
from multiprocessing import get_context
from pathlib import Path
from time import monotonic_ns

from omnelog import EventLog, PipeAborted
from stress.plan import Size, draw_round
from stress.readers import FOLLOWER, follow
from stress.receipts import history_path, log_path, volume_path
from stress.workers import Gate

TOO_LONG_S = 60  # only a hang takes so long


def append(directory: Path, run_id: str, event_id: str) -> None:
    with EventLog.for_run(volume_path(directory), run_id) as log:
        log.append(PipeAborted(id=event_id, ts="t", run_id=run_id, reason=""))


def test_a_log_that_is_replaced_once_its_follower_is_ready_is_read_to_its_end(
    tmp_path: Path,
) -> None:
    plan = draw_round(7, "plain", Size(processes=2, threads=1, events=1, runs=1, seconds=1))
    [run_id] = plan.run_ids
    history_path(tmp_path, "").mkdir()
    append(tmp_path, run_id, "first")
    context = get_context("fork")
    ours, theirs = context.Pipe()
    gate = Gate(theirs, (ours,))
    follower = context.Process(target=follow, args=(tmp_path, plan, gate), daemon=True)
    follower.start()
    theirs.close()
    assert ours.recv() == "ready"
    log = log_path(tmp_path, run_id)
    log.rename(log.with_name("moved"))
    append(tmp_path, run_id, "second")
    ours.send(monotonic_ns())
    ours.send("over")
    follower.join(TOO_LONG_S)
    assert follower.exitcode == 0
    followed = history_path(tmp_path, f"{FOLLOWER}.followed").read_text()
    [seen] = map(json.loads, followed.splitlines())
    assert seen["count"] == 2
    ours.close()
