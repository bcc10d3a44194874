# SPDX-License-Identifier: MIT
"""The results of a run, summed up: as a table for people and as JSON for programs."""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from rich import box
from rich.table import Table
from rich.text import Text

from .faults import ENOSPC, FORK, FREEZE, KILL, REPLACE, SHORT_WRITE
from .plan import RoundPlan
from .receipts import Outcome, history_path
from .rounds import Conduct
from .violations import Verdict, violation_text

PERCENTILES = {"p50": 0.5, "p99": 0.99, "p99.9": 0.999, "max": 1.0}
_BUCKETS_PER_OCTAVE = 2
_NAMES_WIDTH, _CELL_WIDTH = 20, 11  # characters of the table's columns


@dataclass(frozen=True, slots=True, kw_only=True)
class WriterReport:
    """The results of one writer."""

    name: str
    process: str
    kind: str
    """How the process of the writer was started, or which foreign command it is."""
    events: int
    p50_us: float
    p99_us: float
    max_us: float


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundReport:
    """The results of a round."""

    name: str
    seed: int
    faults: list[str]
    runs: int
    processes: int
    writers: int
    appends: int
    """Calls, each with one event or several."""
    events: int
    """Events in the logs."""
    bytes: int
    met: int
    """Contended appends: those called before the append above them in the log had returned."""
    lock_waits: int
    """Appends that found the lock taken."""
    seconds: float
    """From the first call of an append to the return of the last."""
    append_us: dict[str, float]
    """The time of an acknowledged append with its wait for the lock, by percentile."""
    latencies: dict[str, int]
    """How many of these appends took up to each bound in µs; each is √2 times the one before."""
    outcomes: dict[str, int]
    strikes: dict[str, int]
    """How often each fault struck. short-write counts writes cut short, fork counts children."""
    torn_tails: int
    """Torn tails that an append moved to the quarantine."""
    snapshots: int
    by_writer: list[WriterReport]
    violations: dict[str, int]
    """How many violations of each kind there are."""
    evidence: dict[str, list[str]]
    """The evidence for the first few violations of each kind."""
    interrupted: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class SabotageReport:
    """The result of a sabotage."""

    name: str
    what: str
    tries: int
    caught_by: list[str]
    """The kinds of violation by which it was caught; empty if it was not caught."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScenarioReport:
    """The result of a scenario, which measures instead of checking a history."""

    name: str
    line: str
    """What was measured, as a line for people."""
    failures: list[str]
    """The limits that were missed, if other programs are not the reason."""


@dataclass(slots=True, kw_only=True)
class RunReport:
    """The results of a whole run."""

    seed: int
    command: str
    rounds: list[RoundReport] = field(default_factory=list)
    scenarios: list[ScenarioReport] = field(default_factory=list)
    sabotages: list[SabotageReport] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    """Reasons why the run proved nothing."""
    interrupted: bool = False

    @property
    def events(self) -> int:
        """How many events were found in the logs of all rounds."""
        return sum(round_.events for round_ in self.rounds)

    @property
    def found(self) -> int:
        """How many violations there are."""
        return sum(sum(round_.violations.values()) for round_ in self.rounds)

    @property
    def failed(self) -> bool:
        """Whether anything is wrong with a log, a limit was missed, or the run proved nothing."""
        return bool(self.complaints or self.found)

    @property
    def verdict(self) -> str:
        """The result in one word."""
        if self.interrupted:
            return "interrupted"
        if self.found:
            return "violated"
        return "failed" if self.failed else "clean"

    @property
    def complaints(self) -> list[str]:
        """What is wrong besides violations."""
        missed = [f"{each.name}: {what}" for each in self.scenarios for what in each.failures]
        return self.failures + missed


def report_round(
    directory: Path, plan: RoundPlan, verdict: Verdict, conduct: Conduct
) -> RoundReport:
    """Sum up a round that was checked."""
    evidence = verdict.evidence
    kinds = {
        writer.writer: " ".join(process.foreign) or process.start.value
        for process in plan.processes
        for writer in (*process.writers, *process.children)
    }
    took_ns: list[int] = []
    by_writer = []
    begin_ns, end_ns = [], []
    for number, writer in evidence.writers.items():
        if number not in kinds:
            continue  # a runner appends once before and once after all others
        receipts = zip(writer.begin_ns, writer.end_ns, writer.outcomes, strict=True)
        done = [(begin, end) for begin, end, what in receipts if what == Outcome.ACKNOWLEDGED]
        own_ns = sorted(end - begin for begin, end in done)
        took_ns += own_ns
        if done:
            begin_ns.append(done[0][0])
            end_ns.append(done[-1][1])
        by_writer.append(
            WriterReport(
                name=writer.name,
                process=writer.process,
                kind="forked child" if writer.forked else kinds[number],
                events=sum(place >= 0 for place in writer.place),
                p50_us=percentile(own_ns, 0.5) / 1e3,
                p99_us=percentile(own_ns, 0.99) / 1e3,
                max_us=percentile(own_ns, 1.0) / 1e3,
            )
        )
    took_ns.sort()
    return RoundReport(
        name=plan.name,
        seed=plan.seed,
        faults=sorted(plan.faults),
        runs=len(plan.run_ids),
        processes=len(plan.processes),
        writers=len(by_writer),
        appends=sum(verdict.outcomes.values()),
        events=verdict.events,
        bytes=sum(len(file.data) for file in evidence.files),
        met=verdict.met,
        lock_waits=sum(bool(n) for writer in evidence.writers.values() for n in writer.waits),
        seconds=(max(end_ns) - min(begin_ns)) / 1e9 if begin_ns else 0.0,
        append_us={name: percentile(took_ns, part) / 1e3 for name, part in PERCENTILES.items()},
        latencies=_histogram(took_ns),
        outcomes=dict(verdict.outcomes),
        strikes=conduct.strikes | strikes_inside(directory, plan, verdict),
        torn_tails=verdict.fragments,
        snapshots=len(evidence.snapshots),
        by_writer=by_writer,
        violations={str(kind): count for kind, count in verdict.counts.items()},
        evidence=_evidence(verdict),
        interrupted=conduct.interrupted,
    )


def strikes_inside(directory: Path, plan: RoundPlan, verdict: Verdict) -> dict[str, int]:
    """Return how often each fault struck that works inside the writers of a round."""
    strikes: dict[str, int] = {}
    if SHORT_WRITE in plan.faults:
        found = history_path(directory, "").glob("*.strikes")
        strikes[SHORT_WRITE] = sum(json.loads(path.read_text())["capped"] for path in found)
    if FORK in plan.faults:
        writers = verdict.evidence.writers.values()
        strikes[FORK] = sum(writer.forked and writer.born for writer in writers)
    return strikes


def _histogram(ordered_ns: Sequence[int]) -> dict[str, int]:
    counts: dict[str, int] = {}
    bound_us, power = 1.0, 0
    for took_ns in ordered_ns:
        while took_ns > 1000 * bound_us:
            power += 1
            bound_us = 2 ** (power / _BUCKETS_PER_OCTAVE)
        key = f"{bound_us:.3g}"
        counts[key] = counts.get(key, 0) + 1
    return counts


def _evidence(verdict: Verdict) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for violation in verdict.violations:
        found.setdefault(str(violation.kind), []).append(violation_text(verdict, violation))
    return found


def percentile(ordered: Sequence[float], part: float) -> float:
    """Return the smallest of `ordered` that is at least as large as a `part` of them.

    `part` is a fraction, such as 0.99. The result is 0 if `ordered` is empty.
    """
    if not ordered:
        return 0
    rank = -int(-part * len(ordered) // 1)  # rounded up
    return ordered[max(rank, 1) - 1]


def as_json(report: RunReport) -> dict[str, Any]:
    """Return the whole report as plain JSON."""
    return {"verdict": report.verdict, **asdict(report)}


def save_report(path: Path, report: RunReport) -> None:
    """Write the whole report as JSON."""
    path.write_text(json.dumps(as_json(report), indent=2) + "\n")


def _struck(name: str) -> Callable[[RoundReport], str]:
    return lambda r: f"{r.strikes[name]:,}" if name in r.strikes else "·"


def _count_of(outcome: Outcome) -> Callable[[RoundReport], str]:
    return lambda r: f"{r.outcomes.get(outcome, 0):,}"


def _took(part: str) -> Callable[[RoundReport], str]:
    return lambda r: duration(r.append_us[part])


_SECTIONS: list[dict[str, Callable[[RoundReport], str]]] = [
    {
        "writers": lambda r: f"{r.writers:,}",
        "events": lambda r: f"{r.events:,}",
        "MB": lambda r: f"{r.bytes / 1e6:,.1f}",
        "events/s": lambda r: f"{r.events / r.seconds:,.0f}" if r.seconds else "-",
    },
    {
        "append p50": _took("p50"),
        "p99": _took("p99"),
        "p99.9": _took("p99.9"),
        "max": _took("max"),
        "lock waits": lambda r: f"{r.lock_waits:,}",
    },
    {
        "timeouts": _count_of(Outcome.TIMED_OUT),
        "refused": _count_of(Outcome.REFUSED),
        "indeterminate": _count_of(Outcome.INDETERMINATE),
    },
    {
        "kills": _struck(KILL),
        "holders frozen": _struck(FREEZE),
        "full disks": _struck(ENOSPC),
        "short writes": _struck(SHORT_WRITE),
        "children": _struck(FORK),
        "logs replaced": _struck(REPLACE),
    },
    {
        "torn tails repaired": lambda r: f"{r.torn_tails:,}",
        "snapshots": lambda r: f"{r.snapshots:,}",
    },
]


def tables(report: RunReport, width: int) -> Iterator[Table]:
    """Yield the final table, in pieces of at most `width` characters.

    It has a column for each kind of round. Rounds of the same kind are summed up.
    """
    rounds = merged(report.rounds)
    fitting = max(1, (width - _NAMES_WIDTH) // _CELL_WIDTH)
    for begin in range(0, len(rounds), fitting):
        yield _table(rounds[begin : begin + fitting])


def _table(rounds: Sequence[RoundReport]) -> Table:
    shown = Table(box=box.SIMPLE, pad_edge=False, padding=(0, 1))
    shown.add_column("")
    for round_ in rounds:
        shown.add_column(round_.name, justify="right", no_wrap=True)
    for section in _SECTIONS:
        for name, cell in section.items():
            cells = [cell(round_) for round_ in rounds]
            if set(cells) != {"·"}:
                shown.add_row(name, *cells, end_section=name == list(section)[-1])
    found = [sum(round_.violations.values()) for round_ in rounds]
    styled = [Text(f"{n:,}", "bold red" if n else "bold green") for n in found]
    shown.add_row(Text("violations", "bold"), *styled)
    return shown


def merged(rounds: Sequence[RoundReport]) -> list[RoundReport]:
    """Return the rounds of each kind, summed up. The kind is the part of a name before the dot."""
    kinds: dict[str, list[RoundReport]] = {}
    for round_ in rounds:
        kinds.setdefault(round_.name.partition(".")[0], []).append(round_)
    return [_sum(name, same) if len(same) > 1 else same[0] for name, same in kinds.items()]


def _sum(name: str, rounds: Sequence[RoundReport]) -> RoundReport:
    latencies = _total(round_.latencies for round_ in rounds)
    ordered = sorted((float(bound_us), count) for bound_us, count in latencies.items())
    append_us = {key: _bound(ordered, part) for key, part in PERCENTILES.items()}
    append_us["max"] = max(round_.append_us["max"] for round_ in rounds)
    whole = {
        f.name: sum(getattr(r, f.name) for r in rounds)
        for f in fields(RoundReport)
        if f.type in (int, float)
    }
    return replace(
        rounds[-1],
        **whole
        | {
            "name": name,
            "append_us": append_us,
            "latencies": latencies,
            "outcomes": _total(round_.outcomes for round_ in rounds),
            "strikes": _total(round_.strikes for round_ in rounds),
            "violations": _total(round_.violations for round_ in rounds),
        },
    )


def _total(counts: Iterable[dict[str, int]]) -> dict[str, int]:
    total: Counter[str] = Counter()
    for each in counts:
        total.update(each)
    return dict(total)


def _bound(ordered: Sequence[tuple[float, int]], part: float) -> float:
    """Return the bound of the bucket in which the percentile `part` of a histogram is."""
    rank, seen = part * sum(count for _, count in ordered), 0
    for bound_us, count in ordered:
        seen += count
        if seen >= rank:
            return bound_us
    return 0.0


def sabotages(report: RunReport) -> Table:
    """Return a table with the result of each sabotage."""
    shown = Table(box=box.SIMPLE, pad_edge=False, padding=(0, 1))
    shown.add_column("sabotage", no_wrap=True)
    shown.add_column("caught by")
    for each in report.sabotages:
        caught = Text("; ".join(each.caught_by) or "NOT CAUGHT")
        caught.style = "" if each.caught_by else "bold red"
        shown.add_row(each.name, caught)
    return shown


def duration(us: float) -> str:
    """Return a time with a unit that suits it."""
    if us < 1000:
        return f"{us:.0f} µs"
    return f"{us / 1e3:.1f} ms" if us < 1e6 else f"{us / 1e6:.2f} s"
