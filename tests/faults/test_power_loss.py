# SPDX-License-Identifier: MIT
"""Durable events survive a power loss, and every log recovers from one.

For each scenario, the test records everything the core does to its files, and generates every state
that a power loss can leave at any point (see `power`). The acknowledged events of a durable handle
are in each of these states. With every handle, the lines that survive are the first ones, in order,
and reading raises only TornTailError. The next append repairs the log: it keeps the lines that
survived, byte for byte, and sets the torn tail aside. A power loss loses no torn tail either.

Other tests show that the model finds a sync that is missing or too early.
"""

import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TypeAlias

import pytest

from .. import omnelog
from .counts import CRASHED, Count
from .power import Acknowledged, Cut, Disk, Made, Recorder, Step, Synced, Wrote, crash_states
from .system import interposed
from .volumes import Volume
from .workloads import FOUND, GARBAGE, RUN, event, is_event, line

Play: TypeAlias = Callable[["Stage"], None]
Edit: TypeAlias = Callable[[Sequence[Step]], list[Step]]


class Stage:
    """A volume in which a scenario is played and recorded."""

    def __init__(self, root: Path, found: str) -> None:
        self.recorder = Recorder()
        self.volume = Volume(root)
        self.order: list[bytes] = []  # the lines of the log, in order
        self.fragments: list[bytes] = []  # torn tails that were found
        self.logs: list[omnelog.EventLog] = []
        log, torn = FOUND[found]
        if log is None:
            root.mkdir()
        else:
            os.makedirs(self.volume.directory)
            self.volume.add(log)
            self._learn(log)
        if torn is not None:
            Path(self.volume.torn).write_bytes(torn)
        self.found: Disk = dict(_disk(root))

    def _learn(self, log: bytes) -> None:
        whole, tail = log[: log.rfind(b"\n") + 1], log[log.rfind(b"\n") + 1 :]
        self.order += whole.splitlines(keepends=True)
        if is_event(tail):
            self.order.append(tail + b"\n")
        elif tail:
            self.fragments.append(tail)

    def open(self, *, durable: bool) -> "omnelog.EventLog":
        """Open a handle of the run."""
        self.logs.append(omnelog.EventLog.for_run(self.volume.root, RUN, durable=durable))
        return self.logs[-1]

    def append(self, log: "omnelog.EventLog", *numbers: int) -> None:
        """Append events with one call, which may fail, and record what it acknowledges."""
        lines = list(map(line, numbers))
        durable = log.durable
        try:
            log.append_many(map(event, numbers))
        except omnelog.LogIOError as error:
            del lines[error.appended :]
        except omnelog.AppendIndeterminate as error:
            del lines[error.appended :]
            durable = False
        self.order += lines
        self.recorder.journal.append(Acknowledged(tuple(lines), durable))

    def fail(self, calls_from_now: int, fault: str) -> None:
        """Make a later system call meet `fault`."""
        self.recorder.plan = {len(self.recorder.calls) + calls_from_now: fault}


def _disk(root: Path) -> Iterator[tuple[str, bytes | None]]:
    for directory, _, names in os.walk(root):
        yield directory, None
        for name in names:
            yield f"{directory}/{name}", Path(directory, name).read_bytes()


def _one_handle(*, durable: bool) -> Play:
    def play(stage: Stage) -> None:
        log = stage.open(durable=durable)
        stage.append(log, 11)
        stage.append(log, 12, 13)
        stage.append(log, 14)

    return play


def _made_by_a_handle_that_is_not_durable(stage: Stage) -> None:
    plain = stage.open(durable=False)
    stage.append(plain, 11)
    durable = stage.open(durable=True)
    stage.append(durable, 12)
    stage.append(plain, 13)
    stage.append(durable, 14)


def _opened_before_there_was_anything_to_sync(stage: Stage) -> None:
    durable = stage.open(durable=True)
    plain = stage.open(durable=False)
    stage.append(plain, 11)
    stage.append(durable, 12)


def _two_durable_handles(stage: Stage) -> None:
    one, other = stage.open(durable=True), stage.open(durable=True)
    stage.append(one, 11)
    stage.append(other, 12)
    stage.append(one, 13)


def _an_append_is_taken_back(stage: Stage) -> None:
    log = stage.open(durable=True)
    stage.append(log, 11)
    stage.fail(2, "short:30:ENOSPC")
    stage.append(log, 12)
    stage.append(log, 13)


def _part_of_many_is_taken_back(stage: Stage) -> None:
    log = stage.open(durable=True)
    stage.append(log, 11)
    stage.fail(2, "short:80:ENOSPC")
    stage.append(log, 12, 13, 14)
    stage.append(log, 15)


def _a_sync_fails(stage: Stage) -> None:
    log = stage.open(durable=True)
    stage.append(log, 11)
    stage.fail(4, "EIO")
    stage.append(log, 12)
    stage.append(stage.open(durable=True), 13)


def _torn_again(stage: Stage) -> None:
    plain, durable = stage.open(durable=False), stage.open(durable=True)
    stage.append(plain, 11)
    stage.recorder.journal.append(
        Wrote(stage.volume.log, len(stage.volume.read()), b"14" + GARBAGE)
    )
    stage.volume.add(b"14" + GARBAGE)
    stage.append(durable, 12)
    stage.append(plain, 13)


SCENARIOS: dict[str, tuple[str, Play]] = {
    "durable-in-a-new-volume": ("absent", _one_handle(durable=True)),
    "plain-in-a-new-volume": ("absent", _one_handle(durable=False)),
    "durable-and-torn": ("torn", _one_handle(durable=True)),
    "plain-and-torn": ("torn", _one_handle(durable=False)),
    "durable-and-nuls": ("part-and-nuls", _one_handle(durable=True)),
    "plain-and-nuls": ("part-and-nuls", _one_handle(durable=False)),
    "durable-and-unterminated": ("unterminated", _one_handle(durable=True)),
    "plain-and-unterminated": ("unterminated", _one_handle(durable=False)),
    "durable-and-copied": ("copied", _one_handle(durable=True)),
    "durable-and-copied-but-newline": ("copied-but-newline", _one_handle(durable=True)),
    "durable-and-half-copied": ("half-copied", _one_handle(durable=True)),
    "made-by-a-plain-handle": ("absent", _made_by_a_handle_that_is_not_durable),
    "opened-first": ("absent", _opened_before_there_was_anything_to_sync),
    "two-durable-handles": ("absent", _two_durable_handles),
    "two-durable-handles-and-torn": ("torn", _two_durable_handles),
    "an-append-is-taken-back": ("sound", _an_append_is_taken_back),
    "part-of-many-is-taken-back": ("sound", _part_of_many_is_taken_back),
    "a-sync-fails": ("sound", _a_sync_fails),
    "torn-again": ("absent", _torn_again),
}


def _play(name: str, root: Path) -> Stage:
    """Play a scenario and remove its volume; return the stage with its records."""
    found, play = SCENARIOS[name]
    stage = Stage(root, found)
    with interposed(stage.recorder):
        play(stage)
        for log in stage.logs:
            log.close()
    assert stage.recorder.violations == []
    assert b"".join(stage.order) == stage.volume.read()
    shutil.rmtree(root)
    return stage


def _lost(stage: Stage, disk: Disk, promised: Sequence[bytes]) -> Iterator[str]:
    """What was promised or torn but is not in `disk`, and lines in its log that are wrong."""
    log = disk.get(stage.volume.log)
    *terminated, tail = (log or b"").split(b"\n")
    lines = [text + b"\n" for text in terminated]
    for promise in promised:
        if promise not in lines:
            yield f"{promise!r} was acknowledged as durable, and is lost"
    if lines != stage.order[: len(lines)]:
        yield f"{lines} are not the first lines of {stage.order}"
    aside = (disk.get(stage.volume.torn) or b"").split(b"\n")
    for fragment in stage.fragments if log is not None else ():
        if not tail.startswith(fragment) and fragment not in aside:
            yield f"the torn tail {fragment!r} is lost"


def _recover(volume: Volume, disk: Disk) -> Iterator[str]:
    """Put `disk` in place, read the log and append to it, and yield what is wrong."""
    for path, content in sorted(disk.items()):  # directories before what is in them
        if content is None:
            os.mkdir(path)
        else:
            Path(path).write_bytes(content)
    there = os.path.exists(volume.log)
    lines, tail = volume.current()
    aside = (volume.files()[1] or b"").split(b"\n")
    events = [omnelog.decode(text) for text in lines]
    try:
        found = omnelog.read_run(volume.root, RUN)
    except omnelog.TornTailError:
        if not tail or is_event(tail):
            yield f"{tail!r} is not torn"
    except omnelog.LogIOError:
        if there:
            yield "the log is there, and cannot be read"
    else:
        events += [omnelog.decode(tail)] if is_event(tail) else []
        if found != events:
            yield f"read_run gives {found}, not {events}"
    with omnelog.EventLog.for_run(volume.root, RUN) as log:
        log.append(event(1000))
    repaired = lines + ([tail + b"\n"] if is_event(tail) else []) + [line(1000)]
    if volume.current() != (repaired, b""):
        yield f"the log is repaired to {volume.current()}, not {repaired}"
    kept = (volume.files()[1] or b"").split(b"\n")
    if tail and not is_event(tail) and tail not in kept:
        yield f"the tail {tail!r} is lost"
    if [part for part in aside if part and part not in kept]:
        yield f"the quarantine is changed from {aside} to {kept}"
    if omnelog.read_run(volume.root, RUN) != list(map(omnelog.decode, repaired)):
        yield "read_run does not give what is in the log"
    shutil.rmtree(volume.root)


_RECOVERED: dict[frozenset[tuple[str, bytes | None]], list[str]] = {}
"""What is wrong with the recovery from each disk: many scenarios leave the same one."""


def _recovery(stage: Stage, disk: Disk) -> list[str]:
    """What is wrong with the recovery from `disk`."""
    root = stage.volume.root
    key = frozenset((path.removeprefix(root), content) for path, content in disk.items())
    if key not in _RECOVERED:
        _RECOVERED[key] = list(_recover(stage.volume, disk))
    return _RECOVERED[key]


def _violations(stage: Stage, journal: Sequence[Step]) -> Iterator[list[str]]:
    """What is wrong with each state that a power loss can leave."""
    for number, (disk, promised) in enumerate(crash_states(stage.found, journal)):
        files = {path.rpartition("/")[2]: content for path, content in disk.items() if content}
        found = [*_lost(stage, disk, promised), *_recovery(stage, disk)]
        yield [f"state {number}, {files!s:.400}: {what}" for what in found]


@pytest.mark.spec("DUR-3", "DUR-4", "DUR-7")
@pytest.mark.parametrize("scenario", SCENARIOS)
def test_what_is_durable_survives_and_the_log_recovers(
    scenario: str, root: Path, count: Count
) -> None:
    stage = _play(scenario, root)
    states = list(_violations(stage, stage.recorder.journal))
    count(CRASHED, len(states))
    wrong = [violation for violations in states for violation in violations]
    assert not wrong, "\n".join([f"{len(wrong)} violations in {len(states)} states", *wrong[:9]])


def _without(suffixes: tuple[str, ...]) -> Edit:
    """Drop the syncs of the paths that end with one of `suffixes`."""
    return lambda journal: [
        step for step in journal if not (isinstance(step, Synced) and step.path.endswith(suffixes))
    ]


def _earlier(kind: type[Step], suffix: str, than: type[Step]) -> Edit:
    """Move each step of one kind on a file before the last step of the kind `than`."""

    def edit(journal: Sequence[Step]) -> list[Step]:
        edited: list[Step] = []
        for step in journal:
            at = len(edited)
            if isinstance(step, kind) and getattr(step, "path", "").endswith(suffix):
                at = max(
                    (n for n, other in enumerate(edited) if isinstance(other, than)), default=at
                )
            edited.insert(at, step)
        return edited

    return edit


LOST, GONE = "was acknowledged as durable, and is lost", "the torn tail"


@pytest.mark.parametrize(
    ("scenario", "edit", "violation"),
    [
        pytest.param(scenario, edit, violation, id=f"{what}-{scenario}")
        for what, edit, violation, scenarios in (
            (
                "log-not-synced",
                _without((".jsonl",)),
                LOST,
                ["durable-in-a-new-volume", "torn-again"],
            ),
            (
                "log-synced-before-it-is-written",
                _earlier(Synced, ".jsonl", Wrote),
                LOST,
                ["two-durable-handles"],
            ),
            (
                "directories-not-synced",
                _without(("/r", "/runs", "/var", "/.omne", "/volume")),
                LOST,
                ["durable-in-a-new-volume", "made-by-a-plain-handle"],
            ),
            ("run-directory-not-synced", _without(("/r",)), LOST, ["durable-in-a-new-volume"]),
            (
                "only-run-directory-synced",
                _without(("/runs", "/var", "/.omne", "/volume")),
                LOST,
                ["made-by-a-plain-handle"],
            ),
            ("root-not-synced", _without(("/volume",)), LOST, ["two-durable-handles"]),
            (
                "quarantine-not-synced",
                _without((".torn",)),
                GONE,
                ["durable-and-torn", "plain-and-nuls", "durable-and-half-copied"],
            ),
            ("quarantine's-name-not-synced", _without(("/r",)), GONE, ["plain-and-torn"]),
            (
                "cut-before-quarantine-is-synced",
                _earlier(Cut, ".jsonl", Synced),
                GONE,
                ["plain-and-torn"],
            ),
        )
        for scenario in scenarios
    ],
)
def test_the_model_finds_a_sync_that_is_missing_or_too_early(
    scenario: str, edit: Edit, violation: str, root: Path
) -> None:
    """A core that does not make a call is imitated by a journal without its step."""
    stage = _play(scenario, root)
    edited = edit(stage.recorder.journal)
    assert edited != stage.recorder.journal
    assert any(violation in what for wrong in _violations(stage, edited) for what in wrong)


def test_the_model_generates_every_state_of_what_was_not_synced() -> None:
    found: Disk = {"/v": None, "/v/a.jsonl": b"ABCD"}
    journal: list[Step] = [
        Cut("/v/a.jsonl", 1),
        Wrote("/v/a.jsonl", 1, b"xy"),
        Made("/v/b.torn"),
    ]
    states = [disk for disk, _ in crash_states(found, journal)]
    assert {disk.get("/v/b.torn", b"absent") for disk in states} == {b"", b"absent"}
    assert {disk["/v/a.jsonl"] for disk in states} == {
        *(b"ABCD", b"A"),  # nothing happened, or only the cut
        *(b"Ax", b"Axy", b"A\0\0", b"Ax\0"),  # a part of the write, or of its data
        *(b"AxCD", b"AxyD", b"A\0\0\0", b"Ax\0\0", b"Axy\0"),  # the same without the cut
    }


def test_the_model_keeps_what_was_synced() -> None:
    found: Disk = {"/v": None}
    journal: list[Step] = [
        Made("/v/a.jsonl"),
        Synced("/v"),
        Wrote("/v/a.jsonl", 0, b"x\n"),
        Synced("/v/a.jsonl"),
        Acknowledged((b"x\n",), durable=True),
    ]
    assert list(crash_states(found, journal))[-1] == ({**found, "/v/a.jsonl": b"x\n"}, [b"x\n"])
