# SPDX-License-Identifier: MIT
"""The JSON Schema of a line accepts what the decoder accepts, as far as a schema can."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

from conformance.vectors import Vector, load

from .. import omnelog
from ..documents import PROJECT
from ..strategies import EVENTS, events, texts

COMMITTED = PROJECT / "conformance" / "line.schema.json"
SPELLING = {  # clauses about the text of JSON, which a schema does not see
    *("ACC-2", "ACC-8", "ACC-9", "ACC-10", "ACC-11", "ACC-12", "ACC-13", "LINE-11"),
}
SPELT_INTEGERS = ("-whole-fraction", "-exponent", "-minus-zero", "-whole-float")

Valid = Callable[[object], bool]


@pytest.fixture
def valid(module: Callable[[str], ModuleType]) -> Valid:
    """A function that checks a value against the committed schema, with `jsonschema`."""
    validator = module("jsonschema").Draft202012Validator
    schema = json.loads(COMMITTED.read_text())
    validator.check_schema(schema)
    is_valid: Valid = validator(schema).is_valid
    return is_valid


def test_the_committed_schema_is_what_the_command_prints_anywhere(tmp_path: Path) -> None:
    """If this fails, run ``omnelog schema > conformance/line.schema.json``."""
    command = [sys.executable, "-m", omnelog.__name__, "schema"]
    done = subprocess.run(command, capture_output=True, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout == COMMITTED.read_bytes()


def schema_can_tell(vector: Vector) -> bool:
    if vector.id.endswith("-unknown-member"):  # readers ignore it, but writers must not write it
        return False
    spelt = "ACC-18" in vector.clauses or "LINE-9" in vector.clauses
    return vector.clauses[0] not in SPELLING and not (
        spelt
        and vector.id.replace("-capital", "").replace("-zero-e", "-e").endswith(SPELT_INTEGERS)
    )


def test_every_vector_is_judged_alike(valid: Valid) -> None:
    judged = {True: 0, False: 0}
    for vector in load():
        if vector.kind not in ("decode", "encode"):
            continue
        good = "error" not in vector.data
        value = vector.data.get("event")
        if vector.kind == "decode":
            try:
                value = json.loads(vector.raw("line") or b"")
            except (ValueError, RecursionError):
                assert not good
                continue
        if good or schema_can_tell(vector):
            assert valid(value) == good, vector.id
            judged[good] += 1
    assert min(judged.values()) > 100


@pytest.mark.parametrize("name", EVENTS)
def test_every_event_is_valid(name: str, valid: Valid) -> None:
    @given(EVENTS[name])
    def holds(event: omnelog.Event) -> None:
        assert valid(json.loads(omnelog.encode(event)))

    holds()


_fractions = st.floats(allow_nan=False, allow_infinity=False).filter(lambda x: not x.is_integer())
_json = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | _fractions | texts(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts(), inner, max_size=3),
    max_leaves=5,
)


@st.composite
def nearly_events(draw: DrawFn) -> Any:
    """The JSON of an event in which at most one member was removed, replaced or added.

    Sometimes it is in a list, or its members are listed as pairs.
    """
    value = json.loads(omnelog.encode(draw(events())))
    other = json.loads(omnelog.encode(draw(events())))
    part = value
    while inner := [key for key in part if isinstance(part[key], dict)]:
        if not draw(st.booleans()):
            break
        part = part[draw(st.sampled_from(inner))]
    key = draw(st.sampled_from([*part, *other]) | texts())
    if draw(st.booleans()):
        part[key] = draw(_json | st.sampled_from([*other.values()]))
    else:
        part.pop(key, None)
    return draw(st.sampled_from([value, value, value, [value], list(value.items())]))


def test_what_is_nearly_an_event_is_judged_alike(valid: Valid) -> None:
    seen = set()

    @given(nearly_events())
    def holds(value: Any) -> None:
        try:
            omnelog.decode(json.dumps(value).encode())
            accepted = True
        except omnelog.DeserializeError:
            accepted = False
        assert valid(value) == accepted
        seen.add(accepted)

    holds()
    assert seen == {True, False}
