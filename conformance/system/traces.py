# SPDX-License-Identifier: MIT
"""The calls that a clause requires, and their order, when no fault is injected.

A rule demands no more than its clause does. So an implementation that works in another way passes.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from .scenarios import ULID_OPS, WHOLE, Scenario, line
from .strace import ANSWER, Call

Calls = Sequence[Call]
Judge = Callable[[Calls, Scenario], str]
Applies = Callable[[Scenario], bool]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """A demand on the calls of a scenario; `judge` returns what is wrong, or an empty string."""

    demand: str
    clauses: tuple[str, ...]
    applies: Applies
    judge: Judge


RULES: dict[str, Rule] = {}


def _rule(clauses: str, applies: Applies, demand: str) -> Callable[[Judge], Judge]:
    """Register the decorated function in `RULES`, under its own name."""

    def enter(judge: Judge) -> Judge:
        name = judge.__name__.replace("_", "-")
        RULES[name] = Rule(
            demand=demand, clauses=tuple(clauses.split()), applies=applies, judge=judge
        )
        return judge

    return enter


# Shared by the scenarios.


def _appends(scenario: Scenario) -> bool:
    return scenario.op == "append" and bool(scenario.events) and not scenario.taken


def _writes(scenario: Scenario) -> bool:
    return scenario.writes and (bool(scenario.events) or scenario.op == "repair")


def _cuts(scenario: Scenario) -> bool:
    return _writes(scenario) and scenario.tail not in (b"", WHOLE)


def _opens(scenario: Scenario) -> bool:
    return _appends(scenario) and (not scenario.opened or bool(scenario.history))


def _durable(scenario: Scenario) -> bool:
    return _appends(scenario) and scenario.durable


def _on(calls: Calls, label: str, *kinds: str) -> list[int]:
    """Return the positions of the calls of these kinds on a file, without those that failed."""
    return [
        at
        for at, call in enumerate(calls)
        if call.label == label and call.kind in kinds and (call.result or 0) >= 0
    ]


def _flags(calls: Calls, label: str, wanted: str, without: str = "") -> str:
    opened = _on(calls, label, "open")
    for at in opened:
        arguments = calls[at].arguments
        missing = [flag for flag in wanted.split() if flag not in arguments]
        surplus = [flag for flag in without.split() if flag in arguments]
        if missing or surplus:
            return f"{calls[at]}: lacks {missing}, has {surplus}"
    return "" if opened else f"the {label} was not opened"


def _on_file(calls: Calls, label: str) -> Iterator[tuple[Call, bool]]:
    """Yield each call on a file, and whether its lock is held when the call is made."""
    held = False
    for call in calls:
        if call.label == label:
            yield call, held
            if call.kind == "lock" and call.result == 0:
                held = True
            if call.kind in ("unlock", "close"):
                held = False


def _unlocked(calls: Calls, label: str, *kinds: str) -> str:
    """Return a message on the first call of these kinds on a file without its lock, if any."""
    for call, held in _on_file(calls, label):
        if call.kind in kinds and not held:
            return f"{call} without the lock"
    return ""


# Opening.


@_rule("APP-1", _opens, "the log is opened O_RDWR, O_APPEND, O_CREAT")
def opened_for_appending(calls: Calls, _: Scenario) -> str:
    return _flags(calls, "log", "O_RDWR O_APPEND O_CREAT", "O_TRUNC")


@_rule("LOCK-5", _opens, "the log is opened O_CLOEXEC, O_NOCTTY, O_NONBLOCK")
def log_not_inherited(calls: Calls, _: Scenario) -> str:
    return _flags(calls, "log", "O_CLOEXEC O_NOCTTY O_NONBLOCK")


@_rule("APP-19 LOCK-5", _cuts, "the quarantine is opened as the log is")
def quarantine_opened_alike(calls: Calls, _: Scenario) -> str:
    flags = "O_RDWR O_APPEND O_CREAT O_CLOEXEC O_NOCTTY O_NONBLOCK"
    return _flags(calls, "quarantine", flags, "O_TRUNC")


@_rule("LOCK-6", _opens, "whether the log is a regular file is asked once it is open")
def looked_at(calls: Calls, _: Scenario) -> str:
    looks = _on(calls, "log", "look")
    opened = _on(calls, "log", "open")
    return "" if any(at > opened[-1] for at in looks) else "no fstat after the open"


@_rule("DUR-7", lambda s: s.durable and (not s.opened or bool(s.history)),
       "the directories from the run's to the root are synced before the answer")  # fmt: skip
def directories_synced(calls: Calls, _: Scenario) -> str:
    created = _on(calls, "log", "open")[-1:]
    wanted = ("run", "runs", "var", "omne", "root")
    missing = [
        label for label in wanted if not any(at > created[0] for at in _on(calls, label, "sync"))
    ]
    return f"not synced after the log was there: {missing}" if missing else ""


@_rule("APP-39", lambda s: s.history == "failure", "the log is opened again after a failure")
def reopened_after_a_failure(calls: Calls, _: Scenario) -> str:
    return "" if _on(calls, "log", "open") else "the handle went on with its old descriptor"


@_rule("APP-51 APP-52", lambda s: s.history == "replacement",
       "the look at the path is under the lock, and what is there then is opened")  # fmt: skip
def looked_under_the_lock(calls: Calls, _: Scenario) -> str:
    locked = _on(calls, "moved", "lock")
    opened = _on(calls, "log", "open")
    looks = [at for at, call in enumerate(calls) if call.kind == "look" and call.label == "log"]
    if not locked or not any(at > locked[0] for at in looks):
        return "no look at the path under the lock of the old file"
    if not opened or not _on(calls, "log", "lock"):
        return "the new log was not opened, or not locked"
    return ""


@_rule("APP-53", lambda s: bool(s.history), "no directory is created on a reopen")
def no_directory_on_a_reopen(calls: Calls, _: Scenario) -> str:
    made = [str(call) for call in calls if call.kind == "mkdir" and call.result == 0]
    return "; ".join(made)


# Locking.


@_rule("LOCK-8", lambda s: s.op not in ("follow", "enumerate") and s.name != "nothing",
       "every attempt to acquire a lock has LOCK_NB, and LOCK_EX or LOCK_SH")  # fmt: skip
def no_blocking_lock(calls: Calls, _: Scenario) -> str:
    asked = [call for call in calls if call.kind == "lock"]
    wrong = [str(call) for call in asked if "LOCK_NB" not in call.arguments]
    return "; ".join(wrong)


@_rule("LOCK-3", lambda _: True, "no record locks, and no lock on another file")
def no_record_locks(calls: Calls, _: Scenario) -> str:
    locks = [call for call in calls if call.kind == "fcntl" and "SETLK" in call.arguments]
    locks += [call for call in calls if call.kind == "lock" and call.label in ("run", "root")]
    return "; ".join(map(str, locks))


@_rule("LOCK-1 APP-9", _writes, "the log is written and cut under its own exclusive lock alone")
def written_under_the_lock(calls: Calls, _: Scenario) -> str:
    wrong = _unlocked(calls, "log", "write", "cut")
    shared = [str(c) for c in calls if c.kind == "lock" and "LOCK_SH" in c.arguments]
    return wrong or "; ".join(shared)


@_rule(
    "LOCK-14",
    lambda s: s.op in ("append", "repair", *ULID_OPS),
    "a lock is released before its file is closed",
)
def unlocked_before_the_close(calls: Calls, _: Scenario) -> str:
    for label in ("log", "moved", "last-ulid"):
        for call, held in _on_file(calls, label):
            if call.kind == "close" and held:
                return f"{call} while it is locked"
    return ""


@_rule("LOCK-15", lambda s: not s.taken, "every lock is released before the answer")
def all_unlocked(calls: Calls, _: Scenario) -> str:
    for label in ("log", "moved", "last-ulid", "quarantine"):
        taken = _on(calls, label, "lock")
        freed = _on(calls, label, "unlock", "close")
        if taken and not (freed and freed[-1] > taken[-1]):
            return f"the lock on the {label} was not released"
    return ""


@_rule("ERR-7 LOCK-18", lambda s: s.taken, "the holder is looked up only after the last attempt")
def holder_asked_in_the_end(calls: Calls, _: Scenario) -> str:
    tries = [at for at, call in enumerate(calls) if call.kind == "lock"]
    asked = [at for at, call in enumerate(calls) if call.label == "locks"]
    if not tries:
        return "there was no attempt to acquire the lock"
    return "the holder was looked up before" if asked and asked[0] < tries[-1] else ""


@_rule("APP-8", lambda s: s.taken, "an append that does not get the lock writes nothing")
def nothing_written(calls: Calls, _: Scenario) -> str:
    changes = ("write", "cut", "move", "sync")
    return "; ".join(str(c) for c in calls if c.kind in changes and c.label != ANSWER)


# Writing.


@_rule("APP-23 APP-32", _appends, "all bytes of an append are in one write")
def one_write(calls: Calls, scenario: Scenario) -> str:
    length = sum(len(line(number)) for number in scenario.events)
    written = [calls[at].result for at in _on(calls, "log", "write")]
    newline = [1] if scenario.tail == WHOLE else []
    return "" if written == [*newline, length] else f"writes of {written} bytes, not {length}"


@_rule(
    "APP-12", lambda s: _writes(s) and s.tail == WHOLE, "the missing newline is a write of its own"
)
def newline_by_itself(calls: Calls, _: Scenario) -> str:
    written = [calls[at].result for at in _on(calls, "log", "write")]
    return "" if written[:1] == [1] else f"writes of {written} bytes"


@_rule("APP-18", _cuts, "quarantine and directory are synced between the copy and the cut")
def synced_before_the_cut(calls: Calls, _: Scenario) -> str:
    cuts = _on(calls, "log", "cut")
    copies = _on(calls, "quarantine", "write")
    last_copy = copies[-1] if copies else _on(calls, "quarantine", "open")[-1]
    if not cuts:
        return "the tail was not cut"
    for label in ("quarantine", "run"):
        if not any(last_copy < at < cuts[0] for at in _on(calls, label, "sync")):
            return f"the {label} was not synced in between"
    return ""


@_rule(
    "APP-17", lambda s: s.name == "copied", "a tail that is in the quarantine is not copied again"
)
def not_copied_again(calls: Calls, _: Scenario) -> str:
    copies = _on(calls, "quarantine", "write")
    return "; ".join(str(calls[at]) for at in copies)


@_rule("APP-34", lambda s: s.name == "nothing", "an append of nothing calls nothing")
def nothing_done(calls: Calls, _: Scenario) -> str:
    return "; ".join(str(call) for call in calls if call.label != ANSWER)


@_rule("DUR-1", lambda s: s.writes and not s.durable, "the log is not synced in the default mode")
def not_synced(calls: Calls, _: Scenario) -> str:
    return "; ".join(str(calls[at]) for at in _on(calls, "log", "sync"))


@_rule("DUR-3 DUR-5", _durable, "the log is synced after it is unlocked and before the answer")
def synced_after_the_unlock(calls: Calls, _: Scenario) -> str:
    written = _on(calls, "log", "write")
    syncs = [at for at in _on(calls, "log", "sync") if at > written[-1]]
    answers = [at for at, call in enumerate(calls) if call.label == ANSWER]
    if not syncs or (answers and syncs[0] > answers[0]):
        return "no fsync or fdatasync between the write and the answer"
    unlocks = [at for at in _on(calls, "log", "unlock") if written[-1] < at < syncs[0]]
    return "" if unlocks else "the lock was held during the sync"


@_rule("DUR-4", _durable, "the whole file is synced and not a range of it")
def whole_file_synced(calls: Calls, _: Scenario) -> str:
    return "; ".join(str(call) for call in calls if call.name == "sync_file_range")


# Reading.


@_rule("READ-1 VOL-14", lambda s: s.reads, "the log is opened for reading only")
def opened_for_reading(calls: Calls, _: Scenario) -> str:
    return _flags(calls, "log", "O_RDONLY O_CLOEXEC O_NOCTTY O_NONBLOCK", "O_CREAT")


@_rule("VOL-14", lambda s: s.reads or s.op == "enumerate", "reading changes nothing")
def nothing_changed(calls: Calls, _: Scenario) -> str:
    changes = ("write", "cut", "mkdir", "move", "sync")
    return "; ".join(str(c) for c in calls if c.kind in changes and c.label != ANSWER)


@_rule(
    "READ-2",
    lambda s: s.op in ("read", "scan") and not s.tail,
    "whole lines are read without the lock",
)
def no_lock_for_whole_lines(calls: Calls, _: Scenario) -> str:
    return "; ".join(str(call) for call in calls if call.kind == "lock")


@_rule("READ-22", lambda s: s.op == "follow", "a follower does not acquire the lock")
def no_lock_by_a_follower(calls: Calls, _: Scenario) -> str:
    return "; ".join(str(call) for call in calls if call.kind == "lock")


@_rule("READ-4 READ-5 READ-3", lambda s: s.op in ("read", "scan") and bool(s.tail),
       "a tail is measured again and read under the lock, which is then released")  # fmt: skip
def tail_read_under_the_lock(calls: Calls, _: Scenario) -> str:
    locked = _on(calls, "log", "lock")
    if not locked:
        return "the lock was not taken"
    freed = [at for at in _on(calls, "log", "unlock", "close") if at > locked[0]]
    until = freed[0] if freed else len(calls)
    read = [at for at in _on(calls, "log", "read") if locked[0] < at < until]
    measured = [at for at in _on(calls, "log", "seek", "look", "read") if locked[0] < at < until]
    if not read or measured[0] == read[-1]:
        return "nothing was measured and read between the lock and its end"
    return ""


# ULIDs.


@_rule("ULID-2", lambda s: s.op in ULID_OPS, "the last ULID is read and written under its lock")
def ulid_under_the_lock(calls: Calls, _: Scenario) -> str:
    if not _on(calls, "last-ulid", "lock"):
        return "the lock was not acquired"
    return _unlocked(calls, "last-ulid", "read", "write", "cut")


@_rule(
    "ULID-10 ULID-13", lambda s: s.op in ULID_OPS, "it is written over in place, and not cut first"
)
def ulid_in_place(calls: Calls, _: Scenario) -> str:
    moved = [str(call) for call in calls if call.kind in ("move", "cut")]
    return "; ".join(moved) or _flags(calls, "last-ulid", "O_RDWR O_CLOEXEC", "O_TRUNC O_APPEND")


@_rule("ULID-9", lambda s: s.op in ULID_OPS, "it is in the file before the answer")
def ulid_before_the_answer(calls: Calls, _: Scenario) -> str:
    written = _on(calls, "last-ulid", "write")
    answers = [at for at, call in enumerate(calls) if call.label == ANSWER]
    if not written:
        return "it was not written"
    return "it was written later" if answers and written[0] > answers[0] else ""
