# SPDX-License-Identifier: MIT
"""Runs for tests: runs with an event each second, and arbitrary sane runs.

The id of each event has the time of its ts.
"""

from datetime import UTC, datetime
from typing import Any

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from .. import omnelog
from .volume import RUN

DIGITS = "0123456789abcdefghjkmnpqrstvwxyz"
START_S = 1_769_903_999  # 2026-01-31T23:59:59Z


class Clock:
    """A clock that stands still. Tests set it, in seconds after the first event of a `History`."""

    def __init__(self) -> None:
        self.after_s = 0.0

    def time_ns(self) -> int:
        return int((START_S + self.after_s) * 1_000_000_000)


class History:
    """The events of one run. Each method adds an event."""

    def __init__(self, run_id: str = RUN) -> None:
        self.run_id = run_id
        self.events: list[omnelog.Event] = []
        self.after_s = 0  # added to the times of all further events

    def _head(self) -> dict[str, str]:
        at_s = START_S + self.after_s + len(self.events)
        number = at_s * 1000 << 80 | len(self.events)
        ulid = "".join(DIGITS[number >> shift & 31] for shift in range(125, -1, -5))
        ts = datetime.fromtimestamp(at_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        return {"id": ulid, "ts": ts, "run_id": self.run_id}

    def _add(self, cls: Any, **members: Any) -> "History":
        self.events.append(cls(**self._head(), **members))
        return self

    def begin(self) -> "History":
        return self._add(omnelog.PipeStarted, pipe="feature", inputs=[], distro_version="1")

    def start(self, node: str, kind: str = "command", name: str | None = None) -> "History":
        kind = omnelog.NodeKind(kind)
        return self._add(omnelog.NodeStarted, node_id=node, kind=kind, name=name)

    def done(self, node: str) -> "History":
        path = f".omne/var/runs/{self.run_id}/nodes/{node}.out"
        return self._add(omnelog.NodeCompleted, node_id=node, output_path=path)

    def fail(self, node: str, kind: str = "crash", message: str | None = None) -> "History":
        error = omnelog.NodeError(kind=omnelog.ErrorKind(kind))
        return self._add(omnelog.NodeFailed, node_id=node, error=error, message=message)

    def gate(self, node: str, gate: str = "review") -> "History":
        method = omnelog.GateMethod.HOOK
        return self._add(omnelog.GatePassed, node_id=node, gate=gate, method=method)

    def iterate(self, node: str, iteration: int) -> "History":
        return self._add(
            omnelog.IterationStarted, node_id=node, iteration=iteration, byte_offset=27 * iteration
        )

    def complete(self) -> "History":
        return self._add(omnelog.PipeCompleted)

    def abort(self, reason: str = "given up") -> "History":
        return self._add(omnelog.PipeAborted, reason=reason)


def sane_runs() -> SearchStrategy[list["omnelog.Event"]]:
    """Whole runs as a runner logs them: any nodes, several at once.

    Each node starts once and ends once, but a node of an aborted run may have no end.
    """
    return st.composite(_sane_run)()


def _sane_run(draw: st.DrawFn) -> list["omnelog.Event"]:
    history = History().begin()
    running: list[str] = []
    for number in range(draw(st.integers(0, 12))):
        if draw(st.booleans()) and running:
            node = draw(st.sampled_from(running))
            step = draw(st.sampled_from(("iterate", "gate", "done", "fail")))
            match step:
                case "iterate":
                    history.iterate(node, number)
                case "gate":
                    history.gate(node)
                case "done":
                    history.done(node)
                    running.remove(node)
                case _:
                    kind = draw(st.sampled_from(omnelog.ErrorKind))
                    history.fail(node, kind)
                    running.remove(node)
        else:
            running.append(f"n{number}")
            history.start(f"n{number}")
    if draw(st.booleans()):
        history.abort()
        for node in running:  # some recorders go on after another one has ended the run
            if draw(st.booleans()):
                history.done(node)
    else:
        for node in running:
            history.done(node)
        history.complete()
    return history.events
