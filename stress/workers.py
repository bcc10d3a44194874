# SPDX-License-Identifier: MIT
"""The processes that write with omnelog: threads, and children forked during their appends.

Each process prepares what it can, reports that it is ready, and waits at the gate, where it gets
the time of the start, which is the same for all. After SIGTERM a process completes its current
append and its receipts, and exits with 0. SIGINT is blocked, because only the parent handles it.
"""

import contextlib
import errno
import faulthandler
import os
import signal
import sys
import threading
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from multiprocessing.connection import Connection
from pathlib import Path
from random import Random
from time import monotonic, monotonic_ns, sleep
from types import FrameType
from typing import Any, NoReturn

import omnelog
from omnelog import AppendIndeterminate, EventLog, LockTimeout, LogIOError

from .faults import FORK, SHORT_WRITE
from .logs import LOGS
from .patches import Waits, cap_writes, count_waits
from .payloads import Record
from .plan import ProcessPlan, RoundPlan, WriterPlan
from .receipts import (
    Outcome,
    Receipts,
    history_path,
    process_name,
    save_json,
    volume_path,
    writer_name,
)
from .sabotage import Appender, broken

_FULL_S = 0.002  # the pause after a refusal, so that a full disk does not refuse every event
WITHOUT_CALLBACKS = (
    str(Path(__file__).parent),
    str(Path(omnelog.__file__).parent),
    contextlib.__file__,
)
"""The files whose code an append runs. They have neither a finalizer nor a callback that Python
runs when an object is deleted."""
_OPENING_TRIES = 1000  # one every 5 ms, if the disk is full when a process starts


@dataclass(frozen=True, slots=True)
class Gate:
    """A process's end of the connection to its parent, which opens the gate."""

    line: "Connection[Any, Any]"
    others: "tuple[Connection[Any, Any], ...]"
    """The connections that a forked process inherited, and has to close."""
    open_since_ns: int = 0
    """The start time in ns, for a process that is started again after the gate was opened."""

    def close_others(self) -> None:
        """Close the inherited connections, so that each ends when the parent closes it."""
        for other in self.others:
            other.close()

    def wait(self) -> int:
        """Report that this process is ready, wait for the gate, and return the start time in ns.

        Raises SystemExit if the parent has given up, or is gone.
        """
        if self.open_since_ns:
            return self.open_since_ns
        try:
            self.line.send("ready")
            start_ns: int = self.line.recv()
        except (EOFError, OSError):
            sys.exit(0)
        sleep(max(0, start_ns - monotonic_ns()) / 1e9)
        return start_ns

    def is_over(self) -> bool:
        """Return whether the parent has said that the round is over, or is gone."""
        return self.line.poll()


def draw_lines(directory: Path, plan: RoundPlan, run: int, writer: WriterPlan) -> list[Record]:
    """Return the records that a writer means to append, and save their lines in the history."""
    run_id, number = plan.run_ids[run], writer.writer
    dice = plan.dice("events", number)
    kind = LOGS[plan.log]
    if number < len(plan.run_ids):
        records = list(kind.frame(run_id, number))
    else:
        records = list(kind.draw(dice, run_id, number, writer.events, plan.largest))
    path = history_path(directory, f"{writer_name(number)}.lines")
    # If the file exists, it is whole: a process that is killed while it writes this file, before
    # the start, is not started again.
    if not path.exists():
        path.write_bytes(b"".join(map(kind.line, records)))
    return records


@cache
def draw_items(directory: Path, plan: RoundPlan, run: int, writer: WriterPlan) -> list[Any]:
    """Return what a writer passes to ``append``, in order. Processes forked later inherit it."""
    item = LOGS[plan.log].item
    return [item(record) for record in draw_lines(directory, plan, run, writer)]


def draw_calls(plan: RoundPlan, writer: WriterPlan, first: int) -> Iterator[tuple[int, int]]:
    """Yield the appends of a writer from event `first` on: the first event, and how many."""
    dice, seq = plan.dice("calls", writer.writer), 0
    while seq < writer.events:
        n = min(dice.randint(1, writer.batch), writer.events - seq)
        if seq >= first:
            yield seq, n
        seq += n


@dataclass(frozen=True, slots=True)
class _Here:
    """What the writers of one process share."""

    directory: Path
    plan: RoundPlan
    process: ProcessPlan
    waits: Waits

    def account(self, writer: WriterPlan) -> "Account":
        return Account(self.directory, self.plan, self.process.run, writer, self.waits)


class Account:
    """A writer at work: it prepares what to append, appends it, and keeps the receipts."""

    def __init__(
        self, directory: Path, plan: RoundPlan, run: int, writer: WriterPlan, waits: Waits
    ) -> None:
        self._items = draw_items(directory, plan, run, writer)
        self._refusals = LOGS[plan.log].refusals
        self._receipts = Receipts(directory, writer.writer)
        self._calls = draw_calls(plan, writer, self._receipts.resume())
        self._pause_s, self._waits = writer.pause_s, waits
        self._dice = Random(writer.writer)

    def append_next(self, log: Appender) -> bool:
        """Append the next events; return whether there were any."""
        call = next(self._calls, None)
        if call is None:
            return False
        seq, n = call
        items = self._items[seq : seq + n]
        outcome, appended = Outcome.ACKNOWLEDGED, 0
        error: Exception | None = None
        self._receipts.before(seq, n)
        called_ns = monotonic_ns()
        try:
            if n == 1:
                log.append(items[0])
            else:
                log.append_many(items)
        except LockTimeout as caught:
            outcome, error = Outcome.TIMED_OUT, caught
        except AppendIndeterminate as caught:
            outcome, error, appended = Outcome.INDETERMINATE, caught, caught.appended
        except LogIOError as caught:
            outcome, error, appended = Outcome.REFUSED, caught, caught.appended
        except self._refusals as caught:
            outcome, error = Outcome.REFUSED, caught
        end_ns = monotonic_ns()
        self._receipts.after(
            seq,
            called_ns,
            end_ns,
            outcome,
            appended=appended,
            waits=self._waits.taken(),
            error=error,
        )
        if outcome is Outcome.REFUSED:
            sleep(_FULL_S)
        return True

    def work(self, log: Appender, stop: list[int]) -> None:
        """Append the events that are left, until there is something in `stop`."""
        while not stop and self.append_next(log):
            if self._pause_s:
                sleep(self._dice.expovariate(1 / self._pause_s))

    def close(self) -> None:
        """Close the files of the account."""
        self._receipts.close()


def write(
    directory: Path,
    plan: RoundPlan,
    process: ProcessPlan,
    passed: Appender | None,
    gate: Gate,
) -> None:
    """Run as a process that writes. `passed`: the handle from its parent, if it got one."""
    gate.close_others()
    name = process_name(process.process)
    warnings.filterwarnings("ignore", "This process.*multi-threaded", DeprecationWarning)  # 3.12+
    with until_terminated(directory, name) as stop:
        capped = SHORT_WRITE in plan.faults and not process.sabotaged
        strikes = cap_writes(volume_path(directory)) if capped else None
        here = _Here(directory, plan, process, count_waits())
        for child in process.children:
            draw_lines(directory, plan, process.run, child)
        accounts = [here.account(each) for each in process.writers]
        log = passed or open_log(directory, plan, process)
        with contextlib.closing(log):
            start_ns = gate.wait()
            forks = _Forks(here, log, stop)
            forks.begin(start_ns)
            _work_together(accounts, log, stop)
            forks.end(stop)
        for account in accounts:
            account.close()
        if strikes:
            save_json(history_path(directory, f"{name}.strikes"), {"capped": strikes.capped})


def open_log(directory: Path, plan: RoundPlan, process: ProcessPlan) -> Appender:
    """Open a handle for this process: a broken appender if it is sabotaged."""
    tries = 0
    while True:
        try:
            log = LOGS[plan.log].open(
                directory, plan.run_ids[process.run], process.lock_timeout_s, process.durable
            )
            if plan.sabotage and process.sabotaged and isinstance(log, EventLog):
                return broken(plan.sabotage, log)
            return log
        except LogIOError as error:
            tries += 1
            if error.errno != errno.ENOSPC or tries > _OPENING_TRIES:
                raise
            sleep(0.005)


def _work_together(accounts: list[Account], log: Appender, stop: list[int]) -> None:
    """Run the first writer in this thread, which gets the signals, and each other in a new one."""
    first, *others = accounts
    threads = [threading.Thread(target=each.work, args=(log, stop)) for each in others]
    for thread in threads:
        thread.start()
    first.work(log, stop)
    for thread in threads:
        thread.join()


class _ForkedError(BaseException):
    """Ends the interrupted append in a child that was forked by a signal handler."""


class _Forks:
    """Forks this process during its appends, in a signal handler or in a thread.

    A child appends its own events with the handle it inherited, and ends.
    """

    def __init__(self, here: "_Here", log: Appender, stop: list[int]) -> None:
        self._here, self._log, self._stop = here, log, stop
        directory, process = here.directory, here.process
        begun = (
            history_path(directory, f"{writer_name(child.writer)}.receipts").exists()
            for child in process.children
        )
        self._left = [c for c, b in zip(process.children, begun, strict=True) if not b]
        self._pids: list[int] = []
        kind = LOGS[here.plan.log]
        self._by_signal = len(process.writers) == 1 and kind.forks_in_appends
        self._leaves = kind.leaves
        self._over = threading.Event()
        self._thread: threading.Thread | None = None

    def begin(self, start_ns: int) -> None:
        """Start to fork at the times that the seed has drawn."""
        if FORK not in self._here.plan.faults or not self._left:
            return
        plan, process = self._here.plan, self._here.process
        dice = plan.dice("forks", process.process)
        spread_s = plan.seconds / 2
        at_s = [dice.uniform(0, spread_s) for _ in process.children][-len(self._left) :]
        age_s = (monotonic_ns() - start_ns) / 1e9
        self._after_s = [max(0.001, at - age_s) for at in sorted(at_s)]
        if self._by_signal:
            signal.signal(signal.SIGALRM, self._strike)
            signal.setitimer(signal.ITIMER_REAL, self._after_s[0], spread_s / 4)
        else:
            self._thread = threading.Thread(target=self._fork_from_thread)
            self._thread.start()

    def _strike(self, _: int, frame: FrameType | None) -> None:
        if not is_in_an_append(frame):
            return  # the timer strikes again
        if self._left and self._fork():
            raise _ForkedError  # in the child, where the interrupted append has to handle it

    def _fork_from_thread(self) -> None:
        begun_s = monotonic()
        for after_s in self._after_s:
            if self._over.wait(max(0, begun_s + after_s - monotonic())):
                return  # `end` forks the rest
            if self._fork():
                os._exit(0)

    def _fork(self) -> bool:
        """Fork; return whether this is the child, after it has appended its events."""
        child = self._left.pop(0)
        # This is done before the fork: if this process is killed and started again, it must not
        # fork this child a second time.
        name = f"{writer_name(child.writer)}.receipts"
        history_path(self._here.directory, name).touch()
        pid = os.fork()
        if pid:
            self._pids.append(pid)
            return False
        try:
            signal.setitimer(signal.ITIMER_REAL, 0)
            self._left = []
            account = self._here.account(child)
            account.work(self._log, self._stop)
            account.close()
            if self._leaves:
                self._log.close()
        except BaseException as error:
            _fail(error)
        return True

    def end(self, stop: list[int]) -> None:
        """Fork the rest of the children and wait for all. Raises SystemExit if one failed."""
        signal.setitimer(signal.ITIMER_REAL, 0)
        self._over.set()
        if self._thread:
            self._thread.join()
        while self._left and not stop and FORK in self._here.plan.faults:
            if self._fork():
                os._exit(0)
        codes = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in self._pids]
        if any(codes):
            sys.exit(f"children exited with {codes}")


def is_in_an_append(frame: FrameType | None) -> bool:
    """Return whether an exception of a signal handler that interrupted `frame` ends an append.

    Finalizers, callbacks of weak references and hooks of a fork may run at any time, and Python
    ignores exceptions in them. A child forked there would continue the work of its parent. So
    `frame` and its callers must belong to modules that have none of these.
    """
    while frame is not None and frame.f_code is not Account.append_next.__code__:
        if not frame.f_code.co_filename.startswith(WITHOUT_CALLBACKS):
            return False
        frame = frame.f_back
    return frame is not None


def _fail(error: BaseException) -> NoReturn:
    """End a forked child, which must not continue what its parent was doing."""
    sys.excepthook(type(error), error, error.__traceback__)
    sys.stderr.flush()
    os._exit(1)


@contextlib.contextmanager
def until_terminated(directory: Path, name: str) -> Iterator[list[int]]:
    """Yield a list that is empty until SIGTERM comes; SIGUSR1 writes a stack trace."""
    stop: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _: stop.append(number))
    with history_path(directory, f"{name}.trace").open("w") as trace:
        faulthandler.register(signal.SIGUSR1, file=trace)
        try:
            yield stop
        except _ForkedError:
            os._exit(0)
        finally:
            faulthandler.unregister(signal.SIGUSR1)
