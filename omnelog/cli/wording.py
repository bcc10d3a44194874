# SPDX-License-Identifier: MIT
"""Events in words, harmless to a terminal and of bounded length, whatever they say."""

from .. import (
    Event,
    GatePassed,
    IterationStarted,
    NodeCompleted,
    NodeFailed,
    NodeStarted,
    PipeAborted,
    PipeStarted,
)

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
