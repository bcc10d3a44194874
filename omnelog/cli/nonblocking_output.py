# SPDX-License-Identifier: MIT
"""Write to standard output or standard error without ever waiting for its reader.

A write to a full pipe, or to a terminal that is stopped or that nobody reads, blocks for as long as
that lasts. O_NONBLOCK prevents this, but the flag belongs to the open file description, which the
shell and the recorded command share with us. So the file is opened once more, and the flag is set
on the new description only.
"""

import errno
import os
import stat
from contextlib import suppress
from fcntl import LOCK_EX, LOCK_NB, LOCK_UN, flock

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_MULTIPLEXER = os.makedev(5, 2) if hasattr(os, "makedev") else -1  # opening it makes a new terminal


class ReaderGone(Exception):
    """Nobody reads this output any more."""


class Output:
    """The output behind one of our descriptors."""

    def __init__(self, fd: int) -> None:
        """Prepare to write to `fd`. Does not raise an error: whatever fails has a fallback."""
        self._fd = fd
        self._own = -1  # a descriptor with an open file description of our own
        self._socket = None
        try:
            status = os.fstat(fd)
            self._waits = stat.S_ISFIFO(status.st_mode) or os.isatty(fd)
            is_socket = stat.S_ISSOCK(status.st_mode)
        except OSError:
            status = None
            self._waits = True
            is_socket = False
        self._has_reader = self._waits or is_socket
        if is_socket:
            import socket  # noqa: PLC0415 - rarely needed, and slow to import

            with suppress(OSError):
                self._socket = socket.socket(fileno=os.dup(fd))
            self._dont_wait = socket.MSG_DONTWAIT
            self._waits = self._socket is None
        if self._waits and status is not None and status.st_rdev != _MULTIPLEXER:
            with suppress(OSError):  # for example, the terminal belongs to another user
                flags = os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
                self._own = os.open(f"/proc/self/fd/{fd}", flags)

    def fileno(self) -> int:
        """Return the descriptor with which poll(2) can wait for room."""
        return self._own if self._own >= 0 else self._fd

    def write(self, data: bytes | memoryview) -> int:
        """Write as many bytes as there is room for, and return how many.

        Raises BlockingIOError if there is no room now, ReaderGone if nobody reads, and OSError if
        waiting would not help, for example because the disk is full.
        """
        try:
            if self._socket is not None:
                return self._socket.send(data, self._dont_wait)
            if self._own >= 0 or not self._waits:
                return os.write(self.fileno(), data)
            return self._write_shared(data)
        except BlockingIOError:
            raise
        except OSError as error:
            if self._has_reader and error.errno not in _FULL:
                raise ReaderGone from error  # EPIPE, EIO, ECONNRESET, ENOTCONN or another
            raise

    def _write_shared(self, data: bytes | memoryview) -> int:
        """Write to a description that others share; its flag is changed during the write only."""
        blocking = os.get_blocking(self._fd)
        os.set_blocking(self._fd, False)
        try:
            return os.write(self._fd, data)
        finally:
            os.set_blocking(self._fd, blocking)

    def claim(self) -> bool:
        """Try to lock the output against other recorders; return False if one is writing a line.

        After True, no other recorder writes until `yield_turn`. An output that could not be opened
        once more cannot be locked; then the result is always True.
        """
        if self._own < 0:
            return True
        try:
            flock(self._own, LOCK_EX | LOCK_NB)
        except BlockingIOError:
            return False
        except OSError:
            return True
        return True

    def yield_turn(self) -> None:
        """Unlock the output, so that other recorders can write."""
        if self._own >= 0:
            with suppress(OSError):
                flock(self._own, LOCK_UN)

    def close(self) -> None:
        """Close what was opened here, but not the descriptor itself."""
        if self._own >= 0:
            os.close(self._own)
            self._own = -1
        if self._socket is not None:
            self._socket.close()
            self._socket = None
