# SPDX-License-Identifier: MIT
"""Runs system cases, several at once: surveys the calls first, chooses, plays, and reports."""

import fnmatch
import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from time import monotonic
from typing import Literal

from ..process import AdapterFailure
from .faults import Case, cases
from .play import Mismatch, NotReached, Stage
from .scenarios import SCENARIOS, Scenario
from .strace import Call
from .traces import RULES

Verdict = Literal["passed", "failed", "not reached", "expected failure", "stale"]

_TRIES = 3
"""How often a case is played whose call was not made, for calls may depend on time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What came of a case: what was expected and what was seen."""

    case: Case
    cast: str
    verdict: Verdict
    expected: tuple[str, ...]
    saw: tuple[str, ...]
    calls: tuple[Call, ...]
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is to be run: the cases, and the scenarios that cannot be, with the reason."""

    cases: list[Case]
    left_out: dict[str, str]


def survey(commands: Sequence[Sequence[str]], limit_s: float) -> Plan:
    """All cases for these adapters, by what A calls when nothing is wrong.

    Raises AdapterFailure, and Mismatch if an answer is wrong even then.
    """
    found: list[Case] = []
    left_out: dict[str, str] = {}
    with Stage(commands, limit_s) as stage:
        for scenario in SCENARIOS:
            lacks = stage.lacks(scenario)
            if lacks:
                left_out[scenario.name] = f"the adapter has no {', '.join(lacks)}"
                continue
            calls = stage.survey(scenario)
            found += _traces(scenario, calls)
            found += cases(scenario, calls)
    return Plan(cases=found, left_out=left_out)


def _traces(scenario: Scenario, calls: Sequence[Call]) -> Iterator[Case]:
    for name, rule in RULES.items():
        if rule.applies(scenario):
            yield Case(
                scenario=scenario,
                family="trace",
                clauses=rule.clauses,
                fault=name,
                owed=scenario.normal,
                observed=tuple(calls),
            )


def chosen(
    found: Sequence[Case], globs: Sequence[str], clauses: Sequence[str], sample: int | None
) -> list[Case]:
    """Those whose id matches a glob and that check one of the clauses; of them, `sample` at most.

    A sample holds all traces, and the others spread evenly over what there is; it is the same each
    time.
    """
    kept = [
        case
        for case in found
        if any(fnmatch.fnmatchcase(case.id, glob) for glob in globs)
        and (not clauses or set(clauses) & set(case.clauses))
    ]
    if sample is None or len(kept) <= sample:
        return kept
    traces = [case for case in kept if case.family == "trace"]
    others = [case for case in kept if case.family != "trace"]
    others.sort(key=lambda case: sha256(case.id.encode()).digest())
    wanted = {case.id for case in [*traces, *others[: max(0, sample - len(traces))]]}
    return [case for case in kept if case.id in wanted]


def conduct(
    chosen_cases: Sequence[Case],
    commands: Sequence[Sequence[str]],
    cast: str,
    limit_s: float,
    jobs: int,
    expected_failures: set[str],
    keep: Path | None,
    began: Callable[[str], None],
) -> Iterator[Result]:
    """Play the cases and yield results as they come; closing the iterator ends all adapters."""
    waiting: queue.SimpleQueue[Case | None] = queue.SimpleQueue()
    done: queue.SimpleQueue[Result | BaseException] = queue.SimpleQueue()
    stages = [Stage(commands, limit_s, keep) for _ in range(min(jobs, len(chosen_cases)))]
    stopped = threading.Event()
    for case in chosen_cases:
        waiting.put(case)
    for _ in stages:
        waiting.put(None)

    def work(stage: Stage) -> None:
        try:
            while (case := waiting.get()) is not None and not stopped.is_set():
                done.put(_played(case, stage, cast, expected_failures))
        except BaseException as error:
            done.put(error)

    threads = [threading.Thread(target=work, args=(stage,), daemon=True) for stage in stages]
    for thread in threads:
        thread.start()
    try:
        for _ in chosen_cases:
            result = done.get()
            if isinstance(result, BaseException):
                raise result
            began(result.case.id)
            yield result
    finally:
        stopped.set()
        for stage, thread in zip(stages, threads, strict=True):
            thread.join(0.0 if thread.is_alive() else None)
            stage.end()
        for thread in threads:
            thread.join(limit_s)
        for stage in stages:
            stage.end()


def _played(case: Case, stage: Stage, cast: str, expected_failures: set[str]) -> Result:
    started = monotonic()
    verdict: Verdict = "passed"
    expected: tuple[str, ...] = ()
    saw: tuple[str, ...] = ()
    for _ in range(_TRIES):
        try:
            seen = stage.play(case)
        except NotReached:
            verdict = "not reached"
            saw = ("the call was not made this time",)
            continue
        except Mismatch as mismatch:
            verdict, expected, saw = "failed", (mismatch.expected,), (mismatch.saw,)
        except AdapterFailure as failure:
            verdict, saw = "failed", (str(failure),)
        else:
            verdict, expected, saw = "passed", tuple(seen.expected), tuple(seen.saw)
        break
    if case.id in expected_failures and verdict != "not reached":
        verdict = "stale" if verdict == "passed" else "expected failure"
    return Result(
        case=case,
        cast=cast,
        verdict=verdict,
        expected=expected,
        saw=saw,
        calls=tuple(stage.last_calls),
        seconds=monotonic() - started,
    )
