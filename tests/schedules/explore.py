# SPDX-License-Identifier: MIT
"""All schedules of a scenario, each run from its beginning: a search in depth.

Two things bound the search, and never both at once:

*Pruning.* Two actions commute if neither writes what the other reads or writes (see `system`). Two
schedules that differ only in the order of neighbours that commute make the same calls with the same
results, so one of them is enough. Each promise speaks of the order of calls that do not commute: of
the changes of one file, of the holders of one lock, of a change and a look at the same file. So it
is kept in both or broken in both. The search leaves out the second one by sleep sets (Godefroid,
1996): when all schedules that go on with action X have been run, X sleeps in the schedules that go
on with something else, until an action that conflicts with X was performed. A schedule in which X
came next would be one of those that were run, with neighbours exchanged. Whatever can enable or
disable an action conflicts with it.

*Preemptions.* A preemption takes the turn from a process that could go on. Most faults need few of
them (Musuvathi and Qadeer, 2007). A bound cannot be combined with sleep sets, because the one
schedule that is kept may need more preemptions than the one that it stands for.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from .processes import Action
from .run import Run
from .scenarios import Scenario
from .system import ScheduledSystem


@dataclass(slots=True)
class _Node:
    """A moment of the schedule that is run, and what was tried there."""

    actions: list[Action]
    asleep: dict[str, Action]
    possible: list[int]  # the actions that the bound allows
    chosen: int
    preemptions: int  # so far
    last: str  # the letter of the process that ran before
    can_go_on: bool  # whether that process still can

    @property
    def action(self) -> Action:
        return self.actions[self.chosen]

    @property
    def is_preemption(self) -> bool:
        return self.can_go_on and self.action.token[0] != self.last


@dataclass(slots=True)
class Counts:
    """What a search came to."""

    schedules: int = 0
    redundant: int = 0  # runs that were left because all that could follow was asleep
    steps: int = 0

    def add(self, other: "Counts") -> None:
        self.schedules += other.schedules
        self.redundant += other.redundant
        self.steps += other.steps


class Search:
    """A search through the schedules of a scenario, or through those that begin with `prefix`.

    `pruned`: leave out what commutes. `most_preemptions`: leave out what has more; not pruned then.
    """

    def __init__(
        self,
        scenario: Scenario,
        system: ScheduledSystem,
        *,
        pruned: bool = True,
        most_preemptions: int | None = None,
        prefix: Sequence[int] = (),
    ) -> None:
        self.scenario = scenario
        self.counts = Counts()
        self._system = system
        self._pruned = pruned and most_preemptions is None
        self._most_preemptions = most_preemptions
        self._prefix = prefix
        self._depth: int | None = None
        self._nodes: list[_Node] = []
        self._position = 0
        self._ends: set[object] = set()

    def runs(self) -> Iterator[Run]:
        """Run all schedules and yield each run that came to its end. Raises PromiseBroken."""
        while True:
            run = Run(self.scenario, self._system, self._ends)
            self._position = 0
            is_complete = run.execute(self._choose)
            self.counts.steps += len(run.steps)
            if is_complete:
                self.counts.schedules += 1
                yield run
            else:
                self.counts.redundant += 1
            if not self._advance():
                return

    def prefixes(self, depth: int) -> list[tuple[int, ...]]:
        """Return prefixes of which each schedule has exactly one, for searches that share the work.

        They have `depth` steps, or fewer where a schedule is that short.
        """
        self._depth = depth
        found = []
        while True:
            self._position = 0
            run = Run(self.scenario, self._system)
            if run.execute(self._choose) or self._position == depth:
                found.append(tuple(node.chosen for node in self._nodes))
            if not self._advance():
                return found

    def _advance(self) -> bool:
        """Choose another action at the last moment where there is one; whether there is."""
        while self._nodes:
            node = self._nodes[-1]
            if self._pruned:
                node.asleep[node.action.token] = node.action
            later = [index for index in node.possible if index > node.chosen]
            awake = [index for index in later if node.actions[index].token not in node.asleep]
            if awake:
                node.chosen = awake[0]
                return True
            self._nodes.pop()
        return False

    def _choose(self, actions: list[Action]) -> Action | None:
        if self._position == self._depth:
            return None
        if self._position == len(self._nodes):
            node = self._new_node(actions)
            if node is None:
                return None
            self._nodes.append(node)
        else:
            node = self._nodes[self._position]
            was = [action.token for action in node.actions]
            now = [action.token for action in actions]
            assert was == now, f"the run is not deterministic: {was} was possible, now {now}"
        self._position += 1
        return actions[node.chosen]

    def _new_node(self, actions: list[Action]) -> _Node | None:
        """Return the moment after the last one, or None if all that can follow is asleep."""
        asleep: dict[str, Action] = {}
        preemptions = 0
        possible = list(range(len(actions)))
        if self._nodes:
            before = self._nodes[-1]
            asleep = {
                token: action
                for token, action in before.asleep.items()
                if not action.conflicts(before.action)
            }
            preemptions = before.preemptions + before.is_preemption
        last = self._nodes[-1].action.token[0] if self._nodes else ""
        can_go_on = actions[0].token == last
        if preemptions == self._most_preemptions and can_go_on:
            possible = [index for index in possible if actions[index].token[0] == last]
        if self._position < len(self._prefix):
            # Others search what comes before in this place, so it sleeps here.
            chosen = self._prefix[self._position]
            if self._pruned:
                asleep |= {actions[index].token: actions[index] for index in range(chosen)}
            return _Node(actions, asleep, [chosen], chosen, preemptions, last, can_go_on)
        awake = [index for index in possible if actions[index].token not in asleep]
        if not awake:
            return None
        return _Node(actions, asleep, possible, awake[0], preemptions, last, can_go_on)
