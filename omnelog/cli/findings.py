# SPDX-License-Identifier: MIT
"""What is wrong with a log, as ``path:line: reason``: bounded, however much is wrong."""

from collections.abc import Iterator
from dataclasses import dataclass, field

_KEPT = 100  # of one log; who has that many does not read on


@dataclass(slots=True)
class Findings:
    """The first hundred findings of one log, and how many there were."""

    path: str
    kept: list[str] = field(default_factory=list)
    count: int = 0

    def add(self, reason: str, line: int | None = None, path: str | None = None) -> None:
        """Note what is wrong: with a line, counted from 1, or all of it; with another file."""
        self.count += 1
        if len(self.kept) < _KEPT:
            place = path or self.path
            self.kept.append(f"{place}: {reason}" if line is None else f"{place}:{line}: {reason}")

    def __iter__(self) -> Iterator[str]:
        yield from self.kept
        if self.count > len(self.kept):
            yield f"{self.path}: and {self.count - len(self.kept)} more findings"
