# SPDX-License-Identifier: MIT
"""The signals that reach a recorder, each with whether the terminal sent it.

A Ctrl-C goes to every process of the terminal's foreground group, the recorded command included:
passed on, it would strike twice, and many programs take the second as "drop everything". A kill(1)
strikes the recorder alone. Only siginfo tells the two apart, and of Python's ways to receive a
signal only sigwaitinfo gives it, in a thread, with the signals blocked. Where that is missing,
every signal counts as sent to the recorder alone.
"""

import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from threading import Thread
from types import FrameType, TracebackType
from typing import Self

_PASSED_ON = ("SIGHUP", "SIGINT", "SIGQUIT", "SIGTERM", "SIGUSR1", "SIGUSR2")


class Signals:
    """While entered, signals do nothing but make `fileno` readable, for `take` to tell.

    For the main thread. What was ignored, as by nohup(1), stays ignored.
    """

    def __init__(self) -> None:
        """Nothing is changed until it is entered."""
        self._handled: dict[signal.Signals, signal._HANDLER] = {}
        self._mask: set[int | signal.Signals] | None = None
        self._thread = Thread(target=self._gather, name="omnelog-signals", daemon=True)

    def __enter__(self) -> Self:
        self._outlet, self._inlet = os.pipe()
        os.set_blocking(self._outlet, False)
        os.set_blocking(self._inlet, False)
        for name in ("SIGCHLD", *_PASSED_ON):
            signum = signal.Signals[name]
            if signum == signal.SIGCHLD or signal.getsignal(signum) != signal.SIG_IGN:
                self._handled[signum] = signal.signal(signum, self._handle)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._mask is not None:
            signal.pthread_kill(self._thread.ident or 0, signal.SIGCHLD)
            self._thread.join()
            signal.pthread_sigmask(signal.SIG_SETMASK, self._mask)
        for signum, handler in self._handled.items():
            signal.signal(signum, handler)
        os.close(self._outlet)
        os.close(self._inlet)

    def listen(self) -> None:
        """From now on tell the terminal's signals apart.

        To be called once the child is started, which inherits the signal mask.
        """
        if hasattr(signal, "sigwaitinfo"):
            self._mask = signal.pthread_sigmask(signal.SIG_BLOCK, self._handled)
            self._thread.start()

    def fileno(self) -> int:
        """The descriptor to poll(2)."""
        return self._outlet

    def take(self) -> Iterator[tuple[int, bool]]:
        """Yield the signals that came since: number, whether the terminal sent it to the group.

        The end of a child is not among them, it only wakes.
        """
        with suppress(BlockingIOError):
            told = os.read(self._outlet, 4096)
            for signum, from_terminal in zip(told[::2], told[1::2], strict=True):
                if signum != signal.SIGCHLD:
                    yield signum, bool(from_terminal)

    def _handle(self, signum: int, _frame: FrameType | None) -> None:
        self._tell(signum, from_terminal=False)

    def _gather(self) -> None:
        while True:
            info = signal.sigwaitinfo(self._handled)
            if info.si_signo == signal.SIGCHLD and info.si_pid == os.getpid():
                return  # nobody but `__exit__` sends us that one
            self._tell(info.si_signo, from_terminal=info.si_code > 0)  # positive: by the kernel

    def _tell(self, signum: int, *, from_terminal: bool) -> None:
        with suppress(BlockingIOError):  # 32,768 signals wait to be taken; one more says no more
            os.write(self._inlet, bytes((signum, from_terminal)))
