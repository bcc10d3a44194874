# SPDX-License-Identifier: MIT
"""Presses Ctrl-C on a running program, and waits for its end."""

import os
import signal
import subprocess
from collections.abc import Callable, Sequence
from contextlib import suppress
from threading import Timer

from .documents import PROJECT

TOO_LONG_S = 100  # a program that takes longer hangs, and is killed


def press_ctrl_c(
    command: Sequence[str], when: Callable[[str], bool]
) -> "subprocess.CompletedProcess[str]":
    """Interrupt a program once it prints a line for which `when` is true; return how it ended.

    The output that is returned begins after that line. It is complete when the last process that
    can write to it has ended, so a program that leaves processes behind counts as one that hangs.
    """
    with subprocess.Popen(
        command,
        bufsize=0,  # so that the output after the line can still be read
        cwd=PROJECT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    ) as process:
        assert process.stdout is not None
        watchdog = Timer(TOO_LONG_S, os.killpg, (process.pid, signal.SIGKILL))
        watchdog.start()
        try:
            any(when(line.decode()) for line in process.stdout)  # reads up to that line
            watchdog.cancel()
            os.killpg(process.pid, signal.SIGINT)  # to the whole group, as a terminal does
            rest, errors = process.communicate(timeout=TOO_LONG_S)
        finally:
            watchdog.cancel()
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
    return subprocess.CompletedProcess(command, process.returncode, rest.decode(), errors.decode())
