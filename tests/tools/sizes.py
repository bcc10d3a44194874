# SPDX-License-Identifier: MIT
"""The download size of omnelog, and the CPU time of its import beside that of filelock alone."""

import argparse
import statistics
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from conformance.program import run

from ..documents import PROJECT

ROUNDS = 9


def main() -> int:
    """Print the sizes, and the CPU time of the import beside that of filelock alone; return 0."""
    argparse.ArgumentParser(prog="python -m tests.tools.sizes", description=__doc__).parse_args()
    with TemporaryDirectory(prefix="omnelog-sizes-") as directory:
        pip = [sys.executable, "-m", "pip", "-q", "--no-input"]
        subprocess.run([*pip, "wheel", "-w", directory, PROJECT], check=True)
        for wheel in sorted(Path(directory).iterdir()):
            print(f"download: {wheel.stat().st_size / 1000:6.1f} kB  {wheel.name}")
    for module in ("filelock", "omnelog"):
        times = sorted(import_ms(module) for _ in range(ROUNDS))
        median = statistics.median(times)
        print(f"import: {times[0]:6.1f} {median:6.1f} {times[-1]:6.1f} ms of CPU  {module}")
    return 0


def import_ms(module: str) -> float:
    """The milliseconds of CPU that importing a module takes in a new interpreter."""
    program = f"import time; start = time.process_time(); import {module}"
    command = [sys.executable, "-c", f"{program}; print(time.process_time() - start)"]
    return 1000 * float(subprocess.run(command, capture_output=True, check=True).stdout)


if __name__ == "__main__":
    run(main)
