# SPDX-License-Identifier: MIT
"""Running a command with its output both passed through and captured, live, as bytes.

One loop, in one thread, waits for the command's output, for room in our own, for signals, for the
time limit and for the end. It never waits for anything else, so none of them holds up another: a
terminal that is stopped keeps neither a signal nor the time limit from the command.

Once the command runs nothing ends the loop but the command's end. What the system refuses has a
fallback: without pidfd_open(2) the loop looks for the end every 50 ms, without poll(2) it tries
everything every 20 ms, and what fails in a way that nobody foresaw is noted and tried again.
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
_LINGER_S = 1.0  # how long, after the command, what it left running may go on writing
_LOOK_S = 0.05  # between two looks for the command's end, where nothing reports it
_TRY_S = 0.02  # between two tries, where nothing reports that the next one can succeed
_LONGEST_WAIT_S = 3600.0  # poll(2) takes 24 days at most
_LONGEST_LINE = 1024 * 1024  # bytes that wait for the end of their line, when passed on by lines
_MOST_STUMBLES = 10  # failures that nobody foresaw, before only the command's end is waited for


class Conditions(NamedTuple):
    """How a command is to be run."""

    timeout_s: float | None = None
    """After how many seconds it is ended; it has a process group of its own then."""
    kill_after_s: float = 5.0
    """After how many more seconds it is killed, if it has not ended by then."""
    by_lines: bool = False
    """Whether its output is passed through by whole lines."""
    on_terminal: bool = False
    """Whether it has a pseudo-terminal of its own."""


class Outcome(NamedTuple):
    """How a command ended."""

    status: int
    """As a shell gives it: 128 + n for signal n, 126 and 127 if it could not be run, 124 if it took
    too long."""
    ending: str
    """The same in words."""
    ran: bool
    """Whether it could be run at all."""
    killed_by: int
    """The signal that ended it; 0 if none did."""
    failure: ErrorKind | None
    """None if it succeeded."""
    last_lines: str
    """Of a command that failed, the last lines of its standard error; of its standard output if
    that is empty. Else empty."""
    losses: list[str]
    """What of its output was not captured or not passed through, and why."""
    left_running: bool
    """Whether something that it left running still had its output, which was cut off."""
    hurried: bool
    """Whether somebody wanted it to end."""


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
    """Run `command` to its end; write what it prints to the descriptor `capture` as well.

    What it prints goes on to `outputs`, the second of which gets `unsaid` first. `started` is
    called once it runs. Within each of the two streams the captured order is exact, between them it
    is that of arrival. A signal that came to us is passed on, unless the terminal sent it to the
    command as well. If the reader of our output goes away, so does the command's: it gets SIGPIPE
    as in a pipeline. All that was written by the time the command ended is captured; processes that
    it left running may go on for a second, then their pipes are closed.
    """
    signals.hold()
    ignores_children = signals.ignores(signal.SIGCHLD)
    terminal = None
    ends: list[int] = []
    child: Child
    started_at = monotonic()
    try:
        if conditions.on_terminal:
            from .pseudoterminal import Terminal  # noqa: PLC0415 - others do without

            terminal = Terminal()
            child = terminal.start(command, environment, ignores_children=ignores_children)
        else:
            for _ in outputs:
                ends += os.pipe()
                os.set_blocking(ends[-2], False)
                with suppress(OSError):  # a user may have only so many large pipes
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
    """It could not be started: the command's fault if the error names a file, else the system's."""
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
    """The file that keeps all of the output, up to the first byte it cannot keep."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self.loss: str | None = None

    def write(self, data: memoryview) -> None:
        while data and self.loss is None:
            try:
                data = data[os.write(self._fd, data) :]
            except OSError as error:  # with no second try: a gap in the middle would not show
                self.loss = f"the capture of its output is cut short: {error.strerror}"


class _Stream:
    """One of the command's outputs: read, captured, then passed through to `output`.

    `source` is -1 if there is none, and only `pending` is to be passed through.
    """

    def __init__(
        self, source: int, output: Output, capture: _Capture, pending: bytes, *, by_lines: bool
    ) -> None:
        self._source = source
        self._output = output
        self._capture = capture
        # For every read, because fresh memory would take 10% longer. `_pending` may be a view of
        # it, so nothing is read while anything is pending.
        self._buffer = bytearray(_READ)
        self._pending = memoryview(pending)
        self._by_lines = by_lines
        self._unfinished = b""  # the beginning of a line
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
        """Whether the command, or what it left running, can still write to it."""
        return self._source >= 0

    @property
    def is_busy(self) -> bool:
        """Whether there is anything left to do."""
        return self.is_open or bool(self._pending)

    @property
    def is_stuck(self) -> bool:
        """Whether it waits for our reader."""
        return bool(self._pending)

    def interest(self) -> tuple[int, int] | None:
        """The descriptor and the event to wait for; None if there is none."""
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
            if error.errno != errno.EIO:  # so a terminal says that nobody has it open any more
                raise
            size = 0
        if size == 0:
            self._close()
            return
        self._take(memoryview(self._buffer)[:size])

    def _take(self, data: memoryview) -> None:
        """Keep what was read, and make it ready to be passed on before the next is read."""
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
        """Pass nothing through any more."""
        self._is_passing = False
        self._pending = memoryview(b"")
        self._unfinished = b""
        self._has_turn = False
        self._output.yield_turn()

    def command_ended(self) -> None:
        """Note what is in the pipe by now: the command wrote it, so the capture is owed it."""
        self._command_has_ended = True
        if self.is_open:
            with suppress(OSError):
                size = ioctl(self._source, FIONREAD, struct.pack("i", 0))
                [self._owed] = struct.unpack("i", size)

    def leave_stragglers(self) -> None:
        """Stop reading once all that the command itself wrote is read."""
        if self.is_open and self._owed <= 0 and not self._pending:
            self.was_cut_off = True
            self._close()

    def _close(self) -> None:
        source = self._source
        self._source = -1
        if self._unfinished or self._has_turn:  # another recorder goes on with a line of its own
            self._pending = memoryview(self._unfinished + b"\n")
            self._unfinished = b""
        os.close(source)


class _Keyboard:
    """What is typed, on its way to a command that has a terminal of its own."""

    def __init__(self, terminal: "Terminal") -> None:
        self._terminal = terminal
        self._typed = b""

    def interest(self) -> tuple[int, int] | None:
        """The descriptor and the event to wait for; None if there is none."""
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
        except OSError:  # either end is gone
            self._typed = b""
            self._terminal.disconnect()


class _Relay:
    """The loop from the start of a command until its last output is dealt with."""

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
        """Take on an output of the command."""
        by_lines = self._conditions.by_lines
        self._streams.append(_Stream(source, output, self._capture, pending, by_lines=by_lines))

    def attempt(self, step: Callable[[], None]) -> None:
        """Do a step, and note what it raises instead of ending the loop."""
        try:
            step()
        except Exception as error:
            self._stumbles.append(f"{type(error).__name__}: {error}")

    def run(self) -> None:
        """Go on until the command has ended and its output is dealt with."""
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
        """Wait until anything can be done, and do it."""
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
                if self._is_hurried:  # nobody who ends a program waits for its reader
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
        self._look()  # after taking, because a change after that comes with a SIGCHLD of its own

    def _look(self) -> None:
        self._child.look()
        reap_orphans(self._child)

    def _patience_s(self) -> float:
        """How long to wait at most until something else is to be done."""
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
        """Pass a signal on, unless the command got it as we did."""
        if signum == signal.SIGCONT:
            self._continue()
            return
        if signum == signal.SIGWINCH and self._resize_terminal():
            return  # the system sends SIGWINCH to the command
        if signum in ENDING and not self._signals.ignores(signum):
            self._is_hurried = True
        if from_terminal and self._child.own_group:
            self._child.send_group(signum)  # as the terminal would have, were it not apart
        elif not (from_terminal and self._child.is_in_our_group()):
            self._child.send(signum)

    def _resize_terminal(self) -> bool:
        """Give the command's terminal the size of ours; return whether it had another one."""
        if self._terminal is None or not self._has_open_terminal():
            return False
        return self._terminal.resize()

    def _continue(self) -> None:
        """Let the command go on, unless it was stopped as we were and got a SIGCONT as we did."""
        self._child.look()
        got_its_own = self._stopped_with_it and not self._child.stopped
        self._stopped_with_it = False
        self._resize_terminal()
        if self._terminal is not None and self._has_open_terminal():
            self._terminal.connect()
        if not got_its_own:
            self._child.send_group(signal.SIGCONT)

    def _stop_too(self) -> None:
        """Stop as the command did, if a shell that watches us would have to notice that."""
        signum = self._child.stopped
        notable = {signal.SIGTSTP} if self._child.own_group else STOPPING
        if signum and self._has_timed_out:
            self._child.send_group(signal.SIGCONT)  # otherwise it would not react to the SIGTERM
            return
        if signum not in notable or self._stopped_with_it:
            return
        self._stopped_with_it = True
        if self._terminal is not None:
            self._terminal.disconnect()
        self._signals.stop(signum)
        if self._child.own_group:
            # It gets no SIGCONT with us, nor do we get one if the system refused to stop us.
            self._stopped_with_it = False
            self._continue()
            self._stopped_with_it = True

    def _hang_up(self) -> None:
        """Inform the command that its terminal is gone, as a shell informs its jobs."""
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
            )  # while it is stopped it would react to nothing else
        if self._kill_at == math.inf:
            return
        if has_exited:
            self._kill_at = min(self._kill_at, now + _LINGER_S)
        is_gone = has_exited and not any(stream.is_busy for stream in self._streams)
        if is_gone or now >= self._kill_at:
            self._child.send_group(signal.SIGKILL)
            self._kill_at = math.inf

    def _wait_for_end(self) -> None:
        """Nothing works: only keep the command's pipes empty, and wait for its end."""
        for stream in self._streams:
            self.attempt(stream.abandon_output)
        while self._child.returncode is None:
            for stream in self._streams:
                self.attempt(stream.proceed)
            self.attempt(self._child.look)
            del self._stumbles[_MOST_STUMBLES:]
            time.sleep(_LOOK_S)

    def outcome(self) -> Outcome:
        """How the command ended."""
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
    """Wait for any of `events`, by descriptor; where that is refused, claim that all are there."""
    try:
        poller = select.poll()
        for fd, event in events.items():
            poller.register(fd, event)
        return dict(poller.poll(math.ceil(patience_s * 1000)))
    except OSError:
        time.sleep(min(patience_s, _TRY_S))
        return dict(events)
