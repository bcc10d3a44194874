# SPDX-License-Identifier: MIT
"""The searches, pruned, bounded or at random, find mistakes that only a schedule shows."""

import pytest
from hypothesis import HealthCheck, find, settings

from .explore import Search
from .mutants import MUTANTS, Mutant
from .run import PromiseBroken, Run, replay
from .scenarios import Scenario
from .system import ScheduledSystem
from .test_random import Interruptions, interrupted_by, interruptions

each = pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)


def broken(search: Search) -> PromiseBroken | None:
    """The broken promise that the search finds, if any."""
    try:
        for _ in search.runs():
            pass
    except PromiseBroken as error:
        return error
    return None


@each
def test_the_pruned_search_finds_it_and_its_schedule_shows_it_again(
    mutant: Mutant, system: ScheduledSystem
) -> None:
    with mutant.in_place():
        found = broken(Search(Scenario.parse(mutant.scenario), system))
        assert found is not None
        assert str(found).endswith(f"\n{found.schedule}")
        for _ in range(2):
            with pytest.raises(PromiseBroken) as again:
                replay(found.schedule, system)
            assert str(again.value) == str(found)
    replay(found.schedule.partition("=")[0] + "=", system)


@each
def test_it_takes_so_many_preemptions(mutant: Mutant, system: ScheduledSystem) -> None:
    scenario = Scenario.parse(mutant.scenario)
    with mutant.in_place():
        for bound in range(mutant.preemptions):
            assert broken(Search(scenario, system, most_preemptions=bound)) is None
        assert broken(Search(scenario, system, most_preemptions=mutant.preemptions)) is not None


def test_a_random_schedule_that_shows_a_mistake_shrinks_to_the_shortest(
    system: ScheduledSystem,
) -> None:
    [mutant] = [mutant for mutant in MUTANTS if mutant.name == "no second look by a reader"]
    scenario = Scenario.parse(mutant.scenario)

    def shows_it(points: Interruptions) -> bool:
        try:
            Run(scenario, system).execute(interrupted_by(points))
        except PromiseBroken:
            return True
        return False

    thorough = settings(
        max_examples=2000,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    with mutant.in_place():
        points = find(interruptions, shows_it, settings=thorough)
    assert points == [(4, 1)], "the reader looks when the writer has made its short write"
