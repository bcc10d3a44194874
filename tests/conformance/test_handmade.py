# SPDX-License-Identifier: MIT
"""Each fault of the handmade implementation is caught by the checks that are named for it."""

import fnmatch
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from conformance.process import Adapter, AdapterFailure
from conformance.run import conduct
from conformance.system.faults import Case
from conformance.system.play import Mismatch, NotReached, Seen, Stage
from conformance.system.run import cases_of
from conformance.system.run import conduct as conduct_cases
from conformance.system.scenarios import SCENARIOS
from conformance.vectors import Vector, load

from ..documents import PROJECT
from . import handmade

PROGRAM = Path(handmade.__file__)
TRIES = 3  # because calls and times differ a little from run to run

VECTORS = {vector.id: vector for vector in load()}

BY_VECTORS = {
    "repairs-before-the-lock": "APP-9.half-line-of-the-holder",
    "looks-before-the-lock": "APP-51.look-under-the-lock",
    "never-looks-at-the-path": "APP-51.replaced APP-51.look-under-the-lock",
    "keeps-its-descriptor": "APP-39.path-opened-again",
    "begins-the-deadline-again": "APP-6.one-deadline",
    "oversleeps": "LOCK-10.no-overshot",
    "waits-with-a-timeout-of-0": "APP-7.without-any-wait",
    "waits-for-2-s-by-default": "APP-3.default-of-5-s",
    "encodes-after-the-wait": "APP-5.encoded-before-the-wait",
    "takes-record-locks": "LOCK-1.any-program",
    "looks-at-64-kib": "APP-11.of-a-hundred-kilobytes",
    "reads-8-mib-at-most": "LINE-13.of-nine-megabytes",
    "is-slow-with-members": "SEC-6.many-members",
    "is-slow-with-digits": "SEC-6.many-digits",
    "is-slow-with-escapes": "SEC-6.many-escapes",
    "closes-nothing": "APP-44.closed-for-good",
    "repairs-to-hold-the-lock": "APP-9.holding-is-not-appending",
    "repairs-for-nothing": "APP-34.none-and-a-torn-tail",
    "makes-directories-on-a-reopen": "APP-53.directory-is-gone",
    "takes-whole-lines-back": "APP-33.two-of-three",
    "miscounts-what-stands": "APP-33.two-of-three",
    "leaves-what-a-failed-write-left": "APP-27.cut-off-again",
    "takes-a-short-write-for-whole": "APP-27.cut-off-again",
    "copies-a-tail-again": "APP-17.copied-already",
    "continues-an-unfinished-copy": "APP-16.unterminated",
    "does-not-look-again": "READ-4.more-than-one-try",
    "waits-5-s-to-read": "READ-4.patience",
    "tries-once-to-read": "READ-4.more-than-one-try",
    "overlooks-that-the-log-was-cut": "READ-28.cut",
    "leaves-the-old-log-after-1-s": "READ-29.not-before-2-s",
    "leaves-the-rest-of-the-old-log": "READ-29.rest-of-the-old-file",
    "counts-no-blank-lines": "READ-27.after-blank-lines",
    "gives-fresh-ulids-within-a-millisecond": "ULID-5.many-in-a-row",
    "never-gives-a-fresh-ulid": "ULID-5.fresh-when-the-clock-is-past",
    "keeps-ulids-to-itself": "ULID-5.plus-one",
    "hides-the-last-ulid": "VOL-13.ulid-umask-022",
    "gives-ulids-without-the-lock": "ULID-2.waits-for-the-lock",
    "leaves-half-a-ulid": "ULID-11.old-one-stays",
    "answers-twice": "APP-34.lock-is-taken",
}

BY_SYSTEM_CASES = {
    "children-inherit-the-log": "LOCK-5.open.trace.log-not-inherited",
    "waits-for-a-fifo": "LOCK-5.open.trace.log-not-inherited",
    "blocks-for-the-lock": "LOCK-8.append.trace.no-blocking-lock",
    "frees-by-closing": "LOCK-14.append.trace.unlocked-before-the-close",
    "writes-line-and-newline": "APP-23.append.trace.one-write",
    "unlocks-between-lines": "APP-23.several.trace.one-write",
    "syncs-before-the-unlock": "DUR-3.durable.trace.synced-after-the-unlock",
    "never-syncs": "DUR-3.durable.trace.synced-after-the-unlock",
    "always-syncs": "DUR-1.append.trace.not-synced",
    "syncs-one-directory": "DUR-7.durable-open.trace.directories-synced",
    "goes-on-after-a-failed-sync": "DUR-8.durable.*.EIO",
    "ignores-a-failed-sync": "DUR-8.durable.*.EIO",
    "ignores-a-failed-cut": "APP-30.append.*.short-middle-then-uncut",
    "cuts-foreign-bytes": "APP-28.append.*.short-middle-then-foreign",
    "fails-though-all-is-written": "APP-31.append.write-*.all-then-EIO",
    "tries-again-for-ever": "APP-26.append.write-*.writes-nothing",
    "takes-a-short-write-for-whole": "APP-24.append.write-*.short-middle",
    "cuts-a-grown-log": "APP-21.torn.*-quarantine.stopped-foreign-bytes",
    "adds-a-newline-to-a-grown-log": "APP-21.whole.*-log.stopped-foreign-bytes",
    "cuts-what-is-not-synced": "APP-18.torn.trace.synced-before-the-cut",
    "leaves-the-directory-unsynced": "APP-18.torn.trace.synced-before-the-cut",
    "copies-a-tail-again": "APP-17.copied.trace.not-copied-again",
    "keeps-its-descriptor": "APP-39.after-failure.trace.reopened-after-a-failure",
    "looks-before-the-lock": "APP-51.after-replacement.trace.looked-under-the-lock",
    "looks-for-the-holder-first": "ERR-7.taken.trace.holder-asked-in-the-end",
    "reads-through-a-writable-file": "READ-1.read.trace.opened-for-reading",
    "locks-whole-logs": "READ-2.read.trace.no-lock-for-whole-lines",
    "locks-while-it-follows": "READ-22.follow.trace.no-lock-by-a-follower",
    "takes-a-repair-for-a-loss": "READ-14.read-torn.*.stopped-other-repairs",
    "does-not-look-again": "READ-14.read-torn.*.stopped-other-appends",
    "cuts-the-last-ulid-first": "ULID-10.ulid.trace.ulid-in-place",
    "keeps-ulids-to-itself": "ULID-9.ulid.trace.ulid-before-the-answer",
    "gives-ulids-without-the-lock": "ULID-2.ulid.trace.ulid-under-the-lock",
    "leaves-half-a-ulid": "ULID-11.ulid.*.short-middle-then-full",
}
BY_THE_SURVEY = {"copies-a-tail-again", "keeps-ulids-to-itself"}
"""Of these, the faults that show before any system call is made to fail."""

BY_THE_RUNNER = {
    "quits-with-status-1": "after quit it left with exit status 1",
    "stays-at-the-end-of-input": "does not leave at the end of its input",
}

needs_strace = pytest.mark.skipif(shutil.which("strace") is None, reason="strace is missing")


def command(fault: str) -> list[str]:
    return ["env", f"PYTHONPATH={PROJECT}", sys.executable, str(PROGRAM), fault]


def found(fault: str, pattern: str, stage: Stage) -> list[Case]:
    """The cases that the pattern names."""
    [scenario] = [s for s in SCENARIOS if s.name == pattern.split(".")[1]]
    cases = cases_of(scenario, stage.survey(scenario))
    return [case for case in cases if fnmatch.fnmatchcase(case.id, pattern)]


def once(vector: Vector) -> Vector:
    """The vector with one try. More tries only help a correct adapter on a busy machine.

    So one failure counts as noticing a fault, even if the busy machine caused it.
    """
    return replace(vector, data={**vector.data, "tries": 1})


def verdict(name: str, fault: str) -> str:
    """The verdict of a vector on a fault. A pass is tried again: busy machines may hide faults."""
    for _ in range(TRIES):
        vectors = [once(VECTORS[name])]
        [result] = conduct(vectors, dict.fromkeys("ABC", command(fault)), 5.0, set())
        if result.verdict != "passed":
            break
    return result.verdict


def catches(case: Case, stage: Stage) -> bool:
    """Whether a case fails. The case is played again only if its call was not made."""
    for _ in range(TRIES):
        try:
            stage.play(case, Seen())
        except NotReached:
            continue
        except (Mismatch, AdapterFailure):
            return True
        return False
    return False


@pytest.mark.parametrize("fault", BY_VECTORS)
def test_a_fault_is_caught_by_the_vectors_that_are_named_for_it(fault: str) -> None:
    names = BY_VECTORS[fault].split()
    assert {name: verdict(name, fault) for name in names} == dict.fromkeys(names, "failed")


@needs_strace
@pytest.mark.parametrize("fault", BY_SYSTEM_CASES)
def test_a_fault_is_caught_by_the_system_cases_that_are_named_for_it(fault: str) -> None:
    pattern = BY_SYSTEM_CASES[fault]
    with Stage([command(fault)] * 2, 10.0) as stage:
        if fault in BY_THE_SURVEY:
            with pytest.raises(Mismatch):
                found(fault, pattern, stage)
            return
        cases = found(fault, pattern, stage)
        assert cases, pattern
        assert any(catches(case, stage) for case in cases)


@pytest.mark.parametrize("fault", BY_THE_RUNNER)
def test_a_fault_of_the_protocol_is_reported_before_the_first_vector(fault: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "conformance", "--only", "ACC-12.type", "--", *command(fault)],
        cwd=PROJECT,
        capture_output=True,
        text=True,
    )
    assert BY_THE_RUNNER[fault] in done.stderr
    assert done.returncode == 1


def test_without_a_fault_it_passes_the_same_vectors() -> None:
    names = {name for named in BY_VECTORS.values() for name in named.split()}
    vectors = [VECTORS[name] for name in sorted(names)]
    results = conduct(vectors, dict.fromkeys("ABC", command("right")), 10.0, set(), jobs=4)
    assert [(r.id, r.message) for r in results if r.verdict != "passed"] == []


@needs_strace
def test_without_a_fault_it_passes_the_same_system_cases() -> None:
    patterns = set(BY_SYSTEM_CASES.values())
    with Stage([command("right")] * 2, 10.0) as stage:
        cases = [case for pattern in sorted(patterns) for case in found("", pattern, stage)]
    results = list(conduct_cases(cases, [command("right")] * 2, "x", 10.0, set(), jobs=4))
    assert [(r.id, r.message) for r in results if r.verdict not in ("passed", "not reached")] == []


def test_every_fault_is_tried() -> None:
    written = set(re.findall(r'wrong\(\s*"([a-z0-9-]+)"', PROGRAM.read_text()))
    written |= set(re.findall(r'"(is-slow-[a-z-]+)"', PROGRAM.read_text()))
    assert written == {*BY_VECTORS, *BY_SYSTEM_CASES, *BY_THE_RUNNER}
    assert len(written) >= 40


def test_an_adapter_leaves_when_it_is_asked() -> None:
    """The adapter's input stays open, so the end of its input cannot be the reason."""
    assert Adapter(command("right"), 10.0).quit() == 0
