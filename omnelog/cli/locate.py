# SPDX-License-Identifier: MIT
"""Find the volume and the run that a command is about.

The volume is that of ``--root``, else of OMNE_VOLUME_ROOT, else the nearest one from the current
directory upwards. A run is named by its id, by the beginning or the end of its id, or as
``latest``, ``latest~1`` or ``latest:PIPE``.
"""

import os
import re
from argparse import ArgumentParser
from pathlib import Path

from .. import (
    Event,
    LogIOError,
    PipeStarted,
    enumerate_runs,
    events_log_path,
    find_omne_root,
    omne_dir,
    run_exists,
)
from ..linelog.lock import is_directory
from ..ulid import ulid_ms
from ..volume import ROOT_VARIABLE
from .exits import Refused
from .text import names_like, some

LATEST = "latest"
_RELATIVE = r"latest(?::(?P<pipe>[^~]+))?(?:~(?P<back>[0-9]{1,9}))?"
_SHOWN = 3  # names in a message


def add_root_option(parser: ArgumentParser, default: str | None) -> None:
    """Add the option ``--root`` to `parser`."""
    parser.add_argument(
        "--root",
        metavar="DIR",
        default=default,
        help=f"the volume (default: ${ROOT_VARIABLE}, else the nearest around here)",
    )


def volume_root(option: str | None) -> Path:
    """Return the absolute root of the volume: from `option`, the environment, or the directories.

    Raises Refused if there is no volume; the message says how to make one. A volume is never
    created implicitly, because one in a wrong place would get the records of everything below it.
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
    if not is_directory(omne_dir(root)):
        raise Refused(
            f"{root} ({origin}) does not hold a directory .omne: "
            f"make one with `mkdir -p {omne_dir(root)}`"
        )
    return root


def find_run(root: Path, named: str) -> str:
    """Return the id of the run that `named` means.

    That is the run with exactly this id, if it exists. ``latest`` is the newest run, ``latest~2``
    the second before it, and ``latest:PIPE`` and ``latest:PIPE~2`` are the same among the runs of a
    pipe. Anything else is the beginning or the end of the id of a single run. Raises Refused, with
    similar names; InvalidRunId; LogIOError.
    """
    if run_exists(root, named):
        return named
    runs = enumerate_runs(root)
    if not runs:
        raise Refused(
            f"no run {named!r}: {root} has none yet; "
            "`omnelog record --pipe NAME NODE -- CMD` makes one"
        )
    relative = re.fullmatch(_RELATIVE, named)
    if relative:
        return _newest(root, runs, relative["pipe"], int(relative["back"] or 0))
    found = [run_id for run_id in runs if run_id.startswith(named)]
    how = "begin"
    if not found:
        found = [run_id for run_id in runs if run_id.endswith(named)]
        how = "end"
    if len(found) == 1:
        return found[0]
    if found:
        raise Refused(
            f"{len(found)} runs {how} with {named!r}: {some(found[::-1], _SHOWN)}; type more of it"
        )
    hint = names_like(named, runs) or "; `omnelog runs` lists those there are"
    raise Refused(f"no run {named!r} in {root}{hint}")


def is_relative(named: str) -> bool:
    """Return whether `named` is ``latest`` or similar, and therefore not an id to wait for."""
    return re.fullmatch(_RELATIVE, named) is not None


def _newest(root: Path, runs: list[str], pipe: str | None, back: int) -> str:
    """Return the newest of `runs`, or the one `back` before it, of all pipes or of one."""
    left = back
    ordered = sorted(runs, key=lambda run_id: age_key(root, run_id), reverse=True)
    for run_id in ordered:
        if pipe is not None and pipe_of(root, run_id) != pipe:
            continue
        if left == 0:
            return run_id
        left -= 1
    of_pipe = f" of pipe {pipe!r}" if pipe is not None else ""
    there = "is none" if left == back else f"are only {back - left}"
    raise Refused(f"no such run in {root}: there {there}{of_pipe}; `omnelog runs` lists them")


def pipe_of(root: Path, run_id: str) -> str | None:
    """Return the pipe of a run according to its first event; None if that does not say it."""
    first = first_event(root, run_id)
    return first.pipe if isinstance(first, PipeStarted) else None


def age_key(root: Path, run_id: str) -> tuple[int, str]:
    """Return a key to sort runs by age: the time in the id, else that of the first event."""
    ms = ulid_ms(run_id[-26:])
    if ms is None:
        from ..recording import moment_ms  # noqa: PLC0415 - nearly all ids have a time

        first = first_event(root, run_id)
        ms = (first and moment_ms(first)) or 0
    return ms, run_id


def first_event(root: Path, run_id: str) -> Event | None:
    """Return the first event in the log of a run; None if there is none or it cannot be read."""
    from .checks import Findings, sound_events  # noqa: PLC0415 - seldom needed to find a run

    try:
        return next(sound_events(events_log_path(root, run_id), Findings("")), None)
    except LogIOError:
        return None
