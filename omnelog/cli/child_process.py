# SPDX-License-Identifier: MIT
"""A command that was started: find out whether it has ended or stopped, and send it signals."""

import os
import signal
from contextlib import suppress

_UNKNOWN = 255  # the exit status of a child if other code has waited for it


class Child:
    """A child process of this process."""

    def __init__(self, pid: int, *, own_group: bool) -> None:
        """For the process `pid`. `own_group`: whether it leads a process group of its own."""
        self.pid = pid
        self.own_group = own_group
        self.returncode: int | None = None
        """Its exit status, or minus the signal that ended it; None while it runs."""
        self.stopped: int = 0
        """The signal that stopped it; 0 if it is not stopped."""
        self.is_known: bool = True
        """Whether `returncode` is its real exit status; False if that is lost."""
        self._end = -1
        with suppress(OSError, AttributeError):  # refused in some containers and by old kernels
            # SIGCHLD alone is not enough: another thread of this process may receive it.
            self._end = os.pidfd_open(pid)

    def fileno(self) -> int:
        """Return a descriptor that becomes readable when `look` is needed, or -1."""
        return self._end

    def look(self) -> None:
        """Find out whether the child has stopped, was continued, or has ended.

        A child that has ended stays a zombie until `close`. Until then the system does not give its
        process id, or the id of its group, to another process.
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
        """Find out whether the child has ended, where waitid(2) is refused."""
        try:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
        except ChildProcessError:
            self.lose_status()
            return
        if pid:
            self.returncode = os.waitstatus_to_exitcode(status)

    def lose_status(self) -> None:
        """Note that the child has ended, and that its exit status is not known."""
        self.is_known = False
        self.returncode = _UNKNOWN

    def send(self, signum: int) -> None:
        """Send a signal to the child."""
        if signum == signal.SIGCONT:
            self.stopped = 0
        with suppress(OSError):
            os.kill(self.pid, signum)

    def send_group(self, signum: int) -> None:
        """Send a signal to the child's process group if that is its own, otherwise to the child."""
        if not self.own_group:
            self.send(signum)
            return
        if signum == signal.SIGCONT:
            self.stopped = 0
        with suppress(OSError):
            os.killpg(self.pid, signum)

    def is_in_our_group(self) -> bool:
        """Return whether the child gets the signals that the terminal sends to us."""
        try:
            return os.getpgid(self.pid) == os.getpgrp()
        except OSError:
            return True

    def close(self) -> None:
        """Reap the child if it has ended, and close the descriptor."""
        if self._end >= 0:
            os.close(self._end)
            self._end = -1
        with suppress(OSError):
            os.waitpid(self.pid, os.WNOHANG)


def reap_orphans(child: Child) -> None:
    """If this is process 1, wait for every process that has ended and is not `child`.

    No other process can do that, because their parents have ended.
    """
    if os.getpid() != 1:
        return
    with suppress(ChildProcessError):
        while ended := os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT):
            if ended.si_pid == child.pid:  # we end soon, and the system then ends all others
                return
            os.waitpid(ended.si_pid, 0)


def describe(returncode: int) -> str:
    """Return in words how a child ended."""
    if returncode >= 0:
        return f"exit status {returncode}"
    try:
        name = signal.Signals(-returncode).name
    except ValueError:
        name = f"SIGRTMIN+{-returncode - signal.SIGRTMIN}"
    return f"killed by {name}"
