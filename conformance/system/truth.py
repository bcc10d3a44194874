# SPDX-License-Identifier: MIT
"""Judge the files of a volume by what was appended, and by which adapter.

This does not depend on how an implementation works. A log is right if it begins with the lines that
it had before, in their order. Whole lines of known batches follow. Each batch is in one piece and
begins with its first line, and it has as many lines as the answer to its append allows. Each torn
tail that was cut off is in the quarantine exactly once.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

from .scenarios import FIRST, FOREIGN, WHOLE, WHOLE_TAIL, line

_SHOWN = 160  # bytes of a file that a message shows


@dataclass(slots=True, kw_only=True)
class Batch:
    """The events of one append: from `least` to `most` of its lines must be in the log."""

    who: str
    events: tuple[int, ...]
    least: int
    most: int

    @classmethod
    def of(cls, who: str, events: Iterable[int], *, done: bool = True) -> "Batch":
        """Return a batch of which all lines must be in the log, or none unless it is `done`."""
        numbers = tuple(events)
        count = len(numbers) if done else 0
        return cls(who=who, events=numbers, least=count, most=count)


@dataclass(slots=True, kw_only=True)
class Ledger:
    """What the files of a volume must hold.

    `before`: the events that the log had at the start. `tail`: the bytes after them. `quarantine`:
    the content of the quarantine at the start. `batches`: the appends since then. `torn`: the torn
    tails that were seen since then; each must be in the quarantine when it is no longer in the log.
    `rest`: which bytes may be after the last newline of the log: none; the tail that was there; or
    any, which is that tail or part of a line, because a writer died or could not cut.
    """

    before: tuple[int, ...]
    tail: bytes = b""
    quarantine: bytes = b""
    batches: list[Batch] = field(default_factory=list)
    torn: list[bytes] = field(default_factory=list)
    rest: Literal["none", "tail", "any"] = "none"
    quarantine_is_free: bool = False  # whether the quarantine may have any content

    def faults(self, logs: list[bytes], quarantine: bytes | None) -> list[str]:
        """Return what is wrong. `logs`: the contents of the log and of its predecessors, in order.

        The oldest file comes first.
        """
        wrong: list[str] = []
        found = [content.split(b"\n") for content in logs]
        rests = [lines.pop() for lines in found]
        numbers = [[_number(text) for text in lines] for lines in found]
        foreign = [
            text for lines in found for text in lines if _number(text) is None and text != b""
        ]
        wrong += [f"a line that nobody wrote: {show(text)}" for text in foreign]
        before = list(self.before)
        oldest = numbers[0] if numbers else []
        if oldest[: len(before)] != before:
            wrong.append(f"the final lines {before} are not there any more: {oldest}")
        later = [*oldest[len(before) :], *(number for file in numbers[1:] for number in file)]
        batches = list(self.batches)
        if self.tail == WHOLE:
            batches.insert(0, Batch(who="the tail", events=(WHOLE_TAIL,), least=0, most=1))
            if later and later[0] != WHOLE_TAIL and WHOLE not in rests:
                wrong.append("the tail was a whole event, and is not in its place")
        wrong += _wrong_batches(later, batches)
        for at, rest in enumerate(rests):
            left_behind = at < len(rests) - 1 and rest == self.tail
            if rest and not left_behind and not self._may_end_in(rest, batches):
                wrong.append(f"after the last newline is {show(rest)}")
        if not self.quarantine_is_free:
            wrong += self._wrong_quarantine(quarantine or b"", rests)
        return wrong

    def _may_end_in(self, rest: bytes, batches: list[Batch]) -> bool:
        if self.rest == "none":
            return False
        part_of_a_line = any(line(n).startswith(rest) for batch in batches for n in batch.events)
        return rest == self.tail or (self.rest == "any" and part_of_a_line)

    def _wrong_quarantine(self, content: bytes, rests: list[bytes]) -> list[str]:
        before = self.quarantine
        if not content.startswith(before):
            return [f"the quarantine lost what it held: {show(content)}"]
        added = content[len(before) :]
        if before and not before.endswith(b"\n"):
            half = before.rpartition(b"\n")[2]
            if added.startswith(b"\n"):
                added = half + added
            elif added:
                return [f"the quarantine's unfinished line was continued: {show(content)}"]
        elif before:
            added = before.removesuffix(b"\n").rpartition(b"\n")[2] + b"\n" + added
        *lines, rest = added.split(b"\n")
        candidates = [self.tail, *self.torn]
        wrong = []
        part_of_a_tail = any(torn.startswith(rest) for torn in candidates)
        if rest and (self.rest == "none" or not part_of_a_tail):
            wrong.append(f"the quarantine ends in {show(rest)}")
        wrong += [
            f"the quarantine has a line that was not a tail: {show(text)}"
            for text in lines
            if not any(torn.startswith(text) and torn for torn in candidates)
        ]
        for torn in dict.fromkeys(candidates):
            count = lines.count(torn) + (rest == torn)
            if torn and torn != WHOLE and torn not in rests and not count:
                wrong.append(f"{show(torn)} was cut off and is not in the quarantine")
            if torn and count > 1:
                wrong.append(f"{show(torn)} is {count} times in the quarantine")
        return wrong


def _wrong_batches(later: list[int | None], batches: list[Batch]) -> list[str]:
    wrong = []
    for batch in batches:
        places = [at for at, number in enumerate(later) if number in batch.events]
        present = [later[at] for at in places]
        count = len(places)
        if present != list(batch.events[:count]):
            wrong.append(f"of {batch.who} there are the events {present}, of {batch.events}")
        elif places and places != list(range(places[0], places[0] + count)):
            wrong.append(f"other lines came between those of {batch.who}")
        if not batch.least <= count <= batch.most:
            wanted = f"{batch.least}" if batch.least == batch.most else f"{batch.least} or more"
            wrong.append(f"of {batch.who} {count} lines are in the log, not {wanted}")
    known = {number for batch in batches for number in batch.events}
    surplus = [number for number in later if number is not None and number not in known]
    if surplus:
        wrong.append(f"events that nobody appended: {surplus}")
    return wrong


_NUMBERS = {line(number)[:-1]: number for number in range(FIRST, FOREIGN + 1)}


def _number(text: bytes) -> int | None:
    return _NUMBERS.get(text)


def numbers(content: bytes) -> list[int]:
    """Return the numbers of the known events in a log, including a tail that is a whole event."""
    return [n for text in content.split(b"\n") if (n := _number(text)) is not None]


def show(content: bytes) -> str:
    """Return bytes as a message shows them, cut if they are long."""
    text = repr(content)[1:]
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}… ({len(content)} bytes)"
