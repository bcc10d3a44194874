# SPDX-License-Identifier: MIT
"""The whole of it, as a program: a small run, a sabotaged one, a hang, and Ctrl-C."""

import json
import os
import re
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from stress.faults import FAULTS, REPLACE
from stress.sabotage import SABOTAGES

ROOT = Path(__file__).parents[2]
STRESS = [sys.executable, "-W", "error", "-m", "stress"]
SMALL = ["--processes", "3", "--threads", "2", "--events", "30", "--seconds", "1"]
TOO_LONG_S = 100  # only ever reached by a hang


def _stress(*arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [*STRESS, *arguments], cwd=ROOT, capture_output=True, text=True, timeout=TOO_LONG_S
    )


def test_small_run_is_clean_and_catches_every_sabotage(tmp_path: Path) -> None:
    report_path, page, root = tmp_path / "report.json", tmp_path / "page.html", tmp_path / "kept"
    paths = ["--json", str(report_path), "--html", str(page), "--root", str(root)]
    done = _stress(*SMALL, "--fault", "short-write", "--seed", "5", *paths)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    assert "Clean: " in done.stdout
    size = "--processes 3 --threads 2 --events 30 --seconds 1.0"
    assert f"Repeat with: python -m stress --seed 5 {size} --fault short-write\n" in done.stdout
    assert not {"\r", "\x1b"} & set(done.stdout)
    report = json.loads(report_path.read_text())
    assert report["verdict"] == "clean"
    plain, short = report["rounds"]
    for round_ in (plain, short):
        told = round_["outcomes"]
        assert set(told) <= {"acknowledged", "timed out"}
        assert round_["events"] >= told["acknowledged"] > 100
        assert round_["snapshots"] > 0
    assert plain["strikes"] == {}
    assert short["strikes"]["short-write"] > 0
    assert [each["name"] for each in report["sabotages"]] == list(SABOTAGES)
    assert all(each["caught_by"] for each in report["sabotages"])
    assert page.read_text().startswith("<!doctype html>")
    again = _stress("--check", str(root / "plain"))
    assert (again.returncode, again.stderr) == (0, "")
    assert "0 violations" in again.stdout


def test_all_faults_at_once_do_no_harm(tmp_path: Path) -> None:
    """Each of them has to strike on events, and all but the slowest on lines.

    Where file systems can't be mounted, a full disk is simulated.
    """
    report_path = tmp_path / "report.json"
    done = _stress(
        "--quick", "--seconds", "2", "--seed", "6", "--rounds-only", "--json", str(report_path)
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    rounds = json.loads(report_path.read_text())["rounds"]
    for kind, faults in {"all": {*FAULTS}, "lines": {*FAULTS} - {REPLACE}}.items():
        strikes: Counter[str] = Counter()
        for each in rounds:
            if each["name"].partition(".")[0] == kind:
                assert each["faults"] == sorted(faults)
                strikes.update(each["strikes"])
        assert {fault for fault, times in strikes.items() if times} == faults


def test_foreign_command_appends_beside_ours(tmp_path: Path) -> None:
    """An adapter that shares no code with omnelog, and one that breaks what it promises."""
    adapter = tmp_path / "adapter.py"
    adapter.write_text(ADAPTER)
    report_path = tmp_path / "report.json"
    command = f"{sys.executable} {adapter}"
    small = [*SMALL, "--fault", "none", "--rounds-only", "--json", str(report_path)]
    done = _stress(*small, "--foreign", command)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    [round_] = json.loads(report_path.read_text())["rounds"]
    [foreign] = [writer for writer in round_["by_writer"] if str(adapter) in writer["kind"]]
    assert foreign["events"] == 30
    done = _stress(*small, "--foreign", f"{command} pretty")
    assert done.returncode == 1
    assert "VIOLATION: an altered line" in done.stdout


ADAPTER = """
import fcntl, json, os, sys
for request in map(json.loads, sys.stdin):
    if request["op"] == "append":
        path = os.path.join(request["root"], ".omne/var/runs", request["run_id"], "events.jsonl")
        with open(path, "ab") as log:
            fcntl.flock(log, fcntl.LOCK_EX)
            for event in request["events"]:
                separators = None if sys.argv[1:] else (",", ":")
                line = json.dumps(event, ensure_ascii=False, separators=separators)
                log.write(line.encode() + b"\\n")
    print(json.dumps({"ok": True, "protocol": 1}), flush=True)
"""


@pytest.mark.parametrize("adapter", ["print(1)", "print('{}')", "pass", "import sys; sys.exit(3)"])
def test_foreign_command_that_does_not_speak_the_protocol(tmp_path: Path, adapter: str) -> None:
    script = tmp_path / "adapter.py"
    script.write_text(adapter)
    small = [*SMALL, "--fault", "none", "--rounds-only"]
    done = _stress(*small, "--foreign", f"{sys.executable} {script}")
    assert done.returncode == 1
    assert "VIOLATION: a process failed" in done.stdout


def test_sabotage_is_shown_with_evidence_and_how_to_repeat_it(tmp_path: Path) -> None:
    command = "--seed 1 --sabotage duplicate-on-retry"
    done = _stress(*command.split(), "--root", str(tmp_path))
    assert (done.returncode, done.stderr) == (1, "")
    found = re.search(
        r"^VIOLATION: (an event twice: event \d+ of writer-\d+) ", done.stdout, re.MULTILINE
    )
    assert found, done.stdout
    assert f"Repeat with: python -m stress {command}\n" in done.stdout
    again = _stress("--check", str(tmp_path))
    assert again.returncode == 1
    assert found[1] in again.stdout


def test_sabotage_that_passes_fails_the_run(tmp_path: Path) -> None:
    """An appender that does no harm: the checker rightly finds nothing, the run must complain."""
    code = """
import sys
from stress.violations import Kind
from stress.command import main
from stress.sabotage import SABOTAGES, Sabotage
SABOTAGES.clear()
SABOTAGES["harmless"] = Sabotage(
    what="", make=lambda log: log, caught_by=frozenset({Kind.MISSING})
)
size = ["--processes", "1", "--events", "5", "--seconds", "0.1"]
sys.exit(main([*size, "--fault", "none", "--root", sys.argv[1]]))
"""
    command = [sys.executable, "-W", "error", "-c", code, str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=TOO_LONG_S)
    assert (done.returncode, done.stderr) == (1, "")
    assert "sabotage harmless was not caught" in done.stdout


def test_what_hangs_is_ended_and_told(tmp_path: Path) -> None:
    """A writer that is still preparing its events when time is up stands for all that hang."""
    report_path, root = tmp_path / "report.json", tmp_path / "kept"
    size = ["--processes", "2", "--events", "1000000", "--fault", "none", "--timeout", "2"]
    paths = ["--root", str(root), "--json", str(report_path)]
    seed = "1"  # by which the first process is forked, so that it soon listens for SIGTERM
    done = _stress(*size, *paths, "--seed", seed)
    assert (done.returncode, done.stderr) == (1, ""), done.stdout
    assert "not over after 2 s, ending it" in done.stdout
    [round_] = json.loads(report_path.read_text())["rounds"]
    assert "process-000 hung, and was ended" in " ".join(round_["evidence"]["a process failed"])


def test_ctrl_c_ends_cleanly_with_what_was_learnt() -> None:
    size = ["--processes", "2", "--events", "3000", "--seconds", "60", "--seed", "1"]
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
