# SPDX-License-Identifier: MIT
"""`record` where something fails after the start: the command runs to its end, which is logged."""

import errno
import os
import threading
from collections.abc import Callable
from typing import Any

import pytest

from .. import omnelog
from .volume import Volume

CLI = f"{omnelog.__name__}.cli"
SCRIPT = "echo before; sleep 0.1; echo after; echo error >&2"


def refuse(number: int) -> Callable[..., Any]:
    """A function that the system refuses."""

    def refused(*_: object, **__: object) -> Any:
        raise OSError(number, os.strerror(number))

    return refused


class PollRefused:
    """A poll(2) that fails, as where few descriptors may be open."""

    def register(self, *_: object) -> None: ...

    poll = refuse(errno.EINVAL)


def no_thread(_: threading.Thread) -> None:
    raise RuntimeError("can't start new thread")


REFUSED = {
    "pidfd_open is not permitted": ("os.pidfd_open", refuse(errno.EPERM)),
    "pidfd_open is not there": ("os.pidfd_open", refuse(errno.ENOSYS)),
    "no thread can be created": ("threading.Thread.start", no_thread),
    "the signal mask cannot be set": ("signal.pthread_sigmask", refuse(errno.EPERM)),
    "signals cannot be waited for": ("signal.sigwaitinfo", refuse(errno.ENOSYS)),
    "poll": ("select.poll", PollRefused),
    "waitid": ("os.waitid", refuse(errno.ENOSYS)),
    "ioctl": (f"{CLI}.process.ioctl", refuse(errno.ENOTTY)),
    "flock": (f"{CLI}.claims.flock", refuse(errno.ENOLCK)),
    "ULIDs, once it runs": (f"{omnelog.__name__}.recording.allocate_ulid", None),
}


@pytest.mark.parametrize(("name", "replacement"), REFUSED.values(), ids=REFUSED)
def test_what_the_system_refuses_costs_the_command_nothing(
    volume: Volume, monkeypatch: pytest.MonkeyPatch, name: str, replacement: Any
) -> None:
    monkeypatch.setattr(name, replacement or ulids_until_it_runs(volume))
    said = volume.call("record", "--pipe", "ci", "n", "--", "sh", "-c", f"touch up; {SCRIPT}")
    monkeypatch.undo()
    assert (said.status, said.out) == (0, b"before\nafter\n")
    assert said.err == f"run_id={said.run_id}\nerror\n"
    assert volume.types(said.run_id)[-2:] == ["node.completed", "pipe.completed"]
    assert sorted(volume.capture(said.run_id, "n").split()) == [b"after", b"before", b"error"]


def ulids_until_it_runs(volume: Volume) -> Callable[[Any], str]:
    """An allocator that fails once the command has made the file `up`."""

    def allocate(root: Any) -> str:
        if (volume.root / "up").exists():
            raise omnelog.UlidError("damaged")
        return omnelog.allocate_ulid(root)

    return allocate


@pytest.mark.parametrize("times", [1, 1_000_000])
def test_what_nobody_foresaw_is_reported_once_the_command_has_ended(
    volume: Volume, monkeypatch: pytest.MonkeyPatch, times: int
) -> None:
    left = [times]

    def fail(*_: object) -> None:
        left[0] -= 1
        if left[0] >= 0:
            raise ZeroDivisionError("odd")

    monkeypatch.setattr(f"{CLI}.lastlines.LastLines.add", fail)
    said = volume.call("record", "--pipe", "ci", "n", "--", "sh", "-c", f"{SCRIPT}; touch done")
    assert said.status == 125
    assert (volume.root / "done").exists()
    assert "something unforeseen happened while it ran: ZeroDivisionError: odd" in said.err
    assert volume.capture(said.run_id, "n").count(b"\n") == 3
    assert volume.types(said.run_id)[-2:] == ["node.completed", "pipe.completed"]


def test_a_failure_of_the_log_at_the_end_does_not_hide_how_the_command_ended(
    volume: Volume, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("odd")

    monkeypatch.setattr(f"{CLI}.commands.record.unfinished_nodes", fail)
    said = volume.call("record", "--pipe", "ci", "n", "--", "sh", "-c", "exit 3")
    assert said.status == 3
    assert "not in the log: odd; it ended with exit status 3" in said.err


def test_an_error_without_a_file_is_not_blamed_on_standard_output(
    volume: Volume, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.pipe", refuse(errno.EMFILE))
    said = volume.call("record", "--pipe", "ci", "n", "--", "true")
    assert said.status == 125
    assert said.err.startswith(f"omnelog: {os.strerror(errno.EMFILE)}")


def test_an_error_of_standard_output_is(volume: Volume) -> None:
    with open("/dev/full", "wb") as full:
        said = volume.run("schema", stdout=full)
    assert (
        said.err == "omnelog: standard output: No space left on device; make room, then try again\n"
    )


@pytest.mark.parametrize("seconds", ["2147484", "3000000", "86400000", "999999999"])
def test_a_time_limit_may_be_of_any_length(volume: Volume, seconds: str) -> None:
    said = volume.call(
        *("record", "--pipe", "ci", "--timeout", seconds, "n", "--", "sh", "-c", SCRIPT)
    )
    assert (said.status, said.out) == (0, b"before\nafter\n")
    assert volume.types(said.run_id)[-1] == "pipe.completed"
