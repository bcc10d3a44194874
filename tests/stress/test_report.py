# SPDX-License-Identifier: MIT
"""What people get to see while it runs and when it ended."""

import io
import os
from pathlib import Path

import pytest

from stress.command import main
from stress.plan import draw_round
from stress.progress import Progress
from stress.report import percentile


def test_percentiles_are_the_nearest_rank() -> None:
    ordered = range(1, 1001)
    assert [percentile(ordered, part) for part in (0.5, 0.99, 0.999, 1.0)] == [500, 990, 999, 1000]
    assert percentile([7], 0.999) == 7
    assert percentile([], 0.5) == 0


def test_no_line_is_redrawn_where_nobody_watches(tmp_path: Path) -> None:
    stream = io.StringIO()
    _show(Progress(stream), tmp_path / "log")
    assert stream.getvalue() == (
        "plain: 2 processes ready, gate open\nplain: 50 % of 4 events\nover\n"
    )


def test_a_terminal_sees_one_line_redrawn(tmp_path: Path) -> None:
    ours, theirs = os.openpty()
    with os.fdopen(theirs, "w") as stream, os.fdopen(ours, "rb", buffering=0) as screen:
        _show(Progress(stream), tmp_path / "log")
        shown = b""
        while b"over\r\n" not in shown:
            shown += screen.read(10_000)
    assert b"\rplain: 2 of 4 events" in shown
    assert b"%" not in shown
    assert shown.endswith(b"\rover\r\n")


def _show(progress: Progress, log: Path) -> None:
    log.write_bytes(b"{}\n{}\n{")
    progress.begin(draw_round(1, writers=1, events=1), 2)
    progress.look(log)
    progress.milestone("over")


@pytest.mark.parametrize(
    "arguments",
    [
        ["--fault", "meteorite"],
        ["--sabotage", "none"],
        ["--writers", "0"],
        ["--root", __file__],
        ["--root", os.path.dirname(__file__)],
        ["--json", "/nowhere/report.json"],
    ],
)
def test_usage(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as raised:
        main(arguments)
    assert raised.value.code == 2
    assert arguments[0] in capsys.readouterr().err


def test_help_tells_of_all_sabotages_and_exit_codes(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as raised:
        main(["--help"])
    assert raised.value.code == 0
    shown = capsys.readouterr().out
    for word in ("no-lock", "seek-then-write", "short-write", "--quick", "exit codes", "130"):
        assert word in shown
