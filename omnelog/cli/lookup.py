# SPDX-License-Identifier: MIT
"""Which run is meant: a whole id, the beginning of one, or ``latest``."""

from difflib import get_close_matches
from pathlib import Path

from .. import LogIOError, enumerate_runs, events_log_path, run_exists
from .exits import Refused
from .findings import Findings
from .lines import sound_events
from .moments import moment_ms, ulid_ms

LATEST = "latest"
_SHOWN = 3  # names in a message


def find_run(root: Path, named: str) -> str:
    """The id of the run that `named` means: itself, else the newest, else what begins so alone.

    Raises Refused with the nearest names; InvalidRunId; LogIOError.
    """
    if run_exists(root, named):
        return named
    runs = enumerate_runs(root)
    if named == LATEST and runs:
        return max(runs, key=lambda run_id: age_key(root, run_id))
    found = [run_id for run_id in runs if run_id.startswith(named)]
    if len(found) == 1:
        return found[0]
    if found:
        raise Refused(f"{len(found)} runs begin with {named!r}: {_some(found)}; type more of it")
    if not runs:
        raise Refused(
            f"no run {named!r}: {root} has none yet; "
            "`omnelog record --pipe NAME NODE -- CMD` makes one"
        )
    near = get_close_matches(named, runs, n=_SHOWN, cutoff=0.5)
    hint = f"the nearest is {_some(near)}" if near else "`omnelog runs` lists those there are"
    raise Refused(f"no run {named!r} in {root}; {hint}")


def age_key(root: Path, run_id: str, first_ms: int | None = None) -> tuple[int, str]:
    """What sorts runs, the oldest first: the time in their id, else that of their first event."""
    ms = ulid_ms(run_id)
    if ms is None:
        ms = first_ms if first_ms is not None else _first_ms(root, run_id)
    return ms, run_id


def _first_ms(root: Path, run_id: str) -> int:
    """When the first event happened that the log has; 0 if that cannot be told."""
    try:
        first = next(sound_events(events_log_path(root, run_id), Findings("")), None)
    except LogIOError:
        return 0
    return (first and moment_ms(first)) or 0


def _some(names: list[str]) -> str:
    rest = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[-_SHOWN:]) + rest
