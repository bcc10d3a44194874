# SPDX-License-Identifier: MIT
"""The faults that can happen to a system call, and the answers that each clause then allows.

A case is named CLAUSE.scenario.call.fault. The call is given by its name, its number among the
calls of that name in the scenario, and the file. The calls are those that the implementation makes
without a fault.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from .scenarios import ULID_OPS, WHOLE, Scenario
from .strace import ANSWER, Call

Family = Literal["trace", "errors", "crashes", "preemption"]
FAMILIES: tuple[Family, ...] = ("trace", "errors", "crashes", "preemption")

OK = "ok"
IO = "LogIOError"
UNKNOWN = "AppendIndeterminate"
TIMEOUT = "LockTimeout"

ERRORS = {
    "open": ("EACCES", "EMFILE", "ENOSPC", "EINTR"),
    "read": ("EIO", "EINTR"),
    "write": ("ENOSPC", "EIO", "EINTR", "EDQUOT", "EFBIG"),
    "cut": ("EIO", "EINTR", "EPERM"),
    "sync": ("EIO", "ENOSPC", "EINTR", "EINVAL"),
    "seek": ("EIO",),
    "look": ("EIO", "EACCES"),
    "lock": ("EAGAIN", "ENOLCK", "EIO", "EINTR"),
    "unlock": ("EIO", "ENOLCK"),
    "close": ("EIO", "EINTR"),
    "mkdir": ("EACCES", "ENOSPC", "EROFS"),
}
"""The errors that each kind of call can fail with."""

_UNREMARKABLE = {"ioctl", "fcntl", "poll", "fadvise64", "move"}
_LOCAL = {"log", "quarantine", "last-ulid"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One fault at one call of one scenario; or, for a trace, a rule that the calls must follow.

    `owed`: the answers that are right. `call`: the call that the fault happens to. `before`: the
    call that comes before it, if there is one. `fault`: the name of the fault, which `play` knows
    how to cause, or of the rule. `observed`: the calls that a trace judges.
    """

    scenario: Scenario
    family: Family
    clauses: tuple[str, ...]
    fault: str
    owed: frozenset[str] = frozenset({OK})
    call: Call | None = None
    before: Call | None = None
    observed: tuple[Call, ...] | None = None

    @property
    def id(self) -> str:
        """The name by which the case can be run alone."""
        call = self.call.id if self.call else "trace"
        return f"{self.clauses[0]}.{self.scenario.name}.{call}.{self.fault}"


def cases(scenario: Scenario, calls: Sequence[Call]) -> Iterator[Case]:
    """Return all cases, except the traces, of a scenario in which `calls` were made."""
    acted = [call for call in calls if call.kind not in _UNREMARKABLE]
    watched = [call for call in acted if call.label != ANSWER]
    polled = False
    for at, call in enumerate(watched):
        before = watched[at - 1] if at else None
        after = watched[at + 1] if at + 1 < len(watched) else None
        if scenario.taken and call.kind == "lock":
            if polled:
                continue  # the number of attempts varies, so only the first one has cases
            polled = True
        yield from _errors(scenario, call, before, watched)
        if not scenario.taken:
            yield from _crashes(scenario, call, before)
            yield from _preemptions(scenario, call, after)


# Errors.


def _errors(
    scenario: Scenario, call: Call, before: Call | None, calls: Sequence[Call]
) -> Iterator[Case]:
    for error in ERRORS.get(call.kind, ()):
        clauses, owed = _owed(scenario, call, error)
        yield _case(scenario, "errors", clauses, error, owed=owed, call=call, before=before)
    writes_to_log = scenario.writes and call.kind == "write" and call.label == "log"
    if call.kind == "lock" and not scenario.taken:
        clauses, owed = _never_granted(scenario)
        yield _case(
            scenario, "errors", clauses, "EAGAIN-for-ever", owed=owed, call=call, before=before
        )
    if call.kind == "write" and call.label in _LOCAL:
        yield from _short_writes(scenario, call, before)
    if writes_to_log and call == _own_write(calls):
        yield _case(
            scenario, "errors", ("APP-26",), "writes-nothing", owed={IO}, call=call, before=before
        )
        if before is not None and before.name != call.name and not scenario.tail:
            half, everything = ("APP-27", "APP-29", "ERR-6"), ("APP-31", "ERR-6")
            yield _case(
                scenario, "errors", half, "half-then-EIO", owed={IO}, call=call, before=before
            )
            yield _case(
                scenario,
                "errors",
                everything,
                "all-then-EIO",
                owed={UNKNOWN},
                call=call,
                before=before,
            )


def _own_write(calls: Sequence[Call]) -> Call | None:
    """Return the write of the append's own lines, which is the last write to the log."""
    writes = [call for call in calls if call.kind == "write" and call.label == "log"]
    return writes[-1] if writes else None


def _short_writes(scenario: Scenario, call: Call, before: Call | None) -> Iterator[Case]:
    length = call.result or 0
    cuts = {"1": 1, "middle": length // 2, "newline": length - 1}
    lines = scenario.writes and call.label == "log" and length > 1
    for name, cut in cuts.items():
        if not 0 < cut < length:
            continue
        if scenario.op in ULID_OPS:
            owed = {OK, IO}
            whole, full = ["ULID-11"], ["ULID-11", "ERR-3"]
        elif lines:
            owed = {OK}
            whole, full = ["APP-24", "APP-23"], ["APP-27", "APP-28", "APP-29", "ERR-6"]
        else:
            owed = {OK}
            whole, full = ["APP-24", "APP-19"], ["APP-22", "APP-13"]
        yield _case(scenario, "errors", whole, f"short-{name}", owed=owed, call=call, before=before)
        yield _case(
            scenario, "errors", full, f"short-{name}-then-full", owed={IO}, call=call, before=before
        )
        if scenario.name == "durable-several" and name == "middle":
            fault, more = "short-middle-then-unsynced", ["DUR-12", "DUR-10", "DUR-9"]
            yield _case(scenario, "errors", more, fault, owed={UNKNOWN}, call=call, before=before)
        if lines and name != "1" and not scenario.tail:
            more = ["APP-30", "ERR-6"]
            fault = f"short-{name}-then-uncut"
            yield _case(scenario, "errors", more, fault, owed={UNKNOWN}, call=call, before=before)
            more = ["APP-28", "APP-30"]
            fault = f"short-{name}-then-foreign"
            yield _case(scenario, "errors", more, fault, owed={UNKNOWN}, call=call, before=before)


def _never_granted(scenario: Scenario) -> tuple[tuple[str, ...], set[str]]:
    if scenario.reads:
        return ("READ-6", "READ-4", "READ-10"), {OK}
    return ("LOCK-18", "APP-8", "LOCK-8"), {TIMEOUT}


def _owed(scenario: Scenario, call: Call, error: str) -> tuple[tuple[str, ...], set[str]]:
    """Return the clauses that say what must follow an error, and the answers that are right."""
    clauses, owed = _owed_by_kind(scenario, call)
    if error == "EINTR" and call.kind == "write" and scenario.writes and call.label == "log":
        return ("APP-25", *clauses), {OK}
    if error == "EAGAIN":
        return (("READ-4" if scenario.reads else "LOCK-8"), *clauses), set(scenario.normal)
    of_a_repair = scenario.writes and bool(scenario.tail) and call.label == "run"
    not_to_be_synced = (call.kind, error) in (("sync", "EINVAL"), ("open", "EACCES"))
    if of_a_repair and not_to_be_synced:
        return ("APP-59", "APP-18"), {IO} if scenario.durable else {OK}
    asks_the_path = call.kind == "look" and not call.arguments[:1].isdecimal()
    if scenario.history == "replacement" and asks_the_path and error == "EACCES":
        return ("APP-55", "APP-51"), {OK}
    if error == "EINTR":  # the implementation may repeat the call
        owed = {OK, *owed}
    if OK in owed:
        owed |= scenario.normal
    return clauses, owed


def _owed_by_kind(scenario: Scenario, call: Call) -> tuple[tuple[str, ...], set[str]]:
    kind, label = call.kind, call.label
    refused = {IO}
    if kind in (
        "seek",
        "look",
        "close",
    ):  # the result of some of these calls does not matter, so either answer is right
        clause = "READ-13" if scenario.reads else "APP-22" if scenario.tail else "LOCK-6"
        clause = "ULID-11" if scenario.op in ULID_OPS else clause
        clause = "VOL-20" if scenario.op == "enumerate" else clause
        return (clause, "ERR-3"), {OK, *refused}
    if kind == "lock":
        return ("LOCK-17", "ERR-3"), refused
    if scenario.taken:
        return ("LOCK-18", "ERR-7"), {TIMEOUT} if label == "locks" else {TIMEOUT, *refused}
    if scenario.op == "enumerate":
        return ("VOL-20", "ERR-3"), refused
    if scenario.reads:
        if kind == "unlock":
            return ("READ-5", "LOCK-15"), {OK, *refused}
        return ("READ-13", "ERR-3"), refused
    if scenario.op in ULID_OPS:
        if kind in ("unlock", "cut", "sync"):
            return ("ULID-9", "LOCK-15"), {OK, *refused}
        if kind == "mkdir":
            return ("ULID-3", "ERR-3"), {OK, *refused}
        return ("ULID-11", "ERR-3"), refused
    if kind == "unlock":
        if scenario.op == "repair" or label != "log":
            return ("LOCK-15", "APP-39"), {OK, *refused}
        return ("APP-31", "LOCK-15", "APP-39"), {UNKNOWN}
    if kind == "mkdir":
        return ("VOL-12", "ERR-3"), {OK, *refused}
    if kind == "sync" and label == "log":
        return ("DUR-8", "DUR-9"), {UNKNOWN}
    if label == "quarantine" or (scenario.tail and kind in ("sync", "open") and label == "run"):
        return ("APP-22", "APP-18", "ERR-3"), refused
    if kind in ("sync", "open") and label not in ("log", "quarantine"):
        return ("DUR-7", "ERR-3"), refused
    if kind == "write":
        own = (call.result or 0) > 1
        return ("APP-29", "APP-39", "ERR-6") if own else ("APP-22", "APP-39"), refused
    if scenario.tail:
        return ("APP-22", "ERR-3"), refused
    return ("APP-9" if kind == "read" else "APP-39", "ERR-3"), refused


# Crashes.


def _crashes(scenario: Scenario, call: Call, before: Call | None) -> Iterator[Case]:
    if scenario.op in ULID_OPS:
        clauses: tuple[str, ...] = ("ULID-9", "ULID-10", "LOCK-15")
    elif scenario.writes:
        clauses = ("APP-37", "APP-35", "APP-36", "APP-17", "DUR-2")
    else:
        clauses = ("VOL-14", "LOCK-15")
    yield _case(scenario, "crashes", clauses, "killed-before", owed=set(), call=call, before=before)
    yield _case(scenario, "crashes", clauses, "killed-after", owed=set(), call=call, before=before)
    length = call.result or 0
    if call.kind == "write" and scenario.writes and length > 1:
        for name in ("1", "middle", "newline"):
            yield _case(
                scenario,
                "crashes",
                clauses,
                f"killed-at-{name}",
                owed=set(),
                call=call,
                before=before,
            )


# Preemption.


def _preemptions(scenario: Scenario, call: Call, after: Call | None) -> Iterator[Case]:
    def stopped(fault: str, *clauses: str, owed: Sequence[str] = (OK,)) -> Case:
        return _case(
            scenario,
            "preemption",
            clauses,
            f"stopped-{fault}",
            owed=set(owed),
            call=call,
            before=None,
        )

    if scenario.op == "enumerate":
        return
    if scenario.op in ULID_OPS:
        yield stopped("other-allocates", "ULID-2", "ULID-5", "ULID-10")
        yield stopped("other-locks", "ULID-2", "LOCK-8")
        return
    if scenario.reads:
        either = (OK, *scenario.normal)  # the tail may be repaired or be in flight when A reads it
        clause = "READ-14" if scenario.tail else "READ-9"
        more = ("READ-10", "READ-3", "READ-5")
        yield stopped("other-appends", clause, *more, owed=either)
        if scenario.tail:
            yield stopped("other-repairs", clause, *more, owed=either)
        if scenario.op != "follow":
            yield stopped("log-replaced", "READ-9", "READ-10", owed=either)
        yield stopped("other-locks", "READ-6", "READ-22", "READ-4", owed=either)
        if scenario.op == "follow":
            yield stopped("log-cut", "READ-28", owed=(OK, IO))
        return
    yield stopped("other-appends", "LOCK-1", "LOCK-2", "APP-9", "APP-32")
    yield stopped("other-reads", "READ-10", "READ-6", "APP-36")
    yield stopped("other-locks", "LOCK-8", "LOCK-2")
    if scenario.history != "replacement":
        yield stopped("log-replaced", "APP-51", "APP-52", owed=(OK, IO))
    tail_is_copied = call.label == "quarantine"
    tail_is_read = scenario.tail == WHOLE and call.label == "log" and call.kind == "read"
    leaves_time = after is not None and after.kind not in ("cut", "write")
    if scenario.tail and (tail_is_copied or tail_is_read) and leaves_time:
        yield stopped("foreign-bytes", "APP-21", "APP-36", owed=(OK, IO))


def _case(
    scenario: Scenario,
    family: Family,
    clauses: Sequence[str],
    fault: str,
    *,
    owed: set[str],
    call: Call,
    before: Call | None,
) -> Case:
    return Case(
        scenario=scenario,
        family=family,
        clauses=tuple(dict.fromkeys(clauses)),
        fault=fault,
        owed=frozenset(owed),
        call=call,
        before=before,
    )
