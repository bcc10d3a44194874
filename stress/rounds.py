# SPDX-License-Identifier: MIT
"""Run one round: make its volume, start its processes, strike them, and collect the history."""

import math
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic, sleep
from typing import Any

from .faults import ENOSPC, KILL, OUTSIDE, SHORT_WRITE, Fault, Replace, mount_disk, unmount_disk
from .foreign import drive
from .logs import LOGS
from .patches import Waits, cap_writes
from .plan import PATIENCE_S, Handle, RoundPlan, Start
from .processes import Crew, HangError
from .progress import Progress
from .readers import FOLLOWER, READER, follow, read
from .receipts import (
    history_path,
    process_name,
    save_json,
    volume_path,
)
from .sabotage import SABOTAGES, Appender
from .workers import Account, draw_items, open_log, write

_LOOK_S = 0.1  # between two updates of the progress
_GRACE_S = 5.0  # how long processes that were asked to end may take
_HANG_GRACE_S = 1.0  # the same when one of the processes hangs
_PROCESS, _RUNNER = "process", "runner"


@dataclass(slots=True)
class Conduct:
    """How a round went, in addition to what its history says."""

    interrupted: bool = False
    strikes: dict[str, int] = field(default_factory=dict)
    """How often each fault from outside struck."""


def conduct(
    directory: Path, plan: RoundPlan, progress: Progress, command: str, timeout_s: float
) -> Conduct:
    """Run a round in `directory`, which gets its volume and its history.

    However the round ends, it leaves no process behind. A process that still runs after `timeout_s`
    is killed; its stack trace is in its ``.trace`` file, and its exit code is None.
    KeyboardInterrupt ends the round early.
    """
    history_path(directory, "").mkdir(parents=True)
    root = volume_path(directory)
    if plan.compared or ENOSPC in plan.faults:
        mount_disk(root)
    _lay_out(directory, plan, command)
    strikes = cap_writes(root) if LOGS[plan.log].by_parent and SHORT_WRITE in plan.faults else None
    crew = Crew(monotonic() + timeout_s)
    faults: list[Fault] = []
    done = Conduct()
    runner_code: int | None = 1
    try:
        _run(directory, plan, crew, faults, progress)
        runner_code = 0
    except KeyboardInterrupt:
        done.interrupted, runner_code = True, None
        progress.milestone(f"{plan.name}: interrupted, letting the writers finish their appends")
        _undo(faults)
        crew.stop(_GRACE_S)
    except HangError:
        runner_code = 0  # another process hangs, not the runner
        progress.milestone(f"{plan.name}: not finished after {timeout_s:g} s; ending the round")
        _undo(faults)
        crew.stop(_HANG_GRACE_S)
    finally:
        _undo(faults)
        crew.kill()
        exits = {_RUNNER: runner_code, **crew.exits()}
        save_json(history_path(directory, "exits.json"), exits)
        crew.close_lines()
        for name in sorted(crew.hung):
            trace = history_path(directory, f"{name}.trace")
            if trace.exists() and (text := trace.read_text().rstrip()):
                progress.milestone(f"{name} was stuck here:\n{text}")
        done.strikes = _save_strikes(directory, faults)
        if root.is_mount():
            unmount_disk(root, directory / "kept")
    if strikes:
        save_json(history_path(directory, f"{_RUNNER}.strikes"), {"capped": strikes.capped})
    return done


def _run(
    directory: Path, plan: RoundPlan, crew: Crew, faults: list[Fault], progress: Progress
) -> None:
    """Run a round to its end, as the runner. The faults that strike are added to `faults`."""
    with ExitStack() as stack:
        logs = [
            stack.enter_context(closing(LOGS[plan.log].open(directory, run_id, PATIENCE_S, False)))
            for run_id in plan.run_ids
        ]
        runners = [
            Account(directory, plan, run, writer, Waits())
            for run, writer in enumerate(plan.runners)
        ]
        for runner, log in zip(runners, logs, strict=True):
            runner.append_next(log)
        for process in plan.processes if plan.compared else ():
            for each in (*process.writers, *process.children):
                draw_items(directory, plan, process.run, each)
        shared = _shared(directory, plan, stack)
        _start(directory, plan, crew, logs, shared)
        crew.open_gate()
        progress.begin(plan, len(crew))
        faults.extend(_faults(directory, plan, crew))
        _watch(directory, plan, crew, faults, progress)
        for runner, log in zip(runners, logs, strict=True):
            runner.append_next(log)
            runner.close()
        for fault in faults:
            if isinstance(fault, Replace) and plan.followed:
                sleep(fault.settled_s())
        for name in (READER, FOLLOWER):
            crew.tell(name, "over")
            crew.join(name)


def _undo(faults: list[Fault]) -> None:
    for fault in faults:
        fault.undo()


def _save_strikes(directory: Path, faults: list[Fault]) -> dict[str, int]:
    """Save and return how often each fault struck; save whether the volume is a disk of its own."""
    strikes = {fault.name: fault.strikes for fault in faults}
    about = {"strikes": strikes, "mounted": volume_path(directory).is_mount()}
    new = history_path(directory, "strikes.json.new")
    save_json(new, about)
    new.replace(history_path(directory, "strikes.json"))
    return strikes


def _lay_out(directory: Path, plan: RoundPlan, command: str) -> None:
    """Write what the checker needs to know about a round, and the files that must not change."""
    writers: dict[int, dict[str, Any]] = {}
    for run, runner in enumerate(plan.runners):
        writers[runner.writer] = {"run": run, "process": _RUNNER, "forked": False}
    for process in plan.processes:
        about = {"run": process.run, "process": process_name(process.process)}
        for writer in process.writers:
            writers[writer.writer] = about | {"forked": False}
        for writer in process.children:
            writers[writer.writer] = about | {"forked": True}
    bystanders = {
        ".omne/var/runs/bystander/events.jsonl": "neither a line nor an event",
        f".omne/var/runs/{plan.run_ids[0]}/nodes/node-1.out": "=== omne:iteration:1 ===\n",
    }
    for path, content in bystanders.items():
        bystander = volume_path(directory) / path
        bystander.parent.mkdir(parents=True)
        bystander.write_text(content)
    about = {
        "name": plan.name,
        "seed": plan.seed,
        "command": command,
        "faults": sorted(plan.faults),
        "runs": plan.run_ids,
        "writers": writers,
        "bystanders": bystanders,
    }
    save_json(history_path(directory, "round.json"), about)


def _shared(directory: Path, plan: RoundPlan, stack: ExitStack) -> Appender | None:
    """Return the appender that the processes of a sabotage inherit, or None if they do not."""
    if plan.sabotage is None or not SABOTAGES[plan.sabotage].shared:
        return None
    return stack.enter_context(closing(open_log(directory, plan, plan.processes[0])))


def _start(
    directory: Path,
    plan: RoundPlan,
    crew: Crew,
    logs: list[Appender],
    shared: Appender | None,
) -> None:
    """Start all processes, beginning with those that take longest to start."""
    order = list(Start)
    small = plan.sabotage is not None
    if LOGS[plan.log].read:
        crew.start(READER, Start.FORK if small else Start.SPAWN, read, directory, plan)
    if plan.followed:
        crew.start(FOLLOWER, Start.FORKSERVER, follow, directory, plan)
    for process in sorted(plan.processes, key=lambda each: order.index(each.start)):
        name = process_name(process.process)
        if process.foreign:
            crew.start(name, process.start, drive, directory, plan, process)
            continue
        passed: Appender | None = logs[process.run] if process.handle is Handle.PASSED else None
        if process.sabotaged:
            passed = shared
        crew.start(name, process.start, write, directory, plan, process, passed)


def _faults(directory: Path, plan: RoundPlan, crew: Crew) -> list[Fault]:
    """Return the faults that strike from this process. They do not strike foreign commands."""
    foreign = {process_name(p.process) for p in plan.processes if p.foreign}

    def victims() -> dict[str, int]:
        running = crew.running(_PROCESS).items()
        return {name: p.pid for name, p in running if p.pid and name not in foreign}

    return [OUTSIDE[name](directory, plan, victims) for name in sorted(plan.faults & {*OUTSIDE})]


def _watch(
    directory: Path, plan: RoundPlan, crew: Crew, faults: list[Fault], progress: Progress
) -> None:
    """Let the faults strike until all writers have ended; start killed processes again."""
    look_at = 0.0
    while crew.running(_PROCESS) or (KILL in plan.faults and crew.killed()):
        next_s = min((fault.look() for fault in faults), default=math.inf)
        crew.watch(_PROCESS, max(0, min(_LOOK_S, next_s - monotonic())))
        if KILL in plan.faults:
            for name in crew.killed():
                crew.restart(name)
        if monotonic() >= look_at:
            look_at = monotonic() + _LOOK_S
            strikes = _save_strikes(directory, faults)  # now, in case closing a log hangs
            progress.look(directory, strikes)
    _undo(faults)
    crew.join(_PROCESS)
    crew.join_orphans()
