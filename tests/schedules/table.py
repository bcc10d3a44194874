# SPDX-License-Identifier: MIT
"""The scenarios that are searched, and how.

There are three ways: ``all`` schedules; ``pruned``, which leaves out schedules that differ only in
the order of actions that commute; and all schedules with at most a number of preemptions.
"""

from dataclasses import dataclass

from .explore import Search
from .scenarios import Scenario
from .system import ScheduledSystem


@dataclass(frozen=True, slots=True)
class Entry:
    """A scenario, how it is searched, and the least number of schedules it must have."""

    title: str
    scenario: str
    how: str  # "all", "pruned", or, for example, "2 preemptions"
    at_least: int

    def __str__(self) -> str:
        return f"{self.scenario}, {self.how}"

    def search(self, system: ScheduledSystem, prefix: tuple[int, ...] = ()) -> Search:
        """Return the search, or the part of it that begins with `prefix`."""
        bound = int(self.how.split()[0]) if self.how not in {"all", "pruned"} else None
        return Search(
            Scenario.parse(self.scenario),
            system,
            pruned=self.how == "pruned",
            most_preemptions=bound,
            prefix=prefix,
        )


BRIEF = [
    Entry("two writers", "sound A:append+append B:append+append", "all", 340),
    Entry("two writers that create the log", "absent A:open+append B:open+append", "all", 590),
    Entry("two that open, append, close", "absent A:once B:once", "3 preemptions", 320),
    Entry("three writers", "sound A:append B:append C:append", "all", 290),
    Entry("a durable and a plain writer", "sound A/durable:append+append B:append", "all", 150),
    Entry("a full disk", "sound A/full:append B:append+append", "all", 320),
    Entry(
        "a full disk, an impatient writer", "sound A/full:append B/impatient:append", "all", 2000
    ),
    Entry("a death, another writer", "torn A/mortal:append B:append", "all", 760),
    Entry("a death, a reader", "sound A/mortal/short:append B:read", "all", 3800),
    Entry(
        "a death, another writer, a reader", "sound A/mortal:append B:append C:read", "pruned", 180
    ),
    Entry("two deaths", "sound A/mortal:append B/mortal:append", "all", 770),
    Entry("append_many, a snapshot", "sound A/short:many B:read", "all", 860),
    Entry("an impatient reader", "sound A/short:append B/impatient:scan", "all", 1190),
    Entry("a whole tail, a reader", "unterminated A:append B:read", "all", 3500),
    Entry("two writers, a follower", "sound A:append B:append C:follow", "pruned", 88),
    Entry("two writers, a follower", "sound A:append B:append C:follow", "2 preemptions", 1900),
    Entry("a follower is asked to stop", "sound A:append B:stop C:follow", "2 preemptions", 850),
    Entry("a writer, a repairer, a reader", "torn A:append B:repair C:scan", "pruned", 140),
    Entry(
        "a full disk, a writer, a reader",
        "sound A/full:append B:append C:read",
        "2 preemptions",
        1510,
    ),
    Entry("a replaced log", "sound A:append+idle+append B:swap C:read", "pruned", 70),
    Entry("a replaced log", "sound A:append+idle+append B:swap C:read", "2 preemptions", 950),
    Entry(
        "a replaced log, a follower",
        "sound A:append+idle+append B:swap C:follow",
        "1 preemption",
        220,
    ),
    Entry(
        "a moved log, a follower", "sound A:append+idle+append B:move C:follow", "1 preemption", 200
    ),
]
"""The entries that the tests search: they take half a minute on one processor."""

THOROUGH = [
    *BRIEF,
    Entry("two that open, append, close", "absent A:once B:once", "all", 20_000),
    Entry("a writer, a follower", "sound A:append B:follow", "all", 3800),
    Entry("four appends, and one", "sound A:append+append B:append+append C:append", "all", 20_000),
    Entry("two durable writers", "sound A/durable:append B/durable:many C:append", "all", 10_000),
    Entry("two deaths", "sound A/mortal:append B/mortal:append C:append", "all", 10_000),
    Entry(
        "a death, another writer, a reader", "torn A/mortal:append B:append C:read", "pruned", 2700
    ),
    Entry(
        "a death, another writer, a reader",
        "torn A/mortal:append B:append C:read",
        "2 preemptions",
        1,
    ),
    Entry(
        "a death, a writer, a follower",
        "sound A/mortal/short:append B:append C:follow",
        "pruned",
        1,
    ),
    Entry("a death, a reader", "torn A/mortal:append B:read", "all", 10_000),
    Entry("a repairer, a reader", "torn A:repair B:read", "all", 10_000),
    Entry("two writers, a reader", "sound A:append B:append C:read", "all", 50_000),
    Entry(
        "a whole tail, two writers, a reader", "unterminated A:append B:append C:read", "pruned", 1
    ),
    Entry("a whole tail, a follower", "unterminated A:append B:follow", "all", 50_000),
    Entry("append_many, two snapshots", "sound A/short:many B:scan+read", "all", 10_000),
    Entry("a full disk, a writer, a reader", "sound A/full:append B:append C:read", "pruned", 220),
    Entry(
        "a full disk, a writer, a reader", "sound A/full:append B:append C:read", "3 preemptions", 1
    ),
    Entry("two writers, a follower", "sound A:append B:append C:follow", "3 preemptions", 1),
    Entry("a follower is asked to stop", "sound A:append B:append C:stop D:follow", "pruned", 1),
    Entry("a replaced log", "sound A:append+idle+append B:swap C:read", "all", 100_000),
    Entry("a replaced log, a follower", "sound A:append+idle+append B:swap C:follow", "pruned", 1),
    Entry(
        "a replaced log, a follower",
        "sound A:append+idle+append B:swap C:follow",
        "3 preemptions",
        1,
    ),
]
"""The entries that ``nox -s schedules`` searches."""
