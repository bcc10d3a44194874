# SPDX-License-Identifier: MIT
"""Read and write the standard streams, which may be closed, full, unread, or in any encoding.

Nothing else in the command writes to standard output or standard error, except argparse, the
display of progress, and `record`.
"""

import codecs
import errno
import json
import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import BinaryIO, TextIO

from .exits import Refused
from .text import plain

STDOUT = 1
STDERR = 2
_PAUSE_MS = 100  # milliseconds, which people do not notice
_NARROWEST = 20  # columns; lines are made for a terminal of at least this width


def heeds_codes() -> bool:
    """Return whether the terminal, if there is one, understands escape sequences."""
    return os.environ.get("TERM", "") not in ("", "dumb", "unknown")


def is_terminal() -> bool:
    """Return whether standard output is a terminal."""
    return sys.stdout is not None and sys.stdout.isatty()


def width() -> int | None:
    """Return the number of columns if standard output is a terminal, otherwise None."""
    if not is_terminal():
        return None
    try:
        columns = int(os.environ.get("COLUMNS", ""))
    except ValueError:
        columns = 0
    try:
        columns = columns or os.get_terminal_size(STDOUT).columns
    except OSError:
        columns = 0
    return max(_NARROWEST, columns or 80)  # 0: the terminal does not know its size


def occupy_closed() -> None:
    """Open the null device for each standard stream that is closed.

    The system gives a new file the lowest free descriptor. If standard output were closed, a log
    that is opened could become standard output, and everything printed would go into the log.
    """
    for fd in (0, STDOUT, STDERR):
        try:
            os.fstat(fd)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)


def encoding_of(stream: TextIO | None) -> str:
    """Return the encoding of a standard stream, in the form that does not add a byte order mark."""
    name = getattr(stream, "encoding", None) or "utf-8"
    return {"utf-8-sig": "utf-8", "utf-16": "utf-16-le", "utf-32": "utf-32-le"}.get(
        codecs.lookup(name).name, name
    )


def complain(message: str) -> None:
    """Write a line to standard error, in one piece, harmless to a terminal.

    A failure is ignored, because there is no other place to report it.
    """
    with suppress(OSError):
        os.write(STDERR, spell(message))


def spell(message: str) -> bytes:
    """Return `message` as a line for standard error, harmless to a terminal."""
    line = plain(message, longest=2000)
    return f"{line}\n".encode(encoding_of(sys.stderr), "backslashreplace")


def emit(line: str) -> None:
    """Write a line to standard output. Raises OSError, Refused.

    Characters that its encoding does not have are written as escapes.
    """
    output().write(f"{line}\n".encode(_stdout_encoding(), "backslashreplace"))


@cache
def _stdout_encoding() -> str:
    return encoding_of(sys.stdout)


def emit_json_lines(lines: Iterable[bytes]) -> None:
    """Write lines of JSON in UTF-8 to standard output. Raises OSError, Refused.

    If standard output is a terminal, characters that do not print are written as JSON escapes, so
    that the lines mean the same and are harmless to the terminal.
    """
    if not is_terminal():
        output().writelines(lines)
        return
    for line in lines:
        text = line[:-1].decode()
        if not text.isprintable():
            text = "".join(c if c.isprintable() else json.dumps(c)[1:-1] for c in text)
        emit(text)


class _Output:
    """Standard output for bytes. Its errors name standard output as their file."""

    def __init__(self, buffer: BinaryIO) -> None:
        self._buffer = buffer

    def write(self, data: bytes) -> int:
        rest: bytes | memoryview = data  # nearly always, one write takes all of it
        try:
            while rest:
                try:
                    rest = rest[self._buffer.write(rest) :]
                except BlockingIOError as error:  # a part is in the buffer, which is full now
                    rest = memoryview(rest)[error.characters_written :]
                    _wait_for_room()
        except OSError as error:
            raise _named(error) from error
        return len(data)

    def writelines(self, lines: Iterable[bytes]) -> None:
        for line in lines:  # the errors of the file that the lines come from are not changed
            self.write(line)


def _wait_for_room() -> None:
    """Wait until standard output takes more. It may have been non-blocking when we started."""
    import select  # noqa: PLC0415 - few outputs are non-blocking

    room = select.poll()
    room.register(STDOUT, select.POLLOUT)
    room.poll()


def _named(error: OSError) -> OSError:
    """Return the same error with standard output as its file."""
    return OSError(error.errno, error.strerror, "standard output")


def output() -> _Output:
    """Return standard output for bytes. Raises Refused if it was closed when we started."""
    if sys.stdout is None:  # it was closed; typeshed does not know that this can be
        raise Refused("standard output is closed; redirect it to a file or a pipe")
    return _Output(sys.stdout.buffer)


def pause() -> None:
    """Wait a moment. Raises BrokenPipeError if the reader of standard output goes away meanwhile.

    A verb that follows a file would otherwise wait for ever when nothing more is written to it.
    """
    import select  # noqa: PLC0415 - few verbs wait

    reader = select.poll()
    reader.register(STDOUT, 0)
    if reader.poll(_PAUSE_MS):
        raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE))


def write_file(path: Path, pieces: Iterable[str]) -> None:
    """Write a text to a file, replacing what it holds. Raises OSError, which names the file."""
    try:
        with path.open("w", encoding="utf-8", newline="\n") as file:
            file.writelines(pieces)
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error


def input_lines() -> Iterator[bytes]:
    """Yield the lines of standard input, each as soon as it arrives. Raises Refused."""
    if sys.stdin is None:
        raise Refused("standard input is closed; pipe something into it")
    try:
        yield from sys.stdin.buffer
    except OSError as error:
        raise Refused(f"standard input: {error.strerror}") from error


def ask(question: str) -> bool:
    """Ask the person at the terminal; return whether the answer is yes.

    Raises Refused if standard input is not a terminal.
    """
    if sys.stdin is None or not sys.stdin.isatty():
        raise Refused(
            "cannot ask for confirmation, because standard input is not a terminal; use --yes"
        )
    with suppress(OSError):
        os.write(STDERR, question.encode())
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def flush() -> None:
    """Flush standard output. Raises OSError, which Python would otherwise only print at exit."""
    while sys.stdout is not None:
        try:
            sys.stdout.flush()
        except BlockingIOError:  # the rest stays in the buffer
            _wait_for_room()
        except OSError as error:
            raise _named(error) from error
        else:
            return


def give_up_output() -> None:
    """Discard what is still buffered for standard output, because it cannot be written."""
    with suppress(OSError):
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, STDOUT)
        os.close(null)
