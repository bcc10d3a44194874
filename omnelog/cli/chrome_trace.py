# SPDX-License-Identifier: MIT
"""A run in the Trace Event Format, which Perfetto and chrome://tracing open: pure, as it streams.

https://docs.google.com/document/d/1CvAClvFfyA5R-PhYUmn5OOQtYMH4h6I0nSsKchNAySU: a node is a thread
with one complete event (X), an iteration or a gate an instant event (i) of it, names are metadata
(M). `ts` and `dur` are microseconds, from the run's first event on.
"""

from collections.abc import Iterable, Iterator
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

_RUN = 1  # the process that stands for the run; its first thread is the pipe


def trace_events(run_id: str, events: Iterable[Event]) -> Iterator[Trace]:
    """Yield the trace events of a run, in memory that grows with its nodes that are at work."""
    yield _name("process_name", 0, run_id)
    yield _name("thread_name", 0, "pipe")
    begin = now = None
    threads: dict[str, int] = {}
    working: dict[str, tuple[int, NodeStarted | None]] = {}
    for event in events:
        moment = moment_ms(event)
        begin = moment if begin is None else begin
        if moment is not None and begin is not None:
            now = max(now or 0, (moment - begin) * 1000)
        at = now or 0
        match event:
            case PipeStarted() | PipeCompleted() | PipeAborted():
                yield _instant(event.type, 0, at, _said(event))
                continue
        node_id = event.node_id
        if node_id not in threads:
            threads[node_id] = len(threads) + 1
            yield _name("thread_name", threads[node_id], node_id)
        thread = threads[node_id]
        if isinstance(event, NodeStarted):
            working[node_id] = at, event
        elif isinstance(event, NodeCompleted | NodeFailed):
            start, started = working.pop(node_id, (at, None))
            yield _complete(node_id, thread, (start, at), started, _said(event))
        else:
            name: str = event.type
            if isinstance(event, IterationStarted):
                name = f"iteration {event.iteration}"
            yield _instant(name, thread, at, _said(event))
    for node_id, (start, started) in working.items():
        said: Trace = {"end": "not logged"}
        yield _complete(node_id, threads[node_id], (start, now or 0), started, said)


def _name(kind: str, thread: int, name: str) -> Trace:
    return {"ph": "M", "name": kind, "pid": _RUN, "tid": thread, "args": {"name": name}}


def _instant(name: str, thread: int, at: int, said: Trace) -> Trace:
    common = {"cat": "omne", "pid": _RUN, "tid": thread, "args": said}
    return {"ph": "i", "name": name, "ts": at, "s": "t"} | common


def _complete(
    name: str, thread: int, span: tuple[int, int], started: NodeStarted | None, said: Trace
) -> Trace:
    args = (_said(started) if started else {}) | said
    common = {"cat": started.kind if started else "omne", "pid": _RUN, "tid": thread, "args": args}
    return {"ph": "X", "name": name, "ts": span[0], "dur": span[1] - span[0]} | common


def _said(event: Event) -> Trace:
    """What an event says of its own."""
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
