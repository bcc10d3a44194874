# SPDX-License-Identifier: MIT
"""Plain events and files for tests whose subject is the log, not what the events say."""

import os
from pathlib import Path

from . import omnelog

RUN = "feature-01kpfntqeej7vhn935kc0tm9vn"
ULID = "01kpfntqeej7vhn935kc0tm9vn"
TS = "2026-01-31T23:59:59Z"


def node(number: int, padding: int = 0) -> "omnelog.PipeAborted":
    """An event with `number` in its reason. The line is longer by `padding` bytes."""
    return omnelog.PipeAborted(id=ULID, ts=TS, run_id=RUN, reason=f"{number:06}" + "x" * padding)


def of_every_type() -> list["omnelog.Event"]:
    """One event of each of the eight types, with every optional field."""
    common = {"id": ULID, "ts": TS, "run_id": RUN}
    at_node = {**common, "node_id": "lint"}
    crash = omnelog.NodeError(kind=omnelog.ErrorKind.CRASH)
    return [
        omnelog.PipeStarted(
            **common,
            pipe="feature",
            inputs=[omnelog.Input(key="k", value='quo"te'), omnelog.Input(key="é", value="\n")],
            distro_version="1.2.3",
        ),
        omnelog.NodeStarted(**at_node, kind=omnelog.NodeKind.BASH, name="n", model="m"),
        omnelog.IterationStarted(**at_node, iteration=1, byte_offset=27),
        omnelog.GatePassed(**at_node, gate="review", method=omnelog.GateMethod.HOOK),
        omnelog.NodeCompleted(**at_node, output_path="nodes/lint.out"),
        omnelog.NodeFailed(**at_node, error=crash, message="\u2028 broke"),
        omnelog.PipeAborted(**common, reason="given up"),
        omnelog.PipeCompleted(**common),
    ]


def log_path(root: Path) -> Path:
    """The path of the log of `RUN`. Its directory is made if it does not exist."""
    path = omnelog.events_log_path(root, RUN)
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def quarantine_path(root: Path) -> Path:
    """The path of the quarantine of `RUN`."""
    return log_path(root).with_name("events.jsonl.torn")


def lines(*events: "omnelog.Event") -> bytes:
    """The content of a log with these events and nothing else."""
    return b"".join(map(omnelog.encode, events))


def open_descriptors() -> set[str]:
    """The open descriptors of this process."""
    return set(os.listdir("/proc/self/fd"))
