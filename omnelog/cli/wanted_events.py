# SPDX-License-Identifier: MIT
"""Which events a verb prints, as its options --type, --node and --since say."""

from dataclasses import dataclass

from .. import Event
from .times import moment_ms


@dataclass(frozen=True, slots=True, kw_only=True)
class WantedEvents:
    """All events, or only those of these types and nodes, and since a time."""

    types: frozenset[str] = frozenset()
    nodes: frozenset[str] = frozenset()
    since_ms: int | None = None
    """Only events of this time or later, in milliseconds since 1970, whose time is known."""

    def has(self, event: Event) -> bool:
        """Return whether to print `event`."""
        if self.types and event.type not in self.types:
            return False
        if self.nodes and getattr(event, "node_id", None) not in self.nodes:
            return False
        if self.since_ms is None:
            return True
        made_ms = moment_ms(event)
        return made_ms is not None and made_ms >= self.since_ms
