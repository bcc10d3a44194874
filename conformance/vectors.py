# SPDX-License-Identifier: MIT
"""The vectors: what is asked of an adapter, and what has to come of it.

A vector is a JSON file named ``CLAUSE.fault.json``; the raw bytes that it speaks of are in files
beside it. ``vectors/v1/schema.json`` describes its members. A directory of vectors holds one kind.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

DIRECTORY = Path(__file__).parent / "vectors" / "v1"
KINDS = ("encode", "decode", "read", "append", "enumerate", "run_id", "behaviour")


@dataclass(frozen=True, slots=True, kw_only=True)
class Vector:
    """One vector. `clauses`: what it checks, the one that it is named after first."""

    id: str
    kind: str
    clauses: list[str]
    data: dict[str, Any]  # Any: the members are the kind's own
    directory: Path

    def raw(self, member: str) -> bytes | None:
        """The bytes of the file that `member` names, None if there is no such member."""
        name = self.data.get(member)
        return None if name is None else (self.directory / name).read_bytes()

    @property
    def roles(self) -> list[str]:
        """The adapters that take part."""
        roles: list[str] = self.data.get("adapters", ["A"])
        return roles


def load(directory: Path = DIRECTORY) -> Iterator[Vector]:
    """All vectors, by kind and name. Raises ValueError for one that cannot be used."""
    for kind in KINDS:
        for path in sorted((directory / kind).glob("*.json")):
            data = json.loads(path.read_bytes())
            clauses = data["clauses"]
            if data["kind"] != kind or path.name != f"{data['id']}.json":
                raise ValueError(f"{path}: its id or its kind is not where it is")
            if not clauses or data["id"].split(".")[0] != clauses[0]:
                raise ValueError(f"{path}: is not named after its first clause")
            yield Vector(
                id=data["id"], kind=kind, clauses=clauses, data=data, directory=path.parent
            )
