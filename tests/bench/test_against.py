# SPDX-License-Identifier: MIT
"""The comparison of two versions of omnelog."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from stress.bench import against

from ..ctrl_c import press_ctrl_c
from ..documents import PROJECT


def test_each_operation_is_compared(tmp_path: Path) -> None:
    (tmp_path / "omnelog").symlink_to(PROJECT / "omnelog")
    command = [sys.executable, "-m", "stress.bench.against", str(tmp_path), "--rounds", "2"]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=True)
    head, *rows = done.stdout.splitlines()
    assert "2 rounds" in head
    names = [row.split()[0] for row in rows]
    assert names == ["append", "append_many", "encode", "decode", "read_run"]
    assert all(re.fullmatch(r"\w+ +\d+\.\d\d \(\d+\.\d\d-\d+\.\d\d\)", row) for row in rows)


def test_a_ratio_is_our_time_over_theirs(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]

    def slow() -> None:
        clock[0] += 3

    def quick() -> None:
        clock[0] += 2

    monkeypatch.setattr(against, "perf_counter", lambda: clock[0])
    assert against.ratios(slow, quick, 4) == [1.5] * 4


def test_ctrl_c_ends_it_and_prints_nothing_more() -> None:
    command = [sys.executable, "-m", "stress.bench.against", str(PROJECT), "--rounds", "1000000"]
    done = press_ctrl_c(command, lambda line: "1000000 rounds" in line)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")


def test_a_directory_without_omnelog_is_reported(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "stress.bench.against", str(tmp_path)]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"stress.bench.against: there is no omnelog in {tmp_path}\n"
