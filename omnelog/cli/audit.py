# SPDX-License-Identifier: MIT
"""One log, checked as a whole: its lines, its tail and its quarantine."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from .. import DeserializeError, LogIOError
from .checks import Checker, id_hash
from .findings import Findings
from .lines import Lines, log_exists
from .wording import counted, plain

_TICK = 1000  # lines between two news of how far it is


@dataclass(frozen=True, slots=True)
class Verdict:
    """On one log: what is wrong, how many lines it has, whether one more is being written."""

    findings: Findings
    lines: int = 0
    tail_in_flight: bool = False


def check_log(run_id: str, path: Path, read: Callable[[int], None]) -> Verdict:
    """Check the log of `run_id`; `read` is told of bytes read meanwhile."""
    findings = Findings(str(path))
    verdict = Verdict(findings)
    try:
        if log_exists(path):
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
    if log_exists(path):
        with Lines(path) as lines:
            tails = sum(1 for _ in lines.advance())
        findings.add(
            f"quarantine: {counted(tails, 'torn tail')} set aside here; look, then remove it",
            line=1,
            path=str(path),
        )
