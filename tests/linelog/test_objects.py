# SPDX-License-Identifier: MIT
"""Dicts as records: how they are written and read, and which are refused, with the place."""

import enum
import importlib.util
import json
import math
import sys
from collections import Counter, OrderedDict, defaultdict, namedtuple
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from . import linelog
from .json_objects import LARGEST, nested, perhaps_records, records

decode_object = linelog.decode_object
encode_object = linelog.encode_object


def as_read(value: Any) -> Any:
    """`value` as it is after it was written and read: tuples become lists."""
    if isinstance(value, dict):
        return {key: as_read(member) for key, member in value.items()}
    if isinstance(value, list | tuple):
        return [as_read(item) for item in value]
    return value


def spelled(value: Any) -> str:
    """`value` as text with its types: ``1``, ``1.0`` and ``True`` are equal, but not as JSON."""
    return repr(as_read(value))


class TestARecord:
    @pytest.mark.spec("OBJ-1")
    @given(records())
    @example({})
    @example({"": ""})
    @example({"a": -0.0, "b": 0, "c": False, "d": 1, "e": 1.0, "f": True})
    @example({"\0": "\0\x01\x1f\x7f\x80\u2028\u2029\ufeff\uffff\U0010ffff"})
    @example({"n": LARGEST, "m": -LARGEST, "min": 5e-324, "max": sys.float_info.max})
    @example({"newline": "a\nb\r\n", "quote": 'a"b\\c/d'})
    @example(nested(127))
    def test_is_read_as_it_was_written(self, record: dict[str, Any]) -> None:
        again = decode_object(encode_object(record))
        assert spelled(again) == spelled(record)
        assert list(again) == list(record)

    @pytest.mark.spec("OBJ-2")
    @given(records())
    @example({"é\u2028": "\x7f\ud7ff\ue000", "i": -1, "f": 1e16})
    def test_is_written_canonically(self, record: dict[str, Any]) -> None:
        line = encode_object(record)
        canonical = json.dumps(
            record, ensure_ascii=False, allow_nan=False, separators=(",", ":")
        ).encode()
        assert line == canonical
        assert b"\n" not in line

    @pytest.mark.spec("OBJ-2")
    def test_is_written_as_the_specification_shows(self) -> None:
        record = {"b": [1, -2, 1.5, None, True], "a": 'é"\\/\b\t\n\f\r\x01\x7f', "": {}}
        expected = r'{"b":[1,-2,1.5,null,true],"a":"é\"\\/\b\t\n\f\r\u0001' + "\x7f" + '","":{}}'
        assert encode_object(record) == expected.encode()

    @pytest.mark.spec("OBJ-3")
    @given(perhaps_records())
    @example({"a": {None: 1}})
    @example({"a": [{"b": ({1: 1},)}]})
    @example({"\ud800": 1})
    @example({"a": math.nan, 1: 1})
    def test_is_written_if_it_can_be_read_again_and_refused_otherwise(self, record: Any) -> None:
        """The fast path of the encoder and its strict check agree on which records are refused."""
        try:
            linelog.objects._require_json("record", record, 1)
            reason = None
        except linelog.objects.Unfit as unfit:
            reason = str(unfit)
        if reason is None:
            assert spelled(decode_object(encode_object(record))) == spelled(record)
        else:
            with pytest.raises(linelog.SerializeError) as caught:
                encode_object(record)
            assert str(caught.value) == reason
            assert reason.isprintable()

    @pytest.mark.spec("OBJ-2", "OBJ-3")
    def test_is_written_the_same_by_an_interpreter_without_an_encoder_in_c(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(json.encoder, "c_make_encoder", None)
        name = f"{linelog.__name__}.objects_without_c"
        spec = importlib.util.spec_from_file_location(name, linelog.objects.__file__)
        assert spec is not None
        assert spec.loader is not None
        objects = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(objects)
        monkeypatch.undo()
        for record in ({"é\u2028": [1, -2.5, None, True, "\x7f\n"]}, {}, nested(127)):
            assert objects.encode_object(record) == encode_object(record)
        for record, reason in REFUSED.values():
            with pytest.raises(linelog.SerializeError) as caught:
                objects.encode_object(record)
            assert str(caught.value) == reason

    def test_of_ten_megabytes_is_written_and_read(self) -> None:
        record = {"text": "x" * 5_000_000, "numbers": list(range(800_000))}
        line = encode_object(record)
        assert len(line) > 10_000_000
        assert decode_object(line) == record


class Name(str):
    """A str whose str() is another text."""

    __slots__ = ()

    def __str__(self) -> str:
        return "another"


class Whole(int):
    """An int whose repr, str and float are those of something else."""

    def __repr__(self) -> str:
        return "another"

    __str__ = __repr__

    def __float__(self) -> float:
        return 0.0


class Ratio(float):
    """A float whose repr is another text."""

    def __repr__(self) -> str:
        return "another"


class Colour(enum.StrEnum):
    RED = "red"


class Level(enum.IntEnum):
    HIGH = 3


Pair = namedtuple("Pair", ["left", "right"])  # noqa: PYI024 - NamedTuple would be the same

SUBCLASSES: dict[str, tuple[Any, bytes]] = {
    "str": (Name("a"), b'"a"'),
    "int": (Whole(7), b"7"),
    "float": (Ratio(1.5), b"1.5"),
    "enum of strings": (Colour.RED, b'"red"'),
    "enum of integers": (Level.HIGH, b"3"),
    "named tuple": (Pair(1, [2]), b"[1,[2]]"),
    "tuple": (((),), b"[[]]"),
    "ordered dict": (OrderedDict(b=1, a=2), b'{"b":1,"a":2}'),
    "default dict": (defaultdict(int, a=1), b'{"a":1}'),
    "counter": (Counter("aab"), b'{"a":2,"b":1}'),
    "key": ({Name("a"): 1}, b'{"a":1}'),
    "key of an enum": ({Colour.RED: 1}, b'{"red":1}'),
}


class TestASubclass:
    @pytest.mark.parametrize(("value", "expected"), SUBCLASSES.values(), ids=SUBCLASSES)
    def test_is_written_as_what_it_is_a_subclass_of(self, value: Any, expected: bytes) -> None:
        assert encode_object({"value": value}) == b'{"value":' + expected + b"}"

    def test_of_dict_is_a_record(self) -> None:
        assert encode_object(OrderedDict(b=1, a=2)) == b'{"b":1,"a":2}'

    @pytest.mark.spec("OBJ-1", "OBJ-3")
    def test_that_shows_itself_as_less_than_it_is_cannot_pass_for_that(self) -> None:
        with pytest.raises(linelog.SerializeError, match="beyond the range of a double"):
            encode_object({"a": Whole(10**400)})


REFUSED: dict[str, tuple[Any, str]] = {
    "NaN": ({"a": [1, {"b": math.nan}]}, 'record["a"][1]["b"]: nan is not JSON'),
    "infinity": ({"a": math.inf}, 'record["a"]: inf is not JSON'),
    "minus infinity": ({"a": -math.inf}, 'record["a"]: -inf is not JSON'),
    "huge": ({"a": 10**309}, 'record["a"]: an integer beyond the range of a double'),
    "rounds to infinity": (
        {"a": 2**1024 - 2**970},
        'record["a"]: an integer beyond the range of a double',
    ),
    "more digits than Python writes": (
        {"a": -(10**5000)},
        'record["a"]: an integer beyond the range of a double',
    ),
    "surrogate": ({"a": "bc\ud800"}, 'record["a"]: lone surrogate, character 2'),
    "surrogate in a key": ({"a\udfff": 1}, 'record["a\\udfff"]: lone surrogate, character 1'),
    "surrogate in an inner key": (
        {"a": [{"\ud800": 1}]},
        'record["a"][0]["\\ud800"]: lone surrogate, character 0',
    ),
    "key None": ({None: 1}, "record: a key is NoneType, not str"),
    "key bool": ({True: 1}, "record: a key is bool, not str"),
    "key int": ({"a": {1: 1}}, 'record["a"]: a key is int, not str'),
    "key float": ({"a": [{1.5: 1}]}, 'record["a"][0]: a key is float, not str'),
    "key bytes": ({"a": ({b"b": 1},)}, 'record["a"][0]: a key is bytes, not str'),
    "key tuple": ({"a": {"b": {(): 1}}}, 'record["a"]["b"]: a key is tuple, not str'),
    "bytes": ({"a": b""}, 'record["a"]: JSON cannot hold bytes'),
    "set": ({"a": {1}}, 'record["a"]: JSON cannot hold set'),
    "complex": ({"a": 1j}, 'record["a"]: JSON cannot hold complex'),
    "object": ({"a": object()}, 'record["a"]: JSON cannot hold object'),
    "array": ([1], "expected a dict, got list"),
    "pairs": ([("a", 1)], "expected a dict, got list"),
    "none": (None, "expected a dict, got NoneType"),
    "text": ('{"a":1}', "expected a dict, got str"),
}


class TestARefusal:
    @pytest.mark.spec("OBJ-3")
    @pytest.mark.parametrize(("record", "reason"), REFUSED.values(), ids=REFUSED)
    def test_says_what_cannot_be_written_and_where(self, record: Any, reason: str) -> None:
        with pytest.raises(linelog.SerializeError) as caught:
            encode_object(record)
        assert str(caught.value) == reason

    @pytest.mark.spec("OBJ-3")
    @pytest.mark.parametrize("innermost", ["x", [], {}], ids=["scalar", "array", "object"])
    def test_is_of_the_128th_level(self, innermost: object) -> None:
        deep = 127 if innermost == "x" else 126
        line = encode_object(nested(deep, innermost))
        assert encode_object(decode_object(line)) == line
        with pytest.raises(linelog.SerializeError, match="more than 127 nested levels"):
            encode_object(nested(deep + 1, innermost))

    @pytest.mark.spec("OBJ-3")
    def test_is_of_what_holds_itself(self) -> None:
        circle: dict[str, Any] = {"a": []}
        circle["a"].append(circle)
        with pytest.raises(linelog.SerializeError, match="more than 127 nested levels") as caught:
            encode_object(circle)
        assert str(caught.value).startswith('record["a"][0]["a"][0]')
        assert len(str(caught.value)) < 100

    def test_is_not_of_brackets_inside_strings(self) -> None:
        record = {"a": "[" * 1000, "{" * 1000: "1" * 1000}
        assert decode_object(encode_object(record)) == record

    @pytest.mark.spec("OBJ-3")
    def test_reads_as_one_short_plain_line(self) -> None:
        with pytest.raises(linelog.SerializeError) as caught:
            encode_object({"a\n" + "b" * 1000: math.nan})
        assert str(caught.value).isprintable()
        assert len(str(caught.value)) < 100

    def test_does_not_swallow_what_a_signal_handler_raises(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def interrupted(record: Any) -> str:
            raise ValueError("a handler's own")

        monkeypatch.setattr(linelog.objects, "_encode", interrupted)
        with pytest.raises(ValueError, match="a handler's own") as caught:
            encode_object({})
        assert not isinstance(caught.value, linelog.SerializeError)


NOT_OBJECTS = {
    "nothing": b"",
    "blank": b" \t",
    "array": b"[]",
    "array of an object": b'[{"a":1}]',
    "number": b"7",
    "string": b'"a"',
    "null": b"null",
    "two objects": b"{}{}",
    "an object and a comma": b"{},",
    "an open object": b'{"a":1',
    "a trailing comma": b'{"a":1,}',
    "NaN": b'{"a":NaN}',
    "infinity": b'{"a":-Infinity}',
    "a double that is none": b'{"a":1e400}',
    "an integer beyond all doubles": b'{"a":1' + b"0" * 309 + b"}",
    "an endless integer": b'{"a":' + b"9" * 100_000 + b"}",
    "a leading zero": b'{"a":01}',
    "single quotes": b"{'a':1}",
    "a comment": b'{"a":1/**/}',
    "duplicate names": b'{"a":1,"b":2,"a":1}',
    "duplicate names inside": b'{"a":[{"b":1,"b":2}]}',
    "duplicate names by an escape": b'{"a":1,"\\u0061":2}',
    "a raw control character": b'{"a":"\x01"}',
    "NUL": b'{"a":"\0"}',
    "NULs": bytes(100),
    "an escaped lone surrogate": b'{"a":"\\ud800"}',
    "an escaped lone surrogate in a name": b'{"\\uDFFF":1}',
    "a raw surrogate": b'{"a":"\xed\xa0\x80"}',
    "not UTF-8": b'{"a":"\xff"}',
    "overlong UTF-8": b'{"a":"\xc0\xaf"}',
    "UTF-16": '{"a":1}'.encode("utf-16-le"),
    "a byte order mark": b'\xef\xbb\xbf{"a":1}',
    "a newline inside": b'{"a":\n1}',
    "128 levels": b'{"a":' * 128 + b"1" + b"}" * 128,
    "endless levels": b'{"a":' + b"[" * 100_000,
}


class TestReading:
    @pytest.mark.spec("OBJ-1")
    @pytest.mark.parametrize("line", NOT_OBJECTS.values(), ids=NOT_OBJECTS)
    def test_what_is_not_one_strict_object_is_refused_with_a_short_reason(
        self, line: bytes
    ) -> None:
        with pytest.raises(linelog.DeserializeError) as caught:
            decode_object(line)
        reason = caught.value.reason
        assert str(caught.value) == reason
        assert len(reason) < 200
        assert (caught.value.path, caught.value.line, caught.value.offset) == (None, None, None)

    def test_a_byte_order_mark_is_called_one(self) -> None:
        with pytest.raises(linelog.DeserializeError, match="not JSON: a byte order mark"):
            decode_object(b'\xef\xbb\xbf{"a":1}')

    @pytest.mark.parametrize(
        ("line", "expected"),
        [
            (b'{"a":1}\n', {"a": 1}),
            (b' { "a" :\t1 } \r', {"a": 1}),
            (b'{"\\u0061":"\\ud83d\\ude00\\/"}', {"a": "\U0001f600/"}),
            (b'{"a":1E2}', {"a": 100.0}),
            (b'{"a":1' + b"0" * 308 + b"}", {"a": 10**308}),
        ],
    )
    def test_any_spelling_of_an_object_is_accepted(
        self, line: bytes, expected: dict[str, Any]
    ) -> None:
        assert decode_object(line) == expected

    def test_a_negative_zero_is_a_double(self) -> None:
        zero = decode_object(b'{"a":-0}')["a"]
        assert isinstance(zero, float)
        assert math.copysign(1, zero) == -1

    @pytest.mark.spec("OBJ-1")
    @given(records(), st.data())
    def test_no_beginning_of_a_line_is_a_record(
        self, record: dict[str, Any], data: st.DataObject
    ) -> None:
        line = encode_object(record)
        cut = data.draw(st.integers(0, len(line) - 1))
        with pytest.raises(linelog.DeserializeError):
            decode_object(line[:cut])

    @given(st.binary())
    def test_no_bytes_whatever_raise_anything_else(self, line: bytes) -> None:
        try:
            decode_object(line)
        except linelog.DeserializeError:
            pass
