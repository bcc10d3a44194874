# SPDX-License-Identifier: MIT
"""The state of a run: every prefix of its events has one, and it never goes back."""

from importlib import import_module
from typing import Any  # what a module that is imported by name returns

from hypothesis import given
from hypothesis import strategies as st

from .. import omnelog
from ..strategies import events
from .histories import History, sane_runs

state = import_module(f"{omnelog.__name__}.cli.state")
times = import_module(f"{omnelog.__name__}.cli.times")
RANK = {"empty": 0, "running": 1, "completed": 2, "aborted": 2}


@given(sane_runs())
def test_each_prefix_of_a_sane_run_has_a_state_and_it_never_goes_back(
    run: list["omnelog.Event"],
) -> None:
    states = [state.derive_state(run[:count]) for count in range(len(run) + 1)]
    assert states[0] == "empty"
    [end] = [e for e in run if isinstance(e, omnelog.PipeCompleted | omnelog.PipeAborted)]
    before = 1 + run.index(end)
    assert set(states[1:before]) <= {"running"}
    assert set(states[before:]) == {end.type.removeprefix("pipe.")}
    ranks = [RANK[each] for each in states]
    assert ranks == sorted(ranks)


@given(sane_runs())
def test_in_a_sane_run_a_node_that_has_ended_stays_so(run: list["omnelog.Event"]) -> None:
    ended: dict[str, str] = {}
    for count in range(len(run) + 1):
        nodes = state.summarize(run[:count]).nodes
        now = {name: node.state for name, node in nodes.items() if node.state != "running"}
        assert ended.items() <= now.items()
        ended = now


@given(st.lists(events(), max_size=12))
def test_any_events_at_all_have_a_summary_that_adds_up(found: list["omnelog.Event"]) -> None:
    summary = state.summarize(iter(found))
    assert summary.state == state.derive_state(found)
    assert summary.events == len(found)
    assert (summary.first, summary.last) == ((found[0], found[-1]) if found else (None, None))
    assert sum(map(summary.count, state.NodeState)) == len(summary.nodes)
    assert set(summary.nodes) == {e.node_id for e in found if hasattr(e, "node_id")}
    assert (summary.ended is None) == (summary.state in ("empty", "running"))


def members(node: Any) -> list[object]:
    """The values of all attributes of a node."""
    return [getattr(node, name) for name in node.__slots__]


@given(st.lists(events(), max_size=6))
def test_to_derive_changes_nothing_and_needs_the_events_once(found: list["omnelog.Event"]) -> None:
    kept = list(found)
    assert state.derive_state(iter(found)) == state.derive_state(found)
    once, again = state.summarize(found), state.summarize(iter(found))
    assert [*map(members, once.nodes.values())] == [*map(members, again.nodes.values())]
    assert (once.first, once.last, once.events) == (again.first, again.last, again.events)
    assert found == kept


def test_the_last_end_of_a_pipe_counts_and_the_first_start() -> None:
    run = History().begin().abort().complete().begin().events
    summary = state.summarize(run)
    assert (summary.state, summary.begun, summary.ended) == ("completed", run[0], run[2])


def test_what_a_node_says_after_the_end_does_not_reopen_the_run() -> None:
    assert state.derive_state(History().begin().start("n").abort().done("n").events) == "aborted"


def test_a_node_that_is_started_again_begins_from_nothing() -> None:
    history = History().begin().start("n").iterate("n", 1).fail("n").start("n").gate("n")
    node = state.summarize(history.events).nodes["n"]
    assert (node.start_ms, node.end_ms) == (times.moment_ms(history.events[4]), None)
    assert (node.state, node.error, node.steps) == ("running", None, (history.events[5],))


def test_a_node_may_be_known_by_its_end_alone() -> None:
    node = state.summarize(History().done("n").events).nodes["n"]
    assert (node.kind, node.start_ms, node.state) == (None, None, "completed")


@given(sane_runs(), st.integers(0, 3))
def test_of_a_nodes_steps_the_last_ones_are_kept(run: list["omnelog.Event"], kept: int) -> None:
    for node in state.summarize(run, steps=kept).nodes.values():
        kinds = omnelog.GatePassed | omnelog.IterationStarted
        steps = [e for e in run if isinstance(e, kinds) and e.node_id == node.id]
        assert (node.steps, node.step_count) == (
            tuple(steps[max(0, len(steps) - kept) :]),
            len(steps),
        )
