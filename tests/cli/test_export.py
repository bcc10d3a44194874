# SPDX-License-Identifier: MIT
"""`export --to chrome-trace`: JSON with the fields that the Trace Event Format documents."""

import json
from importlib import import_module
from itertools import combinations
from typing import Any  # what JSON holds

import pytest
from hypothesis import given
from hypothesis import strategies as st

from .. import omnelog
from ..strategies import events
from .histories import History, sane_runs
from .volume import RUN, Volume

trace_events = import_module(f"{omnelog.__name__}.cli.chrome_trace").trace_events

FIELDS = {
    "M": {"ph", "name", "pid", "tid", "args"},
    "X": {"ph", "name", "cat", "ts", "dur", "pid", "tid", "args"},
    "i": {"ph", "name", "cat", "ts", "s", "pid", "tid", "args"},
}
"""The fields of metadata (M), complete (X) and instant (i) events."""


def check(event: dict[str, Any]) -> None:
    """Check that an event has the fields of its phase, each of the right type."""
    assert set(event) - {"cname"} == FIELDS[event["ph"]]
    for name, kind in (("name", str), ("cat", str), ("args", dict), ("pid", int), ("tid", int)):
        assert isinstance(event.get(name, kind()), kind)
    for name in ("ts", "dur"):  # microseconds
        assert type(event.get(name, 0)) is int
        assert event.get(name, 0) >= 0
    if event["ph"] == "i":
        assert event["s"] in ("g", "p", "t")
    if event["ph"] == "M":
        assert event["name"] in ("process_name", "thread_name")
        assert isinstance(event["args"]["name"], str)


@given(st.lists(events(), max_size=12))
def test_any_events_make_a_trace_by_the_format(found: list["omnelog.Event"]) -> None:
    made = json.loads(json.dumps(list(trace_events(RUN, found))))
    for event in made:
        check(event)
    named = {event["tid"] for event in made if event["name"] == "thread_name"}
    assert {event["tid"] for event in made} <= named


@given(sane_runs())
def test_each_node_is_one_slice_and_those_of_a_lane_do_not_overlap(
    run: list["omnelog.Event"],
) -> None:
    made = list(trace_events(RUN, run))
    threads = {e["tid"]: e["args"]["name"] for e in made if e["name"] == "thread_name"}
    assert list(threads) == list(range(1, len(threads) + 1))
    assert list(threads.values()) == ["pipe", *(f"lane {n}" for n in range(1, len(threads)))]
    slices = [e for e in made if e["ph"] == "X"]
    nodes = [e.node_id for e in run if isinstance(e, omnelog.NodeStarted)]
    assert sorted(e["name"] for e in slices) == sorted(nodes)
    for one, other in combinations(slices, 2):
        apart = one["ts"] + one["dur"] <= other["ts"] or other["ts"] + other["dur"] <= one["ts"]
        assert apart or one["tid"] != other["tid"]


def test_a_lane_is_taken_again_and_the_lowest_first() -> None:
    history = History().begin().start("a").start("b").done("a").start("c").start("d").done("c")
    made = list(trace_events(RUN, history.done("b").done("d").events))
    lanes = {e["name"]: e["tid"] for e in made if e["ph"] == "X"}
    assert lanes == {"a": 2, "b": 3, "c": 2, "d": 4}


def test_what_failed_and_what_has_no_end_has_a_colour() -> None:
    history = History().begin().start("a").start("b").start("c").done("a").fail("b")
    colours = {e["name"]: e.get("cname") for e in trace_events(RUN, history.events)}
    assert (colours["a"], colours["b"], colours["c"]) == (None, "terrible", "grey")


def test_times_are_microseconds_after_the_first_event(volume: Volume) -> None:
    history = History().begin().start("n", name="make").iterate("n", 7).gate("n").fail("n")
    volume.write(*history.abort().events)
    said = volume.call("export", RUN, "--to", "chrome-trace")
    assert (said.status, said.err) == (0, "")
    document = json.loads(said.out)
    assert set(document) == {"displayTimeUnit", "otherData", "traceEvents"}
    assert document["displayTimeUnit"] in ("ms", "ns")
    made = [e for e in document["traceEvents"] if e["tid"] == 2]
    assert [(e["ph"], e["name"], e.get("ts"), e.get("dur")) for e in made] == [
        ("M", "thread_name", None, None),
        ("i", "iteration 7", 2_000_000, None),
        ("i", "gate.passed", 3_000_000, None),
        ("X", "n", 1_000_000, 3_000_000),
    ]
    assert made[3]["args"] == {"name": "make", "end": "failed", "error": "crash", "message": ""}


def test_a_node_without_an_end_goes_on_to_the_last_event() -> None:
    *_, last = trace_events(RUN, History().begin().start("n").start("m").done("m").events)
    assert (last["name"], last["ts"], last["dur"]) == ("n", 1_000_000, 2_000_000)
    assert last["args"] == {"end": "not logged"}


def test_what_a_log_says_comes_out_as_ascii(volume: Volume) -> None:
    volume.write(*History().begin().start("\x1b\u202e\u2713\U0001f600").events)
    said = volume.call("export", RUN, "--to", "chrome-trace")
    assert said.out.replace(b"\n", b"").decode("ascii").isprintable()
    assert "\x1b\u202e\u2713\U0001f600" in [e["name"] for e in json.loads(said.out)["traceEvents"]]


@pytest.mark.parametrize("damage", [b"", b"damage\n"])
def test_of_an_empty_or_damaged_log_it_is_still_a_document(volume: Volume, damage: bytes) -> None:
    volume.write(damage)
    said = volume.call("export", RUN, "--to", "chrome-trace")
    assert said.status == bool(damage)
    assert json.loads(said.out)["traceEvents"]


def test_an_unknown_format_is_a_wrong_command_line(volume: Volume) -> None:
    assert volume.call("export", RUN, "--to", "odd").status == 2
    assert volume.call("export", RUN).status == 2
