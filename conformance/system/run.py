# SPDX-License-Identifier: MIT
"""Run system cases, several at once: record the calls, choose cases, play and report them."""

import fnmatch
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from time import monotonic

from ..parallel import in_parallel
from ..process import AdapterFailure
from ..results import Result, Verdict, judged
from .faults import Case, cases
from .play import Mismatch, NotReached, Seen, Stage
from .scenarios import SCENARIOS, Scenario
from .strace import Call
from .traces import RULES

_TRIES = 3
"""How often a case is played at most until its call is made: which calls are made may vary."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The cases to run, and the scenarios that cannot be run, each with the reason."""

    cases: list[Case]
    left_out: dict[str, str]


def survey(commands: Sequence[Sequence[str]], limit_s: float) -> Plan:
    """Return all cases for these adapters. They follow from the calls that A makes without faults.

    Raises AdapterFailure, and Mismatch if an answer is wrong without a fault.
    """
    found: list[Case] = []
    left_out: dict[str, str] = {}
    with Stage(commands, limit_s) as stage:
        for scenario in SCENARIOS:
            lacks = stage.lacks(scenario)
            if lacks:
                left_out[scenario.name] = f"the adapter has no {', '.join(lacks)}"
                continue
            found += cases_of(scenario, stage.survey(scenario))
    return Plan(cases=found, left_out=left_out)


def cases_of(scenario: Scenario, calls: Sequence[Call]) -> list[Case]:
    """Return all cases of a scenario in which `calls` were made."""
    return [*_traces(scenario, calls), *cases(scenario, calls)]


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
    """Return the cases that match a glob and check one of `clauses`, or any clause if it is empty.

    If there are more than `sample`, return all traces and so many others that it is `sample` in
    all. The others are spread evenly over all cases, and are the same ones each time.
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


class _Player:
    """Plays cases on a stage of its own."""

    def __init__(self, stage: Stage, cast: str, expected_failures: set[str]) -> None:
        self._stage, self._cast, self._expected = stage, cast, expected_failures

    def interrupt(self) -> None:
        self._stage.interrupt()

    def end(self) -> None:
        self._stage.end()

    def work(self, case: Case) -> Result:
        """Play one case, and again if its call was not made."""
        started = monotonic()
        for _ in range(_TRIES):
            verdict, message, seen = self._played(case)
            if verdict != "not reached":
                break
        verdict, message = judged(verdict, message, case.id, self._expected)
        return Result(
            id=case.id,
            kind=case.family,
            clauses=case.clauses,
            about=case.scenario.about,
            cast=self._cast,
            verdict=verdict,
            message=message,
            details=tuple(_details(seen)),
            seconds=monotonic() - started,
        )

    def _played(self, case: Case) -> tuple[Verdict, str, Seen]:
        seen = Seen()
        try:
            self._stage.play(case, seen)
        except NotReached:
            return "not reached", "the call was not made", seen
        except Mismatch as mismatch:
            return "failed", f"expected: {mismatch.expected}; saw: {mismatch.saw}", seen
        except AdapterFailure as failure:
            return "failed", str(failure), seen
        return "passed", "", seen


def _details(seen: Seen) -> Iterator[str]:
    for call in seen.calls:
        yield f"call      {call}"
    for text in seen.expected:
        yield f"expected  {text}"
    for text in seen.saw:
        yield f"saw       {text}"


def conduct(
    chosen_cases: Sequence[Case],
    commands: Sequence[Sequence[str]],
    cast: str,
    limit_s: float,
    expected_failures: set[str],
    *,
    jobs: int,
    keep: Path | None = None,
) -> Iterator[Result]:
    """Play the cases and yield results as they arrive.

    `commands`: what starts A and B. `cast`: their names. `limit_s`: seconds for a response.
    `expected_failures`: ids of cases, or globs. `jobs`: how many cases run at once. `keep`: the
    directory in which volumes stay.
    """

    def player() -> _Player:
        return _Player(Stage(commands, limit_s, keep), cast, expected_failures)

    yield from in_parallel(chosen_cases, player, jobs)
