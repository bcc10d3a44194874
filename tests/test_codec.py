# SPDX-License-Identifier: MIT
"""One event to one line and back: the line byte for byte, what is accepted, what is refused.

The lines and the schema below are written by hand and not derived from the package, because the
package is checked against them. It is also compared with two other encoders, `json` and
dataclasses-json.
"""

import copy
import dataclasses
import enum
import json
import pickle
import re
import sys
import typing
from collections.abc import Callable, Iterator
from typing import Any, NoReturn

import dataclasses_json
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

from . import omnelog
from .inside import check_strictly, read_strictly
from .strategies import EVENTS, U32_MAX, U64_MAX, events, texts

decode, encode, is_blank = omnelog.decode, omnelog.encode, omnelog.linelog.objects.is_blank

ID = "01kpfntqeej7vhn935kc0tm9vn"
TS = "2026-04-18T09:30:00Z"
RUN = "feature-01kpfntqeej7vhn935kc0tm9vn"

_every = {"id": ID, "ts": TS, "run_id": RUN}
_node = {**_every, "node_id": "plan"}
_HEAD = (
    '"id":"01kpfntqeej7vhn935kc0tm9vn","ts":"2026-04-18T09:30:00Z",'
    '"run_id":"feature-01kpfntqeej7vhn935kc0tm9vn"'
)

LINES: dict[str, tuple[omnelog.Event, str]] = {
    "pipe.started": (
        omnelog.PipeStarted(
            **_every,
            pipe="feature",
            inputs=[omnelog.Input(key="a", value="1"), omnelog.Input(key="b", value="")],
            distro_version="0.2.0",
        ),
        '{"type":"pipe.started",' + _HEAD + ',"pipe":"feature","inputs":[{"key":"a","value":"1"},'
        '{"key":"b","value":""}],"distro_version":"0.2.0"}',
    ),
    "pipe.started without inputs": (
        omnelog.PipeStarted(**_every, pipe="", inputs=[], distro_version=""),
        '{"type":"pipe.started",' + _HEAD + ',"pipe":"","inputs":[],"distro_version":""}',
    ),
    "pipe.completed": (
        omnelog.PipeCompleted(**_every),
        '{"type":"pipe.completed",' + _HEAD + "}",
    ),
    "pipe.aborted": (
        omnelog.PipeAborted(**_every, reason="interrupted"),
        '{"type":"pipe.aborted",' + _HEAD + ',"reason":"interrupted"}',
    ),
    "node.started": (
        omnelog.NodeStarted(**_node, kind=omnelog.NodeKind.PROMPT, name="Plan it", model="large-1"),
        '{"type":"node.started",' + _HEAD + ',"node_id":"plan","kind":"prompt","name":"Plan it",'
        '"model":"large-1"}',
    ),
    "node.started with a name only": (
        omnelog.NodeStarted(**_node, kind=omnelog.NodeKind.BASH, name="", model=None),
        '{"type":"node.started",' + _HEAD + ',"node_id":"plan","kind":"bash","name":""}',
    ),
    "node.started with a model only": (
        omnelog.NodeStarted(**_node, kind=omnelog.NodeKind.LOOP, name=None, model="m"),
        '{"type":"node.started",' + _HEAD + ',"node_id":"plan","kind":"loop","model":"m"}',
    ),
    "node.started with neither": (
        omnelog.NodeStarted(**_node, kind=omnelog.NodeKind.COMMAND),
        '{"type":"node.started",' + _HEAD + ',"node_id":"plan","kind":"command"}',
    ),
    "node.completed": (
        omnelog.NodeCompleted(**_node, output_path=f".omne/var/runs/{RUN}/nodes/plan.out"),
        '{"type":"node.completed",' + _HEAD + ',"node_id":"plan","output_path":'
        '".omne/var/runs/feature-01kpfntqeej7vhn935kc0tm9vn/nodes/plan.out"}',
    ),
    "node.failed": (
        omnelog.NodeFailed(
            **_node, error=omnelog.NodeError(kind=omnelog.ErrorKind.CRASH), message="exit 1"
        ),
        '{"type":"node.failed",' + _HEAD + ',"node_id":"plan","error":{"kind":"crash"},'
        '"message":"exit 1"}',
    ),
    "node.failed without a message": (
        omnelog.NodeFailed(**_node, error=omnelog.NodeError(kind=omnelog.ErrorKind.BLOCKED)),
        '{"type":"node.failed",' + _HEAD + ',"node_id":"plan","error":{"kind":"blocked"}}',
    ),
    "gate.passed": (
        omnelog.GatePassed(**_node, gate="review", method=omnelog.GateMethod.HUMAN_CLI),
        '{"type":"gate.passed",' + _HEAD + ',"node_id":"plan","gate":"review",'
        '"method":"human_cli"}',
    ),
    "iteration.started": (
        omnelog.IterationStarted(**_node, iteration=3, byte_offset=4_294_967_296),
        '{"type":"iteration.started",' + _HEAD + ',"node_id":"plan","iteration":3,'
        '"byte_offset":4294967296}',
    ),
    "iteration.started at the least": (
        omnelog.IterationStarted(**_node, iteration=0, byte_offset=0),
        '{"type":"iteration.started",' + _HEAD + ',"node_id":"plan","iteration":0,"byte_offset":0}',
    ),
    "iteration.started at the greatest": (
        omnelog.IterationStarted(
            **_node, iteration=4_294_967_295, byte_offset=18_446_744_073_709_551_615
        ),
        '{"type":"iteration.started",' + _HEAD + ',"node_id":"plan","iteration":4294967295,'
        '"byte_offset":18446744073709551615}',
    ),
}

STRING, INPUTS, ERROR, U32, U64 = "string", "inputs", "error", "u32", "u64"
KIND = ("command", "prompt", "bash", "loop")
ERROR_KIND = (
    "crash",
    "timeout",
    "gate_failed",
    "blocked",
    "max_iterations_exceeded",
    "host_missing",
)
METHOD = ("hook", "human_cli", "mcp_tool")

_EVERY = {"id": STRING, "ts": STRING, "run_id": STRING}
_NODE = {**_EVERY, "node_id": STRING}
SCHEMA: dict[str, dict[str, str | tuple[str, ...]]] = {
    "pipe.started": {**_EVERY, "pipe": STRING, "inputs": INPUTS, "distro_version": STRING},
    "pipe.completed": {**_EVERY},
    "pipe.aborted": {**_EVERY, "reason": STRING},
    "node.started": {**_NODE, "kind": KIND, "name?": STRING, "model?": STRING},
    "node.completed": {**_NODE, "output_path": STRING},
    "node.failed": {**_NODE, "error": ERROR, "message?": STRING},
    "gate.passed": {**_NODE, "gate": STRING, "method": METHOD},
    "iteration.started": {**_NODE, "iteration": U32, "byte_offset": U64},
}
"""The members after "type" in wire order; ``?`` marks what may be left out."""

FULL = {name: json.loads(LINES[name][1]) for name in SCHEMA}
"""One event of every type as a dict, with every optional member."""

BASE = {
    "type": "node.failed",
    **_node,
    "error": {"kind": "timeout"},
    "message": "m",
}


def line_with(member: str, value: str) -> bytes:
    """A sound line with one more member. `member` and `value` are raw JSON and may spoil it."""
    return f'{json.dumps(BASE)[:-1]},"{member}":{value}}}'.encode()


def refusal(line: bytes) -> omnelog.DeserializeError:
    """Check that a line is refused, and what holds for every such error. Return the error."""
    with pytest.raises(omnelog.DeserializeError) as caught:
        decode(line)
    error = caught.value
    assert error.reason
    assert len(error.reason) < 400, "a reason is short, however long the line"
    assert error.reason.isprintable(), "a reason is fit for a terminal"
    assert str(error) == error.reason
    assert (error.path, error.line, error.offset) == (None, None, None)
    assert isinstance(error.__cause__, ValueError)
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), again.reason, str(again)) == (type(error), error.reason, str(error))
    return error


def check_any(line: bytes) -> None:
    """Check that `line` is refused with DeserializeError, or is an event that can be written."""
    try:
        event = decode(line)
    except omnelog.DeserializeError as error:
        complete = bool(error.reason) and error.__cause__ is not None
    else:
        complete = decode(encode(event)) == event
    assert complete


# ---- the line ----


@pytest.mark.spec("LINE-12")
@pytest.mark.parametrize("name", EVENTS)
@given(st.data())
def test_decode_gives_back_what_encode_was_given(name: str, data: st.DataObject) -> None:
    event = data.draw(EVENTS[name])
    assert event.type == name
    assert decode(encode(event)) == event
    assert decode(encode(event).removesuffix(b"\n")) == event


@pytest.mark.spec("LINE-2")
@given(events())
def test_a_line_holds_no_newline_but_the_one_that_ends_it(event: omnelog.Event) -> None:
    line = encode(event)
    assert line.count(b"\n") == 1
    assert line.endswith(b"}\n")
    assert not re.search(rb"[\x00-\x09\x0b-\x1f]", line), "controls are escaped"


@pytest.mark.spec("LINE-1", "LINE-2")
@pytest.mark.parametrize(("event", "line"), LINES.values(), ids=LINES)
def test_the_line_of_each_type_byte_for_byte(event: omnelog.Event, line: str) -> None:
    assert encode(event) == line.encode() + b"\n"
    assert decode(line.encode() + b"\n") == event


@pytest.mark.parametrize("name", SCHEMA)
def test_type_comes_first_and_then_the_declared_order(name: str) -> None:
    event, _ = LINES[name]
    declared = [member.removesuffix("?") for member in SCHEMA[name]]
    assert list(FULL[name]) == ["type", *declared]
    assert list(json.loads(encode(event))) == ["type", *declared]
    assert event.type == name


ESCAPED = {
    '"': r"\"",
    "\\": r"\\",
    "\b": r"\b",
    "\f": r"\f",
    "\n": r"\n",
    "\r": r"\r",
    "\t": r"\t",
    "\x00": r"\u0000",
    "\x01": r"\u0001",
    "\x02": r"\u0002",
    "\x03": r"\u0003",
    "\x04": r"\u0004",
    "\x05": r"\u0005",
    "\x06": r"\u0006",
    "\x07": r"\u0007",
    "\x0b": r"\u000b",
    "\x0e": r"\u000e",
    "\x0f": r"\u000f",
    "\x10": r"\u0010",
    "\x11": r"\u0011",
    "\x12": r"\u0012",
    "\x13": r"\u0013",
    "\x14": r"\u0014",
    "\x15": r"\u0015",
    "\x16": r"\u0016",
    "\x17": r"\u0017",
    "\x18": r"\u0018",
    "\x19": r"\u0019",
    "\x1a": r"\u001a",
    "\x1b": r"\u001b",
    "\x1c": r"\u001c",
    "\x1d": r"\u001d",
    "\x1e": r"\u001e",
    "\x1f": r"\u001f",
}
"""The characters that are escaped in a string, and how."""


def aborted(reason: str) -> omnelog.PipeAborted:
    return omnelog.PipeAborted(**_every, reason=reason)


def aborted_line(quoted: str) -> bytes:
    return f'{{"type":"pipe.aborted",{_HEAD},"reason":"{quoted}"}}\n'.encode()


@pytest.mark.parametrize(("char", "escape"), ESCAPED.items(), ids=ascii)
def test_quotes_backslashes_and_controls_are_escaped_as_serde_json_does(
    char: str, escape: str
) -> None:
    assert encode(aborted(f"a{char}z")) == aborted_line(f"a{escape}z")
    assert decode(aborted_line(f"a{escape}z")) == aborted(f"a{char}z")


@given(texts())
@example("/")
@example("\x7f")
@example("\x80\x85\xa0")
@example("\u2028\u2029")
@example("\ufeff\ufffe\uffff")
@example("\U0001f600\U0010ffff")
@example("</script>'é")
def test_nothing_else_is_escaped(text: str) -> None:
    quoted = "".join(ESCAPED.get(char, char) for char in text)
    assert encode(aborted(text)) == aborted_line(quoted)
    assert decode(aborted_line(quoted)) == aborted(text)


# ---- other encoders as oracles ----


def wire_objects() -> SearchStrategy[dict[str, Any]]:
    """Events as dicts in wire order, drawn from the schema above and not from the classes."""
    integers = {U32: st.integers(0, U32_MAX), U64: st.integers(0, U64_MAX)}
    shapes: dict[Any, SearchStrategy[Any]] = {
        STRING: texts(),
        INPUTS: st.lists(st.builds(dict, key=texts(), value=texts()), max_size=3),
        ERROR: st.builds(dict, kind=st.sampled_from(ERROR_KIND)),
        KIND: st.sampled_from(KIND),
        METHOD: st.sampled_from(METHOD),
        **integers,
    }

    @st.composite
    def wire_object(draw: DrawFn) -> dict[str, Any]:
        name = draw(st.sampled_from(list(SCHEMA)))
        found = {"type": name}
        for member, shape in SCHEMA[name].items():
            if not member.endswith("?") or draw(st.booleans()):
                found[member.removesuffix("?")] = draw(shapes[shape])
        return found

    return wire_object()


def canonical(wire: dict[str, Any]) -> bytes:
    """The line of `wire`, made by the standard library, which escapes as serde_json does."""
    return json.dumps(wire, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


@given(wire_objects())
def test_a_canonical_line_decodes_and_encodes_to_itself(wire: dict[str, Any]) -> None:
    assert encode(decode(canonical(wire))) == canonical(wire)


@given(wire_objects())
@example({**BASE, "message": '"\\\n\x1b'})
def test_a_canonical_line_is_not_taken_the_long_way(wire: dict[str, Any]) -> None:
    """The long way gives the same result, but is four times slower."""

    def accept(text: str) -> NoReturn:
        raise AssertionError(text)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(omnelog.codec, "_read", accept)
        decode(canonical(wire))


@given(wire_objects())
def test_every_member_lands_in_the_attribute_of_its_name(wire: dict[str, Any]) -> None:
    event = decode(canonical(wire))
    found = {"type": event.type, **dataclasses.asdict(event)}
    assert {name: value for name, value in found.items() if value is not None} == wire


@pytest.fixture
def jsonable() -> Iterator[Callable[[type[Any]], Any]]:
    """dataclasses-json's decorator for the event classes themselves, undone after the test."""
    seen: dict[type[Any], set[str]] = {}

    def decorate(cls: type[Any]) -> Any:
        seen.setdefault(cls, set(vars(cls)))
        return dataclasses_json.dataclass_json(cls)

    yield decorate
    for cls, before in seen.items():
        for name in set(vars(cls)) - before:
            delattr(cls, name)


def without_nulls(value: Any) -> Any:
    return {name: member for name, member in value.items() if member is not None}


@pytest.mark.parametrize("name", EVENTS)
def test_dataclasses_json_agrees(name: str, jsonable: Callable[[type[Any]], Any]) -> None:
    @given(EVENTS[name])
    def agrees(event: omnelog.Event) -> None:
        foreign = jsonable(type(event))
        line = encode(event)
        assert json.loads(line) == {
            "type": name,
            **without_nulls(json.loads(foreign.to_json(event))),
        }
        assert foreign.from_json(line) == event
        assert encode(foreign.from_json(line)) == line  # only if enums are enums, not their values

    agrees()


def test_dataclasses_json_leaves_no_trace_in_the_classes() -> None:
    assert not hasattr(omnelog.PipeStarted, "to_json")


# ---- any bytes at all ----

TOKENS = [
    *(f'"{name}":' for name in ("type", "id", "ts", "run_id", "node_id", "iteration", "x")),
    *(f'"{name}"' for name in SCHEMA),
    *'{}[]",:-+.eE019\\/ \t\r\n\0',
    *('""', '"\\u0000"', '"\\ud83d\\ude00"', '"\\ud800"', '"\\u', '"\\', "\\n", "[[", "]]", "{}"),
    *("null", "true", "false", "NaN", "Infinity", "-Infinity", "nul", "1e999", "-0", "1.5", "01"),
    *("\ufeff", "\u2028", "é", "\U0001f600", "9" * 400),
]


def edited(lines: SearchStrategy[bytes]) -> SearchStrategy[bytes]:
    """Lines with one to five edits, each of which replaces up to six bytes by others."""
    filling = st.binary(max_size=4) | st.sampled_from(TOKENS).map(str.encode)
    edits = st.lists(
        st.tuples(st.integers(0, 400), st.integers(0, 6), filling), min_size=1, max_size=5
    )

    def edit(line: bytes, edits: list[tuple[int, int, bytes]]) -> bytes:
        for place, length, filled in edits:
            begin = place % (len(line) + 1)
            line = line[:begin] + filled + line[begin + length :]
        return line

    return st.builds(edit, lines, edits)


# ---- the fast paths and the strict ones ----


def outcome_of(call: Callable[[], object]) -> object:
    """What `call` returns, with its class, or "refused" if it raises an error for bad input."""
    try:
        found = call()
    except (omnelog.DeserializeError, omnelog.SerializeError, omnelog.linelog.objects.Unfit):
        return "refused"
    return type(found), found


def assert_read_alike(line: bytes) -> None:
    """Check that the fast path has the same result as the strict one."""
    objects = omnelog.linelog.objects
    strictly = outcome_of(lambda: read_strictly(objects.text_of(line)))
    assert outcome_of(lambda: decode(line)) == strictly


_NEARLY = {
    "a type that begins alike": (b'"pipe.completed"', b'"pipe.compleXXX"'),
    "another type": (b'"pipe.started"', b'"pipe.aborted"'),
    "a longer type": (b'"gate.passed"', b'"gate.passed.by"'),
    "white space": (b'","ts"', b'", "ts"'),
    "another order": (b'"iteration":3,"byte_offset":4294967296', b'"byte_offset":0,"iteration":3'),
    "a nought before an integer": (b'"iteration":3', b'"iteration":03'),
    "minus nought": (b'"iteration":3', b'"iteration":-0'),
    "a negative integer": (b'"iteration":3', b'"iteration":-3'),
    "a fraction": (b'"iteration":3', b'"iteration":3.0'),
    "a power of ten": (b'"iteration":3', b'"iteration":3e0'),
    "Arabic digits": (b'"iteration":3', '"iteration":3\u0663'.encode()),
    "the greatest integer and one": (b'"iteration":3', b'"iteration":4294967296'),
    "the greatest offset and one": (b"4294967296", b"18446744073709551616"),
    "as many digits as there can be": (b"4294967296", b"99999999999999999999"),
    "one digit more": (b"4294967296", b"999999999999999999999"),
    "a raw control character": (b'"interrupted"', b'"inter\x1frupted"'),
    "a raw tab": (b'"interrupted"', b'"inter\trupted"'),
    "a raw newline": (b'"interrupted"', b'"inter\nrupted"'),
    "a raw delete": (b'"interrupted"', b'"inter\x7frupted"'),
    "a quote": (b'"interrupted"', b'"inter"rupted"'),
    "another member in a string's place": (b'"interrupted"', b'"interrupted","reason":"x"'),
    "an escape": (b'"interrupted"', b'"inter\\nrupted"'),
    "an escaped slash": (b'"interrupted"', b'"inter\\/rupted"'),
    "an escape in capitals": (b'"interrupted"', b'"inter\\u001Frupted"'),
    "an escape of a letter": (b'"interrupted"', b'"inter\\u0061rupted"'),
    "an unknown escape": (b'"interrupted"', b'"inter\\xrupted"'),
    "a short escape": (b'"interrupted"', b'"inter\\u00"'),
    "a lone surrogate": (b'"interrupted"', b'"inter\\ud800rupted"'),
    "a surrogate pair": (b'"interrupted"', b'"inter\\ud83d\\ude00rupted"'),
    "a backslash at the end": (b'"interrupted"', b'"interrupted\\"'),
    "null for a string": (b'"interrupted"', b"null"),
    "null for an optional string": (b'"Plan it"', b"null"),
    "a missing member": (b',"gate":"review"', b""),
    "a missing enum": (b',"method":"human_cli"', b""),
    "an unknown enum": (b'"human_cli"', b'"human"'),
    "an enum with more": (b'"human_cli"', b'"human_cli2"'),
    "an unknown error": (b'{"kind":"crash"}', b'{"kind":"other"}'),
    "more in an error": (b'{"kind":"crash"}', b'{"kind":"crash","x":1}'),
    "no comma between inputs": (b'"1"},{"key"', b'"1"}{"key"'),
    "a comma too many": (b'"value":""}]', b'"value":""},]'),
    "three inputs": (b'"value":""}]', b'"value":""},{"key":"c","value":"\\n"}]'),
    "escapes in inputs": (b'"value":""}]', b'"value":"\\t"},{"key":"\\n","value":""}]'),
    "an input in another order": (b'{"key":"a","value":"1"}', b'{"value":"1","key":"a"}'),
    "an input with more": (b'{"key":"a","value":"1"}', b'{"key":"a","value":"1","x":0}'),
    "an unknown member at the end": (b'"interrupted"', b'"interrupted","x":1'),
    "something behind the end": (b'"reason":"interrupted"}', b'"reason":"interrupted"}}'),
    "white space behind the end": (b'"reason":"interrupted"}', b'"reason":"interrupted"} '),
    "no end": (b'"reason":"interrupted"}', b'"reason":"interrupted"'),
    "no UTF-8": (b'"interrupted"', b'"inter\xffrupted"'),
}
"""A piece of a canonical line, and what replaces it, so that the line is only nearly canonical."""


@pytest.mark.spec("ACC-20")
@pytest.mark.parametrize(("piece", "instead"), _NEARLY.values(), ids=_NEARLY)
def test_a_line_that_is_nearly_canonical_is_read_as_the_strict_way_reads_it(
    piece: bytes, instead: bytes
) -> None:
    nearly = [line.encode() for _, line in LINES.values() if piece in line.encode()]
    assert nearly
    for line in nearly:
        assert_read_alike(line.replace(piece, instead))
        assert_read_alike(line.replace(piece, instead).replace(b'"id":"', b'"id":"\\t'))


@given(edited(events().map(encode)))
def test_any_edited_line_is_read_as_the_strict_way_reads_it(line: bytes) -> None:
    assert_read_alike(line)


ANY_VALUE: list[object] = [
    *(None, True, 0, 1, -1, 2**32, 2**64 - 1, 2**64, 1.0, "", "x", "\ud800", b"x", [], (), {}),
    *(omnelog.NodeKind.BASH, omnelog.ErrorKind.CRASH, omnelog.GateMethod.HOOK),
    *(omnelog.Input(key="a", value='"'), omnelog.NodeError(kind=omnelog.ErrorKind.TIMEOUT)),
    [omnelog.Input(key="", value="")],
    [omnelog.Input(key="", value=None)],  # type: ignore[arg-type]
    [None],
    omnelog.NodeError(kind="crash"),  # type: ignore[arg-type]
]


@pytest.mark.spec("LINE-10")
@pytest.mark.parametrize("name", EVENTS)
@given(st.data())
def test_an_event_with_any_value_in_any_field_is_written_if_the_strict_check_lets_it(
    name: str, data: st.DataObject
) -> None:
    event = data.draw(EVENTS[name])
    field = data.draw(st.sampled_from([field.name for field in dataclasses.fields(event)]))
    object.__setattr__(event, field, data.draw(st.sampled_from(ANY_VALUE)))
    allowed = outcome_of(lambda: check_strictly(event))
    assert (outcome_of(lambda: encode(event)) == "refused") == (allowed == "refused")


def test_every_type_of_event_has_a_writer_and_nothing_else_has() -> None:
    """To add a type, write its class in `events` and its writer in `codec`."""
    types = {cls.__name__ for cls in typing.get_args(omnelog.Event)}
    writers = {cls.__name__ for cls in omnelog.codec._WRITERS}
    assert types - writers == set(), "without a writer in codec.py"
    assert writers - types == set(), "without a place in the union Event of events.py"


ANY_BYTES = {
    "bytes": st.binary(),
    "text": st.text().map(str.encode),
    "json-like": st.lists(st.sampled_from(TOKENS)).map(lambda found: "".join(found).encode()),
    "edited-lines": edited(events().map(encode)),
}


@pytest.mark.spec("ACC-20")
@pytest.mark.parametrize("lines", ANY_BYTES.values(), ids=ANY_BYTES)
def test_any_bytes_are_refused_or_are_an_event_that_can_be_written(
    lines: SearchStrategy[bytes],
) -> None:
    given(lines)(check_any)()


BYTES_TO_TRY = (
    bytes(range(0x20)) + b"\"\\{}[],:019-+.eEuntfbr/ _aA'\x7f\x80\x85\xbf\xc3\xed\xf0\xff"
)


@pytest.mark.parametrize("name", SCHEMA)
def test_a_one_byte_edit_anywhere_never_ends_in_another_exception(name: str) -> None:
    # The strings are short, because all places within a string are alike.
    line = encode(dataclasses.replace(LINES[name][0], id="01", ts="20", run_id="f-"))
    for place in range(len(line) + 1):
        before, after = line[:place], line[place:]
        check_any(before)
        check_any(before + after[1:])
        for value in BYTES_TO_TRY:
            byte = bytes([value])
            check_any(before + byte + after)
            check_any(before + byte + after[1:])


# ---- what is accepted ----


@st.composite
def spellings(draw: DrawFn, wire: dict[str, Any]) -> str:
    """Another RFC 8259 spelling of `wire`, in order, white space, escapes and unknown members."""
    space = draw(st.sampled_from(["", " ", "\t", "\r", " \r\t "]))
    spell = draw(st.sampled_from([spell_raw, spell_ascii, spell_upper, spell_mixed]))
    extra = draw(st.dictionaries(st.text(max_size=2).map("x-{}".format), json_values(), max_size=2))
    order = draw(st.permutations(range(10)))

    def write(value: Any) -> str:
        if isinstance(value, dict):
            written = [f"{write(key)}:{write(member)}" for key, member in value.items()]
            written += [f"{write(key)}:{json.dumps(member)}" for key, member in extra.items()]
            written = [part for _, part in sorted(zip(order, written, strict=False))]
            return f"{space}{{{f'{space},'.join(written)}{space}}}{space}"
        if isinstance(value, list):
            return f"{space}[{f'{space},'.join(map(write, value))}{space}]{space}"
        if isinstance(value, str):
            return f'{space}"{spell(value)}"{space}'
        return f"{space}{json.dumps(value)}{space}"

    return write(wire)


def spell_raw(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)[1:-1].replace("/", r"\/")


def spell_ascii(text: str) -> str:
    return json.dumps(text)[1:-1]


def spell_upper(text: str) -> str:
    units = text.encode("utf-16-be")
    return "".join(f"\\u{units[i]:02X}{units[i + 1]:02X}" for i in range(0, len(units), 2))


def spell_mixed(text: str) -> str:
    odd = (spell_upper(char) if i % 2 else spell_raw(char) for i, char in enumerate(text))
    return "".join(odd)


def json_values() -> SearchStrategy[Any]:
    """Any JSON value for an unknown member, small enough to stay within 127 levels."""
    floats = st.floats(allow_nan=False, allow_infinity=False)
    leaves = st.none() | st.booleans() | st.integers() | floats | texts()
    return st.recursive(
        leaves,
        lambda inner: (
            st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
        ),
        max_leaves=5,
    )


@given(st.data())
def test_order_white_space_escapes_and_unknown_members_do_not_matter(data: st.DataObject) -> None:
    wire = data.draw(wire_objects())
    other = data.draw(spellings(wire))
    assert decode(other.encode()) == decode(canonical(wire))


ACCEPTED = {
    "the-newline": "\n",
    "no-newline": "",
    "a-carriage-return": "\r\n",
    "a-carriage-return-and-no-newline": "\r",
    "white-space-after": " \t\r\n",
}


@pytest.mark.parametrize("end", ACCEPTED.values(), ids=ACCEPTED)
def test_a_line_may_end_in(end: str) -> None:
    assert decode(json.dumps(BASE).encode() + end.encode()) == decode(canonical(BASE))


UNKNOWN = {
    "null": "null",
    "string": '"x"',
    "empty-key-inside": '{"":0}',
    "minus-zero": "-0",
    "float": "-1.5e-3",
    "the-greatest-double": "1.7976931348623157e308",
    "too-small-for-a-double": "1e-999",
    "zero-with-a-huge-exponent": "0e999",
    "an-integer-of-300-digits": "9" * 300,
    "an-integer-of-309-digits-within-a-double": "1" + "0" * 308,
    "a-negative-one": "-1" + "0" * 308,
    "surrogate-pair": r'"\ud83d\ude00"',
    "surrogate-pair-upper-case": r'"\uD83D\uDE00"',
    "the-greatest-surrogate-pair": r'"\udbff\udfff"',
    "an-escaped-backslash-before-ud800": r'"\\ud800"',
    "escaped-noncharacter": r'"\uffff"',
    "escaped-nul": r'"\u0000"',
    "the-name-of-a-nested-member": '{"key":1,"kind":2,"type":3}',
    "the-same-key-in-two-objects": '[{"a":1},{"a":1},{"a":{"a":1}}]',
    "an-object-of-300-members": json.dumps(dict.fromkeys(map(str, range(300)))),
}


@pytest.mark.parametrize("value", UNKNOWN.values(), ids=UNKNOWN)
def test_an_unknown_member_may_hold(value: str) -> None:
    assert decode(line_with("x", value)) == decode(canonical(BASE))
    nested = json.dumps(BASE).replace('"timeout"', f'"timeout","x":{value}')
    assert decode(nested.encode()) == decode(canonical(BASE))


def test_a_surrogate_pair_is_the_character_it_encodes() -> None:
    assert decode(aborted_line(r"\ud83d\ude00")) == aborted("\U0001f600")
    assert decode(aborted_line(r"\uD83d\uDe00")) == aborted("\U0001f600")
    assert decode(aborted_line(r"\\ud800")) == aborted(r"\ud800")


@pytest.mark.parametrize("name", ["node.started", "node.failed"])
def test_an_optional_member_may_be_missing_or_null_alike(name: str) -> None:
    for optional in (m.removesuffix("?") for m in SCHEMA[name] if m.endswith("?")):
        wire = dict(FULL[name])
        wire[optional] = None
        by_null = decode(json.dumps(wire).encode())
        del wire[optional]
        assert decode(json.dumps(wire).encode()) == by_null
        assert getattr(by_null, optional) is None
        assert encode(by_null) == canonical(wire), "a None is left out of the line"


# ---- what is refused: the JSON ----

_NOT_JSON = {
    "empty": b"",
    "newline-only": b"\n",
    "blank": b"  \t\r\n",
    "blank-in-unicode": "\u2028\u3000".encode(),
    "byte-order-mark": b"\xef\xbb\xbf" + canonical(BASE),
    "utf-16": canonical(BASE).decode().encode("utf-16"),
    "nul-before": b"\0" + canonical(BASE),
    "nul-after": canonical(BASE)[:-1] + b"\0",
    "nuls-only": b"\0" * 4096,
    "nul-in-a-string": canonical(BASE).replace(b"plan", b"pl\0an"),
    "form-feed-before": b"\f" + canonical(BASE),
    "no-break-space-after": canonical(BASE)[:-1] + "\xa0".encode(),
    "line-separator-after": canonical(BASE)[:-1] + "\u2028".encode(),
    "trailing-garbage": canonical(BASE)[:-1] + b"x",
    "trailing-comma": canonical(BASE)[:-2] + b",}",
    "comma-after": canonical(BASE)[:-1] + b",",
    "leading-comma": b"," + canonical(BASE),
    "trailing-comma-in-an-array": line_with("x", "[1,]"),
    "two-objects": canonical(BASE)[:-1] * 2,
    "two-objects-apart": canonical(BASE)[:-1] + b" " + canonical(BASE)[:-1],
    "two-lines": canonical(BASE) * 2,
    "two-newlines": canonical(BASE) + b"\n",
    "newline-inside": canonical(BASE).replace(b",", b",\n", 1),
    "newline-before": b"\n" + canonical(BASE),
    "newline-before-a-carriage-return": canonical(BASE) + b"\r",
    "newline-in-a-string": canonical(BASE).replace(b"plan", b"pl\nan"),
    "tab-in-a-string": canonical(BASE).replace(b"plan", b"pl\tan"),
    "carriage-return-in-a-string": canonical(BASE).replace(b"plan", b"pl\ran"),
    "unit-separator-in-a-string": canonical(BASE).replace(b"plan", b"pl\x1fan"),
    "cut-short": canonical(BASE)[:-2],
    "cut-in-a-string": canonical(BASE)[:40],
    "cut-in-an-escape": line_with("x", '"')[:-1] + b"\\",
    "cut-in-a-unicode-escape": line_with("x", '"')[:-1] + b"\\u00",
    "cut-in-a-character": line_with("x", '"\u2028')[:-2],
    "unknown-escape": line_with("x", r'"\x"'),
    "escaped-single-quote": line_with("x", r'"\'"'),
    "upper-case-unicode-escape": line_with("x", r'"\U0001f600"'),
    "unicode-escape-of-3-digits": line_with("x", r'"\u123"'),
    "unicode-escape-with-a-sign": line_with("x", r'"\u+123"'),
    "unicode-escape-with-an-underscore": line_with("x", r'"\u1_23"'),
    "unicode-escape-with-a-space": line_with("x", r'"\u 123"'),
    "unicode-escape-of-other-digits": line_with("x", r'"\u' + "\u0661" * 4 + '"'),
    "single-quotes": canonical(BASE).replace(b'"', b"'"),
    "bare-key": line_with("x", "{a:1}"),
    "number-for-a-key": line_with("x", "{1:1}"),
    "key-without-value": line_with("x", '{"a"}'),
    "colon-without-value": line_with("x", '{"a":}'),
    "comment": line_with("x", "1/**/"),
    "nan": line_with("x", "NaN"),
    "infinity": line_with("x", "Infinity"),
    "minus-infinity": line_with("x", "-Infinity"),
    "nan-nested": line_with("x", '[{"a":[NaN]}]'),
    "python-none": line_with("x", "None"),
    "upper-case-true": line_with("x", "True"),
    "half-a-literal": line_with("x", "tru"),
    "leading-zero": line_with("x", "01"),
    "leading-plus": line_with("x", "+1"),
    "lone-minus": line_with("x", "-"),
    "minus-and-leading-zero": line_with("x", "-01"),
    "point-without-digits-after": line_with("x", "1."),
    "point-without-digits-before": line_with("x", ".5"),
    "exponent-without-digits": line_with("x", "1e"),
    "hexadecimal": line_with("x", "0x1f"),
    "underscore-in-a-number": line_with("x", "1_000"),
    "other-digits": line_with("x", "\u0661"),
    "other-digits-after-the-point": line_with("x", "1.\u0661"),
    "beyond-a-double": line_with("x", "1e999"),
    "beyond-a-double-negative": line_with("x", "-1e999"),
    "beyond-a-double-just-so": line_with("x", "1.7976931348623159e308"),
    "beyond-a-double-as-an-integer": line_with("x", "2" + "0" * 308),
    "beyond-a-double-nested": line_with("x", '[{"a":1e999}]'),
    "integer-of-310-digits": line_with("x", "1" + "0" * 309),
    "integer-of-400-digits": line_with("x", "9" * 400),
    "integer-of-5000-digits": line_with("x", "9" * 5000),
    "integer-of-5000-digits-negative": line_with("x", "-" + "9" * 5000),
    "integer-of-5000-digits-nested": line_with("x", '{"a":[' + "9" * 5000 + "]}"),
    "point-after-5000-digits": line_with("x", "9" * 5000 + ".0"),
}

_NOT_UTF8 = {
    "byte-ff": b"\xff",
    "continuation-alone": b"\x80",
    "cut-off": b"\xe2\x80",
    "overlong-slash": b"\xc0\xaf",
    "surrogate-in-utf-8": b"\xed\xa0\x80",
    "surrogate-pair-in-utf-8": b"\xed\xa0\xbd\xed\xb8\x80",
    "beyond-unicode": b"\xf4\x90\x80\x80",
    "latin-1": b"\xe9",
}


@pytest.mark.parametrize("line", _NOT_JSON.values(), ids=_NOT_JSON)
def test_what_is_not_rfc_8259_is_refused(line: bytes) -> None:
    refusal(line)


@pytest.mark.parametrize("wrong", _NOT_UTF8.values(), ids=_NOT_UTF8)
def test_what_is_not_utf_8_is_refused_wherever_it_stands(wrong: bytes) -> None:
    line = canonical(BASE)
    for place in (0, line.index(b"plan"), len(line) - 1):
        refusal(line[:place] + wrong + line[place:])


def test_the_lines_these_refusals_start_from_are_sound() -> None:
    event = decode(canonical(BASE))
    assert decode(line_with("x", "1")) == event
    assert decode(line_with("x", '"\u2028"')) == event


_LONE = {
    "high": r"\ud800",
    "high-upper-case": r"\uD800",
    "the-last-high": r"\udbff",
    "low": r"\udc00",
    "the-last-low": r"\uDFFF",
    "high-and-high": r"\ud800\ud800",
    "low-and-high": r"\udc00\ud800",
    "high-and-a-letter": r"\ud800a",
    "high-and-another-escape": r"\ud800\n",
    "pair-and-high": r"\ud83d\ude00\ud83d",
    "after-an-escaped-backslash": r"\\\ud800",
}


@pytest.mark.parametrize("lone", _LONE.values(), ids=_LONE)
def test_a_lone_surrogate_escape_is_refused_wherever_it_stands(lone: str) -> None:
    line = canonical(BASE).decode()
    refusal(line.replace("plan", lone).encode())
    refusal(line.replace("node.failed", f"node.failed{lone}").encode())
    refusal(line.replace("timeout", lone).encode())
    refusal(line_with("x", f'"{lone}"'))
    refusal(line_with(lone, "1"))
    refusal(line_with("x", f'[{{"a":["{lone}"]}}]'))
    refusal(line_with("x", f'[{{"a":[{{"{lone}":1}}]}}]'))
    refusal(line.replace('"timeout"', f'"timeout","{lone}":1').encode())


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (r'"a\udfffz"', r"lone surrogate '\udfff'"),
        (r'["\ud83d\ude00\uD800"]', r"lone surrogate '\ud800'"),
        ("1e999", "1e999 is not a finite double"),
        ("1e" + "9" * 18, f"1e{'9' * 18} is not a finite double"),
        ("1e" + "9" * 19, f"1e{'9' * 18}... is not a finite double"),
        ("9" * 400, f"{'9' * 20}... is not a finite double"),
    ],
)
def test_the_reason_shows_what_is_refused(value: str, reason: str) -> None:
    assert refusal(line_with("x", value)).reason == reason


_TWICE = {
    "type": line_with("type", '"node.failed"'),
    "a-member": line_with("id", '"other"'),
    "a-member-and-the-same-value": line_with("node_id", '"plan"'),
    "an-optional-member": line_with("message", "null"),
    "a-member-spelt-otherwise": line_with(r"\u0069d", '"other"'),
    "an-unknown-key": line_with("x", '1,"x":1'),
    "the-empty-key": line_with("", '1,"":1'),
    "in-an-unknown-value": line_with("x", '{"a":1,"a":1}'),
    "deep-in-an-unknown-value": line_with("x", '[[{"b":{"a":1,"c":2,"a":3}}]]'),
    "in-a-nested-object": canonical(BASE).replace(b'{"kind"', b'{"kind":"crash","kind"'),
    "in-an-array-of-objects": canonical(FULL["pipe.started"]).replace(
        b'{"key":', b'{"key":"","key":'
    ),
}


@pytest.mark.parametrize("line", _TWICE.values(), ids=_TWICE)
def test_a_key_twice_in_one_object_is_refused_at_every_level(line: bytes) -> None:
    assert "duplicate key" in refusal(line).reason


# ---- what is refused: nesting ----

MOST = 127

_NESTS: dict[str, Callable[[int], str]] = {
    "arrays": lambda depth: "[" * depth + "]" * depth,
    "objects": lambda depth: '{"a":' * (depth - 1) + "{}" + "}" * (depth - 1),
    "mixed": lambda depth: (
        '[{"a":' * (depth // 2) + "[]" * (depth % 2) + "0" * (1 - depth % 2) + "}]" * (depth // 2)
    ),
    "with-brackets-in-strings": lambda depth: (
        '["]]}}\\"",' * (depth - 1) + "[]" + "]" * (depth - 1)
    ),
    "beside-shallow-ones": lambda depth: "[[],{}," * (depth - 1) + "[]" + "]" * (depth - 1),
}


@pytest.mark.parametrize("nest", _NESTS.values(), ids=_NESTS)
def test_127_nested_containers_are_accepted_and_128_are_not(nest: Callable[[int], str]) -> None:
    assert decode(line_with("x", nest(MOST - 1))) == decode(canonical(BASE))
    assert str(MOST) in refusal(line_with("x", nest(MOST))).reason


ENDS = {"[": "]", '{"a":': "}", '[{"a":': "}]", "[ \t": "]"}
"""What opens one or two levels, and what closes them."""


@pytest.mark.parametrize("closed", [True, False], ids=["closed", "never-closed"])
@pytest.mark.parametrize("nest", ENDS)
def test_a_hundred_thousand_levels_are_refused_as_128_are(nest: str, closed: bool) -> None:
    deep = nest * 100_000
    ends = ENDS[nest] * 100_000 if closed else ""
    refusal(f"{deep}0{ends}".encode())
    refusal(line_with("x", f"{deep}0{ends}"))


def test_brackets_side_by_side_or_in_strings_do_not_nest() -> None:
    brackets = '[{"' * 1000 + "\\" + "}]" * 10
    event = aborted(brackets)
    assert decode(encode(event)) == event
    many = ",".join(["[]", "{}"] * 1000)
    assert decode(line_with("x", f"[{many}]")) == decode(canonical(BASE))
    assert decode(line_with("[" * 1000, '"' + "{" * 1000 + '"')) == decode(canonical(BASE))


@pytest.mark.spec("SEC-6")
@pytest.mark.parametrize(
    "piece", ['\\"', '"', "\\", '\\\\"', '"\\', '[\\"', '"[', '["', '"",', "\\u", "a[", "]["]
)
def test_many_quotes_backslashes_and_brackets_take_no_more_than_linear_time(
    piece: str,
) -> None:
    """Quadratic time would be minutes, so the test needs no clock."""
    many = piece * 200_000
    refusal(("[" * 200 + '"' + many).encode())
    refusal(line_with("[" * 200, f'"{many}')[:-1])


# ---- what is refused: the schema ----


@pytest.mark.parametrize(
    "type_",
    ["", "pipe", "pipe.", "pipe.start", "pipe.started ", "PIPE.STARTED", "PipeStarted", "\0"],
)
def test_an_unknown_type_is_refused(type_: str) -> None:
    assert "type" in refusal(canonical({**FULL["pipe.started"], "type": type_})).reason


@pytest.mark.parametrize("value", [None, True, 1, 1.5, [], {}, ["pipe.completed"], {"type": 1}])
def test_a_type_that_is_not_a_string_is_refused(value: object) -> None:
    assert "type" in refusal(canonical({**BASE, "type": value})).reason


def test_a_missing_type_is_refused() -> None:
    assert "type" in refusal(canonical(_node)).reason
    assert "type" in refusal(b"{}").reason


@pytest.mark.parametrize("line", [b"null", b"true", b"1", b'"pipe.completed"', b"[]", b"[{}]"])
def test_a_line_that_is_not_an_object_is_refused(line: bytes) -> None:
    assert "object" in refusal(line).reason


def test_an_array_of_the_members_is_not_an_event() -> None:
    for wire in FULL.values():
        refusal(json.dumps([wire]).encode())
        refusal(json.dumps(list(wire.values())).encode())
        refusal(json.dumps(list(wire.items())).encode())


MEMBERS = [
    pytest.param(name, member, shape, id=f"{name}-{member}")
    for name, schema in SCHEMA.items()
    for member, shape in schema.items()
]

_NO_INTEGER = ["true", "false", '"1"', '""', "[]", "{}", "[1]", "-0", "0.0", "-0.0", "1.0", "1e0"]
_NO_INTEGER += ["1E2", "0e0", "1.5", "1e-1", "1e30", "-1", "-4294967295"]
_NO_INTEGER += ["9" * 300, "-" + "9" * 300, "1" + "0" * 308, "9" * 400, "9" * 5000]
_WRONG: dict[Any, list[str]] = {
    STRING: ["true", "false", "0", "1.5", "[]", "{}", '["x"]', '{"x":"y"}'],
    INPUTS: [
        *("true", "0", '""', "{}", '{"key":"a","value":"b"}'),
        *("[null]", "[0]", "[[]]", '["ab"]', '[["a","b"]]', "[{}]"),
        *('[{"key":"a"}]', '[{"value":"a"}]', '[{"Key":"a","value":"b"}]'),
        *('[{"key":1,"value":"b"}]', '[{"key":"a","value":null}]'),
        *('[{"key":"a","value":"b"},null]', '[{"key":"a","value":"b"},{"key":"a","value":["b"]}]'),
    ],
    ERROR: [
        *("true", "0", '"crash"', "[]", "{}", '["crash"]', '[["kind","crash"]]'),
        *('{"kind":null}', '{"kind":0}', '{"kind":true}', '{"kind":["crash"]}'),
        *('{"kind":""}', '{"kind":"oops"}', '{"kind":"Crash"}', '{"kind":{"crash":null}}'),
        '{"Kind":"crash"}',
    ],
    KIND: ["true", "0", "[]", "{}", '""', '"oops"', '"Bash"', '"bash "', '["bash"]', '{"bash":{}}'],
    METHOD: ["true", "0", "[]", "{}", '""', '"oops"', '"HOOK"', '"human-cli"', '["hook"]'],
    U32: [*_NO_INTEGER, "4294967296", "18446744073709551615"],
    U64: [*_NO_INTEGER, "18446744073709551616"],
}


def spoilt(name: str, member: str, raw: str) -> bytes:
    """The line of type `name` whose `member` is `raw` JSON."""
    members = {key: json.dumps(value) for key, value in FULL[name].items()}
    members[member] = raw
    return "{{{}}}".format(",".join(f'"{key}":{value}' for key, value in members.items())).encode()


@pytest.mark.parametrize(("name", "member", "shape"), MEMBERS)
def test_a_missing_or_null_member_is_refused_unless_optional(
    name: str, member: str, shape: object
) -> None:
    if member.endswith("?"):
        member = member.removesuffix("?")
        assert getattr(decode(spoilt(name, member, "null")), member) is None
        return
    assert f"{name}.{member}" in refusal(spoilt(name, member, "null")).reason
    wire = {key: value for key, value in FULL[name].items() if key != member}
    assert f"{name}.{member}" in refusal(canonical(wire)).reason


@pytest.mark.parametrize(("name", "member", "shape"), MEMBERS)
def test_a_member_of_another_type_is_refused_and_named(
    name: str, member: str, shape: object
) -> None:
    member = member.removesuffix("?")
    for raw in _WRONG[shape]:
        reason = refusal(spoilt(name, member, raw)).reason
        if len(raw) < 400:  # a longer one is beyond a double, which no line may hold
            assert reason.startswith(f"{name}.{member}"), raw


@pytest.mark.parametrize(("name", "member", "shape"), MEMBERS)
def test_every_value_of_a_closed_set_is_accepted_and_no_other(
    name: str, member: str, shape: object
) -> None:
    if isinstance(shape, tuple):
        for value in shape:
            assert getattr(decode(spoilt(name, member, f'"{value}"')), member) == value
        assert " ".join(shape) in refusal(spoilt(name, member, '"oops"')).reason


@pytest.mark.parametrize(
    ("member", "greatest"), [("iteration", 4_294_967_295), ("byte_offset", 2**64 - 1)]
)
def test_an_integer_is_accepted_up_to_its_bound_and_no_further(member: str, greatest: int) -> None:
    for value in (0, 1, greatest - 1, greatest):
        event = decode(spoilt("iteration.started", member, str(value)))
        assert getattr(event, member) == value
        assert type(getattr(event, member)) is int
    for value in (-1, greatest + 1, 2 * greatest):
        refusal(spoilt("iteration.started", member, str(value)))


def test_a_refusal_says_where_in_the_event_it_is() -> None:
    line = spoilt("pipe.started", "inputs", '[{"key":"a","value":"b"},{"key":"a","value":7}]')
    assert refusal(line).reason.startswith("pipe.started.inputs[1].value")
    line = spoilt("node.failed", "error", '{"kind":"oops"}')
    assert refusal(line).reason.startswith("node.failed.error.kind")


@pytest.mark.spec("LINE-13")
def test_a_line_of_ten_megabytes_is_decoded_or_refused_like_any_other() -> None:
    text = ('\\"[\u2028\n' + "x" * 90) * 100_000
    event = aborted(text)
    line = encode(event)
    assert len(line) > 10_000_000
    assert decode(line) == event
    refusal(line[:-3])
    refusal(line.replace(b'"reason"', b'"treason"'))
    refusal(line.replace(b'"pipe.aborted"', b'"' + b"x" * 10_000_000 + b'"'))
    key = "x" * 5_000_000
    refusal(line_with(key, f'1,"{key}":2'))
    refusal(spoilt("node.started", "kind", f'"{key}"'))


# ---- blank lines ----

WHITE_SPACE = [*range(0x09, 0x0E), 0x20, 0x85, 0xA0, 0x1680, *range(0x2000, 0x200B), 0x2028, 0x2029]
WHITE_SPACE += [0x202F, 0x205F, 0x3000]


def test_a_blank_line_holds_exactly_unicode_white_space() -> None:
    blank = [code for code in range(0x110000) if not 0xD800 <= code < 0xE000]
    blank = [code for code in blank if is_blank(chr(code).encode())]
    assert blank == WHITE_SPACE


def test_a_blank_line_may_be_empty_or_of_many_kinds_of_white_space() -> None:
    assert is_blank(b"")
    assert is_blank("".join(map(chr, WHITE_SPACE)).encode() * 1000)


@pytest.mark.parametrize("code", [0x1C, 0x1D, 0x1E, 0x1F, 0x00, 0x180E, 0x200B, 0x2060, 0xFEFF])
def test_what_only_looks_blank_is_not(code: int) -> None:
    assert not is_blank(chr(code).encode())
    assert not is_blank(f"  {chr(code)}\t".encode())


@pytest.mark.parametrize("line", [b"\xff", b" \x80", b"\xe2\x80", b"\xa0", b"\x85", b" \xe3\x80 "])
def test_what_is_not_utf_8_is_not_blank(line: bytes) -> None:
    assert not is_blank(line)


@given(st.binary() | texts().map(str.encode))
def test_a_blank_line_is_not_an_event_and_an_event_is_not_blank(line: bytes) -> None:
    if is_blank(line):
        refusal(line)


@pytest.mark.spec("SEC-6")
@pytest.mark.parametrize("digits", [10**5, 310, 309, 308])
def test_no_integer_is_made_of_more_digits_than_a_double_has(
    digits: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such an integer would take quadratic time. The interpreter's own limit may be off."""
    made: list[int] = []

    def spy(text: str) -> int:
        made.append(len(text))
        return int(text)

    limit = sys.get_int_max_str_digits()
    sys.set_int_max_str_digits(0)
    try:
        monkeypatch.setattr(omnelog.linelog.objects, "int", spy, raising=False)
        for sign in ("", "-"):
            check_any(line_with("x", sign + "9" * digits))
            check_any(line_with("message", sign + "9" * digits))
    finally:
        sys.set_int_max_str_digits(limit)
    assert max(made, default=0) <= 310


# ---- what cannot be encoded ----


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class LikeInput:
    """A class that has the fields of Input, but is not Input."""

    key: str
    value: str


class ListOfInputs(list[omnelog.Input]):
    """A subclass of list, which may yield anything when it is iterated over."""


class MyInput(omnelog.Input):
    """A subclass, which might have more fields."""


class MyError(omnelog.NodeError):
    """A subclass, which might have more fields."""


def with_value(name: str, path: str, value: object) -> omnelog.Event:
    """The event `name` of LINES with `value` in the field `path`, even if that is a wrong type."""
    event = copy.deepcopy(LINES[name][0])
    holder: Any = event
    *way, last = re.findall(r"\w+", path)
    for step in way:
        holder = holder[int(step)] if step.isdigit() else getattr(holder, step)
    if last.isdigit():
        holder[int(last)] = value
    else:
        object.__setattr__(holder, last, value)
    return event


_NO_STRING: dict[str, object] = {
    "none": None,
    "bytes": b"x",
    "number": 7,
    "bool": True,
    "list": ["x"],
    "dict": {},
    "path": re.compile("x"),
    "high-surrogate": "a\ud800",
    "low-surrogate": "\udfffz",
    "surrogate-pair-as-two": "\ud83d\ude00",
}

STRINGS = [
    *(
        (name, member.removesuffix("?"))
        for name, schema in SCHEMA.items()
        for member, shape in schema.items()
        if shape == STRING
    ),
    ("pipe.started", "inputs[0].key"),
    ("pipe.started", "inputs[1].value"),
]


def refused(event: object, naming: str) -> None:
    """Check that encoding `event` raises SerializeError, with the field's name and a cause."""
    with pytest.raises(omnelog.SerializeError) as caught:
        encode(event)  # type: ignore[arg-type]
    assert naming in str(caught.value)
    assert str(caught.value).isprintable()
    assert caught.value.__cause__ is not None
    again = pickle.loads(pickle.dumps(caught.value))
    assert (type(again), str(again)) == (omnelog.SerializeError, str(caught.value))


@pytest.mark.parametrize(("name", "field"), STRINGS)
def test_what_is_not_a_string_cannot_be_written_for_one(name: str, field: str) -> None:
    optional = f"{field}?" in SCHEMA[name]
    for value in _NO_STRING.values():
        if not (optional and value is None):
            refused(with_value(name, field, value), f"{name}.{field}")


@given(events(), texts(), st.characters(categories=["Cs"]), texts())
def test_a_lone_surrogate_cannot_be_written(
    event: omnelog.Event, before: str, lone: str, after: str
) -> None:
    refused(dataclasses.replace(event, run_id=before + lone + after), f"{event.type}.run_id")


@pytest.mark.parametrize(
    "value",
    [True, False, -1, None, 1.0, "1", b"1", [1], 10**5000],
    ids=lambda value: type(value).__name__ + str(value)[:5] if value != 10**5000 else "huge",
)
@pytest.mark.parametrize("field", ["iteration", "byte_offset"])
def test_what_is_not_an_integer_cannot_be_written_for_one(field: str, value: object) -> None:
    refused(with_value("iteration.started", field, value), f"iteration.started.{field}")


@pytest.mark.parametrize(
    ("field", "bound"), [("iteration", 4_294_967_296), ("byte_offset", 18_446_744_073_709_551_616)]
)
def test_an_integer_out_of_range_cannot_be_written(field: str, bound: int) -> None:
    where = f"iteration.started.{field}: expected an integer from 0 to {bound - 1}"
    refused(with_value("iteration.started", field, bound), where)
    assert encode(with_value("iteration.started", field, bound - 1))


_MISFITS: dict[str, tuple[str, str, object]] = {
    "plain-string-for-a-node-kind": ("node.started", "kind", "bash"),
    "plain-string-for-an-error-kind": ("node.failed", "error.kind", "crash"),
    "plain-string-for-a-gate-method": ("gate.passed", "method", "hook"),
    "another-enum": ("node.started", "kind", omnelog.GateMethod.HOOK),
    "unknown-string-for-an-enum": ("node.started", "kind", "oops"),
    "enum-class-for-its-member": ("node.started", "kind", omnelog.NodeKind),
    "none-for-an-enum": ("node.started", "kind", None),
    "none-for-a-list": ("pipe.started", "inputs", None),
    "tuple-for-a-list": ("pipe.started", "inputs", ()),
    "generator-for-a-list": ("pipe.started", "inputs", iter(())),
    "dict-for-a-list": ("pipe.started", "inputs", {}),
    "string-for-a-list": ("pipe.started", "inputs", ""),
    "dict-for-an-input": ("pipe.started", "inputs[0]", {"key": "a", "value": "b"}),
    "tuple-for-an-input": ("pipe.started", "inputs[1]", ("a", "b")),
    "look-alike-of-an-input": ("pipe.started", "inputs[1]", LikeInput(key="a", value="b")),
    "subclass-of-list": ("pipe.started", "inputs", ListOfInputs()),
    "subclass-of-an-input": ("pipe.started", "inputs[0]", MyInput(key="a", value="b")),
    "subclass-of-an-error": ("node.failed", "error", MyError(kind=omnelog.ErrorKind.CRASH)),
    "another-enum-in-an-error": (
        "node.failed",
        "error",
        omnelog.NodeError(kind=omnelog.NodeKind.BASH),  # type: ignore[arg-type]
    ),
    "none-for-an-input": ("pipe.started", "inputs[1]", None),
    "none-for-a-nested-object": ("node.failed", "error", None),
    "enum-for-a-nested-object": ("node.failed", "error", omnelog.ErrorKind.CRASH),
    "input-for-an-error": ("node.failed", "error", omnelog.Input(key="a", value="b")),
    "class-for-its-instance": ("node.failed", "error", omnelog.NodeError),
}


@pytest.mark.parametrize(("name", "field", "value"), _MISFITS.values(), ids=_MISFITS)
def test_what_does_not_fit_its_field_cannot_be_written(
    name: str, field: str, value: object
) -> None:
    refused(with_value(name, field, value), f"{name}.{field}")


@pytest.mark.parametrize(
    ("value", "spelt"),
    [
        (None, "null"),
        (True, "true"),
        (1.5, "1.5"),
        ("é", '"\\u00e9"'),
        ("x" * 99, '"' + "x" * 59),
        (b"", "bytes"),
    ],
)
def test_what_does_not_fit_is_spelt_as_in_json_or_by_its_kind(value: object, spelt: str) -> None:
    with pytest.raises(omnelog.SerializeError) as caught:
        encode(with_value("iteration.started", "iteration", value))
    assert str(caught.value).endswith(f": expected an integer, got {spelt}")


def test_what_is_of_another_copy_of_the_package_is_refused_with_its_module() -> None:
    """Its class has the same name as ours, so the name alone would explain nothing."""

    def namesake(cls: type, **members: object) -> Any:
        other = dataclasses.make_dataclass(cls.__name__, list(members))
        other.__module__ = "host.events"
        return other(**members)

    kind = enum.StrEnum("NodeKind", {"BASH": "bash"}, module="host.events")  # type: ignore[misc]
    where = "(of the module host.events)"
    event = namesake(omnelog.PipeCompleted, **_every)
    refused(event, f"{where} is not an event")
    item = namesake(omnelog.Input, key="k", value="v")
    refused(with_value("pipe.started", "inputs", [item]), where)
    error = namesake(omnelog.NodeError, kind=omnelog.ErrorKind.CRASH)
    refused(with_value("node.failed", "error", error), where)
    refused(with_value("node.started", "kind", kind.BASH), where)
    with pytest.raises(omnelog.SerializeError) as caught:
        encode(with_value("node.started", "kind", "bash"))
    assert "of the module" not in str(caught.value)


class _EqualsAll(type):
    def __eq__(cls, _: object) -> bool:
        return True

    def __ne__(cls, _: object) -> bool:
        return False

    __hash__ = type.__hash__


class _Liar(metaclass=_EqualsAll):
    """An object that equals everything, and so does its class."""

    __slots__ = ()

    def __eq__(self, _: object) -> bool:
        return True

    __hash__ = object.__hash__


@pytest.mark.parametrize(
    ("name", "field"),
    [
        ("iteration.started", "iteration"),
        ("node.started", "kind"),
        ("node.started", "node_id"),
        ("node.failed", "error"),
        ("pipe.started", "inputs"),
        ("pipe.started", "inputs[0]"),
    ],
)
def test_what_claims_to_equal_all_cannot_be_written(name: str, field: str) -> None:
    refused(with_value(name, field, _Liar()), "got _Liar")


def test_a_list_changed_after_the_event_was_made_is_checked_as_it_is_now() -> None:
    inputs = [omnelog.Input(key="a", value="b")]
    event = omnelog.PipeStarted(**_every, pipe="p", inputs=inputs, distro_version="1")
    assert decode(encode(event)) == event
    inputs.append(omnelog.Input(key="c", value="d"))
    assert b'{"key":"c","value":"d"}' in encode(event)
    inputs.append("oops")  # type: ignore[arg-type]
    refused(event, "pipe.started.inputs[2]")


@pytest.mark.parametrize(
    "thing",
    [
        None,
        "pipe.completed",
        b"{}",
        7,
        {"type": "pipe.completed", **_every},
        [],
        _Liar(),
        omnelog.PipeCompleted,
        omnelog.Input(key="a", value="b"),
        omnelog.NodeError(kind=omnelog.ErrorKind.CRASH),
        omnelog.NodeKind.BASH,
        object(),
    ],
    ids=lambda thing: type(thing).__name__,
)
def test_what_is_not_an_event_cannot_be_written(thing: object) -> None:
    refused(thing, "not an event")


def test_an_instance_of_a_subclass_of_an_event_cannot_be_written() -> None:
    class MyPipeCompleted(omnelog.PipeCompleted):
        """A subclass might have more fields, and a reader would give back another class."""

    refused(MyPipeCompleted(**_every), "MyPipeCompleted")


@pytest.mark.parametrize("name", SCHEMA)
def test_an_event_without_its_fields_cannot_be_written(name: str) -> None:
    cls = type(LINES[name][0])
    refused(cls.__new__(cls), f"{name}.id")


@pytest.mark.parametrize("name", ["node.started", "node.failed"])
def test_an_event_whose_optional_fields_were_never_set_cannot_be_written(name: str) -> None:
    event = LINES[name][0]
    bare = type(event).__new__(type(event))
    for member in SCHEMA[name]:
        if not member.endswith("?"):
            object.__setattr__(bare, member, getattr(event, member))
    refused(bare, "got nothing")


def test_encoding_leaves_the_event_as_it_was() -> None:
    for event, _ in LINES.values():
        before = copy.deepcopy(event)
        encode(event)
        assert event == before
