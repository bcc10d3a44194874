# SPDX-License-Identifier: MIT
"""What a run came to, as a table for people and as JSON for machines."""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from .checker import Verdict
from .evidence import evidence
from .history import Outcome, history_path
from .plan import RoundPlan

PERCENTILES = {"p50": 0.5, "p99": 0.99, "p99.9": 0.999, "max": 1.0}


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundReport:
    """What a round came to."""

    name: str
    writers: int
    attempted: int
    events: int
    """Events in the log."""
    bytes: int
    met: int
    """Appends called before the one above them in the log had returned: contended ones."""
    seconds: float
    """From the first call of an append to the return of the last."""
    append_us: dict[str, float]
    """The time an acknowledged append took, by percentile, waiting for the lock included."""
    outcomes: dict[str, int]
    timeouts_impatient: int
    """Those of `outcomes` that hit the writer which tries the lock only once."""
    snapshots: int
    capped_writes: int
    violations: dict[str, int]
    """How many of each kind."""
    evidence: dict[str, list[str]]
    """The evidence for the first few of each kind."""
    interrupted: bool

    @property
    def timeouts(self) -> int:
        """The appends of patient writers that timed out."""
        return self.outcomes.get(Outcome.TIMED_OUT, 0) - self.timeouts_impatient


@dataclass(frozen=True, slots=True, kw_only=True)
class SabotageReport:
    """What came of a sabotage."""

    name: str
    what: str
    tries: int
    caught_by: list[str]
    """The kinds of violation that give it away; empty if it passed."""


@dataclass(slots=True, kw_only=True)
class RunReport:
    """What a whole run came to."""

    seed: int
    command: str
    rounds: list[RoundReport] = field(default_factory=list)
    sabotages: list[SabotageReport] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    """Where the harness itself proved nothing."""
    interrupted: bool = False

    @property
    def violated(self) -> bool:
        """Whether anything is wrong, be it with the log or with the harness."""
        return bool(self.failures) or any(round_.violations for round_ in self.rounds)


def report_round(
    directory: Path, plan: RoundPlan, verdict: Verdict, *, interrupted: bool
) -> RoundReport:
    """Sum up a round that was checked."""
    impatient = {writer.writer for writer in plan.writers if not writer.lock_timeout_s}
    took_ns: list[int] = []
    timeouts_impatient = 0
    begin_ns, end_ns = [], []
    for number, writer in verdict.writers.items():
        if number in impatient:
            timeouts_impatient = writer.outcomes.count(Outcome.TIMED_OUT)
        receipts = zip(writer.begin_ns, writer.end_ns, writer.outcomes, strict=True)
        done = [(begin, end) for begin, end, what in receipts if what == Outcome.ACKNOWLEDGED]
        took_ns += [end - begin for begin, end in done]
        if done and number:  # the runner's two are far before and after the rest
            begin_ns.append(done[0][0])
            end_ns.append(done[-1][1])
    took_ns.sort()
    return RoundReport(
        name=plan.name,
        writers=len(verdict.writers),
        attempted=sum(verdict.outcomes.values()),
        events=verdict.events,
        bytes=len(verdict.data),
        met=verdict.met,
        seconds=(max(end_ns) - min(begin_ns)) / 1e9 if begin_ns else 0.0,
        append_us={name: percentile(took_ns, part) / 1e3 for name, part in PERCENTILES.items()},
        outcomes=dict(verdict.outcomes),
        timeouts_impatient=timeouts_impatient,
        snapshots=verdict.snapshots,
        capped_writes=_capped_writes(directory),
        violations={str(kind): count for kind, count in verdict.counts.items()},
        evidence=_evidence(verdict),
        interrupted=interrupted,
    )


def _evidence(verdict: Verdict) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for violation in verdict.violations:
        found.setdefault(str(violation.kind), []).append(evidence(verdict, violation))
    return found


def _capped_writes(directory: Path) -> int:
    found = history_path(directory, "").glob("writer-*.faults")
    return sum(json.loads(path.read_text())["capped_writes"] for path in found)


def percentile(ordered: Sequence[int], part: float) -> int:
    """The least of `ordered` that at least `part` of them do not exceed; 0 if there are none."""
    if not ordered:
        return 0
    rank = -int(-part * len(ordered) // 1)  # rounded up
    return ordered[max(rank, 1) - 1]


def save_report(path: Path, report: RunReport) -> None:
    """Write the whole report as JSON."""
    verdict = "violated" if report.violated else "clean"
    whole = {"verdict": "interrupted" if report.interrupted else verdict, **asdict(report)}
    path.write_text(json.dumps(whole, indent=2) + "\n")


_ROWS: dict[str, Callable[[RoundReport], str]] = {
    "writers": lambda r: f"{r.writers:,}",
    "appends called": lambda r: f"{r.attempted:,}",
    "events in the log": lambda r: f"{r.events:,}",
    "bytes": lambda r: f"{r.bytes:,}",
    "contended appends": lambda r: f"{r.met / max(1, r.events):.0%}",
    "events/s": lambda r: f"{r.events / r.seconds:,.0f}" if r.seconds else "-",
    "append p50": lambda r: _duration(r.append_us["p50"]),
    "append p99": lambda r: _duration(r.append_us["p99"]),
    "append p99.9": lambda r: _duration(r.append_us["p99.9"]),
    "append max": lambda r: _duration(r.append_us["max"]),
    "timeouts": lambda r: f"{r.timeouts:,}",
    "timeouts, of the impatient": lambda r: f"{r.timeouts_impatient:,}",
    "refused": lambda r: f"{r.outcomes.get(Outcome.REFUSED, 0):,}",
    "indeterminate": lambda r: f"{r.outcomes.get(Outcome.INDETERMINATE, 0):,}",
    "writes cut short": lambda r: f"{r.capped_writes:,}",
    "snapshots read": lambda r: f"{r.snapshots:,}",
    "violations": lambda r: f"{sum(r.violations.values()):,}",
}


def table(report: RunReport) -> str:
    """The final table: a column for each round, then the sabotages."""
    head = ["", *(round_.name for round_ in report.rounds)]
    rows = [[name, *(cell(round_) for round_ in report.rounds)] for name, cell in _ROWS.items()]
    lines = _columns([head, *rows]) if report.rounds else []
    if report.sabotages:
        caught = sum(bool(sabotage.caught_by) for sabotage in report.sabotages)
        lines += ["", f"sabotages caught: {caught} of {len(report.sabotages)}"]
        cells = [[f"  {s.name}", "; ".join(s.caught_by) or "NOT CAUGHT"] for s in report.sabotages]
        width = max(len(name) for name, _ in cells)
        lines += [f"{name:{width}}  {by}" for name, by in cells]
    return "\n".join(lines)


def _columns(rows: list[list[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for first, *rest in rows:
        cells = [f"{cell:>{width}}" for cell, width in zip(rest, widths[1:], strict=True)]
        lines.append("   ".join([f"{first:{widths[0]}}", *cells]).rstrip())
    return [*lines[:1], "-" * (sum(widths) + 3 * (len(widths) - 1)), *lines[1:]]


def _duration(us: float) -> str:
    if us < 1000:
        return f"{us:.0f} µs"
    return f"{us / 1e3:.1f} ms" if us < 1e6 else f"{us / 1e6:.2f} s"
