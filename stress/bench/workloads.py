# SPDX-License-Identifier: MIT
"""The workloads of the bench: what the subjects do in turns, and which figures are compared."""

import json
import os
import random
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, closing
from functools import partial
from pathlib import Path
from time import monotonic_ns, process_time
from typing import Any

from omnelog import decode, encode, enumerate_runs, events_log_path, iter_run, read_run, runs_dir

from ..checker import check
from ..fairness import Opener, bursts, flat_out, new_root
from ..payloads import canonical_line, draw_records
from ..receipts import (
    Outcome,
    Receipts,
    RunningDigest,
    history_path,
    log_path,
    process_name,
    save_json,
    writer_name,
)
from ..report import percentile
from . import omnelog_command, peers
from .peers import BATCH, EVENTS, LINES, RUN_ID, Loop, Peer
from .results import Figures, Measure, Row, Workload
from .whole_event import PARTS

APPEND_PEERS = [
    peers.FILE_HANDLER,
    peers.CONCURRENT,
    peers.LOGURU,
    peers.SQLITE_OFF,
    peers.SQLITE_FULL,
    peers.NAIVE,
]
_SLOW = 8  # slow subjects make this many times fewer appends
_READ_LOG = """
import sys
from collections import deque
from pathlib import Path
from omnelog import iter_run
def peak():
    status = Path("/proc/self/status").read_text()
    return 1024 * int(status.partition("VmHWM:")[2].split()[0])
start = peak()
deque(iter_run(*sys.argv[1:]), maxlen=0)
print(peak() - start)
"""
_TIME_IMPORT = """
import time
start = time.process_time()
import {}
print(time.process_time() - start)
"""


def _per_item(loop: Callable[[Path], AbstractContextManager[Loop]], count: int) -> Figures:
    """Return the CPU time of one of `count` items, with its share of the time to close."""
    with new_root() as root:
        with loop(root) as run:
            run(BATCH * len(LINES))
            start = process_time()
            run(count)
        return {"time": (process_time() - start) / count}


def _append(scale: int) -> Iterator[Workload]:
    """Yield workloads of one writer: one event or a hundred with each call, and encoding alone."""
    name, count = "1 writer", 80 * scale
    slow = {peers.CONCURRENT, peers.LOGURU, peers.SQLITE_FULL, peers.NAIVE}

    def encode_all() -> Figures:
        start = process_time()
        for _ in range(count // len(EVENTS)):
            for event in EVENTS:
                encode(event)
        return {"time": (process_time() - start) / count}

    def subjects(everybody: Sequence[Peer]) -> dict[str, Measure]:
        return {
            peer.name: partial(
                _per_item, peer.loop, max(count // (_SLOW if peer in slow else 1), 800)
            )
            for peer in everybody
        }

    others = [peer for peer in APPEND_PEERS if peer.installed]
    time = partial(Row, workload=name, figure="time", unit="µs")
    yield Workload(
        subjects=subjects([peers.OMNELOG, peers.FLOOR, *peers.FLOOR_AND, *others])
        | {"encode": encode_all},
        rows=[
            time(what="append", theirs=peers.FLOOR.name, must=1.6, aim=1.3),
            time(what="encode", ours="encode", theirs=peers.FLOOR.name, must=0.25),
            *(
                time(what=peer.name, ours=peer.name, theirs=peers.FLOOR.name)
                for peer in peers.FLOOR_AND
            ),
            *(time(what="append", theirs=peer.name, must=1.0) for peer in others),
        ],
    )
    batching = [peer for peer in others if peer.batch]
    batches = {
        peer.name: partial(_per_item, peer.batch, 10 * count)
        for peer in [peers.OMNELOG, *batching]
        if peer.batch
    }
    what = f"append_many by {BATCH}"
    yield Workload(
        subjects=batches | {peers.FLOOR.name: partial(_per_item, peers.FLOOR.loop, count)},
        rows=[
            time(what=what, theirs=peers.FLOOR.name, must=0.3, aim=0.25),
            *(time(what=what, theirs=peer.name, must=1.0) for peer in batching),
        ],
    )


def _lines(scale: int) -> Iterator[Workload]:
    """Yield a workload of one writer of dicts to a line log."""
    count = 80 * scale
    row = partial(
        Row, workload="dicts", what="append", figure="time", unit="µs", ours=peers.LINE_LOG.name
    )
    others = [peers.DUMPS_FLOOR, peers.SAME_BYTES_FLOOR]
    yield Workload(
        subjects={
            peer.name: partial(_per_item, peer.loop, count) for peer in [peers.LINE_LOG, *others]
        }
        | {
            peers.NAIVE_OF_DICTS.name: partial(
                _per_item, peers.NAIVE_OF_DICTS.loop, max(count // _SLOW, 800)
            )
        },
        rows=[
            row(theirs=peers.DUMPS_FLOOR.name, must=1.25),
            row(theirs=peers.SAME_BYTES_FLOOR.name),
            row(theirs=peers.NAIVE_OF_DICTS.name, must=1.0),
        ],
    )


def _whole_event(scale: int) -> Iterator[Workload]:
    """Yield a workload of an id, an event, its append, and all three."""
    count = 40 * scale
    append = "append of one event"
    row = partial(Row, workload="whole event", figure="time", unit="µs")
    yield Workload(
        subjects={name: partial(_per_item, part, count) for name, part in PARTS.items()}
        | {peers.FLOOR.name: partial(_per_item, peers.FLOOR.loop, count)},
        rows=[
            *(row(what=name, ours=name, theirs=peers.FLOOR.name) for name in PARTS),
            row(what="an id", ours="id", theirs=append, must=1.6),
            row(what="an event with its id", ours="id, event and append", theirs=append),
        ],
    )


def _flat(scale: int) -> Iterator[Workload]:
    """Yield workloads of several writers that append as fast as they can."""

    def measure(open_log: Opener, writers: int) -> Figures:
        done = flat_out(open_log, writers, scale / 3000)
        return {"time": 1 / done.per_s, "longest": done.longest_s}

    others = [peer for peer in APPEND_PEERS if peer.installed]
    for writers in (2, 4, 8, 16):
        everybody = [peers.OMNELOG, peers.POLLING, peers.FLOOR, *others]
        row = partial(Row, workload=f"{writers} writers")
        must, aim, limit = (0.95, 1.0, 0.1) if writers in (4, 8) else (None, None, None)
        faster = partial(row, what="throughput", figure="time", unit="µs", speed=True)
        yield Workload(
            subjects={peer.name: partial(measure, peer.one, writers) for peer in everybody},
            rows=[
                faster(theirs=peers.POLLING.name, must=must, aim=aim),
                row(what="longest append", figure="longest", unit="ms", must=limit),
                row(what="longest append", figure="longest", unit="ms", theirs=peers.POLLING.name),
                faster(theirs=peers.FLOOR.name),
                *(faster(theirs=peer.name, must=1.0) for peer in others),
            ],
        )


def _bursty(scale: int) -> Iterator[Workload]:
    """Yield a workload of eight writers that append once a millisecond."""
    parts = {"p50": 0.5, "p99": 0.99, "p99.9": 0.999, "max": 1.0}

    def measure(open_log: Opener) -> Figures:
        took = bursts(open_log, 8, scale / 1500)
        return {name: percentile(took, part) for name, part in parts.items()}

    # Without loguru, whose call returns when the line is in a queue.
    others = [peer for peer in APPEND_PEERS if peer.installed and peer is not peers.LOGURU]
    everybody = [peers.OMNELOG, peers.POLLING, *others]
    row = partial(Row, workload="8 bursty writers", unit="µs")
    yield Workload(
        subjects={peer.name: partial(measure, peer.one) for peer in everybody},
        rows=[
            row(what="p99.9", figure="p99.9", theirs=peers.POLLING.name, must=0.04, aim=0.02),
            *(row(what=name, figure=name, theirs=peers.POLLING.name) for name in ("p50", "p99")),
            row(what="max", figure="max", theirs=peers.POLLING.name),
            *(row(what="p50", figure="p50", theirs=peer.name, must=1.0) for peer in others),
        ],
    )


def _durable(scale: int) -> Iterator[Workload]:
    """Yield workloads of appends that return when their event is on the disk."""

    def measure(open_log: Opener, writers: int) -> Figures:
        return {"time": 1 / flat_out(open_log, writers, scale / 3000).per_s}

    others = [peer for peer in [peers.NAIVE_DURABLE] if peer.installed]
    for writers, must, aim in ((1, 0.9, None), (4, 1.6, 2.0)):
        everybody = [peers.DURABLE, peers.SQLITE_FULL, *others]
        row = partial(
            Row,
            workload=f"durable, {writers} writer{'s' * (writers > 1)}",
            what="throughput",
            figure="time",
            unit="µs",
            ours=peers.DURABLE.name,
            speed=True,
        )
        yield Workload(
            subjects={peer.name: partial(measure, peer.one, writers) for peer in everybody},
            rows=[
                row(theirs=peers.SQLITE_FULL.name, must=must, aim=aim),
                *(row(theirs=peer.name, must=1.0) for peer in others),
            ],
        )


def _read(scale: int, root: Path) -> Iterator[Workload]:
    """Yield workloads that read lines of all eight types, with the garbage collector on."""
    sizes = [1000 * 10**power for power in range(4 if scale >= 100 else 2)]

    def log(events: int, name: str = "read") -> Path:
        volume = root / f"{name}-{events}"
        path = events_log_path(volume, RUN_ID)
        if not path.exists():
            path.parent.mkdir(parents=True)
            _write_log(path, events)
        return volume

    def whole(events: int) -> Figures:
        volume = log(events)
        start = process_time()
        read_run(volume, RUN_ID)
        return {"time": (process_time() - start) / events}

    def lazily(events: int, least: int) -> Figures:
        volume, times = log(events), -(-least // events)
        start = process_time()
        for _ in range(times):
            deque(iter_run(volume, RUN_ID), maxlen=0)
        return {"time": (process_time() - start) / events / times}

    def decode_only(events: int) -> Figures:
        start = process_time()
        for _ in range(events // len(LINES)):
            for line in LINES:
                decode(line)
        return {"time": (process_time() - start) / events}

    def parse_only(events: int) -> Figures:
        path = events_log_path(log(events), RUN_ID)
        start = process_time()
        with path.open("rb") as lines:
            for line in lines:
                json.loads(line)
        return {"time": (process_time() - start) / events}

    def memory(events: int) -> Figures:
        volume = log(events, "memory")
        command = [sys.executable, "-c", _READ_LOG, str(volume), RUN_ID]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        events_log_path(volume, RUN_ID).unlink()  # it is large
        return {"memory": float(done.stdout)}

    row = partial(Row, workload="read", figure="time", unit="µs")
    yield Workload(
        subjects={
            "read_run": partial(whole, 10_000),
            "decode": partial(decode_only, 10_000),
            "json.loads of each line": partial(parse_only, 10_000),
            peers.FLOOR.name: partial(_per_item, peers.FLOOR.loop, 10_000),
        },
        rows=[
            row(what="event", ours="read_run", theirs=peers.FLOOR.name, must=1.4, aim=1.0),
            row(what="decode alone", ours="decode", theirs=peers.FLOOR.name),
            row(what="event", ours="read_run", theirs="json.loads of each line"),
        ],
    )
    yield Workload(
        subjects={f"{size:,} events": partial(lazily, size, 10_000) for size in sizes},
        rows=[
            row(what=f"event of {size:,}", ours=f"{size:,} events", theirs=f"{sizes[0]:,} events")
            for size in sizes[1:]
        ],
    )
    gib = 2**30 // len(b"".join(LINES)) * len(LINES)
    for title, events in (("1 GiB", gib),) if scale >= 100 else (("1.5 MB", sizes[-1]),):
        yield Workload(
            subjects={"iter_run": partial(memory, events)},
            rows=[
                row(
                    what=f"memory for {title}",
                    figure="memory",
                    unit="MB",
                    ours="iter_run",
                    must=20e6,
                )
            ],
            rounds=1,
        )


def _write_log(path: Path, events: int) -> None:
    times, rest = divmod(events, len(LINES))
    block = b"".join(LINES) * 1000
    with path.open("wb") as log:
        for _ in range(times // 1000):
            log.write(block)
        log.write(b"".join(LINES) * (times % 1000) + b"".join(LINES[:rest]))


def _enumerate(scale: int, root: Path) -> Iterator[Workload]:
    """Yield workloads that list the runs of a volume."""
    sizes = [10, 1000, 100_000] if scale >= 100 else [10, 1000]

    def volume(runs: int) -> Path:
        made = root / f"runs-{runs}"
        if not made.exists():
            runs_dir(made).mkdir(parents=True)
            for number in range(runs):
                (runs_dir(made) / f"run-{number:06}").mkdir()
        return made

    def ours(runs: int) -> Figures:
        made, times = volume(runs), -(-1000 // runs)
        start = process_time()
        for _ in range(times):
            enumerate_runs(made)
        return {"time": (process_time() - start) / runs / times}

    def theirs(runs: int) -> Figures:
        made, times = runs_dir(volume(runs)), -(-1000 // runs)
        start = process_time()
        for _ in range(times):
            with os.scandir(made) as entries:
                sorted(entry.name for entry in entries if entry.is_dir())
        return {"time": (process_time() - start) / runs / times}

    for size in sizes:
        yield Workload(
            subjects={"enumerate_runs": partial(ours, size), "os.scandir": partial(theirs, size)},
            rows=[
                Row(
                    workload="enumerate_runs",
                    what=f"run of {size:,}",
                    figure="time",
                    unit="µs",
                    ours="enumerate_runs",
                    theirs="os.scandir",
                )
            ],
        )


def _import(root: Path) -> Iterator[Workload]:
    """Yield a workload that imports omnelog, which is compiled before, as if it were installed."""
    environment = {**os.environ, "PYTHONPYCACHEPREFIX": str(root / "compiled")}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)

    def measure(modules: str) -> Figures:
        command = [sys.executable, "-c", _TIME_IMPORT.format(modules)]
        run = partial(subprocess.run, check=True, capture_output=True, env=environment)
        return {"time": min(float(run(command).stdout) for _ in range(3))}

    needed = "filelock, json, dataclasses"
    yield Workload(
        subjects={"omnelog": partial(measure, "omnelog"), needed: partial(measure, needed)},
        rows=[
            Row(
                workload="import",
                what="omnelog",
                figure="time",
                unit="ms",
                theirs=needed,
                must=1.25,
            )
        ],
    )


def _check(scale: int, root: Path) -> Iterator[Workload]:
    """Yield a workload that checks a stress round: the time for an event must not grow."""
    sizes = [50_000, 1_000_000] if scale >= 100 else [1000, 20_000]

    def measure(events: int) -> Figures:
        directory = root / f"round-{events}"
        if not directory.exists():
            _write_round(directory, events)
        start = process_time()
        verdict = check(directory)
        took_s = process_time() - start
        if verdict.counts or verdict.events != events:
            raise AssertionError(f"not sound, as it was made: {verdict.counts}")
        return {"time": took_s / events}

    yield Workload(
        subjects={f"{size:,} events": partial(measure, size) for size in sizes},
        rounds=3,
        rows=[
            Row(
                workload="stress checker",
                what=f"event of {sizes[1]:,}",
                figure="time",
                unit="µs",
                ours=f"{sizes[1]:,} events",
                theirs=f"{sizes[0]:,} events",
                must=1.5,
            )
        ],
    )


def _write_round(directory: Path, events: int, writers: int = 8) -> None:
    """Write a sound history of a round with `writers` that appended in turns, and a follower."""
    about: dict[str, Any] = {"name": "bench", "command": "", "faults": [], "bystanders": {}}
    names = [process_name(writer) for writer in range(writers)]
    plans = {
        str(writer): {"run": 0, "process": name, "forked": False}
        for writer, name in enumerate(names)
    }
    history_path(directory, "").mkdir(parents=True)
    save_json(history_path(directory, "round.json"), about | {"runs": [RUN_ID], "writers": plans})
    save_json(history_path(directory, "exits.json"), dict.fromkeys(names, 0))
    path = log_path(directory, RUN_ID)
    path.parent.mkdir(parents=True)
    digest = RunningDigest()
    with ExitStack() as stack:
        log = stack.enter_context(path.open("wb"))
        everybody = []
        for writer in range(writers):
            receipts = stack.enter_context(closing(Receipts(directory, writer)))
            meant = history_path(directory, f"{writer_name(writer)}.lines")
            lines = stack.enter_context(meant.open("wb"))
            dice = random.Random(writer)
            drawn = draw_records(dice, RUN_ID, writer, events // writers, 65536)
            everybody.append((receipts, lines, drawn))
        for seq in range(events // writers):
            for receipts, lines, drawn in everybody:
                line = canonical_line(next(drawn))
                receipts.before(seq, 1)
                called_ns = monotonic_ns()
                lines.write(line)
                log.write(line)
                digest.add(line)
                receipts.after(seq, called_ns, monotonic_ns(), Outcome.ACKNOWLEDGED)
    seen = {"run": 0, "begin_ns": 0, "end_ns": monotonic_ns(), **digest.as_json()}
    save_json(history_path(directory, "follower-000.followed"), seen)


WORKLOADS = {
    "append": "one writer: append, append_many, encode",
    "lines": "one writer of dicts to a line log",
    "flat": "2, 4, 8, 16 writers as fast as they can",
    "bursty": "8 writers that append once a millisecond",
    "durable": "1 and 4 writers that wait for the disk",
    "read": "read_run, iter_run, and the memory that it takes",
    "enumerate": "enumerate_runs",
    "event": "one writer: an id, an event, its append, and all three",
    "import": "import omnelog",
    "record": "omnelog record beside tee, and what a node costs",
    "view": "the command on a run of 1,000,000 events and on 10,000 runs",
    "start": "how soon each verb of the command starts",
    "check": "the checker of the stress rounds",
}


def workloads(names: Sequence[str], scale: int, root: Path) -> list[Workload]:
    """Return the workloads of `names`, at a `scale` of which 100 is the full size."""
    makers: dict[str, Callable[[], Iterator[Workload]]] = {
        "append": partial(_append, scale),
        "lines": partial(_lines, scale),
        "flat": partial(_flat, 10 * scale),
        "bursty": partial(_bursty, 10 * scale),
        "durable": partial(_durable, 10 * scale),
        "read": partial(_read, scale, root),
        "enumerate": partial(_enumerate, scale, root),
        "event": partial(_whole_event, scale),
        "import": partial(_import, root),
        "record": partial(omnelog_command.record, scale, root),
        "view": partial(omnelog_command.view, scale, root),
        "start": partial(omnelog_command.start, root),
        "check": partial(_check, scale, root),
    }
    return [workload for name in names for workload in makers[name]()]
