# SPDX-License-Identifier: MIT
"""One round: start its processes behind a gate, open it, watch over them, end what hangs.

The parent stays single-threaded, since it forks, and signals no process that it did not start.
"""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkContext, SpawnContext
from multiprocessing.process import BaseProcess
from pathlib import Path
from time import monotonic, monotonic_ns
from typing import Any

from omnelog import EventLog

from .history import history_path, reader_name, save_json, writer_name
from .plan import RUNNER, Handle, RoundPlan, Start
from .progress import Progress
from .workers import Account, Gate, read, write

_GATE_NS = 50_000_000  # from opening the gate to the start: time for all to be told
_GRACE_S = 5.0  # for processes that were asked to end
_HANG_GRACE_S = 1.0  # for those that are not the ones which hang
_CONTEXTS: dict[Start, ForkContext | SpawnContext] = {
    Start.FORK: ForkContext(),
    Start.SPAWN: SpawnContext(),
}
_TRACE_S = 0.5  # for a stuck process to say where it is stuck


class Hang(Exception):
    """The watchdog's time was up."""


@dataclass(slots=True)
class _Crew:
    """The processes of a round, and the parent's ends of the lines to them."""

    processes: dict[str, BaseProcess] = field(default_factory=dict)
    lines: "dict[str, Connection[Any, Any]]" = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    """Who was asked to end while running."""
    hung: list[str] = field(default_factory=list)
    """Who did not, and was ended."""

    def start(self, name: str, method: Start, target: Any, *args: Any) -> None:
        """Start a process that runs ``target(*args, gate)``, SIGINT blocked from its very begin."""
        context = _CONTEXTS[method]
        ours, theirs = context.Pipe()
        others = (*self.lines.values(), ours) if method is Start.FORK else ()
        process = context.Process(
            target=target, args=(*args, Gate(theirs, others)), name=name, daemon=True
        )
        with _sigint_blocked():
            process.start()
            self.processes[name] = process
            self.lines[name] = ours
        theirs.close()

    def named(self, kind: str) -> dict[str, BaseProcess]:
        """The processes whose names begin with `kind`."""
        return {name: self.processes[name] for name in self.processes if name.startswith(kind)}

    def running(self, kind: str) -> dict[str, BaseProcess]:
        """Those of them that have not ended."""
        return {name: p for name, p in self.named(kind).items() if p.exitcode is None}

    def stop(self, grace_s: float) -> None:
        """Ask all to end, and end those that do not within `grace_s`."""
        self.close_lines()  # which lets those go who wait at the gate
        for name, process in self.running("").items():
            process.terminate()
            self.asked.append(name)
        deadline = monotonic() + grace_s
        while (left := self.running("")) and monotonic() < deadline:
            wait([p.sentinel for p in left.values()], deadline - monotonic())
        self.kill()

    def kill(self) -> None:
        """End what has not ended, having asked it where it is stuck."""
        stuck = self.running("")
        for process in stuck.values():
            if process.pid:
                with suppress(ProcessLookupError):
                    os.kill(process.pid, signal.SIGUSR1)
        if stuck:
            wait([p.sentinel for p in stuck.values()], _TRACE_S)
        for name, process in stuck.items():
            process.kill()
            process.join()
            self.hung.append(name)

    def close_lines(self) -> None:
        """Hang up."""
        for line in self.lines.values():
            line.close()

    def exits(self) -> dict[str, int | None]:
        """The exit codes; None for those that were ended by us."""
        codes = {name: process.exitcode for name, process in self.processes.items()}
        for name in self.asked:
            if (codes[name] or 0) < 0:
                codes[name] = None
        return codes | dict.fromkeys(self.hung)


@contextmanager
def _sigint_blocked() -> Iterator[None]:
    """Keep Ctrl-C from the processes started meanwhile, and from us until they are noted."""
    resource_tracker.ensure_running()  # which, when it has to, unblocks SIGINT as it starts
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})


def conduct(directory: Path, plan: RoundPlan, progress: Progress, timeout_s: float) -> bool:
    """Run a round in `directory`, which gets its history; return whether Ctrl-C ended it early.

    However it ends, no process of it is left behind. What hangs for `timeout_s` is ended, with a
    stack trace in its ``.trace``, and has None for an exit code.
    """
    history_path(directory, "").mkdir(parents=True)
    about = {"name": plan.name, "seed": plan.seed, "run_id": plan.run_id}
    save_json(history_path(directory, "round.json"), about)
    interrupted, runner_code = False, 1
    crew = _Crew()
    deadline = monotonic() + timeout_s
    try:
        runner = Account(directory, plan, plan.writers[RUNNER])
        with EventLog.for_run(directory, plan.run_id) as log:
            runner.append_next(log)
            _start(directory, plan, crew, log)
            _open_gate(plan, crew, progress, deadline)
            _watch(crew, progress, deadline, log.path)
            runner.append_next(log)
            for name in crew.running("reader"):
                with suppress(OSError):
                    crew.lines[name].send("over")
            _join(crew, "reader", deadline)
        runner.close()
        runner_code = 0
    except KeyboardInterrupt:
        interrupted = True
        progress.milestone(f"{plan.name}: interrupted, letting the writers finish their appends")
        crew.stop(_GRACE_S)
    except Hang:
        progress.milestone(f"{plan.name}: not over after {timeout_s} s, ending it")
        crew.stop(_HANG_GRACE_S)
    finally:
        crew.kill()
        exits = {writer_name(RUNNER): runner_code, **crew.exits()}
        if crew.hung or interrupted:
            exits[writer_name(RUNNER)] = None if interrupted else 0
        save_json(history_path(directory, "exits.json"), exits)
        crew.close_lines()
        for name in crew.hung:
            trace = history_path(directory, f"{name}.trace")
            if trace.exists() and (text := trace.read_text().rstrip()):
                progress.milestone(f"{name} was stuck here:\n{text}")
    return interrupted


def _start(directory: Path, plan: RoundPlan, crew: _Crew, log: EventLog) -> None:
    """Start everybody, those first who take longest."""
    for reader in range(plan.readers):
        start = Start.SPAWN if plan.fault is None and not plan.sabotage else Start.FORK
        crew.start(reader_name(reader), start, read, directory, plan, reader)
    for writer in sorted(plan.writers[1:], key=lambda writer: writer.start is Start.FORK):
        passed = log if writer.handle is Handle.PASSED else None
        crew.start(writer_name(writer.writer), writer.start, write, directory, plan, writer, passed)


def _open_gate(plan: RoundPlan, crew: _Crew, progress: Progress, deadline: float) -> None:
    """Once all are ready, tell all when to start; whoever dies before that is not waited for."""
    for name, line in crew.lines.items():
        while not line.poll(0):
            wait([line, crew.processes[name].sentinel], max(0, deadline - monotonic()))
            if line.poll(0) or crew.processes[name].exitcode is not None:
                break
            if monotonic() >= deadline:
                raise Hang
        with suppress(EOFError, OSError):
            line.recv()
    start_ns = monotonic_ns() + _GATE_NS
    for line in crew.lines.values():
        with suppress(OSError):
            line.send(start_ns)
    progress.begin(plan, len(crew.processes))


def _watch(crew: _Crew, progress: Progress, deadline: float, log: Path) -> None:
    while left := crew.running("writer"):
        if monotonic() >= deadline:
            raise Hang
        wait([p.sentinel for p in left.values()], min(0.2, max(0, deadline - monotonic())))
        progress.look(log)


def _join(crew: _Crew, kind: str, deadline: float) -> None:
    while left := crew.running(kind):
        if monotonic() >= deadline:
            raise Hang
        wait([p.sentinel for p in left.values()], max(0, deadline - monotonic()))
