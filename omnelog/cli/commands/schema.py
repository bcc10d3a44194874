# SPDX-License-Identifier: MIT
"""`schema`: print the JSON Schema of a line, which is derived from the classes of the events."""

import inspect
import json
from dataclasses import fields, is_dataclass
from enum import Enum
from types import UnionType
from typing import Any, get_args, get_origin  # Any: a schema is JSON

from ... import Event
from ..exits import OK
from ..parser import Verbs
from ..streams import emit

_NOTE = (
    "What no schema can say: members that occur twice, escapes of lone surrogates, numbers beyond "
    "a double, more than 127 containers within one another, and that an integer is written in "
    "digits alone: neither 1.0 nor -0."
)


_HELP = """\
Print the JSON Schema (draft 2020-12) of a line: what readers accept, as far as a
schema can say it. This needs no volume.
"""

_HELP_END = """\
examples:
  omnelog schema > line.schema.json
"""


def declare(verbs: Verbs, summary: str) -> None:
    """Declare the arguments of `schema`."""
    verbs.add("schema", summary, _carry_out, _HELP, _HELP_END, volume=False)


def _carry_out(*_: object) -> int:
    emit(json.dumps(line_schema(), indent=2))
    return OK


def line_schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of the lines that readers accept.

    `_NOTE` says what a schema cannot express.
    """
    events = get_args(Event)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A line of the event log of an omne run",
        "$comment": _NOTE,
        "oneOf": [{"$ref": f"#/$defs/{cls.type}"} for cls in events],
        "$defs": {cls.type: _of(cls) for cls in events},
    }


def _of(kind: Any) -> dict[str, Any]:
    """Return the schema for values of the declared type `kind`."""
    if kind is str:
        return {"type": "string"}
    if isinstance(kind, UnionType):  # always X | None
        return {"anyOf": [_of(get_args(kind)[0]), {"type": "null"}]}
    if get_origin(kind) is list:
        return {"type": "array", "items": _of(get_args(kind)[0])}
    if isinstance(kind, type) and is_dataclass(kind):
        name = getattr(kind, "type", None)
        members: dict[str, Any] = {"type": {"const": name}} if name else {}
        members |= {field.name: _of(field.type) for field in fields(kind)}
        optional = {field.name for field in fields(kind) if isinstance(field.type, UnionType)}
        return {
            "description": inspect.getdoc(kind),
            "type": "object",
            "properties": members,
            "required": [name for name in members if name not in optional],
        }
    if isinstance(kind, type) and issubclass(kind, Enum):
        return {"description": inspect.getdoc(kind), "enum": [member.value for member in kind]}
    span: range = kind.__metadata__[0]  # U32 or U64
    return {"type": "integer", "minimum": 0, "maximum": span.stop - 1}
