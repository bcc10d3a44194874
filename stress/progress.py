# SPDX-License-Identifier: MIT
"""Progress for people: lines that stay and, on a terminal, one line that changes."""

from pathlib import Path
from time import monotonic

from rich.console import Console
from rich.live import Live
from rich.text import Text

from .plan import RoundPlan
from .receipts import log_path

_BLOCK = 1024 * 1024
_REDRAW_S = 0.1


class Progress:
    """Prints to `console`. Only on a terminal does it use control codes and redraw a line.

    It does not use a thread, because the process that uses it forks.
    """

    def __init__(self, console: Console) -> None:
        self.console = console
        self.violations = 0
        self._live = Live(console=console, auto_refresh=False, transient=True)
        self._drawn = 0.0
        self._plan: RoundPlan | None = None
        self._writers = 0
        self._begun = 0.0
        self._offsets: dict[tuple[int, int], int] = {}
        self._events = 0

    def milestone(self, text: str, style: str = "") -> None:
        """Print a line that stays."""
        self.console.print(Text(text, style), soft_wrap=True, highlight=False)

    def status(self, text: str) -> None:
        """Show `text` until the next call; on a terminal only."""
        if self.console.is_terminal:
            if not self._live.is_started:
                self._live.start()
            shown = Text(text, no_wrap=True, overflow="ellipsis")
            if self.violations:
                shown.append(f"  {self.violations:,} violations", "bold red")
            self._live.update(shown, refresh=True)
            self._drawn = monotonic()

    def clear(self) -> None:
        """Remove the status."""
        self._live.stop()

    def begin(self, plan: RoundPlan, processes: int) -> None:
        """Begin to show a round. Its gate opens now."""
        self._plan, self._begun = plan, monotonic()
        self._writers = sum(len(process.writers) for process in plan.processes)
        self._offsets, self._events = {}, 0
        if not plan.sabotage:
            self.milestone(f"{plan.name}: {processes} processes ready, gate open", "dim")

    def look(self, directory: Path, strikes: dict[str, int]) -> None:
        """Count the new events in the logs, and show how many there are."""
        if self._plan is None or not self.console.is_terminal:
            return
        for run_id in self._plan.run_ids:
            for path in log_path(directory, run_id).parent.glob("events.jsonl*"):
                if path.suffix != ".torn":
                    self._count(path)
        rate = self._events / max(1e-9, monotonic() - self._begun)
        struck = ", ".join(f"{name} {times:,}" for name, times in strikes.items())
        if monotonic() - self._drawn >= _REDRAW_S:
            self.status(
                f"{self._plan.name}: {self._writers} writers, {self._events:,} of "
                f"{self._plan.events:,} events, {rate:,.0f} events/s"
                + (f", faults: {struck}" if struck else "")
            )

    def _count(self, path: Path) -> None:
        try:
            with path.open("rb") as file:
                status = path.stat()
                key = status.st_dev, status.st_ino
                file.seek(self._offsets.get(key, 0))
                while block := file.read(_BLOCK):
                    self._events += block.count(b"\n")
                self._offsets[key] = file.tell()
        except FileNotFoundError:
            pass  # it is being moved away
