# SPDX-License-Identifier: MIT
"""The command line: which rounds are run, what is printed, what the exit code says."""

import argparse
import secrets
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from .checker import Verdict, check
from .faults import FAULTS
from .plan import RoundPlan, draw_round
from .progress import Progress
from .report import RunReport, SabotageReport, report_round, save_report, table
from .rounds import conduct
from .sabotage import SABOTAGES

CLEAN, VIOLATED, USAGE, INTERRUPTED = 0, 1, 2, 130
_WRITERS, _EVENTS = 16, 4000
_QUICK_WRITERS, _QUICK_EVENTS = 8, 500
_ENOUGH_TO_MEET = 1000  # events; of fewer each writer may have had a turn of its own
_SABOTAGE_WRITERS, _SABOTAGE_EVENTS = 4, 40
_SABOTAGE_TRIES = 3  # one is all but certain; another where the machine was too busy to collide

_ABOUT = """\
Let many processes append to one event log at once, and prove every line intact.

A round starts its writers behind a gate, half of them spawned and half forked, half with a handle
they opened themselves and half with one from their parent. Each appends its events as fast as it
can, of sizes from 100 bytes to beyond 64 KiB, and keeps receipts of what it was told. A further
writer tries the lock only once and is often refused. A reader takes snapshots all the while.
Then a checker that shares no code with omnelog compares the log with what everybody says.

There is a plain round, and one for each fault. At last every sabotage, an appender broken on
purpose, gets a small round of its own, and one that is not caught fails the whole run.
"""
_EXITS = """\
exit codes: 0 clean; 1 a violation, or a check that proved nothing; 2 usage; 130 interrupted,
after saying what was learnt by then.
"""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m stress",
        description=_ABOUT,
        epilog="\n\n".join(
            (
                _listed("faults:", FAULTS),
                _listed("sabotages:", {name: each.what for name, each in SABOTAGES.items()}),
                _EXITS,
            )
        ),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    size = parser.add_argument_group("how much")
    size.add_argument(
        "--quick",
        action="store_true",
        help=f"{_QUICK_WRITERS} writers by {_QUICK_EVENTS} events: about ten seconds",
    )
    size.add_argument(
        "--writers", type=_positive, metavar="N", help=f"writers of a round ({_WRITERS})"
    )
    size.add_argument(
        "--events", type=_positive, metavar="N", help=f"appends of each writer ({_EVENTS})"
    )
    size.add_argument(
        "--timeout",
        type=_positive,
        metavar="S",
        default=600,
        help="seconds after which a round is taken to hang and is ended (600)",
    )
    what = parser.add_argument_group("what")
    what.add_argument(
        "--seed", type=int, metavar="N", help="draw the same events, sizes and writers again"
    )
    what.add_argument(
        "--fault",
        type=_faults,
        metavar="LIST",
        help="the faults to have a round each, comma-separated, or none (all)",
    )
    output = parser.add_argument_group("output")
    output.add_argument(
        "--root",
        type=Path,
        metavar="DIR",
        help="keep all files in DIR, new or empty (else only after a violation)",
    )
    output.add_argument("--json", type=Path, metavar="FILE", help="write the report to FILE")
    doubt = parser.add_argument_group(
        "self-doubt", "See a violation with your own eyes. Exit code 1 is right here."
    )
    doubt.add_argument(
        "--sabotage",
        choices=sorted(SABOTAGES),
        metavar="NAME",
        help="run the rounds with a broken appender",
    )
    return parser


def _listed(title: str, meanings: dict[str, str]) -> str:
    width = max(map(len, meanings))
    return "\n".join([title, *(f"  {name:{width}}  {what}" for name, what in meanings.items())])


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be 1 or more")
    return number


def _faults(text: str) -> list[str]:
    names = [] if text == "none" else text.split(",")
    for name in names:
        if name not in FAULTS:
            raise argparse.ArgumentTypeError(f"no fault {name!r}; there is {', '.join(FAULTS)}")
    return list(dict.fromkeys(names))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run it and return the exit code. SystemExit after a usage error or --help."""
    parser = _parser()
    options = parser.parse_args(arguments)
    seed = secrets.randbelow(2**32) if options.seed is None else options.seed
    writers = options.writers or (_QUICK_WRITERS if options.quick else _WRITERS)
    events = options.events or (_QUICK_EVENTS if options.quick else _EVENTS)
    if options.root is not None:
        try:
            options.root.mkdir(parents=True, exist_ok=True)
            if any(options.root.iterdir()):
                parser.error(f"--root {options.root}: not empty")
        except OSError as error:
            parser.error(f"--root {options.root}: {error.strerror}")
    if options.json is not None and not options.json.absolute().parent.is_dir():
        parser.error(f"--json {options.json}: no such directory")
    faults = list(FAULTS) if options.fault is None else options.fault
    command = f"python -m stress --seed {seed} --writers {writers} --events {events}"
    command += "" if options.fault is None else f" --fault {','.join(faults) or 'none'}"
    command += f" --sabotage {options.sabotage}" if options.sabotage else ""
    root = options.root or Path(tempfile.mkdtemp(prefix="omnelog-stress-"))
    run = _Run(root, RunReport(seed=seed, command=command), options.timeout)
    rounds = [
        draw_round(seed, writers=writers, events=events, fault=fault, sabotage=options.sabotage)
        for fault in (None, *faults)
    ]
    try:
        run.progress.milestone(
            f"omnelog stress: seed {seed}, {writers} writers x {events:,} events, rounds: "
            + ", ".join(plan.name for plan in rounds)
        )
        run.rounds(rounds)
        if not (options.sabotage or run.report.interrupted or run.report.violated):
            run.sabotages()  # which is to show that a clean verdict means something
    except KeyboardInterrupt:
        run.report.interrupted = True
    finally:
        run.progress.clear()
        if options.root is None and not run.report.violated:
            shutil.rmtree(root, ignore_errors=True)
    run.tell()
    if options.json is not None:
        save_report(options.json, run.report)
    if run.report.interrupted:
        return INTERRUPTED
    return VIOLATED if run.report.violated else CLEAN


class _Run:
    """A run under way, and what it has come to so far."""

    def __init__(self, root: Path, report: RunReport, timeout_s: float) -> None:
        self.root, self.report = root, report
        self.progress = Progress(sys.stdout)
        self._timeout_s = timeout_s

    def rounds(self, plans: Sequence[RoundPlan]) -> None:
        """Run and check each, telling of violations at once; stop after one was interrupted."""
        for plan in plans:
            verdict, interrupted = self._round(self.root / plan.name, plan)
            directory = self.root / plan.name
            report = report_round(directory, plan, verdict, interrupted=interrupted)
            self.report.rounds.append(report)
            found = sum(report.violations.values())
            self.progress.milestone(
                f"{plan.name}: {report.events:,} events, {report.bytes:,} bytes "
                f"in {report.seconds:.1f} s; {report.snapshots:,} snapshots; "
                f"checked: {found:,} violation{'s' * (found != 1)}"
            )
            for kind, (first, *_) in report.evidence.items():
                more = report.violations[kind] - 1
                self.progress.milestone(f"VIOLATION: {first}")
                if more:
                    self.progress.milestone(f"  and {more:,} more of this kind")
            self.report.interrupted = interrupted
            if interrupted:
                break
            if report.met == 0 and report.events >= _ENOUGH_TO_MEET:
                self._fail(f"no two appends of round {plan.name} ever met, so it proves nothing")
            if plan.fault and not report.capped_writes and not plan.sabotage:
                self._fail(f"the fault {plan.fault} never struck, so that round proves nothing")

    def sabotages(self) -> None:
        """Prove that each sabotage is caught; a run in which one passes has failed."""
        for name, sabotage in SABOTAGES.items():
            caught: list[str] = []
            tries = 0
            while not caught and tries < _SABOTAGE_TRIES:
                plan = draw_round(
                    self.report.seed + tries,
                    writers=_SABOTAGE_WRITERS,
                    events=_SABOTAGE_EVENTS,
                    sabotage=name,
                    small=True,
                )
                tries += 1
                self.progress.status(f"sabotage {name}: {sabotage.what}")
                verdict, self.report.interrupted = self._round(
                    self.root / f"{plan.name}-{tries}", plan
                )
                if self.report.interrupted:
                    return
                caught = sorted(sabotage.caught_by & set(verdict.counts))
            self.report.sabotages.append(
                SabotageReport(name=name, what=sabotage.what, tries=tries, caught_by=caught)
            )
            if caught:
                self.progress.milestone(f"sabotage {name}: caught: {'; '.join(caught)}")
            else:
                self._fail(f"sabotage {name} was not caught in {tries} tries")

    def _round(self, directory: Path, plan: RoundPlan) -> tuple[Verdict, bool]:
        interrupted = conduct(directory, plan, self.progress, self._timeout_s)
        self.progress.status(f"{plan.name}: checking")
        return check(directory, interrupted=interrupted), interrupted

    def _fail(self, what: str) -> None:
        self.report.failures.append(what)
        self.progress.milestone(f"FAILED: {what}")

    def tell(self) -> None:
        """Print the final table and the verdict."""
        say = self.progress.milestone
        say("\n" + table(self.report) + "\n" if self.report.rounds else "")
        events = sum(round_.events for round_ in self.report.rounds)
        found = sum(sum(round_.violations.values()) for round_ in self.report.rounds)
        if self.report.interrupted:
            say(f"Interrupted. By then {events:,} events were checked: {found:,} violations.")
        elif self.report.violated:
            say(f"VIOLATED: {found:,} violations in {events:,} events.")
            for failure in self.report.failures:
                say(f"VIOLATED: {failure}.")
        else:
            say(f"Clean: each of {events:,} events intact and in its place.")
        if self.report.violated:
            say(f"The files are in {self.root}")
        say(f"Repeat with: {self.report.command}")
