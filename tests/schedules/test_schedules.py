# SPDX-License-Identifier: MIT
"""Every schedule of many scenarios keeps every promise; a search leaves out only what it may."""

import pytest

from ..faults.counts import Count
from .explore import Search
from .processes import Action
from .run import PromiseBroken, Run, replay
from .scenarios import Scenario
from .system import ScheduledSystem
from .table import BRIEF, Entry

SMALL = [
    "sound A:append B:append",
    "sound A:append B:read",
    "sound A/short:append B/impatient:read",
    "sound A/mortal/short:append B:append",
    "sound A/full:append B:append",
    "sound A/durable:append B:many",
    "sound A:append+idle+append B:swap",
    "sound A:stop B:follow",
    "torn A/mortal:append B:append",
    "absent A:open+append B:open+append",
]
"""Scenarios so small that all schedules can be run without pruning."""


@pytest.mark.parametrize("entry", BRIEF, ids=str)
def test_every_schedule_keeps_every_promise(
    entry: Entry, system: ScheduledSystem, count: Count
) -> None:
    search = entry.search(system)
    schedules = {run.schedule for run in search.runs()}
    assert len(schedules) == search.counts.schedules, "a schedule was run twice"
    assert len(schedules) >= entry.at_least
    count(f"schedules: {entry.title}, {entry.how}", len(schedules))


def test_there_are_twenty_thousand_of_them() -> None:
    assert sum(entry.at_least for entry in BRIEF) >= 20_000


def order_of_conflicts(run: Run) -> frozenset[tuple[str, str]]:
    """Return the order of each two steps that conflict.

    The result is the same for two runs that differ only in the order of neighbours that commute.
    """
    pairs: set[tuple[str, str]] = set()
    earlier: list[tuple[str, Action]] = []
    for action in (step.action for step in run.steps):
        nth = sum(other.process is action.process for _, other in earlier)
        name = f"{action.token} {nth}"
        pairs.add(("begin", name))
        pairs.update((before, name) for before, other in earlier if other.conflicts(action))
        earlier.append((name, action))
    return frozenset(pairs)


@pytest.mark.parametrize("text", SMALL)
def test_pruning_leaves_out_only_schedules_with_commuting_neighbours_exchanged(
    text: str, system: ScheduledSystem
) -> None:
    scenario = Scenario.parse(text)
    everything: dict[frozenset[tuple[str, str]], object] = {}
    for run in Search(scenario, system, pruned=False).runs():
        order = order_of_conflicts(run)
        outcome = run.outcome()
        # Calls that commute have the same results in either order.
        assert everything.setdefault(order, outcome) == outcome
    pruned = [order_of_conflicts(run) for run in Search(scenario, system).runs()]
    assert len(pruned) == len(set(pruned)), "two schedules differ only in what commutes"
    assert set(pruned) == set(everything)


@pytest.mark.parametrize("text", SMALL[:3])
def test_searches_that_share_the_work_do_all_of_it_once(text: str, system: ScheduledSystem) -> None:
    scenario = Scenario.parse(text)
    for options in ({"pruned": True}, {"pruned": False}, {"most_preemptions": 2}):
        whole = {run.schedule for run in Search(scenario, system, **options).runs()}
        shared = [
            run.schedule
            for prefix in Search(scenario, system, **options).prefixes(4)
            for run in Search(scenario, system, prefix=prefix, **options).runs()
        ]
        assert sorted(shared) == sorted(whole)


def test_a_bound_leaves_out_only_what_has_more_preemptions(system: ScheduledSystem) -> None:
    scenario = Scenario.parse("sound A:append B:read")
    everything = [
        (run.schedule, run.preemptions) for run in Search(scenario, system, pruned=False).runs()
    ]
    for bound in range(4):
        bounded = {run.schedule for run in Search(scenario, system, most_preemptions=bound).runs()}
        assert bounded == {schedule for schedule, number in everything if number <= bound}
    assert max(number for _, number in everything) > 3


@pytest.mark.parametrize("text", SMALL)
def test_a_schedule_is_the_same_each_time(text: str, system: ScheduledSystem) -> None:
    for number, run in enumerate(Search(Scenario.parse(text), system).runs()):
        first = run.schedule, run.columns(), run.outcome()
        again = replay(run.schedule, system)
        assert (again.schedule, again.columns(), again.outcome()) == first
        if number == 20:
            break


def test_a_schedule_is_shown_in_columns(system: ScheduledSystem) -> None:
    run = replay("sound A:append B/impatient/mortal:append = ABAAB~B!", system)
    assert (
        run.columns()
        == """\
     A                    B
  0  try_lock log = True
  1                       try_lock log = False
  2  lseek log = 13
  3  pread log = b'\\n'
  4                       try_lock log gives up
  5                       fstat log †
  6  write log = 16
  7  unlock log"""
    )
    assert run.schedule == "sound A:append B/impatient/mortal:append = ABAAB~B!AA"


@pytest.mark.parametrize(
    "line",
    [
        "",
        "sound A:append",
        "sound = A",
        "sound A:append = B",
        "sound A:append = A~",
        "sound A:append = aA",
        "sound A:append A:append = AAAA",
        "lost A:append = A",
        "sound A:rewind = A",
        "sound A/immortal:append = A",
        "sound A append = A",
    ],
)
def test_what_is_not_a_schedule_is_refused(line: str, system: ScheduledSystem) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        replay(line, system)


def test_a_wait_in_a_circle_ends(system: ScheduledSystem, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(system, "unlock", lambda fd: None)
    monkeypatch.setattr(f"{__package__}.run.omnelog.linelog.appender.unlock", lambda fd: None)
    with pytest.raises(PromiseBroken):
        replay("sound A:append B:append = AAAAA", system)
