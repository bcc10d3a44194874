# SPDX-License-Identifier: MIT
"""Child processes for the fault tests: forked, spoken to through a pipe, ended by their own pid.

A child runs a function of the test that starts it, so whatever the test has patched holds there as
well. What it sends comes back in order; what it raises fails the test that listens to it. Nothing
here sleeps: one end waits for what the other says, and the watchdog only bounds a hang.
"""

import ctypes
import os
import select
import signal
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NoReturn

from .. import omnelog

WATCHDOG_S = 120.0
"""Longer than anything here takes on a busy machine: past it a test hangs."""


def fork() -> int:
    """os.fork, of a process that may have threads: what the child does is what the tests are about.

    CPython 3.12 and later warn of that, and rightly so, for a child that goes on as usual.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*multi-threaded.*fork", DeprecationWarning)
        return os.fork()


class _Raised:
    """What a child raised, on its way to the test."""

    def __init__(self, text: str) -> None:
        self.text = text


class Channel:
    """One end of the talk between a test and its child."""

    def __init__(self, pipe: "Connection[Any, Any]") -> None:
        self.pipe = pipe

    def tell(self, message: object = None) -> None:
        """Send `message`."""
        self.pipe.send(message)

    def hear(self) -> Any:
        """Return what the other end says next; what it raised is an AssertionError here."""
        assert self.pipe.poll(WATCHDOG_S), "the other process says nothing: it hangs"
        message = self.pipe.recv()
        assert not isinstance(message, _Raised), f"in the child:\n{message.text}"
        return message


class Child(Channel):
    """A forked child, as its parent sees it."""

    def __init__(self, pid: int, pipe: "Connection[Any, Any]") -> None:
        super().__init__(pipe)
        self.pid = pid
        self._ended = False

    def send_signal(self, number: int) -> None:
        """Send it the signal `number`."""
        os.kill(self.pid, number)

    def stop(self) -> None:
        """SIGSTOP it, and return when it stands still."""
        self.send_signal(signal.SIGSTOP)
        _, status = os.waitpid(self.pid, os.WUNTRACED)
        assert os.WIFSTOPPED(status), status

    def kill(self) -> None:
        """SIGKILL it, and return when it is gone."""
        if not self._ended:
            self.send_signal(signal.SIGKILL)
            self._reap()

    def wait(self) -> int:
        """Wait until it ends by itself; return its exit code, negative if a signal ended it."""
        handle = os.pidfd_open(self.pid)
        try:
            assert select.select([handle], [], [], WATCHDOG_S)[0], "the child does not end"
        finally:
            os.close(handle)
        return self._reap()

    def _reap(self) -> int:
        _, status = os.waitpid(self.pid, 0)
        self._ended = True
        return os.waitstatus_to_exitcode(status)


@contextmanager
def forked(body: Callable[[Channel], object]) -> Iterator[Child]:
    """A child that runs ``body(channel)``, says what it returns, and is gone afterwards."""
    ours, theirs = Pipe()
    pid = fork()
    if not pid:
        ours.close()
        run_and_exit(body, Channel(theirs))
    theirs.close()
    child = Child(pid, ours)
    try:
        yield child
    finally:
        child.kill()
        ours.close()


def run_and_exit(body: Callable[[Channel], object], channel: Channel) -> NoReturn:
    """Be a forked child: run `body`, send what it returns or raises, leave without any clean-up."""
    code = 1
    try:
        sys.settrace(None)
        channel.tell(body(channel))
        code = 0
    except BaseException:  # nothing may go on from here into pytest's own frames
        with suppress(OSError):
            channel.tell(_Raised(traceback.format_exc()))
    finally:
        os._exit(code)


def in_child(body: Callable[[Channel], object]) -> Any:
    """What `body` returns, run in a child of its own."""
    with forked(body) as child:
        return child.hear()


def append_numbers(log: "omnelog.EventLog", who: str, count: int) -> None:
    """Append `count` events of `who`, numbered from 0: what a `multiprocessing.Process` runs."""
    for number in range(count):
        log.append(omnelog.PipeAborted(id=str(number), ts="", run_id=who, reason="r" * number))


_CLONE_NEWNS, _CLONE_NEWUSER = 0x00020000, 0x10000000
_MS_REC, _MS_PRIVATE = 0x4000, 0x40000


def mount_tmpfs(path: Path, options: str) -> str | None:
    """Mount a tmpfs at `path`, in mount namespaces of this process alone; or say why it cannot.

    To be called in a child with one thread. Without privileges a user namespace gives them.
    """
    libc = ctypes.CDLL(None, use_errno=True)

    def failed(call: str) -> str:
        return f"{call}: {os.strerror(ctypes.get_errno())}"

    uid, gid = os.geteuid(), os.getegid()
    if libc.unshare(_CLONE_NEWNS):
        if libc.unshare(_CLONE_NEWUSER | _CLONE_NEWNS):
            return failed("no mount namespace, not even in a user namespace: unshare")
        try:
            Path("/proc/self/setgroups").write_text("deny")
            Path("/proc/self/uid_map").write_text(f"0 {uid} 1")
            Path("/proc/self/gid_map").write_text(f"0 {gid} 1")
        except OSError as error:
            return f"no root in a user namespace: {error}"
    if libc.mount(b"none", b"/", None, _MS_REC | _MS_PRIVATE, None):
        return failed("the mounts cannot be made private: mount")
    if libc.mount(b"tmpfs", os.fsencode(path), b"tmpfs", 0, options.encode()):
        return failed("no tmpfs: mount")
    return None
