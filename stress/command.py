# SPDX-License-Identifier: MIT
"""The command line: it chooses the rounds, prints the results, and returns the exit code."""

import argparse
import math
import os
import secrets
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from time import monotonic

from rich.console import Console

from conformance.program import INTERRUPTED

from . import comparison
from .checker import check
from .comparison import Cell
from .evidence import EvidenceError
from .fairness import SCENARIOS, judged
from .faults import ENOSPC, FAULTS, REPLACE
from .html_report import save_html
from .logs import EVENTS, LINES, OMNELOG
from .plan import SHELL, RoundPlan, Size, draw_longer, draw_round, draw_sabotage
from .progress import Progress
from .report import (
    RoundReport,
    RunReport,
    SabotageReport,
    ScenarioReport,
    merged,
    report_round,
    sabotages,
    save_report,
    tables,
)
from .rounds import Conduct, conduct
from .sabotage import SABOTAGES
from .violations import Verdict, violation_text

CLEAN, FAILED, USAGE = 0, 1, 2
_USUAL = Size(processes=8, threads=3, events=800, runs=None, seconds=3.0)
_QUICK = Size(processes=5, threads=2, events=250, runs=None, seconds=1.5)
_SCENARIOS = ("fair", "bursty")  # they only measure how long writers wait
_ENOUGH_TO_MEET = 2000  # events; with fewer, the writers may have appended one after the other
_FILE_WIDTH = 110  # characters, if the output is not a terminal
_ROUND_TRIES = 3  # how often a round is run if one of its faults did not strike
_SABOTAGE_TRIES = 3  # one try is mostly enough, but on a busy machine the writers may not meet
_MOUNTS = "OMNELOG_STRESS_MOUNTS"  # set in the environment if we may mount file systems

_ABOUT = """\
Let many processes append to event logs at once, and prove every line intact.

In a round, processes wait at a gate and then append, each with several threads. Some of them are
spawned, some are forked, and some are forked by a server. They append events from 100 bytes to
1 MiB, one by one and in batches. Some append as fast as they can and some take their time; most
wait long for the lock and some do not; some append durably. A shell loop around flock(1) appends to
the same logs. Each writer keeps receipts of what its appends returned. Meanwhile one process takes
snapshots, and another one follows each log. Then a checker that shares no code with omnelog
compares the logs with the receipts and with what the readers saw.

There is a plain round, a round for each fault, a round in which all faults strike at once, and the
same again on a line log of records that are not events. Then the run measures how long appends wait
for the lock: those of 64 writers that each hold it for 5 ms, and those of 8 writers that append
once a millisecond, compared with appenders that poll every 25 ms. At the end each sabotage, which
is an appender broken on purpose, has a small round of its own. If one is not caught, the run fails.
"""
_EXITS = """\
exit codes: 0 clean; 1 a violation, a missed limit, or a run that proved nothing; 2 usage;
130 interrupted, after printing the results so far.

examples:
  python -m stress                              all of it, about a minute
  python -m stress --quick --json report.json   a short run, for CI
  python -m stress --soak 60 --html soak.html   as many rounds as fit in an hour
  python -m stress --fault kill,short-write     a run with many torn tails
  python -m stress --foreign 'perl adapter.pl'  your implementation beside ours
  python -m stress --sabotage no-lock           see what a violation looks like
  python -m stress --peers                      what goes wrong with the usual ways
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
    length = size.add_mutually_exclusive_group()
    length.add_argument(
        "--quick",
        action="store_true",
        help="a plain round, one with all faults, and one on lines, about 15 s",
    )
    length.add_argument(
        "--soak",
        type=minutes,
        metavar="MINUTES",
        help="repeat the rounds with other seeds for this long",
    )
    for name, meaning in {
        "processes": "processes of a round, in addition to the foreign ones",
        "threads": "highest number of threads in a process",
        "events": "events of each writer",
        "runs": "logs of a round",
    }.items():
        usual = getattr(_USUAL, name) or "drawn"
        size.add_argument(f"--{name}", type=count, metavar="N", help=f"{meaning} ({usual})")
    size.add_argument(
        "--seconds",
        type=seconds,
        metavar="S",
        help=f"seconds over which faults and slow writers are spread ({_USUAL.seconds:g})",
    )
    size.add_argument(
        "--timeout",
        type=seconds,
        metavar="S",
        default=600.0,
        help="seconds after which a round counts as hanging and is ended (600)",
    )
    what = parser.add_argument_group("what")
    what.add_argument(
        "--seed", type=int, metavar="N", help="draw the same rounds again; only the timing differs"
    )
    what.add_argument(
        "--log",
        choices=(EVENTS, LINES),
        help="what to append: events, or other records to a line log (default: events, and one "
        "round of lines)",
    )
    what.add_argument(
        "--peers",
        action="store_true",
        help="test the usual ways to append a line under the same faults instead, and print how "
        "many of their records are lost or damaged; two minutes, or 40 s with --quick",
    )
    what.add_argument(
        "--fault",
        type=_faults,
        metavar="LIST",
        help="the faults, separated by commas, or the word none (all faults)",
    )
    what.add_argument(
        "--foreign",
        type=shlex.split,
        metavar="CMD",
        action="append",
        default=[],
        help="let this command append too; it must speak the protocol of conformance/PROTOCOL.md, "
        "of which hello and append are used; repeatable",
    )
    output = parser.add_argument_group("output")
    output.add_argument(
        "--root",
        type=Path,
        metavar="DIR",
        help="keep all files in DIR, which is new or empty (by default only after a violation)",
    )
    output.add_argument("--json", type=Path, metavar="FILE", help="write the report to FILE")
    output.add_argument(
        "--html", type=Path, metavar="FILE", help="write the report to FILE as a web page"
    )
    doubt = parser.add_argument_group("checks of the checker")
    doubt.add_argument(
        "--sabotage",
        choices=sorted(SABOTAGES),
        metavar="NAME",
        help="run one round with this broken appender, to see what a violation looks like; the "
        "exit code is 1",
    )
    doubt.add_argument(
        "--rounds-only", action="store_true", help="leave out the measurements and the sabotages"
    )
    doubt.add_argument(
        "--check",
        type=Path,
        metavar="DIR",
        help="check the rounds whose files were kept in DIR again, and run nothing",
    )
    return parser


def _listed(title: str, meanings: dict[str, str]) -> str:
    width = max(map(len, meanings))
    return "\n".join([title, *(f"  {name:{width}}  {what}" for name, what in meanings.items())])


def count(text: str) -> int:
    """Parse a number of at least 1. argparse uses the name of this function in its errors."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be 1 or more")
    return number


def seconds(text: str) -> float:
    """Parse a number of seconds. argparse uses the name of this function in its errors."""
    number = float(text)
    if not 0 < number < math.inf:
        raise argparse.ArgumentTypeError("must be more than 0")
    return number


def minutes(text: str) -> float:
    """Parse a number of minutes. argparse uses the name of this function in its errors."""
    return seconds(text)


def _faults(text: str) -> list[str]:
    names = [] if text == "none" else text.split(",")
    for name in names:
        if name not in FAULTS:
            raise argparse.ArgumentTypeError(
                f"there is no fault {name!r}; the faults are {', '.join(FAULTS)}"
            )
    return list(dict.fromkeys(names))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code. Raises SystemExit after a usage error or --help."""
    parser = _parser()
    options = parser.parse_args(arguments)
    console = Console(soft_wrap=True)
    if not console.is_terminal and "COLUMNS" not in os.environ:
        console = Console(soft_wrap=True, width=_FILE_WIDTH)
    if options.check is not None:
        return _check_again(parser, console, options.check)
    seed = secrets.randbelow(2**32) if options.seed is None else options.seed
    _check_paths(parser, options)
    _check_together(parser, options)
    faults = list(FAULTS) if options.fault is None else options.fault
    mounting = options.peers or (ENOSPC in faults and not options.sabotage)
    if mounting and arguments is None:
        _move_to_where_one_may_mount(["--seed", str(seed)])
    usual = _QUICK if options.quick else _USUAL
    given = {name: getattr(options, name) for name in Size.__slots__}
    size = Size(**{name: value or getattr(usual, name) for name, value in given.items()})
    command = _command(options, seed, given)
    signal.signal(signal.SIGTERM, partial(_terminate, os.getpid()))
    root = options.root or Path(tempfile.mkdtemp(prefix="omnelog-stress-"))
    if options.peers:
        return _compare(console, root, options, seed)
    run = Run(root, RunReport(seed=seed, command=command), Progress(console), options.timeout)
    foreign = [SHELL, *map(tuple, options.foreign)]
    try:
        run.progress.milestone(f"omnelog stress, seed {seed}", "bold")
        if options.sabotage:
            run.show_sabotage(options.sabotage)
        else:
            run.rounds(_rounds(seed, size, faults, foreign, options), options.soak)
            if options.fault is None and not (options.quick or options.rounds_only):
                run.scenarios(_SCENARIOS)
            if not (options.rounds_only or run.report.interrupted or run.report.failed):
                run.sabotages()  # they show that a clean verdict means something
    except KeyboardInterrupt:
        run.report.interrupted = True
    except (EvidenceError, OSError) as error:
        run.fail(f"the harness itself failed: {error}")
    finally:
        run.progress.clear()
        if options.root is None and not run.report.failed:
            shutil.rmtree(root, ignore_errors=True)
    run.tell()
    if options.json is not None:
        save_report(options.json, run.report)
    if options.html is not None:
        save_html(options.html, run.report)
    if run.report.interrupted:
        return INTERRUPTED
    return FAILED if run.report.failed else CLEAN


def _terminate(main_pid: int, number: int, _: object) -> None:
    """End the run as Ctrl-C does. A process that was just forked dies of the signal instead."""
    if os.getpid() == main_pid:
        raise KeyboardInterrupt
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)


def _check_paths(parser: argparse.ArgumentParser, options: argparse.Namespace) -> None:
    """Report a usage error now if a path could not be written at the end."""
    if options.root is not None:
        try:
            options.root.mkdir(parents=True, exist_ok=True)
            if any(options.root.iterdir()):
                parser.error(f"--root {options.root}: not empty")
        except OSError as error:
            parser.error(f"--root {options.root}: {error.strerror}")
    for name in ("json", "html"):
        path = getattr(options, name)
        if path is not None and not path.absolute().parent.is_dir():
            parser.error(f"--{name} {path}: no such directory")
    for words in options.foreign:
        if not words or shutil.which(words[0]) is None:
            parser.error(f"--foreign {shlex.join(words)}: no such command")


def _check_together(parser: argparse.ArgumentParser, options: argparse.Namespace) -> None:
    """Report a usage error if options exclude each other."""
    if options.log == LINES and options.foreign:
        parser.error(
            "--foreign: the adapter protocol appends events, so it cannot be used with --log lines"
        )
    if not options.peers:
        return
    for name in ("soak", "log", "foreign", "html", "sabotage", "rounds_only", *Size.__slots__):
        if getattr(options, name):
            parser.error(f"--{name.replace('_', '-')}: not with --peers")
    for fault in options.fault or ():
        if fault not in comparison.FAULTS:
            parser.error(f"--fault {fault}: not with --peers")


def _compare(console: Console, root: Path, options: argparse.Namespace, seed: int) -> int:
    """Test the usual ways under the faults and print the results; return the exit code."""
    command = _command(options, seed, {})
    chosen = comparison.FAULTS[1:] if options.fault is None else options.fault
    faults = [comparison.PLAIN, *chosen]
    progress = Progress(console)
    cells: list[Cell] = []
    interrupted = False
    try:
        progress.milestone(f"omnelog stress --peers, seed {seed}", "bold")
        cells.extend(
            comparison.compare(
                root,
                progress,
                seed=seed,
                seconds=comparison.QUICK if options.quick else comparison.USUAL,
                ways=comparison.ALL_WAYS,
                faults=faults,
                command=command,
            )
        )
    except KeyboardInterrupt:
        interrupted = True
    finally:
        progress.clear()
        if options.root is None:
            shutil.rmtree(root, ignore_errors=True)
    console.print(comparison.table(cells, faults))
    for note in comparison.notes(cells):
        progress.milestone(note)
    if options.json is not None:
        comparison.save_report(
            options.json, cells, seed=seed, command=command, interrupted=interrupted
        )
    ours = [cell for cell in cells if cell.way == OMNELOG]
    violated = any(cell.violations or cell.hung for cell in ours)
    untested = [cell.fault for cell in ours if cell.damage is None]
    if violated:
        progress.milestone(
            "VIOLATED: omnelog did not keep its promises; see the report of --json", "bold red"
        )
    for fault in untested:
        progress.milestone(f"FAILED: omnelog was not tested under {fault}", "bold red")
    if interrupted:
        progress.milestone(f"Interrupted after {len(cells)} rounds.")
    progress.milestone(f"Repeat with: {command}")
    if interrupted:
        return INTERRUPTED
    return FAILED if violated or untested else CLEAN


def _command(options: argparse.Namespace, seed: int, given: dict[str, object]) -> str:
    """Return the command that draws the same rounds again."""
    words = ["python", "-m", "stress", "--seed", str(seed)]
    words += ["--quick"] if options.quick else []
    words += ["--soak", f"{options.soak:g}"] if options.soak else []
    for name, value in given.items():
        words += [f"--{name}", str(value)] if value else []
    if options.fault is not None:
        words += ["--fault", ",".join(options.fault) or "none"]
    for foreign in options.foreign:
        words += ["--foreign", shlex.join(foreign)]
    words += ["--log", options.log] if options.log else []
    words += ["--peers"] if options.peers else []
    words += ["--rounds-only"] if options.rounds_only else []
    words += ["--sabotage", options.sabotage] if options.sabotage else []
    return shlex.join(words)


def _move_to_where_one_may_mount(more: list[str]) -> None:
    """Restart this program in its own namespaces, where any user can mount a small disk.

    If the system does not allow that, a full disk is simulated by a limit on file sizes.
    """
    words = ["unshare", "--user", "--map-root-user", "--mount", "--"]
    if _MOUNTS in os.environ or shutil.which("unshare") is None:
        return
    if subprocess.run([*words, "true"], capture_output=True, check=False).returncode == 0:
        command = [sys.executable, *sys.orig_argv[1:], *more]
        os.execvpe(words[0], [*words, *command], {**os.environ, _MOUNTS: "1"})


def _rounds(
    seed: int,
    size: Size,
    faults: list[str],
    foreign: list[tuple[str, ...]],
    options: argparse.Namespace,
) -> Iterator[RoundPlan]:
    """Yield a plain round, one for each fault, one with all faults, and one with all on lines.

    With --soak, yield the same rounds with other seeds, without end.
    """
    log = options.log or EVENTS
    sets: list[tuple[str, list[str]]] = [("plain", [])]
    if not options.quick or len(faults) == 1:
        sets += [(fault, [fault]) for fault in faults]
    if len(faults) > 1:
        sets.append(("all", faults))
    draw = partial(draw_round, foreign=foreign)
    times = 0
    while True:
        suffix = f".{times + 1}" if options.soak else ""
        for name, chosen in sets:
            yield draw(seed + times, f"{name}{suffix}", size, faults=chosen, log=log)
        if len(faults) > 1 and options.log is None and not options.foreign:
            chosen, how_much = faults, size
            if options.quick:  # REPLACE would take 3 s more, until the followers notice
                chosen = [fault for fault in faults if fault != REPLACE]
                how_much = replace(size, events=-(-size.events // 2), seconds=size.seconds * 2 / 3)
            yield draw(seed + times, f"lines{suffix}", how_much, faults=chosen, log=LINES)
        times += 1
        if not options.soak:
            return


def _check_again(parser: argparse.ArgumentParser, console: Console, directory: Path) -> int:
    """Check the round or the rounds below `directory` again; return the exit code."""
    found = sorted(path.parent.parent for path in directory.rglob("history/round.json"))
    if not found:
        parser.error(f"--check {directory}: contains no rounds")
    violations = 0
    for path in found:
        try:
            verdict = check(path)
        except (EvidenceError, OSError) as error:
            parser.error(f"--check {path}: {error}")
        violations += verdict.counts.total()
        console.print(f"{path}: {verdict.events:,} events, {verdict.counts.total():,} violations")
        for violation in verdict.violations:
            console.print(violation_text(verdict, violation), markup=False, highlight=False)
    return FAILED if violations else CLEAN


class Run:
    """A run, with its results so far."""

    def __init__(self, root: Path, report: RunReport, progress: Progress, timeout_s: float) -> None:
        self.root, self.report, self.progress = root, report, progress
        self._timeout_s = timeout_s

    def rounds(self, plans: Iterator[RoundPlan], soak_minutes: float | None) -> None:
        """Run and check each round; print violations at once. An interrupted round is the last."""
        until = monotonic() + 60 * (soak_minutes or math.inf)
        for plan in plans:
            if soak_minutes and monotonic() >= until:
                break
            self._until_struck(plan, 1 if soak_minutes else _ROUND_TRIES)
            if soak_minutes and not self.report.rounds[-1].violations:
                shutil.rmtree(self.root / plan.name)
            if self.report.interrupted:
                return
        self._doubt()

    def _until_struck(self, plan: RoundPlan, most: int) -> None:
        """Run a round. If one of its faults has not struck, run the round again for longer."""
        struck: set[str] = set()
        for tries in range(1, most + 1):
            report = self._checked_round(plan)
            struck.update(fault for fault, times in report.strikes.items() if times)
            if self.report.interrupted or struck >= plan.faults:
                return
            plan = draw_longer(plan, tries + 1)

    def _checked_round(self, plan: RoundPlan) -> RoundReport:
        """Run and check one round, and print its result."""
        directory = self.root / plan.name
        verdict, conduct = self._round(directory, plan)
        report = report_round(directory, plan, verdict, conduct)
        self.report.rounds.append(report)
        self.progress.violations += verdict.counts.total()
        self.progress.milestone(
            f"{plan.name}: {report.events:,} events, {report.bytes:,} bytes "
            f"in {report.seconds:.1f} s; {report.snapshots:,} snapshots; "
            f"{verdict.counts.total():,} violations"
        )
        self._show(verdict)
        self.report.interrupted = conduct.interrupted
        return report

    def scenarios(self, names: Sequence[str]) -> None:
        """Measure how long appends wait for the lock."""
        for name in names if not self.report.interrupted else ():
            self.progress.status(f"scenario {name}: measuring how long appends wait")
            finding = judged(SCENARIOS[name])
            self.progress.milestone(f"{name}: {finding.line}", "red" if finding.failed else "")
            failures = [*finding.missed] if finding.failed else []
            report = ScenarioReport(name=name, line=finding.line, failures=failures)
            self.report.scenarios.append(report)

    def _doubt(self) -> None:
        """Fail if a round proved nothing, because no appends met or a fault did not strike."""
        for report in merged(self.report.rounds):
            if report.met == 0 and report.events >= _ENOUGH_TO_MEET:
                self.fail(f"no two appends of round {report.name} ever met, so it proves nothing")
            for fault in report.faults:
                if not report.strikes.get(fault):
                    self.fail(f"in round {report.name} the fault {fault} never struck")

    def _show(self, verdict: Verdict) -> None:
        for kind, count in verdict.counts.items():
            first = next(each for each in verdict.violations if each.kind == kind)
            self.progress.milestone(f"VIOLATION: {violation_text(verdict, first)}", "red")
            if count > 1:
                self.progress.milestone(f"  and {count - 1:,} more of this kind", "red")

    def show_sabotage(self, name: str) -> None:
        """Run one broken appender, and print what the checker finds."""
        for tries in range(_SABOTAGE_TRIES):
            verdict, conduct, plan = self._sabotaged(name, tries)
            report = report_round(self.root / plan.name, plan, verdict, conduct)
            if verdict.counts or conduct.interrupted or tries == _SABOTAGE_TRIES - 1:
                self.report.rounds.append(report)
                self.report.interrupted = conduct.interrupted
                self._show(verdict)
                return

    def sabotages(self) -> None:
        """Check that each sabotage is caught. If one is not, the run has failed."""
        for name, sabotage in SABOTAGES.items():
            caught: list[str] = []
            tries = 0
            while not caught and tries < _SABOTAGE_TRIES:
                self.progress.status(f"sabotage {name}: {sabotage.what}")
                verdict, conduct, _ = self._sabotaged(name, tries)
                tries += 1
                if conduct.interrupted:
                    self.report.interrupted = True
                    return
                caught = sorted(sabotage.caught_by & set(verdict.counts))
            self.report.sabotages.append(
                SabotageReport(name=name, what=sabotage.what, tries=tries, caught_by=caught)
            )
            if not caught:
                self.fail(f"sabotage {name} was not caught in {tries} tries")

    def _sabotaged(self, name: str, tries: int) -> tuple[Verdict, Conduct, RoundPlan]:
        sabotage = SABOTAGES[name]
        plan = draw_sabotage(
            self.report.seed + tries,
            name,
            faults=sabotage.faults,
            lock_timeout_s=sabotage.lock_timeout_s,
            batch=sabotage.batch,
        )
        directory = self.root / f"{plan.name}-{tries + 1}" if tries else self.root / plan.name
        verdict, conduct = self._round(directory, plan)
        return verdict, conduct, plan

    def _round(self, directory: Path, plan: RoundPlan) -> tuple[Verdict, Conduct]:
        self.progress.status(f"{plan.name}: starting its processes")
        done = conduct(directory, plan, self.progress, self.report.command, self._timeout_s)
        self.progress.status(f"{plan.name}: checking")
        return check(directory, interrupted=done.interrupted), done

    def fail(self, what: str) -> None:
        """Note a reason why this run proves nothing."""
        self.report.failures.append(what)
        self.progress.milestone(f"FAILED: {what}", "bold red")

    def tell(self) -> None:
        """Print the final tables and the verdict."""
        report, say, show = self.report, self.progress.milestone, self.progress.console.print
        if report.rounds:
            say("")
            for part in tables(report, self.progress.console.width):
                show(part)
        for scenario in report.scenarios:
            say(f" {scenario.name}: {scenario.line}")
        if report.sabotages:
            show(sabotages(report))
        events, found = report.events, report.found
        if report.interrupted:
            say(f"Interrupted. By then {events:,} events were checked: {found:,} violations.")
        elif report.failed:
            if found:
                say(f"VIOLATED: {found:,} violations in {events:,} events.", "bold red")
            for failure in report.complaints:
                say(f"FAILED: {failure}.", "bold red")
        else:
            count = len(report.sabotages)
            caught = f", and all {count} sabotages were caught" if count else ""
            say(f"Clean: all {events:,} events are intact and in order{caught}.", "bold green")
        if report.failed:
            say(f"The files are in {self.root}")
        say(f"Repeat with: {report.command}")
