# SPDX-License-Identifier: MIT
"""Play behaviour vectors: steps that adapters and the runner take on one volume, in order.

Paths in steps are below the run's directory, or below the root if they begin with ``/``. Steps name
events, which the vector lists. This module also has what all vectors share: functions that build
trees of files and compare answers and files.
"""

import fcntl
import json
import math
import os
import shutil
import stat
from base64 import b64decode, b64encode
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from time import monotonic, sleep, time_ns
from typing import Any

from .process import Adapter

Json = dict[str, Any]  # Any: each kind of step has members of its own
_LOCK_S = 5  # seconds for the runner to acquire a lock that should be free
_POLL_S = 0.005
_TIMES = 2  # how often a time is measured; the shortest counts
_FOURFOLD = 9  # four times the input may take 9 times as long; linear is 4, quadratic is 16
_SHOWN = 300  # characters of a value that a message shows
_LOG = "events.jsonl"


class Mismatch(Exception):
    """An adapter did or answered something that the clause does not allow."""


def _received(adapter: Adapter, patience_s: float, began: float) -> Json:
    """Return the response, and as its `took_s` the seconds since `began`."""
    response = adapter.receive(patience_s)
    return {**response, "took_s": monotonic() - began}


_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"


def _ulid_number(text: object) -> int:
    if not isinstance(text, str) or len(text) != 26 or not set(text) <= set(_ALPHABET):
        raise Mismatch(f"{text!r} is not a ULID")
    number = 0
    for digit in text:
        number = number * 32 + _ALPHABET.index(digit)
    return number


class Play:
    """The steps of one behaviour vector, played on the volume at `root`.

    `ask` returns the running adapter of a role. With limits, it starts the adapter again under
    them.
    """

    def __init__(
        self, events: dict[str, Json], ask: Callable[..., Adapter], root: Path, run: str = "r"
    ) -> None:
        self._events, self._adapter, self._root, self._run = events, ask, root, run
        self._pending: dict[str, tuple[Adapter, float, float]] = {}
        self._lock_fds: list[int] = []

    def run(self, steps: list[Json]) -> None:
        """Take all steps. Raises Mismatch, with the number of the step, or AdapterFailure."""
        try:
            for number, step in enumerate(steps, start=1):
                try:
                    getattr(self, f"do_{step['do']}")(step)
                except (Mismatch, OSError) as mismatch:  # for example, a file may be missing
                    about = " ".join(str(step[k]) for k in ("do", "of", "op") if k in step)
                    raise Mismatch(f"step {number} ({about}): {mismatch}") from None
        finally:
            self.do_unlock({})

    def _path(self, name: str) -> Path:
        if name.startswith("/"):
            return self._root / name[1:]
        return self._root / ".omne" / "var" / "runs" / self._run / name

    def _named(self, events: list[Any]) -> list[Any]:
        return [self._events[e] if isinstance(e, str) else e for e in events]

    def _content(self, step: Json) -> bytes:
        """Return the step's events as lines, then its `text`, `times` times, then its `end`."""
        lines = "".join(
            json.dumps(event, ensure_ascii=False, separators=(",", ":")) + "\n"
            for event in self._named(step.get("events", []))
        )
        tail: str = step.get("text", "") * step.get("times", 1) + step.get("end", "")
        return (lines + tail).encode()

    # Steps of adapters.

    def _send(self, step: Json) -> tuple[Adapter, float, float]:
        request = {k: v for k, v in step.items() if k not in ("do", "of", "expect", "later")}
        request["root"] = request.get("root", "<root>").replace("<root>", str(self._root))
        request.setdefault("run_id", self._run)
        if step["op"] == "append":
            request["events"] = self._named(step["events"])
        if "start" in request:
            request["start"] = str(self._path(request["start"]))
        adapter = self._adapter(step["of"])
        waits = step["op"] in ("append", "hold_lock", "repair", "ulid")
        patience_s = request.get("lock_timeout", 5) if waits else 0
        began = monotonic()
        adapter.send(request)
        return adapter, patience_s if isinstance(patience_s, int | float) else 0, began

    def do_ask(self, step: Json) -> None:
        """Ask the adapter that plays `of`. With `later`, a later step judges the response."""
        sent = self._send(step)
        if "later" in step:
            self._pending[step["later"]] = sent
        else:
            self._judge(_received(*sent), step)

    def _judge(self, response: Json, step: Json) -> None:
        expected = deepcopy(step.get("expect", {}))
        if isinstance(expected.get("events"), list):
            expected["events"] = self._named(expected["events"])
        if "root" in expected and expected["root"] is not None:
            expected["root"] = os.path.realpath(self._path(expected["root"]))
        if "paths" in expected:
            expected["paths"] = {
                name: path.replace("<root>", str(self._root))
                for name, path in expected["paths"].items()
            }
        for fault in [expected.get("error"), *expected.get("problems", [])]:
            if fault and "path" in fault:
                fault["path"] = str(self._path(fault["path"]))
        named = response.get("error", {}).get("holder_pid")
        holder = step.get("holder")
        if holder and named is not None and not self._adapter(holder).owns(named):
            raise Mismatch(f"process {named} is not the holder, which is {holder}")
        expect_response(response, expected)

    def do_answer(self, step: Json) -> None:
        """Judge the response to an earlier request."""
        self._judge(_received(*self._pending.pop(step["to"])), step)

    def do_start(self, step: Json) -> None:
        """Start the adapter again, with limits."""
        limits: Json = {"umask": int(step.get("umask", "0022"), 8)}
        if "file_size_limit" in step:
            limits["file_size_limit"] = step["file_size_limit"]
        self._adapter(step["of"], **limits)

    def do_kill(self, step: Json) -> None:
        """End the adapter with SIGKILL."""
        self._adapter(step["of"]).kill()

    def do_quit(self, step: Json) -> None:
        """Ask the adapter to exit."""
        status = self._adapter(step["of"]).quit()
        if status != 0:
            raise Mismatch(f"it left with exit status {status}")

    def do_ids(self, step: Json) -> None:
        """Ask for several ULIDs. Each is of this millisecond or the one before plus 1 (ULID-5)."""
        adapter, last = self._adapter(step["of"]), -1
        for _ in range(step["times"]):
            before_ms = time_ns() // 1_000_000
            response = adapter.ask({"op": "ulid", "root": str(self._root)}, 5)
            after_ms = time_ns() // 1_000_000
            expect_response(response, {})
            number = _ulid_number(response.get("ulid"))
            fresh = before_ms <= number >> 80 <= after_ms
            if number <= last or not (fresh or number == last + 1):
                raise Mismatch(
                    f"{response['ulid']} is neither the one before plus 1 nor of this millisecond"
                )
            if (number >> 80) == (last >> 80) and number != last + 1:
                raise Mismatch(f"{response['ulid']} is of the same millisecond, and not plus 1")
            last = number

    def do_scales(self, step: Json) -> None:
        """Compare how long two lines take; one has four times as many units (SEC-6)."""
        adapter = self._adapter(step["of"])
        shortest_s = [math.inf, math.inf]
        for _ in range(_TIMES):
            for number, times in enumerate((step["times"], 4 * step["times"])):
                units = "".join(step["unit"].replace("{n}", str(n)) for n in range(times))
                line = f"{step['before']}{units}{step['after']}".encode()
                began = monotonic()
                response = adapter.ask({"op": "decode", "line": b64encode(line).decode()})
                shortest_s[number] = min(shortest_s[number], monotonic() - began)
                expect_response(response, {})
        ratio = shortest_s[1] / shortest_s[0]
        if ratio > _FOURFOLD:
            raise Mismatch(f"{4 * step['times']} take {ratio:.1f} times as long as a quarter")

    # Steps of the runner itself.

    def do_lock(self, step: Json) -> None:
        """Acquire the lock in the runner."""
        path = self._path(step.get("path", _LOG))
        path.parent.mkdir(parents=True, exist_ok=True)
        fd = os.open(path, os.O_RDWR | os.O_CREAT)
        self._lock_fds.append(fd)
        deadline = monotonic() + _LOCK_S
        while True:
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if monotonic() >= deadline:
                    raise Mismatch(f"the lock was still taken after {_LOCK_S} s") from None
                sleep(_POLL_S)
            else:
                return

    def do_unlock(self, _: Json) -> None:
        """Release all locks that the runner holds."""
        while self._lock_fds:
            unlock_and_close(self._lock_fds.pop())

    def do_free(self, step: Json) -> None:
        """Check that the lock is free."""
        fd = os.open(self._path(step.get("path", _LOG)), os.O_RDONLY)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Mismatch("the lock is taken") from None
        finally:
            unlock_and_close(fd)

    def do_taken(self, step: Json) -> None:
        """Check that the lock is held."""
        try:
            self.do_free(step)
        except Mismatch:
            return
        raise Mismatch("the lock is free")

    def do_write(self, step: Json) -> None:
        """Add bytes to a file, as a writer that ignores the lock does."""
        path = self._path(step.get("path", _LOG))
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("ab", buffering=0) as file:
            file.write(self._content(step))

    def do_make(self, step: Json) -> None:
        """Make a file, directory, symlink or FIFO."""
        build_tree(self._root, [{**step, "path": str(self._path(step["path"]))}])

    def do_move(self, step: Json) -> None:
        """Rename a file or directory."""
        self._path(step["from"]).rename(self._path(step["to"]))

    def do_remove(self, step: Json) -> None:
        """Remove a file, or a directory and everything in it."""
        path = self._path(step["path"])
        shutil.rmtree(path) if path.is_dir() else path.unlink()

    def do_truncate(self, step: Json) -> None:
        """Truncate a file."""
        os.truncate(self._path(step.get("path", _LOG)), step["to"])

    def do_sleep(self, step: Json) -> None:
        """Let time pass, for a clause about time."""
        sleep(step["s"])

    def do_check(self, step: Json) -> None:
        """Check that a file has exactly this content, or this mode, or does not exist."""
        path = self._path(step.get("path", _LOG))
        if "absent" in step:
            if os.path.lexists(path):
                raise Mismatch(f"{path.name} is there")
            return
        if "mode" in step:
            mode = f"{stat.S_IMODE(path.stat().st_mode):04o}"
            if mode != step["mode"]:
                raise Mismatch(f"{path.name} has mode {mode}, not {step['mode']}")
            return
        if path.exists() and not path.is_file():
            raise Mismatch(f"{path.name} is not a regular file")
        if "batches" in step:
            self._check_batches(path.read_bytes(), step["batches"])
            return
        found, wanted = path.read_bytes() if path.exists() else None, self._content(step)
        if "ends" in step and found is not None:
            found = found[-len(wanted) :]
        if found != wanted:
            raise Mismatch(f"{path.name} {differences(found, wanted)}")

    def _check_batches(self, found: bytes, batches: list[list[str]]) -> None:
        """Check that a log holds these batches in any order, each in one piece."""
        pieces = [self._content({"events": batch}) for batch in batches]
        pieces.sort(key=found.find)
        if (wanted := b"".join(pieces)) != found:
            raise Mismatch(f"the log {differences(found, wanted)}")


def unlock_and_close(fd: int) -> None:
    """Release the lock explicitly: a process that is being started may have a copy of `fd`."""
    fcntl.flock(fd, fcntl.LOCK_UN)
    os.close(fd)


def build_tree(root: Path, tree: list[Json]) -> None:
    """Create the files that a vector describes: each entry has a `path` and says what it `is`."""
    for entry in tree:
        name = entry["path"]
        path = Path(
            os.fsdecode(b64decode(name["base64"])) if isinstance(name, dict) else name
        )  # pathlib represents bytes that are not UTF-8 as surrogates
        path = root / path
        path.parent.mkdir(parents=True, exist_ok=True)
        match entry["is"]:
            case "dir":
                path.mkdir(exist_ok=True)
            case "file":
                path.write_bytes(entry.get("text", "").encode())
            case "link":
                path.symlink_to(entry["to"])
            case "fifo":
                os.mkfifo(path)
        if "mode" in entry:
            path.chmod(int(entry["mode"], 8))


def listing(root: Path) -> dict[str, tuple[object, ...]]:
    """Return the names, kinds, modes, times and contents of everything in a tree."""
    found: dict[str, tuple[object, ...]] = {}
    for path in sorted(root.rglob("*")):
        status = path.lstat()
        content: object = None
        if path.is_symlink():
            content = os.readlink(path)
        elif stat.S_ISREG(status.st_mode):
            content = path.read_bytes()
        found[str(path)] = (status.st_mode, status.st_mtime_ns, content)
    return found


def differences(found: bytes | None, wanted: bytes | None) -> str:
    """Return how two contents differ, from just before the first difference."""
    if wanted is None:
        return "is there"
    if found is None:
        return f"is missing; it should hold {_short(wanted)}"
    pairs = zip(found, wanted, strict=False)
    at = next((i for i, (a, b) in enumerate(pairs) if a != b), min(len(found), len(wanted)))
    begin = max(0, at - 20)
    return (
        f"differs at byte {at}: from {begin} on it holds {_short(found[begin:])}, "
        f"not {_short(wanted[begin:])}"
    )


def expect_response(response: Json, expected: Json, what: str = "") -> None:
    """Raise Mismatch unless `response` has all members of `expected`, with the same values."""
    expected = dict(expected)
    took_s = expected.pop("took_s", None)
    if took_s is not None and not _same(response.get("took_s"), took_s):
        raise Mismatch(f"it took {response.get('took_s', 0):.3f} s, not {took_s}")
    prefix = f"{what}: " if what else ""
    if "error" in expected:
        if response["ok"]:
            raise Mismatch(
                f"{prefix}no error, but {_short(response)}; expected {expected['error']}"
            )
        _expect_members(response["error"], expected["error"], prefix)
    elif not response["ok"]:
        raise Mismatch(f"{prefix}the error {_short(response['error'])}")
    else:
        _expect_members(response, expected, prefix)


def _expect_members(found: Json, expected: Json, prefix: str) -> None:
    for name, wanted in expected.items():
        if not isinstance(wanted, list) or not any(isinstance(w, dict) for w in wanted):
            if not _same(found.get(name), wanted):
                raise Mismatch(f"{prefix}{name} is {_short(found.get(name))}, not {_short(wanted)}")
            continue
        items = found.get(name)
        if not isinstance(items, list) or len(items) != len(wanted):
            raise Mismatch(f"{prefix}{name} is {_short(items)}, not {_short(wanted)}")
        for number, (item, want) in enumerate(zip(items, wanted, strict=True)):
            if name == "problems":  # a vector lists only the members that matter to it
                _expect_members(item, want, f"{prefix}{name}[{number}]: ")
            elif not _same(item, want):
                raise Mismatch(f"{prefix}{name}[{number}] is {_short(item)}, not {_short(want)}")


def _same(found: object, wanted: object) -> bool:
    """Return whether two values are equal as JSON, or `found` is in the range that is wanted.

    As JSON, true is not 1, and the order of members does not matter.
    """
    if isinstance(wanted, dict) and wanted and set(wanted) <= {"at_least", "at_most"}:
        least, most = wanted.get("at_least", -math.inf), wanted.get("at_most", math.inf)
        return isinstance(found, int | float) and bool(least <= found <= most)
    return json.dumps(found, sort_keys=True) == json.dumps(wanted, sort_keys=True)


def decoded(message: Json) -> Json:
    """Return a request or response with the bytes of its line as people can read them."""
    line = message.get("line")
    if not isinstance(line, str):
        return message
    try:
        return {**message, "line": repr(b64decode(line, validate=True))[1:]}
    except ValueError:
        return message


def _short(value: object) -> str:
    if isinstance(value, dict):
        value = decoded(value)
    text = repr(value) if isinstance(value, bytes) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "…"
