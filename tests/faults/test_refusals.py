# SPDX-License-Identifier: MIT
"""Calls that the system, a file system or a security module refuses.

A lock that the system refuses is an error, and not a lock that another process holds. A directory
that cannot be synced, or a path that may not be looked at, stops an append only if the promises of
the handle depend on it.
"""

import errno
import fcntl
import os
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from .. import omnelog
from .logs import (
    APPENDER,
    LOCK,
    RUN,
    between,
    close_logs,
    event,
    line,
    lock_is_free,
    names,
    open_log,
    quarantine,
)
from .processes import WATCHDOG_S, Channel, in_child

__all__ = ["close_logs"]  # a fixture

PARENT = Path(omnelog.__file__).parents[omnelog.__name__.count(".") + 1]


def refusing(code: int) -> Callable[..., Any]:
    """A system call that fails with `code`."""

    def refuse(*_: object) -> Any:
        raise OSError(code, os.strerror(code))

    return refuse


# The lock.


@pytest.mark.spec("LOCK-17", "READ-11")
class TestALockThatASecurityModuleRefuses:
    """A process may write the log but not lock it: flock fails with EACCES."""

    @pytest.fixture
    def log(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> "omnelog.EventLog":
        log = open_log(tmp_path, lock_timeout=0.01)
        log.append(event(0))
        with log.path.open("ab") as file:
            file.write(b"torn")
        monkeypatch.setattr(fcntl, "flock", refusing(errno.EACCES))
        return log

    def test_is_an_io_error_to_an_append(self, log: "omnelog.EventLog") -> None:
        with pytest.raises(omnelog.LogIOError, match=os.strerror(errno.EACCES)) as caught:
            log.append(event(1))
        assert caught.value.errno == errno.EACCES
        assert caught.value.filename == str(log.path)

    @pytest.mark.parametrize("read", [omnelog.read_run, omnelog.scan_run])
    def test_is_an_io_error_to_a_reader(self, log: "omnelog.EventLog", read: Any) -> None:
        with pytest.raises(omnelog.LogIOError) as caught:
            read(log.path.parents[4], RUN)
        assert caught.value.errno == errno.EACCES

    def test_is_an_io_error_to_who_wants_a_ulid(
        self, log: "omnelog.EventLog", tmp_path: Path
    ) -> None:
        with pytest.raises(omnelog.LogIOError) as caught:
            omnelog.allocate_ulid(tmp_path, lock_timeout=0)
        assert caught.value.errno == errno.EACCES


def test_a_lock_that_is_free_when_the_deadline_has_passed_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At the deadline, the core asks the system once more, and that may succeed."""
    log = open_log(tmp_path, lock_timeout=0)
    monkeypatch.setattr(APPENDER, "try_lock", lambda _: False)
    monkeypatch.setattr(LOCK, "try_lock", lambda _: False)
    log.append(event(1))
    assert names(log.path.read_bytes()) == [("w", 1)]
    assert lock_is_free(log.path)


def test_a_lock_is_tried_four_times_before_the_first_sleep(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Most appends hold the lock for less time than the shortest sleep takes."""
    tries = [0]

    def try_lock(_: int) -> bool:
        tries[0] += 1
        return tries[0] == 4

    def sleep(_: float) -> None:
        raise AssertionError("it slept")

    monkeypatch.setattr(LOCK, "try_lock", try_lock)
    monkeypatch.setattr(LOCK, "sleep", sleep)
    with LOCK.LockableFile(open_log(tmp_path).path, os.O_RDWR) as file:
        file.acquire(0.0, 60.0)
    assert tries == [4]


# The look at the path.


@pytest.mark.spec("APP-55")
class TestAPathThatMayNotBeLookedAt:
    def test_means_that_the_append_goes_on_with_the_open_file(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        log = open_log(tmp_path)
        monkeypatch.setattr(APPENDER, "PATH_CHECK_INTERVAL_S", 0.0)
        between(monkeypatch, stat=refusing(errno.EACCES))
        for number in range(3):
            log.append(event(number))
        assert names(log.path.read_bytes()) == [("w", 0), ("w", 1), ("w", 2)]

    def test_is_no_permission_error_of_a_signal_handler(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        alarm = PermissionError("a handler's own")

        def strike(_: object) -> None:
            raise alarm

        log = open_log(tmp_path)
        monkeypatch.setattr(APPENDER, "PATH_CHECK_INTERVAL_S", 0.0)
        between(monkeypatch, stat=strike)
        with pytest.raises(PermissionError) as caught:
            log.append(event(1))
        assert caught.value is alarm

    def test_is_what_a_process_finds_that_gave_up_its_privileges(self, tmp_path: Path) -> None:
        if os.geteuid() != 0:
            pytest.skip("GIVING UP PRIVILEGES WAS NOT TESTED: there are none to give up")
        log = open_log(tmp_path)
        log.append(event(0))

        def body(_: Channel) -> None:
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(APPENDER, "PATH_CHECK_INTERVAL_S", 0.0)
                ours = open_log(tmp_path)
                tmp_path.chmod(0o700)
                os.setegid(65534)
                os.seteuid(65534)
                with pytest.raises(PermissionError):
                    os.stat(ours.path)
                ours.append(event(1))

        in_child(body)
        assert names(log.path.read_bytes()) == [("w", 0), ("w", 1)]


# Directories.


def fsync_of_files_only(code: int) -> Callable[[int], None]:
    """An fsync that fails with `code` for a directory, as on some network file systems."""

    def fsync(descriptor: int) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(code, os.strerror(code))

    return fsync


def open_of_files_only(path: Any, flags: int, mode: int = 0o777) -> int:
    """An open that refuses directories, as if they could be searched but not read."""
    if flags & os.O_DIRECTORY:
        raise OSError(errno.EACCES, os.strerror(errno.EACCES))
    return os.open(path, flags, mode)


REFUSED: dict[str, dict[str, Callable[..., Any]]] = {
    "EINVAL": {"fsync": fsync_of_files_only(errno.EINVAL)},
    "ENOTSUP": {"fsync": fsync_of_files_only(errno.ENOTSUP)},
    "ENOSYS": {"fsync": fsync_of_files_only(errno.ENOSYS)},
    "EACCES": {"fsync": lambda _: None, "open": open_of_files_only},
}


@pytest.mark.spec("APP-59")
@pytest.mark.parametrize("name", REFUSED)
class TestADirectoryThatCannotBeSynced:
    def test_stops_no_repair_in_the_default_mode(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
    ) -> None:
        log = open_log(tmp_path)
        log.path.write_bytes(line(0) + b"torn")
        between(monkeypatch, **REFUSED[name])
        log.append(event(1))
        assert log.path.read_bytes() == line(0) + line(1)
        assert quarantine(log.path) == [b"torn"]

    def test_is_an_io_error_to_a_durable_repair(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
    ) -> None:
        log = open_log(tmp_path, durable=True)
        log.path.write_bytes(line(0) + b"torn")
        between(monkeypatch, fdatasync=lambda _: None, **REFUSED[name])
        with pytest.raises(omnelog.LogIOError) as caught:
            log.append(event(1))
        assert caught.value.errno == getattr(errno, name)
        assert caught.value.filename == str(log.path.parent)
        assert log.path.read_bytes() == line(0) + b"torn"

    def test_is_an_io_error_to_a_durable_opening_and_says_what_for(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
    ) -> None:
        between(monkeypatch, **REFUSED[name])
        with pytest.raises(
            omnelog.LogIOError, match="a durable log has to sync this directory"
        ) as caught:
            open_log(tmp_path, durable=True)
        assert caught.value.errno == getattr(errno, name)


@pytest.mark.spec("APP-18", "APP-59")
def test_a_directory_whose_sync_fails_stops_the_repair_in_every_mode(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The quarantine may be lost if its directory is not synced, so the log is not cut."""
    log = open_log(tmp_path)
    log.path.write_bytes(b"torn")
    between(monkeypatch, fsync=fsync_of_files_only(errno.EIO))
    with pytest.raises(omnelog.LogIOError):
        log.append(event(1))
    assert log.path.read_bytes() == b"torn"


# Other systems, and other settings of the interpreter.


class TestASystemWithoutFlock:
    @pytest.fixture(autouse=True)
    def elsewhere(self, monkeypatch: pytest.MonkeyPatch) -> None:
        class Elsewhere:
            """The module ``os`` of a system that is not POSIX."""

            name = "nt"

            def __getattr__(self, name: str) -> Any:
                if name in ("O_CLOEXEC", "O_NONBLOCK", "O_NOCTTY", "O_DIRECTORY", "pread"):
                    raise AttributeError(name)
                return getattr(os, name)

        monkeypatch.setattr(LOCK, "os", Elsewhere())

    @pytest.mark.parametrize(
        "read", [omnelog.read_run, omnelog.scan_run, lambda *of: next(omnelog.follow_run(*of))]
    )
    def test_is_named_to_a_reader(self, tmp_path: Path, read: Callable[..., object]) -> None:
        path = omnelog.events_log_path(tmp_path, RUN)
        path.parent.mkdir(parents=True)
        path.write_bytes(line(1))
        with pytest.raises(omnelog.LogIOError, match="flock") as caught:
            read(tmp_path, RUN)
        assert caught.value.errno == errno.ENOTSUP

    def test_is_named_to_who_wants_a_ulid(self, tmp_path: Path) -> None:
        with pytest.raises(omnelog.LogIOError, match="flock"):
            omnelog.allocate_ulid(tmp_path)


def run_python(*arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run an interpreter for which every warning is an error."""
    command = [sys.executable, "-W", "error", *arguments]
    return subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=WATCHDOG_S,
        env={**os.environ, "PYTHONPATH": str(PARENT)},
        encoding="utf-8",
    )


def test_the_holder_is_named_where_default_encodings_are_warned_of(tmp_path: Path) -> None:
    """The warning is an error here, and must not replace the LockTimeout."""
    log = open_log(tmp_path)
    log.append(event(0))
    script = f"""
import sys
from {omnelog.__name__} import EventLog, LockTimeout, PipeCompleted
log = EventLog.for_run(sys.argv[1], "r", lock_timeout=0)
try:
    log.append(PipeCompleted(id="", ts="", run_id=""))
except LockTimeout as error:
    print(error.holder_pid)
"""
    with log.path.open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        done = run_python("-X", "warn_default_encoding", "-c", script, str(tmp_path))
    assert (done.stdout, done.stderr) == (f"{os.getpid()}\n", "")


def test_a_handle_that_is_dropped_gives_no_warning_also_when_it_was_unpickled(
    tmp_path: Path,
) -> None:
    script = f"""
import gc, pickle, sys
from {omnelog.__name__} import EventLog, LineLog, iter_run
log = EventLog.for_run(sys.argv[1], "r")
pickle.loads(pickle.dumps(log)).repair()
LineLog(log.path).repair()
log.append_many([])
del log
next(iter_run(sys.argv[1], "r"), None)
gc.collect()
"""
    done = run_python("-X", "dev", "-c", script, str(tmp_path))
    assert (done.returncode, done.stderr) == (0, "")
