# SPDX-License-Identifier: MIT
"""System cases are judged correctly; the command shows what it saw, or why it saw nothing."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from conformance import clauses
from conformance.generate.__main__ import clause_list
from conformance.profiles import PROFILES
from conformance.system.run import chosen, survey
from conformance.system.scenarios import LAST, TORN, TRACED, WHOLE, line
from conformance.system.strace import Call, Tracer
from conformance.system.truth import Batch, Ledger
from conformance.vectors import load

from ..documents import PROJECT
from . import handmade

ADAPTER = ["env", f"PYTHONPATH={PROJECT}", sys.executable, str(Path(handmade.__file__)), "right"]
ONE = "APP-27.append.write-1-log.short-middle-then-full"
needs_strace = pytest.mark.skipif(shutil.which("strace") is None, reason="strace is missing")


def run(*arguments: str, path: str | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "conformance", "--system", *arguments],
        cwd=PROJECT,
        env={**os.environ, "PATH": path or os.environ["PATH"]},
        capture_output=True,
        text=True,
    )


# What the ledger accepts.

BEFORE = line(1) + line(4)


def ledger(*batches: Batch, **more: object) -> Ledger:
    return Ledger(before=(1, 4), batches=list(batches), **more)  # type: ignore[arg-type]


DONE = Batch.of("A", TRACED)
FAILED = Batch.of("A", TRACED, done=False)
DIED = Batch(who="A", events=TRACED, least=0, most=3)
ALL = b"".join(map(line, TRACED))


@pytest.mark.parametrize(
    ("found", "content", "quarantine"),
    [
        (ledger(DONE), BEFORE + ALL, None),
        (ledger(FAILED), BEFORE, None),
        (ledger(DIED), BEFORE + line(TRACED[0]), None),
        (ledger(DIED, rest="any"), BEFORE + line(TRACED[0])[:9], None),
        (ledger(DONE, Batch.of("B", [LAST])), BEFORE + line(LAST) + ALL, None),
        (ledger(DONE, tail=TORN), BEFORE + ALL, TORN + b"\n"),
        (ledger(DONE, tail=TORN), BEFORE + ALL, TORN[:5] + b"\n" + TORN + b"\n"),
        (
            ledger(DONE, tail=TORN, quarantine=TORN[:5]),
            BEFORE + ALL,
            TORN[:5] + b"\n" + TORN + b"\n",
        ),
        (ledger(FAILED, tail=TORN, rest="tail"), BEFORE + TORN, None),
        (ledger(DONE, tail=WHOLE), BEFORE + WHOLE + b"\n" + ALL, None),
    ],
)
def test_files_that_are_right_are_passed(
    found: Ledger, content: bytes, quarantine: bytes | None
) -> None:
    assert found.faults([content], quarantine) == []


@pytest.mark.parametrize(
    ("found", "content", "quarantine", "said"),
    [
        (ledger(DONE), BEFORE + ALL + ALL, None, "there are the events"),
        (ledger(DONE), BEFORE + line(TRACED[0]), None, "1 lines are in the log, not 3"),
        (ledger(DONE), line(4) + line(1) + ALL, None, "final lines"),
        (ledger(DONE), BEFORE[:-1] + ALL, None, "a line that nobody wrote"),
        (ledger(DONE), BEFORE + line(20) + ALL, None, "events that nobody appended"),
        (ledger(FAILED), BEFORE + line(TRACED[0]), None, "1 lines are in the log, not 0"),
        (ledger(FAILED), BEFORE + ALL[:9], None, "after the last newline"),
        (ledger(FAILED, rest="tail"), BEFORE + ALL[:9], None, "after the last newline"),
        (ledger(DIED, rest="any"), BEFORE + b"x", None, "after the last newline"),
        (
            ledger(DONE, Batch.of("B", [LAST])),
            BEFORE + line(TRACED[0]) + line(LAST) + ALL[len(line(TRACED[0])) :],
            None,
            "came between",
        ),
        (ledger(DONE, tail=TORN), BEFORE + ALL, None, "is not in the quarantine"),
        (ledger(DONE, tail=TORN), BEFORE + ALL, TORN, "the quarantine ends in"),
        (ledger(DONE, tail=TORN), BEFORE + ALL, 2 * (TORN + b"\n"), "is 2 times"),
        (ledger(DONE, tail=TORN), BEFORE + ALL, b"x\n" + TORN + b"\n", "that was not a tail"),
        (
            ledger(DONE, tail=TORN, quarantine=TORN[:5]),
            BEFORE + ALL,
            TORN[:5] + TORN + b"\n",
            "was continued",
        ),
        (ledger(DONE, tail=TORN, quarantine=TORN), BEFORE + ALL, b"", "lost what it held"),
        (ledger(DONE, tail=WHOLE), BEFORE + ALL, None, "was a whole event"),
    ],
)
def test_files_that_are_wrong_are_found(
    found: Ledger, content: bytes, quarantine: bytes | None, said: str
) -> None:
    assert said in "; ".join(found.faults([content], quarantine))


# How the output of strace is understood.


def parsed(text: str) -> list[Call]:
    """The calls in the output of strace, for a log at /v/log."""
    tracer = Tracer.__new__(Tracer)
    tracer.prepare({"/v/log": "log", "/v": "run"})
    lines = [tracer.understood(part) for part in text.splitlines()]
    return [call for call in lines if isinstance(call, Call)]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ('openat(AT_FDCWD</w>, "/v/log", O_RDWR) = 3</v/log>', [("open", "log", 3)]),
        ('openat(5</v>, "log", O_RDWR) = 3</v/log>', [("open", "log", 3)]),
        ('write(3</v/log>, "{\\"a<b>"..., 9) = 4', [("write", "log", 4)]),
        ("flock(3</v/log>, LOCK_UN) = 0", [("unlock", "log", 0)]),
        ("flock(3</v/log>, LOCK_EX|LOCK_NB) = -1 EAGAIN (x) (INJECTED)", [("lock", "log", -1)]),
        ("fsync(4</v>)      = ?", [("sync", "run", None)]),
        (
            """[pid  7] write(3</v/log>, "x", 1 <unfinished ...>
[pid  8] fsync(4</v>) = 0
[pid  7] <... write resumed>) = 1""",
            [("sync", "run", 0), ("write", "log", 1)],
        ),
        ("--- SIGSTOP {si_signo=SIGSTOP} ---", []),
    ],
)
def test_calls_are_understood(text: str, shown: list[tuple[str, str, int | None]]) -> None:
    assert [(call.kind, call.label, call.result) for call in parsed(text)] == shown


# The command.


@needs_strace
def test_a_case_alone_shows_what_was_seen_beside_what_was_expected() -> None:
    done = run("--only", ONE, "--", *ADAPTER)
    assert f"PASSED {ONE}" in done.stdout
    assert "expected  A answers LogIOError" in done.stdout
    assert "saw       A: LogIOError appended=0" in done.stdout
    assert "call      write(log" in done.stdout
    assert (done.returncode, done.stderr) == (0, "")


@needs_strace
def test_cases_are_listed_with_their_clauses() -> None:
    done = run("--list", "--only", "*.append.write-1-log.*", "--", *ADAPTER)
    assert f"{ONE}  [APP-27 APP-28 APP-29 ERR-6]  one event" in done.stdout
    assert done.returncode == 0


@needs_strace
def test_a_volume_is_kept_where_it_is_wanted(tmp_path: Path) -> None:
    done = run("--only", ONE, "--keep", str(tmp_path), "--", *ADAPTER)
    assert done.returncode == 0
    [volume] = tmp_path.iterdir()
    assert volume.name.startswith(ONE)
    assert (volume / ".omne/var/runs/r/events.jsonl").read_bytes().endswith(line(LAST))


@needs_strace
def test_results_of_cases_are_saved(tmp_path: Path) -> None:
    saved, junit = tmp_path / "x.json", tmp_path / "x.xml"
    run("--only", ONE, "--json", str(saved), "--junit", str(junit), "--", *ADAPTER)
    [result] = json.loads(saved.read_text())["vectors"]
    assert (result["id"], result["verdict"]) == (ONE, "passed")
    assert ONE in junit.read_text()


def test_where_strace_is_missing_it_says_so(tmp_path: Path) -> None:
    os.symlink(shutil.which("env") or "", tmp_path / "env")
    done = run("--", *ADAPTER, path=str(tmp_path))
    assert "NOTHING WAS CHECKED: strace is not installed; install it" in done.stderr
    assert done.returncode == 3


def test_where_strace_may_not_trace_it_says_so(tmp_path: Path) -> None:
    """This happens in a container without the right to trace."""
    refusing = tmp_path / "strace"
    words = "strace: attach: ptrace(PTRACE_SEIZE, 1): Operation not permitted"
    refusing.write_text(f"#!/bin/sh\n[ \"$1\" = -V ] || echo '{words}' >&2\nexit 1\n")
    refusing.chmod(0o755)
    done = run("--", *ADAPTER, path=f"{tmp_path}:{os.environ['PATH']}")
    assert f"NOTHING WAS CHECKED: {words}; allow ptrace" in done.stderr
    assert "Traceback" not in done.stderr
    assert done.returncode == 3


@needs_strace
def test_a_command_that_cannot_be_started_is_reported() -> None:
    done = run("--", "/no/such/adapter")
    assert "/no/such/adapter: cannot be started: No such file or directory; " in done.stderr
    assert done.returncode == 2


@needs_strace
def test_a_case_that_does_not_exist_is_reported() -> None:
    done = run("--only", "no-such-case", "--", *ADAPTER)
    assert "no case matches the options" in done.stderr
    assert done.returncode == 2


# The clauses.


def test_the_list_of_clauses_is_that_of_the_specification() -> None:
    assert clauses.FILE.read_bytes() == clause_list()


def test_what_cannot_be_checked_from_outside_is_a_clause_and_no_vector_checks_it() -> None:
    checked = {clause for vector in load() for clause in vector.clauses}
    excused = set(clauses.NOT_FROM_OUTSIDE)
    assert excused <= set(clauses.clauses())
    assert excused & checked == set()


@needs_strace
@pytest.mark.spec("APP-25", "APP-55", "APP-59", "DUR-12", "ULID-13")
def test_every_demand_about_files_is_checked_from_outside_or_says_why_not() -> None:
    plan = survey([ADAPTER, ADAPTER], 20.0)
    assert plan.left_out == {}
    checked = {clause for vector in load() for clause in vector.clauses}
    checked |= {clause for case in plan.cases for clause in case.clauses}
    demands = {
        clause
        for clause, keyword in clauses.clauses().items()
        if keyword.startswith("MUST") and clause.split("-")[0] in clauses.CHAPTERS
    }
    assert demands - checked - set(clauses.NOT_FROM_OUTSIDE) == set()
    assert {clause for clause in checked if clause.split("-")[0] in clauses.CHAPTERS} <= set(
        clauses.clauses()
    )
    names = [case.id for case in plan.cases]
    assert len(names) == len(set(names))
    sample = chosen(plan.cases, ["*"], [], 350)
    assert len(sample) == 350
    assert {case.family for case in sample} == {"trace", "errors", "crashes", "preemption"}
    assert chosen(plan.cases, ["*"], [], 350) == sample


@pytest.mark.parametrize("name", PROFILES)
def test_each_profile_has_vectors_that_need_nothing_beyond_it(name: str) -> None:
    held = [vector for vector in load() if PROFILES[name].holds(vector)]
    assert len(held) > 20
