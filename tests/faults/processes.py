# SPDX-License-Identifier: MIT
"""Forked child processes for the fault tests, which talk to the test through a pipe.

A child runs a function of the test that starts it, so the test's patches are in effect there, too.
The test receives what the child sends, in order, and fails if the child has raised something.
Nothing here sleeps: one end waits for a message of the other, and the watchdog only limits a hang.
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
"""Longer than anything here takes on a busy machine: a test that takes longer hangs."""


def fork() -> int:
    """Call os.fork without the warning that this process may have threads.

    CPython 3.12 and later give it, because a child may need what another thread has locked. What a
    child can still do then is what these tests are about.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*multi-threaded.*fork", DeprecationWarning)
        return os.fork()


class _Raised:
    """What a child raised, on its way to the test."""

    def __init__(self, text: str) -> None:
        self.text = text


class Channel:
    """One end of the pipe between a test and its child."""

    def __init__(self, pipe: "Connection[Any, Any]") -> None:
        self.pipe = pipe

    def tell(self, message: object = None) -> None:
        """Send `message`."""
        self.pipe.send(message)

    def hear(self) -> Any:
        """Return the next message of the other end; raise AssertionError if it has raised."""
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
        """Send the child the signal `number`."""
        os.kill(self.pid, number)

    def stop(self) -> None:
        """Send the child SIGSTOP, and return when it has stopped."""
        self.send_signal(signal.SIGSTOP)
        _, status = os.waitpid(self.pid, os.WUNTRACED)
        assert os.WIFSTOPPED(status), status

    def kill(self) -> None:
        """Send the child SIGKILL, and return when it has ended."""
        if not self._ended:
            self.send_signal(signal.SIGKILL)
            self._reap()

    def wait(self) -> int:
        """Wait until the child ends; return its exit code, negative if a signal ended it."""
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
    """Fork a child that runs ``body(channel)`` and sends its result; kill the child afterwards."""
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
    """In a forked child, run `body`, send what it returns or raises, and exit without clean-up."""
    code = 1
    try:
        sys.settrace(None)
        channel.tell(body(channel))
        code = 0
    except BaseException:  # no exception may get from here into pytest's frames
        with suppress(OSError):
            channel.tell(_Raised(traceback.format_exc()))
    finally:
        os._exit(code)


def in_child(body: Callable[[Channel], object]) -> Any:
    """Run `body` in a child, and return what it returns."""
    with forked(body) as child:
        return child.hear()


def append_numbers(log: "omnelog.EventLog", who: str, count: int) -> None:
    """Append `count` events of `who`, numbered from 0; a `multiprocessing.Process` runs this."""
    for number in range(count):
        log.append(omnelog.PipeAborted(id=str(number), ts="", run_id=who, reason="r" * number))


_CLONE_NEWNS, _CLONE_NEWUSER = 0x00020000, 0x10000000
_MS_REC, _MS_PRIVATE = 0x4000, 0x40000


def mount_tmpfs(path: Path, options: str) -> str | None:
    """Mount a tmpfs at `path` for this process only; return why if that is impossible.

    Call this in a child with one thread: it makes a mount namespace of its own. A process without
    privileges gets them from a user namespace.
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
