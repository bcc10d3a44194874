# SPDX-License-Identifier: MIT
"""Standard streams for processes under test: a terminal of their own, a pipe that is full."""

import fcntl
import os
import pty
import struct
import termios
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from .volume import Process, Stream, Volume


@contextmanager
def in_terminal(
    volume: Volume, *command: str, stdin: Stream = None, size: tuple[int, int] | None = None
) -> Iterator[tuple[int, Process]]:
    """Start a command in the foreground of a terminal of its own; yield the keyboard and it.

    `stdin`: its standard input, if that is not the terminal. `size`: rows and columns.
    """
    keyboard, screen = pty.openpty()
    if size is not None:
        fcntl.ioctl(screen, termios.TIOCSWINSZ, struct.pack("HHHH", *size, 0, 0))
    with Process(
        ["setsid", "--ctty", *command],
        cwd=volume.root,
        stdin=screen if stdin is None else stdin,
        stdout=screen,
        stderr=screen,
        env=volume.environment(),
    ) as process:
        os.close(screen)
        yield keyboard, process
    os.close(keyboard)


@contextmanager
def full_pipe() -> Iterator[int]:
    """Yield the write end of a pipe that has no room and that nobody reads."""
    outlet, inlet = os.pipe()
    os.set_blocking(inlet, False)
    with suppress(BlockingIOError):
        while True:
            os.write(inlet, bytes(4096))
    os.set_blocking(inlet, True)
    yield inlet
    os.close(inlet)
    os.close(outlet)
