# SPDX-License-Identifier: MIT
"""Run a vector: ask the adapters, examine the files, and report what is wrong.

A Mismatch means that the adapter gave a wrong answer or did something wrong; an AdapterFailure
means that it did not answer. Each vector has a volume of its own.
"""

import os
from base64 import b64decode, b64encode
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path

from .process import Adapter
from .steps import Mismatch, Play, build_tree, differences, expect_response, listing
from .vectors import Vector

Ask = Callable[[str], Adapter]  # the running adapter that plays a role
RUN = "r"
_SHOWN = 200  # bytes of a line that a message shows
LOG = Path(".omne", "var", "runs", RUN, "events.jsonl")


def check(vector: Vector, ask: Ask, root: Path) -> None:
    """Run `vector` in the new directory `root`. Raises Mismatch or AdapterFailure."""
    _CHECKS[vector.kind](vector, ask, root)


def _encode(vector: Vector, ask: Ask, _: Path) -> None:
    response = ask("A").ask({"op": "encode", "event": vector.data["event"]})
    expected = vector.raw("line")
    if expected is None:
        expect_response(response, {"error": vector.data["error"]})
        return
    expect_response(response, {})
    try:
        found = b64decode(response.get("line"), validate=True)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        raise Mismatch(f"line is {response.get('line')!r}, which is not base64") from None
    if found != expected:
        raise Mismatch(f"wrote {found[:400]!r}, not {expected[:400]!r}")


def _decode(vector: Vector, ask: Ask, _: Path) -> None:
    line = vector.raw("line")
    assert line is not None
    response = ask("A").ask({"op": "decode", "line": b64encode(line).decode()})
    what = f"the line {line[:_SHOWN]!r}"
    if "event" in vector.data:
        expect_response(response, {"event": vector.data["event"]}, what)
    else:
        expect_response(response, {"error": vector.data["error"]}, what)


def _read(vector: Vector, ask: Ask, root: Path) -> None:
    content = vector.raw("log")
    assert content is not None
    path = root / LOG
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    before = listing(root)
    adapter = ask("A")
    ops = ["read", *({"scan"} & set(adapter.about["capabilities"]))]
    for op in ops:
        response = adapter.ask({"op": op, "root": str(root), "run_id": RUN})
        expected = deepcopy(vector.data[op])
        faults = [expected["error"]] if "error" in expected else expected.get("problems", [])
        for fault in faults:
            fault["path"] = str(path)
        expect_response(response, expected, op)
    if listing(root) != before:
        raise Mismatch("reading changed the volume")


def _append(vector: Vector, ask: Ask, root: Path) -> None:
    path = root / LOG
    torn = path.with_name("events.jsonl.torn")
    for file, member in ((path, "before"), (torn, "quarantine_before")):
        content = vector.raw(member)
        if content is not None:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)
    request = {"op": "append", "root": str(root), "run_id": RUN, "events": vector.data["events"]}
    response = ask("A").ask(request)
    expected = {"error": vector.data["error"]} if "error" in vector.data else {}
    expect_response(response, expected)
    for file, member in ((path, "after"), (torn, "quarantine_after")):
        wanted = vector.raw(member)
        found = file.read_bytes() if file.exists() else None
        if found != wanted:
            raise Mismatch(f"{file.name} {differences(found, wanted)}")


def _enumerate(vector: Vector, ask: Ask, root: Path) -> None:
    build_tree(root, vector.data["tree"])
    before = listing(root)
    response = ask("A").ask({"op": "enumerate", "root": str(root)})
    if "runs" in vector.data:
        expect_response(response, {"runs": vector.data["runs"]})
    else:
        expect_response(response, {"error": vector.data["error"]})
    if listing(root) != before:
        raise Mismatch("enumerating changed the volume")


def _run_id(vector: Vector, ask: Ask, root: Path) -> None:
    run_id, adapter = vector.data["run_id"], ask("A")
    event = {"type": "pipe.completed", "id": "", "ts": "", "run_id": ""}
    request = {"root": str(root), "run_id": run_id}
    if not vector.data["accepted"]:
        refused = {"error": {"kind": "InvalidRunId"}}
        for op in ("exists", "read", "append"):
            expect_response(adapter.ask({"op": op, "events": [event], **request}), refused, op)
        if os.listdir(root):
            raise Mismatch("a run id was refused after the file system was touched")
        return
    expect_response(adapter.ask({"op": "exists", **request}), {"exists": False}, "exists")
    expect_response(adapter.ask({"op": "append", "events": [event], **request}), {}, "append")
    expect_response(adapter.ask({"op": "exists", **request}), {"exists": True}, "exists again")
    expect_response(adapter.ask({"op": "read", **request}), {"events": [event]}, "read")
    expect_response(adapter.ask({"op": "enumerate", **request}), {"runs": [run_id]}, "enumerate")
    if not (root / ".omne" / "var" / "runs" / run_id / "events.jsonl").is_file():
        raise Mismatch("the log is not at its path")


def _behaviour(vector: Vector, ask: Ask, root: Path) -> None:
    build_tree(root, vector.data.get("tree", []))
    Play(vector.data.get("events", {}), ask, root).run(vector.data["steps"])


_CHECKS: dict[str, Callable[[Vector, Ask, Path], None]] = {
    "encode": _encode,
    "decode": _decode,
    "read": _read,
    "append": _append,
    "enumerate": _enumerate,
    "run_id": _run_id,
    "behaviour": _behaviour,
}
