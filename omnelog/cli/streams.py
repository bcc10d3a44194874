# SPDX-License-Identifier: MIT
"""The standard streams: they may be closed, full, gone or in any encoding, and nothing breaks.

Nothing else in the command writes to standard output or standard error, except argparse and the
relay of a recorded command's own output.
"""

import codecs
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
_NARROWEST = 20  # columns; a terminal that says it has fewer gets lines for so many


def heeds_codes() -> bool:
    """Whether the terminal, if there is one, understands escape sequences."""
    return os.environ.get("TERM", "") not in ("", "dumb", "unknown")


def is_terminal() -> bool:
    """Whether standard output is one."""
    return sys.stdout is not None and sys.stdout.isatty()


def width() -> int | None:
    """The columns of the terminal that standard output is; None if it is none."""
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
    """Open the null device for each closed standard stream, so that no log becomes one of them.

    The system hands out the lowest free descriptor. Without this, if standard output were closed, a
    log that is opened could become standard output, and everything printed would go into it.
    """
    for fd in (0, STDOUT, STDERR):
        try:
            os.fstat(fd)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)


def encoding_of(stream: TextIO | None) -> str:
    """The encoding of a standard stream, without the byte order mark that some begin with."""
    name = getattr(stream, "encoding", None) or "utf-8"
    return {"utf-8-sig": "utf-8", "utf-16": "utf-16-le", "utf-32": "utf-32-le"}.get(
        codecs.lookup(name).name, name
    )


def complain(message: str) -> None:
    """Write a line to standard error, in one piece, harmless to a terminal.

    If that fails, there is nobody left to inform.
    """
    with suppress(OSError):
        os.write(STDERR, spell(message))


def spell(message: str) -> bytes:
    """`message` as a line for standard error, harmless to a terminal."""
    line = plain(message, longest=2000)
    return f"{line}\n".encode(encoding_of(sys.stderr), "backslashreplace")


def emit(line: str) -> None:
    """Write a line to standard output, what its encoding lacks as an escape. OSError, Refused."""
    output().write(f"{line}\n".encode(_stdout_encoding(), "backslashreplace"))


@cache
def _stdout_encoding() -> str:
    return encoding_of(sys.stdout)


def emit_json_lines(lines: Iterable[bytes]) -> None:
    """Write lines of JSON in UTF-8 to standard output. Raises OSError, Refused.

    As they are, unless that is a terminal: then what does not print is escaped, so that they say
    the same and do nothing.
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
    """Standard output for bytes, whose errors say that they are its own."""

    def __init__(self, buffer: BinaryIO) -> None:
        self._buffer = buffer

    def write(self, data: bytes) -> int:
        rest: bytes | memoryview = data  # nearly always all of it is written at once
        try:
            while rest:
                try:
                    rest = rest[self._buffer.write(rest) :]
                except BlockingIOError as error:  # so much of it is in the buffer, which is full
                    rest = memoryview(rest)[error.characters_written :]
                    _wait_for_room()
        except OSError as error:
            raise _named(error) from error
        return len(data)

    def writelines(self, lines: Iterable[bytes]) -> None:
        for line in lines:  # which may come from a file, whose errors are its own
            self.write(line)


def _wait_for_room() -> None:
    """Wait until standard output takes more: whoever started us may have made it not block."""
    import select  # noqa: PLC0415 - few outputs do not block

    room = select.poll()
    room.register(STDOUT, select.POLLOUT)
    room.poll()


def _named(error: OSError) -> OSError:
    """The same error, with standard output as the file that it is about."""
    return OSError(error.errno, error.strerror, "standard output")


def output() -> _Output:
    """Standard output for bytes. Raises Refused if it was closed from the start."""
    if sys.stdout is None:  # if it was closed, although typeshed does not say so
        raise Refused("standard output is closed")
    return _Output(sys.stdout.buffer)


def write_file(path: Path, pieces: Iterable[str]) -> None:
    """Write a text to a file, in place of one that is there. Raises OSError, which names it."""
    try:
        with path.open("w", encoding="utf-8", newline="\n") as file:
            file.writelines(pieces)
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error


def input_lines() -> Iterator[bytes]:
    """Yield the lines of standard input, each as soon as it is there. Raises Refused."""
    if sys.stdin is None:
        raise Refused("standard input is closed; pipe something into it")
    try:
        yield from sys.stdin.buffer
    except OSError as error:
        raise Refused(f"standard input: {error.strerror}") from error


def ask(question: str) -> bool:
    """Whether the person at the terminal says yes. Raises Refused if there is none."""
    if sys.stdin is None or not sys.stdin.isatty():
        raise Refused(
            "cannot ask for confirmation, because standard input is not a terminal; use --yes"
        )
    with suppress(OSError):
        os.write(STDERR, question.encode())
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def flush() -> None:
    """Flush standard output, so that its failure is an OSError here, not noise at the exit."""
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
    """Discard what is still buffered: its reader is gone, or there is no room for it."""
    with suppress(OSError):
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, STDOUT)
        os.close(null)
