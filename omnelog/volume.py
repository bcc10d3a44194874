# SPDX-License-Identifier: MIT
"""Where a volume keeps its runs, and which names can be runs (SPEC: VOL).

Pure path arithmetic but for `enumerate_runs`, `run_exists` and `find_omne_root`, which only look.
Paths are made from `root` as given, neither resolved nor created here.
"""

import os
from os import PathLike
from pathlib import Path
from typing import TypeAlias

from .errors import InvalidRunId, LogIOError

Root: TypeAlias = str | PathLike[str]


def _component(what: str, name: str) -> str:
    """Return `name` if it is one plain path component on every platform, else raise InvalidRunId.

    The backslash and the drive colon's parent are refused everywhere: a volume may move.
    """
    try:
        plain = name not in ("", ".", "..") and not {"/", "\\", "\0"} & set(name)
        name.encode()
    except (TypeError, AttributeError, UnicodeEncodeError):
        plain = False
    if not plain:
        raise InvalidRunId(f"{what} {name!r:.80} is not one plain path component; use [a-z0-9-]")
    return name


def omne_dir(root: Root) -> Path:
    """``<root>/.omne``, whose presence makes a directory a volume."""
    return Path(root, ".omne")


def var_dir(root: Root) -> Path:
    """``<root>/.omne/var``, everything that changes."""
    return omne_dir(root) / "var"


def runs_dir(root: Root) -> Path:
    """``<root>/.omne/var/runs``, one directory a run."""
    return var_dir(root) / "runs"


def run_dir(root: Root, run_id: str) -> Path:
    """``…/runs/<run_id>``. Raises InvalidRunId unless `run_id` is one plain path component."""
    return runs_dir(root) / _component("run_id", run_id)


def events_log_path(root: Root, run_id: str) -> Path:
    """``…/runs/<run_id>/events.jsonl``, the run's log. Raises InvalidRunId."""
    return run_dir(root, run_id) / "events.jsonl"


def nodes_dir(root: Root, run_id: str) -> Path:
    """``…/runs/<run_id>/nodes``, the captured outputs. Raises InvalidRunId."""
    return run_dir(root, run_id) / "nodes"


def ulid_lock_path(root: Root) -> Path:
    """``<root>/.omne/var/.ulid-last``, the last ULID given out and the lock that guards it."""
    return var_dir(root) / ".ulid-last"


def node_capture_wire_path(run_id: str, node_id: str) -> str:
    """The `output_path` of a node: relative to the root, forward slashes on every platform.

    Raises InvalidRunId unless both ids are plain path components.
    """
    run_id, node_id = _component("run_id", run_id), _component("node_id", node_id)
    return f".omne/var/runs/{run_id}/nodes/{node_id}.out"


def find_omne_root(start: Root) -> Path | None:
    """The nearest directory from `start` (resolved, included) upwards that holds a ``.omne`` dir.

    None when there is none; what cannot be looked into counts as holding none.
    """
    here = Path(os.path.realpath(start))
    return next((p for p in (here, *here.parents) if os.path.isdir(omne_dir(p))), None)


def run_exists(root: Root, run_id: str) -> bool:
    """Whether the run has a directory (or a symlink to one). Raises InvalidRunId."""
    return os.path.isdir(run_dir(root, run_id))


def enumerate_runs(root: Root) -> list[str]:
    """All run ids of a volume, sorted by code point; ``[]`` when it has no ``runs`` directory.

    A run is a directory, or a symlink to one, whose name can be a run id; it need not hold a log.
    Raises LogIOError when ``runs`` is there and cannot be listed.
    """
    runs: list[str] = []
    try:
        with os.scandir(runs_dir(root)) as entries:
            for entry in entries:  # d_type answers without a stat per run
                if entry.is_dir(follow_symlinks=False) or os.path.isdir(entry):
                    runs.append(entry.name)
    except FileNotFoundError:
        return []
    except OSError as error:
        message = f"cannot list runs: {error.strerror}"
        raise LogIOError(error.errno, message, str(runs_dir(root))) from error
    return sorted(filter(_is_run_id, runs))


def _is_run_id(name: str) -> bool:
    try:
        return bool(_component("run_id", name))
    except InvalidRunId:
        return False
