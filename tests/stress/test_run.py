# SPDX-License-Identifier: MIT
"""The stress test as a program: a small run, a sabotaged run, a hang, and Ctrl-C."""

import json
import re
import shlex
import subprocess
import sys
from collections import Counter
from pathlib import Path

from stress.faults import FAULTS, REPLACE
from stress.sabotage import SABOTAGES

from ..ctrl_c import press_ctrl_c
from ..documents import PROJECT

STRESS = [sys.executable, "-W", "error", "-m", "stress"]
SMALL = ["--processes", "3", "--threads", "2", "--events", "30", "--seconds", "1"]
AS_A_USER = [sys.executable, "-m", "stress"]
"""Without ``-W error``, because Ctrl-C in the standard library may leave a file unclosed there."""
TOO_LONG_S = 100  # only a hang takes so long
HELLO = """import sys; input(); print('{"ok":true,"protocol":1}', flush=True)"""


def _stress(*arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [*STRESS, *arguments], cwd=PROJECT, capture_output=True, text=True, timeout=TOO_LONG_S
    )


def test_small_run_is_clean_and_catches_every_sabotage(tmp_path: Path) -> None:
    report_path, page, root = tmp_path / "report.json", tmp_path / "page.html", tmp_path / "kept"
    paths = ["--json", str(report_path), "--html", str(page), "--root", str(root)]
    done = _stress(*SMALL, "--fault", "short-write", "--seed", "5", *paths)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    caught = f"all {len(SABOTAGES)} sabotages were caught"
    said = rf"^Clean: all [\d,]+ events are intact and in order, and {caught}\.$"
    assert re.search(said, done.stdout, re.MULTILINE), done.stdout
    size = "--processes 3 --threads 2 --events 30 --seconds 1.0"
    assert f"Repeat with: python -m stress --seed 5 {size} --fault short-write\n" in done.stdout
    assert not {"\r", "\x1b"} & set(done.stdout)
    report = json.loads(report_path.read_text())
    assert report["verdict"] == "clean"
    plain, short = report["rounds"]
    for round_ in (plain, short):
        said = round_["outcomes"]
        assert set(said) <= {"acknowledged", "timed out"}
        assert round_["events"] >= said["acknowledged"] > 100
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
    """Each fault has to strike on events, and all faults but the slowest on lines.

    If file systems can't be mounted, a full disk is simulated. A round in which a fault did not
    strike is run again, for longer.
    """
    report_path = tmp_path / "report.json"
    size = ["--quick", "--processes", "4", "--events", "100", "--seconds", "1"]
    done = _stress(*size, "--seed", "6", "--rounds-only", "--json", str(report_path))
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    rounds = json.loads(report_path.read_text())["rounds"]
    for kind in ("plain", "all"):
        met = sum(each["met"] for each in rounds if each["name"].partition(".")[0] == kind)
        assert met > 0, f"no two appends of the round {kind} met, so it proves nothing"
    for kind, faults in {"all": {*FAULTS}, "lines": {*FAULTS} - {REPLACE}}.items():
        strikes: Counter[str] = Counter()
        for each in rounds:
            if each["name"].partition(".")[0] == kind:
                assert each["faults"] == sorted(faults)
                strikes.update(each["strikes"])
        assert {fault for fault, times in strikes.items() if times} == faults


def test_foreign_commands_append_beside_ours(tmp_path: Path) -> None:
    """The commands share no code with omnelog. They report what they refuse or are not sure of."""
    report_path = tmp_path / "report.json"
    kinds = ["plain", "unsure", "impatient", "refusing"]
    done = _stress(*SMALL_FOREIGN, "--json", str(report_path), *_foreign(tmp_path, *kinds))
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    [round_] = json.loads(report_path.read_text())["rounds"]
    events = {
        each["kind"].split()[-1]: each["events"]
        for each in round_["by_writer"]
        if "adapter.py" in each["kind"]
    }
    assert events == {"plain": 30, "unsure": 30, "impatient": 15, "refusing": 15}
    outcomes = round_["outcomes"]
    assert outcomes["indeterminate"] > 0
    assert outcomes["timed out"] > 0
    assert outcomes["refused"] > 0


def test_foreign_commands_are_held_to_what_they_say(tmp_path: Path) -> None:
    report_path = tmp_path / "report.json"
    kinds = ["pretty", "lying", "forgetful"]
    paths = ["--json", str(report_path), "--root", str(tmp_path / "kept")]
    done = _stress(*SMALL_FOREIGN, *paths, *_foreign(tmp_path, *kinds))
    assert (done.returncode, done.stderr) == (1, ""), done.stdout
    [round_] = json.loads(report_path.read_text())["rounds"]
    assert set(round_["violations"]) >= {
        "an altered line",
        "a refused event is in the log",
        "an acknowledged event is missing",
    }


# The kind of the adapter decides how it answers an append, and whether it writes the events.
ADAPTER = """
import fcntl, json, os, sys
kind = sys.argv[1]
errors = {
    "unsure": {"kind": "AppendIndeterminate", "message": "the sync failed", "appended": 0},
    "impatient": {"kind": "LockTimeout", "message": "somebody had it"},
    "refusing": {"kind": "LogIOError", "message": "no room", "appended": 0},
    "lying": {"kind": "LockTimeout", "message": "somebody had it"},
}
times = 0
for request in map(json.loads, sys.stdin):
    answer = {"ok": True, "protocol": 1}
    if request["op"] == "append":
        times += 1
        if kind in errors and times % 2:
            answer = {"ok": False, "error": errors[kind]}
        written = answer["ok"] or kind in ("lying", "unsure")
        if written and not (kind == "forgetful" and times % 2):
            run = os.path.join(request["root"], ".omne/var/runs", request["run_id"])
            with open(os.path.join(run, "events.jsonl"), "ab") as log:
                fcntl.flock(log, fcntl.LOCK_EX)
                for event in request["events"]:
                    separators = None if kind == "pretty" else (",", ":")
                    line = json.dumps(event, ensure_ascii=False, separators=separators)
                    log.write(line.encode() + b"\\n")
    print(json.dumps(answer), flush=True)
"""

SMALL_FOREIGN = [*SMALL, "--fault", "none", "--rounds-only", "--seed", "1"]


def _foreign(tmp_path: Path, *kinds: str) -> list[str]:
    """The options that add adapters of these kinds to a round."""
    script = tmp_path / "adapter.py"
    script.write_text(ADAPTER)
    commands = [shlex.join([sys.executable, str(script), kind]) for kind in kinds]
    return [word for command in commands for word in ("--foreign", command)]


BAD_ADAPTERS = {
    "input(); print(1)": "answered b'1', which is not a JSON object",
    "input(); print('{}')": "does not speak version 1 of the protocol: {}",
    "pass": "ended with 0 before it said hello",
    "import sys; sys.exit(3)": "ended with 3 before it said hello",
    f"{HELLO}; input(); sys.exit(4)": "ended during an append, with exit code 4",
    f"{HELLO}; input(); print('[]')": "answered b'[]', which is not a JSON object",
    f"{HELLO}; input(); print('{{\"ok\":false}}')": "failed to append: {'ok': False}",
    f'{HELLO}; input(); print(\'{{"ok":false,"error":{{"kind":"SerializeError"}}}}\')': (
        "failed to append: {'kind': 'SerializeError'}"
    ),
}


def test_foreign_commands_that_do_not_speak_the_protocol(tmp_path: Path) -> None:
    report_path = tmp_path / "report.json"
    words: list[str] = []
    for number, adapter in enumerate(BAD_ADAPTERS):
        script = tmp_path / f"adapter-{number}.py"
        script.write_text(adapter)
        words += ["--foreign", shlex.join([sys.executable, str(script)])]
    paths = ["--json", str(report_path), "--root", str(tmp_path / "kept")]
    done = _stress(*SMALL_FOREIGN, *paths, *words)
    assert done.returncode == 1
    for reason in BAD_ADAPTERS.values():
        assert reason in done.stderr
    assert "Warning" not in done.stderr
    [round_] = json.loads(report_path.read_text())["rounds"]
    assert round_["violations"]["a process failed"] == len(BAD_ADAPTERS)


def test_sabotage_is_shown_with_evidence_and_how_to_repeat_it(tmp_path: Path) -> None:
    command = "--seed 1 --sabotage duplicate-on-retry"
    done = _stress(*command.split(), "--root", str(tmp_path))
    assert (done.returncode, done.stderr) == (1, "")
    found = re.search(
        r"^VIOLATION: (an event twice: event \d+ of writer-\d+) ", done.stdout, re.MULTILINE
    )
    assert found, done.stdout
    assert re.search(r"^VIOLATED: [1-9]\d* violations in \d+ events\.$", done.stdout, re.MULTILINE)
    assert f"Repeat with: python -m stress {command}\n" in done.stdout
    again = _stress("--check", str(tmp_path))
    assert again.returncode == 1
    assert found[1] in again.stdout


def test_sabotage_that_passes_fails_the_run(tmp_path: Path) -> None:
    """The checker rightly finds nothing wrong with a harmless appender, so the run must fail."""
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
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, timeout=TOO_LONG_S)
    assert (done.returncode, done.stderr) == (1, "")
    assert "\nFAILED: sabotage harmless was not caught in 3 tries.\n" in done.stdout
    assert "VIOLATED" not in done.stdout


def test_what_hangs_is_ended_and_reported(tmp_path: Path) -> None:
    """A writer that is never ready stands for all processes that hang.

    With seed 1, the first process is forked, so it inherits what is replaced here. It is asked to
    end only after it has begun to listen for SIGTERM.
    """
    code = """
import os, signal, sys
from stress import processes, workers
from stress.command import main
listening, listens = os.pipe()
def prepare_for_ever():
    os.write(listens, b".")
    while True:
        signal.pause()
def stop_once_it_listens(crew, grace_s):
    os.read(listening, 1)
    stop(crew, grace_s)
workers.count_waits = prepare_for_ever
stop, processes.Crew.stop = processes.Crew.stop, stop_once_it_listens
sys.exit(main(sys.argv[1:]))
"""
    report_path, root = tmp_path / "report.json", tmp_path / "kept"
    size = ["--processes", "2", "--threads", "1", "--events", "5", "--timeout", "1"]
    size += ["--fault", "none", "--rounds-only", "--seed", "1"]
    paths = ["--root", str(root), "--json", str(report_path)]
    command = [sys.executable, "-W", "error", "-c", code, *size, *paths]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, timeout=TOO_LONG_S)
    assert (done.returncode, done.stderr) == (1, ""), done.stdout
    assert "not finished after 1 s; ending the round" in done.stdout
    [round_] = json.loads(report_path.read_text())["rounds"]
    assert "process-000 hung, and was ended" in " ".join(round_["evidence"]["a process failed"])


def test_ctrl_c_ends_cleanly_with_what_was_learnt() -> None:
    size = ["--processes", "2", "--events", "3000", "--seconds", "60", "--seed", "1"]
    done = press_ctrl_c([*AS_A_USER, *size], lambda line: "gate open" in line)
    assert (done.returncode, done.stderr) == (130, ""), done.stdout
    assert "Interrupted. By then" in done.stdout
    assert " 0 violations" in done.stdout


def test_ctrl_c_ends_the_sabotages_too(tmp_path: Path) -> None:
    report_path = tmp_path / "report.json"
    size = ["--processes", "1", "--events", "5", "--seconds", "0.1", "--fault", "none"]
    done = press_ctrl_c(
        [*AS_A_USER, *size, "--json", str(report_path)],
        lambda line: line.startswith("plain: ") and "violations" in line,
    )
    assert (done.returncode, done.stderr) == (130, ""), done.stdout
    assert "Interrupted. By then" in done.stdout
    report = json.loads(report_path.read_text())
    assert report["verdict"] == "interrupted"
    assert len(report["sabotages"]) < len(SABOTAGES)
