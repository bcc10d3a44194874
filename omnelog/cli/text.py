# SPDX-License-Identifier: MIT
"""Events, runs and sizes in words, harmless to a terminal and of bounded length."""

from .. import (
    ErrorKind,
    Event,
    GatePassed,
    IterationStarted,
    NodeCompleted,
    NodeFailed,
    NodeStarted,
    PipeAborted,
    PipeStarted,
)
from .state import Node, NodeState, RunState, Summary
from .times import between_ms, spell_ms

_LONGEST = 500  # characters of one text; all of it is in `show --json`


def plain(text: str, longest: int = _LONGEST) -> str:
    """`text` on one line of a terminal: what does not print is escaped, colour codes included."""
    cut = text[:longest]
    if not cut.isprintable():
        escaped = (c if c.isprintable() else c.encode("unicode_escape").decode() for c in cut)
        cut = "".join(escaped)
    return cut if len(text) <= longest else f"{cut}... ({len(text)} characters)"


def short(text: str, longest: int) -> str:
    """`text` harmless as in `plain`, cut to `longest` characters."""
    whole = plain(text[: longest + 1])
    return whole if len(whole) <= longest else f"{whole[: longest - 3]}..."


def counted(number: int, noun: str) -> str:
    """So many of a thing, in English."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def detail(event: Event) -> str:
    """What an event says beyond when, what and which node."""
    words: list[str] = []
    match event:
        case PipeStarted(pipe=pipe, inputs=inputs, distro_version=version):
            words = [pipe, *(f"{item.key}={item.value}" for item in inputs), f"({version})"]
        case PipeAborted(reason=reason):
            words = [reason]
        case NodeStarted():
            return work(event)
        case NodeCompleted(output_path=path):
            words = [path]
        case NodeFailed():
            return failure(event)
        case GatePassed(gate=gate, method=method):
            words = [f"gate {gate} passed by {method}"]
        case IterationStarted(iteration=iteration, byte_offset=offset):
            words = [f"iteration {iteration} from byte {offset}"]
    return plain(" ".join(words))


def work(start: NodeStarted) -> str:
    """What a node does."""
    model = f"({start.model})" if start.model else ""
    return plain(" ".join(filter(None, (start.kind, start.name, model))))


def failure(end: NodeFailed) -> str:
    """Why a node failed: its error's kind, and of the message the line that most often says it."""
    lines = (line for line in reversed((end.message or "").split("\n")) if line.strip())
    last = next(lines, "")
    return plain(f"{end.error.kind}: {last}" if last else end.error.kind)


def spell_size(size: int) -> str:
    """A number of bytes as people read it, in units of 1,000."""
    amount = float(size)
    for unit in ("B", "kB", "MB"):
        if amount < 999.5:
            return f"{amount:.0f} {unit}" if unit == "B" or amount >= 10 else f"{amount:.1f} {unit}"
        amount /= 1000
    return f"{amount:.1f} GB"


def outcome(run: Summary) -> str:
    """How a run went, in words."""
    took = spell_ms(between_ms(run.first, run.last if run.ended is None else run.ended))
    words = {
        RunState.EMPTY: "no events yet",
        RunState.RUNNING: f"running, last heard of after {took}",
        RunState.COMPLETED: f"completed in {took}",
        RunState.ABORTED: f"aborted after {took}",
    }
    reason = f": {plain(run.ended.reason)}" if isinstance(run.ended, PipeAborted) else ""
    return words[run.state] + reason


def sign_of(node: Node) -> str:
    """The sign of how far a node has come: ✓ done, ✗ failed, ⏸ not ended, or blocked."""
    if node.state is NodeState.COMPLETED:
        return "✓"
    blocked = isinstance(node.end, NodeFailed) and node.end.error.kind is ErrorKind.BLOCKED
    return "⏸" if node.state is NodeState.RUNNING or blocked else "✗"
