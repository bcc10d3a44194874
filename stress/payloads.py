# SPDX-License-Identifier: MIT
"""The records that writers append, as plain JSON drawn from the seed; no omnelog code.

Their sizes are heavy-tailed. Their texts are full of characters that careless code gets wrong.
"""

import json
import math
import string
from collections.abc import Iterator
from random import Random
from typing import Any, TypeAlias

Record: TypeAlias = dict[str, Any]
"""An event as plain JSON, in wire order."""

PAGE = 4096
PIPE_BUFFER = 65536
_POOL = 8192  # characters; all texts of a writer are cut out of these
_SMALLEST = 100  # bytes of a line with tags
_LARGE_PART = 1 / 3  # of the lines with tags
_TAGGED_FRAME = len('{"id": "", "text": ""}') + 26 + 1  # bytes of such a line without the tags
_TYPICAL = 100  # characters: half of the texts are shorter than twice this
_TAIL = 1.1  # the Pareto exponent: 1 in 60 texts is above 4 KiB, 1 in 1,250 above 64 KiB

# Characters that a line must escape, characters that it must not escape, and characters at which a
# careless reader splits lines.
_NASTY = '"\\/\b\f\n\r\t\x00\x01\x1b\x1c\x7f\x85\xa0é߀ऄ\u2028\u2029\ufeff\ufffd😀𝄞{}[]:,'
_ALPHABET = string.ascii_letters + string.digits + "     " + _NASTY
_KINDS = ("command", "prompt", "bash", "loop")
_ERRORS = ("crash", "timeout", "gate_failed", "blocked", "max_iterations_exceeded", "host_missing")
_ROLES = ("system", "user", "assistant", "tool")
_METHODS = ("hook", "human_cli", "mcp_tool")


def event_id(writer: int, seq: int) -> str:
    """Return the id of an event, which names its writer: a ULID that has only decimal digits."""
    return f"{writer:06}{seq:020}"


def canonical_line(record: Record) -> bytes:
    """Return the line that must be in the log for `record`, with its newline.

    It is made by `json` alone.
    """
    return json.dumps(record, separators=(",", ":"), ensure_ascii=False).encode() + b"\n"


def draw_records(
    dice: Random, run_id: str, writer: int, events: int, largest: int
) -> Iterator[Record]:
    """Yield the events that a writer appends, in order. Most lines have a few hundred bytes.

    `largest`: the most bytes of a line. Of three events or more, one has 4 to 64 KiB and, if
    `largest` allows it, one has more than 64 KiB and one has about half of `largest` or more.
    """
    for seq, text in enumerate(_draw_texts(dice, events, largest)):
        yield _draw_record(dice, head(run_id, writer, seq), text)


def draw_messages(
    dice: Random, run_id: str, writer: int, events: int, largest: int
) -> Iterator[Record]:
    """Yield the same texts in records that are not events, like the messages of a conversation."""
    for seq, text in enumerate(_draw_texts(dice, events, largest)):
        message: Record = {"id": event_id(writer, seq), "role": dice.choice(_ROLES)}
        shape = dice.randrange(3) if len(text) <= PAGE else 0
        if shape == 0:
            message["content"] = text
        elif shape == 1:
            message["content"] = [{"type": "text", "text": text}, {"cached": None, "ok": True}, []]
        else:
            message[text] = {"tokens": -dice.randrange(2**70), "temperature": dice.random()}
        yield message


def draw_message_frame(run_id: str, writer: int) -> Iterator[Record]:
    """Yield the two records that a runner appends to a log of messages."""
    yield {"id": event_id(writer, 0), "role": "system", "content": run_id}
    yield {"id": event_id(writer, 1), "role": "system", "content": "", "": {}}


def _draw_texts(dice: Random, events: int, largest: int) -> Iterator[str]:
    """Yield texts of which a few are large, as `draw_records` says."""
    pool = "".join(dice.choices(_ALPHABET, k=_POOL))
    most = largest * 6 // 10  # characters, of 1.56 bytes on average
    sizes = [min(int(_TYPICAL * dice.paretovariate(_TAIL)), most) for _ in range(events)]
    if events >= 3:
        middling, large, huge = dice.sample(range(events), 3)
        sizes[middling] = min(dice.randrange(PAGE, PIPE_BUFFER // 2), most)
        sizes[large] = min(PIPE_BUFFER, most)
        sizes[huge] = dice.randrange(most // 2, most)
    for size in sizes:
        yield _draw_text(dice, pool, size)


def draw_frame(run_id: str, writer: int) -> Iterator[Record]:
    """Yield the two events that a runner appends: at the start and at the end of the run."""
    started = {"pipe": "stress", "inputs": [], "distro_version": "0.1.0"}
    yield {"type": "pipe.started", **head(run_id, writer, 0), **started}
    yield {"type": "pipe.completed", **head(run_id, writer, 1)}


def draw_tagged(
    dice: Random, run_id: str, writer: int, events: int, largest: int
) -> Iterator[Record]:
    """Yield records whose pieces show by their tags where they come from, unless they are tiny.

    Two in three have 100 bytes to 4 KiB, the rest 4 KiB to `largest`; within these limits, each
    order of magnitude is equally likely. Of two records or more, one has almost `largest` bytes.
    """
    sizes = []
    for _ in range(events):
        is_large = dice.random() < _LARGE_PART
        limits = (PAGE, largest) if is_large else (_SMALLEST, PAGE)
        sizes.append(_draw_size(dice, *limits))
    if events >= 2:
        sizes[dice.randrange(events)] = largest
    for seq, size in enumerate(sizes):
        yield tagged_record(writer, seq, size)


def _draw_size(dice: Random, smallest: int, largest: int) -> int:
    return round(math.exp(dice.uniform(math.log(smallest), math.log(largest))))


def tagged_record(writer: int, seq: int, size: int) -> Record:
    """Return a record with tags. Its line has about `size` bytes, and at least one tag."""
    tag = f"w{writer}s{seq};"
    text = tag * ((size - _TAGGED_FRAME) // len(tag))
    return {"id": event_id(writer, seq), "text": text or tag}


def tagged_line(record: Record, *, spaced: bool = False) -> bytes:
    """Return the `canonical_line` of a record with tags, in a fraction of the time.

    `spaced`: put a space after each comma and colon, as `json.dumps` does by default.
    """
    comma, colon = (", ", ": ") if spaced else (",", ":")
    return f'{{"id"{colon}"{record["id"]}"{comma}"text"{colon}"{record["text"]}"}}\n'.encode()


def head(run_id: str, writer: int, seq: int) -> Record:
    """Return the members that every event has, except its type."""
    return {"id": event_id(writer, seq), "ts": "2025-01-31T23:59:59Z", "run_id": run_id}


def _draw_text(dice: Random, pool: str, size: int) -> str:
    pieces = []
    while size > 0:
        begin = dice.randrange(len(pool))
        pieces.append(pool[begin : begin + size])
        size -= len(pieces[-1])
    return "".join(pieces)


def _draw_record(dice: Random, head: Record, text: str) -> Record:
    """Return an event of a random type, with `text` in it if the type has a place for one.

    A text of more than 4 KiB always has a place.
    """
    size = len(text)
    node: Record = {"node_id": f"node-{dice.randrange(100)}"}
    bodies: dict[str, Record] = {
        "pipe.started": {
            "pipe": "stress",
            "inputs": [
                {"key": part, "value": text[len(part) :]} for part in ("", text[: size // 3])
            ],
            "distro_version": "0.1.0",
        },
        "pipe.aborted": {"reason": text},
        "node.started": node
        | {"kind": dice.choice(_KINDS)}
        | ({"name": text} if size % 3 else {})
        | ({"model": text[:20]} if size % 2 else {}),
        "node.failed": node | {"error": {"kind": dice.choice(_ERRORS)}, "message": text},
        "gate.passed": node | {"gate": text, "method": dice.choice(_METHODS)},
        "pipe.completed": {},
        "node.completed": node | {"output_path": f".omne/var/runs/{head['run_id']}/nodes/n.out"},
        "iteration.started": node
        | {"iteration": dice.randrange(2**32), "byte_offset": dice.randrange(2**64)},
    }
    carriers = ("pipe.aborted", "node.failed", "gate.passed")
    tag = dice.choice(carriers if size > PAGE else tuple(bodies))
    return {"type": tag, **head, **bodies[tag]}
