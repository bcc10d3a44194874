# SPDX-License-Identifier: MIT
"""Running a command with its output both passed through and captured, live, as bytes.

One loop waits for the command's two pipes, for room in our own output, for signals and for the end,
so that none of them holds up another: a reader of our output that has stopped reading does not keep
a signal from the command.
"""

import errno
import math
import os
import select
import signal
import struct
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from fcntl import ioctl
from subprocess import PIPE, Popen
from termios import FIONREAD
from time import monotonic
from typing import IO

from .. import ErrorKind
from .exits import NOT_EXECUTABLE, NOT_FOUND, RECORDER, SIGNALLED, TIMED_OUT
from .signals import Signals
from .streams import STDERR, STDOUT

_READ = 64 * 1024
_TAIL = 4096  # bytes of standard error that are kept to say why it failed
_LINGER_S = 1.0  # how long, after the command, what it left running may go on writing
_GRACE_S = 5.0  # between SIGTERM and SIGKILL, for a command that took too long


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How a command ended."""

    status: int
    """As a shell gives it: 128 + n for signal n, 126 and 127 if it could not be run, 124 if it took
    too long."""
    ending: str
    """The same in words."""
    ran: bool
    """Whether it could be run at all."""
    ended: bool
    """Whether it did not end by itself, but by a signal."""
    failure: ErrorKind | None
    """None if it succeeded."""
    stderr_tail: str
    """The last lines of its standard error, 4,096 bytes at most."""
    losses: list[str]
    """What of its output was not captured or not passed through, and why."""


def run(
    command: Sequence[str],
    environment: Mapping[str, str],
    capture: int,
    signals: Signals,
    timeout_s: float | None = None,
) -> Outcome:
    """Run `command` to its end; write what it prints to the descriptor `capture` as well.

    Within each of the two streams the captured order is exact, between them it is that of arrival.
    A signal that came to us is passed on, unless the terminal sent it to the command as well. If
    the reader of our output goes away, so does the command's: it gets SIGPIPE as in a pipeline. All
    that was written by the time the command ended is captured; processes that it left running may
    go on for a second, then their pipes are closed.

    With `timeout_s` it runs in a process group of its own, which is ended as a whole when that many
    seconds have passed: by SIGTERM, and by SIGKILL what is left of it 5 s later, or 1 s after the
    command itself has gone.
    """
    group = None if timeout_s is None else 0  # 0: a new one
    deadline = math.inf if timeout_s is None else monotonic() + timeout_s
    try:
        child = Popen(
            command, stdout=PIPE, stderr=PIPE, env=environment, bufsize=0, process_group=group
        )
    except OSError as error:
        return _not_run(command[0], error)
    signals.listen()
    with child:
        relay = _Relay(child, capture, signals, deadline)
        relay.run()
    status, ending = _ending(child.returncode)
    failure = ErrorKind.CRASH if status else None
    if relay.timed_out:
        status, failure = TIMED_OUT, ErrorKind.TIMEOUT
        ending = f"timed out after {timeout_s:g} s"
    return Outcome(
        status=status,
        ending=ending,
        ran=True,
        ended=child.returncode < 0 or relay.timed_out,
        failure=failure,
        stderr_tail=relay.stderr_tail(),
        losses=relay.losses(),
    )


def _not_run(program: str, error: OSError) -> Outcome:
    """It could not be started: the command's fault if the error names a file, else the system's."""
    ours = error.filename is None
    status = NOT_FOUND if error.errno == errno.ENOENT else NOT_EXECUTABLE
    return Outcome(
        status=RECORDER if ours else status,
        ending=f"cannot run {program}: {error.strerror}",
        ran=False,
        ended=False,
        failure=ErrorKind.CRASH if ours else ErrorKind.HOST_MISSING,
        stderr_tail="",
        losses=[],
    )


def _ending(returncode: int) -> tuple[int, str]:
    if returncode >= 0:
        return returncode, f"exit status {returncode}"
    try:
        name = signal.Signals(-returncode).name
    except ValueError:  # a real-time signal
        name = f"signal {-returncode}"
    return SIGNALLED - returncode, f"killed by {name}"


class _Capture:
    """The file that keeps all of the output, up to the first byte it cannot keep."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self.loss: str | None = None

    def write(self, data: bytes) -> None:
        view = memoryview(data)
        while view and self.loss is None:
            try:
                view = view[os.write(self._fd, view) :]
            except OSError as error:  # with no second try: a gap in the middle would not show
                self.loss = f"the capture of its output is cut short: {error.strerror}"


class _Stream:
    """One of the command's two outputs: read, captured, then passed through to `sink`."""

    def __init__(self, source: IO[bytes], sink: int, capture: _Capture) -> None:
        self._source, self._sink, self._capture = source, sink, capture
        self._pending, self._passed = b"", 0
        self._open, self._ended, self._owed = True, False, 0
        self.tail = b""
        self.loss: str | None = None

    def interest(self) -> tuple[int, int] | None:
        """The descriptor and events to wait for; None when there is nothing left to do."""
        if self._pending:
            return self._sink, select.POLLOUT
        return (self._source.fileno(), select.POLLIN) if self._open else None

    def proceed(self) -> None:
        """Do what `interest` waited for."""
        if self._pending:
            self._pass_on()
            return
        data = os.read(self._source.fileno(), _READ)
        if not data:
            self._close()
            return
        self._owed -= len(data)
        self._capture.write(data)
        self.tail = (self.tail + data)[-_TAIL - 1 :]
        if self._sink >= 0:
            self._pending, self._passed = data, 0

    def _pass_on(self) -> None:
        """Write no more than poll(2) promised room for, so that it never blocks.

        Ending in whole lines where it can: recorders that share an output do not mix them.
        """
        end = min(self._passed + select.PIPE_BUF, len(self._pending))
        end = self._pending.rfind(b"\n", self._passed, end) + 1 or end
        try:
            self._passed += os.write(self._sink, self._pending[self._passed : end])
        except BlockingIOError:
            return
        except BrokenPipeError:
            self.abandon_sink()
            if not self._ended:
                self._close()
        except OSError as error:
            self.loss = f"its output was not passed through: {error.strerror}"
            self.abandon_sink()
        if self._passed == len(self._pending):
            self._pending = b""

    def abandon_sink(self) -> None:
        """Pass nothing through any more."""
        self._sink, self._pending, self._passed = -1, b"", 0

    def command_ended(self) -> None:
        """Note what is in the pipe by now: the command wrote it, so the capture is owed it."""
        self._ended = True
        if self._open:
            size = ioctl(self._source.fileno(), FIONREAD, struct.pack("i", 0))
            [self._owed] = struct.unpack("i", size)

    def leave_stragglers(self) -> None:
        """Stop reading once all that the command itself wrote is read."""
        if self._open and self._owed <= 0 and not self._pending:
            self._close()

    def _close(self) -> None:
        self._open = False
        self._source.close()


class _Relay:
    """The loop from the start of a command until its last output is dealt with."""

    def __init__(
        self, child: Popen[bytes], capture: int, signals: Signals, deadline: float
    ) -> None:
        if child.stdout is None or child.stderr is None:
            raise TypeError("a relay needs both of a child's outputs as pipes")
        self._child, self._signals, self._capture = child, signals, _Capture(capture)
        self._out = _Stream(child.stdout, STDOUT, self._capture)
        self._err = _Stream(child.stderr, STDERR, self._capture)
        self._deadline, self._kill_at = deadline, math.inf
        self._grouped = deadline < math.inf
        self._ended_at: float | None = None
        self._hurried = self._exited = self.timed_out = False
        # SIGCHLD alone would not do: another thread of this process may be given it.
        self._end = os.pidfd_open(child.pid) if hasattr(os, "pidfd_open") else -1

    def run(self) -> None:
        try:
            self._relay()
        finally:
            if self._end >= 0:
                os.close(self._end)

    def _relay(self) -> None:
        streams = self._out, self._err
        while self._ended_at is None or any(stream.interest() for stream in streams):
            self._wait(streams)
            if self._ended_at is None and self._has_ended(streams):
                self._ended_at = monotonic()
                for stream in streams:
                    stream.command_ended()
            if self._ended_at is not None and monotonic() - self._ended_at >= _LINGER_S:
                for stream in streams:
                    if self._hurried:  # nobody who ends a program waits for its reader
                        stream.abandon_sink()
                    stream.leave_stragglers()

    def _wait(self, streams: tuple[_Stream, ...]) -> None:
        """Wait until anything can be done, and do it."""
        poller = select.poll()
        poller.register(self._signals, select.POLLIN)
        if self._end >= 0 and not self._exited:
            poller.register(self._end, select.POLLIN)
        waiting: dict[int, _Stream] = {}
        for stream in streams:
            if interest := stream.interest():
                poller.register(*interest)
                waiting[interest[0]] = stream
        wake_at = self._kill_at if self.timed_out else self._deadline
        if self._ended_at is not None:
            lingers = self._hurried or waiting.keys() - {STDOUT, STDERR}
            wake_at = self._ended_at + _LINGER_S if lingers else math.inf
        patience_ms = None if wake_at == math.inf else max(0.0, wake_at - monotonic()) * 1000
        for fd, _ in poller.poll(patience_ms):
            if fd in waiting:
                waiting[fd].proceed()
            if fd == self._end:
                self._exited = True
                self._kill_at = min(self._kill_at, monotonic() + _LINGER_S)
        for signum, from_terminal in self._signals.take():
            self._hurried |= signum not in (signal.SIGUSR1, signal.SIGUSR2)
            if from_terminal and self._grouped:
                self._signal_group(signum)  # as the terminal would have, were it not apart
            elif self._child.returncode is None and not (from_terminal and self._in_our_group()):
                os.kill(self._child.pid, signum)

    def _has_ended(self, streams: tuple[_Stream, ...]) -> bool:
        """Whether the command has ended, and all of its group if it took too long."""
        if monotonic() >= self._deadline and not (self.timed_out or self._exited):
            self.timed_out = self._hurried = True
            self._kill_at = monotonic() + _GRACE_S
            self._signal_group(signal.SIGTERM)
            self._signal_group(signal.SIGCONT)  # one that is stopped heeds nothing else
        if self.timed_out and self._kill_at < math.inf:
            gone = self._exited and not any(stream.interest() for stream in streams)
            if not gone and monotonic() < self._kill_at:
                return False
            self._signal_group(signal.SIGKILL)
            self._kill_at = math.inf
        return self._child.poll() is not None

    def _signal_group(self, signum: int) -> None:
        """Send a signal to the command's own group.

        Its id is the command's, which nobody else can be given before the command is reaped.
        """
        if self._child.returncode is None:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self._child.pid, signum)

    def _in_our_group(self) -> bool:
        try:
            return os.getpgid(self._child.pid) == os.getpgrp()
        except ProcessLookupError:
            return True

    def losses(self) -> list[str]:
        found = (self._capture.loss, self._out.loss, self._err.loss)
        return list(dict.fromkeys(filter(None, found)))

    def stderr_tail(self) -> str:
        tail = self._err.tail[-_TAIL:]
        if len(self._err.tail) > _TAIL:  # begin with a whole line, or at least a whole character
            _, _, rest = tail.partition(b"\n")
            tail = rest if rest.strip() else tail.lstrip(bytes(range(0x80, 0xC0)))
        return tail.decode(errors="replace").strip("\r\n")
