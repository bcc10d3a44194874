# SPDX-License-Identifier: MIT
"""When faults strike: a round is run again until each of its faults has struck."""

import ctypes
import math
import os
import resource
import shutil
import subprocess
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from stress import command, faults
from stress.command import main
from stress.plan import RoundPlan, Size, draw_round
from stress.receipts import log_path, volume_path
from stress.report import RoundReport

from ..faults.processes import Channel, in_child, mount_tmpfs
from .test_report import ROUND

PR_SET_DUMPABLE = 4
PLAN = draw_round(1, "kill", Size(processes=1, threads=1, events=2, runs=1, seconds=2))


class _Clock:
    """A clock that only the test moves forward."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


class _Reluctant(faults.Fault):
    """Strikes only when the test allows it."""

    name = "reluctant"
    every_s = 0.1
    can = False

    def step(self) -> float:
        self.strikes += self.can
        return 0.01


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> _Clock:
    clock = _Clock()
    monkeypatch.setattr(faults, "monotonic", clock)
    return clock


def _fault() -> _Reluctant:
    return _Reluctant(Path(), PLAN, dict)


def test_a_fault_that_has_struck_ends_with_its_time(clock: _Clock) -> None:
    fault = _fault()
    fault.can = True
    clock.now_s += 1
    assert fault.look() < math.inf
    clock.now_s += 1
    assert fault.look() == math.inf
    assert fault.strikes == 1


def test_a_fault_goes_on_until_it_has_struck(clock: _Clock) -> None:
    fault = _fault()
    clock.now_s += 5
    assert fault.look() < math.inf
    fault.can = True
    clock.now_s += 5
    assert fault.look() < math.inf
    assert fault.look() == math.inf
    assert fault.strikes == 1


def test_a_fault_that_never_strikes_does_not_go_on_for_ever(clock: _Clock) -> None:
    fault = _fault()
    clock.now_s += 12
    assert fault.look() == math.inf


@pytest.mark.parametrize(("struck_in", "rounds", "code"), [(1, 1, 0), (3, 3, 0), (4, 3, 1)])
def test_a_round_is_run_again_until_its_faults_have_struck(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    *,
    struck_in: int,
    rounds: int,
    code: int,
) -> None:
    """A round is run three times at most. If a fault has not struck by then, the run fails."""
    run: list[str] = []

    def checked_round(self: Any, plan: RoundPlan) -> RoundReport:
        run.append(plan.name)
        strikes = {"kill": int(len(run) - 1 >= struck_in)}
        report = replace(
            ROUND,
            name=plan.name,
            faults=sorted(plan.faults),
            strikes=strikes if plan.faults else {},
        )
        self.report.rounds.append(report)
        return report

    monkeypatch.setattr(command.Run, "_checked_round", checked_round)
    kept = ["--root", str(tmp_path)]
    assert main(["--fault", "kill", "--rounds-only", "--seed", "1", *kept]) == code
    assert run == ["plain", "kill", "kill.2", "kill.2.3"][: 1 + rounds]
    assert ("the fault kill never struck" in capsys.readouterr().out) == bool(code)


@pytest.mark.parametrize(("events", "code"), [(1999, 0), (2000, 1)])
def test_a_round_in_which_no_two_appends_met_proves_nothing(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    events: int,
    code: int,
) -> None:
    """With fewer events, the writers may have appended one after the other."""

    def checked_round(self: Any, plan: RoundPlan) -> RoundReport:
        report = replace(ROUND, name=plan.name, met=0, events=events)
        self.report.rounds.append(report)
        return report

    monkeypatch.setattr(command.Run, "_checked_round", checked_round)
    kept = ["--root", str(tmp_path)]
    assert main(["--fault", "none", "--rounds-only", "--seed", "1", *kept]) == code
    said = "no two appends of round plain ever met, so it proves nothing"
    assert (said in " ".join(capsys.readouterr().out.split())) == bool(code)


def test_where_nothing_may_be_mounted_a_full_disk_is_a_limit_on_the_size_of_files(
    tmp_path: Path,
) -> None:
    log = log_path(tmp_path, PLAN.run_ids[0])
    log.parent.mkdir(parents=True)
    log.write_bytes(b"x" * 1000)
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE) as victim:
        fault = faults.Enospc(tmp_path, PLAN, lambda: {"process-000": victim.pid})
        assert fault.step() > 0
        soft, hard = resource.prlimit(victim.pid, resource.RLIMIT_FSIZE)
        assert 1000 <= soft < 3000
        assert fault.strikes == 1
        fault.undo()
        assert resource.prlimit(victim.pid, resource.RLIMIT_FSIZE) == (hard, hard)


def test_a_process_that_cannot_be_limited_is_not_struck(tmp_path: Path) -> None:
    with subprocess.Popen(["true"]) as ended:
        pass
    fault = faults.Enospc(tmp_path, PLAN, lambda: {"process-000": ended.pid})
    fault.step()
    assert fault.strikes == 0


@pytest.mark.skipif(shutil.which("mount") is None, reason="mount(8) is missing")
def test_an_ordinary_user_can_fill_the_disk_that_is_mounted_in_a_user_namespace() -> None:
    directory = Path(tempfile.mkdtemp(prefix="omnelog-", dir="/dev/shm"))  # any user may look there
    root = volume_path(directory)
    root.mkdir()

    def fill(_: Channel) -> str | None:
        _give_up_privileges()
        if why := mount_tmpfs(root, "size=1m"):
            return why
        fault = faults.Enospc(directory, PLAN, dict)
        assert fault.step() > 0
        assert fault.strikes == 0  # the disk holds nothing, and a size of 0 means no limit
        (root / "file").write_bytes(b"x")
        assert fault.step() > 0
        assert fault.strikes == 1
        with pytest.raises(OSError, match="No space left"):
            (root / "file").write_bytes(b"x" * 100_000)
        fault.undo()
        (root / "file").write_bytes(b"x" * 100_000)
        return None

    try:
        os.chown(directory, *_ordinary_user())
        os.chown(root, *_ordinary_user())
        if why := in_child(fill):
            pytest.skip(f"THE DISK OF AN ORDINARY USER WAS NOT TESTED: {why}")
    finally:
        shutil.rmtree(directory)


def _ordinary_user() -> tuple[int, int]:
    return (os.getuid(), os.getgid()) if os.getuid() else (65534, 65534)


def _give_up_privileges() -> None:
    user, group = _ordinary_user()
    if os.getuid() == 0:
        os.setgroups([])
        os.setresgid(group, group, group)
        os.setresuid(user, user, user)
        # Otherwise /proc/self would still belong to root, so that no user could be mapped.
        ctypes.CDLL(None).prctl(PR_SET_DUMPABLE, 1)
