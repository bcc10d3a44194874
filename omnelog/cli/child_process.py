# SPDX-License-Identifier: MIT
"""A command that was started: whether it has ended or stopped, and the way to signal it."""

import os
import signal
from contextlib import suppress

_UNKNOWN = 255  # the exit status of a child that somebody else has waited for


class Child:
    """A child of ours."""

    def __init__(self, pid: int, *, own_group: bool) -> None:
        """Take the process `pid`, which leads a process group if it has its own."""
        self.pid = pid
        self.own_group = own_group
        self.returncode: int | None = None
        """None while it runs, its exit status, or minus the signal that ended it."""
        self.stopped: int = 0
        """The signal that stopped it; 0 if none did, or if it was continued."""
        self.is_known: bool = True
        """Whether its exit status is its own, and not lost."""
        self._end = -1
        with suppress(OSError, AttributeError):  # refused in some containers, or an old kernel
            # SIGCHLD alone would not do: another thread of this process may receive it.
            self._end = os.pidfd_open(pid)

    def fileno(self) -> int:
        """The descriptor that becomes readable when there is something to `look` at; -1: none."""
        return self._end

    def look(self) -> None:
        """See whether it has stopped, was continued, or has ended.

        It stays a zombie until `close`: so long nobody else can be given its id or its group's.
        """
        if self.returncode is not None:
            return
        with suppress(OSError):
            changes = os.WSTOPPED | os.WCONTINUED | os.WNOHANG
            while change := os.waitid(os.P_PID, self.pid, changes):
                self.stopped = change.si_status if change.si_code == os.CLD_STOPPED else 0
        try:
            end = os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except OSError:
            self._reap()
            return
        if end is not None:
            self.returncode = end.si_status if end.si_code == os.CLD_EXITED else -end.si_status

    def _reap(self) -> None:
        """See whether it has ended, where waitid(2) is refused."""
        try:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
        except ChildProcessError:
            self.lose_status()
            return
        if pid:
            self.returncode = os.waitstatus_to_exitcode(status)

    def lose_status(self) -> None:
        """Take it that it has ended, but not how."""
        self.is_known = False
        self.returncode = _UNKNOWN

    def send(self, signum: int) -> None:
        """Send it a signal."""
        if signum == signal.SIGCONT:
            self.stopped = 0
        with suppress(OSError):
            os.kill(self.pid, signum)

    def send_group(self, signum: int) -> None:
        """Send a signal to its group, if that is its own, or else to it alone."""
        if not self.own_group:
            self.send(signum)
            return
        if signum == signal.SIGCONT:
            self.stopped = 0
        with suppress(OSError):
            os.killpg(self.pid, signum)

    def is_in_our_group(self) -> bool:
        """Whether it gets the signals that the terminal sends to us."""
        try:
            return os.getpgid(self.pid) == os.getpgrp()
        except OSError:
            return True

    def close(self) -> None:
        """Reap it, once it has ended, and close the descriptor."""
        if self._end >= 0:
            os.close(self._end)
            self._end = -1
        with suppress(OSError):
            os.waitpid(self.pid, os.WNOHANG)


def reap_orphans(child: Child) -> None:
    """As process 1, wait for every process that has ended and is not `child`.

    Nobody else can: such a process was left behind by its parent.
    """
    if os.getpid() != 1:
        return
    with suppress(ChildProcessError):
        while ended := os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT):
            if ended.si_pid == child.pid:  # the system will end the others with us
                return
            os.waitpid(ended.si_pid, 0)


def describe(returncode: int) -> str:
    """How a child ended, in words."""
    if returncode >= 0:
        return f"exit status {returncode}"
    try:
        name = signal.Signals(-returncode).name
    except ValueError:
        name = f"SIGRTMIN+{-returncode - signal.SIGRTMIN}"
    return f"killed by {name}"
