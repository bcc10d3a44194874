# SPDX-License-Identifier: MIT
"""The command line: which vectors are run against which adapters, and what is told of it."""

import argparse
import fnmatch
import os
import shlex
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from .process import Adapter, AdapterFailure
from .report import BAD, save_json, save_junit, summary
from .run import Result, conduct
from .vectors import DIRECTORY, Vector, load

CONFORMS, DEVIATES, USAGE, INTERRUPTED = 0, 1, 2, 130

_ABOUT = """\
See whether an implementation of SPEC.md does what its clauses say.

COMMAND starts an adapter, a program that speaks conformance/PROTOCOL.md on its standard input and
output. Each vector is named after the clause that it checks and the fault that it looks for.
"""
_EPILOG = """\
examples:
  python -m conformance -- python conformance/adapters/omnelog_adapter.py
  python -m conformance --only 'ACC-*' -- perl conformance/adapters/perl/adapter.pl
  python -m conformance --against 'perl conformance/adapters/perl/adapter.pl' -- my-adapter --stdio

A file of expected failures has the id of a vector on each line; what follows # is a comment. A
vector in it that passes is a failure, for then the file is stale.

exit codes: 0 all vectors that the adapter can be asked passed; 1 a failure, or none was run; 2
usage; 130 interrupted, after telling what was learnt by then.
"""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m conformance",
        description=_ABOUT,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("command", nargs="*", metavar="COMMAND", help="what starts the adapter")
    parser.add_argument(
        "--against",
        metavar="CMD",
        type=shlex.split,
        help="another adapter: run the behaviour vectors of two or more roles with both, each in"
        " either part, and nothing else",
    )
    parser.add_argument(
        "--expected-failures", metavar="FILE", type=Path, help="the vectors that are to fail"
    )
    parser.add_argument(
        "--only", metavar="GLOB", action="append", help="ids of the vectors to run; repeatable"
    )
    parser.add_argument(
        "--timeout",
        metavar="S",
        type=_seconds,
        default=10.0,
        help="seconds for a response, above what it may wait for a lock (10)",
    )
    parser.add_argument("--list", action="store_true", help="print ids and what they are about")
    parser.add_argument("--json", metavar="FILE", type=Path, help="write the results to FILE")
    parser.add_argument("--junit", metavar="FILE", type=Path, help="write JUnit XML to FILE")
    parser.add_argument(
        "--vectors", metavar="DIR", type=Path, default=DIRECTORY, help="other vectors than v1"
    )
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run as the command; return its exit code."""
    parser = _parser()
    options = parser.parse_args(arguments)
    try:
        vectors = list(load(options.vectors))
        expected = _expected_failures(options.expected_failures, vectors)
    except (OSError, ValueError) as error:
        parser.error(str(error))
    globs = options.only or ["*"]
    vectors = [v for v in vectors if any(fnmatch.fnmatchcase(v.id, glob) for glob in globs)]
    if options.against is not None:
        vectors = [vector for vector in vectors if len(vector.roles) > 1]
    if not vectors:
        parser.error("there is no such vector")
    if options.list:
        return _print(f"{v.id}  {v.data.get('about', '')}" for v in vectors)
    if not options.command:
        parser.error("what starts the adapter? See --help for examples")
    casts = [dict.fromkeys("ABC", options.command)]
    if options.against is not None:
        one, other = options.command, options.against
        casts = [{"A": one, "B": other, "C": one}, {"A": other, "B": one, "C": other}]
    results: list[Result] = []
    code = CONFORMS
    progress = _Progress(len(vectors) * len(casts))
    previous = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        for cast in casts:
            for command in {tuple(command): command for command in cast.values()}.values():
                _introduce(command, options.timeout)
            for result in conduct(vectors, cast, options.timeout, expected, progress.began):
                results.append(result)  # noqa: PERF402 - an interrupt has to find what came so far
    except AdapterFailure as failure:
        print(f"{shlex.join(options.command)}: {failure}", file=sys.stderr)
        return DEVIATES
    except KeyboardInterrupt:
        code = INTERRUPTED
    finally:
        progress.end()
        signal.signal(signal.SIGTERM, previous)
    try:
        for save, path in ((save_json, options.json), (save_junit, options.junit)):
            if path is not None:
                save(results, path)
    except OSError as error:
        print(f"{error.filename}: {error.strerror}", file=sys.stderr)
        code = code or USAGE
    _print(summary(results))
    if code == INTERRUPTED:
        print(f"interrupted after {len(results)} vectors", file=sys.stderr)
    ran = [result for result in results if result.verdict != "not run"]
    return code or (DEVIATES if not ran or any(r.verdict in BAD for r in results) else CONFORMS)


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 0 < seconds < float("inf"):
        raise argparse.ArgumentTypeError("must be above 0")
    return seconds


def _introduce(command: Sequence[str], timeout_s: float) -> None:
    """See that the adapter can be started at all, before every vector fails for it."""
    adapter = Adapter(command, timeout_s)
    about = adapter.about
    print(f"{about.get('name')} {about.get('version')}: {shlex.join(command)}")
    adapter.quit()


def _expected_failures(path: Path | None, vectors: Sequence[Vector]) -> set[str]:
    if path is None:
        return set()
    lines = (line.partition("#")[0].strip() for line in path.read_text().splitlines())
    expected = set(filter(None, lines))
    if unknown := expected - {vector.id for vector in vectors}:
        raise ValueError(f"{path}: no such vector: {' '.join(sorted(unknown))}")
    return expected


def _print(lines: object) -> int:
    """Print lines; a reader that has gone away is none of our business."""
    try:
        for line in lines:  # type: ignore[attr-defined]
            print(line)
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return CONFORMS


class _Progress:
    """How far the run is, on standard error if that is a terminal."""

    def __init__(self, total: int) -> None:
        self._total, self._done, self._shown = total, 0, sys.stderr.isatty()

    def began(self, vector: Vector) -> None:
        self._done += 1
        if self._shown:
            print(f"\r\x1b[K{self._done}/{self._total} {vector.id}"[:100], end="", file=sys.stderr)
            sys.stderr.flush()

    def end(self) -> None:
        if self._shown:
            print("\r\x1b[K", end="", file=sys.stderr)
            sys.stderr.flush()
