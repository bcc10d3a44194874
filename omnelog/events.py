# SPDX-License-Identifier: MIT
"""The eight events of a run: what each line says, its fields in wire order (SPEC: EVT).

Each class is the one place where its event is described; encoder, decoder and schema are derived
from it. Fields are (P)ublished by the original's documentation or (A)ssumed from evidence. Events
are immutable and compare by value; constructing one checks nothing, `encode` checks everything.
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


@dataclass(frozen=True, slots=True, kw_only=True)
class PipeStarted:
    """A run began."""

    type: ClassVar[str] = "pipe.started"
    id: str  # P: lowercase ULID of the event
    ts: str  # P: YYYY-MM-DDTHH:MM:SSZ
    run_id: str  # P: <pipe>-<lowercase ULID>
    pipe: str  # P
    inputs: list[Input]  # P
    distro_version: str  # P


@dataclass(frozen=True, slots=True, kw_only=True)
class PipeCompleted:
    """A run ended well."""

    type: ClassVar[str] = "pipe.completed"
    id: str  # A
    ts: str  # A
    run_id: str  # A


@dataclass(frozen=True, slots=True, kw_only=True)
class PipeAborted:
    """A run was given up."""

    type: ClassVar[str] = "pipe.aborted"
    id: str  # A
    ts: str  # A
    run_id: str  # A
    reason: str  # A


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeStarted:
    """A node began."""

    type: ClassVar[str] = "node.started"
    id: str  # P
    ts: str  # P
    run_id: str  # P
    node_id: str  # P
    kind: NodeKind  # P
    name: str | None = None  # P
    model: str | None = None  # P


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeCompleted:
    """A node ended well; its output is at `output_path` (see `node_capture_wire_path`)."""

    type: ClassVar[str] = "node.completed"
    id: str  # A
    ts: str  # A
    run_id: str  # A
    node_id: str  # A
    output_path: str  # P


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeFailed:
    """A node ended badly."""

    type: ClassVar[str] = "node.failed"
    id: str  # P
    ts: str  # P
    run_id: str  # P
    node_id: str  # P
    error: NodeError  # P, its members A
    message: str | None = None  # P


@dataclass(frozen=True, slots=True, kw_only=True)
class GatePassed:
    """A gate let a node go on."""

    type: ClassVar[str] = "gate.passed"
    id: str  # A
    ts: str  # A
    run_id: str  # A
    node_id: str  # A
    gate: str  # A
    method: GateMethod  # A


@dataclass(frozen=True, slots=True, kw_only=True)
class IterationStarted:
    """A loop node began an iteration; its output starts at `byte_offset` of the node's capture.

    The offset is the position just after the marker line ``=== omne:iteration:N ===``.
    """

    type: ClassVar[str] = "iteration.started"
    id: str  # P
    ts: str  # P
    run_id: str  # P
    node_id: str  # P
    iteration: U32  # P
    byte_offset: U64  # P


Event: TypeAlias = (
    PipeStarted
    | PipeCompleted
    | PipeAborted
    | NodeStarted
    | NodeCompleted
    | NodeFailed
    | GatePassed
    | IterationStarted
)
