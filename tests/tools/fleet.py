# SPDX-License-Identifier: MIT
"""Volumes full of runs, and what a program has to find in them."""

import random
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from .. import omnelog

BEGINNING = datetime(2026, 1, 31, tzinfo=UTC)
PIPES = ["build", "deploy-all", "feature"]
DAMAGE = [b'{"type":"pipe.comple', b"not JSON\n", b'{"type":"node.fai{"type":"pipe.completed"}\n']


class Fleet:
    """`runs` runs in the volumes `roots`. If `damaged`, every fiftieth run is damaged.

    `nodes` has the run id, the node id and the seconds of every completed node, except nodes with
    a `ts` that is not a time. `table` is what examples/fleet.py has to find.
    """

    def __init__(self, directory: Path, *, runs: int, volumes: int, damaged: bool = True) -> None:
        self.damaged = damaged
        self.random = random.Random(7)
        self.roots = [directory / f"volume-{number}" for number in range(volumes)]
        self.nodes: list[tuple[str, str, int]] = []
        self.counts: Counter[tuple[str, str]] = Counter()
        for number in range(runs):
            self.add_run(self.roots[number % volumes], number)

    def add_run(self, root: Path, number: int) -> None:
        pipe = PIPES[number % len(PIPES)]
        run_id = f"{pipe}-{number:026}"
        path = omnelog.events_log_path(root, run_id)
        path.parent.mkdir(parents=True)
        events = list(self.events(pipe, run_id, odd=number % 50 == 1))
        lines = [omnelog.encode(event) for event in events]
        if self.damaged and number % 50 == 0:
            lines.append(DAMAGE[number // 50 % len(DAMAGE)])
            self.counts[pipe, "bad_lines"] += 1
        path.write_bytes(b"".join(lines))
        self.counts[pipe, "runs"] += 1

    def events(self, pipe: str, run_id: str, *, odd: bool) -> Iterator[omnelog.Event]:
        when, failed = BEGINNING, False

        def common() -> dict[str, str]:
            return {"id": "0" * 26, "ts": f"{when:%Y-%m-%dT%H:%M:%SZ}", "run_id": run_id}

        item = omnelog.Input(key="é \u2028", value='"\\\n')
        yield omnelog.PipeStarted(**common(), pipe=pipe, inputs=[item], distro_version="1.2.3")
        if odd:  # a log may hold a ts that is not a time; then the duration is unknown
            head = common() | {"ts": "yesterday"}
            yield omnelog.NodeStarted(**head, node_id="odd", kind=omnelog.NodeKind.BASH)
            yield omnelog.NodeCompleted(**common(), node_id="odd", output_path="odd.out")
        for number in range(self.random.randrange(4)):
            node = f"node-{number}"
            kind = omnelog.NodeKind.LOOP
            yield omnelog.NodeStarted(**common(), node_id=node, kind=kind, name="a\tb")
            yield omnelog.IterationStarted(
                **common(), node_id=node, iteration=1, byte_offset=2**64 - 1
            )
            took = self.random.randrange(5000)
            when += timedelta(seconds=took)
            if self.random.random() < 0.2:
                error = omnelog.NodeError(kind=omnelog.ErrorKind.TIMEOUT)
                yield omnelog.NodeFailed(**common(), node_id=node, error=error, message="late")
                self.counts[pipe, "failed_nodes"] += 1
                failed = True
            else:
                output = omnelog.node_capture_wire_path(run_id, node)
                yield omnelog.NodeCompleted(**common(), node_id=node, output_path=output)
                self.nodes.append((run_id, node, took))
                self.counts[pipe, "node_seconds"] += took
        if failed:
            yield omnelog.PipeAborted(**common(), reason="a node failed")
            self.counts[pipe, "aborted"] += 1
        elif self.random.random() < 0.9:
            yield omnelog.PipeCompleted(**common())
            self.counts[pipe, "completed"] += 1

    def total(self, name: str) -> int:
        """The sum of a column of the table."""
        return sum(self.counts[pipe, name] for pipe in PIPES)

    @property
    def table(self) -> str:
        names = ["runs", "completed", "aborted", "failed_nodes", "node_seconds", "bad_lines"]
        rows = [["pipe", *names]]
        rows += [[pipe, *(str(self.counts[pipe, name]) for name in names)] for pipe in PIPES]
        return "".join(",".join(row) + "\n" for row in rows)
