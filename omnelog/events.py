# SPDX-License-Identifier: MIT
"""The eight events of a run: what each line says, with its fields in wire order (SPEC: EVT).

Each class is the only description of its event; decoder and schema are derived from it, and the
encoder has a function that writes its line. P marks a field that the original's documentation
publishes; A marks one that was assumed from evidence. Events are immutable and compare by value.
Constructing one checks nothing; `encode` checks everything.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, ClassVar, TypeAlias

U32: TypeAlias = Annotated[int, range(2**32)]
U64: TypeAlias = Annotated[int, range(2**64)]


class NodeKind(StrEnum):
    """What a node runs."""

    COMMAND = "command"  # A
    PROMPT = "prompt"  # A
    BASH = "bash"  # P
    LOOP = "loop"  # A


class ErrorKind(StrEnum):
    """Why a node failed."""

    CRASH = "crash"  # P
    TIMEOUT = "timeout"  # A
    GATE_FAILED = "gate_failed"  # A
    BLOCKED = "blocked"  # P
    MAX_ITERATIONS_EXCEEDED = "max_iterations_exceeded"  # P
    HOST_MISSING = "host_missing"  # A


class GateMethod(StrEnum):
    """How a gate was passed."""

    HOOK = "hook"  # P
    HUMAN_CLI = "human_cli"  # P
    MCP_TOOL = "mcp_tool"  # P


@dataclass(frozen=True, slots=True, kw_only=True)
class Input:
    """One named input of a pipe."""

    key: str
    value: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeError:
    """What went wrong in a node."""

    kind: ErrorKind  # A


@dataclass(frozen=True, slots=True, kw_only=True, init=False, repr=False, eq=False)
class _Event:
    """The fields that every event begins with.

    Only the subclasses are used. So this class gets none of the methods that a dataclass generates,
    each of which would add 0.1 ms to the import. SPEC marks these fields P or A for each type.
    """

    type: ClassVar[str]
    id: str  # lowercase ULID of the event
    ts: str  # YYYY-MM-DDTHH:MM:SSZ
    run_id: str  # <pipe>-<lowercase ULID>


@dataclass(frozen=True, slots=True, kw_only=True, init=False, repr=False, eq=False)
class _NodeEvent(_Event):
    """The field that follows in every event of a node."""

    node_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PipeStarted(_Event):
    """A run began."""

    type = "pipe.started"
    pipe: str  # P
    inputs: list[Input]  # P
    distro_version: str  # P


@dataclass(frozen=True, slots=True, kw_only=True)
class PipeCompleted(_Event):
    """A run ended well."""

    type = "pipe.completed"


@dataclass(frozen=True, slots=True, kw_only=True)
class PipeAborted(_Event):
    """A run was given up."""

    type = "pipe.aborted"
    reason: str  # A


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeStarted(_NodeEvent):
    """A node began."""

    type = "node.started"
    kind: NodeKind  # P
    name: str | None = None  # P
    model: str | None = None  # P


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeCompleted(_NodeEvent):
    """A node ended well; its output is at `output_path`, see `node_capture_wire_path`."""

    type = "node.completed"
    output_path: str  # P


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeFailed(_NodeEvent):
    """A node ended badly."""

    type = "node.failed"
    error: NodeError  # P
    message: str | None = None  # P


@dataclass(frozen=True, slots=True, kw_only=True)
class GatePassed(_NodeEvent):
    """A gate let a node go on."""

    type = "gate.passed"
    gate: str  # A
    method: GateMethod  # A


@dataclass(frozen=True, slots=True, kw_only=True)
class IterationStarted(_NodeEvent):
    """A loop went round; its output begins at `byte_offset` of the node's captured output.

    That is the position just after the marker line ``=== omne:iteration:N ===``.
    """

    type = "iteration.started"
    iteration: U32  # P
    byte_offset: U64  # P


_OfPipe: TypeAlias = PipeStarted | PipeCompleted | PipeAborted
_OfNode: TypeAlias = NodeStarted | NodeCompleted | NodeFailed
_InNode: TypeAlias = GatePassed | IterationStarted
Event: TypeAlias = _OfPipe | _OfNode | _InNode
