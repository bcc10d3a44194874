# SPDX-License-Identifier: MIT
"""Run the schedules of all scenarios in the long search, or one schedule again.

Without arguments, run more than a million schedules on all processors, and print their numbers.
This takes about half an hour. With ``--schedule LINE``, run one schedule again, as a failure prints
it, and show the calls of each process in a column of its own.
"""

import argparse
import multiprocessing
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from time import monotonic

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from conformance.program import run

from .explore import Counts
from .mutants import MUTANTS
from .run import PromiseBroken, in_memory, replay, scheduled
from .system import ScheduledSystem
from .table import THOROUGH, Entry

BROKEN = 1
WRONG_USE = 2

DEPTH = 6
"""The step at which a search is split into parts, so that all processors have work."""

_systems: list[ScheduledSystem] = []
_stack = ExitStack()


def _prepare_worker() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends it
    _systems.append(_stack.enter_context(scheduled(_stack.enter_context(in_memory()))))


def _search(part: tuple[Entry, tuple[int, ...]]) -> Counts | str:
    """Search one part; return its counts, or the schedule that broke a promise."""
    entry, prefix = part
    search = entry.search(_systems[0], prefix)
    try:
        for _ in search.runs():
            pass
    except PromiseBroken as error:
        return str(error)
    return search.counts


def _parts(entries: list[Entry]) -> Iterator[tuple[Entry, tuple[int, ...]]]:
    """Split the search of each entry, one entry after the other."""
    with in_memory() as directory, scheduled(directory) as system:
        for entry in entries:
            for prefix in entry.search(system).prefixes(DEPTH):
                yield entry, prefix


def search_all(entries: list[Entry]) -> int:
    """Search all entries on all processors, print the counts of each; return the exit status."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    parts = list(_parts(entries))
    left = {entry: sum(of is entry for of, _ in parts) for entry in entries}
    sums = {entry: Counts() for entry in entries}
    total = Counts()
    started = monotonic()
    with (
        multiprocessing.Pool(os.cpu_count(), _prepare_worker) as pool,  # before there are threads
        Progress(*columns, TimeRemainingColumn(), disable=not sys.stdout.isatty()) as progress,
    ):
        task = progress.add_task("parts searched", total=len(parts))
        for (entry, _), found in zip(parts, pool.imap(_search, parts), strict=True):
            if isinstance(found, str):
                progress.stop()
                print(f"{found}\n\nA promise was broken; to see it again:")
                print(f"nox -s schedules -- --schedule '{found.splitlines()[-1]}'")
                return BROKEN
            sums[entry].add(found)
            total.add(found)
            left[entry] -= 1
            progress.advance(task)
            if not left[entry]:
                progress.console.print(_row(entry, sums[entry]), highlight=False, soft_wrap=True)
                sys.stdout.flush()
    minutes = (monotonic() - started) / 60
    print(f"{total.schedules:,} schedules, {total.steps:,} steps, in {minutes:.1f} minutes;")
    print("every promise was kept after each of them")
    return 0


def _row(entry: Entry, counts: Counts) -> str:
    redundant = f" ({counts.redundant:,} runs left as redundant)" if counts.redundant else ""
    return f"{counts.schedules:11,}  {entry.title}: {entry.scenario}, {entry.how}{redundant}"


def show(line: str, mutant_name: str | None) -> int:
    """Run one schedule again and show it; return the exit status."""
    with ExitStack() as stack:
        system = stack.enter_context(scheduled(stack.enter_context(in_memory())))
        for mutant in MUTANTS:
            if mutant.name == mutant_name:
                stack.enter_context(mutant.in_place())
        try:
            run = replay(line, system)
        except PromiseBroken as error:
            print(str(error).strip())
            return BROKEN
        except ValueError as error:
            print(f"schedules: {error}", file=sys.stderr)
            return WRONG_USE
    print(f"{run.columns()}\n\n{run.schedule}\nEvery promise was kept.")
    return 0


def main(arguments: list[str] | None = None) -> int:
    """Do what the arguments say; return the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.schedules",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("words", nargs="*", help="search only entries with one of these words")
    parser.add_argument("--schedule", metavar="LINE", help="run this schedule again and show it")
    parser.add_argument(
        "--mutant",
        metavar="NAME",
        choices=[mutant.name for mutant in MUTANTS],
        help="with a mistake in the core: " + "; ".join(mutant.name for mutant in MUTANTS),
    )
    chosen = parser.parse_args(arguments)
    if chosen.schedule is not None:
        return show(chosen.schedule, chosen.mutant)
    if chosen.mutant is not None:
        parser.error("--mutant goes with --schedule")
    words = chosen.words
    entries = [e for e in THOROUGH if not words or any(word in _row(e, Counts()) for word in words)]
    if not entries:
        parser.error("no entry has any of these words")
    return search_all(entries)


if __name__ == "__main__":
    run(main)
