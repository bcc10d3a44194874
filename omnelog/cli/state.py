# SPDX-License-Identifier: MIT
"""What a run has come to, from its events alone: pure functions, which touch no file.

Any events in any order have a state. Of those that a sane run logs, each prefix has one too, and it
never goes back: empty, running, then completed or aborted.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum

from .. import (
    Event,
    GatePassed,
    IterationStarted,
    NodeCompleted,
    NodeFailed,
    NodeStarted,
    PipeAborted,
    PipeCompleted,
    PipeStarted,
)


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


class NodeState(StrEnum):
    """How far a node has come."""

    RUNNING = "running"
    """Its end is not logged."""
    COMPLETED = "completed"
    FAILED = "failed"


@dataclass(slots=True, kw_only=True)
class Node:
    """What the events of one node say: its last start, the end after that, and what is between.

    Of its `step_count` iterations and gates, `steps` are the last ones.
    """

    id: str
    start: NodeStarted | None = None
    end: NodeCompleted | NodeFailed | None = None
    steps: list[GatePassed | IterationStarted] = field(default_factory=list)
    step_count: int = 0

    @property
    def state(self) -> NodeState:
        """How far it has come."""
        if self.end is None:
            return NodeState.RUNNING
        return NodeState.COMPLETED if isinstance(self.end, NodeCompleted) else NodeState.FAILED


@dataclass(slots=True, kw_only=True)
class Summary:
    """What all events of a run say together; `nodes` in the order in which they came up."""

    state: RunState = RunState.EMPTY
    begun: PipeStarted | None = None
    ended: PipeCompleted | PipeAborted | None = None
    first: Event | None = None
    last: Event | None = None
    events: int = 0
    nodes: dict[str, Node] = field(default_factory=dict)

    def count(self, state: NodeState) -> int:
        """How many nodes are in `state`."""
        return sum(node.state is state for node in self.nodes.values())


def derive_state(events: Iterable[Event]) -> RunState:
    """The state that `events`, in the order of the log, leave the run in: the last end counts.

    What comes after the end of a pipe does not reopen it: its nodes may outlive it.
    """
    state = RunState.EMPTY
    for event in events:
        state = _after(state, event)
    return state


def summarize(events: Iterable[Event], *, steps: int = 10) -> Summary:
    """What `events`, in the order of the log, say together, in memory that grows with its nodes.

    Of each node the last `steps` iterations and gates are kept: a loop may have millions.

    The first start of a pipe counts and the last end. A node that is started again begins anew.
    """
    found = Summary()
    for event in events:
        found.state = _after(found.state, event)
        found.first = found.first or event
        found.last = event
        found.events += 1
        match event:
            case PipeStarted():
                found.begun = found.begun or event
            case PipeCompleted() | PipeAborted():
                found.ended = event
            case NodeStarted(node_id=id):
                found.nodes[id] = Node(id=id, start=event)
            case NodeCompleted(node_id=id) | NodeFailed(node_id=id):
                found.nodes.setdefault(id, Node(id=id)).end = event
            case GatePassed(node_id=id) | IterationStarted(node_id=id):
                node = found.nodes.setdefault(id, Node(id=id))
                node.step_count += 1
                node.steps = [*node.steps, event][-steps:] if steps else []
    return found


def _after(state: RunState, event: Event) -> RunState:
    if isinstance(event, PipeCompleted):
        return RunState.COMPLETED
    if isinstance(event, PipeAborted):
        return RunState.ABORTED
    return RunState.RUNNING if state is RunState.EMPTY else state
