# SPDX-License-Identifier: MIT
"""`verify`: whether logs hold what they should, every line of them."""

import multiprocessing
import os
import signal
from argparse import ArgumentTypeError, Namespace
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING

from .. import DeserializeError, LogIOError, enumerate_runs, events_log_path
from .arguments import Verbs
from .checks import Checker, id_hash
from .exits import FINDINGS, MISUSED, OK, Misused, Refused
from .findings import Findings
from .lines import Lines
from .lookup import find_run
from .progress import Progress
from .streams import complain, emit, flush
from .wording import counted, plain

if TYPE_CHECKING:
    from multiprocessing.sharedctypes import Synchronized

_HELP = """\
Check logs, every line of them, and print what is wrong as path:line: reason.

A line must be an event, in its canonical spelling, of the run in whose directory the
log is, and with an id of its own. (No order is owed: many processes append.) The
first event must start the pipe; a node must start before anything else happens to
it, and end once; nothing may come after the end of the pipe, and a pipe that is
completed leaves no node without an end. A log must not end amid a line, unless
somebody is writing it now, and no torn tail should wait in its quarantine,
events.jsonl.torn.

Nothing is changed. `omnelog repair` sets a torn tail aside.
"""

_HELP_END = """\
examples:
  omnelog verify latest
  omnelog verify --all -j 2

exit status:
  0    clean
  1    there are findings, on standard output; of one log no more than 100 are printed
  2    wrong command line, no such run, or no volume
"""

_SHARE = 8  # logs that a process is given at once: one takes 100 us, and may take seconds
_POLL_S = 0.1
_TICK = 1000  # lines between two news of how far a log is


def declare(verbs: Verbs) -> None:
    """Say what `verify` takes."""
    verb = verbs.add(
        *("verify", _carry_out, "check every line of logs", _HELP, _HELP_END), trouble=MISUSED
    )
    verb.parser.add_argument("--all", action="store_true", help="check all runs of the volume")
    verb.parser.add_argument(
        "-j", "--jobs", metavar="N", type=_jobs, default=1, help="in N processes (default: 1)"
    )
    verb.run_argument(nargs="*")


def _jobs(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 0 < int(text[:9]) <= 1024):
        raise ArgumentTypeError(f"{text!r} is no number from 1 to 1024")
    return int(text)


def _carry_out(root: Path, given: Namespace) -> int:
    if given.all == bool(given.run):
        raise Misused("name the runs to verify, or say --all")
    named = list(dict.fromkeys(find_run(root, name) for name in given.run))
    return verify(root, enumerate_runs(root) if given.all else named, jobs=given.jobs)


@dataclass(frozen=True, slots=True)
class Verdict:
    """On one log: what is wrong, how many lines it has, whether one more is being written."""

    findings: Findings
    lines: int = 0
    tail_in_flight: bool = False


def verify(root: Path, run_ids: Sequence[str], *, jobs: int) -> int:
    """Print the findings on the logs of runs, in order. Returns 1 if there are any, else 0.

    Uses `jobs` processes. Raises OSError, Refused.
    """
    logs = [(run_id, events_log_path(root, run_id)) for run_id in run_ids]
    lines = count = in_flight = 0
    with Progress("verifying", sum(_size(path) for _, path in logs)) as progress:
        verdicts = _in_turn(logs, progress) if jobs == 1 else _at_once(logs, progress, jobs)
        for verdict in verdicts:
            lines += verdict.lines
            count += verdict.findings.count
            in_flight += verdict.tail_in_flight
            if verdict.findings.count:
                progress.hide()
                for finding in verdict.findings:
                    emit(plain(finding, 2000))
                flush()
    told = [counted(len(logs), "log"), counted(lines, "line"), counted(count, "finding")]
    if in_flight:
        told.append(f"{counted(in_flight, 'last line')} left out that somebody is writing")
    complain(f"omnelog: verify: {', '.join(told)}")
    return FINDINGS if count else OK


def check_log(run_id: str, path: Path, read: Callable[[int], None]) -> Verdict:
    """Check the log of `run_id`; `read` is told of bytes read meanwhile."""
    findings = Findings(str(path))
    verdict = Verdict(findings)
    try:
        if os.path.lexists(path):
            verdict = _check_lines(run_id, path, findings, read)
        _check_quarantine(path.with_name(path.name + ".torn"), findings)
    except LogIOError as error:
        findings.add(error.strerror or str(error), path=error.filename)
    return verdict


def _check_lines(
    run_id: str, path: Path, findings: Findings, read: Callable[[int], None]
) -> Verdict:
    checker = Checker(run_id, findings)
    with Lines(path) as lines:
        told = 0
        for line in lines.snapshot():
            if lines.number % _TICK == 0:
                read(lines.offset - told)
                told = lines.offset
            event = lines.event(line)
            if isinstance(event, DeserializeError):
                findings.add(event.reason, lines.number)
            elif event is not None:
                checker.take(lines.number, line, event)
                if not line.endswith(b"\n"):
                    findings.add(
                        "only its newline is missing, which the next append adds", lines.number
                    )
        read(lines.offset - told)
    if repeated := checker.repeated():
        _check_ids(path, repeated, findings)
    return Verdict(findings, lines.number, lines.tail_in_flight)


def _check_ids(path: Path, repeated: set[int], findings: Findings) -> None:
    """Read the log again to tell which lines have an id that another one has."""
    first: dict[str, int] = {}
    with Lines(path) as lines:
        for line in lines.snapshot():
            event = lines.event(line)
            if event is None or isinstance(event, DeserializeError):
                continue
            if id_hash(event) in repeated:
                earlier = first.setdefault(event.id, lines.number)
                if earlier != lines.number:
                    findings.add(
                        f"id {plain(event.id, 80)!r} is on line {earlier}, too", lines.number
                    )


def _check_quarantine(path: Path, findings: Findings) -> None:
    if os.path.lexists(path):
        with Lines(path) as lines:
            tails = sum(1 for _ in lines.advance())
        findings.add(
            f"quarantine: {counted(tails, 'torn tail')} set aside here; look, then remove it",
            line=1,
            path=str(path),
        )


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:  # opening it will tell
        return 0


def _in_turn(logs: Sequence[tuple[str, Path]], progress: Progress) -> Iterator[Verdict]:
    done = 0

    def read(size: int) -> None:
        nonlocal done
        done += size
        progress.reached(done)

    for run_id, path in logs:
        yield check_log(run_id, path, read)


def _at_once(logs: Sequence[tuple[str, Path]], progress: Progress, jobs: int) -> Iterator[Verdict]:
    """The same in `jobs` processes. Raises Refused if one of them is killed."""
    context = multiprocessing.get_context("fork")  # at once, and there are no threads here
    done = context.Value("Q", 0)
    others = set(multiprocessing.active_children())
    pool = ProcessPoolExecutor(jobs, context, _prepare, (done,))
    try:
        shares = (logs[i : i + _SHARE] for i in range(0, len(logs), _SHARE))
        with _no_interrupt():  # in the hooks of a fork Python drops a KeyboardInterrupt
            futures = deque(pool.submit(_check_share, share) for share in shares)
        while futures:
            if wait([futures[0]], _POLL_S).done:
                yield from futures.popleft().result()
            progress.reached(done.value)
    except BrokenProcessPool as error:
        raise Refused(
            "verify: one of its processes was killed, perhaps for want of memory; try a smaller -j"
        ) from error
    finally:
        for process in set(multiprocessing.active_children()) - others:
            process.terminate()  # after an interrupt; else they have nothing left to do
        pool.shutdown(cancel_futures=True)


@contextmanager
def _no_interrupt() -> Iterator[None]:
    """Let an interrupt come no sooner than at the end."""
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT,))
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


_done: "Synchronized[int]"  # in a process of the pool: bytes read by all of them


def _prepare(done: "Synchronized[int]") -> None:
    """In a new process of the pool: end in silence, and never outlive whom it works for."""
    global _done  # noqa: PLW0603 - how an initializer gives anything to a process
    _done = done
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGINT,))
    Thread(target=_leave_with_parent, daemon=True).start()


def _leave_with_parent() -> None:
    if parent := multiprocessing.parent_process():
        parent.join()
        os._exit(FINDINGS)


def _check_share(logs: Sequence[tuple[str, Path]]) -> list[Verdict]:
    def read(size: int) -> None:
        with _done.get_lock():
            _done.value += size

    return [check_log(run_id, path, read) for run_id, path in logs]
