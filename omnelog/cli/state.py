# SPDX-License-Identifier: MIT
"""What state a run is in, from its events alone."""

from collections.abc import Iterable
from enum import StrEnum

from .. import Event, PipeAborted, PipeCompleted


class RunState(StrEnum):
    """How far a run has come, or that its log cannot say."""

    EMPTY = "empty"
    """Nothing was logged yet."""
    RUNNING = "running"
    """Begun, its end not logged: it goes on, or whoever ran it died."""
    COMPLETED = "completed"
    ABORTED = "aborted"
    DAMAGED = "damaged"
    """The log holds something that is no event; never the result of `derive_state`."""


def derive_state(events: Iterable[Event]) -> RunState:
    """The state that `events`, in the order of the log, leave the run in: the last end counts.

    What comes after the end of a pipe does not reopen it: its nodes may outlive it.
    """
    state = RunState.EMPTY
    for event in events:
        if isinstance(event, PipeCompleted):
            state = RunState.COMPLETED
        elif isinstance(event, PipeAborted):
            state = RunState.ABORTED
        elif state is RunState.EMPTY:
            state = RunState.RUNNING
    return state
