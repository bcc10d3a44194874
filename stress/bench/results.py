# SPDX-License-Identifier: MIT
"""Measure in turns, and report the results: rows, ratios, verdicts, the table and the JSON."""

import os
import platform
import random
import sys
import tempfile
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from statistics import median, quantiles
from typing import Any, TypeAlias

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ..fairness import watch_others
from ..progress import Progress
from . import peers

Figures: TypeAlias = Mapping[str, float]
Measure: TypeAlias = Callable[[], Figures]

_UNITS = {"µs": 1e-6, "ms": 1e-3, "s": 1.0, "MB": 1e6, "": 1.0}


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A figure of omnelog, the peer that it is compared with, and the target."""

    workload: str
    what: str
    figure: str
    unit: str
    ours: str = peers.OMNELOG.name
    theirs: str | None = None
    """The peer to compare with. If it is None, the figure itself is judged, by its worst round."""
    must: float | None = None
    aim: float | None = None
    speed: bool = False
    """Whether the ratio compares speeds, where more is better, and not times."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """The subjects that do the same work in turns, and the rows for their figures."""

    subjects: Mapping[str, Measure]
    rows: Sequence[Row]
    rounds: int = sys.maxsize
    """The highest number of rounds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """The result of a row."""

    row: Row
    ours: float
    """The median of our figures."""
    values: list[float]
    """The ratio of each round, or the figure if it is not compared with a peer."""

    @property
    def value(self) -> float:
        """The number that is judged."""
        return median(self.values) if self.row.theirs else max(self.values)

    @property
    def quartiles(self) -> tuple[float, float]:
        """The first and the third quartile of the values."""
        if len(self.values) == 1:
            return self.values[0], self.values[0]
        first, _, third = quantiles(self.values, method="inclusive")
        return first, third

    @property
    def verdict(self) -> str:
        """Whether the target is met, and the aim as well; "" if there is no target."""
        if self.row.must is None:
            return ""
        if not self._reaches(self.row.must):
            return "MISSED"
        return (
            "target and aim met" if self.row.aim is None or self._reaches(self.row.aim) else "met"
        )

    def _reaches(self, target: float) -> bool:
        return self.value >= target if self.row.speed else self.value <= target


@dataclass(slots=True, kw_only=True)
class Report:
    """The results, and the machine on which they were measured."""

    machine: str
    rounds: int
    results: list[Result] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    """Peers that are not installed."""
    others_cores: float = 0.0
    """How many cores other programs kept busy meanwhile."""
    begun: int = 0
    """How many rounds were begun. After an interrupt the last of them may be incomplete."""
    interrupted: bool = False

    def json(self) -> dict[str, Any]:
        """Return the report as plain JSON."""
        rows = []
        for result in self.results:
            first, third = result.quartiles
            judged = {"value": result.value, "q1": first, "q3": third, "verdict": result.verdict}
            rows.append(
                asdict(result.row) | judged | {"ours_is": result.ours, "values": result.values}
            )
        return {
            "machine": self.machine,
            "rounds": self.rounds,
            "others_cores": self.others_cores,
            "not_installed": self.missing,
            "interrupted": self.interrupted,
            "rows": rows,
        }


def measure(chosen: Sequence[Workload], report: Report, progress: Progress) -> None:
    """Measure all subjects in turns, round after round. After Ctrl-C the results so far count."""
    samples: list[dict[str, list[Figures]]] = [defaultdict(list) for _ in chosen]
    others_cores = watch_others()
    total = sum(len(workload.subjects) * min(report.rounds, workload.rounds) for workload in chosen)
    done = 0
    try:
        for number in range(report.rounds):
            report.begun = number + 1
            for workload, sampled in zip(chosen, samples, strict=True):
                if number >= workload.rounds:
                    continue
                subjects = list(workload.subjects.items())
                random.shuffle(subjects)
                taken = {}
                for name, subject in subjects:
                    about = f"{workload.rows[0].workload}, {name}"
                    progress.status(
                        f"bench: round {number + 1} of {report.rounds}, {done / total:.0%}: {about}"
                    )
                    taken[name] = subject()
                    done += 1
                for name, figures in taken.items():  # only whole rounds count
                    sampled[name].append(figures)
    except KeyboardInterrupt:
        report.interrupted = True
    finally:
        progress.clear()
    report.others_cores = others_cores()
    for workload, sampled in zip(chosen, samples, strict=True):
        report.results += [_result(row, sampled) for row in workload.rows if sampled]


def _result(row: Row, sampled: Mapping[str, Sequence[Figures]]) -> Result:
    ours = [figures[row.figure] for figures in sampled[row.ours]]
    values = ours
    if row.theirs:
        theirs = [figures[row.figure] for figures in sampled[row.theirs]]
        pairs = zip(ours, theirs, strict=True)
        values = [b / a if row.speed else a / b for a, b in pairs]
    return Result(row=row, ours=median(ours), values=values)


def table(report: Report) -> Table:
    """Return a table with a row for each result.

    A row has our figure, the peer, the ratio, the target and the verdict.
    """
    shown = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("workload", "", "ours", "against", "ratio", "quartiles", "target", ""):
        shown.add_column(title, justify="left" if title in ("workload", "", "against") else "right")
    before = ""
    for result in report.results:
        row = result.row
        scale = _UNITS[row.unit] if row.theirs is None else 1.0
        unit = f" {row.unit}" if row.theirs is None else ""
        ratio, spread = f"{result.value / scale:.3g}{unit}", ""
        if row.theirs:
            ratio = _ratio(result.value)
        if len(result.values) > 1:
            spread = "–".join(_ratio(value / scale) for value in result.quartiles)
        target = ""
        if row.must is not None:
            target = f"{'≥' if row.speed else '≤'} {row.must / scale:g}"
            target += "" if row.aim is None else f" ({row.aim / scale:g})"
        if before and before != row.workload:
            shown.add_row()
        style = {"MISSED": "bold red", "": ""}.get(result.verdict, "green")
        shown.add_row(
            row.workload if before != row.workload else "",
            row.what,
            f"{result.ours / _UNITS[row.unit]:.3g} {row.unit}",
            row.theirs or "",
            ratio + " x" * bool(row.theirs),
            spread,
            target,
            Text(result.verdict, style),
        )
        before = row.workload
    return shown


def _ratio(value: float) -> str:
    return f"{value:.3f}" if value < 0.1 else f"{value:.2f}" if value < 10 else f"{value:,.0f}"


def tell(report: Report, console: Console) -> None:
    """Print the table, and lines that explain it."""
    console.print(table(report))
    judged = [result for result in report.results if result.verdict]
    missed = [result for result in judged if result.verdict == "MISSED"]
    rounds = f"{report.rounds} rounds"
    if report.interrupted:
        rounds = f"interrupted in round {report.begun} of {report.rounds}"
    say = partial(console.print, soft_wrap=True, highlight=False)
    say(f"\n{len(judged) - len(missed)} of {len(judged)} targets met; {rounds}")
    better = "for times less is better, for throughputs (≥) more is better"
    say(f"ratio: the median of the rounds; {better}")
    for name in report.missing:
        say(f"not installed, so not compared with: {name}")
    say(report.machine)
    say(f"other programs kept {report.others_cores:.1f} cores busy meanwhile")


def machine() -> str:
    """Return the names of the processor, the system and the Python on which this runs."""
    with suppress(OSError, IndexError, ValueError):  # in a chroot, say, no mount is known
        info = Path("/proc/cpuinfo").read_text()
        model = info.partition("model name")[2].splitlines()[0].strip("\t: ")
        mounts = [line.split() for line in Path("/proc/mounts").read_text().splitlines()]
        here = Path(tempfile.gettempdir()).resolve()
        above = [m for m in mounts if here.is_relative_to(m[1])]
        filesystem = max(above, key=lambda mount: len(mount[1]))[2]
        python = f"{platform.python_implementation()} {platform.python_version()}"
        cores = len(os.sched_getaffinity(0))
        return f"{model}, {cores} cores; Linux {platform.release()}, {filesystem}; {python}"
    return platform.platform()
