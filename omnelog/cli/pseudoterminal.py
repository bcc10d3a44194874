# SPDX-License-Identifier: MIT
"""A command on a pseudo-terminal of its own, in which job control works.

A process called the monitor leads the terminal's session. It starts the command in a process group
of its own, in the terminal's foreground, and reports when the command stops and how it ends. The
kernel lets a terminal stop a group only while some other process of its session is the parent of
one of its members; that is what the monitor is for. It reads and writes nothing else.

Our own terminal, if our standard input is one, is in raw mode meanwhile, and what is typed goes to
the pseudo-terminal as it is.
"""

import fcntl
import os
import select
import signal
import struct
import termios
import tty
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from .child_process import Child
from .start_command import become, fork, is_activated, raise_start_error

_SIZE = (24, 80)  # rows and columns, if we have no terminal whose size could be taken
_REPORT = struct.Struct("=ii")
"""The first report is the id of the command; the others say what waitid(2) did of it: how its state
changed, and its exit status or the signal."""


class TerminalChild(Child):
    """A command whose state is reported by its monitor."""

    def __init__(self, pid: int, monitor: int, reports: int) -> None:
        """Take the command `pid` of the process `monitor`, which writes to `reports`."""
        self.pid = pid
        self.own_group = True
        self.returncode = None
        self.stopped: int = 0
        self.is_known = True
        self._monitor = monitor
        self._reports = reports
        os.set_blocking(reports, False)

    def fileno(self) -> int:
        """The descriptor of the monitor's reports."""
        return self._reports

    def look(self) -> None:
        """Read what the monitor has reported."""
        while self.returncode is None:
            try:
                report = os.read(self._reports, _REPORT.size)
            except BlockingIOError:
                return
            if not report:  # the monitor was killed
                self.lose_status()
                return
            code, status = _REPORT.unpack(report)
            if code == os.CLD_STOPPED:
                self.stopped = status
            elif code == os.CLD_CONTINUED:
                self.stopped = 0
            else:
                self.returncode = status if code == os.CLD_EXITED else -status

    def is_in_our_group(self) -> bool:
        """It never is: it has a session of its own."""
        return False

    def close(self) -> None:
        """Let the monitor reap the command and end."""
        if self._reports >= 0:
            os.close(self._reports)
            self._reports = -1
            with suppress(OSError):
                os.waitpid(self._monitor, 0)


class Terminal:
    """The pseudo-terminal, with the keyboard that is ours, if our standard input is a terminal."""

    def __init__(self) -> None:
        """Make one that is like ours. Raises OSError."""
        self.master: int
        self.master, self._slave = os.openpty()
        self.keyboard: int = -1
        self._raw_from: list[Any] | None = None
        self._ours = next((fd for fd in (0, 1, 2) if os.isatty(fd)), None)
        self.has_keyboard: bool = os.isatty(0)
        if self._ours is not None:
            with suppress(termios.error):
                attributes = termios.tcgetattr(self._ours)
                termios.tcsetattr(self._slave, termios.TCSANOW, attributes)
        self.resize()
        os.set_blocking(self.master, False)

    def start(
        self, command: Sequence[str], environment: Mapping[str, str], *, ignores_children: bool
    ) -> TerminalChild:
        """Start a command on it. Raises OSError as `spawn` does."""
        activated = is_activated(environment)
        reports, reported = os.pipe()
        failure, failed = os.pipe()
        monitor = fork()
        if monitor == 0:
            try:
                self._lead_session()
                pid = fork()
                if pid == 0:
                    self._enter_foreground()
                    become(
                        *(command, environment, failed),
                        activated=activated,
                        ignores_children=ignores_children,
                    )
                else:
                    _watch(pid, reported)
            finally:
                os._exit(127)
        os.close(reported)
        os.close(failed)
        os.close(self._slave)
        try:
            pid, _ = _REPORT.unpack(os.read(reports, _REPORT.size))
            raise_start_error(failure, command[0])
        except (OSError, struct.error) as error:
            os.close(reports)
            os.waitpid(monitor, 0)
            if isinstance(error, OSError):
                raise
            raise OSError("the process that was to start the command ended") from error
        return TerminalChild(pid, monitor, reports)

    def _lead_session(self) -> None:
        os.setsid()
        fcntl.ioctl(self._slave, termios.TIOCSCTTY, 0)

    def _enter_foreground(self) -> None:
        """Be what a shell makes of a command that it starts in the foreground of its terminal."""
        os.setpgid(0, 0)
        blocked = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGTTOU,))
        os.tcsetpgrp(self._slave, os.getpid())
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
        for fd in (0, 1, 2) if self.has_keyboard else (1, 2):
            os.dup2(self._slave, fd)

    def resize(self) -> bool:
        """Give it the size of our terminal; return whether that made a difference."""
        wanted = struct.pack("HHHH", *_SIZE, 0, 0)
        if self._ours is not None:
            with suppress(OSError):
                wanted = fcntl.ioctl(self._ours, termios.TIOCGWINSZ, bytes(8))
        before = wanted
        with suppress(OSError):
            before = fcntl.ioctl(self.master, termios.TIOCGWINSZ, bytes(8))
            fcntl.ioctl(self.master, termios.TIOCSWINSZ, wanted)
        return before != wanted

    def connect(self) -> None:
        """Let what is typed go to the command, if we are in the foreground of our terminal."""
        if not self.has_keyboard or self._raw_from is not None:
            return
        try:
            if os.tcgetpgrp(0) != os.getpgrp():
                return
            self._raw_from = termios.tcgetattr(0)
            tty.setraw(0, termios.TCSANOW)
            flags = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
            self.keyboard = os.open("/proc/self/fd/0", flags)
        except (OSError, termios.error):
            self.disconnect()

    def disconnect(self) -> None:
        """Make our terminal what it was."""
        if self.keyboard >= 0:
            os.close(self.keyboard)
            self.keyboard = -1
        if self._raw_from is not None:
            with suppress(OSError, termios.error):
                termios.tcsetattr(0, termios.TCSANOW, self._raw_from)
            self._raw_from = None

    def close(self) -> None:
        """Give it up: what is left on it is hung up."""
        self.disconnect()
        if self.master >= 0:
            os.close(self.master)
            self.master = -1


def _watch(pid: int, reported: int) -> None:
    """In the monitor: report that `pid` has started, when it stops or continues, and its end."""
    for signum in signal.valid_signals() - {signal.SIGCHLD, signal.SIGKILL, signal.SIGSTOP}:
        with suppress(OSError):
            signal.signal(signum, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    null = os.open(os.devnull, os.O_RDWR)
    for fd in (0, 1, 2):
        os.dup2(null, fd)
    report = os.dup2(reported, 3)
    for name in os.listdir("/proc/self/fd"):
        if int(name) > report:
            with suppress(OSError):  # the one that the list was read from
                os.close(int(name))
    os.write(report, _REPORT.pack(pid, 0))
    changes = os.WSTOPPED | os.WCONTINUED
    while change := os.waitid(os.P_PID, pid, changes | os.WEXITED | os.WNOWAIT):
        has_ended = change.si_code in (os.CLD_EXITED, os.CLD_KILLED, os.CLD_DUMPED)
        if has_ended:
            os.write(report, _REPORT.pack(change.si_code, change.si_status))
            break
        with suppress(ChildProcessError):  # it has ended: the next look shows how
            if change := os.waitid(os.P_PID, pid, changes | os.WNOHANG):
                os.write(report, _REPORT.pack(change.si_code, change.si_status))
    # Its id, and the session, stay until the recorder has closed the other end of the pipe.
    recorder = select.poll()
    recorder.register(report, 0)
    recorder.poll()
