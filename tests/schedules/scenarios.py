# SPDX-License-Identifier: MIT
"""Scenarios: what the processes find and do, in one line of text.

A scenario is the log as it is found, and processes with their operations::

    torn A:append+append B/mortal:append C:read

Each process has a letter, traits and operations. The traits:

- ``mortal``: it may die before any of its calls, or after a part of a write
- ``impatient``: its deadline may pass while it waits for the lock
- ``durable``: its handle is durable
- ``short``: its first write of a line writes only two thirds; the rest takes another call
- ``full``: as ``short``, and the write of the rest fails because the disk is full

The operations are those of a `LineLog` (``append``, ``many``, ``repair``), those of a reader
(``read``, ``scan``, ``follow``), and:

- ``open``: open the handle; without it, the handle is open when the schedule begins
- ``once``: `append_log`, which opens, appends and closes
- ``move``, ``swap``: rename the log; replace it by an empty one
- ``idle``: sleep for 1.2 s, after which a handle looks at the path again
- ``stop``: ask the followers to stop; without it, they are asked when all others have ended
"""

import re
from dataclasses import dataclass

TRAITS = {"mortal", "impatient", "durable", "short", "full"}
HANDLE_OPERATIONS = {"append", "many", "repair", "open"}
READING = {"read", "scan", "follow"}
OPERATIONS = HANDLE_OPERATIONS | READING | {"once", "move", "swap", "idle", "stop"}

SEED = b'{"w":"seed"}\n'
GARBAGE = b'{"w":"torn'
WHOLE = b'{"w":"whole"}'
FOUND: dict[str, bytes | None] = {
    "absent": None,
    "empty": b"",
    "sound": SEED,
    "torn": SEED + GARBAGE,
    "unterminated": SEED + WHOLE,
}
"""The log as a scenario finds it."""

_PROCESS = re.compile(r"([A-Y])((?:/[a-z]+)*):([a-z+]+)")


@dataclass(frozen=True, slots=True)
class Plan:
    """The letter, the traits and the operations of one process."""

    letter: str
    traits: frozenset[str]
    operations: tuple[str, ...]

    def __str__(self) -> str:
        traits = "".join(f"/{trait}" for trait in sorted(self.traits))
        return f"{self.letter}{traits}:{'+'.join(self.operations)}"

    @classmethod
    def parse(cls, text: str) -> "Plan":
        """Return the plan whose `str` is `text`. Raise ValueError if there is none."""
        match = _PROCESS.fullmatch(text)
        if match is None:
            raise ValueError(f"{text!r} is not a process, such as A/mortal:append+read")
        letter, traits, operations = match.groups()
        plan = cls(letter, frozenset(traits.split("/")[1:]), tuple(operations.split("+")))
        unknown = (plan.traits - TRAITS) | (set(plan.operations) - OPERATIONS)
        if unknown:
            raise ValueError(f"{text!r} has {min(unknown)!r}, which is not known")
        return plan


@dataclass(frozen=True, slots=True)
class Scenario:
    """A log as it is found, and the processes that use it."""

    found: str
    processes: tuple[Plan, ...]

    def __str__(self) -> str:
        return " ".join([self.found, *map(str, self.processes)])

    @classmethod
    def parse(cls, text: str) -> "Scenario":
        """Return the scenario whose `str` is `text`. Raise ValueError if there is none."""
        found, *processes = text.split()
        if found not in FOUND:
            raise ValueError(f"{found!r} is not a log; there are {', '.join(FOUND)}")
        scenario = cls(found, tuple(map(Plan.parse, processes)))
        if not processes or len({plan.letter for plan in scenario.processes}) < len(processes):
            raise ValueError(f"{text!r} needs processes, each with a letter of its own")
        return scenario
