# SPDX-License-Identifier: MIT
"""The scenarios: in each, A gets one request in a prepared volume.

Events are numbers; `line` returns the canonical line of each. Each number belongs to one adapter at
one moment, so a line in a log shows who wrote it and when.
"""

from dataclasses import dataclass
from typing import Any, Literal

Json = dict[str, Any]  # Any: requests are the protocol's

FIRST = 1
"""The event that the log holds from the start."""
WHOLE_TAIL = 2
"""The event in the tail. If the tail is a whole event, only its newline is missing."""
REFUSED = 3
"""The event whose append failed before the scenario, so that the handle has to reopen."""
OPENED = 4
"""What A appends before the request, to open its handle."""
TRACED = (10, 11, 12)
"""What A appends while it is watched."""
NEXT = 20
"""What A appends afterwards, to show that it still can."""
OTHER = 30
"""What B appends while A is stopped."""
LAST = 40
"""What B appends at the end."""
FOREIGN = 50
"""What a writer that ignores the lock appends."""

Op = Literal["append", "repair", "read", "scan", "follow", "ulid", "enumerate"]
ULID_OPS = ("ulid",)


def event(number: int) -> Json:
    """Return the event with this number, as the protocol spells it."""
    return {"type": "pipe.aborted", "id": str(number), "ts": "t", "run_id": "r", "reason": "x" * 40}


def line(number: int) -> bytes:
    """Return the canonical line of the event with this number."""
    text = b'{"type":"pipe.aborted","id":"%d","ts":"t","run_id":"r","reason":"%s"}\n'
    return text % (number, b"x" * 40)


SHORT_LINE = b'{"type":"pipe.completed","id":"60","ts":"t","run_id":"r"}\n'
"""A line that is shorter than all others. It is put into a log that was cut."""
TORN = line(WHOLE_TAIL)[:25]
WHOLE = line(WHOLE_TAIL)[:-1]
NUL = b"\0" * 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """One request to A, and the state of the volume when A gets it.

    `log`: whether a log of one line exists. `opened`: whether A has appended to the log through the
    handle that it will use. `tail`: the bytes after the last newline of the log. `quarantine`: the
    content of the quarantine, if there is one. `events`: the events to append. `history`: what
    happened to the handle before. `taken`: whether another process holds the lock. `needs`: the
    capabilities that A needs. `ulid`: the last ULID of the volume, if there is one.
    """

    name: str
    op: Op
    about: str
    log: bool = True
    opened: bool = True
    tail: bytes = b""
    quarantine: bytes | None = None
    events: tuple[int, ...] = ()
    durable: bool = False
    history: Literal["", "failure", "replacement"] = ""
    taken: bool = False
    needs: tuple[str, ...] = ()
    ulid: str | None = None

    @property
    def reads(self) -> bool:
        """Whether the request only reads a log."""
        return self.op in ("read", "scan", "follow")

    @property
    def normal(self) -> frozenset[str]:
        """The answers that are right when no fault is injected."""
        if self.taken:
            return frozenset({"LockTimeout"})
        torn = self.op == "read" and self.tail not in (b"", WHOLE)
        return frozenset({"TornTailError" if torn else "ok"})

    @property
    def writes(self) -> bool:
        """Whether the request is an append, or a repair."""
        return self.op in ("append", "repair")


ONE = TRACED[:1]

SCENARIOS = [
    Scenario(name="open", op="append", about="the first append of a volume", log=False,
             opened=False, events=ONE),
    Scenario(name="append", op="append", about="one event, one handle, nothing else", events=ONE),
    Scenario(name="several", op="append", about="three events in one append", events=TRACED),
    Scenario(name="nothing", op="append", about="an append of no events", tail=TORN),
    Scenario(name="torn", op="append", about="an append to a torn tail", tail=TORN, events=ONE),
    Scenario(name="torn-first", op="append", about="the same by a handle that opens the log",
             opened=False, tail=TORN, events=ONE),
    Scenario(name="copied", op="append", about="the tail is the last line of the quarantine",
             tail=TORN, quarantine=TORN + b"\n", events=ONE),
    Scenario(name="half-copied", op="append", about="a copy of the tail was interrupted",
             tail=TORN, quarantine=TORN[:10], events=ONE),
    Scenario(name="whole", op="append", about="an append to a tail that is a whole event",
             tail=WHOLE, events=ONE),
    Scenario(name="nul", op="append", about="an append to a tail of NULs", tail=NUL, events=ONE),
    Scenario(name="repair", op="repair", about="a repair without an append", tail=TORN,
             needs=("repair",)),
    Scenario(name="durable-open", op="append", about="the first durable append of a volume",
             log=False, opened=False, events=ONE, durable=True, needs=("durable",)),
    Scenario(name="durable", op="append", about="a durable append", events=ONE, durable=True,
             needs=("durable",)),
    Scenario(name="durable-several", op="append", about="a durable append of three events",
             events=TRACED, durable=True, needs=("durable",)),
    Scenario(name="durable-torn", op="append", about="a durable append to a torn tail", tail=TORN,
             events=ONE, durable=True, needs=("durable",)),
    Scenario(name="after-failure", op="append", about="the append after one that failed",
             events=ONE, history="failure"),
    Scenario(name="durable-after-failure", op="append", about="the same, durable", events=ONE,
             durable=True, history="failure", needs=("durable",)),
    Scenario(name="after-replacement", op="append", about="the append after the log was replaced",
             events=ONE, history="replacement"),
    Scenario(name="taken", op="append", about="an append while somebody else has the lock",
             events=ONE, taken=True),
    Scenario(name="read", op="read", about="a log of whole lines is read", opened=False),
    Scenario(name="read-torn", op="read", about="a log with a torn tail is read", opened=False,
             tail=TORN),
    Scenario(name="read-whole", op="read", about="a log whose last newline is missing is read",
             opened=False, tail=WHOLE),
    Scenario(name="scan", op="scan", about="a log of whole lines is scanned", opened=False,
             needs=("scan",)),
    Scenario(name="scan-torn", op="scan", about="a log with a torn tail is scanned", opened=False,
             tail=TORN, needs=("scan",)),
    Scenario(name="follow", op="follow", about="a log of whole lines is followed", opened=False,
             needs=("follow",)),
    Scenario(name="follow-torn", op="follow", about="a log with a torn tail is followed",
             opened=False, tail=TORN, needs=("follow",)),
    Scenario(name="ulid-first", op="ulid", about="the first ULID of a volume", log=False,
             opened=False, needs=("ulid",)),
    Scenario(name="ulid", op="ulid", about="the next ULID", log=False, opened=False,
             ulid="01aryz6s41tpcmn2ymxy3gv7xg", needs=("ulid",)),
    Scenario(name="ulid-ahead", op="ulid", about="the next ULID while the clock is behind",
             log=False, opened=False, ulid="71aryz6s41tpcmn2ymxy3gv7xg", needs=("ulid",)),
    Scenario(name="enumerate", op="enumerate", about="the runs are listed", opened=False),
]  # fmt: skip
