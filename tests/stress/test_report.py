# SPDX-License-Identifier: MIT
"""What the stress program shows while it runs and at its end."""

import os
import re
from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from stress.command import Run, main
from stress.faults import FAULTS
from stress.html_report import save_html
from stress.plan import Size, draw_round
from stress.progress import Progress
from stress.receipts import log_path
from stress.report import (
    RoundReport,
    RunReport,
    SabotageReport,
    ScenarioReport,
    WriterReport,
    as_json,
    merged,
    percentile,
    tables,
)
from stress.sabotage import SABOTAGES

ROUND = RoundReport(
    name="plain",
    seed=1,
    faults=[],
    runs=1,
    processes=1,
    writers=1,
    appends=3,
    events=4,
    bytes=5_000_000,
    met=1,
    lock_waits=2,
    seconds=2.0,
    append_us={"p50": 8.0, "p99": 1500.0, "p99.9": 2_500_000.0, "max": 3_000_000.0},
    latencies={"8": 90, "1.02e+03": 10},
    outcomes={"acknowledged": 2, "timed out": 1},
    strikes={},
    torn_tails=0,
    snapshots=7,
    by_writer=[
        WriterReport(
            name="writer-001",
            process="process-000",
            kind="<spawn>",
            events=4,
            p50_us=8.0,
            p99_us=1500.0,
            max_us=3e6,
        )
    ],
    violations={},
    evidence={},
    interrupted=False,
)


def test_percentiles_are_the_nearest_rank() -> None:
    ordered = range(1, 1001)
    assert [percentile(ordered, part) for part in (0.5, 0.99, 0.999, 1.0)] == [500, 990, 999, 1000]
    assert percentile([7], 0.999) == 7
    assert percentile([], 0.5) == 0


def _shown(report: RunReport, width: int) -> str:
    console = Console(file=StringIO(), width=width)
    for part in tables(report, width):
        console.print(part)
    assert isinstance(console.file, StringIO)
    return console.file.getvalue()


def test_table_says_what_was_measured() -> None:
    shown = _shown(RunReport(seed=1, command="", rounds=[ROUND]), 80)
    cells = dict(re.findall(r"^ (\S[\w. /]*?)  +(\S.*?) *$", shown, re.MULTILINE))
    assert cells["events/s"] == "2"
    assert (cells["append p50"], cells["p99"], cells["max"]) == ("8 µs", "1.5 ms", "3.00 s")
    assert cells["timeouts"] == "1"
    assert cells["violations"] == "0"
    assert "kills" not in cells  # the plan has no kills


def test_table_is_never_wider_than_the_terminal() -> None:
    rounds = [replace(ROUND, name=name) for name in ("plain", *FAULTS, "all")]
    shown = _shown(RunReport(seed=1, command="", rounds=rounds), 70)
    assert max(map(len, shown.splitlines())) <= 70
    assert all(name in shown for name in FAULTS)
    assert "…" not in shown


def test_rounds_of_a_kind_are_summed_up() -> None:
    other = replace(ROUND, name="kill.1")
    slow = replace(ROUND, name="kill.2", latencies={"8": 1, "1e+06": 200}, violations={"x": 3})
    [plain, kill] = merged([ROUND, other, slow])
    assert plain is ROUND
    assert (kill.name, kill.events, kill.bytes, kill.seconds) == ("kill", 8, 10_000_000, 4.0)
    assert kill.latencies == {"8": 91, "1.02e+03": 10, "1e+06": 200}
    assert kill.append_us == {"p50": 1e6, "p99": 1e6, "p99.9": 1e6, "max": 3e6}
    assert kill.violations == {"x": 3}


MISSED = ScenarioReport(name="fair", line="slow", failures=["slow"])


@pytest.mark.parametrize(
    ("changes", "verdict"),
    [
        ({}, "clean"),
        ({"failures": ["a fault never struck"]}, "failed"),
        ({"scenarios": [MISSED]}, "failed"),
        ({"rounds": [replace(ROUND, violations={"x": 1})], "scenarios": [MISSED]}, "violated"),
        ({"rounds": [replace(ROUND, violations={"x": 1})], "interrupted": True}, "interrupted"),
    ],
)
def test_only_a_run_with_violations_is_called_violated(
    tmp_path: Path, changes: dict[str, Any], verdict: str
) -> None:
    report = replace(RunReport(seed=1, command="", rounds=[ROUND]), **changes)
    assert as_json(report)["verdict"] == verdict
    save_html(tmp_path / "page.html", report)
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert f"<title>omnelog stress: {verdict}</title>" in page
    console = Console(file=StringIO(), width=200)
    Run(tmp_path, report, Progress(console), 1.0).tell()
    assert isinstance(console.file, StringIO)
    shown = console.file.getvalue()
    assert ("VIOLATED: 1 violations in 4 events.\n" in shown) == (verdict == "violated")
    assert ("VIOLATED" in shown) == (verdict == "violated")
    for complaint in report.complaints if verdict != "interrupted" else ():
        assert f"FAILED: {complaint}.\n" in shown


def test_page_needs_nothing_else_and_escapes_what_it_shows(tmp_path: Path) -> None:
    found = SabotageReport(name="no-lock", what="<what>", tries=1, caught_by=[])
    evidence = {"a kind": ["<script>alert(1)</script>"]}
    round_ = replace(ROUND, evidence=evidence)
    report = RunReport(
        seed=1, command="a 'b' <c>", rounds=[round_], sabotages=[found], failures=["<f>"]
    )
    save_html(tmp_path / "page.html", report)
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert page.count("<svg") == 2  # latencies, and how the writers fared
    assert not re.search(r"https?:|src=|@import|url\(", page)
    assert "<script" not in page
    assert not re.search(r"<(what|c|f|spawn)>", page)


def _show(console: Console, root: Path) -> None:
    plan = draw_round(1, "plain", Size(processes=1, threads=1, events=2, runs=1, seconds=1))
    log = log_path(root, plan.run_ids[0])
    log.parent.mkdir(parents=True)
    log.write_bytes(b"{}\n{}\n{")
    progress = Progress(console)
    progress.begin(plan, 4)
    progress.look(root, {"kill": 3})
    progress.milestone("over")
    progress.clear()


def test_no_line_is_redrawn_outside_of_a_terminal(tmp_path: Path) -> None:
    stream = StringIO()
    _show(Console(file=stream), tmp_path)
    assert stream.getvalue() == "plain: 4 processes ready, gate open\nover\n"


def test_a_terminal_sees_one_line_redrawn(tmp_path: Path) -> None:
    stream = StringIO()
    _show(Console(file=stream, force_terminal=True, width=200), tmp_path)
    assert re.search(
        r"plain: 2 writers, 2 of \d+ events, .* events/s, faults: kill 3", stream.getvalue()
    )
    assert "\x1b[2K" in stream.getvalue()  # which erases a line


@pytest.mark.parametrize(
    "arguments",
    [
        ["--fault", "meteorite"],
        ["--sabotage", "none"],
        ["--processes", "0"],
        ["--processes", "many"],
        ["--soak", "0"],
        ["--seconds", "inf"],
        ["--root", __file__],
        ["--root", os.path.dirname(__file__)],
        ["--json", "/nowhere/report.json"],
        ["--html", "/nowhere/report.html"],
        ["--foreign", "no-such-command-anywhere"],
        ["--check", os.path.dirname(__file__)],
    ],
)
def test_a_wrong_argument_is_named_in_the_error(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as raised:
        main(arguments)
    assert raised.value.code == 2
    *_, error = capsys.readouterr().err.splitlines()  # below the usage, which names all options
    assert arguments[0] in error


def test_a_fault_that_is_unknown_is_answered_with_those_that_are_known(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit):
        main(["--fault", "kill,meteorite"])
    said = f"there is no fault 'meteorite'; the faults are {', '.join(FAULTS)}\n"
    assert capsys.readouterr().err.endswith(said)


def test_help_lists_all_sabotages_faults_and_exit_codes(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit) as raised:
        main(["--help"])
    assert raised.value.code == 0
    shown = capsys.readouterr().out
    listed = [line.split()[0] for line in shown.splitlines() if line.startswith("  ")]
    assert {*SABOTAGES, *FAULTS, "--quick", "--soak"} <= set(listed)
    assert re.search(r"^exit codes: .*130 interrupted", shown, re.MULTILINE | re.DOTALL)
