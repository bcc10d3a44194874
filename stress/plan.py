# SPDX-License-Identifier: MIT
"""Every choice a round makes, drawn from one seed, so that it can be made again.

The same seed gives the same writers, start methods, handles, events and sizes. It does not give
the same interleaving: that is the machine's part, and the point.
"""

import json
import string
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from random import Random
from typing import Any, TypeAlias

Record: TypeAlias = dict[str, Any]
"""An event as plain JSON, in wire order, made without omnelog."""

RUNNER = 0
"""The writer that is the parent process: it starts the run and ends it, as a runner would."""

PAGE = 4096
PIPE_BUFFER = 65536
_LARGEST = 256 * 1024  # characters of one text
_POOL = 8192  # characters that all texts of a writer are cut out of
_TYPICAL = 150  # characters: half of the texts are shorter than twice this
_TAIL = 1.1  # the Pareto exponent: 1 in 38 texts is above 4 KiB, 1 in 800 above 64 KiB

# What a line must escape, what it must not, and what a careless reader takes for a line's end.
_NASTY = '"\\/\b\f\n\r\t\x00\x01\x1b\x1c\x7f\x85\xa0é߀ऄ\u2028\u2029\ufeff\ufffd😀𝄞{}[]:,'
_ALPHABET = string.ascii_letters + string.digits + "     " + _NASTY
_KINDS = ("command", "prompt", "bash", "loop")
_ERRORS = ("crash", "timeout", "gate_failed", "blocked", "max_iterations_exceeded", "host_missing")
_METHODS = ("hook", "human_cli", "mcp_tool")


class Start(StrEnum):
    """How a writer's process comes to be."""

    RUNNER = "runner"  # it is the parent itself
    SPAWN = "spawn"
    FORK = "fork"


class Handle(StrEnum):
    """Where a writer has its handle on the log from."""

    OWN = "own"  # it opened one itself
    PASSED = "passed"  # the runner's, opened before: inherited over fork, or pickled to a spawn


@dataclass(frozen=True, slots=True, kw_only=True)
class WriterPlan:
    """One writer."""

    writer: int
    """From 1; 0 is the runner."""
    start: Start
    handle: Handle
    events: int
    lock_timeout_s: float
    """0 for the impatient writer, which tries the lock once an append and is often refused."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundPlan:
    """One log, those who write it, and what is done to them."""

    name: str
    seed: int
    run_id: str
    writers: tuple[WriterPlan, ...]
    readers: int
    fault: str | None
    sabotage: str | None

    @property
    def events(self) -> int:
        """How many appends are attempted, the runner's two included."""
        return sum(writer.events for writer in self.writers)


def draw_round(
    seed: int,
    *,
    writers: int,
    events: int,
    fault: str | None = None,
    sabotage: str | None = None,
    small: bool = False,
) -> RoundPlan:
    """Plan a round: a runner, `writers` writers of `events` appends, an impatient one, a reader.

    Half the writers are spawned and half forked, half of either with a handle of their own.
    `small` leaves out the impatient writer and spawning, which takes most of a small round's time.
    """
    name = f"sabotage-{sabotage}" if sabotage and small else fault or "plain"
    dice = Random(f"{seed}/{name}")
    ways = [(start, handle) for handle in Handle for start in (Start.SPAWN, Start.FORK)]
    ways = [way for way in ways if not (small and way[0] is Start.SPAWN)]
    crew = [
        WriterPlan(writer=n, start=start, handle=handle, events=events, lock_timeout_s=5.0)
        for n in range(1, writers + 1)
        for start, handle in [ways[n % len(ways)]]
    ]
    if not small:
        start, own = dice.choice((Start.SPAWN, Start.FORK)), Handle.OWN
        number = writers + 1
        crew.append(
            WriterPlan(writer=number, start=start, handle=own, events=events, lock_timeout_s=0)
        )
    runner = WriterPlan(
        writer=RUNNER, start=Start.RUNNER, handle=Handle.OWN, events=2, lock_timeout_s=5.0
    )
    suffix = "".join(dice.choices("0123456789abcdefghjkmnpqrstvwxyz", k=25))
    return RoundPlan(
        name=name,
        seed=seed,
        run_id=f"stress-0{suffix}",
        writers=(runner, *crew),
        readers=1,
        fault=fault,
        sabotage=sabotage,
    )


def event_id(writer: int, seq: int) -> str:
    """The id that tells whose event a line is: a ULID by its form, all of decimal digits."""
    return f"{writer:06}{seq:020}"


def canonical_line(record: Record) -> bytes:
    """The line that must be in the log for `record`, newline included, made by `json` alone."""
    return json.dumps(record, separators=(",", ":"), ensure_ascii=False).encode() + b"\n"


def draw_records(plan: RoundPlan, writer: WriterPlan) -> Iterator[Record]:
    """The events that a writer appends, in order.

    Sizes are heavy-tailed: most lines are of a few hundred bytes. Whoever appends at least two
    has one beyond 64 KiB and one between 4 and 64 KiB among them.
    """
    if writer.start is Start.RUNNER:
        head = _head(plan, writer, 0, "pipe.started")
        yield head | {"pipe": "stress", "inputs": [], "distro_version": "0.1.0"}
        yield _head(plan, writer, 1, "pipe.completed")
        return
    dice = Random(f"{plan.seed}/{plan.name}/{writer.writer}")
    pool = "".join(dice.choices(_ALPHABET, k=_POOL))
    sizes = [min(int(_TYPICAL * dice.paretovariate(_TAIL)), _LARGEST) for _ in range(writer.events)]
    if writer.events > 1:
        large, middling = dice.sample(range(writer.events), 2)
        sizes[large] = dice.randrange(PIPE_BUFFER, 2 * PIPE_BUFFER)
        sizes[middling] = dice.randrange(PAGE, PIPE_BUFFER // 2)
    for seq, size in enumerate(sizes):
        yield _draw_record(dice, plan, writer, seq, _draw_text(dice, pool, size))


def _head(plan: RoundPlan, writer: WriterPlan, seq: int, tag: str) -> Record:
    return {
        "type": tag,
        "id": event_id(writer.writer, seq),
        "ts": "2025-01-31T23:59:59Z",
        "run_id": plan.run_id,
    }


def _draw_text(dice: Random, pool: str, size: int) -> str:
    pieces = []
    while size > 0:
        begin = dice.randrange(len(pool))
        pieces.append(pool[begin : begin + size])
        size -= len(pieces[-1])
    return "".join(pieces)


def _draw_record(dice: Random, plan: RoundPlan, writer: WriterPlan, seq: int, text: str) -> Record:
    """One event with `text` in it, if its type carries any: where that is much, it does."""
    size = len(text)
    node: Record = {"node_id": f"node-{writer.writer}"}
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
        "node.completed": node | {"output_path": f".omne/var/runs/{plan.run_id}/nodes/n.out"},
        "iteration.started": node
        | {"iteration": dice.randrange(2**32), "byte_offset": dice.randrange(2**64)},
    }
    carriers = ("pipe.aborted", "node.failed", "gate.passed")
    tag = dice.choice(carriers if size > PAGE else tuple(bodies))
    return _head(plan, writer, seq, tag) | bodies[tag]
