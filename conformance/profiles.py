# SPDX-License-Identifier: MIT
"""The profiles of SPEC.md: the chapters that apply to each one, and the ops that it needs."""

from dataclasses import dataclass

from .vectors import Vector


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """A profile. `chapters`: the prefixes of its clauses. `ops`: those of the protocol it needs."""

    chapters: tuple[str, ...]
    ops: frozenset[str]

    def holds(self, vector: Vector) -> bool:
        """Return whether the vector uses only ops that an implementation of this profile has."""
        return ops_of(vector) <= self.ops


_DECODER = frozenset({"decode"})
_READER = _DECODER | {"read", "scan", "enumerate", "exists", "paths", "find_root"}
_FOLLOWER = _READER | {"follow"}
_APPENDER = _DECODER | {
    "encode", "append", "repair", "close", "hold_lock", "release", "paths", "find_root",
}  # fmt: skip

PROFILES = {
    "decoder": Profile(chapters=("EVT", "ACC", "ERR"), ops=_DECODER),
    "reader": Profile(chapters=("VOL", "EVT", "ACC", "LOCK", "READ", "ERR"), ops=_READER),
    "follower": Profile(chapters=("VOL", "EVT", "ACC", "LOCK", "READ", "ERR"), ops=_FOLLOWER),
    "appender": Profile(
        chapters=("VOL", "EVT", "LINE", "ACC", "LOCK", "APP", "DUR", "ERR"), ops=_APPENDER
    ),
    "id-giver": Profile(chapters=("VOL", "LOCK", "ULID", "ERR"), ops=frozenset({"ulid"})),
}

_OPS_OF_KIND = {
    "encode": {"encode"},
    "decode": {"decode"},
    "read": {"read"},
    "append": {"append"},
    "enumerate": {"enumerate"},
    "run_id": {"exists", "read", "append", "enumerate"},
}
_OP_OF_STEP = {"ids": "ulid", "scales": "decode"}


def ops_of(vector: Vector) -> set[str]:
    """Return the ops that a vector uses."""
    if vector.kind != "behaviour":
        return _OPS_OF_KIND[vector.kind]
    steps = vector.data["steps"]
    asked = {step["op"] for step in steps if step["do"] == "ask"}
    return asked | {_OP_OF_STEP[step["do"]] for step in steps if step["do"] in _OP_OF_STEP}
