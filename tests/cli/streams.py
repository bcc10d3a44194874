# SPDX-License-Identifier: MIT
"""Standard streams for processes under test: a new terminal, or a pipe that is full."""

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
    """Start a command in the foreground of a new terminal; yield the keyboard and the process.

    `stdin` is its standard input, if that is not the terminal. `size` is rows and columns.
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
    """Yield the write end of a full pipe that nobody reads."""
    outlet, inlet = os.pipe()
    os.set_blocking(inlet, False)
    with suppress(BlockingIOError):
        while True:
            os.write(inlet, bytes(4096))
    os.set_blocking(inlet, True)
    yield inlet
    os.close(inlet)
    os.close(outlet)
