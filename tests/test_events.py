# SPDX-License-Identifier: MIT
"""The eight events as Python objects: their fields, their values, and that they are immutable.

The names, their order and the closed sets are written down here by hand.
"""

import copy
import dataclasses
import pickle
from enum import StrEnum
from typing import Any, get_args

import pytest
from hypothesis import given

from . import omnelog
from .strategies import EVENTS, events

FIELDS: dict[type[Any], tuple[str, list[str]]] = {
    omnelog.PipeStarted: (
        "pipe.started",
        ["id", "ts", "run_id", "pipe", "inputs", "distro_version"],
    ),
    omnelog.PipeCompleted: ("pipe.completed", ["id", "ts", "run_id"]),
    omnelog.PipeAborted: ("pipe.aborted", ["id", "ts", "run_id", "reason"]),
    omnelog.NodeStarted: (
        "node.started",
        ["id", "ts", "run_id", "node_id", "kind", "name", "model"],
    ),
    omnelog.NodeCompleted: ("node.completed", ["id", "ts", "run_id", "node_id", "output_path"]),
    omnelog.NodeFailed: ("node.failed", ["id", "ts", "run_id", "node_id", "error", "message"]),
    omnelog.GatePassed: ("gate.passed", ["id", "ts", "run_id", "node_id", "gate", "method"]),
    omnelog.IterationStarted: (
        "iteration.started",
        ["id", "ts", "run_id", "node_id", "iteration", "byte_offset"],
    ),
}
PARTS: dict[type[Any], list[str]] = {omnelog.Input: ["key", "value"], omnelog.NodeError: ["kind"]}
OPTIONAL: set[tuple[type[Any], str]] = {
    (omnelog.NodeStarted, "name"),
    (omnelog.NodeStarted, "model"),
    (omnelog.NodeFailed, "message"),
}
ALL = {**{cls: names for cls, (_, names) in FIELDS.items()}, **PARTS}

by_class = pytest.mark.parametrize("cls", ALL, ids=lambda cls: cls.__name__)


def filled(cls: type[Any]) -> Any:
    """An instance of `cls`. Each field holds its own name, because construction checks nothing."""
    return cls(**{name: name for name in ALL[cls]})


def test_there_are_eight_events_and_each_has_its_type() -> None:
    assert {cls: cls.type for cls in get_args(omnelog.Event)} == {
        cls: name for cls, (name, _) in FIELDS.items()
    }
    assert set(EVENTS) == {name for name, _ in FIELDS.values()}


@given(events())
def test_any_event_is_an_instance_of_event(event: omnelog.Event) -> None:
    assert isinstance(event, omnelog.Event)
    assert event.type in EVENTS


@by_class
def test_fields_are_in_wire_order_and_the_type_is_none_of_them(cls: type[Any]) -> None:
    assert [field.name for field in dataclasses.fields(cls)] == ALL[cls]


@by_class
def test_only_an_optional_field_may_be_left_out_and_is_none_then(cls: type[Any]) -> None:
    everything = {name: name for name in ALL[cls]}
    for name in ALL[cls]:
        others = {other: value for other, value in everything.items() if other != name}
        if (cls, name) in OPTIONAL:
            assert getattr(cls(**others), name) is None
        else:
            with pytest.raises(TypeError, match=name):
                cls(**others)


@by_class
def test_fields_are_given_by_name_alone(cls: type[Any]) -> None:
    with pytest.raises(TypeError, match="positional"):
        cls(*ALL[cls])
    with pytest.raises(TypeError, match="colour"):
        cls(**{name: name for name in ALL[cls]}, colour="red")


@by_class
def test_a_field_can_be_neither_set_nor_deleted_nor_added(cls: type[Any]) -> None:
    thing = filled(cls)
    for name in ALL[cls]:
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(thing, name, "other")
        with pytest.raises(dataclasses.FrozenInstanceError):
            delattr(thing, name)
    for name in ("type", "colour"):  # TypeError: a bug of CPython in frozen dataclasses with slots
        with pytest.raises((AttributeError, TypeError)):
            setattr(thing, name, "other")
        with pytest.raises((AttributeError, TypeError)):
            delattr(thing, name)
    assert not hasattr(thing, "__dict__")
    assert thing == filled(cls)


@by_class
def test_equality_is_by_class_and_every_field(cls: type[Any]) -> None:
    thing = filled(cls)
    assert thing == filled(cls)
    for name in ALL[cls]:
        assert thing != dataclasses.replace(thing, **{name: "other"})
    for other in set(ALL) - {cls}:
        assert thing != filled(other)
    assert thing != ALL[cls]


def test_events_of_the_same_fields_but_another_type_differ() -> None:
    node = {"id": "a", "ts": "b", "run_id": "c", "node_id": "d"}
    completed: omnelog.Event = omnelog.NodeCompleted(**node, output_path="e")
    for other in (omnelog.GatePassed, omnelog.IterationStarted):
        values: dict[str, Any] = {**dict.fromkeys(ALL[other], "e"), **node}
        assert completed != other(**values)


@by_class
def test_what_is_equal_has_one_hash(cls: type[Any]) -> None:
    assert hash(filled(cls)) == hash(filled(cls))
    assert len({filled(cls), filled(cls)}) == 1


@given(events())
def test_an_event_survives_copy_pickle_and_replace(event: omnelog.Event) -> None:
    for again in (
        copy.copy(event),
        copy.deepcopy(event),
        dataclasses.replace(event),
        *(pickle.loads(pickle.dumps(event, level)) for level in range(2, 6)),
    ):
        assert again == event
        assert type(again) is type(event)


@given(events())
def test_the_repr_of_an_event_makes_an_equal_one(event: omnelog.Event) -> None:
    names = {name: getattr(omnelog, name) for name in omnelog.__all__}
    text = repr(event)
    for enum in (omnelog.NodeKind, omnelog.ErrorKind, omnelog.GateMethod):
        for member in enum:
            text = text.replace(f"={member!r}", f"={enum.__name__}.{member.name}")
    assert eval(text, names) == event


MEMBERS: dict[type[StrEnum], list[str]] = {
    omnelog.NodeKind: ["command", "prompt", "bash", "loop"],
    omnelog.ErrorKind: [
        "crash",
        "timeout",
        "gate_failed",
        "blocked",
        "max_iterations_exceeded",
        "host_missing",
    ],
    omnelog.GateMethod: ["hook", "human_cli", "mcp_tool"],
}


@pytest.mark.parametrize(("enum", "values"), MEMBERS.items(), ids=lambda x: str(x)[:20])
def test_an_enum_has_these_members_and_each_is_its_wire_string(
    enum: type[StrEnum], values: list[str]
) -> None:
    assert [member.value for member in enum] == values
    assert [member.name for member in enum] == [value.upper() for value in values]
    assert [str(member) for member in enum] == values
    assert [f"{member}" for member in enum] == values


def test_constructing_checks_nothing() -> None:
    wrong: dict[str, Any] = {"id": 7, "ts": None, "run_id": ["x"]}
    event = omnelog.PipeCompleted(**wrong)
    assert dataclasses.asdict(event) == wrong
