# SPDX-License-Identifier: MIT
"""Where a volume keeps its runs, and which names can be runs (SPEC: VOL).

These functions build paths from `root` as it is given; they resolve nothing and create nothing.
Those that take a `run_id` raise InvalidRunId unless it is one plain path component. The rule is the
same on every platform, because a volume may move from one to another. A `root` that no system
accepts as a path, such as one with a null character, is a ValueError.
"""

import ntpath
import os
from contextlib import suppress
from os import PathLike
from pathlib import Path
from typing import TypeAlias

from .linelog.errors import OmnelogError, refusals

Root: TypeAlias = str | PathLike[str]

ROOT_VARIABLE = "OMNE_VOLUME_ROOT"
RUN_VARIABLE = "OMNE_RUN_ID"
NODE_VARIABLE = "OMNE_NODE_ID"
"""The environment variables by which a process knows the run that it belongs to (SPEC: VOL)."""


class InvalidRunId(OmnelogError, ValueError):
    """A run id or node id that is not one plain path component; nothing was touched."""


_SEPARATORS = "/\\\0"


def _is_component(name: object) -> bool:
    """Whether `name` is one component of a path, and the same one on every platform."""
    if not isinstance(name, str) or name in ("", ".", ".."):
        return False
    has_separator = any(character in name for character in _SEPARATORS)
    has_drive = ntpath.splitdrive(name)[0] != ""
    has_surrogate = any("\ud800" <= character <= "\udfff" for character in name)
    return not (has_separator or has_drive or has_surrogate)


def _component(name: str, what: str = "run_id") -> str:
    if not _is_component(name):
        raise InvalidRunId(f"{what} {name!r:.80} is not one plain path component; use a-z 0-9 -")
    return name


def _on_disk(name: str) -> str:
    """Return the path component whose bytes are `name` in UTF-8, whatever the locale's encoding."""
    return name if name.isascii() else os.fsdecode(name.encode())


def _from_disk(component: str) -> str:
    """Return the name that a path component has in UTF-8, with surrogates where it is not UTF-8."""
    if component.isascii():
        return component
    return os.fsencode(component).decode(errors="surrogateescape")


def omne_dir(root: Root) -> Path:
    """Return ``<root>/.omne``, the directory that makes `root` a volume."""
    return Path(root, ".omne")


def var_dir(root: Root) -> Path:
    """Return ``<root>/.omne/var``, which holds everything that changes."""
    return omne_dir(root) / "var"


def runs_dir(root: Root) -> Path:
    """Return ``<root>/.omne/var/runs``, which holds a directory for each run."""
    return var_dir(root) / "runs"


def run_dir(root: Root, run_id: str) -> Path:
    """Return ``…/runs/<run_id>``, the directory of one run."""
    return runs_dir(root) / _on_disk(_component(run_id))


def events_log_path(root: Root, run_id: str) -> Path:
    """Return ``…/runs/<run_id>/events.jsonl``, the run's log."""
    return run_dir(root, run_id) / "events.jsonl"


def nodes_dir(root: Root, run_id: str) -> Path:
    """Return ``…/runs/<run_id>/nodes``, which holds the captured output of each node."""
    return run_dir(root, run_id) / "nodes"


def ulid_lock_path(root: Root) -> Path:
    """Return ``<root>/.omne/var/.ulid-last``, which holds the last ULID and carries its lock."""
    return var_dir(root) / ".ulid-last"


def node_capture_wire_path(run_id: str, node_id: str) -> str:
    """Return a node's `output_path`: relative to the root, with forward slashes everywhere.

    Raises InvalidRunId also for a `node_id` that is not one plain path component.
    """
    return f".omne/var/runs/{_component(run_id)}/nodes/{_component(node_id, 'node_id')}.out"


def find_omne_root(start: Root) -> Path | None:
    """Return the volume that `start` is in: the nearest directory upwards that has an ``.omne``.

    `start` is resolved first. Returns None if it is not in a volume. Raises LogIOError if `start`
    is relative and there is no working directory.
    """
    with refusals("cannot look for a volume", start):
        here = Path(os.path.realpath(start))
    return next((path for path in (here, *here.parents) if os.path.isdir(omne_dir(path))), None)


def run_exists(root: Root, run_id: str) -> bool:
    """Return whether the run has a directory, or a symlink to one."""
    return os.path.isdir(run_dir(root, run_id))


def enumerate_runs(root: Root) -> list[str]:
    """Return the ids of all runs, sorted by code point, including runs without a log.

    An entry that is not a directory, or whose name cannot be a run id, is not a run. A volume
    without a directory ``runs`` has no runs. Raises LogIOError.
    """
    runs = runs_dir(root)
    with refusals("cannot list the runs", runs), suppress(FileNotFoundError):
        with os.scandir(runs) as entries:
            # Most file systems give the type with the name; only a symlink needs a stat.
            found = [e.name for e in entries if e.is_dir(follow_symlinks=False) or os.path.isdir(e)]
        return sorted(filter(_is_component, map(_from_disk, found)))
    return []
