# SPDX-License-Identifier: MIT
"""Which volume and which run a command is about.

The volume is ``--root``, else OMNE_VOLUME_ROOT, else the one around here. A run is named by its
whole id, the beginning of one, or ``latest``.
"""

import os
from argparse import ArgumentParser
from difflib import get_close_matches
from pathlib import Path

from .. import (
    LogIOError,
    enumerate_runs,
    events_log_path,
    find_omne_root,
    omne_dir,
    run_exists,
)
from .checks import Findings, sound_events
from .exits import Refused
from .times import moment_ms, ulid_ms

ROOT_VARIABLE = "OMNE_VOLUME_ROOT"
RUN_VARIABLE = "OMNE_RUN_ID"
NODE_VARIABLE = "OMNE_NODE_ID"
"""The environment variables by which a recorded command knows where it runs."""

LATEST = "latest"
_SHOWN = 3  # names in a message


def add_root_option(parser: ArgumentParser, default: str | None) -> None:
    """Let `parser` take ``--root``."""
    parser.add_argument(
        "--root",
        metavar="DIR",
        default=default,
        help=f"the volume (default: ${ROOT_VARIABLE}, else the nearest around here)",
    )


def volume_root(option: str | None) -> Path:
    """The absolute root of the volume: `option` if given, else the environment's, else found.

    Raises Refused, saying how to make one, where there is none: a volume is never made by the way,
    for one made in the wrong place would swallow the records of everything below it.
    """
    if option is not None:
        return _checked(option, "--root")
    if named := os.environ.get(ROOT_VARIABLE):
        return _checked(named, ROOT_VARIABLE)
    here = _absolute("")
    found = find_omne_root(here)
    if found is None:
        raise Refused(
            f"no omne volume at {here} or above: make one here with `mkdir .omne`, "
            f"or name one with --root DIR or {ROOT_VARIABLE}"
        )
    return found


def _absolute(directory: str) -> Path:
    try:
        return Path(directory).absolute()
    except OSError as error:
        message = f"no current directory ({error.strerror}); use --root with an absolute path"
        raise Refused(message) from error


def _checked(named: str, origin: str) -> Path:
    if not named:
        raise Refused(f"{origin} is empty; give it a directory that holds .omne")
    root = _absolute(named)  # a recorded command may change directory
    if not omne_dir(root).is_dir():
        raise Refused(
            f"{root} ({origin}) is no omne volume, it holds no .omne directory: "
            f"make it one with `mkdir -p {omne_dir(root)}`"
        )
    return root


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
