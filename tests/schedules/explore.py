# SPDX-License-Identifier: MIT
"""Search all schedules of a scenario, depth first; each is run from its beginning.

Two things can limit a search, but never both at once:

*Pruning.* Two actions commute if neither writes what the other reads or writes (see `system`). Two
schedules that differ only in the order of neighbours that commute make the same calls with the same
results, so one of them is enough. Each promise depends only on the order of calls that do not
commute: of changes of one file, of holders of one lock, of a change of a file and a look at it. So
both schedules keep the promise, or both break it. The search leaves out the second schedule with
sleep sets (Godefroid, 1996). After all schedules that continue with action X were run, X sleeps in
the schedules that continue with another action. It sleeps until an action that conflicts with X is
performed. If X came next before that, the schedule would be one of those that were run, with
neighbours exchanged. Everything that can enable or disable an action conflicts with it.

*Preemptions.* A preemption takes the turn from a process that could continue. Most faults need only
a few preemptions (Musuvathi and Qadeer, 2007). A bound on them cannot be combined with sleep sets:
the one schedule that is kept may need more preemptions than the schedule that it represents.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from .processes import Action
from .run import Run
from .scenarios import Scenario
from .system import ScheduledSystem


@dataclass(slots=True)
class _Node:
    """A moment of the current schedule, and the actions that were tried there."""

    actions: list[Action]
    asleep: dict[str, Action]
    possible: list[int]  # the actions that the bound allows
    chosen: int
    preemptions: int  # so far
    last: str  # the letter of the process that ran before
    can_go_on: bool  # whether that process can continue

    @property
    def action(self) -> Action:
        return self.actions[self.chosen]

    @property
    def is_preemption(self) -> bool:
        return self.can_go_on and self.action.token[0] != self.last


@dataclass(slots=True)
class Counts:
    """The counts of a search."""

    schedules: int = 0
    redundant: int = 0  # runs that were stopped because every next action was asleep
    steps: int = 0

    def add(self, other: "Counts") -> None:
        self.schedules += other.schedules
        self.redundant += other.redundant
        self.steps += other.steps


class Search:
    """A search through the schedules of a scenario, or through those that begin with `prefix`.

    With `pruned`, leave out schedules that differ only in the order of actions that commute. With
    `most_preemptions`, do not prune, but leave out schedules with more preemptions.
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
        """Run all schedules, and yield each run that is complete.

        Raise PromiseBroken if a promise is broken.
        """
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
        """Return prefixes for searches that share the work: each schedule has exactly one of them.

        A prefix has `depth` steps, or fewer if the schedule is shorter.
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
        """Choose another action at the last moment that has one; return whether one has."""
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
        """Return the moment after the last one, or None if every next action is asleep."""
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
            # Other searches try the actions before `chosen` here, so these actions sleep.
            chosen = self._prefix[self._position]
            if self._pruned:
                asleep |= {actions[index].token: actions[index] for index in range(chosen)}
            return _Node(actions, asleep, [chosen], chosen, preemptions, last, can_go_on)
        awake = [index for index in possible if actions[index].token not in asleep]
        if not awake:
            return None
        return _Node(actions, asleep, possible, awake[0], preemptions, last, can_go_on)
