# SPDX-License-Identifier: MIT
"""How a recorder claims a node, and how others see whether the recorder is alive.

A recorder holds a lock on the capture for as long as it lives. The kernel releases the lock when
the recorder dies, whatever it dies of. So the lock is more reliable than a process id, which the
system later gives to another process.
"""

import os
from collections.abc import Iterable
from contextlib import suppress
from fcntl import LOCK_EX, LOCK_NB, LOCK_SH, LOCK_UN, flock
from itertools import islice
from pathlib import Path

from .. import Event, InvalidRunId, PipeStarted
from ..recording import claim_node, node_capture_path

_ASKED = 1000  # nodes of a run, at most, whose recorders are looked for


def make_capture(root: Path, run_id: str, node_id: str) -> int:
    """Claim a node, and lock its capture; return the descriptor. Raises what `claim_node` does."""
    capture = claim_node(root, run_id, node_id)
    with suppress(OSError):  # on a file system without locks, where it is not known then
        flock(capture, LOCK_EX | LOCK_NB)
    return capture


def remove_capture(root: Path, run_id: str, node_id: str, capture: int) -> None:
    """Give up a claim. Raises OSError."""
    os.close(capture)
    node_capture_path(root, run_id, node_id).unlink()


def is_being_recorded(root: Path, run_id: str, node_id: str) -> bool | None:
    """Whether the recorder of a node is alive; None if the node has no capture that can be asked.

    Of a run that other programs recorded, which lock no captures, the answer means nothing.
    """
    try:
        capture = os.open(
            node_capture_path(root, run_id, node_id), os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC
        )
    except (InvalidRunId, OSError):
        return None
    try:
        flock(capture, LOCK_SH | LOCK_NB)  # shared, so that two who ask do not find each other
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
    """Whether a recorder of a run that has not ended is alive; None if that cannot be known.

    `begun`: its first event. `unfinished`: its nodes that have no end.
    """
    if not isinstance(begun, PipeStarted) or not begun.distro_version.startswith("omnelog "):
        return None
    found = {is_being_recorded(root, run_id, node_id) for node_id in islice(unfinished, _ASKED)}
    if True in found:
        return True
    return False if found == {False} else None


def spell_recorder(alive: bool | None) -> str:
    """Whether a recorder is alive, in words; "" if that is not known."""
    return {True: "its recorder is at work", False: "its recorder is gone", None: ""}[alive]
