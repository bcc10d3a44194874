# SPDX-License-Identifier: MIT
"""What dataclasses-json costs, as multiples of what omnelog costs.

The two are timed in turns, seven times. The least, the median and the greatest of each ratio are
printed. The figures in docs/recipes.md come from here.
"""

import argparse
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import dataclasses_json

from conformance.program import run

from .. import omnelog
from ..samples import of_every_type

ROUNDS, EVENTS = 7, 250  # 2,000 events of eight types a round


def compare(what: str, theirs: Callable[[], float], ours: Callable[[], float]) -> None:
    found = sorted(theirs() / ours() for _ in range(ROUNDS))
    print(f"{what:12} {found[0]:6.1f} {statistics.median(found):6.1f} {found[-1]:8.1f}")


def calling(work: Callable[[], object]) -> float:
    """The CPU seconds that some work takes."""
    start = time.process_time()
    work()
    return time.process_time() - start


def importing(module: str) -> float:
    """The CPU seconds that importing a module takes, in an interpreter of its own."""
    program = f"import time; start = time.process_time(); import {module}"
    command = [sys.executable, "-c", f"{program}; print(time.process_time() - start)"]
    return float(subprocess.run(command, capture_output=True, check=True).stdout)


def main() -> int:
    """Print the table; return 0."""
    argparse.ArgumentParser(prog="python -m tests.tools.ratios", description=__doc__).parse_args()
    events: list[Any] = of_every_type() * EVENTS  # Any: the decorator adds methods
    for cls in {type(event) for event in events}:
        dataclasses_json.dataclass_json(cls)
    lines = [omnelog.encode(event) for event in events]
    pairs: list[tuple[Any, bytes]] = list(zip(map(type, events), lines, strict=True))
    print("ratio         least median greatest")
    compare(
        "encode",
        lambda: calling(lambda: [event.to_json() for event in events]),
        lambda: calling(lambda: [omnelog.encode(event) for event in events]),
    )
    compare(
        "decode",
        lambda: calling(lambda: [cls.from_json(line) for cls, line in pairs]),
        lambda: calling(lambda: [omnelog.decode(line) for line in lines]),
    )
    compare(
        "import",
        lambda: importing("dataclasses_json"),
        lambda: importing(omnelog.__name__),
    )
    return 0


if __name__ == "__main__":
    run(main)
