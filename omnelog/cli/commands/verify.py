# SPDX-License-Identifier: MIT
"""`verify`: check every line of logs."""

import json
from argparse import ArgumentTypeError, Namespace
from collections.abc import Iterator, Sequence
from pathlib import Path

from ... import LogIOError, enumerate_runs, events_log_path
from ..checks import Finding, Verdict, check_log
from ..exits import FINDINGS, MISUSED, OK, Misused
from ..locate import find_run
from ..parser import Verbs
from ..progress import Progress, size_of
from ..silence import silence
from ..streams import complain, emit, flush
from ..text import counted, plain

_HELP = """\
Check every line of logs, and print what is wrong as path:line: reason.

A line must be an event in its canonical spelling, of the run that the directory is
named after, with an id that no other line has and a time as YYYY-MM-DDTHH:MM:SSZ. The
times need not be in order, because many processes append. The first event must start
the pipe. A node must start before anything else happens to it, and end once. When a
pipe is completed, each node must have ended, and nothing may follow. After a pipe is
aborted, nodes that were still running may log their ends. A log must not end inside a
line, unless somebody is writing it now, and there should be no torn tail in its
quarantine, events.jsonl.torn. If a run has not ended, standard error says how long it
has been silent, from one minute on or if its recorder is gone.

Nothing is changed. `omnelog repair` moves a torn tail to the quarantine.
"""

_HELP_END = """\
examples:
  omnelog verify latest
  omnelog verify --all -j 2
  omnelog verify --all --json | jq -r .run_id | sort -u

With --json each finding is an object on a line: run_id, path, line (null if it is
about all of the file), reason.

exit status:
  0    clean
  1    there are findings, on standard output; of one log no more than 100 are printed
  2    wrong command line, no such run, or no volume
"""

_LONG_MS = 60_000  # a shorter silence is not reported


def declare(verbs: Verbs, summary: str) -> None:
    """Declare the arguments of `verify`."""
    verb = verbs.add(*("verify", summary, _carry_out, _HELP, _HELP_END), trouble=MISUSED)
    verb.parser.add_argument("--all", action="store_true", help="check all runs of the volume")
    verb.parser.add_argument(
        "-j", "--jobs", metavar="N", type=_jobs, default=1, help="in N processes (default: 1)"
    )
    verb.parser.add_argument("--json", action="store_true", help="print an object for each finding")
    verb.run_argument(nargs="*")


def _jobs(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 0 < int(text[:9]) <= 1024):
        raise ArgumentTypeError(f"{text!r} is not a number from 1 to 1024")
    return int(text)


def _carry_out(root: Path, given: Namespace) -> int:
    if given.all == bool(given.run):
        raise Misused("name the runs to verify, or say --all")
    named = list(dict.fromkeys(find_run(root, name) for name in given.run))
    return verify(
        root, enumerate_runs(root) if given.all else named, jobs=given.jobs, as_json=given.json
    )


def verify(root: Path, run_ids: Sequence[str], *, jobs: int, as_json: bool) -> int:
    """Print the findings on the logs of runs, in order. Returns 1 if there are any, otherwise 0.

    `jobs`: how many processes to use. `as_json`: whether to print JSON objects. Raises OSError,
    Refused.
    """
    logs = [(run_id, events_log_path(root, run_id)) for run_id in run_ids]
    lines = 0
    count = 0
    in_flight = 0
    unended: list[str] = []
    with Progress("verifying", sum(size_of(path) for _, path in logs)) as progress:
        verdicts = _in_turn(logs, progress) if jobs == 1 else _at_once(logs, progress, jobs)
        for verdict in verdicts:
            lines += verdict.lines
            count += verdict.findings.count
            in_flight += verdict.tail_in_flight
            unended += _unended(root, verdict)
            if verdict.findings.count:
                progress.hide()
                for finding in verdict.findings:
                    emit(_object(verdict.run_id, finding) if as_json else plain(f"{finding}", 2000))
                flush()
    summary = [counted(len(logs), "log"), counted(lines, "line"), counted(count, "finding")]
    if in_flight:
        summary.append(f"{counted(in_flight, 'last line')} left out that somebody is writing")
    for remark in unended:
        complain(f"omnelog: verify: {remark}")
    complain(f"omnelog: verify: {', '.join(summary)}")
    return FINDINGS if count else OK


def _unended(root: Path, verdict: Verdict) -> Iterator[str]:
    """Yield a remark on a run that has not ended, if it is silent for long or has no recorder."""
    if verdict.first is None or verdict.last is None:
        return
    try:
        silent = silence(root, verdict.run_id, verdict.first, verdict.last)
    except LogIOError:  # the log was removed in the meantime
        return
    if silent.has_recorder is False or (silent.lasts_ms or 0) > _LONG_MS:
        yield f"run {plain(verdict.run_id)} has no end yet: {silent.spell()}"


def _object(run_id: str, finding: Finding) -> str:
    return json.dumps({"run_id": run_id, **finding._asdict()})


def _in_turn(logs: Sequence[tuple[str, Path]], progress: Progress) -> Iterator[Verdict]:
    done = 0

    def read(size: int) -> None:
        nonlocal done
        done += size
        progress.reached(done)

    for run_id, path in logs:
        yield check_log(run_id, path, read)


def _at_once(logs: Sequence[tuple[str, Path]], progress: Progress, jobs: int) -> Iterator[Verdict]:
    from ..parallel import check_at_once  # noqa: PLC0415 - what it imports takes 20 ms

    return check_at_once(logs, progress, jobs)
