# SPDX-License-Identifier: MIT
"""The usual ways to append a line to a log, each used as its own documentation says.

A process opens the log at a path in one of these ways, and gets a function that appends one line,
given its text without the newline. The bench measures some of the ways (`bench.peers`), and
`damage` counts the damage to the records of each under faults.
"""

import fcntl
import importlib
import json
import logging
import os
import sqlite3
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass, field
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TypeAlias

from filelock import FileLock

from .faults import FORK, REPLACE, SHORT_WRITE

Append: TypeAlias = Callable[[str], object]
"""Appends one line, given without its newline."""
Opening: TypeAlias = Callable[[Path], AbstractContextManager[Append]]
"""Opens the log at a path."""


@contextmanager
def plain_open(path: Path) -> Iterator[Append]:
    """Open, write and close, as in the Python tutorial, 7.2, "Reading and Writing Files"."""

    def append(text: str) -> None:
        with path.open("a", encoding="utf-8") as file:
            file.write(text + "\n")

    yield append


@contextmanager
def flock_buffered(path: Path) -> Iterator[Append]:
    """Lock the file, write, unlock and close, with the calls in the documentation of `fcntl`.

    The write goes into the buffer of the file, which `close` flushes after the unlock. Programs
    with these four lines, written by hand, do the same.
    """

    def append(text: str) -> None:
        with path.open("a", encoding="utf-8") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            file.write(text + "\n")
            fcntl.flock(file, fcntl.LOCK_UN)

    yield append


@contextmanager
def flock_flushed(path: Path) -> Iterator[Append]:
    """Do the same, with one more line that makes it correct: a flush before the unlock."""

    def append(text: str) -> None:
        with path.open("a", encoding="utf-8") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            file.write(text + "\n")
            file.flush()
            fcntl.flock(file, fcntl.LOCK_UN)

    yield append


@contextmanager
def side_file_lock(path: Path, *, durable: bool = False) -> Iterator[Append]:
    """Lock ``PATH.lock``, then ``open("a")``: the first example in filelock's documentation."""
    lock = FileLock(f"{path}.lock", timeout=60)

    def append(text: str) -> None:
        with lock, path.open("a", encoding="utf-8") as file:
            file.write(text + "\n")
            if durable:
                file.flush()
                os.fsync(file.fileno())

    yield append


@contextmanager
def _handler(make: Callable[[Path], logging.Handler], path: Path) -> Iterator[Append]:
    logger = logging.getLogger(f"stress.usual_ways.{os.getpid()}")  # no child inherits its handlers
    logger.propagate = False
    logger.setLevel(logging.INFO)
    with closing(make(path)) as handler:
        handler.setFormatter(logging.Formatter("%(message)s"))
        logger.addHandler(handler)
        try:
            yield logger.info
        finally:
            logger.removeHandler(handler)


def _file_handler(path: Path) -> logging.Handler:
    return logging.FileHandler(path, encoding="utf-8")


def _concurrent_handler(path: Path) -> logging.Handler:
    module = importlib.import_module("concurrent_log_handler")
    handler: logging.Handler = module.ConcurrentRotatingFileHandler(path, "a", encoding="utf-8")
    return handler


file_handler: Opening = partial(_handler, _file_handler)
"""Each process has its own handler on the same file.

The Logging Cookbook says that this is not supported ("Logging to a single file from multiple
processes"), because nothing in Python serializes it. Programs do it nevertheless.
"""

concurrent_handler: Opening = partial(_handler, _concurrent_handler)
"""Each process has its own handler: the quick start in the package's README, without rotation."""


@contextmanager
def loguru_enqueue(path: Path) -> Iterator[Append]:
    """Use ``logger.add(path, enqueue=True)``, loguru's documented way for several processes."""
    logger = importlib.import_module("loguru").logger
    logger.remove()
    logger.add(path, format="{message}", enqueue=True)
    try:
        yield logger.info
    finally:
        logger.complete()  # an append has ended when the queue is empty
        logger.remove()


def _loguru_leave() -> None:
    """Wait until the queue is empty, as loguru's documentation asks of a child process."""
    importlib.import_module("loguru").logger.complete()


@contextmanager
def jsonl_log(path: Path) -> Iterator[Append]:
    """Use the first function in the README of jsonl-log.

    The README also says: "A multi-worker deployment needs OS-level file locking [...] out of scope
    here".
    """
    append_jsonl = importlib.import_module("jsonl_log").append_jsonl

    def append(text: str) -> None:
        append_jsonl(path, json.loads(text))

    yield append


@contextmanager
def sqlite_database(path: Path, synchronous: str) -> Iterator[sqlite3.Connection]:
    """Open a table in WAL mode, as the page "Write-Ahead Logging" of SQLite advises."""
    with FileLock(f"{path}.setup"):  # only one process at a time may switch it to WAL
        database = sqlite3.connect(path, timeout=60, isolation_level=None, check_same_thread=False)
        database.execute("PRAGMA journal_mode=WAL")
        database.execute(f"PRAGMA synchronous={synchronous}")
        database.execute("CREATE TABLE IF NOT EXISTS log (line TEXT)")
    with closing(database):
        yield database


@contextmanager
def sqlite_rows(path: Path, synchronous: str = "NORMAL") -> Iterator[Append]:
    """Insert a row for each line. Threads take turns, as the documentation of `sqlite3` demands."""
    mutex = threading.Lock()
    with sqlite_database(path, synchronous) as database:

        def append(text: str) -> None:
            with mutex:
                database.execute("INSERT INTO log VALUES (?)", (text,))

        yield append


@contextmanager
def _sqlite_beside(path: Path) -> Iterator[Append]:
    with sqlite_rows(_database_path(path)) as append:
        yield append


def _database_path(log: Path) -> Path:
    return log.with_name("log.sqlite")


def _sqlite_export(path: Path) -> None:
    """Write the rows that a reader of the database finds to `path`, a line for each."""
    with closing(sqlite3.connect(_database_path(path))) as database, path.open("wb") as file:
        for (text,) in database.execute("SELECT line FROM log ORDER BY rowid"):
            file.write(text.encode() + b"\n")


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """A way to append, and what its documentation says about processes."""

    opening: Opening
    module: str | None = None
    """The module that has to be installed, in addition to omnelog's own dependencies."""
    spaced: bool = False
    """Whether it writes JSON with a space after each comma and colon."""
    by_parent: bool = False
    """Whether a parent opens the log, and its child processes use what the parent opened."""
    reopens: bool = False
    """Whether a forked child closes what it inherited, and opens the log itself."""
    leave: Callable[[], None] | None = None
    """A process that uses what its parent opened calls this before it ends."""
    export: Callable[[Path], None] | None = None
    """Writes the lines that a reader finds to the log's path, if the way keeps no file of lines."""
    cannot: Mapping[str, str] = field(default_factory=dict)
    """The faults under which it cannot be tested, each with the reason."""

    @property
    def installed(self) -> bool:
        """Whether it can be used here."""
        return self.module is None or find_spec(self.module) is not None


WAYS = {
    'open("a")': Way(opening=plain_open),
    "flock, flushed by close": Way(opening=flock_buffered),
    "flock, flushed in time": Way(opening=flock_flushed),
    "FileLock on a side file": Way(
        opening=side_file_lock,
        reopens=True,  # "was inherited across fork; construct a new instance"
    ),
    "logging.FileHandler": Way(opening=file_handler),
    "concurrent-log-handler": Way(
        opening=concurrent_handler,
        module="concurrent_log_handler",
        reopens=True,  # its README, "Using fork()"
    ),
    "loguru, enqueue": Way(
        opening=loguru_enqueue,
        module="loguru",
        by_parent=True,  # its recipes, "Compatibility with multiprocessing using enqueue argument"
        leave=_loguru_leave,
    ),
    "jsonl-log": Way(opening=jsonl_log, module="jsonl_log", spaced=True),
    "SQLite": Way(
        opening=_sqlite_beside,
        export=_sqlite_export,
        cannot={  # its page "How To Corrupt An SQLite Database File"
            SHORT_WRITE: "it writes in C, where writes cannot be cut short from within Python",
            FORK: "its documentation says not to carry an open database across a fork",
            REPLACE: "its documentation says not to rename a database that is in use",
        },
    ),
}
"""The ways, by their names in the table."""


class WayLog:
    """A handle on a log in one of the `WAYS`, with the methods that a writer needs."""

    def __init__(self, name: str, path: Path) -> None:
        self._way, self._path = WAYS[name], path
        self._open()

    def _open(self) -> None:
        self._process = os.getpid()
        self._opened = self._way.opening(self._path)
        self._append = self._opened.__enter__()

    def append(self, text: str) -> None:
        """Append `text` as one line. Raises what the way raises."""
        if self._way.reopens and self._process != os.getpid():
            self._opened.__exit__(None, None, None)
            self._open()
        self._append(text)

    def append_many(self, texts: list[str]) -> None:
        """Append each of `texts`."""
        for text in texts:
            self.append(text)

    def close(self) -> None:
        """Close the way in this process."""
        if self._process == os.getpid():
            self._opened.__exit__(None, None, None)
        elif self._way.leave is not None:
            self._way.leave()
