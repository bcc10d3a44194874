# SPDX-License-Identifier: MIT
"""omnelog as an adapter, which speaks ../PROTOCOL.md, version 1, on standard input and output.

The adapter uses only the public interface of omnelog, as any program would, except to hold a lock
without appending. Everything that a clause demands is done by omnelog and not here.
"""

import json
import os
import sys
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterator
from dataclasses import asdict, fields, is_dataclass
from enum import EnumType
from itertools import islice
from pathlib import Path
from time import monotonic
from types import UnionType
from typing import Any, BinaryIO, get_args, get_origin

# If omnelog is not installed, it is imported from the checkout, where it is beside the kit.
sys.path.append(str(Path(__file__).resolve().parents[2]))

import omnelog

# Any: requests and responses are JSON, and an event to encode may hold anything.
Json = dict[str, Any]

CLASSES = {cls.type: cls for cls in get_args(omnelog.Event)}
OPTIONAL = ["close", "durable", "find_root", "follow", "paths", "repair", "scan", "ulid"]


class Refused(Exception):
    """An error of a kind of the protocol for which omnelog does not have a class."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


class Adapter:
    """Answers requests. Each public method but `serve` and `answer` is the ``op`` of its name."""

    def __init__(self) -> None:
        self._logs: dict[str, omnelog.EventLog] = {}
        self._followed: dict[tuple[str, str], Iterator[omnelog.Event]] = {}
        self._faults: dict[tuple[str, str], omnelog.OmnelogError] = {}
        self._held: Any = None

    def serve(self, requests: BinaryIO, responses: BinaryIO) -> None:
        """Answer each line of `requests` until ``quit`` or the end of the input."""
        for line in requests:
            request = json.loads(line)
            responses.write(json.dumps(self.answer(request)).encode() + b"\n")
            responses.flush()
            if request["op"] == "quit":
                return

    def answer(self, request: Json) -> Json:
        """Return the response to one request."""
        op = request["op"]
        try:
            method: Callable[[Json], Json] | None = None
            if not op.startswith("_") and op not in ("serve", "answer"):
                method = getattr(self, op, None)
            if method is None:
                raise Refused("Unsupported", f"no op {op}")
            return {"ok": True, **method(request)}
        except (omnelog.OmnelogError, Refused) as error:
            return {"ok": False, "error": report(error)}

    def hello(self, _: Json) -> Json:
        return {
            "name": "omnelog",
            "version": omnelog.__version__,
            "protocol": 1,
            "capabilities": OPTIONAL,
        }

    def quit(self, _: Json) -> Json:
        return {}

    def encode(self, request: Json) -> Json:
        return {"line": b64encode(omnelog.encode(build(request["event"]))).decode()}

    def decode(self, request: Json) -> Json:
        return {"event": plain(omnelog.decode(b64decode(request["line"])))}

    def append(self, request: Json) -> Json:
        events = [build(event) for event in request["events"]]
        log = self._log(request)
        if len(events) == 1:
            log.append(events[0])
        else:
            log.append_many(events)
        return {}

    def repair(self, request: Json) -> Json:
        self._log(request).repair()
        return {}

    def close(self, request: Json) -> Json:
        self._log(request).close()
        del self._logs[key(request)]
        return {}

    def _log(self, request: Json) -> omnelog.EventLog:
        if key(request) not in self._logs:
            seconds = timeout_s(request)
            self._logs[key(request)] = omnelog.EventLog.for_run(
                request["root"],
                request["run_id"],
                lock_timeout=seconds,
                durable=request.get("durable", False),
            )
        return self._logs[key(request)]

    def hold_lock(self, request: Json) -> Json:
        path = omnelog.events_log_path(request["root"], request["run_id"])
        path.parent.mkdir(parents=True, exist_ok=True)
        self._held = omnelog.linelog.lock.LockableFile(path, os.O_RDWR | os.O_APPEND | os.O_CREAT)
        self._held.acquire(monotonic(), timeout_s(request))
        return {}

    def release(self, _: Json) -> Json:
        omnelog.linelog.lock.unlock(self._held.fd)
        self._held.close()
        return {}

    def read(self, request: Json) -> Json:
        return {"events": [plain(e) for e in omnelog.read_run(request["root"], request["run_id"])]}

    def scan(self, request: Json) -> Json:
        scan = omnelog.scan_run(request["root"], request["run_id"])
        return {
            "events": [plain(event) for event in scan.events],
            "problems": [report(problem) for problem in scan.problems],
            "blank_lines": scan.blank_lines,
            "tail_in_flight": scan.tail_in_flight,
        }

    def follow(self, request: Json) -> Json:
        followed = root, run_id = request["root"], request["run_id"]
        if followed in self._faults:  # the events before the fault were returned already
            raise self._faults.pop(followed)
        if followed not in self._followed:
            self._followed[followed] = omnelog.follow_run(root, run_id)
        events: list[Json] = []
        try:
            for event in islice(self._followed[followed], request["events"]):
                events.append(plain(event))  # noqa: PERF401 - keeps the events before a fault
        except omnelog.OmnelogError as fault:
            del self._followed[followed]
            if not events:
                raise
            self._faults[followed] = fault
        return {"events": events}

    def enumerate(self, request: Json) -> Json:
        return {"runs": omnelog.enumerate_runs(request["root"])}

    def exists(self, request: Json) -> Json:
        return {"exists": omnelog.run_exists(request["root"], request["run_id"])}

    def paths(self, request: Json) -> Json:
        root, run_id, node_id = request["root"], request["run_id"], request["node_id"]
        return {
            "paths": {
                "omne_dir": str(omnelog.omne_dir(root)),
                "var_dir": str(omnelog.var_dir(root)),
                "runs_dir": str(omnelog.runs_dir(root)),
                "run_dir": str(omnelog.run_dir(root, run_id)),
                "events_log_path": str(omnelog.events_log_path(root, run_id)),
                "nodes_dir": str(omnelog.nodes_dir(root, run_id)),
                "ulid_lock_path": str(omnelog.ulid_lock_path(root)),
                "node_capture_wire_path": omnelog.node_capture_wire_path(run_id, node_id),
            }
        }

    def find_root(self, request: Json) -> Json:
        root = omnelog.find_omne_root(request["start"])
        return {"root": None if root is None else str(root)}

    def ulid(self, request: Json) -> Json:
        return {"ulid": omnelog.allocate_ulid(request["root"], lock_timeout=timeout_s(request))}


def key(request: Json) -> str:
    """Return a key that is the same for all requests that use the same handle."""
    return json.dumps([request.get(name) for name in ("root", "run_id", "lock_timeout", "durable")])


def timeout_s(request: Json) -> float:
    """Return the seconds to wait for the lock; the request may have a word, such as infinity.

    Raises Refused for a value that omnelog refuses.
    """
    seconds = float(request.get("lock_timeout", 5.0))
    if not seconds >= 0:  # let omnelog itself refuse it, before anything is touched
        try:
            omnelog.EventLog.for_run(
                request["root"], request.get("run_id", "r"), lock_timeout=seconds
            )
        except ValueError as error:
            raise Refused("InvalidTimeout", str(error)) from error
        raise AssertionError(f"a lock_timeout of {seconds} was taken")
    return seconds


def report(error: Exception) -> Json:
    """Return an error as the protocol spells it."""
    if isinstance(error, Refused):
        return {"kind": error.kind, "message": str(error)}
    reported: Json = {"kind": type(error).__name__, "message": str(error)}
    for name in ("appended", "line", "offset", "waited_s", "holder_pid"):
        if (value := getattr(error, name, None)) is not None:
            reported[name] = value
    path = getattr(error, "path", None) or getattr(error, "filename", None)
    if isinstance(path, str | Path):
        reported["path"] = str(path)
    return reported


def build(event: Any) -> Any:
    """Return the event that the JSON value describes. Raises SerializeError.

    Values of wrong types are kept, so that omnelog refuses them when the event is encoded.
    """
    if not isinstance(event, dict) or event.get("type") not in CLASSES:
        raise omnelog.SerializeError("no such event")
    return _build(CLASSES[event["type"]], event)


def _build(kind: Any, value: Any) -> Any:
    if isinstance(kind, UnionType):
        kind = get_args(kind)[0]
    if is_dataclass(kind) and isinstance(value, dict):
        names = {field.name: field.type for field in fields(kind)}
        assert isinstance(kind, type)
        try:
            return kind(**{k: _build(names[k], v) for k, v in value.items() if k != "type"})
        except (TypeError, KeyError) as error:
            raise omnelog.SerializeError(f"no such {kind.__name__}: {error}") from error
    if get_origin(kind) is list and isinstance(value, list):
        return [_build(get_args(kind)[0], item) for item in value]
    if isinstance(kind, EnumType) and value in kind.__members__.values():
        return kind(value)
    return value


def plain(event: Any) -> Json:
    """Return an event as JSON."""
    members = {name: value for name, value in asdict(event).items() if value is not None}
    return {"type": event.type, **members}


if __name__ == "__main__":
    Adapter().serve(sys.stdin.buffer, sys.stdout.buffer)
