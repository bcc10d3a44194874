# SPDX-License-Identifier: MIT
"""Convert a run to the Trace Event Format, which Perfetto and chrome://tracing open.

https://docs.google.com/document/d/1CvAClvFfyA5R-PhYUmn5OOQtYMH4h6I0nSsKchNAySU defines the format.
A node is a complete event (X). An iteration, a gate, and the start and end of the pipe are instant
events (i). Names are metadata (M). Nodes that are not at work at the same time share a thread,
which is called a lane. `ts` is in microseconds since the run's first event, and `dur` in
microseconds.
"""

from collections.abc import Iterable, Iterator
from heapq import heappop, heappush
from typing import TypeAlias

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
from .times import moment_ms

Trace: TypeAlias = dict[str, object]

_RUN = 1  # the id of the process that stands for the run
_PIPE = 1  # the id of its first thread; the lanes of nodes come next
_FAILED = "terrible"  # the colour of a node that failed, as the format names it
_OPEN = "grey"  # the colour of a node without an end


def trace_events(run_id: str, events: Iterable[Event]) -> Iterator[Trace]:
    """Yield the trace events of a run. The memory grows with the nodes that are at work at once."""
    yield _name("process_name", _PIPE, run_id)
    yield _name("thread_name", _PIPE, "pipe")
    begin = None
    now = None
    lanes = _Lanes()
    working: dict[str, tuple[int, NodeStarted | None]] = {}
    for event in events:
        moment = moment_ms(event)
        begin = moment if begin is None else begin
        if moment is not None and begin is not None:
            now = max(now or 0, (moment - begin) * 1000)
        at = now or 0
        match event:
            case PipeStarted() | PipeCompleted() | PipeAborted():
                yield _instant(event.type, _PIPE, at, _said(event))
                continue
        node_id = event.node_id
        thread, name = lanes.of(node_id)
        if name:
            yield _name("thread_name", thread, name)
        if isinstance(event, NodeStarted):
            working[node_id] = at, event
        elif isinstance(event, NodeCompleted | NodeFailed):
            start, started = working.pop(node_id, (at, None))
            colour = _FAILED if isinstance(event, NodeFailed) else None
            yield _complete(node_id, thread, (start, at), started, _said(event), colour=colour)
        else:
            what: str = event.type
            if isinstance(event, IterationStarted):
                what = f"iteration {event.iteration}"
            yield _instant(what, thread, at, _said(event))
        if node_id not in working:
            lanes.leave(node_id)
    for node_id, (start, started) in working.items():
        said: Trace = {"end": "not logged"}
        thread, _ = lanes.of(node_id)
        yield _complete(node_id, thread, (start, now or 0), started, said, colour=_OPEN)


class _Lanes:
    """The threads that nodes share. While a node is at work, it has the lowest free one."""

    def __init__(self) -> None:
        self._taken: dict[str, int] = {}
        self._free: list[int] = []
        self._count = 0

    def of(self, node_id: str) -> tuple[int, str | None]:
        """Return the thread that a node has until it leaves, and the thread's name if it is new."""
        if node_id in self._taken:
            return self._taken[node_id], None
        name = None
        if self._free:
            thread = heappop(self._free)
        else:
            self._count += 1
            thread = _PIPE + self._count
            name = f"lane {self._count}"
        self._taken[node_id] = thread
        return thread, name

    def leave(self, node_id: str) -> None:
        """Free the thread of a node for other nodes."""
        heappush(self._free, self._taken.pop(node_id))


def _name(kind: str, thread: int, name: str) -> Trace:
    return {"ph": "M", "name": kind, "pid": _RUN, "tid": thread, "args": {"name": name}}


def _instant(name: str, thread: int, at: int, said: Trace) -> Trace:
    common = {"cat": "omne", "pid": _RUN, "tid": thread, "args": said}
    return {"ph": "i", "name": name, "ts": at, "s": "t"} | common


def _complete(
    name: str,
    thread: int,
    span: tuple[int, int],
    started: NodeStarted | None,
    said: Trace,
    *,
    colour: str | None,
) -> Trace:
    args = (_said(started) if started else {}) | said
    common: Trace = {
        "cat": started.kind if started else "omne",
        "pid": _RUN,
        "tid": thread,
        "args": args,
    }
    whole: Trace = {"ph": "X", "name": name, "ts": span[0], "dur": span[1] - span[0], **common}
    if colour is not None:
        whole["cname"] = colour
    return whole


def _said(event: Event) -> Trace:
    """Return the members that only this type of event has."""
    match event:
        case PipeStarted(pipe=pipe, inputs=inputs):
            return {"pipe": pipe, "inputs": {item.key: item.value for item in inputs}}
        case PipeAborted(reason=reason):
            return {"reason": reason}
        case NodeStarted(name=name, model=model):
            return {k: v for k, v in (("name", name), ("model", model)) if v is not None}
        case NodeCompleted(output_path=path):
            return {"end": "completed", "output_path": path}
        case NodeFailed(error=error, message=message):
            return {"end": "failed", "error": error.kind, "message": message or ""}
        case GatePassed(gate=gate, method=method):
            return {"gate": gate, "method": method}
        case IterationStarted(byte_offset=offset):
            return {"byte_offset": offset}
        case _:
            return {}
