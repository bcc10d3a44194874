# SPDX-License-Identifier: MIT
"""Each test has a volume of its own, even if the tests themselves are recorded in another."""

import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from .histories import Clock
from .volume import WATCHDOG_S, Volume


@pytest.fixture
def watchdog() -> Iterator[None]:
    """A test that waits for something that never comes fails, instead of waiting for ever."""

    def give_up(signum: int, frame: object) -> None:
        raise TimeoutError("the test hangs")

    before = signal.signal(signal.SIGALRM, give_up)
    signal.alarm(int(5 * WATCHDOG_S))  # longer than `finish` waits, which says more
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.fixture
def volume(
    tmp_path: Path,
    capfdbinary: pytest.CaptureFixture[bytes],
    monkeypatch: pytest.MonkeyPatch,
    watchdog: None,
) -> Volume:
    """An empty volume, which is the current directory."""
    for variable in ("OMNE_RUN_ID", "OMNE_NODE_ID", "OMNE_VOLUME_ROOT"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.chdir(tmp_path)
    return Volume(tmp_path, capfdbinary)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The clock of this process. It stands at the time of the first event of every `History`."""
    clock = Clock()
    monkeypatch.setattr(time, "time_ns", clock.time_ns)
    return clock


@pytest.fixture(autouse=True)
def _heeded_signals() -> Iterator[None]:
    """Processes that tests start do not ignore SIGHUP and SIGTERM, even if we run under nohup(1).

    `tests/conftest.py` does the same for SIGINT and SIGQUIT, in all tests.
    """
    ignored = [
        signum
        for signum in (signal.SIGHUP, signal.SIGTERM)
        if signal.getsignal(signum) == signal.SIG_IGN
    ]
    for signum in ignored:
        signal.signal(signum, signal.SIG_DFL)
    yield
    for signum in ignored:
        signal.signal(signum, signal.SIG_IGN)
