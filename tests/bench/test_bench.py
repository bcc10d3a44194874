# SPDX-License-Identifier: MIT
"""The bench: each verdict can go either way, and it runs as a program."""

import json
import subprocess
import sys
from io import StringIO

import pytest
from rich.console import Console

from stress.bench.results import Report, Result, Row, Workload, measure, tell
from stress.progress import Progress

from ..ctrl_c import press_ctrl_c
from ..documents import PROJECT

BENCH = [sys.executable, "-W", "error", "-m", "stress.bench"]


@pytest.mark.parametrize(
    ("speed", "values", "verdict"),
    [
        (False, [9.0, 1.6, 0.1], "met"),
        (False, [9.0, 1.7, 0.1], "MISSED"),
        (False, [9.0, 1.3, 0.1], "target and aim met"),
        (True, [9.0, 1.5, 0.1], "MISSED"),
        (True, [9.0, 1.6, 0.1], "target and aim met"),
    ],
)
def test_the_median_of_the_ratios_is_judged(speed: bool, values: list[float], verdict: str) -> None:
    row = Row(
        workload="w", what="", figure="f", unit="s", theirs="t", must=1.6, aim=1.3, speed=speed
    )
    assert Result(row=row, ours=1.0, values=values).verdict == verdict


def test_a_figure_without_a_peer_is_judged_by_its_worst_round() -> None:
    row = Row(workload="w", what="", figure="f", unit="s", must=0.1)
    assert Result(row=row, ours=0.05, values=[0.05, 0.1]).verdict == "target and aim met"
    assert Result(row=row, ours=0.05, values=[0.05, 0.11]).verdict == "MISSED"


def test_after_an_interrupt_only_whole_rounds_count_and_the_report_says_so() -> None:
    left = [1.0, 2.0]

    def measured() -> dict[str, float]:
        if not left:
            raise KeyboardInterrupt
        return {"f": left.pop(0)}

    row = Row(workload="w", what="", figure="f", unit="s", ours="we")
    workload = Workload(rows=[row], subjects={"we": measured})
    report = Report(machine="", rounds=9)
    measure([workload], report, Progress(Console()))
    console = Console(record=True, width=200, file=StringIO())
    tell(report, console)
    assert [result.values for result in report.results] == [[1.0, 2.0]]
    assert "interrupted in round 3 of 9" in console.export_text()


def test_it_runs_as_a_program_and_reports_all_figures() -> None:
    options = ["--quick", "--rounds", "1", "--only", "enumerate", "--json", "-"]
    done = subprocess.run([*BENCH, *options], cwd=PROJECT, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    report = json.loads(done.stdout)
    assert report["rounds"] == 1
    assert [len(row["values"]) for row in report["rows"]] == [1, 1]  # with 10 and with 1,000 runs
    assert all(row["value"] > 0 for row in report["rows"])


ENDLESS = """
import time
from conformance.program import run
from stress.bench import command, workloads
def enumerate_runs(root):
    print("ready", flush=True)
    time.sleep(600)
workloads.enumerate_runs = enumerate_runs
run(lambda: command.main(["--only", "enumerate"]))
"""


def test_ctrl_c_ends_it_with_the_figures_so_far() -> None:
    command = [sys.executable, "-W", "error", "-c", ENDLESS]
    done = press_ctrl_c(command, lambda line: line == "ready\n")
    assert (done.returncode, done.stderr) == (130, ""), done.stdout
    assert "0 of 0 targets met; interrupted in round 1 of 9\n" in done.stdout


def test_usage_names_the_workloads() -> None:
    done = subprocess.run([*BENCH, "--only", "speed"], cwd=PROJECT, capture_output=True, text=True)
    assert done.returncode == 2
    assert (
        "there is no workload 'speed'; the workloads are append, lines, flat, bursty" in done.stderr
    )
