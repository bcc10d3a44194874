# SPDX-License-Identifier: MIT
"""A log as it is found, and what is done to it while its system fails."""

from dataclasses import dataclass
from typing import TypeAlias

from .. import omnelog

RUN = "r"

Plan: TypeAlias = tuple[tuple[int, str], ...]
"""The numbers of the system calls that meet a fault, and which fault each meets."""


def event(number: int) -> "omnelog.PipeCompleted":
    """A short event of its own: each of its bytes is a place to fail at."""
    return omnelog.PipeCompleted(id=str(number), ts="t", run_id=RUN)


def line(number: int) -> bytes:
    """The line of `event`, spelt by hand."""
    return b'{"type":"pipe.completed","id":"%d","ts":"t","run_id":"r"}\n' % number


SEED = line(0)
GARBAGE = b'{"type":"node.started","id":"torn","run'
WHOLE = line(3)[:-1]
OLDER = b"older"
NULS = bytes(40)
LARGE = b'{"type":"' + b"x" * 600_000  # more than two of the blocks in which it is copied
HOLE = bytes(600_000)  # which takes no room on the disk
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
    "others": (SEED + GARBAGE, None),  # and the log belongs to somebody else, where one may do that
}
"""A log, and its quarantine, as a workload finds them."""


@dataclass(frozen=True, slots=True)
class Workload:
    """A log as it is found, whether the handle is durable, and what is done."""

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
    """A workload, and which of its system calls meet which faults."""

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
    """Whether `line`, which comes from here, is a whole event."""
    return line.startswith(b"{") and line.endswith(b"}")
