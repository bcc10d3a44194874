# SPDX-License-Identifier: MIT
"""Start the processes of a round behind a gate, watch them, restart them and end them.

The processes of a measurement, which only return a result, are in `timed_processes`.

The parent has a single thread, because it forks. It signals only processes that it started.
"""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkContext, ForkServerContext, SpawnContext
from multiprocessing.process import BaseProcess
from time import monotonic, monotonic_ns
from typing import Any

from .plan import Start
from .workers import Gate

_GATE_NS = 50_000_000  # from opening the gate to the start, so that all processes hear in time
_TRACE_S = 0.5  # the time that a stuck process has to write a stack trace

_CONTEXTS: dict[Start, ForkContext | ForkServerContext | SpawnContext] = {
    Start.FORK: ForkContext(),
    Start.FORKSERVER: ForkServerContext(),
    Start.SPAWN: SpawnContext(),
}
_CONTEXTS[Start.FORKSERVER].set_forkserver_preload(["stress.workers", "stress.foreign"])


class HangError(Exception):
    """The processes did not end in time."""


@dataclass(slots=True)
class _Member:
    """One process, our end of the connection to it, and what is needed to start it again."""

    process: BaseProcess
    line: "Connection[Any, Any]"
    start: Start
    target: Callable[..., None]
    args: tuple[Any, ...]


class Crew:
    """The processes of a round, by their names."""

    def __init__(self, deadline: float) -> None:
        """Waiting raises HangError after `deadline`, a time.monotonic()."""
        self._deadline = deadline
        self._members: dict[str, _Member] = {}
        self._lines: list[Connection[Any, Any]] = []
        """All connections, including those to dead processes, whose children may still run."""
        self._start_ns = 0
        self._asked: set[str] = set()
        """The processes that were running when they were asked to end."""
        self.hung: set[str] = set()
        """The processes that did not end, and were killed."""

    def __len__(self) -> int:
        return len(self._members)

    def start(self, name: str, start: Start, target: Callable[..., None], *args: Any) -> None:
        """Start a process that runs ``target(*args, gate)``, with SIGINT blocked from the start."""
        context = _CONTEXTS[start]
        ours, theirs = context.Pipe()
        others = (*self._lines, ours) if start is Start.FORK else ()
        gate = Gate(theirs, others, self._start_ns)
        process = context.Process(target=target, args=(*args, gate), name=name, daemon=True)
        with sigint_blocked():
            process.start()
            self._members[name] = _Member(process, ours, start, target, args)
            self._lines.append(ours)
        theirs.close()

    def restart(self, name: str) -> None:
        """Start a dead process again. It is forked, because starting an interpreter is slow."""
        member = self._members[name]
        start = Start.FORKSERVER if member.start is Start.SPAWN else member.start
        self.start(name, start, member.target, *member.args)

    def open_gate(self) -> None:
        """Wait until each process is ready or dead, and send all of them the time of the start."""
        for member in self._members.values():
            while not member.line.poll(0) and member.process.exitcode is None:
                self._wait([member.line, member.process.sentinel])
            with suppress(EOFError, OSError):
                member.line.recv()
        self._start_ns = monotonic_ns() + _GATE_NS
        self.tell("", self._start_ns)

    def tell(self, kind: str, message: object) -> None:
        """Send a message to the processes whose names begin with `kind`."""
        for name, member in self._members.items():
            if name.startswith(kind):
                with suppress(OSError):
                    member.line.send(message)

    def running(self, kind: str) -> dict[str, BaseProcess]:
        """Return the processes whose names begin with `kind` and that have not ended."""
        return {
            name: member.process
            for name, member in self._members.items()
            if name.startswith(kind) and member.process.exitcode is None
        }

    def _ends(self, kind: str) -> list[int]:
        """Return the sentinels of the running processes. One is ready when its process ends."""
        return [process.sentinel for process in self.running(kind).values()]

    def killed(self) -> list[str]:
        """Return the names of processes that died of SIGKILL and were not started again."""
        codes = {name: member.process.exitcode for name, member in self._members.items()}
        return [name for name, code in codes.items() if code == -signal.SIGKILL]

    def watch(self, kind: str, timeout_s: float) -> None:
        """Wait until a process whose name begins with `kind` ends, for at most `timeout_s`."""
        self._wait(self._ends(kind), timeout_s)

    def join(self, kind: str) -> None:
        """Wait until the processes whose names begin with `kind`, and their children, end."""
        while ends := self._ends(kind):
            self._wait(ends)
        for name, member in self._members.items():
            if name.startswith(kind):
                self._hear_out(member.line)

    def join_orphans(self) -> None:
        """Wait for the children of dead processes."""
        current = {id(member.line) for member in self._members.values()}
        for line in self._lines:
            if id(line) not in current:
                self._hear_out(line)

    def _hear_out(self, line: "Connection[Any, Any]") -> None:
        """Read until no process has the other end open."""
        while not line.closed:
            if line.poll(0):
                try:
                    line.recv()
                except (EOFError, OSError):
                    return
            else:
                self._wait([line])

    def _wait(self, things: list[Any], timeout_s: float = 1.0) -> None:
        if monotonic() >= self._deadline:
            raise HangError
        wait(things, timeout_s)

    def stop(self, grace_s: float) -> None:
        """Ask all processes to end, and kill those that do not end within `grace_s`."""
        self.close_lines()  # ends the processes that still wait at the gate
        for name, process in self.running("").items():
            process.terminate()
            self._asked.add(name)
        deadline = monotonic() + grace_s
        while (ends := self._ends("")) and monotonic() < deadline:
            wait(ends, deadline - monotonic())
        self.kill()

    def kill(self) -> None:
        """Kill the processes that have not ended, after they have written a stack trace."""
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
            self.hung.add(name)

    def close_lines(self) -> None:
        """Close all connections."""
        for line in self._lines:
            line.close()

    def exits(self) -> dict[str, int | None]:
        """Return the exit codes: None for processes that hung, 0 for those that ended when asked.

        A process that is asked before it handles SIGTERM dies of that signal, which counts as 0.
        """
        codes = {name: member.process.exitcode for name, member in self._members.items()}
        for name in self._asked:
            if codes[name] == -signal.SIGTERM:
                codes[name] = 0
        return codes | dict.fromkeys(self.hung)


@contextmanager
def sigint_blocked() -> Iterator[None]:
    """Block SIGINT in this process until the end of the block.

    In processes that are started during the block, SIGINT stays blocked.
    """
    resource_tracker.ensure_running()  # now, because starting it unblocks SIGINT
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
