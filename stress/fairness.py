# SPDX-License-Identifier: MIT
"""How long appends wait for the lock, and what waiting costs: ``python -m stress.fairness``.

Each scenario has limits that a worse way of waiting misses. A relative limit compares our log with
a log that polls every 25 ms; both are measured in turns in the same run. Noise only makes waiting
worse, so each scenario has up to three attempts. If other programs kept much of the machine busy, a
missed limit of time or CPU is reported as inconclusive.
"""

import argparse
import os
import random
import resource
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain
from pathlib import Path
from statistics import median
from time import monotonic, sleep
from typing import TypeAlias
from unittest.mock import patch

from conformance.program import run
from omnelog import EventLog, LockTimeout, PipeAborted
from omnelog.linelog.lock import LockableFile, try_lock

from .report import percentile
from .timed_processes import Gate, together

RUN_ID = "fairness-01kpfntqeej7vhn935kc0tm9vn"
EVENT = PipeAborted(
    id="01kpfntqeej7vhn935kc0tm9vn", ts="2026-01-31T23:59:59Z", run_id=RUN_ID, reason="x" * 100
)
_ATTEMPTS = 3
_DISTURBED_CORES = 0.25  # if other programs use more cores, a missed limit is inconclusive
POLL_S = 0.025

Append: TypeAlias = Callable[[], object]
"""Appends one event."""
Opener: TypeAlias = Callable[[Path], AbstractContextManager[Append]]
"""Opens a log under the given directory, in the process that appends, and closes it."""


class PollingLog(EventLog):
    """The control: a log that polls every 25 ms, as the original does (see SPEC.md).

    It never lets other writers go first.
    """

    def _wait_for_lock(self, file: LockableFile, started: float) -> float:
        while not try_lock(file.fd):
            waited_s = monotonic() - started
            if waited_s >= self.lock_timeout:
                raise LockTimeout(self.path, waited_s, None)
            sleep(min(POLL_S, self.lock_timeout - waited_s))
        return monotonic()


def opener(log_class: type[EventLog]) -> Opener:
    """Return an opener whose appends add `EVENT` to a log of `log_class`."""

    @contextmanager
    def open_log(root: Path) -> Iterator[Append]:
        with log_class.for_run(root, RUN_ID) as log:
            yield partial(log.append, EVENT)

    return open_log


# The workloads. They can also measure other programs and other locks.


@dataclass(frozen=True, slots=True, kw_only=True)
class Flat:
    """The figures of writers that appended as fast as they could."""

    per_s: float
    longest_s: float
    cpu_s: float


def flat_out(open_log: Opener, writers: int, duration_s: float) -> Flat:
    """Let `writers` append as fast as they can. All start at one gate."""

    def task(root: Path, gate: Gate) -> tuple[int, float, float, float]:
        with open_log(root) as append:
            append()
            start = before = gate()
            cpu_s, end, count, longest = _cpu_s(), start + duration_s, 0, 0.0
            while before < end:
                append()
                after = monotonic()
                if after - before > longest:  # noqa: PLR1730 - quicker than max()
                    longest = after - before
                before, count = after, count + 1
        # Both times include closing the log.
        return count, longest, _cpu_s() - cpu_s, monotonic() - start

    with new_root() as root:
        done = together([partial(task, root)] * writers)
    return Flat(
        per_s=sum(count for count, *_ in done) / max(took for *_, took in done),
        longest_s=max(longest for _, longest, *_ in done),
        cpu_s=sum(cpu_s for _, _, cpu_s, _ in done),
    )


def bursts(open_log: Opener, writers: int, duration_s: float) -> list[float]:
    """Let `writers` append about once a millisecond each; return how long appends took, sorted.

    The times are random. With a fixed rhythm, the first appends would decide which writers meet.
    """

    def task(root: Path, gate: Gate) -> list[float]:
        took = []
        with open_log(root) as append:
            append()
            start = gate()
            due = start + random.expovariate(1000)
            while due < start + duration_s:
                sleep(max(0, due - monotonic()))
                before = monotonic()
                append()
                after = monotonic()
                took.append(after - before)
                # A writer that is late does not catch up.
                due = max(due + random.expovariate(1000), after)
        return took

    with new_root() as root:
        return sorted(chain.from_iterable(together([partial(task, root)] * writers)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Turns:
    """The figures of writers that each held the lock for a long time."""

    timeouts: int
    longest_s: float
    took_s: float
    cpu_s: float
    """CPU time of waiting: that of the appends, minus that of the same appends without waiting."""


def turns(log_class: type[EventLog], writers: int, appends: int, hold_s: float) -> Turns:
    """Let `writers` make `appends` appends each. Each append holds the lock for `hold_s`."""
    write = os.write

    def slow_write(fd: int, data: bytes) -> int:
        sleep(hold_s)
        return write(fd, data)

    def work(log: EventLog) -> tuple[list[float], int]:
        took, timeouts = [], 0
        for _ in range(appends):
            before = monotonic()
            try:
                log.append(EVENT)
            except LockTimeout:
                timeouts += 1
            took.append(monotonic() - before)
        return took, timeouts

    def task(root: Path, gate: Gate) -> tuple[list[float], int, float, float]:
        with (
            patch.object(os, "write", slow_write),
            log_class.for_run(root / str(os.getpid()), RUN_ID) as alone,
            log_class.for_run(root, RUN_ID) as log,
        ):
            rehearsal_s = -_cpu_s()
            work(alone)
            rehearsal_s += _cpu_s()
            start = gate()
            cpu_s = -_cpu_s()
            took, timeouts = work(log)
            return took, timeouts, cpu_s + _cpu_s() - rehearsal_s, monotonic() - start

    with new_root() as root:
        done = together([partial(task, root)] * writers)
    return Turns(
        timeouts=sum(timeouts for _, timeouts, *_ in done),
        longest_s=max(max(took) for took, *_ in done),
        took_s=max(took_s for *_, took_s in done),
        cpu_s=sum(cpu_s for _, _, cpu_s, _ in done),
    )


@contextmanager
def new_root() -> Iterator[Path]:
    """Create a volume for one measurement, below `$TMPDIR`, and remove it at the end."""
    with tempfile.TemporaryDirectory(prefix="omnelog-bench-") as name:
        yield Path(name)


def _cpu_s() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


# The scenarios, and what is expected of them.


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """The result of a scenario."""

    scenario: str
    figures: str
    missed: tuple[str, ...] = ()
    """The limits that were missed, each with the figure."""
    firm: bool = False
    """Whether one of the missed limits cannot be due to a busy machine."""
    others_cores: float = 0.0
    """How many cores other programs kept busy meanwhile."""

    @property
    def inconclusive(self) -> bool:
        """Whether the missed limits may be due to other programs."""
        return bool(self.missed) and not self.firm and self.others_cores > _DISTURBED_CORES

    @property
    def failed(self) -> bool:
        """Whether a limit was missed, and other programs are not the reason."""
        return bool(self.missed) and not self.inconclusive

    @property
    def line(self) -> str:
        """The result as a line for people."""
        line = f"{self.scenario}: {self.figures}"
        if self.inconclusive:
            busy = f"other programs kept {self.others_cores:.1f} cores busy"
            return f"{line}: INCONCLUSIVE because {busy}: {'; '.join(self.missed)}"
        return f"{line}: {'MISSED: ' + '; '.join(self.missed) if self.failed else 'ok'}"


class Limits:
    """Collects the limits that are missed."""

    def __init__(self) -> None:
        self.missed: list[str] = []
        self.firm = False

    def expect(self, holds: bool, otherwise: str, *, firm: bool = False) -> None:
        """Note `otherwise` as missed unless the limit `holds`.

        `firm`: other programs cannot be the reason.
        """
        if not holds:
            self.missed.append(otherwise)
            self.firm |= firm

    def finding(self, scenario: str, figures: str) -> Finding:
        """Return the finding, with every limit that was missed."""
        missed = tuple(self.missed)
        return Finding(scenario=scenario, figures=figures, missed=missed, firm=self.firm)


def fair(
    log_class: type[EventLog] = EventLog,
    *,
    writers: int = 64,
    appends: int = 20,
    hold_s: float = 0.005,
) -> Finding:
    """Measure writers that each hold the lock for 5 ms: all must get it roughly in turn."""
    queue_s = writers * hold_s  # how long the last writer waits in a perfect queue
    total_s = queue_s * appends
    done = turns(log_class, writers, appends, hold_s)
    cores = done.cpu_s / done.took_s
    limits = Limits()
    limits.expect(done.took_s >= total_s, "the lock was not held as long as planned", firm=True)
    limits.expect(not done.timeouts, "an append timed out", firm=True)
    limits.expect(
        done.longest_s <= 3 * queue_s, f"the longest wait is over {3 * queue_s * 1e3:.0f} ms"
    )
    limits.expect(cores <= 0.3, "waiting uses more than 0.3 of a core")
    return limits.finding(
        f"{writers} writers x {appends} appends x {hold_s * 1e3:.0f} ms",
        f"{done.timeouts} timeouts, longest wait {done.longest_s * 1e3:.0f} ms "
        f"({done.longest_s / queue_s:.1f} x a perfect queue), CPU spent waiting "
        f"{done.cpu_s:.2f} s ({cores:.2f} of a core)",
    )


def bursty(
    log_class: type[EventLog] = EventLog, *, writers: int = 8, duration_s: float = 4.0
) -> Finding:
    """Measure appends that seldom meet: they must wait for much less time than polling takes."""
    ours: list[float] = []
    polled: list[float] = []
    for _ in range(4):
        polled += bursts(opener(PollingLog), writers, duration_s / 8)
        ours += bursts(opener(log_class), writers, duration_s / 8)
    parts = (0.5, 0.99, 0.999, 1.0)
    ours_s = [percentile(sorted(ours), part) for part in parts]
    polled_s = [percentile(sorted(polled), part) for part in parts]
    limits = Limits()
    limits.expect(polled_s[2] > POLL_S / 2, "appends did not meet often enough to tell")
    limits.expect(ours_s[2] <= polled_s[2] / 20, "p99.9 is more than 1/20 of that of 25 ms polls")
    return limits.finding(
        f"{writers} bursty writers",
        f"p50 {ours_s[0] * 1e6:.0f} µs, p99 {ours_s[1] * 1e6:.0f} µs, p99.9 "
        f"{ours_s[2] * 1e3:.2f} ms, max {ours_s[3] * 1e3:.1f} ms; p99.9 is "
        f"{ours_s[2] / polled_s[2]:.3f} of that of 25 ms polls",
    )


def flat(
    log_class: type[EventLog] = EventLog,
    *,
    writers: int = 8,
    duration_s: float = 0.5,
    rounds: int = 5,
) -> Finding:
    """Measure writers that append as fast as they can.

    All must make progress, and none may keep the others out.
    """
    ratios, longest_s, polled_longest_s = [], 0.0, 0.0
    for _ in range(rounds):
        before = flat_out(opener(PollingLog), writers, duration_s / 2)
        ours = flat_out(opener(log_class), writers, duration_s)
        after = flat_out(opener(PollingLog), writers, duration_s / 2)
        ratios.append(2 * ours.per_s / (before.per_s + after.per_s))
        longest_s = max(longest_s, ours.longest_s)
        polled_longest_s = max(polled_longest_s, before.longest_s, after.longest_s)
    limits = Limits()
    limits.expect(median(ratios) >= 0.95, "throughput is below 0.95 of that of 25 ms polls")
    limits.expect(longest_s <= 0.1, "an append waited for longer than 100 ms")
    return limits.finding(
        f"{writers} writers as fast as they can",
        f"{median(ratios):.2f} x the throughput of 25 ms polls "
        f"({min(ratios):.2f} to {max(ratios):.2f}), longest wait {longest_s * 1e3:.0f} ms "
        f"(theirs {polled_longest_s * 1e3:.0f} ms)",
    )


SCENARIOS: dict[str, Callable[[], Finding]] = {
    "fair": fair,
    "bursty": bursty,
    "flat-4": partial(flat, writers=4),
    "flat-8": partial(flat, writers=8),
}


def judged(scenario: Callable[[], Finding]) -> Finding:
    """Run a scenario until no limit is missed, three times at most; return the last finding."""
    for _ in range(_ATTEMPTS):
        others_cores = watch_others()
        finding = scenario()
        finding = replace(finding, others_cores=others_cores())
        if not finding.missed or finding.firm:
            break
    return finding


def watch_others() -> Callable[[], float]:
    """Return a function that says how many cores other programs have kept busy since now."""
    busy, own, started = _busy_s(), _own_cpu_s(), monotonic()

    def cores() -> float:
        return max(0.0, _busy_s() - busy - (_own_cpu_s() - own)) / (monotonic() - started)

    return cores


def _busy_s() -> float:
    """Return for how many seconds the cores of this machine have been busy, added up."""
    user, nice, system, _idle, _iowait, irq, softirq, steal = map(
        int, Path("/proc/stat").read_text().split()[1:9]
    )
    return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")


def _own_cpu_s() -> float:
    """Return the CPU time of this process and of the children that it waited for."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime + _cpu_s()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the scenarios; return 0 if nothing failed, else 1.

    Raises SystemExit after a usage error or --help.
    """
    parser = argparse.ArgumentParser(
        prog="python -m stress.fairness",
        description="How long appends wait for the lock, and what waiting costs.",
        epilog="exit codes: 0 nothing failed (an INCONCLUSIVE line says that the machine was too "
        "busy to tell); 1 a limit was missed; 2 usage; 130 interrupted",
    )
    parser.add_argument(
        "scenario",
        nargs="*",
        help=f"the scenarios to run, of {', '.join(SCENARIOS)} (all)",
    )
    names = parser.parse_args(arguments).scenario
    for name in names:
        if name not in SCENARIOS:
            parser.error(f"there is no scenario {name!r}; the scenarios are {', '.join(SCENARIOS)}")
    failed = False
    for name in names or SCENARIOS:
        finding = judged(SCENARIOS[name])
        print(finding.line, flush=True)
        failed |= finding.failed
    return int(failed)


if __name__ == "__main__":
    run(main)
