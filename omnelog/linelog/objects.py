# SPDX-License-Identifier: MIT
"""JSON objects as records: what a line may hold, how it is written, how it is read (SPEC: OBJ).

`encode_object` and `decode_object` turn a dict into its canonical line and back. They are what a
line log uses unless it is given functions of the host's own. `line_of` and `refusal_of` say what
such functions may return and raise.
"""

import json
import math
import re
from collections import Counter
from collections.abc import Callable
from itertools import accumulate
from json.encoder import (  # type: ignore[attr-defined]  # typeshed leaves the first one out
    c_make_encoder,  # pyright: ignore[reportAttributeAccessIssue]
    encode_basestring,
)
from typing import TYPE_CHECKING, Any, NoReturn, TypeAlias

from .errors import DeserializeError, OmnelogError, SerializeError

# Any: the values of a JSON object are whatever JSON can hold.

# A record is a dict unless an encoder or a decoder says otherwise. TypeVar has a default since
# Python 3.13. Type checkers bring typing_extensions with them, so nobody has to install it. They
# do not see that encode_object, as the default of a parameter, fits this default.
if TYPE_CHECKING:
    from typing_extensions import TypeVar

    Record = TypeVar("Record", default=dict[str, Any])
else:
    from typing import TypeVar

    Record = TypeVar("Record")

Encode: TypeAlias = Callable[[Record], str | bytes]
"""Turns a record into one JSON object on one line, without a newline."""

Decode: TypeAlias = Callable[[bytes], Record]
"""Turns a line, without its newline, into a record; raises any Exception to refuse it."""

MAX_NESTING = 127
"""How many objects and arrays may be nested, the line's own object counted."""

_LEAVES = {str, int, float, bool, type(None)}
_LONGEST_INTEGER = 309  # digits: an integer that has more is beyond the greatest double
# Compiled here, because functions such as re.search() swallow a KeyError of a signal handler.
_LONG_INTEGER = re.compile(f"[0-9]{{{_LONGEST_INTEGER}}}")
_BLANK = re.compile("[\t-\r \x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]*")
_STRING = re.compile(r'"(?:[^"\\]++|\\.)*+"?', re.DOTALL)  # possessive, so linear on any text
_SURROGATE = re.compile("[\ud800-\udfff]")


class Unfit(ValueError):
    """Says why a value or a text is not accepted.

    It is private to this package, so an exception of a signal handler is never taken for it.
    """


# Writing


def encode_object(record: dict[str, Any]) -> bytes:
    """Return `record` as canonical JSON, encoded as UTF-8, without a newline (SPEC: OBJ).

    Members are written in their order, without white space. Values may be of the types that the
    standard library's ``json`` writes; a tuple is read back as a list.

    Raises SerializeError, which names the member, for what `decode_object` would not accept: a key
    that is not a string, NaN, an infinity, an integer beyond the range of a double, a lone
    surrogate, more than 127 nested levels. What the methods of a subclass return is not checked
    again: a dict whose items() yields a key twice is not detected.
    """
    if not isinstance(record, dict):
        raise SerializeError(f"expected a dict, got {type(record).__name__}")
    try:
        _require_names(record)  # or json would convert keys that are not strings
        text = _encode(record)
        line = text.encode()
    except (Unfit, TypeError, ValueError, RecursionError):
        _require_writable(record)
        raise  # the record is sound: this came from a signal handler, or the stack is full
    may_be_too_deep = text.count("{") + text.count("[") > MAX_NESTING
    may_be_too_large = len(text) > _LONGEST_INTEGER and _LONG_INTEGER.search(text)
    if may_be_too_deep or may_be_too_large:
        _require_writable(record)
    return line


def _require_names(value: Any) -> None:
    """Raise Unfit unless the keys of every dict in `value` are strings."""
    if isinstance(value, dict):
        for key, member in value.items():
            if not isinstance(key, str):
                raise Unfit
            if type(member) not in _LEAVES:
                _require_names(member)
    elif isinstance(value, (list, tuple)):
        for item in value:
            if type(item) not in _LEAVES:
                _require_names(item)


def _require_writable(record: dict[str, Any]) -> None:
    """Raise the SerializeError that names what part of `record` cannot be written."""
    try:
        _require_json("record", record, 1)
    except Unfit as unfit:
        raise SerializeError(str(unfit)) from None


def _require_json(where: str, value: Any, level: int) -> None:
    """Raise Unfit, which begins with `where`, unless `value` is what a line can hold."""
    if value is None or isinstance(value, bool):
        return
    if isinstance(value, str):
        surrogate = _SURROGATE.search(value)
        if surrogate:
            raise Unfit(f"{where}: lone surrogate, character {surrogate.start()}")
    elif isinstance(value, int):
        try:
            int.__float__(value)  # a subclass may have a __float__ of its own
        except OverflowError:
            raise Unfit(f"{where}: an integer beyond the range of a double") from None
    elif isinstance(value, float):
        if not math.isfinite(value):
            raise Unfit(f"{where}: {value} is not JSON")
    elif level > MAX_NESTING and isinstance(value, dict | list | tuple):
        raise Unfit(f"{where[:60]}…: more than {MAX_NESTING} nested levels")
    elif isinstance(value, dict):
        for key, member in value.items():
            if not isinstance(key, str):
                raise Unfit(f"{where}: a key is {type(key).__name__}, not str")
            _require_json(f"{where}[{shown(key)}]", key, level)
            _require_json(f"{where}[{shown(key)}]", member, level + 1)
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            _require_json(f"{where}[{index}]", item, level + 1)
    else:
        raise Unfit(f"{where}: JSON cannot hold {type(value).__name__}")


def _refuse(value: Any) -> NoReturn:
    raise TypeError(f"JSON cannot hold {type(value).__name__}")


if c_make_encoder is None:  # an interpreter that has no such encoder in C
    _encode = json.JSONEncoder(
        ensure_ascii=False, allow_nan=False, separators=(",", ":"), check_circular=False
    ).encode
else:
    # JSONEncoder.encode makes such an encoder on each call, which takes half of its time. The name
    # is not documented; its arguments have been these since Python 3.2.
    _pieces = c_make_encoder(None, _refuse, encode_basestring, None, ":", ",", False, False, False)

    def _encode(o: Any) -> str:
        return "".join(_pieces(o, 0))


def line_of(encode: Encode[Any], record: Any) -> bytes:
    """Return the line of `record`, newline included.

    Raises SerializeError if what `encode` returns is not one JSON object on one line. What
    `encode` itself raises arrives as it is (SPEC: OBJ-4, OBJ-5).
    """
    if encode is encode_object:  # which needs no check
        return encode_object(record) + b"\n"
    return _checked(encode(record)) + b"\n"


def _checked(encoded: object) -> bytes:
    if isinstance(encoded, str):
        try:
            encoded = encoded.encode()
        except UnicodeEncodeError as error:
            raise SerializeError(f"the encoder returned a lone surrogate: {error}") from error
    if not isinstance(encoded, bytes):
        kind = type(encoded).__name__
        raise SerializeError(f"the encoder returned {kind}, which is neither str nor bytes")
    if b"\n" in encoded:
        raise SerializeError("the encoder returned a newline; the log adds the one that is needed")
    if not (encoded.startswith(b"{") and encoded.endswith(b"}")):
        raise SerializeError(f"the encoder returned {encoded[:40]!r}, which is not a JSON object")
    try:
        decode_object(encoded)
    except DeserializeError as error:
        message = f"the encoder returned what is not one JSON object: {error.reason}"
        raise SerializeError(message) from error
    return encoded


# Reading


def decode_object(line: bytes) -> dict[str, Any]:
    """Return the JSON object that `line` holds, with or without its newline (SPEC: OBJ, ACC).

    Accepts any spelling of RFC 8259. Raises DeserializeError, with the reason alone, for what is
    not exactly one object, and for what two parsers might read in different ways: a duplicate
    key, NaN, a number beyond the range of a double, a lone surrogate, more than 127 nested levels.
    """
    try:
        return parse_object(text_of(line))
    except Unfit as unfit:
        raise DeserializeError(str(unfit)) from unfit.__cause__ or unfit


def text_of(line: bytes) -> str:
    """Return `line` as text, without its newline. Raises Unfit."""
    try:
        return line.removesuffix(b"\n").decode()
    except UnicodeDecodeError as error:
        raise Unfit(str(error)) from error


def parse_object(text: str) -> dict[str, Any]:
    """Return the object that `text` holds. Raises Unfit, caused by the parser's error if any."""
    if "\n" in text:
        raise Unfit("a newline inside the line")
    if text.startswith("\ufeff"):
        raise Unfit("not JSON: a byte order mark")
    if nesting(text) > MAX_NESTING:
        raise Unfit(f"more than {MAX_NESTING} containers within one another")
    try:
        value = _PARSER.decode(text)
    except json.JSONDecodeError as error:
        raise Unfit(f"not JSON: {error.msg}, character {error.pos}") from error
    if not isinstance(value, dict):
        raise Unfit(f"the line: expected an object, got {shown(value)}")
    if "\\ud" in text or "\\uD" in text:  # only an escape can bring in a lone surrogate
        surrogate = _SURROGATE.search(json.dumps(value, ensure_ascii=False))
        if surrogate:
            raise Unfit(f"lone surrogate {surrogate[0]!a}")
    return value


def nesting(text: str) -> int:
    """Return how deep objects and arrays are nested in `text`, which is JSON.

    If it has at most MAX_NESTING opening brackets, return their number, which is cheaper.
    """
    brackets = text.count("{") + text.count("[")
    if brackets <= MAX_NESTING:
        return brackets
    outside_strings = _STRING.sub("", text)
    steps = ((c in "[{") - (c in "]}") for c in outside_strings)
    return max(accumulate(steps), default=0)


def is_blank(line: bytes) -> bool:
    """Whether `line` is nothing but Unicode White_Space, which readers skip (SPEC: ACC-22)."""
    return _BLANK.fullmatch(line.decode(errors="replace")) is not None


def shown(value: Any) -> str:
    """Return `value` as a message shows it: up to 60 characters of its JSON, or only its kind."""
    if value is None or isinstance(value, bool | float | str):
        return json.dumps(value)[:60]
    return _KINDS.get(type(value), type(value).__name__)


def refusal_of(decode: Decode[Any], line: bytes, error: Exception) -> DeserializeError | None:
    """Return the DeserializeError that stands for `error`, which ``decode(line)`` raised.

    None if `error` is not the decoder's and has to reach the caller as it is. A decoder may
    refuse a line by any Exception, and a signal handler that interrupts it may raise one as well.
    Therefore the decoder is asked again: it refuses a line if it refuses it twice, by exceptions
    of one type. Some are never the line's fault: a MemoryError, what another use of a log raised,
    and a RecursionError unless the line nests deeper than it may (SPEC: OBJ-7, OBJ-11). If a signal
    handler raises while the decoder is asked again, that exception is raised.
    """
    if isinstance(error, MemoryError):
        return None
    if isinstance(error, OmnelogError) and not isinstance(error, DeserializeError):
        return None
    again = _exception_of(decode, line)
    if type(again) is not type(error):
        # One of the two is not the decoder's, and that one must reach the caller. A third call
        # tells which one it is.
        if again is None:
            return None
        is_out_of_room = isinstance(again, (MemoryError, RecursionError))
        if is_out_of_room or type(_exception_of(decode, line)) is type(error):
            raise again
        return None
    if isinstance(error, RecursionError) and nesting(line.decode(errors="replace")) <= MAX_NESTING:
        return None
    if isinstance(error, DeserializeError):
        return error
    refusal = DeserializeError(_message(error))
    refusal.__cause__ = error
    return refusal


def _exception_of(decode: Decode[Any], line: bytes) -> Exception | None:
    try:
        decode(line)
    except Exception as error:
        return error
    return None


def tail_refusal(decode: Decode[Any], tail: bytes) -> DeserializeError | None:
    """Return why an unterminated tail is not a whole record, or None if it is one.

    Both `decode_object` and `decode` must accept the tail. A JSON object that is cut short is not
    one, so part of a record is never taken for a whole one.
    """
    for accepts in (decode_object, decode):
        try:
            accepts(tail)
        except Exception as error:
            refusal = refusal_of(accepts, tail, error)
            if refusal is None:
                raise
            return refusal
    return None


def _message(error: Exception) -> str:
    """Return what a foreign exception is and says, on one line, 200 characters of it at most."""
    try:
        message = str(error)
    except Exception as broken:
        message = f"its message cannot be shown ({type(broken).__name__})"
    text = f"{type(error).__name__}: {message[:200]}"
    return "".join(c if c.isprintable() else " " for c in text)


def _unique_members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        [(key, _)] = Counter(key for key, _ in pairs).most_common(1)
        raise Unfit(f"duplicate key {shown(key)}")
    return members


def _finite(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):  # NaN and Infinity come here too
        start = digits if len(digits) <= 20 else f"{digits[:20]}..."
        raise Unfit(f"{start} is not a finite double")
    return number


def _integer(digits: str) -> int | float:
    if digits == "-0":
        return -0.0
    if len(digits) >= _LONGEST_INTEGER:
        # int() takes quadratic time, so a longer integer is refused before int() sees it.
        _finite(digits)
    return int(digits)


_KINDS = {str: "a string", int: "an integer", list: "an array", dict: "an object"}
_PARSER = json.JSONDecoder(
    object_pairs_hook=_unique_members,
    parse_float=_finite,
    parse_int=_integer,
    parse_constant=_finite,
)
