# SPDX-License-Identifier: MIT
"""The plan of a round: all its choices, drawn from one seed, so that they can be repeated.

The same seed gives the same processes, start methods, handles, events, sizes, batches, pauses and
victims. It does not give the same interleaving, which depends on the machine.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from random import Random
from typing import TypeVar

_T = TypeVar("_T")

SHELL = ("the shell loop",)
"""Stands for the loop around flock(1) in `foreign`, in place of the words of a command."""

PATIENCE_S = 5.0
"""How long a runner waits for the lock, and most writers. Many of them use a runner's handle."""

_LARGEST = 1024 * 1024  # bytes of a line
_LARGEST_IN_PIECES = 128 * 1024  # bytes, if a line takes thousands of writes
_LITTLE_PATIENCE_S = 0.05
_RUNS = (1, 1, 3)  # most rounds have one log, because a contended log breaks sooner
_SABOTAGE_PAUSE_S = 0.0005  # so that no writer has ended before the others begin
_SHELL_EVERY_S = 0.02  # an append by the shell starts a few processes, which takes 10 ms


class Start(StrEnum):
    """How a process is started."""

    SPAWN = "spawn"
    FORK = "fork"
    FORKSERVER = "forkserver"


class Handle(StrEnum):
    """Where a process gets its handle on the log."""

    OWN = "own"  # it opens one itself
    PASSED = "passed"  # it uses the handle of the runner, inherited over a fork or pickled


@dataclass(frozen=True, slots=True, kw_only=True)
class WriterPlan:
    """One writer: a thread, a forked child, a foreign command, or the runner of a run."""

    writer: int
    """The runners come first: the runner of run 0 is writer 0."""
    events: int
    batch: int = 1
    """The highest number of events of one append."""
    pause_s: float = 0.0
    """The average pause between two appends; 0 if it appends as fast as it can."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessPlan:
    """A process, and the writers that share its handle on one run's log."""

    process: int
    run: int
    start: Start
    handle: Handle
    lock_timeout_s: float
    durable: bool
    writers: tuple[WriterPlan, ...]
    children: tuple[WriterPlan, ...] = ()
    """The children that it forks during its appends. Each of them uses the inherited handle."""
    foreign: tuple[str, ...] = ()
    """The command that appends, if it is not omnelog."""
    sabotaged: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundPlan:
    """The logs of a round, their writers and readers, and the faults that strike."""

    name: str
    seed: int
    run_ids: tuple[str, ...]
    runners: tuple[WriterPlan, ...]
    processes: tuple[ProcessPlan, ...]
    followed: bool
    """Whether the logs are followed as well."""
    faults: frozenset[str]
    sabotage: str | None
    largest: int
    """Bytes of the longest line."""
    seconds: float
    """The time over which slow writers and faults are spread."""
    log: str = "events"
    """The kind of log, by its name in `logs`."""
    compared: bool = False
    """Whether this is a round of the comparison. If a disk can be mounted, the volume is one: a
    tmpfs takes what is written page by page, so a kill can come between two pages. All records are
    drawn before the processes are forked, so killed processes soon start again."""

    @property
    def events(self) -> int:
        """How many events are to be appended, including those of the runners."""
        plans = [*self.runners, *(w for p in self.processes for w in (*p.writers, *p.children))]
        return sum(writer.events for writer in plans)

    def dice(self, *purpose: object) -> Random:
        """Return the random numbers for one purpose of this round."""
        return Random("/".join(map(str, (self.seed, self.name, *purpose))))


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """How large rounds are."""

    processes: int
    threads: int
    """The highest number of threads of one process."""
    events: int
    """The events of each writer."""
    runs: int | None
    """The number of logs; None if the seed draws it."""
    seconds: float


def draw_round(
    seed: int,
    name: str,
    size: Size,
    *,
    faults: Sequence[str] = (),
    sabotage: str | None = None,
    foreign: Sequence[tuple[str, ...]] = (SHELL,),
    log: str = "events",
) -> RoundPlan:
    """Plan a round of `size` on a kind of `log`, with one more process for each `foreign` command.

    A third of the processes are spawned, a third are forked, and a third are forked by a server. Of
    every eight processes, one is durable, one tries the lock only once, and one gives up after
    50 ms. Half of the rest use the runner's handle.
    """
    faulty = frozenset(faults)
    dice = Random(f"{seed}/{name}")
    runs = size.runs or dice.choice(_RUNS)
    run_ids = tuple(f"stress-{_draw_ulid(dice)}" for _ in range(runs))
    runners = tuple(WriterPlan(writer=run, events=2) for run in range(runs))
    starts, handles = (
        _shuffled(dice, Start, size.processes),
        _shuffled(dice, Handle, size.processes),
    )
    odd = dice.sample(range(8), 3)
    processes: list[ProcessPlan] = []
    number = runs
    for process in range(size.processes):
        durable, once, hasty = (process % 8 == place for place in odd)
        threads = 1 + process % size.threads
        writers = []
        for _ in range(threads):
            writers.append(_draw_writer(dice, number, size, durable))
            number += 1
        forks = dice.randint(1, 3) if "fork" in faulty else 0
        children = tuple(
            WriterPlan(writer=number + n, events=max(1, size.events // 20)) for n in range(forks)
        )
        number += forks
        processes.append(
            ProcessPlan(
                process=process,
                run=0 if process < 2 else dice.randrange(runs),
                start=starts[process],
                handle=Handle.OWN if durable or once or hasty else handles[process],
                lock_timeout_s=0 if once else _LITTLE_PATIENCE_S if hasty else PATIENCE_S,
                durable=durable,
                writers=tuple(writers),
                children=children,
                sabotaged=sabotage is not None,
            )
        )
    for words in foreign:
        pause_s = _SHELL_EVERY_S if words == SHELL else size.seconds / size.events
        events = max(1, min(size.events, round(size.seconds / pause_s)))
        writer = WriterPlan(writer=number, events=events, pause_s=pause_s)
        number += 1
        processes.append(
            ProcessPlan(
                process=len(processes),
                run=dice.randrange(runs),
                start=Start.FORKSERVER,
                handle=Handle.OWN,
                lock_timeout_s=PATIENCE_S,
                durable=False,
                writers=(writer,),
                foreign=tuple(words),
            )
        )
    return RoundPlan(
        name=name,
        seed=seed,
        run_ids=run_ids,
        runners=runners,
        processes=tuple(processes),
        followed=True,
        faults=faulty,
        sabotage=sabotage,
        largest=_LARGEST_IN_PIECES if "short-write" in faulty else _LARGEST,
        seconds=size.seconds,
        log=log,
    )


def draw_longer(plan: RoundPlan, times: int) -> RoundPlan:
    """Return the same round for the `times`-th time, twice as long as `plan`."""

    def slower(writers: tuple[WriterPlan, ...]) -> tuple[WriterPlan, ...]:
        return tuple(replace(writer, pause_s=2 * writer.pause_s) for writer in writers)

    processes = tuple(
        replace(process, writers=slower(process.writers), children=slower(process.children))
        for process in plan.processes
    )
    return replace(plan, name=f"{plan.name}.{times}", seconds=2 * plan.seconds, processes=processes)


def draw_sabotage(
    seed: int,
    sabotage: str,
    *,
    faults: Sequence[str],
    lock_timeout_s: float,
    batch: int,
) -> RoundPlan:
    """Plan a small round: five forked processes of two threads each.

    Two of the processes are healthy, except under the fault ``kill``. The round takes very little
    time, unless faults need time to strike and to be noticed.
    """
    name = f"sabotage-{sabotage}"
    dice = Random(f"{seed}/{name}")
    seconds = 2.6 if "replace" in faults else 0.6 if faults else 0.0
    events = 100 if faults else 40
    processes = []
    for process in range(5):
        sabotaged = process < 3 or "kill" in faults  # healthy processes would repair the damage
        writers = tuple(
            WriterPlan(
                writer=1 + 2 * process + thread,
                events=events,
                batch=batch,
                pause_s=seconds / events if "replace" in faults else _SABOTAGE_PAUSE_S,
            )
            for thread in range(2)
        )
        processes.append(
            ProcessPlan(
                process=process,
                run=0,
                start=Start.FORK,
                handle=Handle.OWN,
                lock_timeout_s=lock_timeout_s if sabotaged else PATIENCE_S,
                durable=False,
                writers=writers,
                sabotaged=sabotaged,
            )
        )
    return RoundPlan(
        name=name,
        seed=seed,
        run_ids=(f"stress-{_draw_ulid(dice)}",),
        runners=(WriterPlan(writer=0, events=2),),
        processes=tuple(processes),
        followed=False,
        faults=frozenset(faults),
        sabotage=sabotage,
        largest=4096,
        seconds=seconds,
    )


def draw_comparison(
    seed: int, log: str, faults: Sequence[str], *, events: int, seconds: float, by_parent: bool
) -> RoundPlan:
    """Plan a round for any way of appending: four forked processes with six writers.

    The plan is the same for each `log`, except that with `by_parent` the processes use the handle
    of their parent. Half of the writers append three times as much as the others in the same time.
    """
    dice = Random(f"{seed}/comparison/{'/'.join(faults)}")
    run_ids = (f"stress-{_draw_ulid(dice)}",)
    processes = []
    number = len(run_ids)
    for process in range(4):
        writers = []
        for _ in range(1 + process % 2):
            count = events * (3 if number % 2 else 1)
            writers.append(WriterPlan(writer=number, events=count, pause_s=seconds / count))
            number += 1
        children: tuple[WriterPlan, ...] = ()
        if "fork" in faults:
            children = tuple(
                WriterPlan(writer=number + n, events=max(10, events // 2), pause_s=0.001)
                for n in range(2)
            )
            number += len(children)
        processes.append(
            ProcessPlan(
                process=process,
                run=0,
                start=Start.FORK,
                handle=Handle.PASSED if by_parent else Handle.OWN,
                lock_timeout_s=PATIENCE_S,
                durable=False,
                writers=tuple(writers),
                children=children,
            )
        )
    return RoundPlan(
        name="-".join(("comparison", *faults)),
        seed=seed,
        run_ids=run_ids,
        runners=(WriterPlan(writer=0, events=2),),
        processes=tuple(processes),
        followed=False,
        faults=frozenset(faults),
        sabotage=None,
        largest=_LARGEST_IN_PIECES if "short-write" in faults else _LARGEST,
        seconds=seconds,
        log=log,
        compared=True,
    )


def _draw_writer(dice: Random, number: int, size: Size, durable: bool) -> WriterPlan:
    """Plan a writer. Every other one appends as fast as it can; the others make pauses.

    Durable writers always make pauses.
    """
    events = max(1, size.events // 10) if durable else size.events
    hurried = number % 2 == 0 and not durable
    return WriterPlan(
        writer=number,
        events=2 * events if hurried else events,
        batch=dice.choice((1, 1, 1, 8)),
        pause_s=0.0 if hurried else dice.uniform(0.5, 1.0) * size.seconds / events,
    )


def _draw_ulid(dice: Random) -> str:
    return "0" + "".join(dice.choices("0123456789abcdefghjkmnpqrstvwxyz", k=25))


def _shuffled(dice: Random, kinds: Iterable[_T], count: int) -> list[_T]:
    """Return `count` of `kinds`, each equally often, in random order."""
    every = list(kinds)
    drawn = [every[place % len(every)] for place in range(count)]
    dice.shuffle(drawn)
    return drawn
