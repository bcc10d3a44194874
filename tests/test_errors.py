# SPDX-License-Identifier: MIT
"""Every error: which builtin it is, what it carries, how it reads, and that it can be pickled."""

import copy
import errno
import fcntl
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from . import omnelog

RUN = "feature-01kpfntqeej7vhn935kc0tm9vn"
EVENT = omnelog.PipeCompleted(id="i", ts="t", run_id=RUN)

Provoke = Callable[[Path, pytest.MonkeyPatch], object]


def log_of(root: Path, content: bytes) -> Path:
    """The path of the log of RUN in the volume at `root`, made with `content`."""
    path = omnelog.events_log_path(root, RUN)
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    return path


def system_refuses(root: Path, monkeypatch: pytest.MonkeyPatch) -> object:
    return omnelog.read_run(root, RUN)


def sync_fails(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fdatasync(fd: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with omnelog.EventLog.for_run(root, RUN, durable=True) as log:
        monkeypatch.setattr(os, "fdatasync", fdatasync)
        log.append_many([EVENT, EVENT])


def lock_is_taken(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = log_of(root, b"")
    with path.open("rb") as other, omnelog.EventLog.for_run(root, RUN, lock_timeout=0) as log:
        fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
        log.append(EVENT)


def append_within_an_append(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    caught: list[BaseException] = []
    write = os.write

    def reenter(fd: int, data: bytes) -> int:
        try:
            log.append(EVENT)
        except omnelog.OmnelogError as error:
            caught.append(error)
        return write(fd, data)

    with omnelog.EventLog.for_run(root, RUN) as log, monkeypatch.context() as patch:
        patch.setattr(os, "write", reenter)
        log.append(EVENT)
    assert omnelog.read_run(root, RUN) == [EVENT]
    raise caught[0]


def use_after_close(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = omnelog.EventLog.for_run(root, RUN)
    log.close()
    log.append(EVENT)


def hostile_run_id(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    omnelog.run_exists(root, "../etc")


def corrupt_ulid(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    omnelog.var_dir(root).mkdir(parents=True)
    omnelog.ulid_lock_path(root).write_bytes(b"oops")
    omnelog.allocate_ulid(root)


def misfit(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    omnelog.encode(omnelog.PipeCompleted(id="i", ts="t", run_id=7))  # type: ignore[arg-type]


def bad_line(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log_of(root, omnelog.encode(EVENT) * 2 + b'{"type":"oops"}\n')
    omnelog.read_run(root, RUN)


def torn_tail(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log_of(root, omnelog.encode(EVENT) + b'{"type":"pipe.comp')
    omnelog.read_run(root, RUN)


ERRORS: dict[type[omnelog.OmnelogError], tuple[type[Exception], Provoke]] = {
    omnelog.LogIOError: (OSError, system_refuses),
    omnelog.AppendIndeterminate: (OSError, sync_fails),
    omnelog.LockTimeout: (TimeoutError, lock_is_taken),
    omnelog.LogBusy: (RuntimeError, append_within_an_append),
    omnelog.LogClosed: (ValueError, use_after_close),
    omnelog.InvalidRunId: (ValueError, hostile_run_id),
    omnelog.UlidError: (ValueError, corrupt_ulid),
    omnelog.SerializeError: (ValueError, misfit),
    omnelog.DeserializeError: (ValueError, bad_line),
    omnelog.TornTailError: (omnelog.DeserializeError, torn_tail),
}

every_error = pytest.mark.parametrize("cls", ERRORS, ids=lambda cls: cls.__name__)


@pytest.fixture
def provoked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[type[omnelog.OmnelogError]], Any]:
    def provoke(cls: type[omnelog.OmnelogError]) -> Any:
        with pytest.raises(omnelog.OmnelogError) as caught:
            ERRORS[cls][1](tmp_path, monkeypatch)
        return caught.value

    return provoke


Provoked = Callable[[type[omnelog.OmnelogError]], Any]


def test_every_public_error_is_provoked_here() -> None:
    public = [getattr(omnelog, name) for name in omnelog.__all__]
    errors = {thing for thing in public if isinstance(thing, type) and issubclass(thing, Exception)}
    assert errors == {*ERRORS, omnelog.OmnelogError}


@pytest.mark.spec("ERR-1")
@every_error
def test_an_error_is_an_omnelog_error_and_the_builtin_a_caller_expects(
    cls: type[omnelog.OmnelogError], provoked: Provoked
) -> None:
    error = provoked(cls)
    assert type(error) is cls
    assert isinstance(error, omnelog.OmnelogError)
    assert isinstance(error, ERRORS[cls][0])


@pytest.mark.spec("ERR-1", "ERR-2")
def test_kinds_of_errors_that_a_caller_distinguishes_do_not_catch_one_another() -> None:
    for cls in ERRORS:
        caught_by = {other for other in ERRORS if issubclass(cls, other)}
        assert caught_by - {cls} == ({omnelog.DeserializeError} & set(cls.__mro__[1:]))


@every_error
def test_an_error_survives_pickle_and_copy_with_all_it_carries(
    cls: type[omnelog.OmnelogError], provoked: Provoked
) -> None:
    error = provoked(cls)
    attributes = ["errno", "strerror", "filename", "appended", "waited_s", "holder_pid"]
    attributes += ["reason", "path", "line", "offset"]
    carried = {name: getattr(error, name) for name in attributes if hasattr(error, name)}
    for level in range(2, pickle.HIGHEST_PROTOCOL + 1):
        again = pickle.loads(pickle.dumps(error, level))
        assert type(again) is cls
        assert str(again) == str(error)
        assert repr(again) == repr(error)
        assert {name: getattr(again, name) for name in carried} == carried
    again = copy.copy(error)
    assert (type(again), str(again)) == (cls, str(error))
    assert {name: getattr(again, name) for name in carried} == carried


@pytest.mark.spec("SEC-8")
@every_error
def test_an_error_reads_as_one_plain_line(
    cls: type[omnelog.OmnelogError], provoked: Provoked
) -> None:
    text = str(provoked(cls))
    assert text.isprintable()
    assert not text.startswith(("(", "[Errno"))


@pytest.mark.spec("ERR-5")
@pytest.mark.parametrize("cls", [omnelog.LogIOError, omnelog.AppendIndeterminate])
def test_an_error_of_the_system_names_errno_file_and_cause(
    cls: type[omnelog.OmnelogError], provoked: Provoked, tmp_path: Path
) -> None:
    error = provoked(cls)
    path = omnelog.events_log_path(tmp_path, RUN)
    assert error.filename == str(path)
    expected = errno.ENOENT if cls is omnelog.LogIOError else errno.EIO
    assert error.errno == expected
    assert str(error) == f"{path}: {error.strerror}"
    assert os.strerror(expected) in str(error)
    assert isinstance(error.__cause__, OSError)


def test_an_error_of_the_system_says_how_many_events_of_the_call_stand(provoked: Provoked) -> None:
    assert provoked(omnelog.AppendIndeterminate).appended == 2


def test_a_lock_timeout_says_who_held_the_lock_and_for_how_long(
    provoked: Provoked, tmp_path: Path
) -> None:
    error = provoked(omnelog.LockTimeout)
    path = omnelog.events_log_path(tmp_path, RUN)
    assert error.errno == errno.ETIMEDOUT
    assert error.filename == str(path)
    assert str(error) == f"{path}: {error.strerror}"
    assert error.waited_s >= 0
    if Path("/proc/locks").exists():
        assert error.holder_pid == os.getpid()
        assert str(os.getpid()) in str(error)
    assert error.appended == 0


def test_a_bad_line_is_named_by_path_line_offset_and_reason(
    provoked: Provoked, tmp_path: Path
) -> None:
    error = provoked(omnelog.DeserializeError)
    path = omnelog.events_log_path(tmp_path, RUN)
    assert (error.path, error.line, error.offset) == (path, 3, 2 * len(omnelog.encode(EVENT)))
    assert "type" in error.reason
    assert str(error) == f"{path}:3: {error.reason}"
    assert isinstance(error.__cause__, ValueError)


def test_a_torn_tail_is_named_like_a_bad_line(provoked: Provoked, tmp_path: Path) -> None:
    error = provoked(omnelog.TornTailError)
    path = omnelog.events_log_path(tmp_path, RUN)
    assert (error.path, error.line, error.offset) == (path, 2, len(omnelog.encode(EVENT)))
    assert str(error) == f"{path}:2: {error.reason}"


def test_a_bare_line_has_a_reason_and_no_place() -> None:
    with pytest.raises(omnelog.DeserializeError) as caught:
        omnelog.decode(b"{}")
    assert str(caught.value) == caught.value.reason
    assert (caught.value.path, caught.value.line, caught.value.offset) == (None, None, None)


@pytest.mark.spec("ERR-4")
@pytest.mark.parametrize(
    "cls", [omnelog.LogBusy, omnelog.LogClosed, omnelog.UlidError], ids=lambda cls: cls.__name__
)
def test_what_went_wrong_with_a_file_begins_with_its_path(
    cls: type[omnelog.OmnelogError], provoked: Provoked, tmp_path: Path
) -> None:
    log, ulid = omnelog.events_log_path(tmp_path, RUN), omnelog.ulid_lock_path(tmp_path)
    path = ulid if cls is omnelog.UlidError else log
    assert str(provoked(cls)).startswith(f"{path}: ")
