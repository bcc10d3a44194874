# SPDX-License-Identifier: MIT
"""A record class of each library, and the functions that encode and decode its records."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import msgspec
import pydantic
from dataclasses_json import DataClassJsonMixin


@dataclass(frozen=True)
class PlainMessage(DataClassJsonMixin):
    """A message, as a class of dataclasses-json."""

    sender: str
    number: int
    text: str | None = None


class ModelMessage(pydantic.BaseModel):
    """A message, as a class of pydantic."""

    model_config = pydantic.ConfigDict(frozen=True)

    sender: str
    number: int
    text: str | None = None


class StructMessage(msgspec.Struct, frozen=True):
    """A message, as a class of msgspec."""

    sender: str
    number: int
    text: str | None = None


@dataclass(frozen=True)
class Library:
    """How a log is opened for the records of one library."""

    # Any: each library has a record class of its own.
    message: Callable[..., Any]
    encode: Callable[[Any], str | bytes]
    decode: Callable[[bytes], Any]
    error: type[Exception]
    """What its decoder raises for an object that is not a message."""

    checks_types: bool = True
    """Whether its decoder looks at the types of the fields."""


LIBRARIES = {
    "dataclasses-json": Library(
        message=PlainMessage,
        encode=PlainMessage.to_json,
        decode=PlainMessage.from_json,
        error=KeyError,
        checks_types=False,
    ),
    "pydantic": Library(
        message=ModelMessage,
        encode=ModelMessage.model_dump_json,
        decode=ModelMessage.model_validate_json,
        error=pydantic.ValidationError,
    ),
    "msgspec": Library(
        message=StructMessage,
        encode=msgspec.json.Encoder().encode,
        decode=msgspec.json.Decoder(StructMessage).decode,
        error=msgspec.ValidationError,
    ),
}

PICKLABLE = LIBRARIES | {
    "msgspec": Library(
        message=StructMessage,
        encode=msgspec.json.encode,  # an Encoder cannot be pickled, the function can
        decode=partial(msgspec.json.decode, type=StructMessage),
        error=msgspec.ValidationError,
    ),
}
"""The same libraries, with functions that can be pickled with a handle."""
