# SPDX-License-Identifier: MIT
"""`python -m tests.tools.viewing`: what it takes to look at runs, as runs and their logs grow.

Of each verb the CPU time and the memory, on a log of 100,000 events and on one of 1,000,000, and of
`runs` on 1,000 and on 10,000 runs. Time may grow with what is read, memory may not; and `tail` and
`runs -n` read next to nothing. Then the time to start, beside the import of omnelog.
"""

import os
import resource
import statistics
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from .. import omnelog

DIGITS = "0123456789abcdefghjkmnpqrstvwxyz"
START_MS = 1_769_903_999_000  # 2026-01-31T23:59:59Z
NODES = 1000
ROUNDS = 15
LARGE = ["tail latest", "tail -f latest", "runs", "runs --json", "show latest", "wait latest"]
LARGE += ["events --all", "export --to chrome-trace latest", "timeline latest -o x.html"]
MANY = ["runs", "runs --json", "runs -n 20", "show latest", "show latest:pipe~5"]
STARTED = ["--help", "runs", "show latest", "tail latest", "timeline latest", "verify latest"]
STARTED += ["output latest n", "wait latest", "events latest", "append x", "schema"]


def ulid(ms: int, number: int) -> str:
    """A ULID of a time, made unique by a number."""
    value = ms << 80 | number
    return "".join(DIGITS[value >> shift & 31] for shift in range(125, -1, -5))


def history(run_id: str, events: int, start_ms: int) -> Iterator[bytes]:
    """The lines of a run of a thousand nodes at most, each a loop, with so many events in all."""
    common = {"ts": "2026-01-31T23:59:59Z", "run_id": run_id}

    def head(number: int) -> dict[str, str]:
        return {"id": ulid(start_ms, number), **common}

    yield omnelog.encode(omnelog.PipeStarted(**head(0), pipe="pipe", inputs=[], distro_version="1"))
    nodes = max(1, min(NODES, events // 10))
    each = max(0, events // nodes - 2)
    for node in range(nodes):
        node_id = f"node-{node:04}"
        at = 1 + node * (each + 2)
        kind = omnelog.NodeKind.LOOP
        yield omnelog.encode(omnelog.NodeStarted(**head(at), node_id=node_id, kind=kind))
        for turn in range(1, each + 1):
            step = omnelog.IterationStarted(
                **head(at + turn), node_id=node_id, iteration=turn, byte_offset=turn
            )
            yield omnelog.encode(step)
        done = {"node_id": node_id, "output_path": "x"}
        yield omnelog.encode(omnelog.NodeCompleted(**head(at + each + 1), **done))
    yield omnelog.encode(omnelog.PipeCompleted(**head(events + 2 * nodes + 2)))


def volume(root: Path, *, runs: int, events: int) -> Path:
    """A volume of so many runs of so many events."""
    for number in range(runs):
        start_ms = START_MS + 1000 * number
        run_id = f"pipe-{ulid(start_ms, number)}"
        path = omnelog.events_log_path(root, run_id)
        path.parent.mkdir(parents=True)
        with path.open("wb") as log:
            log.writelines(history(run_id, events, start_ms))
    return root


def cost(root: Path, command: list[str]) -> tuple[float, float]:
    """The CPU seconds and the greatest megabytes of a command."""
    report = "import os, resource, sys; pid = os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ)"
    report += "; os.waitpid(pid, 0); used = resource.getrusage(resource.RUSAGE_CHILDREN)"
    report += "; print(used.ru_utime + used.ru_stime, used.ru_maxrss / 1024, file=sys.stderr)"
    done = subprocess.run(
        [sys.executable, "-c", report, *command],
        cwd=root,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    seconds, megabytes = map(float, done.stderr.splitlines()[-1].split())
    return seconds, megabytes


def main() -> None:
    """Print the tables."""
    command = [sys.executable, "-m", omnelog.__name__]
    with TemporaryDirectory(prefix="omnelog-viewing-") as name:
        base = Path(name)
        for title, verbs, sizes in (
            ("events in the log", LARGE, [(1, 100_000), (1, 1_000_000)]),
            ("runs in the volume", MANY, [(1000, 8), (10_000, 8)]),
        ):
            roots = [volume(base / f"{r}-{e}", runs=r, events=e) for r, e in sizes]
            counts = [max(runs, events) if runs == 1 else runs for runs, events in sizes]
            print(f"{title:36}", *(f"{count:>22,}" for count in counts))
            for verb in verbs:
                costs = [cost(root, [*command, *verb.split()]) for root in roots]
                print(f"{verb:36}", *(f"{s:10.2f} s {m:7.0f} MB" for s, m in costs))
        small = volume(base / "small", runs=1, events=8)
        imports = [sys.executable, "-c", f"import {omnelog.__name__}"]
        times: dict[str, list[float]] = {}
        for _ in range(ROUNDS):
            for verb in ["import", *STARTED]:
                started = imports if verb == "import" else [*command, *verb.split()]
                times.setdefault(verb, []).append(cost(small, started)[0])
        print(f"{'start-up':36}", f"{'median':>10}  times the import (and of the least)")
        for verb, found in times.items():
            ratio = statistics.median(found) / statistics.median(times["import"])
            least = min(found) / min(times["import"])
            print(
                f"{verb:36} {1000 * statistics.median(found):7.0f} ms  {ratio:.2f}  ({least:.2f})"
            )


if __name__ == "__main__":
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # else its modules are compiled each time
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    main()
