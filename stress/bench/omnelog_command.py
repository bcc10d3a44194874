# SPDX-License-Identifier: MIT
"""What the command costs: recording, nodes, verbs on many runs and on a long run, and its start.

Times are the CPU time of all processes that a subject started, except in the comparison with tee.
"""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache, partial
from pathlib import Path
from time import monotonic

from omnelog import (
    IterationStarted,
    NodeCompleted,
    NodeKind,
    NodeStarted,
    PipeCompleted,
    PipeStarted,
    encode,
    events_log_path,
)

from .results import Figures, Measure, Row, Workload

OMNELOG = [sys.executable, "-c", "from omnelog.cli import run; run()"]
"""Starts as the installed command does. With ``-m``, Python's imports take 10 ms more."""
_PASS = "python -c pass"
_IMPORT = "import omnelog"
_TEE = "tee"

_LINE = "a line of output that is about as long as most lines are, which is seventy bytes"
_DIGITS = "0123456789abcdefghjkmnpqrstvwxyz"
_START_MS = 1_769_903_999_000  # 2026-01-31T23:59:59Z
_NODES = 1000  # the nodes of a long run
_FULL = 100  # the scale for which the limits of a workload are meant
_STARTS_EACH = 5  # nodes, or starts of a verb, in a measurement

_OF_A_LONG_RUN = {
    "tail": "tail latest",
    "runs": "runs",
    "show": "show latest",
    "events": "events --all",
    "export": "export --to chrome-trace latest",
    "timeline": "timeline latest -o report.html",
    "verify": "verify latest",
    "wait": "wait latest",
}
_OF_MANY_RUNS = {
    "runs": "runs",
    "runs --json": "runs --json",
    "runs -n 20": "runs -n 20",
    "show": "show latest",
    "verify": "verify --all",
}
_MORE_MEMORY = {
    ("a long run", "verify"): 1.6,  # it keeps 8 bytes of the id of each event
    ("many runs", "runs"): 2.5,  # it keeps a row of each run, for the widths of the columns
    ("many runs", "verify"): 1.6,  # it keeps the path of each log
}
"""The limit of a verb's memory, as a multiple of what it takes for a tenth of the size."""
_STARTED = {
    "--help": "--help",
    "runs": "runs",
    "show": "show latest",
    "tail": "tail latest",
    "timeline": "timeline latest",
    "verify": "verify latest",
    "output": "output latest node-0000",
    "wait": "wait latest",
    "events": "events latest",
    "schema": "schema",
}

_REPORT_COST = """
import os, resource, sys
status = os.waitpid(os.posix_spawnp(sys.argv[1], sys.argv[1:], os.environ), 0)[1]
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print(used.ru_utime + used.ru_stime, 1024 * used.ru_maxrss, file=sys.stderr)
sys.exit(os.waitstatus_to_exitcode(status))
"""
"""A small process that starts the command, because the system never reports a peak of memory below
that of the process that forked."""


def _environment(root: Path) -> dict[str, str]:
    """Return an environment in which omnelog is compiled once, as an installed package is."""
    compiled = {**os.environ, "PYTHONPYCACHEPREFIX": str(root / "compiled")}
    compiled.pop("PYTHONDONTWRITEBYTECODE", None)
    return compiled


def _cost(volume: Path, command: Sequence[str], environment: Mapping[str, str]) -> Figures:
    """Return the CPU time and the peak memory of a command, which must succeed."""
    done = subprocess.run(
        [sys.executable, "-S", "-c", _REPORT_COST, *command],
        cwd=volume,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        check=True,
    )
    time, memory = map(float, done.stderr.splitlines()[-1].split())
    return {"time": time, "memory": memory}


def _volume(root: Path, name: str) -> Path:
    volume = root / name
    (volume / ".omne").mkdir(parents=True, exist_ok=True)
    return volume


def record(scale: int, root: Path) -> Iterator[Workload]:
    """Yield workloads that record: much output, compared with tee by the clock, and none at all."""
    size = 10_000_000 * scale
    prints = ["sh", "-c", f"yes '{_LINE}' | head -c {size}"]
    environment = _environment(root)
    numbers = iter(range(sys.maxsize))

    def recorded() -> Figures:
        volume = _volume(root, f"recorded-{next(numbers)}")
        command = [*OMNELOG, "record", "--pipe", "p", "n", "--", *prints]
        start = monotonic()
        memory = _cost(volume, command, environment)["memory"]
        took = monotonic() - start
        [capture] = volume.rglob("n.out")
        if capture.stat().st_size != size:
            raise AssertionError("the capture is not whole")
        capture.unlink()  # it is large
        return {"time": took, "memory": memory}

    def teed() -> Figures:
        copy = root / "tee.out"
        start = monotonic()
        _cost(root, ["sh", "-c", f"{prints[-1]} | tee {copy}"], environment)
        took = monotonic() - start
        copy.unlink()
        return {"time": took}

    title = f"{size // 1_000_000:,} MB"
    row = partial(Row, workload="record", ours="omnelog record")
    yield Workload(
        subjects={"omnelog record": recorded, _TEE: teed},
        rows=[
            row(what=title, figure="time", unit="s", theirs=_TEE, must=_at_full(1.2, scale)),
            row(what=f"memory for {title}", figure="memory", unit="MB", must=30e6),
        ],
    )

    def nodes() -> Figures:
        volume = _volume(root, "nodes")
        times = []
        for _ in range(_STARTS_EACH):
            node = f"n{next(numbers)}"
            command = [*OMNELOG, "record", "--pipe", "p", node, "--", "true"]
            times.append(_cost(volume, command, environment)["time"])
        return {"time": min(times)}

    subjects = {"a node": nodes}
    for name, program in ((_PASS, "pass"), (_IMPORT, _IMPORT)):
        subjects[name] = _least(root, [sys.executable, "-c", program], environment)
    node = partial(Row, workload="record", what="a node", figure="time", unit="ms", ours="a node")
    yield Workload(
        subjects=subjects,
        rows=[
            node(theirs=_PASS, must=7.5),  # 60 ms where Python starts in 8 ms
            node(theirs=_IMPORT, must=1.25),
        ],
    )


def _at_full(limit: float, scale: int) -> float | None:
    """Return the limit of a row, or None if its workload is too small for it."""
    return limit if scale >= _FULL else None


def _least(volume: Path, command: Sequence[str], environment: Mapping[str, str]) -> Measure:
    """Return a measure: the least CPU time of a few runs of a command.

    It is the least, because other programs only increase the time.
    """

    def measure() -> Figures:
        costs = [_cost(volume, command, environment)["time"] for _ in range(_STARTS_EACH)]
        return {"time": min(costs)}

    return measure


def view(scale: int, root: Path) -> Iterator[Workload]:
    """Yield workloads of verbs on a long run and on many runs.

    The time for each event or run is compared with that on a volume of a tenth of the size.
    """
    events = 10_000 * scale
    runs = 100 * scale
    long_run = [(f"{n:,} events", n, partial(_runs, root, 1, n)) for n in (events // 10, events)]
    yield from _growing("a long run", _OF_A_LONG_RUN, long_run, root)
    many = [(f"{n:,} runs", n, partial(_runs, root, n, 8)) for n in (runs // 10, runs)]
    yield from _growing("many runs", _OF_MANY_RUNS, many, root)


def _growing(
    title: str,
    verbs: Mapping[str, str],
    sizes: Sequence[tuple[str, int, Callable[[], Path]]],
    root: Path,
) -> Iterator[Workload]:
    """Yield a workload for each verb: a small volume, compared with a large one.

    `sizes`: the name, the count and the volume of each.
    """
    environment = _environment(root)

    def measure(words: str, count: int, volume: Callable[[], Path]) -> Figures:
        found = _cost(volume(), [*OMNELOG, *words.split()], environment)
        return {"time": found["time"] / count, "memory": found["memory"]}

    (small, _, _), (large, _, _) = sizes
    row = partial(Row, workload=f"{title}: {large}", ours=large, theirs=small)
    for verb, words in verbs.items():
        more_memory = _MORE_MEMORY.get((title, verb), 1.25)
        yield Workload(
            subjects={
                name: partial(measure, words, count, volume) for name, count, volume in sizes
            },
            rows=[
                row(what=f"{verb}, each", figure="time", unit="µs", must=1.25),
                row(what=f"{verb}, memory", figure="memory", unit="MB", must=more_memory),
            ],
            rounds=3,
        )


def start(root: Path) -> Iterator[Workload]:
    """Yield a workload of each verb with very little work, compared with the import of omnelog."""
    environment = _environment(root)

    def begun(words: str) -> Figures:
        volume = _runs(root, 1, 8)
        return _least(volume, [*OMNELOG, *words.split()], environment)()

    imports = [sys.executable, "-c", _IMPORT]
    yield Workload(
        subjects={verb: partial(begun, words) for verb, words in _STARTED.items()}
        | {_IMPORT: _least(root, imports, environment)},
        rows=[
            Row(
                workload="start",
                what=verb,
                figure="time",
                unit="ms",
                ours=verb,
                theirs=_IMPORT,
                must=1.25,
            )
            for verb in _STARTED
        ],
    )


@cache
def _runs(root: Path, runs: int, events: int) -> Path:
    """Make a volume with so many runs of so many events; return its path."""
    volume = _volume(root, f"{runs}-runs-of-{events}")
    for number in range(runs):
        start_ms = _START_MS + 1000 * number
        run_id = f"pipe-{_ulid(start_ms, number)}"
        path = events_log_path(volume, run_id)
        path.parent.mkdir(parents=True)
        with path.open("wb") as log:
            log.writelines(_history(run_id, events, start_ms))
        captures = path.parent / "nodes"
        captures.mkdir()
        (captures / "node-0000.out").touch()
    return volume


def _history(run_id: str, events: int, start_ms: int) -> Iterator[bytes]:
    """Yield the lines of a run with so many events, in at most a thousand nodes that are loops."""
    common = {"ts": "2026-01-31T23:59:59Z", "run_id": run_id}

    def head(number: int) -> dict[str, str]:
        return {"id": _ulid(start_ms, number), **common}

    yield encode(PipeStarted(**head(0), pipe="pipe", inputs=[], distro_version="1"))
    nodes = max(1, min(_NODES, events // 10))
    each = max(0, events // nodes - 2)
    for node in range(nodes):
        node_id = f"node-{node:04}"
        at = 1 + node * (each + 2)
        yield encode(NodeStarted(**head(at), node_id=node_id, kind=NodeKind.LOOP))
        for turn in range(1, each + 1):
            step = IterationStarted(
                **head(at + turn), node_id=node_id, iteration=turn, byte_offset=turn
            )
            yield encode(step)
        yield encode(NodeCompleted(**head(at + each + 1), node_id=node_id, output_path="x"))
    yield encode(PipeCompleted(**head(events + 2 * nodes + 2)))


def _ulid(ms: int, number: int) -> str:
    """Return a ULID of a time, made unique by a number."""
    value = ms << 80 | number
    return "".join(_DIGITS[value >> shift & 31] for shift in range(125, -1, -5))
