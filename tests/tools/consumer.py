# SPDX-License-Identifier: MIT
"""A program that uses omnelog, to test what mypy and pyright infer, and what they refuse.

Each line with an ignore must be an error: both checkers are set to report unneeded ignores.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import assert_never, assert_type

from omnelog import (
    DeserializeError,
    ErrorKind,
    Event,
    EventLog,
    GateMethod,
    GatePassed,
    Input,
    IterationStarted,
    NodeCompleted,
    NodeFailed,
    NodeKind,
    NodeStarted,
    PipeAborted,
    PipeCompleted,
    PipeStarted,
    decode,
    encode,
    find_omne_root,
    follow_run,
    iter_run,
    read_run,
    scan_run,
)


def narrowed(event: Event) -> str:
    """`match` narrows an event to each of the eight types, and no type is left over."""
    assert_type(event.id, str)
    match event:
        case PipeStarted(inputs=inputs):
            assert_type(inputs, list[Input])
        case PipeCompleted():
            assert_type(event, PipeCompleted)
        case PipeAborted(reason=reason):
            assert_type(reason, str)
        case NodeStarted(kind=kind, name=name):
            assert_type(kind, NodeKind)
            assert_type(name, str | None)
        case NodeCompleted(output_path=output_path):
            assert_type(output_path, str)
        case NodeFailed(error=error):
            assert_type(error.kind, ErrorKind)
        case GatePassed(method=method):
            assert_type(method, GateMethod)
        case IterationStarted(byte_offset=byte_offset):
            assert_type(byte_offset, int)
        case _:
            assert_never(event)
    return event.type


def left_over(event: Event) -> None:
    """A checker reports a `match` that forgets seven of the types."""
    match event:
        case PipeStarted():
            pass
        case _:
            assert_never(event)  # type: ignore[arg-type]


def used(root: Path, event: NodeStarted) -> None:
    """What functions take, and what they return."""
    with EventLog.for_run(root, "run", lock_timeout=0.5, durable=True) as log:
        assert_type(log, EventLog)
        assert_type(log.path, Path)
        log.append(event)
        log.append_many([event])
        log.append("event")  # type: ignore[arg-type]
    assert_type(encode(event), bytes)
    assert_type(decode(b"{}"), Event)
    assert_type(read_run(root, "run"), list[Event])
    assert_type(iter_run(str(root), "run"), Iterator[Event])
    assert_type(follow_run(root, "run"), Iterator[Event])
    assert_type(scan_run(root, "run").problems, list[DeserializeError])
    assert_type(find_omne_root("."), Path | None)
    event.name = "frozen"  # type: ignore[misc]
    PipeCompleted(id="i", ts="t")  # type: ignore[call-arg]
    PipeAborted(id="i", ts="t", run_id="r", reason=None)  # type: ignore[arg-type]
