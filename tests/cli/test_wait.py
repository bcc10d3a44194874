# SPDX-License-Identifier: MIT
"""`wait` waits until a run has ended. The exit status says how the run ended."""

import shutil
import signal
import subprocess

import pytest

from .. import omnelog
from .histories import History
from .volume import RUN, Volume, aborted, completed, finish, started


@pytest.mark.parametrize(("end", "status"), [(completed(), 0), (aborted(), 1)])
def test_of_a_run_that_has_ended_it_says_how(
    volume: Volume, end: "omnelog.Event", status: int
) -> None:
    volume.write(started(), end)
    said = volume.call("wait", RUN)
    assert (said.status, said.out, said.err) == (status, b"", "")


def test_the_last_end_counts(volume: Volume) -> None:
    volume.write(started(), aborted(), completed())
    assert volume.call("wait", RUN).status == 0


def test_it_ends_when_the_run_does(volume: Volume) -> None:
    """The end is appended once `wait` has opened the log. Otherwise, nothing would be tested."""
    path = volume.write(started())
    with volume.start("wait", RUN, stdin=subprocess.DEVNULL) as process:
        while str(path).encode() not in _open_files(process.pid):
            assert process.poll() is None
        with omnelog.EventLog.for_run(volume.root, RUN) as log:
            log.append(aborted())
        assert finish(process).status == 1


def _open_files(pid: int) -> bytes:
    listed = ["sh", "-c", f"readlink /proc/{pid}/fd/*"]
    return subprocess.run(listed, capture_output=True).stdout


def test_it_waits_no_longer_than_it_should(volume: Volume) -> None:
    volume.write(started())
    said = volume.call("wait", "--timeout", "150ms", RUN)
    assert said.status == 124
    assert said.err == f"omnelog: wait: run {RUN} has not ended after 0.15 s\n"


def test_a_run_without_a_log_is_waited_for(volume: Volume) -> None:
    volume.log()
    assert volume.call("wait", "--timeout", "1ms", RUN).status == 124


def test_a_run_that_is_removed_is_no_longer_waited_for(volume: Volume) -> None:
    path = volume.write(started())
    with volume.start("wait", RUN, stdin=subprocess.DEVNULL) as process:
        while str(path).encode() not in _open_files(process.pid):
            assert process.poll() is None
        shutil.rmtree(path.parent)
        said = finish(process)
    assert (said.status, said.err) == (125, f"omnelog: run {RUN} was removed\n")


@pytest.mark.parametrize("named", ["nope", "latest", "a/b"])
def test_a_missing_run_is_distinguished_from_one_that_was_aborted(
    volume: Volume, named: str
) -> None:
    said = volume.call("wait", named)
    assert (said.status, said.err.count("\n")) == (125, 1)


def test_damage_does_not_end_it_nor_hide_the_end(volume: Volume) -> None:
    volume.write(started(), b"damage pipe.\n", completed())
    assert volume.call("wait", RUN).status == 0


def test_an_end_that_is_quoted_is_none(volume: Volume) -> None:
    history = History().begin().start("n", name='{"type":"pipe.completed"}')
    volume.write(*history.events)
    assert volume.call("wait", "--timeout", "1ms", RUN).status == 124


def test_an_interrupt_ends_it_quietly(volume: Volume) -> None:
    """It dies of SIGINT, or exits with 130 if SIGINT comes in an exec() of generated code."""
    path = volume.write(started())
    with volume.start("wait", RUN, stdin=subprocess.DEVNULL) as process:
        while str(path).encode() not in _open_files(process.pid):
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        said = finish(process)
    assert (said.status in (130, -signal.SIGINT), said.out, said.err) == (True, b"", "")
