# SPDX-License-Identifier: MIT
"""Processes at one gate: all start together and return their results, and none is left behind."""

import multiprocessing
import os
import signal
from collections.abc import Callable
from functools import partial
from time import monotonic, sleep

import pytest

from stress.timed_processes import Gate, TaskFailed, together

pytestmark = pytest.mark.filterwarnings(  # pytest-xdist's worker has a thread, which is asleep
    "ignore:This process .* is multi-threaded:DeprecationWarning"
)


def test_all_start_after_the_last_is_ready() -> None:
    def task(preparing_s: float, gate: Gate) -> tuple[float, float, float]:
        sleep(preparing_s)
        ready = monotonic()
        return ready, gate(), monotonic()

    done = together([partial(task, 0.0), partial(task, 0.05)])
    starts = {start for _, start, _ in done}
    assert len(starts) == 1
    assert max(ready for ready, *_ in done) <= min(starts)
    assert all(start <= began for _, start, began in done)


def test_answers_come_in_the_order_of_the_tasks() -> None:
    def task(number: int, gate: Gate) -> tuple[int, int]:
        gate()
        sleep(0.01 * (3 - number))
        return number, os.getpid()

    done = together([partial(task, number) for number in range(3)])
    assert [number for number, _ in done] == [0, 1, 2]
    assert len({os.getpid(), *(pid for _, pid in done)}) == 4


def _raise(gate: Gate) -> None:
    raise ValueError("before the gate")


def _raise_later(gate: Gate) -> None:
    gate()
    raise ValueError("after the gate")


def _die(gate: Gate) -> None:
    gate()
    os.kill(os.getpid(), signal.SIGKILL)


def _hang(gate: Gate) -> None:
    gate()
    sleep(600)


@pytest.mark.parametrize(
    ("task", "timeout_s", "how"),
    [
        (_raise, 60, "before the gate"),
        (_raise_later, 60, "after the gate"),
        (_die, 60, "died"),
        (_hang, 0.5, "in time"),
    ],
)
def test_one_failure_fails_all_and_leaves_no_process(
    task: Callable[[Gate], None], timeout_s: float, how: str
) -> None:
    with pytest.raises(TaskFailed, match=how):
        together([task, _hang], timeout_s)
    assert not multiprocessing.active_children()
