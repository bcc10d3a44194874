# SPDX-License-Identifier: MIT
"""What is going on, for who watches: one line rewritten on a terminal, milestones elsewhere."""

import os
from pathlib import Path
from time import monotonic
from typing import TextIO

from .plan import RoundPlan

_BLOCK = 1024 * 1024


class Progress:
    """Tells `stream`; never a control code or a redrawn line unless that is a terminal."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._live = stream.isatty()
        self._width = 0
        self._quiet = True
        self._plan: RoundPlan | None = None
        self._begun = 0.0
        self._offset = self._events = self._quarters = 0

    def milestone(self, text: str) -> None:
        """Print a line that stays."""
        self.clear()
        print(text, file=self._stream, flush=True)

    def status(self, text: str) -> None:
        """Show `text` until the next; on a terminal only."""
        if self._live:
            width = os.get_terminal_size(self._stream.fileno()).columns or 80
            text = text[: width - 1]  # the last column would wrap
            print(f"\r{text:{self._width}}", end="", file=self._stream, flush=True)
            self._width = len(text)

    def clear(self) -> None:
        """Take the status away."""
        if self._width:
            print(f"\r{'':{self._width}}\r", end="", file=self._stream, flush=True)
            self._width = 0

    def begin(self, plan: RoundPlan, processes: int) -> None:
        """The gate of a round opens."""
        self._plan, self._begun = plan, monotonic()
        self._offset = self._events = self._quarters = 0
        if not plan.sabotage:
            self.milestone(f"{plan.name}: {processes} processes ready, gate open")

    def look(self, log: Path) -> None:
        """Count the events in the log by now, as far as they are new, and tell."""
        if self._plan is None or (self._plan.sabotage and not self._live):
            return
        with log.open("rb") as file:
            file.seek(self._offset)
            while block := file.read(_BLOCK):
                self._offset += len(block)
                self._events += block.count(b"\n")
        done, total = self._events, self._plan.events
        elapsed_s = max(1e-9, monotonic() - self._begun)
        self.status(
            f"{self._plan.name}: {done:,} of {total:,} events, "
            f"{done / elapsed_s:,.0f} events/s, {self._offset / 1e6:,.1f} MB"
        )
        quarters = 4 * done // total
        if quarters > self._quarters and quarters < 4 and not self._live:
            self.milestone(f"{self._plan.name}: {25 * quarters} % of {total:,} events")
        self._quarters = max(quarters, self._quarters)
