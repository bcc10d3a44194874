# SPDX-License-Identifier: MIT
"""Count what goes wrong with the usual ways to append: ``python -m stress --peers``.

Each way has a round under each fault, with the same writers, records of 100 bytes to 1 MiB, the
same strikes and the same checker. A round runs in its own process, a session leader, so that all
that a library leaves there (patched files, threads, locks that stay locked) ends with the round.
"""

import json
import os
import signal
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from multiprocessing.connection import wait
from multiprocessing.context import ForkContext
from pathlib import Path
from shutil import rmtree
from time import monotonic
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from .checker import check
from .damage import Damage, count_damage
from .faults import ENOSPC, FORK, KILL, REPLACE, SHORT_WRITE, unmount_disk
from .logs import LOGS, OMNELOG
from .plan import RoundPlan, draw_comparison
from .processes import sigint_blocked
from .progress import Progress
from .receipts import history_path, log_path, save_json, volume_path
from .report import strikes_inside
from .rounds import conduct
from .usual_ways import WAYS
from .violations import Verdict

PLAIN = "plain"
ALL_WAYS = (*WAYS, OMNELOG)
FAULTS = (PLAIN, KILL, ENOSPC, SHORT_WRITE, FORK, REPLACE)
USUAL = {PLAIN: 0.5, KILL: 3.5, ENOSPC: 0.8, SHORT_WRITE: 0.6, FORK: 0.5, REPLACE: 2.4}
"""The seconds for which writers append in the round of each fault."""
QUICK = {PLAIN: 0.3, KILL: 0.6, ENOSPC: 0.4, SHORT_WRITE: 0.3, FORK: 0.3, REPLACE: 2.4}
"""The same for a quick run. Under REPLACE, only after 1.75 s does a record count as left behind."""
_EVENTS_PER_S = 50  # of half of the writers; the other half appends three times as many
_LOOK_S = 0.1  # between two checks whether a round makes progress
_STILL_S = 8.0  # after this time without a new receipt, a round counts as hanging
_TIMEOUT_S = 120.0  # after this time, a round that makes progress is ended, too


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """The result of one way under one fault."""

    way: str
    fault: str
    damage: Damage | None = None
    """The damage to the records; None if the way was not tested under this fault."""
    why: str = ""
    """Why the way was not tested."""
    strikes: int = 0
    hung: bool = False
    """Whether a process hung and was killed."""
    repaired: int = 0
    """How many torn tails were moved to a quarantine."""
    violations: dict[str, int] = field(default_factory=dict)
    """How many violations of each kind the checker found."""


def compare(
    root: Path,
    progress: Progress,
    *,
    seed: int,
    seconds: Mapping[str, float] = USUAL,
    ways: Sequence[str],
    faults: Sequence[str] = FAULTS,
    command: str = "",
) -> Iterator[Cell]:
    """Test each of `ways` under each of `faults`; yield each cell as soon as it is known.

    `seconds`: for how long writers append in the round of each fault.
    """
    total, begun = len(ways) * len(faults), monotonic()
    for place, (fault, way) in enumerate((fault, way) for fault in faults for way in ways):
        progress.status(
            f"{place + 1} of {total}: {way}, {fault}; {monotonic() - begun:.0f} s so far"
        )
        directory = root / f"{place:02}"
        plan = _plan(way, fault, seed, seconds[fault])
        yield _cell(directory, way, fault, plan, command)
        rmtree(directory, ignore_errors=True)


def _plan(way: str, fault: str, seed: int, seconds: float) -> RoundPlan:
    return draw_comparison(
        seed,
        way,
        [] if fault == PLAIN else [fault],
        events=max(10, round(_EVENTS_PER_S * seconds)),
        seconds=seconds,
        by_parent=LOGS[way].by_parent,
    )


def _cell(directory: Path, way: str, fault: str, plan: RoundPlan, command: str) -> Cell:
    about = WAYS.get(way)
    if about is not None:
        if not about.installed:
            return Cell(way=way, fault=fault, why=f"{about.module} is not installed")
        if fault in about.cannot:
            return Cell(way=way, fault=fault, why=about.cannot[fault])
    kind = LOGS[way]
    hung = not _run_apart(directory, plan, command)
    if kind.export is not None:
        kind.export(log_path(directory, plan.run_ids[0]))
    exits = history_path(directory, "exits.json")
    if not exits.exists():
        save_json(exits, {})
    verdict = check(directory)
    strikes, mounted = _strikes(directory, plan, verdict)
    if fault != PLAIN and not strikes:
        return Cell(way=way, fault=fault, why="the fault never struck")
    if fault == ENOSPC and kind.by_parent and not mounted:
        return Cell(way=way, fault=fault, why="no disk of its own could be mounted")
    return Cell(
        way=way,
        fault=fault,
        damage=count_damage(verdict),
        strikes=strikes,
        hung=hung or None in verdict.evidence.exits.values(),
        repaired=verdict.fragments,
        violations={str(kind): count for kind, count in verdict.counts.items()},
    )


def _strikes(directory: Path, plan: RoundPlan, verdict: Verdict) -> tuple[int, bool]:
    """Return how often the fault of a round struck, and whether the volume was its own disk."""
    saved = history_path(directory, "strikes.json")
    about: dict[str, Any] = {"strikes": {}, "mounted": False}
    if saved.exists():
        about = json.loads(saved.read_text())
    strikes = about["strikes"] | strikes_inside(directory, plan, verdict)
    return sum(strikes.values()), bool(about["mounted"])


def _run_apart(directory: Path, plan: RoundPlan, command: str) -> bool:
    """Run a round in its own process; return whether that ended by itself.

    However this call ends, even by Ctrl-C, it ends all processes of the round.
    """
    host = ForkContext().Process(target=_host, args=(directory, plan, command))
    try:
        # The host keeps SIGINT blocked. Here an interrupt is delayed until the block ends.
        with sigint_blocked():
            host.start()
        return _ends(host.sentinel, history_path(directory, ""))
    finally:
        if host.pid:
            with suppress(ProcessLookupError):
                os.killpg(host.pid, signal.SIGKILL)  # every process that is left in its session
            host.kill()  # it may not have its own session yet
            host.join()
        root = volume_path(directory)
        if root.is_mount():
            unmount_disk(root, directory / "kept")


def _ends(sentinel: int, history: Path) -> bool:
    """Wait until the process has ended; return False if the history stops growing before that.

    After the processes of the round have ended, as exits.json shows, the files are moved to their
    place. During that time the history need not grow.
    """
    size, since_s = 0, monotonic()
    while not wait([sentinel], _LOOK_S):
        now = sum(path.stat().st_size for path in history.glob("writer-*"))
        if now != size or (history / "exits.json").exists():
            size, since_s = now, monotonic()
        elif monotonic() - since_s > _STILL_S:
            return False
    return True


def _host(directory: Path, plan: RoundPlan, command: str) -> None:
    os.setsid()
    directory.mkdir()
    errors = os.open(directory / "stderr", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(errors, 2)  # libraries complain on standard error
    warnings.simplefilter("ignore", DeprecationWarning)  # 3.12+: of forks beside loguru's thread
    with open(os.devnull, "w") as nowhere:
        conduct(directory, plan, Progress(Console(file=nowhere)), command, _TIMEOUT_S)


# ---- the table ----

WORDS = {
    "lost": "lost",
    "torn": "torn",
    "glued": "glued",
    "out_of_order": "out of order",
    "refused": "refused",
    "left_behind": "left behind",
    "twice": "twice",
    "foreign": "foreign",
}
"""The members of `Damage` that count against a way, and what the table calls them."""

MEANINGS = """\
lost: acknowledged records that are not in any file of the log; torn: lines that are part of one
record; glued: lines with pieces of two or more records; out of order: records that come after a
later record of their writer; refused: records whose append raised; left behind: records that went
to the old file more than 1.75 s after it was replaced; hung: a process had to be killed; 0: none of
these; ·: not tested under that fault, for the reason below.
"""


def table(cells: Sequence[Cell], faults: Sequence[str] = FAULTS) -> Table:
    """Return a table with a row for each way and a column for each fault.

    A cell names each count that is not 0.
    """
    shown = Table(box=box.SIMPLE, pad_edge=False, padding=(0, 1), show_lines=False)
    shown.add_column("", no_wrap=True)
    for fault in faults:
        shown.add_column(fault, no_wrap=True)
    found = {(cell.way, cell.fault): cell for cell in cells}
    for way in dict.fromkeys(cell.way for cell in cells):
        row = [_shown(found.get((way, fault))) for fault in faults]
        shown.add_row(way, *row, end_section=True)
    return shown


def _shown(cell: Cell | None) -> Text:
    if cell is None or cell.damage is None:
        return Text("·", "dim")
    words = _counted(cell)
    if not words:
        return Text("0", "green")
    style = "" if list(words) == ["refused"] else "red"
    return Text("\n".join(f"{count} {word}".strip() for word, count in words.items()), style)


def _counted(cell: Cell) -> dict[str, int | str]:
    """Return the counts that are not 0, by the words for them."""
    counts = asdict(cell.damage) if cell.damage else {}
    words: dict[str, int | str] = {
        word: counts[name] for name, word in WORDS.items() if counts.get(name)
    }
    return words | ({"hung": ""} if cell.hung else {})


def notes(cells: Sequence[Cell]) -> Iterator[str]:
    """Yield what the table means, how often the faults struck, and what was not tested."""
    yield from MEANINGS.splitlines()
    struck: dict[str, list[int]] = {}
    for cell in cells:
        if cell.strikes:
            struck.setdefault(cell.fault, []).append(cell.strikes)
    ranges = [f"{fault} {min(times):,} to {max(times):,}" for fault, times in struck.items()]
    if ranges:
        yield f"Strikes of each fault, lowest to highest of the ways: {', '.join(ranges)}."
    for cell in cells:
        if cell.repaired:
            yield f"{cell.way}, {cell.fault}: {cell.repaired} torn tails moved to the quarantine"
        if cell.damage is None:
            yield f"{cell.way}, {cell.fault}: {cell.why}"


def save_report(
    path: Path, cells: Sequence[Cell], *, seed: int, command: str, interrupted: bool
) -> None:
    """Write all results to `path` as JSON."""
    report = {
        "seed": seed,
        "command": command,
        "interrupted": interrupted,
        "cells": [asdict(cell) for cell in cells],
    }
    path.write_text(json.dumps(report, indent=2) + "\n")
