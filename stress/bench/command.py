# SPDX-License-Identifier: MIT
"""The command line of the bench: it chooses the workloads, and prints or saves the figures."""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from conformance.program import INTERRUPTED

from ..fairness import new_root
from ..progress import Progress
from .results import Report, machine, measure, tell
from .workloads import APPEND_PEERS, WORKLOADS, workloads

ROUNDS = 9
QUICK_ROUNDS = 3


def _parser() -> argparse.ArgumentParser:
    listed = "\n".join(f"  {name:10} {about}" for name, about in WORKLOADS.items())
    parser = argparse.ArgumentParser(
        prog="python -m stress.bench",
        description="How fast omnelog is, compared with alternatives, measured in turns.",
        epilog=f"workloads:\n{listed}\n\nFiles are written below $TMPDIR, 2 GB at most; it has "
        "to be on a real disk for `durable`.\n\nexit codes: 0 measured, even if a target was "
        "missed; 2 usage; 130 interrupted, after printing the results so far",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--quick", action="store_true", help="small workloads, 3 rounds")
    parser.add_argument("--rounds", type=int, metavar="N", help=f"number of rounds ({ROUNDS})")
    parser.add_argument(
        "--only", metavar="LIST", help="only these workloads, separated by commas (all)"
    )
    parser.add_argument("--json", metavar="FILE", help="write all figures to FILE (-: to stdout)")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the bench and return the exit code. Raises SystemExit after a usage error or --help."""
    parser = _parser()
    options = parser.parse_args(arguments)
    names = list(WORKLOADS) if options.only is None else options.only.split(",")
    for name in names:
        if name not in WORKLOADS:
            known = ", ".join(WORKLOADS)
            parser.error(f"--only: there is no workload {name!r}; the workloads are {known}")
    rounds = options.rounds or (QUICK_ROUNDS if options.quick else ROUNDS)
    if rounds < 1:
        parser.error("--rounds: must be 1 or more")
    if options.json not in (None, "-") and not Path(options.json).absolute().parent.is_dir():
        parser.error(f"--json {options.json}: no such directory")
    missing = [peer.name for peer in APPEND_PEERS if not peer.installed]
    report = Report(machine=machine(), rounds=rounds, missing=missing)
    with new_root() as root:
        chosen = workloads(names, 10 if options.quick else 100, root)
        measure(chosen, report, Progress(Console(stderr=True)))
    if options.json == "-":
        print(json.dumps(report.json(), indent=1))
    else:
        tell(report, Console(width=None if sys.stdout.isatty() else 130))
        if options.json:
            Path(options.json).write_text(json.dumps(report.json(), indent=1) + "\n")
    return INTERRUPTED if report.interrupted else 0
