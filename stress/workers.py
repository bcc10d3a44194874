# SPDX-License-Identifier: MIT
"""The processes of a round: writers that append and keep receipts, readers that look on.

Each prepares all it can, says that it is ready, waits at the gate, and starts at the time that it
is told there, the same for all. SIGTERM makes a process end after what it is doing, with its
account complete and exit code 0. SIGINT is the parent's business and is blocked in here.
"""

import faulthandler
import json
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, fields
from multiprocessing.connection import Connection
from pathlib import Path
from time import monotonic_ns, sleep
from typing import Any, get_args

from omnelog import (
    AppendIndeterminate,
    ErrorKind,
    Event,
    EventLog,
    GateMethod,
    Input,
    LockTimeout,
    LogIOError,
    NodeError,
    NodeKind,
    read_run,
)

from .faults import SHORT_WRITE, cap_writes
from .history import (
    Outcome,
    Receipts,
    digest_lines,
    history_path,
    reader_name,
    save_json,
    writer_name,
)
from .plan import Handle, Record, RoundPlan, WriterPlan, canonical_line, draw_records
from .sabotage import Appender, broken

_CLASSES = {cls.type: cls for cls in get_args(Event)}
_MEMBERS: dict[str, Callable[[Any], Any]] = {
    "inputs": lambda value: [Input(**item) for item in value],
    "error": lambda value: NodeError(kind=ErrorKind(value["kind"])),
    "kind": NodeKind,
    "method": GateMethod,
}


def event_of(record: Record) -> Event:
    """The event that `record` describes."""
    members = {name: _MEMBERS.get(name, _same)(record[name]) for name in record if name != "type"}
    event: Event = _CLASSES[record["type"]](**members)
    return event


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


def _same(value: Any) -> Any:
    return value


@dataclass(frozen=True, slots=True)
class Gate:
    """A process's end of the line to its parent, which keeps the gate."""

    line: "Connection[Any, Any]"
    others: "tuple[Connection[Any, Any], ...]"
    """Ends that a forked process has inherited, and would keep open when the parent is gone."""

    def close_others(self) -> None:
        """Let go of what is not ours, so that the parent can hang up on the others."""
        for other in self.others:
            other.close()

    def wait(self) -> None:
        """Say that this process is ready; return when all are to start.

        SystemExit if the parent has given up, or is gone.
        """
        try:
            self.line.send("ready")
            start_ns = self.line.recv()
        except (EOFError, OSError):
            sys.exit(0)
        sleep(max(0, start_ns - monotonic_ns()) / 1e9)

    def is_over(self) -> bool:
        """Whether the parent has said so, or is gone."""
        return self.line.poll()


class Account:
    """A writer at work: it prepares what to append, appends it, and keeps the receipts."""

    def __init__(self, directory: Path, plan: RoundPlan, writer: WriterPlan) -> None:
        self._events: list[Event] = []
        self._seq = 0
        with history_path(directory, f"{writer_name(writer.writer)}.lines").open("wb") as lines:
            for record in draw_records(plan, writer):
                lines.write(canonical_line(record))
                self._events.append(event_of(record))
        self._receipts = Receipts(directory, writer.writer)

    def append_next(self, log: Appender) -> bool:
        """Append the next event, if there is one, and return whether there was."""
        if self._seq == len(self._events):
            return False
        seq, event = self._seq, self._events[self._seq]
        self._seq += 1
        outcome = Outcome.ACKNOWLEDGED
        error: Exception | None = None
        self._receipts.before(seq)
        called_ns = monotonic_ns()
        try:
            log.append(event)
        except LockTimeout as caught:
            outcome, error = Outcome.TIMED_OUT, caught
        except AppendIndeterminate as caught:
            outcome, error = Outcome.INDETERMINATE, caught
        except LogIOError as caught:
            outcome, error = Outcome.REFUSED, caught
        end_ns = monotonic_ns()
        self._receipts.after(seq, called_ns, end_ns, outcome, error)
        return True

    def close(self) -> None:
        """The account is complete."""
        self._receipts.close()


def write(
    directory: Path, plan: RoundPlan, writer: WriterPlan, passed: EventLog | None, gate: Gate
) -> None:
    """What a writer's process does. `passed`: the runner's handle, for those who use that one."""
    gate.close_others()
    name = writer_name(writer.writer)
    with _until_terminated(directory, name) as stop:
        strikes = cap_writes() if plan.fault == SHORT_WRITE else None
        account = Account(directory, plan, writer)
        if writer.handle is Handle.PASSED and passed is not None:
            healthy = passed
        else:
            healthy = EventLog.for_run(directory, plan.run_id, lock_timeout=writer.lock_timeout_s)
        log = broken(plan.sabotage, healthy) if plan.sabotage else healthy
        with closing(log), closing(account):
            gate.wait()
            while not stop and account.append_next(log):
                pass
        if strikes:
            path = history_path(directory, f"{name}.faults")
            save_json(path, {"capped_writes": strikes.capped_writes})


def read(directory: Path, plan: RoundPlan, reader: int, gate: Gate) -> None:
    """What a reader's process does: snapshots without a pause, the last one after all is over."""
    gate.close_others()
    name = reader_name(reader)
    path = history_path(directory, f"{name}.snapshots")
    with _until_terminated(directory, name) as stop, path.open("w") as snapshots:
        gate.wait()
        over = False
        while not over and not stop:
            over = gate.is_over()  # asked before looking, so that the last look sees everything
            snapshots.write(json.dumps(_snapshot(directory, plan.run_id)) + "\n")
            snapshots.flush()


def _snapshot(directory: Path, run_id: str) -> dict[str, Any]:
    begin_ns = monotonic_ns()
    try:
        events = read_run(directory, run_id)
    except Exception as error:  # whatever it is, it should not be
        return {"begin_ns": begin_ns, "end_ns": monotonic_ns(), "error": repr(error)}
    end_ns = monotonic_ns()
    digest = digest_lines(canonical_line(record_of(event)) for event in events)
    return {
        "begin_ns": begin_ns,
        "end_ns": end_ns,
        "count": digest.count,
        "digest": digest.value(),
        "marks": digest.marks,
    }


@contextmanager
def _until_terminated(directory: Path, name: str) -> Iterator[list[int]]:
    """Yield a list that is empty until SIGTERM comes; let SIGUSR1 leave a stack trace."""
    stop: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _: stop.append(number))
    with history_path(directory, f"{name}.trace").open("w") as trace:
        faulthandler.register(signal.SIGUSR1, file=trace)
        yield stop
        faulthandler.unregister(signal.SIGUSR1)
