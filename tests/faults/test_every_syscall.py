# SPDX-License-Identifier: MIT
"""The log keeps its promises whichever system call fails, and however it fails.

The test records the system calls of each workload. Then it carries out the workload again for each
call and each fault of that call: an error, a short write after which the next one succeeds or
fails, a lock that is taken, or the death of the process before the call, after it or during a
write. By default most workloads meet only a third of the failures.

After each fault, all of these are true:

- no acknowledged event is missing, and none is there twice
- an event whose append failed is absent; an event of an indeterminate append is there once or not
- every terminated line is valid
- bytes that were cut off are in the quarantine, once
- an error has the promised type and names its cause and its file
- no lock, mutex or descriptor is leaked
- the next append, by any handle, and the next read succeed

Volumes are made in ``/dev/shm`` if it exists, for speed, so no real disk is used.
"""

import errno
import os
from collections.abc import Iterator
from dataclasses import replace
from itertools import product
from pathlib import Path
from shutil import rmtree

import pytest

from .. import omnelog
from .cases import carry_out, examine, record, wrecks
from .counts import THOROUGH, Count
from .logs import between
from .system import FOREIGN_LINE, System, interposed, is_benign
from .volumes import Volume, Wreck
from .workloads import FOUND, RUN, Case, Plan, Workload, event, line

SOME = ("absent", "sound", "torn", "unterminated", "nuls")
OPERATIONS = (
    *("open", "append", "many", "repair", "read", "scan", "follow", "close"),
    *("idle", "tear", "forget", "move"),
)
STEPS = ("many", "repair", "read", "scan", "follow")
CHANGING = ("create", "write", "ftruncate", "fsync", "fsync_directory", "fdatasync", "unlock")


def _some_of_two_and_three() -> list[str]:
    return [
        "absent/plain/open+append+close",
        "absent/durable/open+many+read",
        "sound/plain/append+append+append",
        "sound/durable/append+append+append",
        "sound/plain/append+read+append",
        "sound/durable/append+tear+append",
        "sound/plain/append+forget+many",
        "sound/plain/append+move+append",
        "sound/durable/append+move+append",
        "sound/durable/append+idle+append",
        "sound/plain/many+open+many",
        "sound/durable/many+close+many",
        "torn/plain/append+tear+append",
        "torn/plain/read+append+read",
        "nuls/durable/many+follow+append",
        "unterminated/plain/follow+append+scan",
    ]


def _all_of_two_and_three() -> list[str]:
    handles = "plain", "durable"
    two = product(SOME, handles, product(OPERATIONS, repeat=2))
    three = product(["sound"], handles, product(OPERATIONS, repeat=3))
    return [f"{found}/{handle}/{'+'.join(steps)}" for found, handle, steps in (*two, *three)]


WORKLOADS = [
    Workload.parse(text)
    for text in (
        *(f"{found}/{handle}/append" for found in FOUND for handle in ("plain", "durable")),
        *(f"{found}/plain/{step}" for found in SOME for step in STEPS),
        *("sound/durable/many", "torn/durable/repair", "unterminated/durable/repair"),
        *(_all_of_two_and_three() if THOROUGH else _some_of_two_and_three()),
    )
]
AT_LENGTH = [
    Workload.parse(text)
    for text in (
        "sound/plain/append",
        "sound/durable/many",
        "torn/plain/append",
        "unterminated/plain/append",
    )
]
"""The workloads in which a call fails with every error, and a write is cut short at every byte.

In the others, a call fails with one error of each kind, and a write is cut short only at the bytes
that make a difference.
"""
REALLY_KILLED = [
    Workload.parse(text)
    for text in (
        "absent/durable/append",
        "torn/plain/append",
        *(["half-copied/durable/many"] if THOROUGH else []),
        *(["unterminated/plain/follow+append+scan"] if THOROUGH else []),
    )
]
WITH_TWO_FAULTS = [
    Workload.parse(text)
    for text in (
        "sound/plain/append",
        "sound/durable/many",
        "torn/plain/append",
        "unterminated/plain/append",
        "half-copied/plain/append",
        *(["torn/durable/append"] if THOROUGH else []),
        *(["nuls/plain/many"] if THOROUGH else []),
        *(["sound/durable/append+append"] if THOROUGH else []),
    )
]


def _is_at_length(workload: Workload) -> bool:
    return workload in AT_LENGTH or (THOROUGH and len(workload.operations) == 1)


def _cases(workload: Workload, root: Path) -> list[Case]:
    """Every system call of `workload`, with each of its faults that kills no process.

    By default these are every third case of most workloads, because they have many calls in common.
    Three kinds of logs keep all their cases. Only a log that belongs to another user makes the core
    call fchown(2). Only a sparse one makes it extend the quarantine with ftruncate(2). And with a
    log that is moved away, a fault can lead to the wrong file.
    """
    every_length = _is_at_length(workload)
    every_error = THOROUGH or every_length
    is_special = workload.found in ("others", "sparse") or "move" in workload.operations
    cases = [
        Case(workload, ((number, fault),))
        for number, call in enumerate(record(workload, root))
        for fault in call.faults(every_error=every_error, every_length=every_length)
    ]
    return cases if every_error or is_special else cases[WORKLOADS.index(workload) % 3 :: 3]


def _first_faults(workload: Workload, root: Path) -> Iterator[Plan]:
    """Each fault that must be reported, by default only of a call that changes something."""
    for number, call in enumerate(record(workload, root)):
        for fault in call.faults() if THOROUGH or call.name in CHANGING else ():
            if not is_benign(fault) and (THOROUGH or not fault.startswith("part")):
                yield ((number, fault),)


def _second_faults(workload: Workload, root: Path, plan: Plan) -> Iterator[Case]:
    """A fault of each kind in each call after those in `plan`."""
    for number, call in enumerate(record(workload, root, plan)):
        if number > plan[-1][0]:
            for fault in call.faults():
                yield Case(workload, (*plan, (number, fault)))


def _assert_none(violations: dict[Case, list[str]]) -> None:
    failed = [f"{case}: {'; '.join(found)}" for case, found in violations.items() if found]
    how = "OMNELOG_FAULT_CASE=<one of them> replays it"
    assert not failed, "\n".join(
        [f"{len(failed)} of {len(violations)} cases fail; {how}", *failed[:9]]
    )


def _examine_all(wrecks: dict[Case, Wreck], root: Path) -> dict[Case, list[str]]:
    """The violations of each wreck; of several that are equal, one is examined."""
    distinct = {replace(wreck, fault=""): case for case, wreck in wrecks.items()}
    return {case: examine(case, wrecks[case], root) for case in distinct.values()}


@pytest.mark.spec("LOCK-17", "APP-39", "LOCK-15")
@pytest.mark.parametrize("workload", WORKLOADS, ids=str)
def test_no_failing_call_breaks_a_promise(workload: Workload, root: Path, count: Count) -> None:
    violations = {case: carry_out(case, root) for case in _cases(workload, root)}
    count("system calls that failed or fell short", len(violations))
    _assert_none(violations)


def _kind(fault: str) -> str:
    """The fault without its numbers."""
    return "".join(character for character in fault if not character.isdigit())


def test_each_fault_of_each_call_on_each_file_strikes_in_some_workload(root: Path) -> None:
    """A case that is left out of one workload is in another."""
    possible: set[tuple[str, str, str]] = set()
    tried: set[tuple[str, str, str]] = set()
    for workload in WORKLOADS:
        calls = record(workload, root)
        for call in calls:
            possible |= {(call.name, call.file, _kind(fault)) for fault in call.faults()}
        for case in _cases(workload, root):
            [(number, fault)] = case.plan
            tried.add((calls[number].name, calls[number].file, _kind(fault)))
    assert possible - tried == set()


@pytest.mark.spec("APP-37")
@pytest.mark.parametrize("workload", WORKLOADS, ids=str)
def test_no_death_of_a_process_breaks_a_promise(
    workload: Workload, root: Path, count: Count
) -> None:
    violations = _examine_all(wrecks(workload, root, every_length=_is_at_length(workload)), root)
    count("states that the death of a process leaves", len(violations))
    _assert_none(violations)


@pytest.mark.parametrize("workload", WITH_TWO_FAULTS, ids=str)
def test_no_fault_while_getting_over_another_breaks_a_promise(
    workload: Workload, root: Path, count: Count
) -> None:
    violations: dict[Case, list[str]] = {}
    for plan in _first_faults(workload, root):
        second = _second_faults(workload, root, plan)
        violations |= {case: carry_out(case, root) for case in second}
        violations |= _examine_all(wrecks(workload, root, plan), root)
    count("pairs of faults, the second while the first is handled", len(violations))
    _assert_none(violations)


@pytest.mark.parametrize("workload", REALLY_KILLED, ids=str)
def test_a_process_that_really_dies_leaves_what_was_foreseen(
    workload: Workload, root: Path, count: Count
) -> None:
    """A forked process exits before a call, after it, or with a part of a write done."""
    violations = {
        case: carry_out(case, root, wreck)
        for case, wreck in wrecks(workload, root, every_length=THOROUGH).items()
    }
    count("processes that died during a workload", len(violations))
    _assert_none(violations)


def test_a_printed_case_can_be_replayed(root: Path) -> None:
    """OMNELOG_FAULT_CASE is the id of the case; without it, the test replays an example."""
    workload = Workload.parse("torn/durable/append")
    writes = [number for number, call in enumerate(record(workload, root)) if call.data]
    example = Case(workload, ((writes[0], "short:5"), (writes[-1] + 1, "short:5:ENOSPC")))
    case = Case.parse(os.environ.get("OMNELOG_FAULT_CASE", str(example)))
    assert str(Case.parse(str(case))) == str(case)
    assert record(case.workload, root) == record(case.workload, root)
    assert carry_out(case, root) == []


def test_a_repair_asks_for_holes_gives_the_quarantine_away_and_syncs_its_directory(
    root: Path,
) -> None:
    """So these calls are among those that the other tests make fail."""
    made: set[str] = set()
    for found in ("sparse", "others"):
        made |= {call.name for call in record(Workload.parse(f"{found}/plain/append"), root)}
    assert {"seek_data", "open_directory", "fsync_directory"} <= made
    assert "fchown" in made or os.geteuid() != 0


@pytest.mark.spec("APP-23")
@pytest.mark.parametrize("operation", ["append", "many"])
def test_an_append_is_one_write_of_all_its_lines(operation: str, root: Path) -> None:
    calls = record(Workload("sound", durable=True, operations=(operation,)), root)
    lines = [line(number) for number in range(11, 12 if operation == "append" else 14)]
    assert [call.data for call in calls if call.name == "write"] == [b"".join(lines)]


@pytest.mark.parametrize("operation", ["read", "scan"])
def test_a_tail_is_read_again_under_the_lock(operation: str, root: Path) -> None:
    calls = record(Workload("torn", durable=False, operations=(operation,)), root)
    names = [call.name for call in calls]
    assert names[names.index("try_lock") + 1 : names.index("unlock")].count("pread") == 2


@pytest.mark.spec("READ-4")
@pytest.mark.parametrize("operation", ["read", "scan"])
def test_a_reader_waits_for_the_lock_for_a_tenth_of_a_second(operation: str, root: Path) -> None:
    workload = Workload("torn", durable=False, operations=(operation,))
    names = [call.name for call in record(workload, root)]
    system = System({names.index("try_lock"): "busy:9s"})
    started = system.now
    record(workload, root, system=system)
    assert 0.09 < system.now - started <= 0.1001, "the last sleep is of a microsecond at least"


@pytest.mark.spec("APP-21")
def test_bytes_that_come_after_a_torn_tail_while_it_is_copied_are_never_cut(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A writer without the lock adds bytes: the tail that was seen is copied, but not cut off."""
    log = omnelog.EventLog.for_run(root, RUN)
    volume = Volume(root)
    volume.add(b"torn")
    between(monkeypatch, fsync=lambda _: volume.add(b" no more\n"))
    with log, pytest.raises(omnelog.LogIOError) as caught:
        log.append(event(1))
    assert (caught.value.errno, caught.value.filename) == (errno.EBUSY, volume.log)
    assert volume.read().startswith(b"torn no more\n")
    assert volume.files()[1] == b"torn\n"


@pytest.mark.parametrize("number_of_events", [1, 3])
def test_bytes_of_a_writer_that_takes_no_lock_are_never_cut(
    number_of_events: int, root: Path, count: Count
) -> None:
    """The bytes come after a part of the appended lines, so the rest must not be written."""
    events = [event(number) for number in range(number_of_events)]
    data = b"".join(map(line, range(number_of_events)))
    for length in range(1, len(data)):
        with interposed(System()) as system, omnelog.EventLog.for_run(root, RUN) as log:
            log.append(event(99))
            # The append locks, looks at the end of the file, and then writes.
            system.plan = {len(system.calls) + 2: f"short:{length}:foreign"}
            with pytest.raises(omnelog.AppendIndeterminate) as caught:
                log.append_many(events)
        assert Volume(root).read() == line(99) + data[:length] + FOREIGN_LINE
        assert caught.value.appended == data[:length].count(b"\n")
        rmtree(root)
    count("short writes into which another writer broke", len(data) - 1)
