# SPDX-License-Identifier: MIT
"""Run a command; capture its output and pass it through as it arrives, as bytes.

One loop, in one thread, waits for the command's output, for room in our own output, for signals,
for the time limit and for the end. It waits for all of them at once, so none delays another: if our
terminal is stopped, the command still gets its signals, and its time limit still works.

Once the command runs, only its end ends the loop. If the system refuses a call, there is a
fallback: without pidfd_open(2) the loop checks for the end every 50 ms, and without poll(2) it
tries everything every 20 ms. An unexpected error is noted, and the step is tried again.
"""

import errno
import math
import os
import select
import signal
import struct
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from fcntl import F_SETPIPE_SZ, fcntl, ioctl
from termios import FIONREAD
from time import monotonic
from typing import TYPE_CHECKING, NamedTuple

from .. import ErrorKind
from .child_process import Child, describe, reap_orphans
from .exits import NOT_EXECUTABLE, NOT_FOUND, RECORDER, SIGNALLED, TIMED_OUT
from .lastlines import LastLines
from .nonblocking_output import Output, ReaderGone
from .signals import ENDING, STOPPING, Signals
from .start_command import spawn

if TYPE_CHECKING:
    from .pseudoterminal import Terminal

_READ = 256 * 1024  # bytes
_LINGER_S = 1.0  # after the command's end, processes that it left running may write for so long
_LOOK_S = 0.05  # between two checks for the command's end, if the system does not report it
_TRY_S = 0.02  # between two tries, if the system does not report when one can succeed
_LONGEST_WAIT_S = 3600.0  # poll(2) accepts 24 days at most
_LONGEST_LINE = 1024 * 1024  # bytes; a longer part of a line is passed on before the line ends
_MOST_STUMBLES = 10  # unexpected errors; after more, only the command's end is waited for


class Conditions(NamedTuple):
    """How to run a command."""

    timeout_s: float | None = None
    """After so many seconds the process group of the command, then its own, gets SIGTERM."""
    kill_after_s: float = 5.0
    """So many seconds after the SIGTERM, what is left of the process group gets SIGKILL."""
    by_lines: bool = False
    """Whether the output is passed through by whole lines."""
    on_terminal: bool = False
    """Whether the command has a pseudo-terminal of its own."""


class Outcome(NamedTuple):
    """How a command ended."""

    status: int
    """The exit status as in a shell: 128 + n for signal n, 126 or 127 if the command could not be
    run, 124 if it took too long. 125 if the system refused to start it, or its status is lost."""
    ending: str
    """The same in words."""
    ran: bool
    """Whether the command was started."""
    killed_by: int
    """The signal that ended the command; 0 if none did."""
    failure: ErrorKind | None
    """None if the command succeeded."""
    last_lines: str
    """If the command failed, the last lines of its standard error, or of its standard output if
    that is empty. Otherwise empty."""
    losses: list[str]
    """Which output was not captured or not passed through, and why."""
    left_running: bool
    """Whether a process that the command left running still had its output, which was closed."""
    hurried: bool
    """Whether the command was asked to end, by a signal or by the time limit."""


def run(
    command: Sequence[str],
    environment: Mapping[str, str],
    capture: int,
    *,
    outputs: tuple[Output, Output],
    signals: Signals,
    conditions: Conditions,
    unsaid: bytes,
    started: Callable[[], None],
) -> Outcome:
    """Run `command` to its end, and pass what it prints to `outputs` and the descriptor `capture`.

    The second output gets `unsaid` first. `started` is called when the command runs. In the
    capture, the bytes of each stream are in their exact order; the two streams are in the order in
    which their bytes arrive. A signal that we get is passed on, unless the terminal sent it to the
    command as well. If nobody reads our output any more, the command gets SIGPIPE, as in a
    pipeline. Everything that was written before the command ended is captured. Processes that it
    left running can write for another second; then their pipes are closed.
    """
    signals.hold()
    ignores_children = signals.ignores(signal.SIGCHLD)
    terminal = None
    ends: list[int] = []
    child: Child
    started_at = monotonic()
    try:
        if conditions.on_terminal:
            from .pseudoterminal import Terminal  # noqa: PLC0415 - seldom needed

            terminal = Terminal()
            child = terminal.start(command, environment, ignores_children=ignores_children)
        else:
            for _ in outputs:
                ends += os.pipe()
                os.set_blocking(ends[-2], False)
                with suppress(OSError):  # the number of large pipes is limited for each user
                    fcntl(ends[-2], F_SETPIPE_SZ, _READ)
            own_group = conditions.timeout_s is not None
            pid = spawn(
                *(command, environment, ends[1], ends[3]),
                own_group=own_group,
                ignores_children=ignores_children,
            )
            child = Child(pid, own_group=own_group)
    except OSError as error:
        for fd in ends:
            os.close(fd)
        if terminal is not None:
            terminal.close()
        return _not_run(command[0], error)
    relay = _Relay(
        child,
        _Capture(capture),
        signals=signals,
        conditions=conditions,
        terminal=terminal,
        started_at=started_at,
    )
    if terminal is not None:
        relay.add(terminal.master, outputs[0])
        relay.add(-1, outputs[1], unsaid)
    else:
        relay.add(ends[0], outputs[0])
        relay.add(ends[2], outputs[1], unsaid)
    relay.attempt(signals.listen)
    for fd in ends[1::2]:
        os.close(fd)
    relay.attempt(started)
    relay.run()
    return relay.outcome()


def _not_run(program: str, error: OSError) -> Outcome:
    """Return the outcome of a command that could not be started.

    If the error names a file, the command is at fault, otherwise the system.
    """
    ours = error.filename is None
    status = NOT_FOUND if error.errno == errno.ENOENT else NOT_EXECUTABLE
    return Outcome(
        status=RECORDER if ours else status,
        ending=f"cannot run {program}: {error.strerror or error}",
        ran=False,
        killed_by=0,
        failure=ErrorKind.CRASH if ours else ErrorKind.HOST_MISSING,
        last_lines="",
        losses=[],
        left_running=False,
        hurried=False,
    )


class _Capture:
    """The file that holds the output, up to the first byte that could not be written."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self.loss: str | None = None

    def write(self, data: memoryview) -> None:
        while data and self.loss is None:
            try:
                data = data[os.write(self._fd, data) :]
            except OSError as error:  # not tried again, because nobody would notice a gap
                self.loss = f"the capture of its output is cut short: {error.strerror}"


class _Stream:
    """One of the command's outputs. It is read, captured, and passed through to `output`.

    `source`: the descriptor to read from, or -1 if only `pending` must be passed through.
    """

    def __init__(
        self, source: int, output: Output, capture: _Capture, pending: bytes, *, by_lines: bool
    ) -> None:
        self._source = source
        self._output = output
        self._capture = capture
        # The same memory is used for every read, because new memory takes 10% longer. `_pending`
        # may be a view of it, so nothing is read while anything is pending.
        self._buffer = bytearray(_READ)
        self._pending = memoryview(pending)
        self._by_lines = by_lines
        self._unfinished = b""  # the beginning of a line, with `by_lines`
        self._is_passing = True
        self._has_turn = False
        self._command_has_ended = False
        self._owed = 0
        self.retry_at = 0.0
        self.last_lines = LastLines()
        self.loss: str | None = None
        self.was_cut_off = False
        self.has_lost_reader = False

    @property
    def is_open(self) -> bool:
        """Whether the command, or a process that it left running, can still write."""
        return self._source >= 0

    @property
    def is_busy(self) -> bool:
        """Whether there is anything left to read or to pass through."""
        return self.is_open or bool(self._pending)

    @property
    def is_stuck(self) -> bool:
        """Whether bytes wait for room in our output."""
        return bool(self._pending)

    def interest(self) -> tuple[int, int] | None:
        """Return the descriptor and the event to wait for, or None."""
        if self._pending:
            if monotonic() < self.retry_at:
                return None
            return self._output.fileno(), select.POLLOUT
        return (self._source, select.POLLIN) if self.is_open else None

    def proceed(self) -> None:
        """Do what `interest` waited for, or as much of it as can be done."""
        if not self._pending and self.is_open:
            self._read()
        if self._pending:
            self._pass_on()

    def _read(self) -> None:
        try:
            size = os.readv(self._source, [self._buffer])
        except BlockingIOError:
            return
        except OSError as error:
            if error.errno != errno.EIO:  # EIO: nobody has the pseudo-terminal open any more
                raise
            size = 0
        if size == 0:
            self._close()
            return
        self._take(memoryview(self._buffer)[:size])

    def _take(self, data: memoryview) -> None:
        """Capture what was read, and make it pending."""
        self._owed -= len(data)
        self._capture.write(data)
        self.last_lines.add(data)
        if not self._is_passing:
            return
        if self._by_lines:
            lines = self._unfinished + data
            end = lines.rfind(b"\n") + 1
            if end == 0 and len(lines) > _LONGEST_LINE:
                end = len(lines)
            self._unfinished = lines[end:]
            data = memoryview(lines)[:end]
        self._pending = data

    def _pass_on(self) -> None:
        if self._by_lines and not self._has_turn:
            self._has_turn = self._output.claim()
            if not self._has_turn:
                self.retry_at = monotonic() + _TRY_S
                return
        ends_line = bytes(self._pending[-1:]) == b"\n"
        try:
            self._pending = self._pending[self._output.write(self._pending) :]
        except BlockingIOError:
            self.retry_at = monotonic() + _TRY_S
        except ReaderGone:
            self.has_lost_reader = True
            self.abandon_output()
            if not self._command_has_ended:
                self._close()
        except OSError as error:
            self.loss = f"its output was not passed through: {error.strerror}"
            self.abandon_output()
        if self._has_turn and not self._pending and ends_line:
            self._output.yield_turn()
            self._has_turn = False

    def abandon_output(self) -> None:
        """Do not pass anything through any more."""
        self._is_passing = False
        self._pending = memoryview(b"")
        self._unfinished = b""
        self._has_turn = False
        self._output.yield_turn()

    def command_ended(self) -> None:
        """Note how many bytes are in the pipe: the command wrote them, so they must be captured."""
        self._command_has_ended = True
        if self.is_open:
            with suppress(OSError):
                size = ioctl(self._source, FIONREAD, struct.pack("i", 0))
                [self._owed] = struct.unpack("i", size)

    def leave_stragglers(self) -> None:
        """Stop reading if everything that the command itself wrote is read."""
        if self.is_open and self._owed <= 0 and not self._pending:
            self.was_cut_off = True
            self._close()

    def _close(self) -> None:
        source = self._source
        self._source = -1
        if self._unfinished or self._has_turn:  # end the line, because another recorder writes next
            self._pending = memoryview(self._unfinished + b"\n")
            self._unfinished = b""
        os.close(source)


class _Keyboard:
    """Passes what is typed to a command that has a terminal of its own."""

    def __init__(self, terminal: "Terminal") -> None:
        self._terminal = terminal
        self._typed = b""

    def interest(self) -> tuple[int, int] | None:
        """Return the descriptor and the event to wait for, or None."""
        if self._typed:
            return self._terminal.master, select.POLLOUT
        return (self._terminal.keyboard, select.POLLIN) if self._terminal.keyboard >= 0 else None

    def proceed(self) -> None:
        """Do what `interest` waited for."""
        try:
            if self._typed:
                self._typed = self._typed[os.write(self._terminal.master, self._typed) :]
                return
            self._typed = os.read(self._terminal.keyboard, 4096)
            if not self._typed:
                self._terminal.disconnect()
        except BlockingIOError:
            return
        except OSError:  # the keyboard or the terminal is gone
            self._typed = b""
            self._terminal.disconnect()


class _Relay:
    """The loop, from the start of a command until all of its output is passed through."""

    def __init__(
        self,
        child: Child,
        capture: _Capture,
        *,
        signals: Signals,
        conditions: Conditions,
        terminal: "Terminal | None",
        started_at: float,
    ) -> None:
        self._child = child
        self._signals = signals
        self._capture = capture
        self._conditions = conditions
        self._terminal = terminal
        self._streams: list[_Stream] = []
        self._keyboard = None if terminal is None else _Keyboard(terminal)
        self._deadline = math.inf
        if conditions.timeout_s is not None:
            self._deadline = started_at + conditions.timeout_s
        self._kill_at = math.inf
        self._ended_at: float | None = None
        self._has_timed_out = False
        self._is_hurried = False
        self._stopped_with_it = False
        self._has_hung_up = False
        self._stumbles: list[str] = []

    def add(self, source: int, output: Output, pending: bytes = b"") -> None:
        """Add an output of the command."""
        by_lines = self._conditions.by_lines
        self._streams.append(_Stream(source, output, self._capture, pending, by_lines=by_lines))

    def attempt(self, step: Callable[[], None]) -> None:
        """Do a step. If it raises an exception, note that and continue."""
        try:
            step()
        except Exception as error:
            self._stumbles.append(f"{type(error).__name__}: {error}")

    def run(self) -> None:
        """Run until the command has ended and its output is passed through."""
        if self._terminal is not None:
            self.attempt(self._terminal.connect)
        while not self._is_done():
            stumbles = len(self._stumbles)
            self.attempt(self._step)
            if len(self._stumbles) > _MOST_STUMBLES:
                self._wait_for_end()
                break
            if len(self._stumbles) > stumbles:
                time.sleep(_LOOK_S)
        self.attempt(self._child.close)
        if self._terminal is not None:
            self.attempt(self._terminal.disconnect)

    def _has_open_terminal(self) -> bool:
        return self._terminal is not None and self._streams[0].is_open

    def _is_done(self) -> bool:
        return self._ended_at is not None and not any(stream.is_busy for stream in self._streams)

    def _step(self) -> None:
        """Wait until something can be done, and do it."""
        self._wait()
        if self._terminal is not None and self._streams[0].has_lost_reader:
            self._hang_up()
        now = monotonic()
        self._keep_time(now)
        self._stop_too()
        has_exited = self._child.returncode is not None
        if self._ended_at is None and has_exited and self._kill_at == math.inf:
            self._ended_at = now
            for stream in self._streams:
                stream.command_ended()
        if self._ended_at is not None and now - self._ended_at >= _LINGER_S:
            for stream in self._streams:
                if self._is_hurried:  # whoever ends a program does not wait for its reader
                    stream.abandon_output()
                stream.leave_stragglers()

    def _wait(self) -> None:
        waiting: list[tuple[int, int, Callable[[], None]]] = []
        parties: list[_Stream | _Keyboard] = [*self._streams]
        if self._keyboard is not None and self._has_open_terminal():
            parties.append(self._keyboard)
        for party in parties:
            interest = party.interest()
            if interest is not None:
                waiting.append((*interest, party.proceed))
        waiting += [(fd, select.POLLIN, self._take_signals) for fd in self._signals.filenos()]
        if self._child.fileno() >= 0 and self._child.returncode is None:
            waiting.append((self._child.fileno(), select.POLLIN, self._child.look))
        events: dict[int, int] = {}
        for fd, event, _ in waiting:
            events[fd] = events.get(fd, 0) | event
        ready = _poll(events, self._patience_s())
        for fd, event, proceed in waiting:
            if ready.get(fd, 0) & (event | select.POLLERR | select.POLLHUP | select.POLLNVAL):
                proceed()
        if self._child.fileno() < 0:
            self._look()

    def _take_signals(self) -> None:
        for signum, from_terminal in self._signals.take():
            self._deliver(signum, from_terminal=from_terminal)
        self._look()  # after `take`: a change of state after this sends another SIGCHLD

    def _look(self) -> None:
        self._child.look()
        reap_orphans(self._child)

    def _patience_s(self) -> float:
        """Return the seconds until something must be done even if nothing happens."""
        now = monotonic()
        wake_at = min(self._deadline if not self._has_timed_out else math.inf, self._kill_at)
        if self._ended_at is not None:
            waits_for_others = any(s.is_open and not s.is_stuck for s in self._streams)
            wake_at = math.inf
            if self._is_hurried or waits_for_others:
                wake_at = self._ended_at + _LINGER_S
        elif self._child.fileno() < 0:
            wake_at = min(wake_at, now + _LOOK_S)
        for stream in self._streams:
            if stream.is_stuck and stream.retry_at > now:
                wake_at = min(wake_at, stream.retry_at)
        return min(max(0.0, wake_at - now), _LONGEST_WAIT_S)

    def _deliver(self, signum: int, *, from_terminal: bool) -> None:
        """Pass a signal on, unless the command got it too."""
        if signum == signal.SIGCONT:
            self._continue()
            return
        if signum == signal.SIGWINCH and self._resize_terminal():
            return  # the system sends SIGWINCH to the command
        if signum in ENDING and not self._signals.ignores(signum):
            self._is_hurried = True
        if from_terminal and self._child.own_group:
            self._child.send_group(signum)  # the terminal did not reach the command's own group
        elif not (from_terminal and self._child.is_in_our_group()):
            self._child.send(signum)

    def _resize_terminal(self) -> bool:
        """Give the command's terminal the size of ours; return whether its size changed."""
        if self._terminal is None or not self._has_open_terminal():
            return False
        return self._terminal.resize()

    def _continue(self) -> None:
        """Continue the command, unless it was stopped with us and already got a SIGCONT too."""
        self._child.look()
        got_its_own = self._stopped_with_it and not self._child.stopped
        self._stopped_with_it = False
        self._resize_terminal()
        if self._terminal is not None and self._has_open_terminal():
            self._terminal.connect()
        if not got_its_own:
            self._child.send_group(signal.SIGCONT)

    def _stop_too(self) -> None:
        """Stop this process too if the command was stopped in a way that our shell must notice."""
        signum = self._child.stopped
        notable = {signal.SIGTSTP} if self._child.own_group else STOPPING
        if signum and self._has_timed_out:
            self._child.send_group(signal.SIGCONT)  # a stopped process does not react to SIGTERM
            return
        if signum not in notable or self._stopped_with_it:
            return
        self._stopped_with_it = True
        if self._terminal is not None:
            self._terminal.disconnect()
        self._signals.stop(signum)
        if self._child.own_group:
            # Nobody else sends SIGCONT to the command's own group. If the system refused to stop
            # us, we do not get one either.
            self._stopped_with_it = False
            self._continue()
            self._stopped_with_it = True

    def _hang_up(self) -> None:
        """Send SIGHUP to the command, as a shell does to its jobs when the terminal is gone."""
        if not self._has_hung_up:
            self._has_hung_up = True
            self._child.send_group(signal.SIGHUP)
            self._child.send_group(signal.SIGCONT)

    def _keep_time(self, now: float) -> None:
        has_exited = self._child.returncode is not None
        if now >= self._deadline and not self._has_timed_out and not has_exited:
            self._has_timed_out = True
            self._is_hurried = True
            self._kill_at = now + self._conditions.kill_after_s
            self._child.send_group(signal.SIGTERM)
            self._child.send_group(
                signal.SIGCONT
            )  # while the command is stopped, it would not react to the SIGTERM
        if self._kill_at == math.inf:
            return
        if has_exited:
            self._kill_at = min(self._kill_at, now + _LINGER_S)
        is_gone = has_exited and not any(stream.is_busy for stream in self._streams)
        if is_gone or now >= self._kill_at:
            self._child.send_group(signal.SIGKILL)
            self._kill_at = math.inf

    def _wait_for_end(self) -> None:
        """Only read the command's pipes and wait for its end, because everything else fails."""
        for stream in self._streams:
            self.attempt(stream.abandon_output)
        while self._child.returncode is None:
            for stream in self._streams:
                self.attempt(stream.proceed)
            self.attempt(self._child.look)
            del self._stumbles[_MOST_STUMBLES:]
            time.sleep(_LOOK_S)

    def outcome(self) -> Outcome:
        """Return how the command ended."""
        returncode = self._child.returncode or 0
        status = returncode
        ending = describe(returncode)
        if returncode < 0:
            status = SIGNALLED - returncode
        failure = ErrorKind.CRASH if returncode else None
        if not self._child.is_known:
            status = RECORDER
            ending = "ended, but somebody else took its exit status"
        if self._has_timed_out:
            status = TIMED_OUT
            failure = ErrorKind.TIMEOUT
            ending = f"timed out after {self._conditions.timeout_s:g} s"
        last_lines = ""
        if failure is not None:
            printed = (stream.last_lines.text() for stream in reversed(self._streams))
            last_lines = next(filter(None, printed), "")
        return Outcome(
            status=status,
            ending=ending,
            ran=True,
            killed_by=-returncode if returncode < 0 and not self._has_timed_out else 0,
            failure=failure,
            last_lines=last_lines,
            losses=self._losses(),
            left_running=any(stream.was_cut_off for stream in self._streams),
            hurried=self._is_hurried,
        )

    def _losses(self) -> list[str]:
        found = [self._capture.loss, *(stream.loss for stream in self._streams)]
        if self._stumbles:
            found.append(f"something unforeseen happened while it ran: {self._stumbles[0]}")
        return list(dict.fromkeys(filter(None, found)))


def _poll(events: Mapping[int, int], patience_s: float) -> dict[int, int]:
    """Wait for any of `events`, and return those that came, by descriptor.

    If the system refuses poll(2), return all of them after a short time.
    """
    try:
        poller = select.poll()
        for fd, event in events.items():
            poller.register(fd, event)
        return dict(poller.poll(math.ceil(patience_s * 1000)))
    except OSError:
        time.sleep(min(patience_s, _TRY_S))
        return dict(events)
