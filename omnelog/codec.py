# SPDX-License-Identifier: MIT
"""One event to one line and back (SPEC: LINE, ACC).

`encode` writes the canonical line, byte for byte what serde_json writes for the original. `decode`
accepts any RFC 8259 spelling of an event and nothing else. Both are derived from the dataclasses
in `events`; neither touches a file.
"""

import json
import math
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from enum import EnumType
from functools import cache
from itertools import accumulate
from json.encoder import encode_basestring as _quote  # escapes exactly what serde_json does
from types import UnionType
from typing import Any, NoReturn, get_args, get_origin

from .errors import DeserializeError, SerializeError
from .events import Event

# Any: a value is whatever a caller put into an event, or whatever JSON held, until `_fit` saw it.
_Writer = Callable[[Any], str]

_MAX_NESTING = 127  # containers, the line's own object counted: serde_json's limit
_BLANK = re.compile("[\t-\r \x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]*")
_STRING = re.compile(r'"(?:[^"\\]++|\\.)*+"?', re.DOTALL)  # possessive: linear on any text
_MISSING = object()
_NAMES = {str: "a string", int: "an integer", list: "an array", dict: "an object"}


def encode(event: Event) -> bytes:
    """Return the canonical line of `event`, its newline included (SPEC: LINE).

    Raises SerializeError, naming the field, unless every value is exactly of its declared type: no
    lone surrogates in strings, no bool or out-of-range integer, no plain string for an enum.
    """
    try:
        return _WRITERS[event.__class__](event).encode()
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        reason = f"{_spell(event)} is not an event, or not fully constructed"
        try:
            if event.__class__ in _WRITERS:
                _fit(event.type, event.__class__, event, parsed=False)
        except ValueError as misfit:
            reason = str(misfit)
        raise SerializeError(reason) from error


def decode(line: bytes) -> Event:
    """Return the event that `line`, with or without its newline, says (SPEC: ACC).

    Raises DeserializeError, with the reason alone, for anything that is not one RFC 8259 object of
    a known type with every member of its declared type; unknown members are ignored. No other
    exception is raised for any bytes, given stack for 127 levels.
    """
    try:
        text = line.removesuffix(b"\n").decode()
        if "\n" in text:
            raise ValueError("a newline inside the line")
        if text.count("{") + text.count("[") > _MAX_NESTING:
            steps = ((c in "[{") - (c in "]}") for c in _STRING.sub("", text))
            if max(accumulate(steps), default=0) > _MAX_NESTING:
                raise ValueError(f"more than {_MAX_NESTING} containers within one another")
        value = _JSON.decode(text)
        if "\\ud" in text or "\\uD" in text:  # only an escape can smuggle in a lone surrogate
            json.dumps(value, ensure_ascii=False).encode()
        kind = _exactly("the line", dict, value).get("type", _MISSING)
        if kind.__class__ is not str or kind not in _CLASSES:
            raise ValueError(f"type: expected one of {' '.join(_CLASSES)}, got {_spell(kind)}")
        event: Event = _fit(kind, _CLASSES[kind], value, parsed=True)
        return event
    except json.JSONDecodeError as error:
        raise DeserializeError(f"not JSON: {error.msg}, character {error.pos}") from error
    except ValueError as error:
        raise DeserializeError(str(error)) from error


def is_blank(line: bytes) -> bool:
    """Whether `line` is nothing but Unicode White_Space, which readers pass over (SPEC: ACC)."""
    return _BLANK.fullmatch(line.decode(errors="replace")) is not None


@cache
def _members(cls: type) -> list[tuple[str, Any, bool]]:
    """Of each field of a dataclass in wire order: its name, its type, whether it is optional."""
    members = []
    for field in fields(cls):
        optional = isinstance(field.type, UnionType)  # X | None: there is no other
        members.append((field.name, get_args(field.type)[0] if optional else field.type, optional))
    return members


def _writer(kind: Any) -> _Writer:
    """The function that writes a value of the declared type `kind`, or raises on a misfit."""
    if kind is str:
        return _quote
    if get_origin(kind) is list:
        write_item = _writer(get_args(kind)[0])
        return lambda value: f"[{','.join(map(write_item, _exactly('', list, value)))}]"
    if is_dataclass(kind):
        write_object = _object_writer(kind)
        return lambda value: write_object(_exactly("", kind, value))
    if isinstance(kind, EnumType):
        return lambda value: f'"{_exactly("", kind, value).value}"'
    return lambda value: str(_fit("", kind, value, parsed=False))


def _object_writer(cls: Any, end: str = "") -> _Writer:
    """Generate the function that writes a `cls` as one f-string, since every append encodes.

    It takes 0.5 µs; a loop over the fields takes 2. No object's first member is optional.
    """
    scope: dict[str, Any] = {}
    members = [f'"type":"{cls.type}"'] if hasattr(cls, "type") else []
    for name, kind, optional in _members(cls):
        scope[f"write_{name}"] = _writer(kind)
        key, value = f'"{name}":', f"write_{name}(o.{name})"
        if optional:
            members[-1] += f"{{'' if o.{name} is None else ',{key}' + {value}}}"
        else:
            members.append(f"{key}{{{value}}}")
    exec(f"def write(o): return f'''{{{{{','.join(members)}}}}}{end}'''", scope)
    writer: _Writer = scope["write"]
    return writer


def _fit(where: str, kind: Any, value: Any, *, parsed: bool) -> Any:
    """Return `value`, parsed JSON or else part of an event, as a `kind`; ValueError on a misfit."""
    if is_dataclass(kind):
        assert isinstance(kind, type)
        _exactly(where, dict if parsed else kind, value)
        found = {}
        for name, inner, optional in _members(kind):
            member = value.get(name, _MISSING) if parsed else getattr(value, name, _MISSING)
            if parsed and inner is str is member.__class__:  # like most: 5 µs saved
                found[name] = member
            elif not (optional and (member is None or member is _MISSING)):
                found[name] = _fit(f"{where}.{name}", inner, member, parsed=parsed)
        return kind(**found)
    if get_origin(kind) is list:
        (inner,), items = get_args(kind), enumerate(_exactly(where, list, value))
        return [_fit(f"{where}[{i}]", inner, item, parsed=parsed) for i, item in items]
    if isinstance(kind, EnumType):
        if parsed and _exactly(where, str, value) not in kind.__members__.values():
            raise ValueError(f"{where}: expected one of {' '.join(kind)}, got {_spell(value)}")
        return kind(value) if parsed else _exactly(where, kind, value)
    if kind is str:
        try:
            value.encode() if isinstance(value, str) else _exactly(where, str, value)
        except UnicodeEncodeError as error:
            raise ValueError(f"{where}: lone surrogate, character {error.start}") from None
    elif _exactly(where, int, value) not in (span := kind.__metadata__[0]):
        raise ValueError(f"{where}: expected an integer from 0 to {span.stop - 1}")
    return value


def _exactly(where: str, kind: Any, value: Any) -> Any:
    if value.__class__ is not kind:
        expected = _NAMES.get(kind, kind.__name__)
        raise ValueError(f"{where}: expected {expected}, got {_spell(value)}")
    return value


def _spell(value: Any) -> str:
    """`value` as a message shows it: itself where that is short and harmless, else its kind."""
    if value is None or value.__class__ in (bool, float, str):
        return json.dumps(value)[:60]
    kind = value.__class__
    return "nothing" if value is _MISSING else _NAMES.get(kind, kind.__name__)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        [(key, _)] = Counter(key for key, _ in pairs).most_common(1)
        raise ValueError(f"duplicate key {_spell(key)}")
    return members


def _finite(digits: str) -> float:
    if math.isinf(number := float(digits)):
        raise ValueError("a number beyond a double")
    return number


def _integer(digits: str) -> int | float:
    if digits == "-0" or len(digits) > 308:  # more than any integer field holds, or int() takes
        return _finite(digits)
    return int(digits)


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")


_JSON = json.JSONDecoder(
    object_pairs_hook=_unique, parse_float=_finite, parse_int=_integer, parse_constant=_refuse
)
_CLASSES: dict[str, Any] = {cls.type: cls for cls in get_args(Event)}
_WRITERS: dict[Any, _Writer] = {cls: _object_writer(cls, r"\n") for cls in get_args(Event)}
