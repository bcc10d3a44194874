# SPDX-License-Identifier: MIT
"""Standard streams for processes under test: a new terminal, or a pipe that is full."""

import fcntl
import os
import pty
import select
import struct
import termios
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from .volume import WATCHDOG_S, Process, Stream, Volume


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


def read_some(fd: int, most: int, found: bytes) -> bytes:
    """Read at most `most` bytes. Raise OSError once no process has the terminal open.

    `found` is what came before. It is shown if nothing more comes.
    """
    poller = select.poll()
    poller.register(fd, select.POLLIN)
    assert poller.poll(WATCHDOG_S * 1000), f"nothing comes after {found!r}"
    return os.read(fd, most)


def read_until(fd: int, wanted: bytes) -> bytes:
    """Read what comes, up to and including `wanted`."""
    found = b""
    while wanted not in found:
        try:
            found += read_some(fd, 1, found)
        except OSError as error:
            raise AssertionError(f"after {found!r} comes no {wanted!r}") from error
    return found


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
