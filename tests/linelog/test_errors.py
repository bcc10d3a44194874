# SPDX-License-Identifier: MIT
"""Every error of layer 1: which builtin it is, what it carries, and that it can be pickled."""

import copy
import errno
import fcntl
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from . import linelog

LineLog = linelog.LineLog
Provoke = Callable[[Path, pytest.MonkeyPatch], object]


def system_refuses(path: Path, monkeypatch: pytest.MonkeyPatch) -> object:
    return linelog.read_log(path)


def sync_fails(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fdatasync(fd: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with LineLog(path, durable=True) as log:
        monkeypatch.setattr(os, "fdatasync", fdatasync)
        log.append_many([{}, {}])


def lock_is_taken(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with path.open("wb") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        linelog.append_log(path, {}, lock_timeout=0)


def used_during_its_own_append(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Use the handle between two system calls of its own append, as a signal handler may."""
    caught: list[BaseException] = []
    write = os.write

    def reenter(fd: int, data: bytes) -> int:
        uses: list[Callable[[], None]] = [lambda: log.append({}), log.repair, log.close]
        for use in uses:
            try:
                use()
            except linelog.OmnelogError as error:
                caught.append(error)
        return write(fd, data)

    with LineLog(path) as log, monkeypatch.context() as patch:
        patch.setattr(os, "write", reenter)
        log.append({"a": 1})
    assert linelog.read_log(path) == [{"a": 1}]
    assert [type(error) for error in caught] == [linelog.LogBusy] * 3
    raise caught[0]


def used_after_close(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = LineLog(path)
    log.close()
    log.append({})


def unfit_record(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    linelog.append_log(path, {"a": {1}})


def bad_line(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path.write_bytes(b"{}\n[]\n")
    linelog.read_log(path)


def torn_tail(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path.write_bytes(b"{}\n{")
    linelog.read_log(path)


ERRORS: dict[type[linelog.OmnelogError], tuple[type[Exception], Provoke]] = {
    linelog.LogIOError: (OSError, system_refuses),
    linelog.AppendIndeterminate: (OSError, sync_fails),
    linelog.LockTimeout: (TimeoutError, lock_is_taken),
    linelog.LogBusy: (RuntimeError, used_during_its_own_append),
    linelog.LogClosed: (ValueError, used_after_close),
    linelog.SerializeError: (ValueError, unfit_record),
    linelog.DeserializeError: (ValueError, bad_line),
    linelog.TornTailError: (linelog.DeserializeError, torn_tail),
}

every_error = pytest.mark.parametrize("cls", ERRORS, ids=lambda cls: cls.__name__)


def test_every_public_error_is_provoked_here() -> None:
    public = [getattr(linelog, name) for name in linelog.__all__]
    errors = {thing for thing in public if isinstance(thing, type) and issubclass(thing, Exception)}
    assert errors == {*ERRORS, linelog.OmnelogError}


@every_error
def test_an_error_is_typed_reads_as_one_line_and_survives_pickling(
    cls: type[linelog.OmnelogError], path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    builtin, provoke = ERRORS[cls]
    with pytest.raises(linelog.OmnelogError) as caught:
        provoke(path, monkeypatch)
    error = caught.value
    assert type(error) is cls
    assert isinstance(error, builtin)
    assert str(error).isprintable()
    assert cls is linelog.SerializeError or str(error).startswith(str(path))
    attributes = ["errno", "strerror", "filename", "appended", "waited_s", "holder_pid"]
    attributes += ["reason", "path", "line", "offset"]
    carried = {name: getattr(error, name) for name in attributes if hasattr(error, name)}
    protocols = range(2, pickle.HIGHEST_PROTOCOL + 1)
    pickled = [pickle.loads(pickle.dumps(error, protocol)) for protocol in protocols]
    for again in [copy.copy(error), *pickled]:
        assert type(again) is cls
        assert str(again) == str(error)
        assert {name: getattr(again, name) for name in carried} == carried


@pytest.mark.parametrize(
    ("cls", "code", "appended"),
    [
        (linelog.LogIOError, errno.ENOENT, 0),
        (linelog.AppendIndeterminate, errno.EIO, 2),
        (linelog.LockTimeout, errno.ETIMEDOUT, 0),
    ],
)
def test_an_error_about_the_file_has_errno_file_and_the_number_of_lines(
    cls: type[linelog.OmnelogError],
    code: int,
    appended: int,
    path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with pytest.raises(cls) as caught:
        ERRORS[cls][1](path, monkeypatch)
    error: Any = caught.value
    assert (error.errno, error.filename, error.appended) == (code, str(path), appended)
    assert str(error) == f"{path}: {error.strerror}"
