# SPDX-License-Identifier: MIT
"""Derive the state of a run from its events, with pure functions that do not touch files.

Any events in any order have a state. As a well-behaved run logs its events, the state changes from
empty to running, and then to completed or aborted, and never back.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum

from .. import (
    ErrorKind,
    Event,
    GatePassed,
    IterationStarted,
    NodeCompleted,
    NodeFailed,
    NodeKind,
    NodeStarted,
    PipeAborted,
    PipeCompleted,
    PipeStarted,
)
from ..recording import moment_ms


class RunState(StrEnum):
    """The state of a run, or that its log is damaged."""

    EMPTY = "empty"
    """Nothing is logged yet."""
    RUNNING = "running"
    """The run has begun, and its end is not logged: it is running, or its recorder died."""
    COMPLETED = "completed"
    ABORTED = "aborted"
    DAMAGED = "damaged"
    """A line of the log is not an event; never the result of `derive_state`."""


class NodeState(StrEnum):
    """The state of a node."""

    RUNNING = "running"
    """The end of the node is not logged."""
    COMPLETED = "completed"
    FAILED = "failed"


class Node:
    """What the events of one node say: its last start, the end after that, and what is between.

    The start and the end are not kept as events, because a run may have 100,000 nodes. Times are in
    milliseconds since 1970, or None if they are unknown. `kind` is None if the start is not logged.
    `step_count` is the number of iterations and gates, and `steps` has the last of them.
    """

    __slots__ = (
        *("id", "kind", "name", "model", "start_ms", "state", "end_ms", "error", "message"),
        *("output_path", "step_count", "steps"),
    )

    def __init__(self, id: str) -> None:  # noqa: A002 - its name in events
        """For the node `id`, of which nothing else is known yet."""
        self.id: str = id
        self.kind: NodeKind | None = None
        self.name: str | None = None
        self.model: str | None = None
        self.start_ms: int | None = None
        self.state: NodeState = NodeState.RUNNING
        self.end_ms: int | None = None
        self.error: ErrorKind | None = None
        self.message: str | None = None
        self.output_path: str | None = None
        self.steps: tuple[GatePassed | IterationStarted, ...] = ()
        self.step_count: int = 0

    @property
    def duration_ms(self) -> int | None:
        """How long the node took; None if it has not ended, or if that is unknown or negative."""
        if self.start_ms is None or self.end_ms is None or self.end_ms < self.start_ms:
            return None
        return self.end_ms - self.start_ms


@dataclass(slots=True, kw_only=True, eq=False, repr=False)
class Summary:
    """What all events of a run say together. `nodes` is in the order of their first events."""

    state: RunState = RunState.EMPTY
    begun: PipeStarted | None = None
    ended: PipeCompleted | PipeAborted | None = None
    first: Event | None = None
    last: Event | None = None
    events: int = 0
    nodes: dict[str, Node] = field(default_factory=dict)

    def count(self, state: NodeState) -> int:
        """Return how many nodes are in `state`."""
        return sum(node.state is state for node in self.nodes.values())


def derive_state(events: Iterable[Event]) -> RunState:
    """Return the state of a run after `events`, which are in the order of the log.

    The last end of the pipe counts. Events after it do not change the state, because nodes may
    outlive their pipe.
    """
    state = RunState.EMPTY
    for event in events:
        state = state_after(state, event)
    return state


def summarize(events: Iterable[Event], *, steps: int = 10) -> Summary:
    """Summarize `events`, which are in the order of the log. The memory grows with the nodes.

    Of each node the last `steps` iterations and gates are kept, because a loop may have millions.
    The first start of the pipe counts, and the last end. A node that is started again begins again.
    """
    found = Summary()
    nodes = found.nodes
    for event in events:
        if not found.events:
            found.first = event
        found.last = event
        found.events += 1
        match event:  # frequent types come first
            case NodeStarted():
                node = Node(event.node_id)
                node.kind = event.kind
                node.name = event.name
                node.model = event.model
                node.start_ms = moment_ms(event)
                nodes[event.node_id] = node
            case NodeCompleted():
                node = _known(nodes, event.node_id)
                node.state = NodeState.COMPLETED
                node.end_ms = moment_ms(event)
                node.error = None
                node.message = None
                node.output_path = event.output_path
            case NodeFailed():
                node = _known(nodes, event.node_id)
                node.state = NodeState.FAILED
                node.end_ms = moment_ms(event)
                node.error = event.error.kind
                node.message = event.message
                node.output_path = None
            case GatePassed() | IterationStarted():
                node = _known(nodes, event.node_id)
                node.step_count += 1
                if steps:
                    node.steps = (*node.steps, event)[-steps:]
            case PipeStarted():
                found.begun = found.begun or event
                found.state = state_after(found.state, event)
            case PipeCompleted() | PipeAborted():
                found.ended = event
                found.state = state_after(found.state, event)
    if found.events and found.state is RunState.EMPTY:
        found.state = RunState.RUNNING
    return found


def _known(nodes: dict[str, Node], node_id: str) -> Node:
    """Return the node with this id, a new one if its start is not logged."""
    node = nodes.get(node_id)
    if node is None:
        node = Node(node_id)
        nodes[node_id] = node
    return node


def state_after(state: RunState, event: Event) -> RunState:
    """Return the state that follows `state` after `event`."""
    if isinstance(event, PipeCompleted):
        return RunState.COMPLETED
    if isinstance(event, PipeAborted):
        return RunState.ABORTED
    return RunState.RUNNING if state is RunState.EMPTY else state


def latest_ms(run: Summary, now_ms: int) -> int:
    """Return until when a run has gone on, in milliseconds since 1970.

    That is its last event, or now if its end is not logged. The last event may be later than now if
    the clock of the process that logged it is ahead.
    """
    last_ms = None if run.last is None else moment_ms(run.last)
    if last_ms is None:
        return now_ms
    return last_ms if run.ended is not None else max(last_ms, now_ms)
