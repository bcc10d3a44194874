# SPDX-License-Identifier: MIT
"""Check many logs in several processes, which end when the process that started them ends.

This is a module of its own because what it imports takes 20 ms, which other verbs need not spend.
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

_SHARE = 8  # logs that a process gets at once: a log takes 200 us, and a large one takes seconds
_POLL_S = 0.1  # seconds between two updates of the progress


def check_at_once(
    logs: Sequence[tuple[str, Path]], progress: Progress, jobs: int
) -> Iterator[Verdict]:
    """Check `logs`, pairs of run id and path, in `jobs` processes. Yield the verdicts in order.

    Raises Refused if one of the processes is killed.
    """
    context = multiprocessing.get_context("fork")  # the fastest; safe, as there are no threads here
    done = context.Value("Q", 0)
    others = set(multiprocessing.active_children())
    pool = ProcessPoolExecutor(jobs, context, _prepare, (done,))
    try:
        shares = (logs[i : i + _SHARE] for i in range(0, len(logs), _SHARE))
        with _no_interrupt():  # Python drops a KeyboardInterrupt that comes in a hook of a fork
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
        # Do not wait: an interrupt can leave a lock of the pool acquired for ever.
        pool.shutdown(wait=False, cancel_futures=True)


@contextmanager
def _no_interrupt() -> Iterator[None]:
    """A context manager that delays a Ctrl-C until its end."""
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT,))
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


_done: "Synchronized[int]"  # in a process of the pool: the bytes that all of them have read


def _prepare(done: "Synchronized[int]") -> None:
    """Prepare a new process of the pool. Ctrl-C ends it without a message; it ends with its parent.

    `done`: counts the bytes that all processes of the pool have read.
    """
    global _done  # noqa: PLW0603 - an initializer cannot return anything
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
