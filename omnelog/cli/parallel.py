# SPDX-License-Identifier: MIT
"""Checking many logs in several processes, which end when the process that needs them ends.

A module of its own because importing what it needs would take every other verb 20 ms.
"""

import multiprocessing
import os
import signal
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing.sharedctypes import Synchronized
from pathlib import Path
from threading import Thread

from .checks import Verdict, check_log
from .exits import FINDINGS, Refused
from .progress import Progress

_SHARE = 8  # logs that a process is given at once: one takes 200 us, and may take seconds
_POLL_S = 0.1


def check_at_once(
    logs: Sequence[tuple[str, Path]], progress: Progress, jobs: int
) -> Iterator[Verdict]:
    """Yield the verdicts on `logs`, run ids and paths, in order; `jobs` processes find them.

    Raises Refused if one of them is killed.
    """
    context = multiprocessing.get_context("fork")  # at once, and there are no threads here
    done = context.Value("Q", 0)
    others = set(multiprocessing.active_children())
    pool = ProcessPoolExecutor(jobs, context, _prepare, (done,))
    try:
        shares = (logs[i : i + _SHARE] for i in range(0, len(logs), _SHARE))
        with _no_interrupt():  # in the hooks of a fork Python drops a KeyboardInterrupt
            futures = deque(pool.submit(_check_share, share) for share in shares)
        while futures:
            if wait([futures[0]], _POLL_S).done:
                yield from futures.popleft().result()
            progress.reached(done.value)
        pool.shutdown()
    except BrokenProcessPool as error:
        raise Refused(
            "verify: one of its processes was killed, perhaps because memory ran out; "
            "try a smaller -j"
        ) from error
    finally:
        for process in set(multiprocessing.active_children()) - others:
            process.terminate()
        # Not waited for: an interrupt can leave a lock of the pool acquired for good.
        pool.shutdown(wait=False, cancel_futures=True)


@contextmanager
def _no_interrupt() -> Iterator[None]:
    """Let an interrupt come no sooner than at the end."""
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT,))
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


_done: "Synchronized[int]"  # in a process of the pool: bytes read by all of them


def _prepare(done: "Synchronized[int]") -> None:
    """In a new process of the pool: end in silence, and never outlive whom it works for."""
    global _done  # noqa: PLW0603 - how an initializer gives anything to a process
    _done = done
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGINT,))
    Thread(target=_leave_with_parent, daemon=True).start()


def _leave_with_parent() -> None:
    if parent := multiprocessing.parent_process():
        parent.join()
        os._exit(FINDINGS)


def _check_share(logs: Sequence[tuple[str, Path]]) -> list[Verdict]:
    def read(size: int) -> None:
        with _done.get_lock():
            _done.value += size

    return [check_log(run_id, path, read) for run_id, path in logs]
