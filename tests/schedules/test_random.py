# SPDX-License-Identifier: MIT
"""Random schedules of random scenarios, longer than those that can be enumerated."""

from typing import TypeAlias

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from .processes import Action
from .run import Choose, Run
from .scenarios import Plan, Scenario
from .system import ScheduledSystem

Interruptions: TypeAlias = list[tuple[int, int]]
"""Pairs: for how many steps a process continues, and which of the possible actions comes then."""

interruptions: st.SearchStrategy[Interruptions] = st.lists(
    st.tuples(st.integers(0, 25), st.integers(1, 6)), max_size=12
)

TRAITS = ("mortal", "impatient", "durable", "short", "full")
PATIENT_TRAITS = ("durable", "short")
TORN = ("torn", "unterminated")


def interrupted_by(points: Interruptions) -> Choose:
    """Let the process that ran last continue, except at `points`."""
    left = list(points)
    steps = 0

    def choose(actions: list[Action]) -> Action:
        nonlocal steps
        if not left or steps < left[0][0]:
            steps += 1
            return actions[0]
        _, which = left.pop(0)
        steps = 0
        return actions[which % len(actions)]

    return choose


@st.composite
def scenarios(draw: st.DrawFn) -> Scenario:
    """Two to four processes that append or read; another may replace the log, or say stop."""
    is_replaced = draw(st.booleans())
    found = draw(
        st.sampled_from(["sound", "empty", "absent", *TORN] if not is_replaced else ["sound"])
    )
    # If the log is replaced, no process dies: the torn tails of both logs would be in the one
    # quarantine (SPEC: NOT-7).
    traits = PATIENT_TRAITS if is_replaced else TRAITS
    plans = []
    for letter in "ABCD"[: draw(st.integers(2, 4))]:
        operations = draw(
            st.one_of(
                st.lists(
                    st.sampled_from(["append", "many", "repair", "once", "idle"]),
                    min_size=1,
                    max_size=4,
                ),
                st.lists(st.sampled_from(["read", "scan"]), min_size=1, max_size=3),
                st.just(["follow"]),
            )
        )
        chosen = draw(st.frozensets(st.sampled_from(traits), max_size=2))
        plans.append(Plan(letter, chosen, tuple(operations)))
    if is_replaced:
        how = draw(st.sampled_from(["move", "swap"]))
        plans.append(Plan("M", frozenset(), (how,)))
    if draw(st.booleans()):
        plans.append(Plan("S", frozenset(), ("stop",)))
    return Scenario(found, tuple(plans))


def test_random_schedules_keep_every_promise(system: ScheduledSystem) -> None:
    @settings(suppress_health_check=list(HealthCheck))
    @example(Scenario.parse("sound A:append+append B:append C:read"), [])
    @given(scenarios(), interruptions)
    def check(scenario: Scenario, points: Interruptions) -> None:
        run = Run(scenario, system)
        assert run.execute(interrupted_by(points))
        assert Scenario.parse(str(scenario)) == scenario

    check()
