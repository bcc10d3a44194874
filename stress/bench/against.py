# SPDX-License-Identifier: MIT
"""Compare the speed of two versions of omnelog: ``python -m stress.bench.against CHECKOUT``.

Both versions are loaded into one process and measured in turns. Each comes first in every other
round, so that other work of the machine slows both. For each operation the median of the rounds'
ratios is printed, with their quartiles. Below 1, this version is faster than that of CHECKOUT.
"""

import argparse
import gc
import statistics
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from types import ModuleType
from typing import Any

from conformance.program import run

ROUNDS = 300
COUNT = 200  # events of a measurement
BATCH = 100

Operation = Callable[[], object]


def load(checkout: Path) -> Any:
    """Import the omnelog of `checkout`, beside another one.

    The result is Any, because mypy does not know its names.
    """
    sys.path.insert(0, str(checkout))
    try:
        _forget()
        package: ModuleType = __import__("omnelog")
    finally:
        sys.path.remove(str(checkout))
    if Path(package.__file__ or "").parents[1] != checkout:
        raise SystemExit(f"stress.bench.against: there is no omnelog in {checkout}")
    _forget()
    return package


def _forget() -> None:
    for name in [name for name in sys.modules if name.split(".")[0] == "omnelog"]:
        del sys.modules[name]


def events(package: Any) -> list[Any]:
    """Return one event of each of the eight types, without characters that need an escape."""
    common = {"id": "01kpfntqeej7vhn935kc0tm9vn", "ts": "2026-01-31T23:59:59Z", "run_id": "bench"}
    node = {**common, "node_id": "unit-tests"}
    crash = package.NodeError(kind=package.ErrorKind.CRASH)
    branch = package.Input(key="branch", value="main")
    return [
        package.PipeStarted(**common, pipe="ci", inputs=[branch], distro_version="0.2.0"),
        package.NodeStarted(**node, kind=package.NodeKind.BASH, name="unit tests", model="m"),
        package.IterationStarted(**node, iteration=3, byte_offset=123_456),
        package.GatePassed(**node, gate="review", method=package.GateMethod.HOOK),
        package.NodeCompleted(**node, output_path=".omne/var/runs/bench/nodes/unit-tests.out"),
        package.NodeFailed(**node, error=crash, message="no answer in 30 s"),
        package.PipeAborted(**common, reason="interrupted by the user"),
        package.PipeCompleted(**common),
    ]


def operations(package: Any, root: Path) -> dict[str, Operation]:
    """Return the operations to measure, each on `COUNT` events."""
    chosen = (events(package) * COUNT)[:COUNT]
    lines = [package.encode(event) for event in chosen]
    log = package.EventLog.for_run(root, "append")
    batches = package.EventLog.for_run(root, "append_many")
    with package.EventLog.for_run(root, "read") as written:
        written.append_many(chosen)

    def append() -> None:
        for event in chosen:
            log.append(event)

    def append_many() -> None:
        for start in range(0, COUNT, BATCH):
            batches.append_many(chosen[start : start + BATCH])

    def encode() -> None:
        for event in chosen:
            package.encode(event)

    def decode() -> None:
        for line in lines:
            package.decode(line)

    def read_run() -> None:
        package.read_run(root, "read")

    return {one.__name__: one for one in (append, append_many, encode, decode, read_run)}


def ratios(ours: Operation, theirs: Operation, rounds: int) -> list[float]:
    """Return, for each round, our time divided by theirs."""
    found = []
    for number in range(rounds):
        first, second = (ours, theirs) if number % 2 else (theirs, ours)
        times = {first: _time_of(first), second: _time_of(second)}
        found.append(times[ours] / times[theirs])
    return found


def _time_of(operation: Operation) -> float:
    started = perf_counter()
    operation()
    return perf_counter() - started


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure both versions, and print a line for each operation; return 0."""
    parser = argparse.ArgumentParser(prog="python -m stress.bench.against", description=__doc__)
    parser.add_argument("checkout", type=Path, help="a checkout of another version of omnelog")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help=f"number of rounds ({ROUNDS})")
    options = parser.parse_args(arguments)
    theirs = load(options.checkout.resolve())
    ours = load(Path(__file__).resolve().parents[2])
    with TemporaryDirectory(prefix="omnelog-against-") as directory:
        our_operations = operations(ours, Path(directory, "ours"))
        their_operations = operations(theirs, Path(directory, "theirs"))
        gc.disable()
        what = "time of this version divided by that of the other"
        print(f"{what}, {options.rounds} rounds; less is better", flush=True)
        for name, operation in our_operations.items():
            found = ratios(operation, their_operations[name], max(2, options.rounds))
            low, median, high = statistics.quantiles(found, n=4, method="inclusive")
            print(f"{name:12} {median:.2f} ({low:.2f}-{high:.2f})", flush=True)
    return 0


if __name__ == "__main__":
    run(main)
