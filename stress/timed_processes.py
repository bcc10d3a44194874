# SPDX-License-Identifier: MIT
"""Processes of a measurement: they start at one gate and return what they measured.

The processes of a round, which are killed, stopped and started again, are in `processes`.

These processes are forked, so a task may be any closure. Each does a bounded amount of work. None
of them outlives the call of `together`, even if Ctrl-C ends that call.
"""

import os
import signal
import time
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from multiprocessing.connection import Connection, Pipe, wait
from multiprocessing.context import ForkContext, ForkProcess
from time import monotonic
from typing import Any, TypeAlias, TypeVar

Gate: TypeAlias = Callable[[], float]
"""Reports that a task is ready, and waits until all are. Returns the same time to all tasks."""

_T = TypeVar("_T")
_GATE_S = 0.02  # from opening the gate to the start, so that all processes hear in time


class TaskFailed(Exception):
    """A process failed, was killed, or was not done in time; the message says which."""


def together(tasks: Sequence[Callable[[Gate], _T]], timeout_s: float = 120) -> list[_T]:
    """Run each of `tasks` in a process of its own; return what they return, in order.

    A task prepares, calls its gate once, works, and returns what can be pickled. Raises TaskFailed
    if a task raises, or if not all tasks are done after `timeout_s` seconds.
    """
    deadline = monotonic() + timeout_s
    lines: list[Connection[Any, Any]] = []
    processes: list[ForkProcess] = []
    try:
        for task in tasks:
            # Only the parent handles an interrupt, and only after it has noted what it opened.
            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
            try:
                ours, theirs = Pipe()
                lines.append(ours)
                process = ForkContext().Process(target=_run, args=(task, theirs), daemon=True)
                try:
                    process.start()
                    processes.append(process)
                finally:
                    theirs.close()
            finally:
                signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
        for line in lines:
            _receive(line, deadline)
        start = monotonic() + _GATE_S
        for line in lines:
            line.send(start)
        return [_receive(line, deadline) for line in lines]
    finally:
        for line in lines:
            line.close()
        for process in processes:
            process.join(0 if monotonic() >= deadline else 0.1)
            process.kill()  # does nothing to one that has ended
            process.join()


def _receive(line: "Connection[Any, Any]", deadline: float) -> Any:
    if not wait([line], max(0, deadline - monotonic())):
        raise TaskFailed("not done in time")
    try:
        done, value = line.recv()
    except (EOFError, OSError) as error:
        raise TaskFailed("a process died") from error
    if not done:
        raise TaskFailed(value)
    return value


def _run(task: Callable[[Gate], _T], line: "Connection[Any, Any]") -> None:
    def gate() -> float:
        line.send((True, None))
        start: float = line.recv()
        time.sleep(max(0, start - monotonic()))
        return start

    with suppress(EOFError, OSError):  # the parent has given up, or is gone
        try:
            answer = True, task(gate)
        except EOFError:
            raise
        except BaseException:
            line.send((False, traceback.format_exc()))
        else:
            line.send(answer)
    os._exit(0)  # does not clean up what belongs to the parent
