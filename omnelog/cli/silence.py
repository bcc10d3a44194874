# SPDX-License-Identifier: MIT
"""How long a run without an end has been silent, and whether its recorder is alive."""

from pathlib import Path
from typing import NamedTuple

from .. import Event
from ..recording import unfinished_nodes
from .claims import has_recorder, spell_recorder
from .times import elapsed_ms, moment_ms, now_ms, spell_age


class Silence(NamedTuple):
    """What a run's log and captures show about the process that is to end it."""

    lasts_ms: int | None
    """Since the last event; None if that does not say when it was."""
    has_recorder: bool | None
    """Whether a recorder is alive; None if that cannot be known."""

    def spell(self) -> str:
        """In words."""
        words = [f"silent for {spell_age(self.lasts_ms)}", spell_recorder(self.has_recorder)]
        return ", ".join(filter(None, words))


def silence(root: Path, run_id: str, first: Event | None, last: Event | None) -> Silence:
    """Ask about a run that has not ended, given its first and its last event. Raises LogIOError."""
    unfinished = unfinished_nodes(root, run_id)
    lasts_ms = elapsed_ms(moment_ms(last), now_ms())
    return Silence(lasts_ms, has_recorder(root, run_id, first, unfinished))
