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
from collections.abc import Callable, Iterable
from dataclasses import fields, is_dataclass
from enum import EnumType
from itertools import accumulate
from json.encoder import encode_basestring as _quote  # escapes exactly what serde_json does
from types import UnionType
from typing import Any, NamedTuple, NoReturn, get_args, get_origin

from .errors import DeserializeError, SerializeError
from .events import Event

# Any: a value is whatever a caller put into an event, or whatever JSON held, until it is checked.

_MAX_NESTING = 127  # containers, the line's own object counted: serde_json's limit
_BLANK = re.compile("[\t-\r \x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]*")
_STRING = re.compile(r'"(?:[^"\\]++|\\.)*+"?', re.DOTALL)  # possessive: linear on any text
_MISSING = object()
_MISFITS = (LookupError, TypeError, ValueError, AttributeError)  # what the functions below raise


def encode(event: Event) -> bytes:
    """Return the canonical line of `event`, its newline included (SPEC: LINE).

    Raises SerializeError, naming the field, unless every value is exactly of its declared type, or
    of a subclass of str for a string: no lone surrogates in strings, no bool or out-of-range
    integer, no plain string for an enum.
    """
    try:
        return _CODES[event.__class__].write(event).encode()
    except _MISFITS as error:
        try:
            if all(event.__class__ is not cls for cls in get_args(Event)):
                raise ValueError(f"{_spell(event)} is not an event")
            _check(event.type, event.__class__, event)
        except ValueError as misfit:
            raise SerializeError(str(misfit)) from error
        raise  # out of a signal handler, then


def decode(line: bytes) -> Event:
    """Return the event that `line`, with or without its newline, says (SPEC: ACC).

    Raises DeserializeError, with the reason alone, for anything that is not one RFC 8259 object of
    a known type with every member of its declared type; unknown members are ignored. No other
    exception is raised for any bytes, given stack for 127 levels.
    """
    try:
        text = line.removesuffix(b"\n").decode()
        try:  # a line that is what encoding says is right in every respect, and most are: 3 µs
            value = _scan(text, 0)[0]
            code = _CODES[value["type"]]
            event: Event = code.build(value)
            if code.write_plain(event) == text or code.write(event) == text + "\n":
                return event
        except (*_MISFITS, RecursionError, StopIteration):
            pass
        return _accept(text)  # 10 µs
    except json.JSONDecodeError as error:
        raise DeserializeError(f"not JSON: {error.msg}, character {error.pos}") from error
    except ValueError as error:
        raise DeserializeError(str(error)) from error


def is_blank(line: bytes) -> bool:
    """Whether `line` is nothing but Unicode White_Space, which readers pass over (SPEC: ACC)."""
    return _BLANK.fullmatch(line.decode(errors="replace")) is not None


def _accept(text: str) -> Event:
    """The event that `text` says in any spelling; ValueError says what is wrong with it."""
    if "\n" in text:
        raise ValueError("a newline inside the line")
    if text.count("{") + text.count("[") > _MAX_NESTING:
        steps = ((c in "[{") - (c in "]}") for c in _STRING.sub("", text))
        if max(accumulate(steps), default=0) > _MAX_NESTING:
            raise ValueError(f"more than {_MAX_NESTING} containers within one another")
    value = _JSON.decode(text)
    if ("\\ud" in text or "\\uD" in text) and (  # only an escape can smuggle one in
        lone := re.search(r"[\ud800-\udfff]", json.dumps(value, ensure_ascii=False))
    ):
        raise ValueError(f"lone surrogate {lone[0]!a}")
    kind = _exactly("the line", _Object, value)["type"]
    if kind.__class__ is not str or kind not in _CLASSES:
        kinds = " ".join(cls.type for cls in get_args(Event))
        raise ValueError(f"type: expected one of {kinds}, got {_spell(kind)}")
    event: Event = _CODES[kind].build(value)
    _check(kind, event.__class__, event)
    return event


def _members(cls: Any) -> Iterable[tuple[str, Any, bool]]:
    """Of each field of a dataclass in wire order: its name, its type, whether it is optional."""
    for field in fields(cls):
        optional = isinstance(field.type, UnionType)  # X | None: there is no other
        yield field.name, get_args(field.type)[0] if optional else field.type, optional


class _Code(NamedTuple):
    write: Callable[[Any], str]  # the canonical text; an exception of no account for a misfit
    write_plain: Callable[[Any], str]  # that without the newline, if no string needs an escape
    build: Callable[[Any], Any]  # of parsed JSON; what does not fit is taken as it is


def _generate(cls: Any) -> _Code:
    """Generate from its fields the functions that write and build a `cls`.

    Every append and every read calls them: 0.5 µs each, where a loop over the fields takes 2. To
    set the slots as `__init__` does takes half its time. No object's first member is optional.
    """
    scope: dict[str, Any] = {"cls": cls, "new": object.__new__, "quote": _quote, "misfit": _misfit}
    nested, end = (False, r"\n") if hasattr(cls, "type") else (True, "")
    members = [] if nested else [f'"type":"{cls.type}"']
    steps = []
    for name, kind, optional in _members(cls):
        value, key, inner = f"o.{name}", f'"{name}":', f"of_{name}"
        built = f'm.get("{name}")' if optional else f'm["{name}"]'
        if kind is str:
            written = f"{{quote({value})}}"
        elif get_origin(kind) is list:
            scope[inner] = _generate(get_args(kind)[0])
            items = f"','.join(map({inner}.write, {value}))"
            written = f"[{{{items} if {value}.__class__ is list else misfit()}}]"
            built = f"[*map({inner}.build, v)] if (v := {built}).__class__ is list else v"
        elif is_dataclass(kind):
            scope[inner] = _generate(kind)
            written, built = f"{{{inner}.write({value})}}", f"{inner}.build({built})"
        elif isinstance(kind, EnumType):
            scope[name], scope[inner] = kind, {str(member): member for member in list[Any](kind)}
            written = f'"{{{value}._value_ if {value}.__class__ is {name} else misfit()}}"'
            built = f"{inner}.get(v, v) if (v := {built}).__class__ is str else v"
        else:
            scope[inner] = kind.__metadata__[0]
            fits = f"{value}.__class__ is int and {value} in {inner}"
            written = f"{{{value} if {fits} else misfit()}}"
        if optional:
            members[-1] += f"{{'' if {value} is None else f',{key}{written}'}}"
        else:
            members.append(key + written)
        scope[f"set_{name}"] = getattr(cls, name).__set__
        steps.append(f"set_{name}(o, {built})")
    text = f"{{{{{','.join(members)}}}}}"
    plain = re.sub(r"{quote\((.*?)\)}", r'"{\1}"', text)
    exec(
        f"def write(o):\n"
        f" if {nested} and o.__class__ is not cls: misfit()\n"
        f" return f'''{text}{end}'''\n"
        f"def write_plain(o): return f'''{plain}'''\n"
        f"def build(m):\n"
        f" if {nested} and not isinstance(m, dict): return m\n"
        f" o = new(cls); {'; '.join(steps)}; return o\n",
        scope,
    )
    return _Code(scope["write"], scope["write_plain"], scope["build"])


class _Codes(dict[Any, _Code]):
    """The code of each class of event, made when it is first asked for: all take 5 ms of import."""

    def __missing__(self, key: Any) -> _Code:
        cls = _CLASSES[key]
        self[cls] = self[cls.type] = code = _generate(cls)
        return code


def _misfit() -> NoReturn:
    raise ValueError


def _check(where: str, kind: Any, value: Any) -> None:
    """Raise the ValueError that names what part of an event is not exactly of its type."""
    if is_dataclass(kind):
        _exactly(where, kind, value)
        for name, inner, optional in _members(kind):
            member = getattr(value, name, _MISSING)
            if not (optional and member is None):
                _check(f"{where}.{name}", inner, member)
    elif get_origin(kind) is list:
        for i, item in enumerate(_exactly(where, list, value)):
            _check(f"{where}[{i}]", get_args(kind)[0], item)
    elif isinstance(kind, EnumType):
        _exactly(where, kind, value)
    elif kind is str:
        try:
            (value if isinstance(value, str) else _exactly(where, str, value)).encode()
        except UnicodeEncodeError as error:
            raise ValueError(f"{where}: lone surrogate, character {error.start}") from None
    elif _exactly(where, int, value) not in (span := kind.__metadata__[0]):
        raise ValueError(f"{where}: expected an integer from 0 to {span.stop - 1}")


def _exactly(where: str, kind: Any, value: Any) -> Any:
    if value.__class__ is not kind:
        expected = _NAMES.get(kind, kind.__name__)
        if isinstance(kind, EnumType):
            expected = f"a {expected}, one of {' '.join(list[Any](kind))}"
        raise ValueError(f"{where}: expected {expected}, got {_spell(value)}")
    return value


def _spell(value: Any) -> str:
    """`value` as a message shows it: itself where that is short and harmless, else its kind."""
    if value is None or isinstance(value, bool | float | str):
        return json.dumps(value)[:60]
    kind: type = value.__class__
    return "nothing" if value is _MISSING else _NAMES.get(kind, kind.__name__)


class _Object(dict[str, Any]):
    """A JSON object of which no key comes twice."""

    def __init__(self, pairs: list[tuple[str, Any]]) -> None:
        super().__init__(pairs)
        if len(self) != len(pairs):
            [(key, _)] = Counter(key for key, _ in pairs).most_common(1)
            raise ValueError(f"duplicate key {_spell(key)}")

    def __missing__(self, _: str) -> object:
        return _MISSING


def _finite(digits: str) -> float:
    if not math.isfinite(number := float(digits)):  # NaN and Infinity come here, too
        raise ValueError(f"{digits[:20]}{'...' * (len(digits) > 20)} is not a finite double")
    return number


def _integer(digits: str) -> int | float:
    if digits == "-0" or len(digits) > 308:  # more than any integer field holds, or int() takes
        return _finite(digits)
    return int(digits)


_NAMES = {str: "a string", int: "an integer", list: "an array", _Object: "an object"}
_JSON = json.JSONDecoder(
    object_pairs_hook=_Object, parse_float=_finite, parse_int=_integer, parse_constant=_finite
)
_scan = json.JSONDecoder().scan_once  # type: ignore[attr-defined] # typeshed has it not
_CLASSES: dict[Any, Any] = {key: cls for cls in get_args(Event) for key in (cls, cls.type)}
_CODES = _Codes()
