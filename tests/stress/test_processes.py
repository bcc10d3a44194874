# SPDX-License-Identifier: MIT
"""How processes end: the exit codes distinguish the ways."""

import faulthandler
import os
import signal
from pathlib import Path
from time import monotonic
from typing import Any

import pytest

from stress.plan import Start
from stress.processes import Crew
from stress.workers import Gate, until_terminated

TOO_LONG_S = 60  # only a hang takes so long


def _deaf(gate: Gate) -> None:
    """Never handles SIGTERM."""
    gate.wait()
    signal.pause()


def _orderly(directory: Path, gate: Gate) -> None:
    with until_terminated(directory, "orderly") as stop:
        gate.wait()
        while not stop:
            signal.pause()


def _crashing(gate: Gate) -> None:
    faulthandler.disable()  # pytest's, which would print a stack trace
    signal.signal(signal.SIGTERM, lambda *_: os.kill(os.getpid(), signal.SIGSEGV))
    gate.wait()
    while True:
        signal.pause()


def _stubborn(gate: Gate) -> None:
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    gate.wait()
    while True:
        signal.pause()


@pytest.mark.parametrize(
    ("target", "grace_s", "code"),
    [
        (_deaf, TOO_LONG_S, 0),
        (_crashing, TOO_LONG_S, -signal.SIGSEGV),
        (_stubborn, 0.1, None),
    ],
)
def test_a_process_that_is_asked_to_end_dies_crashes_or_is_killed(
    target: Any, grace_s: float, code: int | None
) -> None:
    """The process dies of SIGTERM, it crashes, or it hangs and has to be killed."""
    crew = Crew(monotonic() + TOO_LONG_S)
    crew.start("process", Start.FORK, target)
    crew.open_gate()
    crew.stop(grace_s)
    assert crew.exits() == {"process": code}
    assert crew.hung == ({"process"} if code is None else set())


def test_a_process_that_listens_ends_in_good_order(tmp_path: Path) -> None:
    (tmp_path / "history").mkdir()
    crew = Crew(monotonic() + TOO_LONG_S)
    crew.start("process", Start.FORK, _orderly, tmp_path)
    crew.open_gate()
    crew.stop(TOO_LONG_S)
    assert crew.exits() == {"process": 0}
