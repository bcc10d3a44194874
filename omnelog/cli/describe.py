# SPDX-License-Identifier: MIT
"""Describe events, nodes and runs in words, harmless to a terminal and of bounded length."""

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
    PipeStarted,
)
from .state import Node, NodeState, Summary, latest_ms
from .text import LONGEST, plain
from .times import between_ms, elapsed_ms, moment_ms, spell_age, spell_ms

_ENDINGS = ("exit status ", "killed by ", "timed out after ")
"""The beginnings of the line with which `record` says how a command ended."""


def detail(event: Event) -> str:
    """Return what an event says apart from its type, its time and its node."""
    words: list[str] = []
    match event:
        case PipeStarted(pipe=pipe, inputs=inputs, distro_version=version):
            words = [pipe, *(f"{item.key}={item.value}" for item in inputs), f"({version})"]
        case PipeAborted(reason=reason):
            words = [reason]
        case NodeStarted():
            return work(event.kind, event.name, event.model)
        case NodeCompleted(output_path=path):
            words = [path]
        case NodeFailed():
            return failure(event.error.kind, event.message)
        case GatePassed(gate=gate, method=method):
            words = [f"gate {gate} passed by {method}"]
        case IterationStarted(iteration=iteration, byte_offset=offset):
            words = [f"iteration {iteration} from byte {offset}"]
    return plain(" ".join(words))


def work(kind: NodeKind, name: str | None, model: str | None, longest: int = LONGEST) -> str:
    """Return what a node does: its kind, its name and its model."""
    return plain(" ".join(filter(None, (kind, name, f"({model})" if model else ""))), longest)


def failure(kind: ErrorKind, message: str | None, longest: int = LONGEST) -> str:
    """Return why a node failed: the kind of its error, and a line or two of the message.

    That is the last line, which most often has the reason, after the first line if that one says
    how the command ended.
    """
    lines = [line.strip("\r") for line in (message or "").split("\n") if line.strip()]
    said = lines[-1:]
    if len(lines) > 1 and lines[0].startswith(_ENDINGS):
        said = [lines[0], lines[-1]]
    return plain(": ".join((kind, *said)), longest)


def outcome(run: Summary, now_ms: int) -> str:
    """Return in words how a run went; `now_ms` is the time, in milliseconds since 1970."""
    if run.first is None:
        return "no events yet"
    if run.ended is None:
        took = spell_ms(elapsed_ms(moment_ms(run.first), latest_ms(run, now_ms)))
        silent = spell_age(elapsed_ms(moment_ms(run.last), now_ms))
        return f"running for {took}, last event {silent} ago"
    took = spell_ms(between_ms(run.first, run.ended))
    if isinstance(run.ended, PipeAborted):
        return f"aborted after {took}: {plain(run.ended.reason)}"
    return f"completed in {took}"


def took(node: Node, run: Summary, now_ms: int) -> str:
    """Return how long a node took, or has taken until now."""
    if node.state is not NodeState.RUNNING:
        return spell_ms(node.duration_ms)
    if run.ended is not None:
        return "no end"
    return f"running {spell_ms(elapsed_ms(node.start_ms, latest_ms(run, now_ms)))}"


def sign_of(node: Node) -> str:
    """Return the sign of a node's state: ✓ completed, ✗ failed, ⏸ not ended or blocked."""
    if node.state is NodeState.COMPLETED:
        return "✓"
    waits = node.state is NodeState.RUNNING or node.error is ErrorKind.BLOCKED
    return "⏸" if waits else "✗"
