# SPDX-License-Identifier: MIT
"""What the caller of a log knows, and what must be true of the log after any fault.

The ledger knows which events must be in the log, which may be, and which bytes must not be lost.
"""

import json
from dataclasses import dataclass, field
from itertools import takewhile
from typing import TypeAlias

from .workloads import OLDER, is_event

Note: TypeAlias = tuple[str, object]
"""A pair of a kind and a value.

- ``begins``: an append begins; the value is its lines
- ``ended``: it has ended; the value is the least and the most of its lines that are in the log
- ``tail``: the torn tail that was seen
- ``violation``: its text
"""


@dataclass(slots=True)
class Segment:
    """The lines of one call of append: the first `least` to `most` of them are in the log."""

    lines: list[bytes]
    least: int
    most: int


@dataclass(slots=True)
class Ledger:
    """What a caller knows, the torn tails it has seen, and the violations."""

    segments: list[Segment] = field(default_factory=list)
    fragments: list[bytes] = field(default_factory=list)  # torn tails that were seen
    violations: list[str] = field(default_factory=list)

    def note(self, note: Note) -> None:
        """Record a note of a workload, whose process may be dead by now."""
        match note:
            case "begins", list(lines):
                self.segments.append(Segment(lines, 0, len(lines)))
            case "ended", (int(least), int(most)):
                self.segments[-1].least, self.segments[-1].most = least, most
            case "tail", bytes(tail):
                if tail and tail not in self.fragments:
                    self.fragments.append(tail)
            case "violation", str(text):
                self.violations.append(text)
            case _:
                raise AssertionError(note)

    def judge(self, lines: list[bytes], tail: bytes) -> None:
        """Record what is wrong with the terminated `lines` of the log, and with its tail."""
        at, open_ends = 0, []
        for segment in self.segments:
            pairs = zip(lines[at:], segment.lines, strict=False)
            stand = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))
            at += stand
            if stand < segment.least:
                self.violations.append(f"{segment.lines[stand]!r} was acknowledged, and is missing")
            if stand > segment.most:
                self.violations.append(f"{segment.lines[stand - 1]!r} was denied, but is there")
            if stand < segment.most:
                open_ends.append(segment.lines[stand])
        if at != len(lines):
            self.violations.append(f"{lines[at]!r} is there twice, or nobody's, or out of order")
        if tail and tail not in self.fragments:
            if not any(line.startswith(tail) for line in open_ends):
                self.violations.append(f"the tail {tail!r} is there, and nothing reported it")
            self.fragments.append(tail)
        for line in lines:
            try:
                json.loads(line)
            except ValueError:
                self.violations.append(f"{line!r} is not a line of JSON")

    def judge_quarantine(self, lines: list[bytes], quarantined: bytes) -> None:
        """Record which bytes are lost, and which are in the quarantine twice or wrongly."""
        if quarantined and not quarantined.endswith(b"\n"):
            self.violations.append(f"the quarantine is left torn: {quarantined!r:.99}")
        aside = quarantined.split(b"\n")[:-1]
        torn = [fragment for fragment in self.fragments if not is_event(fragment)]
        for fragment in self.fragments:
            if fragment not in torn and fragment + b"\n" not in lines:
                self.violations.append(f"{fragment!r} lacked but a newline, and is lost")
            if aside.count(fragment) != (fragment in torn):
                count = aside.count(fragment)
                self.violations.append(f"{fragment!r:.99} is {count} times in the quarantine")
        for found in aside:
            if found != OLDER and not any(fragment.startswith(found) for fragment in torn):
                self.violations.append(f"{found!r:.99} is in the quarantine, but was never torn")
