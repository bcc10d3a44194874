# SPDX-License-Identifier: MIT
"""Run a command on a pseudo-terminal of its own, on which job control works.

A process called the monitor leads the terminal's session. It starts the command in a process group
of its own, in the terminal's foreground, and reports when the command stops and how it ends. The
monitor exists because of a rule of the kernel: a terminal can stop a process group only if a
process of the same session, but of another group, is the parent of a member. The monitor does
nothing else.

If our standard input is a terminal, it is in raw mode while the command runs, and what is typed
goes to the pseudo-terminal unchanged.
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

_SIZE = (24, 80)  # rows and columns, if we do not have a terminal ourselves
_REPORT = struct.Struct("=ii")
"""The first report has the process id of the command. The others have what waitid(2) returned: how
the state of the command changed, and its exit status or the signal."""


class TerminalChild(Child):
    """A command whose state is reported by its monitor."""

    def __init__(self, pid: int, monitor: int, reports: int) -> None:
        """For the command `pid`, whose monitor has the process id `monitor`.

        `reports`: the descriptor from which the monitor's reports can be read.
        """
        self.pid = pid
        self.own_group = True
        self.returncode = None
        self.stopped: int = 0
        self.is_known = True
        self._monitor = monitor
        self._reports = reports
        os.set_blocking(reports, False)

    def fileno(self) -> int:
        """Return the descriptor of the monitor's reports."""
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
        """Return False, because the command has a session of its own."""
        return False

    def close(self) -> None:
        """Let the monitor reap the command and end."""
        if self._reports >= 0:
            os.close(self._reports)
            self._reports = -1
            with suppress(OSError):
                os.waitpid(self._monitor, 0)


class Terminal:
    """A pseudo-terminal, and our own keyboard, if our standard input is a terminal."""

    def __init__(self) -> None:
        """Make a pseudo-terminal with the settings and the size of ours. Raises OSError."""
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
        """Start a command on the pseudo-terminal. Raises OSError as `spawn` does."""
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
            raise OSError(
                "the process that was to start the command ended unexpectedly; "
                "try again, or without --pty"
            ) from error
        return TerminalChild(pid, monitor, reports)

    def _lead_session(self) -> None:
        os.setsid()
        fcntl.ioctl(self._slave, termios.TIOCSCTTY, 0)

    def _enter_foreground(self) -> None:
        """Put this process into the foreground of the terminal, as a shell does with a command."""
        os.setpgid(0, 0)
        blocked = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGTTOU,))
        os.tcsetpgrp(self._slave, os.getpid())
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
        for fd in (0, 1, 2) if self.has_keyboard else (1, 2):
            os.dup2(self._slave, fd)

    def resize(self) -> bool:
        """Set the size to that of our terminal; return whether the size changed."""
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
        """Start to pass on what is typed, if we are in the foreground of our terminal."""
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
        """Restore the mode of our terminal, and pass nothing on any more."""
        if self.keyboard >= 0:
            os.close(self.keyboard)
            self.keyboard = -1
        if self._raw_from is not None:
            with suppress(OSError, termios.error):
                termios.tcsetattr(0, termios.TCSANOW, self._raw_from)
            self._raw_from = None

    def close(self) -> None:
        """Close the pseudo-terminal. Processes that still use it get SIGHUP."""
        self.disconnect()
        if self.master >= 0:
            os.close(self.master)
            self.master = -1


def _watch(pid: int, reported: int) -> None:
    """Report to `reported` that `pid` has started, when it stops or continues, and how it ends.

    This runs in the monitor.
    """
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
            with suppress(OSError):  # the descriptor from which the list was read is closed already
                os.close(int(name))
    os.write(report, _REPORT.pack(pid, 0))
    changes = os.WSTOPPED | os.WCONTINUED
    while change := os.waitid(os.P_PID, pid, changes | os.WEXITED | os.WNOWAIT):
        has_ended = change.si_code in (os.CLD_EXITED, os.CLD_KILLED, os.CLD_DUMPED)
        if has_ended:
            os.write(report, _REPORT.pack(change.si_code, change.si_status))
            break
        with suppress(ChildProcessError):  # it has ended: the next waitid(2) says how
            if change := os.waitid(os.P_PID, pid, changes | os.WNOHANG):
                os.write(report, _REPORT.pack(change.si_code, change.si_status))
    # The command's process id and the session exist until the recorder closes its end of the pipe.
    recorder = select.poll()
    recorder.register(report, 0)
    recorder.poll()
