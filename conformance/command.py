# SPDX-License-Identifier: MIT
"""The command line: choose the checks and the adapters, run the checks, print the results."""

import argparse
import fnmatch
import os
import shlex
import signal
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from json import dumps, loads
from pathlib import Path

from . import clauses as clauses_of_spec
from .process import Adapter, AdapterFailure, NotStarted, see_manners
from .profiles import PROFILES
from .program import INTERRUPTED
from .report import save_json, save_junit, summary, unchecked
from .results import BAD, Result
from .run import conduct
from .steps import decoded
from .system import run as system
from .system import strace
from .system.play import Mismatch
from .vectors import DIRECTORY, Vector, load

CONFORMS, DEVIATES, USAGE, UNAVAILABLE = 0, 1, 2, 3
_SHOWN = 2000  # characters of a request or response in the conversation

_ABOUT = """\
Check that an implementation of SPEC.md does what its clauses say.

COMMAND starts an adapter, a program that speaks conformance/PROTOCOL.md on its standard input and
output. Each vector is named after the clause that it checks and the fault that it looks for.

With --system, strace watches the adapter's system calls on a volume's files: in which order they
are made, and what happens when one fails, when the process is killed there, and when it is stopped
there while another process acts. Each case is named CLAUSE.scenario.call.fault. Linux only.
"""
_EPILOG = """\
examples:
  python -m conformance -- python conformance/adapters/omnelog_adapter.py
  python -m conformance --only 'ACC-*' -- perl conformance/adapters/perl/adapter.pl
  python -m conformance --clause APP-27 -- my-adapter --stdio
  python -m conformance --against 'perl conformance/adapters/perl/adapter.pl' -- my-adapter --stdio
  python -m conformance --system --jobs 4 -- my-adapter --stdio

A file of expected failures has the id of a check, or a glob, on each line; # begins a
comment. A check in it that passes is a failure, because then the file is out of date.

exit codes: 0 all checks that the adapter can be asked passed; 1 a failure, or none was run; 2
usage, or the command cannot be started; 3 strace is missing or not permitted, so nothing was
checked; 130 interrupted, after printing the results so far.
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
        help="another adapter: run only the checks that need two or more, with each of them in"
        " either part",
    )
    parser.add_argument(
        "--system", action="store_true", help="run the system cases instead of the vectors"
    )
    chosen = parser.add_argument_group("which checks")
    chosen.add_argument(
        "--only", metavar="GLOB", action="append", help="ids of the checks to run; repeatable"
    )
    chosen.add_argument(
        "--clause",
        metavar="ID",
        action="append",
        help="run what checks this clause, whatever it is named after; repeatable",
    )
    chosen.add_argument(
        "--profile", choices=PROFILES, help="run what an implementation of this part can be asked"
    )
    chosen.add_argument(
        "--sample",
        metavar="N",
        type=count,
        help="of the system cases, all traces and others up to N in all, the same ones each time",
    )
    chosen.add_argument(
        "--expected-failures", metavar="FILE", type=Path, help="the checks that are to fail"
    )
    chosen.add_argument(
        "--list", action="store_true", help="print ids, clauses, and what they are about"
    )
    how = parser.add_argument_group("how")
    how.add_argument(
        "--timeout",
        metavar="S",
        type=seconds,
        default=10.0,
        help="seconds for a response, in addition to its wait for a lock (10)",
    )
    how.add_argument(
        "--jobs",
        metavar="N",
        type=count,
        help="how many checks at once (1; with --system twice the number of processors)",
    )
    how.add_argument("--fail-fast", action="store_true", help="stop at the first failure")
    how.add_argument(
        "--trace",
        action="store_true",
        help="show the conversation, or with --system the calls of each case; one job",
    )
    how.add_argument(
        "--keep",
        metavar="DIR",
        type=Path,
        help="leave each volume below DIR, named after its check",
    )
    how.add_argument("--json", metavar="FILE", type=Path, help="write the results to FILE")
    how.add_argument("--junit", metavar="FILE", type=Path, help="write JUnit XML to FILE")
    how.add_argument(
        "--vectors", metavar="DIR", type=Path, default=DIRECTORY, help="other vectors than v1"
    )
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run as the command; return its exit code."""
    parser = _parser()
    options = parser.parse_args(arguments)
    if options.clause:
        unknown = sorted(set(options.clause) - set(clauses_of_spec.clauses()))
        if unknown:
            parser.error(f"SPEC.md has no such clause: {' '.join(unknown)}")
    previous = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        return (_system if options.system else _vectors)(parser, options)
    except NotStarted as failure:
        print(f"{failure}", file=sys.stderr)
        return USAGE
    except AdapterFailure as failure:
        print(f"{shlex.join(options.command)}: {failure}", file=sys.stderr)
        return DEVIATES
    except strace.Unavailable as reason:
        print(f"NOTHING WAS CHECKED: {reason}", file=sys.stderr)
        return UNAVAILABLE
    except KeyboardInterrupt:
        print("interrupted before the first check", file=sys.stderr)
        return INTERRUPTED
    finally:
        signal.signal(signal.SIGTERM, previous)


# Vectors.


def _vectors(parser: argparse.ArgumentParser, options: argparse.Namespace) -> int:
    try:
        vectors = list(load(options.vectors))
        expected = _expected_failures(options.expected_failures, {vector.id for vector in vectors})
    except (OSError, ValueError) as error:
        parser.error(str(error))
    if options.sample is not None:
        parser.error("--sample works only with --system")
    complete = not (options.only or options.clause or options.against or options.profile)
    vectors = [vector for vector in vectors if _is_chosen(vector, options)]
    if not vectors:
        parser.error("no vector matches the options; --list without them shows all")
    if options.list:
        return _print(_listed(v.id, v.clauses, str(v.data.get("about", ""))) for v in vectors)
    _need_command(parser, options)
    casts = [dict.fromkeys("ABC", options.command)]
    if options.against is not None:
        one, other = options.command, options.against
        casts = [{"A": one, "B": other, "C": one}, {"A": other, "B": one, "C": other}]
    jobs = 1 if options.trace else options.jobs or 1
    listen = _conversation if options.trace else None

    def results() -> Iterator[Result]:
        for cast in casts:
            for command in {tuple(command): command for command in cast.values()}.values():
                _introduce(command, options.timeout)
            yield from conduct(
                vectors, cast, options.timeout, expected, jobs=jobs, keep=options.keep,
                listen=listen,
            )  # fmt: skip

    order = {vector.id: number for number, vector in enumerate(vectors)}
    return _report(
        results(), len(vectors) * len(casts), options, order, "vectors", complete=complete
    )


def _is_chosen(vector: Vector, options: argparse.Namespace) -> bool:
    globs = options.only or ["*"]
    named = any(fnmatch.fnmatchcase(vector.id, glob) for glob in globs)
    asked = not options.clause or bool(set(options.clause) & set(vector.clauses))
    together = options.against is None or len(vector.roles) > 1
    claimed = options.profile is None or PROFILES[options.profile].holds(vector)
    return named and asked and together and claimed


def _conversation(text: str) -> None:
    """Print a line of the conversation, with its bytes decoded."""
    head, _, message = text.partition(" {")
    with suppress(ValueError):
        text = f"{head} {dumps(decoded(loads('{' + message)), ensure_ascii=False)}"
    print(text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…", file=sys.stderr)


# System cases.


def _system(parser: argparse.ArgumentParser, options: argparse.Namespace) -> int:
    _need_command(parser, options)
    version = strace.version()
    casts = [(options.command, options.command)]
    if options.against is not None:
        casts = [(options.command, options.against), (options.against, options.command)]
    plans = []
    for cast in casts:
        names = [
            _introduce(command, options.timeout) for command in dict.fromkeys(map(tuple, cast))
        ]
        _check_strace(cast[0], options.timeout)
        try:
            plan = system.survey(cast, options.timeout)
        except Mismatch as mismatch:
            text = f"when nothing is wrong, expected: {mismatch.expected}; saw: {mismatch.saw}"
            raise AdapterFailure(text) from None
        cases = plan.cases
        if options.against is not None:  # in the other families B only acts at the end
            cases = [case for case in cases if case.family in ("crashes", "preemption")]
        cases = system.chosen(cases, options.only or ["*"], options.clause or [], options.sample)
        if options.profile is not None:
            ops = PROFILES[options.profile].ops
            cases = [case for case in cases if case.scenario.op in ops]
        plans.append((cast, " against ".join(names), cases, plan.left_out))
    total = sum(len(cases) for _, _, cases, _ in plans)
    if not total:
        parser.error("no case matches the options; --list without them shows all")
    all_ids = list(dict.fromkeys(case.id for _, _, cases, _ in plans for case in cases))
    try:
        expected = _expected_failures(options.expected_failures, None)
    except (OSError, ValueError) as error:
        parser.error(str(error))
    if options.list:
        cases = plans[0][2]
        return _print(_listed(c.id, c.clauses, c.scenario.about) for c in cases)
    print(f"strace {version}", flush=True)
    jobs = 1 if options.trace else options.jobs or 2 * (os.cpu_count() or 1)

    def results() -> Iterator[Result]:
        for cast, name, cases, left_out in plans:
            for scenario, why in left_out.items():
                yield Result(id=f"*.{scenario}.*", kind="scenario", clauses=(), about="",
                             cast=name, verdict="not run", message=why)  # fmt: skip
            yield from system.conduct(
                cases, cast, name, options.timeout, expected, jobs=jobs, keep=options.keep
            )

    order = {id_: number for number, id_ in enumerate(all_ids)}
    few = len(all_ids) == 1 or options.trace
    complete = not (options.only or options.clause or options.profile or options.sample)
    return _report(results(), total, options, order, "cases", complete=complete, details=few)


def _check_strace(command: Sequence[str], limit_s: float) -> None:
    with tempfile.TemporaryDirectory(prefix="conformance-") as root:
        adapter = Adapter(strace.traceable(command), limit_s)
        try:
            strace.check(adapter, Path(root).resolve())
        finally:
            adapter.kill()


# Shared by both.


def _need_command(parser: argparse.ArgumentParser, options: argparse.Namespace) -> None:
    if not options.command:
        parser.error("the command that starts the adapter is missing; see --help for examples")


def _report(
    came: Iterator[Result],
    total: int,
    options: argparse.Namespace,
    order: dict[str, int],
    unit: str,
    *,
    complete: bool,
    details: bool = False,
) -> int:
    """Collect the results, save and print them, and return the exit code."""
    results: list[Result] = []
    code = CONFORMS
    progress = _Progress(total)
    try:
        for result in came:
            results.append(result)
            progress.show(result.id)
            if options.fail_fast and result.verdict in BAD:
                break
    except KeyboardInterrupt:
        code = INTERRUPTED
    finally:
        came.close()  # type: ignore[attr-defined]  # ends all adapters
        progress.end()
    results.sort(key=lambda result: (result.cast, order.get(result.id, -1)))
    try:
        for save, path in ((save_json, options.json), (save_junit, options.junit)):
            if path is not None:
                save(results, path)
    except OSError as error:
        print(f"{error.filename}: {error.strerror}", file=sys.stderr)
        code = code or USAGE
    remarks: Iterable[str] = ()
    if complete and code == CONFORMS and not options.fail_fast:
        remarks = _not_checked(results, unit)
    _print(summary(results, unit=unit, details=details, remarks=remarks))
    if code == INTERRUPTED:
        print(f"interrupted after {len(results)} {unit}", file=sys.stderr)
    ran = [result for result in results if result.verdict != "not run"]
    return code or (DEVIATES if not ran or any(r.verdict in BAD for r in results) else CONFORMS)


def _not_checked(results: Sequence[Result], unit: str) -> Iterator[str]:
    """Yield lines: the clauses about files that were not checked, and why some cannot be."""
    spec = clauses_of_spec.clauses()
    reasons = clauses_of_spec.NOT_FROM_OUTSIDE
    left = unchecked(results, spec, clauses_of_spec.CHAPTERS)
    if not left:
        return
    yield f"Clauses without {unit}: {' '.join(c for c in left if c not in reasons)}"
    for clause in left:
        if clause in reasons:
            yield f"  {clause} is not checked from outside: {reasons[clause]}"


def seconds(text: str) -> float:
    """Parse a number of seconds. argparse shows the name of this function in its errors."""
    number = float(text)
    if not 0 < number < float("inf"):
        raise argparse.ArgumentTypeError("must be above 0")
    return number


def count(text: str) -> int:
    """Parse a number from 1. argparse shows the name of this function in its errors."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be 1 or more")
    return number


def _introduce(command: Sequence[str], timeout_s: float) -> str:
    """Check that the adapter starts and exits as it should, print what it is, return its name.

    This comes first because otherwise every check would fail for the same reason.
    """
    about = see_manners(command, timeout_s)
    print(f"{about.get('name')} {about.get('version')}: {shlex.join(command)}", flush=True)
    return str(about.get("name"))


def _expected_failures(path: Path | None, known: set[str] | None) -> set[str]:
    if path is None:
        return set()
    lines = (line.partition("#")[0].strip() for line in path.read_text().splitlines())
    expected = set(filter(None, lines))
    unknown = {
        glob
        for glob in expected
        if known is not None and not any(fnmatch.fnmatchcase(id_, glob) for id_ in known)
    }
    if unknown:
        raise ValueError(f"{path}: no such vector: {' '.join(sorted(unknown))}")
    return expected


def _listed(id_: str, clauses: Iterable[str], about: str) -> str:
    return f"{id_}  [{' '.join(clauses)}]  {about}"


def _print(lines: Iterable[str]) -> int:
    for line in lines:
        print(line)
    return CONFORMS


class _Progress:
    """Progress of the run, on standard error if that is a terminal."""

    def __init__(self, total: int) -> None:
        self._total, self._done, self._shown = total, 0, sys.stderr.isatty()

    def show(self, id_: str) -> None:
        self._done += 1
        if self._shown:
            print(f"\r\x1b[K{self._done}/{self._total} {id_}"[:100], end="", file=sys.stderr)
            sys.stderr.flush()

    def end(self) -> None:
        if self._shown:
            print("\r\x1b[K", end="", file=sys.stderr)
            sys.stderr.flush()
