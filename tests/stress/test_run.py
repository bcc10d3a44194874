# SPDX-License-Identifier: MIT
"""The whole of it, as a program: a small run, a sabotaged one, a hang, and Ctrl-C."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

from stress.sabotage import SABOTAGES

ROOT = Path(__file__).parents[2]
STRESS = [sys.executable, "-W", "error", "-m", "stress"]
TOO_LONG_S = 120  # only ever reached by a hang


def _stress(*arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [*STRESS, *arguments], cwd=ROOT, capture_output=True, text=True, timeout=TOO_LONG_S
    )


def test_small_run_is_clean_and_catches_every_sabotage(tmp_path: Path) -> None:
    report_path, root = tmp_path / "report.json", tmp_path / "kept"
    size = ["--writers", "4", "--events", "20", "--seed", "5"]
    done = _stress(*size, "--json", str(report_path), "--root", str(root))
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    assert "Clean: " in done.stdout
    assert "--seed 5 --writers 4 --events 20" in done.stdout
    assert not {"\r", "\x1b"} & set(done.stdout)
    report = json.loads(report_path.read_text())
    assert report["verdict"] == "clean"
    plain, short = report["rounds"]
    for round_ in (plain, short):
        refused = round_["timeouts_impatient"]
        assert round_["attempted"] == 5 * 20 + 2
        assert round_["events"] == round_["attempted"] - refused >= 4 * 20 + 2
        assert round_["snapshots"] > 0
    assert plain["capped_writes"] == 0
    assert short["capped_writes"] > 0
    assert [each["name"] for each in report["sabotages"]] == list(SABOTAGES)
    assert all(each["caught_by"] for each in report["sabotages"])
    assert len(list(root.glob("*/history/round.json"))) >= 2 + len(SABOTAGES)


def test_sabotage_is_shown_with_evidence_and_how_to_repeat_it(tmp_path: Path) -> None:
    command = "--seed 1 --writers 2 --events 20 --fault none --sabotage drop"
    done = _stress(*command.split(), "--root", str(tmp_path))
    assert (done.returncode, done.stderr) == (1, "")
    assert "VIOLATION: an acknowledged event is missing: append 4 of writer" in done.stdout
    assert f"Repeat with: python -m stress {command}\n" in done.stdout


def test_sabotage_that_passes_fails_the_run(tmp_path: Path) -> None:
    """An appender that does no harm: the checker rightly finds nothing, the run must complain."""
    code = """
import sys
from stress.checker import Kind
from stress.command import main
from stress.sabotage import SABOTAGES, Sabotage
SABOTAGES.clear()
SABOTAGES["harmless"] = Sabotage(
    what="", make=lambda log: log, caught_by=frozenset({Kind.MISSING})
)
sys.exit(main(["--writers", "1", "--events", "5", "--fault", "none", "--root", sys.argv[1]]))
"""
    command = [sys.executable, "-W", "error", "-c", code, str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=TOO_LONG_S)
    assert (done.returncode, done.stderr) == (1, "")
    assert "sabotage harmless was not caught" in done.stdout


def test_what_hangs_is_ended_and_told(tmp_path: Path) -> None:
    """A writer that is still preparing its events when time is up stands for all that hang."""
    report_path, root = tmp_path / "report.json", tmp_path / "kept"
    size = ["--writers", "1", "--events", "1000000", "--fault", "none", "--timeout", "1"]
    done = _stress(*size, "--root", str(root), "--json", str(report_path))
    assert (done.returncode, done.stderr) == (1, ""), done.stdout
    assert "not over after 1 s, ending it" in done.stdout
    [round_] = json.loads(report_path.read_text())["rounds"]
    assert "writer-001 hung, and was ended" in " ".join(round_["evidence"]["a process failed"])


def test_ctrl_c_ends_cleanly_with_what_was_learnt() -> None:
    size = ["--writers", "2", "--events", "3000", "--seed", "1"]
    with subprocess.Popen(
        [*STRESS, *size],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        assert process.stdout is not None
        for shown in process.stdout:
            if "gate open" in shown:
                break
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to all of them
        # Both ends with the last process that holds the pipes: none is left behind.
        rest, errors = process.communicate(timeout=TOO_LONG_S)
    assert (process.returncode, errors) == (130, ""), rest
    assert "Interrupted. By then" in rest
    assert " 0 violations" in rest
