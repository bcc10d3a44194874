# SPDX-License-Identifier: MIT
"""Claim a node for a recorder, and find out whether the recorder of a node is alive.

A recorder holds a lock on the capture as long as it lives. The kernel releases the lock when the
recorder dies, for any reason. So the lock is more reliable than a process id, which the system
gives to another process later.
"""

import os
from collections.abc import Iterable
from contextlib import suppress
from fcntl import LOCK_EX, LOCK_NB, LOCK_SH, LOCK_UN, flock
from itertools import islice
from pathlib import Path

from .. import Event, InvalidRunId, PipeStarted
from ..recording import claim_node, node_capture_path

_ASKED = 1000  # nodes of a run whose recorders are looked for, at most


def make_capture(root: Path, run_id: str, node_id: str) -> int:
    """Claim a node, and lock its capture; return the descriptor. Raises what `claim_node` does."""
    capture = claim_node(root, run_id, node_id)
    with suppress(OSError):  # without locks in the file system, others cannot see if we are alive
        flock(capture, LOCK_EX | LOCK_NB)
    return capture


def remove_capture(root: Path, run_id: str, node_id: str, capture: int) -> None:
    """Give up a claim. Raises OSError."""
    os.close(capture)
    node_capture_path(root, run_id, node_id).unlink()


def is_being_recorded(root: Path, run_id: str, node_id: str) -> bool | None:
    """Return whether the recorder of a node is alive; None if that cannot be known.

    The answer is not meaningful if another program recorded the run, because others do not lock
    captures.
    """
    try:
        capture = os.open(
            node_capture_path(root, run_id, node_id), os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC
        )
    except (InvalidRunId, OSError):
        return None
    try:
        flock(capture, LOCK_SH | LOCK_NB)  # shared, so that two processes can check at once
        flock(capture, LOCK_UN)
    except BlockingIOError:
        return True
    except OSError:
        return None
    finally:
        os.close(capture)
    return False


def has_recorder(
    root: Path, run_id: str, begun: Event | None, unfinished: Iterable[str]
) -> bool | None:
    """Return whether a recorder of a run that has not ended is alive; None if that is not known.

    `begun`: the first event of the run. `unfinished`: the nodes without an end.
    """
    if not isinstance(begun, PipeStarted) or not begun.distro_version.startswith("omnelog "):
        return None
    found = {is_being_recorded(root, run_id, node_id) for node_id in islice(unfinished, _ASKED)}
    if True in found:
        return True
    return False if found == {False} else None


def spell_recorder(alive: bool | None) -> str:
    """Return in words whether a recorder is alive; "" if that is not known."""
    return {True: "its recorder is at work", False: "its recorder is gone", None: ""}[alive]
