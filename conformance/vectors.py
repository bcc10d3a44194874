# SPDX-License-Identifier: MIT
"""Load the vectors, which say what to ask of an adapter and what to expect.

A vector is a JSON file named ``CLAUSE.fault.json``; the raw bytes that it refers to are in files
beside it. ``vectors/v1/schema.json`` describes its members. Each kind has a directory of its own.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

DIRECTORY = Path(__file__).parent / "vectors" / "v1"
RAW = ("line", "log", "before", "after", "quarantine_before", "quarantine_after")
KINDS = ("encode", "decode", "read", "append", "enumerate", "run_id", "behaviour")


@dataclass(frozen=True, slots=True, kw_only=True)
class Vector:
    """One vector. `clauses`: the clauses that it checks; it is named after the first one."""

    id: str
    kind: str
    clauses: list[str]
    data: dict[str, Any]  # Any: each kind has members of its own
    directory: Path

    def raw(self, member: str) -> bytes | None:
        """Return the bytes of the file that `member` names, or None if the member is missing."""
        name = self.data.get(member)
        return None if name is None else (self.directory / name).read_bytes()

    @property
    def roles(self) -> list[str]:
        """The roles of the adapters that take part."""
        roles: list[str] = self.data.get("adapters", ["A"])
        return roles


def load(directory: Path = DIRECTORY) -> Iterator[Vector]:
    """Yield all vectors, by kind and name. Raises ValueError for one that cannot be used."""
    for kind in KINDS:
        for path in sorted((directory / kind).glob("*.json")):
            try:
                yield _vector(path, kind)
            except KeyError as error:
                raise ValueError(f"{path}: not a valid vector: it has no {error}") from error
            except ValueError as error:
                raise ValueError(f"{path}: not a valid vector: {error}") from error


def _vector(path: Path, kind: str) -> Vector:
    data = json.loads(path.read_bytes())
    vector = Vector(
        id=data["id"], kind=kind, clauses=data["clauses"], data=data, directory=path.parent
    )
    if data["kind"] != kind or path.name != f"{vector.id}.json":
        raise ValueError("its id must be the name of the file, and its kind that of the directory")
    if vector.id.split(".")[0] not in vector.clauses[:1]:
        raise ValueError("it is not named after its first clause")
    for member in RAW:
        if member in data and not (path.parent / data[member]).is_file():
            raise ValueError(f"there is no file {data[member]}")
    return vector
