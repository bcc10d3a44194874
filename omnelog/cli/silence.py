# SPDX-License-Identifier: MIT
"""Find out how long a run without an end has been silent, and whether its recorder is alive."""

from pathlib import Path
from typing import NamedTuple

from .. import Event
from ..recording import unfinished_nodes
from .claims import has_recorder, spell_recorder
from .times import elapsed_ms, moment_ms, now_ms, spell_age


class Silence(NamedTuple):
    """What a run's log and its captures show about the process that should end the run."""

    lasts_ms: int | None
    """Milliseconds since the last event; None if the time of that event is unknown."""
    has_recorder: bool | None
    """Whether a recorder is alive; None if that cannot be known."""

    def spell(self) -> str:
        """Return the same in words."""
        words = [f"silent for {spell_age(self.lasts_ms)}", spell_recorder(self.has_recorder)]
        return ", ".join(filter(None, words))


def silence(root: Path, run_id: str, first: Event | None, last: Event | None) -> Silence:
    """Return the silence of a run that has not ended. Raises LogIOError.

    `first`, `last`: its first and its last event.
    """
    unfinished = unfinished_nodes(root, run_id)
    lasts_ms = elapsed_ms(moment_ms(last), now_ms())
    return Silence(lasts_ms, has_recorder(root, run_id, first, unfinished))
