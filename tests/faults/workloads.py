# SPDX-License-Identifier: MIT
"""The workloads: a log as it is found, and the operations on it while the system fails."""

from dataclasses import dataclass
from typing import TypeAlias

from .. import omnelog

RUN = "r"

Plan: TypeAlias = tuple[tuple[int, str], ...]
"""The numbers of the system calls that meet a fault, and which fault each meets."""


def event(number: int) -> "omnelog.PipeCompleted":
    """A short event, because a write can fail at each byte of it."""
    return omnelog.PipeCompleted(id=str(number), ts="t", run_id=RUN)


def line(number: int) -> bytes:
    """The line of `event`, written without the encoder."""
    return b'{"type":"pipe.completed","id":"%d","ts":"t","run_id":"r"}\n' % number


SEED = line(0)
GARBAGE = b'{"type":"node.started","id":"torn","run'
WHOLE = line(3)[:-1]
OLDER = b"older"
NULS = bytes(40)
LARGE = b'{"type":"' + b"x" * 600_000  # more than two of the blocks that a repair copies
HOLE = bytes(600_000)  # takes no room on the disk
FOUND: dict[str, tuple[bytes | None, bytes | None]] = {
    "absent": (None, None),
    "empty": (b"", None),
    "sound": (SEED, None),
    "torn": (SEED + GARBAGE, None),
    "torn-alone": (GARBAGE, None),
    "unterminated": (SEED + WHOLE, None),
    "nuls": (SEED + NULS, None),
    "part-and-nuls": (SEED + GARBAGE + NULS, None),
    "copied": (SEED + GARBAGE, OLDER + b"\n" + GARBAGE + b"\n"),
    "copied-but-newline": (SEED + GARBAGE, GARBAGE),
    "half-copied": (SEED + GARBAGE, OLDER + b"\n" + GARBAGE[:20]),
    "large": (SEED + LARGE, None),
    "sparse": (SEED + GARBAGE + HOLE + GARBAGE, None),
    "others": (SEED + GARBAGE, None),  # the log has another owner, if this user may set one
}
"""A log, and its quarantine, as a workload finds them."""


@dataclass(frozen=True, slots=True)
class Workload:
    """A log as it is found, whether the handle is durable, and the operations."""

    found: str
    durable: bool
    operations: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.found}/{'durable' if self.durable else 'plain'}/{'+'.join(self.operations)}"

    @classmethod
    def parse(cls, text: str) -> "Workload":
        """The workload whose `str` is `text`."""
        found, handle, operations = text.split("/")
        return cls(found, handle == "durable", tuple(operations.split("+")))


@dataclass(frozen=True, slots=True)
class Case:
    """A workload, and the faults that its system calls meet."""

    workload: Workload
    plan: Plan

    def __str__(self) -> str:
        return f"{self.workload}@{','.join(f'{call}={fault}' for call, fault in self.plan)}"

    @classmethod
    def parse(cls, text: str) -> "Case":
        """The case whose `str` is `text`."""
        workload, plan = text.split("@")
        pairs = (part.split("=") for part in plan.split(","))
        return cls(Workload.parse(workload), tuple((int(call), fault) for call, fault in pairs))

    @property
    def kills(self) -> bool:
        """Whether one of the faults is the death of the process."""
        return any(fault.startswith(("before", "after", "dies")) for _, fault in self.plan)


def is_event(line: bytes) -> bool:
    """Whether `line`, made from the constants above, is a whole event without its newline."""
    return line.startswith(b"{") and line.endswith(b"}")
