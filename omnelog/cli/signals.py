# SPDX-License-Identifier: MIT
"""Receive the signals that reach a recorder, and find out for each whether the terminal sent it.

Ctrl-C sends a signal to every process of the terminal's foreground group, including the recorded
command. If the recorder passed it on, the command would get it twice, and many programs then exit
without cleaning up. A signal by kill(1) reaches the recorder only. siginfo distinguishes the two,
and in Python only sigwaitinfo provides it. It runs in a thread, with all signals blocked. Where the
system refuses that, handlers in Python receive the signals, and every signal except SIGTSTP counts
as one that only the recorder got.

A signal that was ignored when we started is received too, but it stays ignored, because the command
inherits that.
"""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from threading import Thread
from types import FrameType, TracebackType
from typing import Self

ENDING = frozenset((signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM))
"""The signals by which people, terminals and supervisors end a program."""

STOPPING = frozenset((signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU))
"""The signals by which a terminal stops a program."""

_UNCATCHABLE = {signal.SIGKILL, signal.SIGSTOP}

_FAULTS = {signal.SIGSEGV, signal.SIGBUS, signal.SIGFPE, signal.SIGILL}
"""A handler in Python cannot be used: the faulty instruction would then run again, for ever.
sigwaitinfo can wait for these signals, because a process that blocks one dies if the kernel raises
it."""

_OURS = _FAULTS | {signal.SIGPIPE, signal.SIGSYS, signal.SIGTRAP, signal.SIGXCPU, signal.SIGXFSZ}
"""If the kernel sends one of these signals, it is about the recorder itself and not passed on."""

_LOST = 0
"""Stands for a signal's number when the thread that receives signals has ended by an error."""


class Interrupted(KeyboardInterrupt):
    """A signal of `ENDING` came, and there was no command to pass it on to."""

    def __init__(self, signum: int) -> None:
        """For the signal `signum`."""
        super().__init__()
        self.signum = signum


class Signals:
    """A context manager that receives signals, which then do not end or stop this process.

    At first the signals of `ENDING` raise Interrupted. After `hold`, every signal makes one of
    `filenos` readable, and `take` returns it. It must be used in the main thread.
    """

    def __init__(self) -> None:
        """Do not change anything before `__enter__`."""
        self._handled: dict[int, signal._HANDLER] = {}
        self._ignored: set[int] = set()
        self._mask: set[int | signal.Signals] | None = None
        self._thread: Thread | None = None
        self._stopping = False
        self._raise_at = 1
        self._is_postponing = False
        self._postponed = 0
        self._hint: Callable[[], None] = lambda: None
        self.endings: int = 0  # how many signals of `ENDING` came

    def __enter__(self) -> Self:
        self._outlet, self._inlet = os.pipe()
        # A handler in Python runs only when a system call has ended; this pipe ends poll(2).
        self._waking, self._woken = os.pipe()
        for fd in (self._outlet, self._inlet, self._waking, self._woken):
            os.set_blocking(fd, False)
        self._wakeup_before = signal.set_wakeup_fd(self._woken, warn_on_full_buffer=False)
        for signum in signal.valid_signals() - _UNCATCHABLE - _FAULTS - STOPPING:
            self._receive(signum)
        return self

    def _receive(self, signum: int) -> None:
        """Let `_handle` handle a signal, unless it is ignored or its handler is not in Python.

        SIGCHLD is handled even if it is ignored, because waiting for an exit status fails then.
        """
        current = signal.getsignal(signum)
        if current == signal.SIG_IGN:
            self._ignored.add(signum)
        if (current == signal.SIG_IGN and signum != signal.SIGCHLD) or current is None:
            return
        with suppress(OSError, ValueError):
            self._handled[signum] = signal.signal(signum, self._handle)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop_listening()
        mask = None
        with suppress(OSError, ValueError):
            # Without this, Python loses a signal that comes while its handler is replaced, and
            # prints a warning.
            mask = signal.pthread_sigmask(signal.SIG_BLOCK, self._handled)
        for signum, handler in self._handled.items():
            with suppress(OSError, ValueError):
                signal.signal(signum, handler)
        if mask is not None:
            _set_mask(mask)
        signal.set_wakeup_fd(self._wakeup_before)
        for fd in (self._outlet, self._inlet, self._waking, self._woken):
            os.close(fd)

    def ignores(self, signum: int) -> bool:
        """Return whether the signal was ignored when `__enter__` was called."""
        return signum in self._ignored

    def hold(self) -> None:
        """From now on do not raise Interrupted, because a command runs that gets the signals."""
        self._raise_at = 0

    @contextmanager
    def postponed(self) -> Iterator[None]:
        """A context manager: a signal of `ENDING` raises Interrupted at its end, not before."""
        self._is_postponing = True
        try:
            yield
        finally:
            self._is_postponing = False
        if self._postponed:
            raise Interrupted(self._postponed)

    @contextmanager
    def interruptible(self, hint: Callable[[], None]) -> Iterator[None]:
        """A context manager: the second signal of `ENDING` since the start raises Interrupted.

        If the first one comes only now, `hint` is called.
        """
        self._hint = hint
        before = self.endings
        self._raise_at = max(2, before + 1)
        try:
            for signum, _ in self.take():  # signals that came after the command's end
                if self.endings >= self._raise_at:
                    raise Interrupted(signum)
            if self.endings > before:
                hint()
            yield
        finally:
            self._raise_at = 0

    def listen(self) -> None:
        """From now on receive every signal, and distinguish those that the terminal sent.

        Must be called after the child was started, because a child inherits the signal mask. If the
        system refuses any part of it, the handlers continue to receive the signals.
        """
        if not hasattr(signal, "sigwaitinfo"):
            return
        awaited = signal.valid_signals() - _UNCATCHABLE
        try:
            mask = signal.pthread_sigmask(signal.SIG_BLOCK, awaited)
        except (OSError, ValueError):
            self._receive(signal.SIGTSTP)
            return
        try:
            self._thread = Thread(
                target=self._gather, args=(awaited,), name="omnelog-signals", daemon=True
            )
            self._thread.start()
        except Exception:  # RuntimeError or MemoryError: the system refuses another thread
            self._thread = None
            _set_mask(mask)
            self._receive(signal.SIGTSTP)
            return
        self._mask = mask

    def stop_listening(self) -> None:
        """Let the handlers receive the signals again."""
        if self._thread is not None:
            self._stopping = True
            with suppress(OSError):  # the thread has ended already
                signal.pthread_kill(self._thread.ident or 0, signal.SIGCHLD)
            self._thread.join()
            self._thread = None
        if self._mask is not None:
            with suppress(OSError):  # a pending signal without a handler would end us now
                while info := signal.sigtimedwait(signal.valid_signals() - _UNCATCHABLE, 0):
                    self._note(info)
            _set_mask(self._mask)
            self._mask = None

    def filenos(self) -> tuple[int, int]:
        """Return the descriptors to poll(2); a signal makes one of them readable."""
        return self._outlet, self._waking

    def take(self) -> Iterator[tuple[int, bool]]:
        """Yield the signals that came since the last call, with whether the terminal sent each.

        A SIGCHLD from the kernel is not among them; it only makes one of `filenos` readable.
        """
        with suppress(BlockingIOError):
            os.read(self._waking, 4096)
        with suppress(BlockingIOError):
            received = os.read(self._outlet, 4096)
            for signum, from_kernel in zip(received[::2], received[1::2], strict=True):
                if signum == _LOST:
                    self.stop_listening()
                    self._receive(signal.SIGTSTP)
                elif signum != signal.SIGCHLD or not from_kernel:
                    self.endings += signum in ENDING
                    yield signum, bool(from_kernel)

    def stop(self, signum: int) -> None:
        """Let a signal of `STOPPING` stop this process; return when it is continued.

        The system does not stop us if there is no shell that could continue us.
        """
        handler = signal.signal(signum, signal.SIG_DFL)
        try:
            # Raised while it is blocked: if the one from the terminal is pending, both are one.
            signal.raise_signal(signum)
            with suppress(OSError):  # it was not blocked
                blocked = signal.pthread_sigmask(signal.SIG_UNBLOCK, (signum,))
                _set_mask(blocked)
        finally:
            signal.signal(signum, handler)

    def _handle(self, signum: int, _frame: FrameType | None) -> None:
        if signum in ENDING and self._raise_at:
            self.endings += 1
            if self._is_postponing:
                self._postponed = signum
                return
            if self.endings >= self._raise_at:
                raise Interrupted(signum)
            self._hint()
            return
        self._tell(signum, from_kernel=signum in (signal.SIGCHLD, signal.SIGTSTP))

    def _gather(self, awaited: set[signal.Signals]) -> None:
        try:
            while not self._note(signal.sigwaitinfo(awaited)):
                pass
        except Exception:  # the handlers take over
            self._tell(_LOST, from_kernel=True)

    def _note(self, info: signal.struct_siginfo) -> bool:
        """Report a signal that was waited for; return whether it means to stop waiting."""
        from_kernel = info.si_code > 0
        if info.si_signo == signal.SIGCHLD and self._stopping and info.si_pid == os.getpid():
            return True  # only `stop_listening` sends this one
        if not (from_kernel and info.si_signo in _OURS):
            self._tell(info.si_signo, from_kernel=from_kernel)
        return False

    def _tell(self, signum: int, *, from_kernel: bool) -> None:
        with suppress(BlockingIOError):  # 32,768 signals wait already, so one can be dropped
            os.write(self._inlet, bytes((signum, from_kernel)))


def _set_mask(mask: set[int | signal.Signals]) -> None:
    with suppress(OSError, ValueError):
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
