# SPDX-License-Identifier: MIT
"""Canonical lines, written by hand from chapters 3 and 4, and the class of a generated vector."""

import json
from dataclasses import dataclass, field
from typing import Any

Json = dict[str, Any]  # Any: any JSON that a vector needs

_HEAD = (
    '"id":"01kpfntqf0a1b2c3d4e5f6g7h8","ts":"2026-01-31T23:59:59Z",'
    '"run_id":"feature-01kpfntqeej7vhn935kc0tm9vn"'
)
LINES = {
    "pipe.started": '{"type":"pipe.started",' + _HEAD + ',"pipe":"feature",'
    '"inputs":[{"key":"branch","value":"main"}],"distro_version":"1.4.0"}',
    "pipe.completed": '{"type":"pipe.completed",' + _HEAD + "}",
    "pipe.aborted": '{"type":"pipe.aborted",' + _HEAD + ',"reason":"no disk"}',
    "node.started": '{"type":"node.started",' + _HEAD + ',"node_id":"lint","kind":"bash",'
    '"name":"Lint","model":"large"}',
    "node.completed": '{"type":"node.completed",' + _HEAD + ',"node_id":"lint",'
    '"output_path":".omne/var/runs/feature-01kpfntqeej7vhn935kc0tm9vn/nodes/lint.out"}',
    "node.failed": '{"type":"node.failed",' + _HEAD + ',"node_id":"lint",'
    '"error":{"kind":"crash"},"message":"status 2"}',
    "gate.passed": '{"type":"gate.passed",' + _HEAD + ',"node_id":"lint","gate":"review",'
    '"method":"hook"}',
    "iteration.started": '{"type":"iteration.started",' + _HEAD + ',"node_id":"lint",'
    '"iteration":3,"byte_offset":4096}',
}
EVENTS: dict[str, Json] = {name: json.loads(line) for name, line in LINES.items()}
OPTIONAL = {("node.started", "name"), ("node.started", "model"), ("node.failed", "message")}

# Short events for logs: the line of number n is short(n), the event numbered(n).


def numbered(number: int) -> Json:
    """Return the short event with this number."""
    return {"type": "pipe.completed", "id": str(number), "ts": "t", "run_id": "r"}


def short(number: int) -> bytes:
    """Return the canonical line of the short event with this number."""
    return b'{"type":"pipe.completed","id":"%d","ts":"t","run_id":"r"}\n' % number


def aborted(reason: str) -> Json:
    """Return a pipe.aborted, whose last member is `reason`."""
    return {**EVENTS["pipe.aborted"], "reason": reason}


def aborted_line(written: str | bytes) -> bytes:
    """Return the line of a pipe.aborted whose reason has `written` between its quotes."""
    head, _, tail = LINES["pipe.aborted"].partition("no disk")
    if isinstance(written, str):
        written = written.encode()
    return head.encode() + written + tail.encode() + b"\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """A vector to be written: its JSON members, and the bytes of its raw files by member."""

    kind: str
    id: str
    about: str
    members: Json
    files: dict[str, bytes] = field(default_factory=dict)
    also: tuple[str, ...] = ()  # further clauses that it checks
    needs: tuple[str, ...] = ()  # capabilities that the adapter needs

    def json(self) -> bytes:
        """Return the content of the vector's JSON file."""
        clauses = [self.id.split(".")[0], *self.also]
        data: Json = {"id": self.id, "kind": self.kind, "clauses": clauses, "about": self.about}
        if self.needs:
            data["needs"] = list(self.needs)
        for member in self.files:
            data[member] = self.file_name(member)
        data.update(self.members)
        return json.dumps(data, indent=2, ensure_ascii=True).encode() + b"\n"

    def file_name(self, member: str) -> str:
        """Return the name of the raw file of a member; its suffix follows from the member."""
        suffix = {"line": "line", "log": "jsonl"}.get(member, member.replace("_", "-"))
        return f"{self.id}.{suffix}"
