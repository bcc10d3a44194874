# SPDX-License-Identifier: MIT
"""The conversion of one event to one line and back (SPEC: LINE, ACC).

`encode` writes the canonical line, byte for byte what serde_json writes for the original. `decode`
accepts any RFC 8259 spelling of an event and nothing else. Neither touches a file.

Two functions define what is accepted: `_check` for the values of an event that is to be written,
and `_build` for the JSON of a line that was read. Both follow the declared types in `events`. Each
direction has a fast path as well, because every append and every read comes here:

* Writing has one function for each type of event (`_write_node_started` and so on), whose code
  looks like the line. It raises if a value does not fit, and then `_check` says what is wrong.
* Reading has one compiled pattern for each type, which matches canonical lines and nothing else. A
  line that it does not match is read in the strict way.

A fast path must always agree with the strict one. A property test compares them.
"""

import re
from collections.abc import Callable
from dataclasses import fields, is_dataclass, make_dataclass
from enum import EnumType
from functools import cache
from json.decoder import scanstring  # type: ignore[attr-defined]  # typeshed leaves it out
from json.encoder import encode_basestring as _quote  # escapes exactly what serde_json does
from types import UnionType
from typing import Any, NamedTuple, get_args, get_origin

from .events import (
    ErrorKind,
    Event,
    GateMethod,
    GatePassed,
    Input,
    IterationStarted,
    NodeCompleted,
    NodeError,
    NodeFailed,
    NodeKind,
    NodeStarted,
    PipeAborted,
    PipeCompleted,
    PipeStarted,
)
from .linelog.errors import DeserializeError, SerializeError
from .linelog.objects import Unfit, parse_object, shown, text_of

# Any: a value is whatever a caller put into an event, or whatever JSON held, until it is checked.

_MISSING = object()
_CLASSES: dict[str, type[Event]] = {cls.type: cls for cls in get_args(Event)}


def encode(event: Event) -> bytes:
    """Return the canonical line of `event`, its newline included (SPEC: LINE).

    Raises SerializeError, which names the field, unless every value is exactly of its declared
    type, or of a subclass of str for a string. This refuses lone surrogates in strings, a bool for
    an integer, an integer out of range, and a plain string for an enum.
    """
    try:
        return _WRITERS[type(event)](event).encode()
    except (KeyError, TypeError, ValueError, AttributeError, Unfit) as error:
        try:
            _check_event(event)
        except Unfit as unfit:
            raise SerializeError(str(unfit)) from error
        raise  # the event fits, so a signal handler raised this


def decode(line: bytes) -> Event:
    """Return the event that `line` holds, with or without its newline (SPEC: ACC).

    Raises DeserializeError, with the reason alone, for anything that is not one RFC 8259 object of
    a known type with every member of its declared type; unknown members are ignored. Whatever the
    bytes are, no other exception is raised, except RecursionError or MemoryError if the caller has
    used up the stack or the memory.
    """
    try:
        text = text_of(line)
        event = _read_canonical(text)
        if event is None:
            event = _read(text)
    except Unfit as unfit:
        raise DeserializeError(str(unfit)) from unfit.__cause__ or unfit
    return event


# Writing


# The code of each function looks like the canonical line that it returns. A value that does not
# fit raises Unfit here, TypeError in `_quote`, or UnicodeEncodeError when the line is encoded.


def _write_pipe_started(e: PipeStarted) -> str:
    if type(e.inputs) is not list:
        raise Unfit
    inputs = ",".join(map(_write_input, e.inputs))
    return (
        f'{{"type":"pipe.started","id":{_quote(e.id)},"ts":{_quote(e.ts)}'
        f',"run_id":{_quote(e.run_id)},"pipe":{_quote(e.pipe)},"inputs":[{inputs}]'
        f',"distro_version":{_quote(e.distro_version)}}}\n'
    )


def _write_input(item: Input) -> str:
    if type(item) is not Input:
        raise Unfit
    return f'{{"key":{_quote(item.key)},"value":{_quote(item.value)}}}'


def _write_pipe_completed(e: PipeCompleted) -> str:
    return (
        f'{{"type":"pipe.completed","id":{_quote(e.id)},"ts":{_quote(e.ts)}'
        f',"run_id":{_quote(e.run_id)}}}\n'
    )


def _write_pipe_aborted(e: PipeAborted) -> str:
    return (
        f'{{"type":"pipe.aborted","id":{_quote(e.id)},"ts":{_quote(e.ts)}'
        f',"run_id":{_quote(e.run_id)},"reason":{_quote(e.reason)}}}\n'
    )


def _write_node_started(e: NodeStarted) -> str:
    if type(e.kind) is not NodeKind:
        raise Unfit
    name = "" if e.name is None else f',"name":{_quote(e.name)}'
    model = "" if e.model is None else f',"model":{_quote(e.model)}'
    return (
        f'{{"type":"node.started","id":{_quote(e.id)},"ts":{_quote(e.ts)}'
        f',"run_id":{_quote(e.run_id)},"node_id":{_quote(e.node_id)}'
        f',"kind":"{e.kind._value_}"{name}{model}}}\n'
    )


def _write_node_completed(e: NodeCompleted) -> str:
    return (
        f'{{"type":"node.completed","id":{_quote(e.id)},"ts":{_quote(e.ts)}'
        f',"run_id":{_quote(e.run_id)},"node_id":{_quote(e.node_id)}'
        f',"output_path":{_quote(e.output_path)}}}\n'
    )


def _write_node_failed(e: NodeFailed) -> str:
    if type(e.error) is not NodeError or type(e.error.kind) is not ErrorKind:
        raise Unfit
    message = "" if e.message is None else f',"message":{_quote(e.message)}'
    return (
        f'{{"type":"node.failed","id":{_quote(e.id)},"ts":{_quote(e.ts)}'
        f',"run_id":{_quote(e.run_id)},"node_id":{_quote(e.node_id)}'
        f',"error":{{"kind":"{e.error.kind._value_}"}}{message}}}\n'
    )


def _write_gate_passed(e: GatePassed) -> str:
    if type(e.method) is not GateMethod:
        raise Unfit
    return (
        f'{{"type":"gate.passed","id":{_quote(e.id)},"ts":{_quote(e.ts)}'
        f',"run_id":{_quote(e.run_id)},"node_id":{_quote(e.node_id)}'
        f',"gate":{_quote(e.gate)},"method":"{e.method._value_}"}}\n'
    )


def _write_iteration_started(e: IterationStarted) -> str:
    if type(e.iteration) is not int or e.iteration not in _U32_SPAN:
        raise Unfit
    if type(e.byte_offset) is not int or e.byte_offset not in _U64_SPAN:
        raise Unfit
    return (
        f'{{"type":"iteration.started","id":{_quote(e.id)},"ts":{_quote(e.ts)}'
        f',"run_id":{_quote(e.run_id)},"node_id":{_quote(e.node_id)}'
        f',"iteration":{e.iteration},"byte_offset":{e.byte_offset}}}\n'
    )


_U32_SPAN = range(2**32)
_U64_SPAN = range(2**64)
_WRITERS: dict[type, Callable[[Any], str]] = {
    PipeStarted: _write_pipe_started,
    PipeCompleted: _write_pipe_completed,
    PipeAborted: _write_pipe_aborted,
    NodeStarted: _write_node_started,
    NodeCompleted: _write_node_completed,
    NodeFailed: _write_node_failed,
    GatePassed: _write_gate_passed,
    IterationStarted: _write_iteration_started,
}


def _check_event(event: Any) -> None:
    """Raise Unfit, which names the field, unless every value is exactly of its declared type."""
    cls = type(event)
    if all(cls is not known for known in _CLASSES.values()):
        other = _other_copy(cls) if cls.__name__ in _CLASS_NAMES else ""
        raise Unfit(f"{shown(event)}{other} is not an event")
    _check(cls.type, cls, event)


def _check(where: str, kind: Any, value: Any) -> None:
    """Raise Unfit, which begins with `where`, unless `value` is exactly of the type `kind`."""
    if _has_fields(kind):
        _require_type(where, kind, value)
        for name, member_kind, is_optional in _fields(kind):
            member = getattr(value, name, _MISSING)
            if not (is_optional and member is None):
                _check(f"{where}.{name}", member_kind, member)
    elif get_origin(kind) is list:
        _require_type(where, list, value)
        for index, item in enumerate(value):
            _check(f"{where}[{index}]", get_args(kind)[0], item)
    elif isinstance(kind, EnumType):
        _require_type(where, kind, value)
    elif kind is str:
        if not isinstance(value, str):
            _require_type(where, str, value)
        try:
            value.encode()
        except UnicodeEncodeError as error:
            raise Unfit(f"{where}: lone surrogate, character {error.start}") from None
    else:
        _require_integer(where, kind, value)


# Reading, the strict way


def _read(text: str) -> Event:
    """Return the event that `text` holds, in any spelling. Raises Unfit."""
    members = parse_object(text)
    name = members.get("type", _MISSING)
    cls = _CLASSES.get(name) if type(name) is str else None
    if cls is None:
        raise Unfit(f"type: expected one of {' '.join(_CLASSES)}, got {_shown(name)}")
    event: Event = _build(name, cls, members)
    return event


def _build(where: str, kind: Any, value: Any) -> Any:
    """Return the JSON `value` as a `kind`. Raises Unfit, which begins with `where`."""
    if _has_fields(kind):
        _require_type(where, dict, value)
        members = {}
        for name, member_kind, is_optional in _fields(kind):
            member = value.get(name, None if is_optional else _MISSING)
            if not (is_optional and member is None):
                member = _build(f"{where}.{name}", member_kind, member)
            members[name] = member
        return kind(**members)
    if get_origin(kind) is list:
        _require_type(where, list, value)
        item_kind = get_args(kind)[0]
        return [_build(f"{where}[{index}]", item_kind, item) for index, item in enumerate(value)]
    if isinstance(kind, EnumType):
        choices = {str(member): member for member in list[Any](kind)}
        if type(value) is not str or value not in choices:
            _require_type(where, kind, value)
        return choices[value]
    if kind is str:
        _require_type(where, str, value)
    else:
        _require_integer(where, kind, value)
    return value


@cache
def _fields(cls: type[Any]) -> list[tuple[str, Any, bool]]:
    """Return each field's name, its declared type and whether it is optional, in wire order."""
    found = []
    for field in fields(cls):
        is_optional = isinstance(field.type, UnionType)  # X | None: there is no other union
        kind = get_args(field.type)[0] if is_optional else field.type
        found.append((field.name, kind, is_optional))
    return found


def _has_fields(kind: Any) -> bool:
    return is_dataclass(kind)  # called inline, it would narrow `kind` for type checkers


def _require_type(where: str, kind: Any, value: Any) -> None:
    if type(value) is kind:
        return
    if isinstance(kind, EnumType):
        expected = f"a {kind.__name__}, one of {' '.join(list[Any](kind))}"
    else:
        expected = _NAMES.get(kind, kind.__name__)
    is_namesake = type(value).__name__ == kind.__name__
    other = _other_copy(type(value)) if is_namesake else ""
    raise Unfit(f"{where}: expected {expected}, got {_shown(value)}{other}")


def _other_copy(cls: type) -> str:
    """Return what tells the class `cls` of another copy of omnelog from our class of that name."""
    return f" (of the module {cls.__module__})"


def _require_integer(where: str, kind: Any, value: Any) -> None:
    _require_type(where, int, value)
    span = kind.__metadata__[0]
    if value not in span:
        raise Unfit(f"{where}: expected an integer from 0 to {span.stop - 1}")


def _shown(value: Any) -> str:
    return "nothing" if value is _MISSING else shown(value)


_NAMES = {str: "a string", int: "an integer", list: "an array", dict: "an object"}
_CLASS_NAMES = {cls.__name__ for cls in _CLASSES.values()}


# Reading canonical lines


class _Reader(NamedTuple):
    """How the canonical lines of one type of event are read."""

    cls: type[Event]
    draft: Callable[..., Any]  # makes an event from the groups, see `_draft`
    fullmatch: Callable[[str], re.Match[str] | None]  # its pattern has a group for each field
    converters: list[tuple[int, Callable[[str], Any]]]  # for groups that are not the value yet


def _read_canonical(text: str) -> Event | None:
    """Return the event that `text` holds if it is a canonical line, else None. Raises Unfit.

    Lines of a log are canonical, apart from those of some foreign writers.
    """
    readers = _ESCAPED_READERS if "\\" in text else _PLAIN_READERS
    reader = readers[text[_KEY_START:_KEY_END]]
    if reader is None:
        return None
    cls, draft, fullmatch, converters = reader
    match = fullmatch(text)
    if match is None:
        return None
    values: Any = match.groups()
    if converters:
        values = list(values)
        for index, convert in converters:
            if values[index] is not None:
                values[index] = convert(values[index])
    event = draft(*values)
    event.__class__ = cls
    return event  # type: ignore[no-any-return]  # it is an Event by now


def _draft(cls: Any) -> Callable[..., Any]:
    """Return a subclass of `cls` that is not frozen and takes the fields by position.

    The ``__init__`` of a frozen dataclass bypasses its own ``__setattr__`` for each field, which
    takes as long as all the rest of `decode`. An instance of this class becomes an event when its
    ``__class__`` is set, which Python allows because no slot was added.
    """
    plain: Any = make_dataclass("plain", [name for name, _, _ in _fields(cls)], eq=False)
    members = {
        "__slots__": (),
        "__init__": plain.__init__,
        "__setattr__": object.__setattr__,
        "__delattr__": object.__delattr__,  # or setting an attribute would still be slow
    }
    return type("draft", (cls,), members)


class _Readers(dict[str, _Reader | None]):
    """Maps the first letters of a type's name to its reader, which is made when first needed.

    Making all of them takes 10 ms. Cutting out `_KEY_LENGTH` letters is faster than finding the end
    of the name. If two names begin alike, the lines of the second are read in the strict way.
    """

    def __init__(self, *, has_escapes: bool) -> None:
        self._has_escapes = has_escapes

    def __missing__(self, key: str) -> _Reader | None:
        for cls in _CLASSES.values():
            if cls.type[:_KEY_LENGTH] == key:
                self[key] = _reader(cls, has_escapes=self._has_escapes)
                return self[key]
        return None


def _reader(cls: Any, *, has_escapes: bool) -> _Reader:
    """Return the reader of canonical lines of `cls`: of those with escapes, or of those without."""
    pattern = f'{{"type":"{re.escape(cls.type)}"'
    converters = []
    for index, (name, kind, is_optional) in enumerate(_fields(cls)):
        group, convert = _group(f"{cls.type}.{name}", kind, has_escapes=has_escapes)
        member = f',"{name}":{group}'
        pattern += f"(?:{member})?" if is_optional else member
        if convert is not None:
            converters.append((index, convert))
    compiled = re.compile(pattern + "}")
    return _Reader(cls, _draft(cls), compiled.fullmatch, converters)


def _group(where: str, kind: Any, *, has_escapes: bool) -> tuple[str, Callable[[str], Any] | None]:
    """Return a pattern of one group, which matches a canonical value, and the group's converter."""
    characters = _ESCAPED if has_escapes else _PLAIN
    if kind is str:
        return f'"({characters})"', _unescape if has_escapes else None
    if isinstance(kind, EnumType):
        members = {str(member): member for member in list[Any](kind)}
        return f'"({_one_of(members)})"', members.__getitem__
    if kind is NodeError:  # there are few, and they are immutable, so events may share them
        errors = {f'{{"kind":"{member}"}}': NodeError(kind=member) for member in ErrorKind}
        return f"({_one_of(errors)})", errors.__getitem__
    if kind == list[Input]:
        item = f'{{"key":"({characters})","value":"({characters})"}}'
        each = re.compile(item)
        item = item.replace(f"({characters})", characters)

        def read_inputs(items: str) -> list[Input]:
            found = each.findall(items)
            return [Input(key=_unescape(key), value=_unescape(value)) for key, value in found]

        return rf"\[((?:{item}(?:,{item})*)?)\]", read_inputs

    span = kind.__metadata__[0]

    def read_integer(digits: str) -> int:
        number = int(digits)
        if number not in span:
            _require_integer(where, kind, number)
        return number

    return "(0|[1-9][0-9]{0,19})", read_integer


def _one_of(texts: dict[str, Any]) -> str:
    return "|".join(map(re.escape, texts))


def _unescape(characters: str) -> str:
    if "\\" not in characters:
        return characters
    text: str = scanstring(f'{characters}"', 0)[0]
    return text


_KEY_LENGTH = 8  # letters
_KEY_START = len('{"type":"')
_KEY_END = _KEY_START + _KEY_LENGTH
_PLAIN = r'[^"\\\x00-\x1f]*'
_ESCAPED = rf'{_PLAIN}(?:\\(?:["\\bfnrt]|u00[01][0-9a-f]){_PLAIN})*'
_PLAIN_READERS = _Readers(has_escapes=False)
_ESCAPED_READERS = _Readers(has_escapes=True)
