# SPDX-License-Identifier: MIT
"""Forked children for the tests of layer 1: each runs a function, and its result comes back.

A child runs a function of the test that starts it, so what the test has patched is patched in the
child too. Every child is gone when the ``with`` ends. Nothing here sleeps, and `WATCHDOG_S` limits
how long a child can hang.
"""

import os
import signal
import sys
import threading
import traceback
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from typing import Any, NoReturn

WATCHDOG_S = 120.0
"""Longer than anything here takes on a busy machine."""


class Child:
    """A forked child, as its parent sees it."""

    def __init__(self, pid: int, pipe: "Connection[Any, Any]") -> None:
        self.pid = pid
        self._pipe = pipe

    def result(self) -> Any:
        """Return what the child's function returned. Raise AssertionError if it raised or hangs."""
        assert self._pipe.poll(WATCHDOG_S), "the child says nothing: it hangs"
        result, raised = self._pipe.recv()
        assert raised is None, f"in the child:\n{raised}"
        return result

    def end(self) -> None:
        """Kill the child if it still runs, and wait for it."""
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        self._pipe.close()


@contextmanager
def forked(*bodies: Callable[[], object]) -> Iterator[list[Child]]:
    """Yield a child for each of `bodies`. All of them run at once."""
    children: list[Child] = []
    try:
        for body in bodies:
            ours, theirs = Pipe()
            pid = fork()
            if not pid:
                ours.close()
                _run_and_exit(body, theirs)
            theirs.close()
            children.append(Child(pid, ours))
        yield children
    finally:
        for child in children:
            child.end()


@contextmanager
def event_at_their_end(children: Sequence[Child]) -> Iterator[threading.Event]:
    """Yield an event that is set when all `children` have ended, or when one of them failed."""
    over = threading.Event()

    def wait() -> None:
        try:
            for child in children:
                child.result()
        finally:
            over.set()

    waiter = threading.Thread(target=wait)
    waiter.start()
    yield over
    waiter.join()


def in_child(body: Callable[[], object]) -> Any:
    """Return what `body` returns in a child of its own."""
    with forked(body) as [child]:
        return child.result()


def fork() -> int:
    """Call os.fork without the warning of CPython 3.12 and later for a process with threads."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*multi-threaded.*fork", DeprecationWarning)
        return os.fork()


def _run_and_exit(body: Callable[[], object], pipe: "Connection[Any, Any]") -> NoReturn:
    """Run `body` in the child, send its result, and exit without any clean-up."""
    try:
        sys.settrace(None)
        pipe.send((body(), None))
    except BaseException:  # no exception may reach pytest in the child
        with suppress(OSError):
            pipe.send((None, traceback.format_exc()))
    finally:
        os._exit(0)
