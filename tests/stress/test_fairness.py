# SPDX-License-Identifier: MIT
"""The scenarios of waiting: they measure what they say, and each limit can be missed."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from time import sleep

import pytest

from omnelog import Event, LockTimeout
from stress import fairness
from stress.fairness import Append, Finding, Flat, PollingLog, Turns

from ..ctrl_c import press_ctrl_c
from ..documents import PROJECT

GOOD_TURNS = Turns(timeouts=0, longest_s=0.9, took_s=6.4, cpu_s=1.9)


@pytest.mark.parametrize(
    ("change", "missed", "firm"),
    [
        ({}, "", False),
        ({"timeouts": 1}, "timed out", True),
        ({"took_s": 6.3}, "not held as long as planned", True),
        ({"longest_s": 0.97}, "over 960 ms", False),
        ({"cpu_s": 2.0}, "more than 0.3 of a core", False),
    ],
)
def test_each_limit_of_taking_turns_can_be_missed(
    monkeypatch: pytest.MonkeyPatch, change: dict[str, float], missed: str, firm: bool
) -> None:
    figures = {name: getattr(GOOD_TURNS, name) for name in Turns.__slots__} | change
    monkeypatch.setattr(fairness, "turns", lambda *_: Turns(**figures))
    finding = fairness.fair()
    assert (bool(finding.missed), finding.firm, finding.failed) == (
        bool(missed),
        firm,
        bool(missed),
    )
    assert missed in finding.line


@pytest.mark.parametrize(
    ("ours_s", "polled_s", "missed"),
    [(0.001, 0.025, ""), (0.002, 0.025, "more than 1/20"), (0.0001, 0.01, "often enough")],
)
def test_each_limit_of_bursts_can_be_missed(
    monkeypatch: pytest.MonkeyPatch, ours_s: float, polled_s: float, missed: str
) -> None:
    took = iter([[polled_s] * 1000, [ours_s] * 1000] * 4)
    monkeypatch.setattr(fairness, "bursts", lambda *_: next(took))
    finding = fairness.bursty()
    assert finding.failed == bool(missed)
    assert missed in finding.line


@pytest.mark.parametrize(
    ("per_s", "longest_s", "missed"),
    [(95.0, 0.1, ""), (94.0, 0.1, "throughput"), (95.0, 0.11, "longer than 100 ms")],
)
def test_each_limit_of_writers_flat_out_can_be_missed(
    monkeypatch: pytest.MonkeyPatch, per_s: float, longest_s: float, missed: str
) -> None:
    control = Flat(per_s=100.0, longest_s=0.2, cpu_s=1.0)
    ours = Flat(per_s=per_s, longest_s=longest_s, cpu_s=1.0)
    done = iter([control, ours, control] * 5)
    monkeypatch.setattr(fairness, "flat_out", lambda *_: next(done))
    finding = fairness.flat()
    assert finding.failed == bool(missed)
    assert missed in finding.line


def test_what_is_missed_on_a_busy_machine_is_inconclusive_unless_it_is_firm() -> None:
    soft = Finding(scenario="s", figures="f", missed=("slow",), others_cores=1.5)
    firm = Finding(scenario="s", figures="f", missed=("wrong",), others_cores=1.5, firm=True)
    assert (soft.inconclusive, soft.failed) == (True, False)
    assert soft.line == "s: f: INCONCLUSIVE because other programs kept 1.5 cores busy: slow"
    assert (firm.inconclusive, firm.failed) == (False, True)
    assert firm.line == "s: f: MISSED: wrong"
    assert Finding(scenario="s", figures="f", others_cores=1.5).line == "s: f: ok"


def test_a_scenario_is_run_again_only_while_something_soft_is_missed() -> None:
    findings = [
        Finding(scenario="1", figures="", missed=("slow",)),
        Finding(scenario="2", figures=""),
        Finding(scenario="3", figures="", missed=("wrong",), firm=True),
        Finding(scenario="4", figures="", missed=("slow",)),
        Finding(scenario="5", figures="", missed=("slow",)),
        Finding(scenario="6", figures="", missed=("slow",)),
    ]
    coming = iter(findings)
    run = partial(next, coming)
    assert [fairness.judged(run).scenario for _ in range(3)] == ["2", "3", "6"]


def test_turns_are_taken_behind_a_lock_that_is_held_as_long_as_said() -> None:
    done = fairness.turns(PollingLog, 2, 3, 0.002)
    assert done.took_s >= 2 * 3 * 0.002
    assert done.longest_s >= 0.002


def test_an_append_that_times_out_is_counted() -> None:
    class Unlucky(PollingLog):
        def append(self, record: Event) -> None:
            raise LockTimeout(self.path, 0, None)

    assert fairness.turns(Unlucky, 2, 3, 0).timeouts == 2 * 3


def test_the_time_of_each_append_is_measured() -> None:
    @contextmanager
    def slow(root: Path) -> Iterator[Append]:
        yield partial(sleep, 0.002)

    assert min(fairness.bursts(slow, 2, 0.02)) >= 0.002
    done = fairness.flat_out(slow, 2, 0.02)
    assert done.longest_s >= 0.002
    assert 0 < done.per_s <= 2 / 0.002


def test_usage_names_the_scenarios() -> None:
    command = [sys.executable, "-W", "error", "-m", "stress.fairness", "unfair"]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True)
    assert done.returncode == 2
    said = "there is no scenario 'unfair'; the scenarios are fair, bursty, flat-4, flat-8\n"
    assert done.stderr.endswith(said)


def test_ctrl_c_ends_it_and_all_its_processes() -> None:
    """Ctrl-C is pressed while a writer has its log open, so there is a volume to remove."""
    code = """
import os, sys
from conformance.program import run
from contextlib import contextmanager
from omnelog import EventLog
from stress import fairness
@contextmanager
def open_log(root):
    with fairness.opener(EventLog)(root) as append:
        os.write(1, b"ready\\n")  # in one call, because there are two writers
        yield append
fairness.SCENARIOS["bursty"] = lambda: fairness.bursts(open_log, 2, 600)
sys.argv[1:] = ["bursty"]
run(fairness.main)
"""
    done = press_ctrl_c([sys.executable, "-W", "error", "-c", code], lambda line: line == "ready\n")
    assert (done.returncode, done.stderr) == (130, "")
    assert done.stdout in ("", "ready\n")  # the other writer may be ready as well
