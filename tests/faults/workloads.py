# SPDX-License-Identifier: MIT
"""What is done to a log while its system fails, and what must hold of the log whatever happened.

A `Workload` is a log as it is found, a kind of handle and up to three operations. It is carried out
in a fresh volume; a `Ledger` keeps what the caller knows: which events must be in the log, which
may be, which bytes must not be lost. Afterwards the log is examined, appended to and read, by the
handle that met the fault, by one that was open before and by a new one.

What a process leaves that dies at a system call is seen by a `Witness` at that very call, before
anything after it runs, and is examined on its own. Processes that really die, forked ones that exit
on the spot, show that a witness sees right; replaying a case's id kills one, too.
"""

import errno
import json
import os
import pickle
import shutil
import threading
import traceback
import warnings
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field, replace
from io import BytesIO
from itertools import takewhile
from pathlib import Path
from typing import TypeAlias

from .. import omnelog
from .system import DEAD, UNSUPPORTED, Call, System, interposed, is_benign, is_locked

RUN = "r"
TIMEOUT_S = 0.01

Note: TypeAlias = tuple[str, object]
Plan: TypeAlias = tuple[tuple[int, str], ...]


def event(number: int) -> "omnelog.PipeCompleted":
    """A short event of its own: each of its bytes is a place to fail at."""
    return omnelog.PipeCompleted(id=str(number), ts="t", run_id=RUN)


def line(number: int) -> bytes:
    """The line of `event`, spelt by hand."""
    return b'{"type":"pipe.completed","id":"%d","ts":"t","run_id":"r"}\n' % number


SEED = line(0)
GARBAGE = b'{"type":"node.started","id":"torn","run'
WHOLE = line(3)[:-1]
OLDER = b"older"
NULS = bytes(40)
LARGE = b'{"type":"' + b"x" * 600_000  # more than two of the blocks in which it is copied
HOLE = bytes(600_000)  # which takes no room on the disk
FOUND: dict[str, tuple[bytes | None, bytes | None]] = {
    "absent": (None, None),
    "empty": (b"", None),
    "sound": (SEED, None),
    "torn": (SEED + GARBAGE, None),
    "torn-alone": (GARBAGE, None),
    "unterminated": (SEED + WHOLE, None),
    "nuls": (SEED + NULS, None),
    "part-and-nuls": (SEED + GARBAGE + NULS, None),
    "copied": (SEED + GARBAGE, OLDER + b"\n" + GARBAGE + b"\n"),
    "copied-but-newline": (SEED + GARBAGE, GARBAGE),
    "half-copied": (SEED + GARBAGE, OLDER + b"\n" + GARBAGE[:20]),
    "large": (SEED + LARGE, None),
    "sparse": (SEED + GARBAGE + HOLE + GARBAGE, None),
    "others": (SEED + GARBAGE, None),  # and the log belongs to somebody else, where one may do that
}
"""A log, and its quarantine, as a workload finds them."""


@dataclass(frozen=True, slots=True)
class Workload:
    """A log as it is found, whether the handle is durable, and what is done."""

    found: str
    durable: bool
    operations: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.found}/{'durable' if self.durable else 'plain'}/{'+'.join(self.operations)}"

    @classmethod
    def parse(cls, text: str) -> "Workload":
        """The workload whose `str` is `text`."""
        found, handle, operations = text.split("/")
        return cls(found, handle == "durable", tuple(operations.split("+")))


@dataclass(frozen=True, slots=True)
class Case:
    """A workload, and which of its system calls meet which faults."""

    workload: Workload
    plan: Plan

    def __str__(self) -> str:
        return f"{self.workload}@{','.join(f'{call}={fault}' for call, fault in self.plan)}"

    @classmethod
    def parse(cls, text: str) -> "Case":
        """The case whose `str` is `text`."""
        workload, plan = text.split("@")
        pairs = (part.split("=") for part in plan.split(","))
        return cls(Workload.parse(workload), tuple((int(call), fault) for call, fault in pairs))

    @property
    def kills(self) -> bool:
        """Whether one of the faults is the death of the process."""
        return any(fault.startswith(("before", "after", "dies")) for _, fault in self.plan)


@dataclass(slots=True)
class Segment:
    """Lines that one call was to append: of them, from `least` to `most` stand, the first ones."""

    lines: list[bytes]
    least: int
    most: int


@dataclass(slots=True)
class Ledger:
    """What a caller knows, and what was seen on the way."""

    segments: list[Segment] = field(default_factory=list)
    fragments: list[bytes] = field(default_factory=list)  # torn tails that were seen
    violations: list[str] = field(default_factory=list)

    def note(self, note: Note) -> None:
        """Take down what a workload, perhaps in a process that is dead by now, says."""
        match note:
            case "begins", list(lines):
                self.segments.append(Segment(lines, 0, len(lines)))
            case "ended", (int(least), int(most)):
                self.segments[-1].least, self.segments[-1].most = least, most
            case "tail", bytes(tail):
                if tail and tail not in self.fragments:
                    self.fragments.append(tail)
            case "violation", str(text):
                self.violations.append(text)
            case _:
                raise AssertionError(note)

    def judge(self, lines: list[bytes], tail: bytes) -> None:
        """Note what is wrong with the terminated `lines` of the log, and with its tail."""
        at, open_ends = 0, []
        for segment in self.segments:
            pairs = zip(lines[at:], segment.lines, strict=False)
            stand = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))
            at += stand
            if stand < segment.least:
                self.violations.append(f"{segment.lines[stand]!r} was acknowledged, and is missing")
            if stand > segment.most:
                self.violations.append(f"{segment.lines[stand - 1]!r} was denied, but is there")
            if stand < segment.most:
                open_ends.append(segment.lines[stand])
        if at != len(lines):
            self.violations.append(f"{lines[at]!r} is there twice, or nobody's, or out of order")
        if tail and tail not in self.fragments:
            if not any(line.startswith(tail) for line in open_ends):
                self.violations.append(f"the tail {tail!r} is there, and nothing reported it")
            self.fragments.append(tail)
        for line in lines:
            try:
                json.loads(line)
            except ValueError:
                self.violations.append(f"{line!r} is not a line of JSON")

    def judge_quarantine(self, lines: list[bytes], quarantined: bytes) -> None:
        """Note which bytes were lost, or set aside twice, or should not have been."""
        if quarantined and not quarantined.endswith(b"\n"):
            self.violations.append(f"the quarantine is left torn: {quarantined!r:.99}")
        aside = quarantined.split(b"\n")[:-1]
        torn = [fragment for fragment in self.fragments if not is_event(fragment)]
        for fragment in self.fragments:
            if fragment not in torn and fragment + b"\n" not in lines:
                self.violations.append(f"{fragment!r} lacked but a newline, and is lost")
            if aside.count(fragment) != (fragment in torn):
                count = aside.count(fragment)
                self.violations.append(f"{fragment!r:.99} is {count} times in the quarantine")
        for found in aside:
            if found != OLDER and not any(fragment.startswith(found) for fragment in torn):
                self.violations.append(f"{found!r:.99} is in the quarantine, but was never torn")


def is_event(line: bytes) -> bool:
    """Whether `line`, which comes from here, is a whole event."""
    return line.startswith(b"{") and line.endswith(b"}")


class Volume:
    """A volume with one run, looked at without the core's help."""

    def __init__(self, root: Path) -> None:
        self.root = str(root)
        self.directory = f"{root}/.omne/var/runs/{RUN}"
        self.log, self.torn = (
            f"{self.directory}/events.jsonl",
            f"{self.directory}/events.jsonl.torn",
        )
        self.moved = f"{self.directory}/moved"

    def read(self) -> bytes:
        """What is in the log."""
        return _read(self.log)

    def lines(self) -> list[bytes]:
        """The terminated lines of the log, those that were moved away first."""
        return [line for path in (self.moved, self.log) for line in _split(path)[0]]

    def current(self) -> tuple[list[bytes], bytes]:
        """The terminated lines of the log, and its tail."""
        return _split(self.log)

    def files(self) -> tuple[bytes | None, bytes | None, bytes | None]:
        """What is in the log, in its quarantine, and in the log that was moved away."""
        log, torn, moved = (
            _read(path) if os.path.exists(path) else None
            for path in (self.log, self.torn, self.moved)
        )
        return log, torn, moved

    def deepest(self) -> str:
        """The run's directory, or the deepest there is of those above it."""
        directory = self.directory
        while not os.path.exists(directory):
            directory = os.path.dirname(directory)
        return directory

    def restore(self, wreck: "Wreck") -> None:
        """Put a volume into the state that a dead process left it in; files stay the same files."""
        os.makedirs(wreck.directory, exist_ok=True)
        if wreck.files[2] is not None:
            os.rename(self.log, self.moved)
        for path, content in zip((self.log, self.torn, self.moved), wreck.files, strict=True):
            if content is not None:
                with open(path, "wb") as file:
                    file.write(content)
            elif os.path.exists(path):
                os.remove(path)

    def add(self, data: bytes) -> None:
        """Write at the log's end, as another program would."""
        before, hole, after = data.partition(HOLE)
        with open(self.log, "ab", buffering=0) as log:
            log.write(before)
            log.truncate(os.fstat(log.fileno()).st_size + len(hole))
            log.write(after)

    def descriptors(self) -> set[int]:
        """The descriptors this process has in the volume."""
        found = set()
        for fd in map(int, os.listdir("/proc/self/fd")):
            with suppress(FileNotFoundError):  # the one of listdir itself
                if os.readlink(f"/proc/self/fd/{fd}").startswith(self.root):
                    found.add(fd)
        return found

    def locked(self) -> list[str]:
        """The files of the run that somebody has locked."""
        return [path for path in (self.log, self.torn) if os.path.exists(path) and is_locked(path)]


def _read(path: str) -> bytes:
    with open(path, "rb", buffering=0) as file:
        return file.readall()


def _split(path: str) -> tuple[list[bytes], bytes]:
    with suppress(FileNotFoundError):
        *lines, tail = _read(path).split(b"\n")
        return [line + b"\n" for line in lines], tail
    return [], b""


@dataclass(frozen=True, slots=True)
class Wreck:
    """What a process leaves behind that dies at some instant: files, and a ledger."""

    fault: str
    directory: str  # the deepest there is
    files: tuple[bytes | None, bytes | None, bytes | None]  # the log, the quarantine, one moved
    segments: tuple[tuple[tuple[bytes, ...], int, int], ...]
    fragments: tuple[bytes, ...]

    @classmethod
    def at(cls, fault: str, volume: Volume, ledger: Ledger) -> "Wreck":
        """What is left at this instant."""
        segments = tuple((tuple(s.lines), s.least, s.most) for s in ledger.segments)
        return cls(fault, volume.deepest(), volume.files(), segments, tuple(ledger.fragments))

    def ledger(self) -> Ledger:
        """The ledger that is left."""
        segments = [Segment(list(lines), least, most) for lines, least, most in self.segments]
        return Ledger(segments, list(self.fragments))


class Witness(System):
    """A system that sees what a process would leave behind if it died at any of its calls.

    That is all it wrote until then: its own clean-up cannot be part of it, and its locks and
    descriptors go with the process.
    """

    def __init__(
        self, plan: Mapping[int, str], volume: Volume, ledger: Ledger, *, every_length: bool
    ) -> None:
        super().__init__(plan)
        self._every_length = every_length
        self.wrecks: list[Wreck] = []
        self._volume, self._ledger = volume, ledger
        self._after = max(plan, default=-1)  # before that it is another case's

    def instant(self, when: str, path: str, data: bytes = b"") -> None:
        if len(self.calls) <= self._after:
            return
        number = len(self.calls) - (when == "after")
        wreck = Wreck.at(f"{number}={when}", self._volume, self._ledger)
        self.wrecks.append(wreck)
        lengths = Call("write", path, data).lengths(every=self._every_length) if data else ()
        for length in lengths:
            files = list(wreck.files)
            which = (self._volume.log, self._volume.torn).index(path)
            files[which] = (files[which] or b"") + data[:length]
            log, torn, moved = files
            fault = f"{number}=dies:{length}"
            self.wrecks.append(replace(wreck, fault=fault, files=(log, torn, moved)))


class Carrier:
    """Carries out a workload, and gives `note` what its caller gets."""

    def __init__(self, workload: Workload, volume: Volume, note: Callable[[Note], None]) -> None:
        self.workload, self.volume, self.note = workload, volume, note
        self.handles: list[omnelog.EventLog] = []
        self.poisoned: list[omnelog.EventLog] = []  # a sync has failed
        self._system = System()
        self._before: set[int] = set()  # descriptors
        self._struck = 0  # how many faults had come to pass before this operation
        self._number = 10

    def carry_out(self, system: System) -> None:
        """Do all operations, looking about after each; leave the handles open."""
        self.begin(system)
        with interposed(system):
            for operation in self.workload.operations:
                self._struck = len(system.struck)
                system.next_operation()
                getattr(self, f"_do_{operation}")()
                self._look(f"after {operation}")
        for violation in system.violations:
            self._violation(violation)

    def begin(self, system: System) -> None:
        """Take down what is open before anything is done."""
        self._system, self._before = system, self.volume.descriptors()

    # The operations.

    def _do_open(self) -> None:
        """Open a handle, beside those that are open."""
        try:
            log = omnelog.EventLog.for_run(
                self.volume.root, RUN, lock_timeout=TIMEOUT_S, durable=self.workload.durable
            )
        except omnelog.LogIOError as error:
            self._excuse("open", error)
        else:
            self.handles.append(log)
            self._confirm("open")

    def _do_append(self) -> None:
        """Append an event."""
        self._append(1)

    def _do_many(self) -> None:
        """Append three events with one call."""
        self._append(3)

    def _do_repair(self) -> None:
        """Repair what a dead writer left, and append nothing."""
        if not self.handles:
            self._do_open()
        if not self.handles:
            return
        log = self.handles[-1]
        try:
            log.repair()
        except (omnelog.LogIOError, omnelog.LockTimeout) as error:
            self._excuse("append", error)
        except omnelog.AppendIndeterminate as error:
            self._excuse("append", error)
            if self._strikes("E", "fdatasync"):
                self.poisoned.append(log)
            else:
                self._violation(f"nothing was appended, and yet {error!r}")
        else:
            self._confirm("repair")
            if tail := self.volume.current()[1]:
                self._violation(f"repaired, and yet the log ends in {tail!r}")

    def _do_read(self) -> None:
        """Read the log."""
        try:
            found = omnelog.read_run(self.volume.root, RUN)
        except omnelog.TornTailError as error:
            tail = self.volume.current()[1]
            if not tail or is_event(tail):
                self._violation(f"no tail is torn, but read_run says: {error}")
        except omnelog.LogIOError as error:
            self._excuse("read", error)
        else:
            self._compare("read_run", found, torn=False)

    def _do_scan(self) -> None:
        """Read the log past all damage."""
        try:
            scan = omnelog.scan_run(self.volume.root, RUN)
        except omnelog.LogIOError as error:
            self._excuse("read", error)
            return
        torn = [type(problem) for problem in scan.problems] == [omnelog.TornTailError]
        if (scan.problems and not torn) or scan.blank_lines:
            self._violation(f"scan_run finds {scan.problems} and {scan.blank_lines} blank lines")
        if scan.tail_in_flight and not self._strikes("busy"):
            self._violation("scan_run finds a tail in flight, but nobody is writing")
        self._compare("scan_run", scan.events, torn=torn)

    def _do_follow(self) -> None:
        """Follow the log, while somebody else appends to it, until there is no more."""
        stop = _ScriptedStop([self._append_elsewhere])
        found: list[omnelog.Event] = []
        try:
            found.extend(omnelog.follow_run(self.volume.root, RUN, stop=stop))
        except omnelog.LogIOError as error:
            self._excuse("read", error)
        else:
            if found != (expected := list(map(omnelog.decode, self.volume.current()[0]))):
                self._violation(f"follow_run gives {found}, not {expected}")

    def _do_close(self) -> None:
        """Close the handle, twice."""
        for log in self.handles[-1:]:
            log.close()
            log.close()
            self.handles.remove(log)

    def _do_idle(self) -> None:
        """Let so much time pass that the next append looks for a replaced log."""
        self._system.now += 1.5

    def _do_tear(self) -> None:
        """Somebody else dies in the middle of a write."""
        if os.path.exists(self.volume.log) and not self.volume.current()[1]:
            self._number += 1
            self.note(("tail", tail := b"%d" % self._number + GARBAGE))
            self.volume.add(tail)

    def _do_forget(self) -> None:
        """Somebody else dies between a line and its newline."""
        if os.path.exists(self.volume.log) and not self.volume.current()[1]:
            self._number += 1
            self.note(("begins", [line(self._number)]))
            self.volume.add(line(self._number)[:-1])

    def _do_move(self) -> None:
        """The log is moved away, and so much time passes that the next append finds out."""
        if os.path.exists(self.volume.moved):
            return  # one is enough
        if os.path.exists(self.volume.log) and not self.volume.current()[1]:
            os.rename(self.volume.log, self.volume.moved)
        self._do_idle()

    # What they are made of.

    def _append(self, count: int) -> None:
        if not self.handles:
            self._do_open()
        if not self.handles:
            return
        log = self.handles[-1]
        numbers = range(self._number + 1, self._number + 1 + count)
        self._number += count
        self.note(("begins", list(map(line, numbers))))
        least = most = count
        try:
            log.append(event(*numbers)) if count == 1 else log.append_many(map(event, numbers))
        except (omnelog.LogIOError, omnelog.LockTimeout) as error:
            least = most = error.appended
            self._excuse("append", error)
            if most == count:
                self._violation(f"all is there, and yet {error!r}")
        except omnelog.AppendIndeterminate as error:
            least = error.appended
            self._excuse("append", error)
            self.note(("tail", self.volume.current()[1]))  # part of what could not be taken back
            if self._strikes("E", "fdatasync"):
                self.poisoned.append(log)
                if least != count and not self._strikes(call="write"):
                    self._violation(f"only {least} of {count} stand, though all are written")
        else:
            self._confirm("append")
            if line(numbers[-1]) not in self.volume.current()[0]:
                self._violation("acknowledged, and not in the log that is at the path")
            if log in self.poisoned:
                self._violation("promised to be durable after a sync had failed")
        self.note(("ended", (least, most)))

    def _append_elsewhere(self) -> None:
        if os.path.exists(self.volume.log) and not self.volume.current()[1]:
            self._number += 1
            self.note(("begins", [line(self._number)]))
            self.volume.add(line(self._number))
            self.note(("ended", (1, 1)))

    def _strikes(self, prefix: str = "", call: str = "") -> list[tuple[Call, str]]:
        """The faults of one kind that came to pass in this operation."""
        return [
            strike
            for strike in self._system.struck[self._struck :]
            if strike[1].startswith(prefix) and call in strike[0].name
        ]

    def _confirm(self, what: str) -> None:
        """Note a violation if the operation had no right to succeed."""
        if failed := [strike for strike in self._strikes("E") if self._is_needed(*strike)]:
            self._violation(f"{what} succeeds although a sync failed: {failed}")

    def _is_needed(self, call: Call, fault: str) -> bool:
        """Whether what failed is a sync that somebody depends on."""
        if call.name == "open_directory":
            return self.workload.durable
        if call.name == "fsync_directory" and fault in UNSUPPORTED:
            return self.workload.durable
        return "sync" in call.name

    def _excuse(self, what: str, error: "OSError") -> None:
        """Note a violation unless `error` is what a fault in this operation has to lead to."""
        faults = [fault for _, fault in self._strikes() if not is_benign(fault)]
        expected = {fault.rpartition(":")[2].replace("9s", "ETIMEDOUT") for fault in faults}
        if what == "append" and self.handles[-1] in self.poisoned:
            expected.add("EIO")
        if what == "read" and not os.path.exists(self.volume.log):
            expected.add("ENOENT")
        if errno.errorcode.get(error.errno or 0) not in expected:
            self._violation(f"{what} meets {faults} and raises {error!r}")
        log = Path(self.volume.log)
        known = {self.volume.log, self.volume.torn, *map(str, log.parents)}
        if str(error.filename) not in known:
            self._violation(f"{what} raises {error!r}, which names no file of the run")
        self._look(f"while handling {error!r}")

    def _compare(self, what: str, found: "list[omnelog.Event]", *, torn: bool) -> None:
        """Note a violation unless `found` is what the log holds, up to a tail if it is `torn`."""
        lines, tail = self.volume.current()
        expected = list(map(omnelog.decode, lines))
        if self._strikes("busy:9s") and found == expected:
            return  # the tail may be in flight
        if is_event(tail):
            expected.append(omnelog.decode(tail))
        if found != expected or torn != (bool(tail) and not is_event(tail)):
            self._violation(f"{what} gives {found} {torn=} of {lines} {tail!r}")

    def _look(self, when: str) -> None:
        """Note what no operation may leave behind."""
        if locked := self.volume.locked():
            self._violation(f"locked {when}: {locked}")
        if len(found := self.volume.descriptors() - self._before) > len(self.handles):
            self._violation(f"open {when}: {found} for {len(self.handles)} handles")

    def _violation(self, text: str) -> None:
        self.note(("violation", text))


class _ScriptedStop(threading.Event):
    """Does the next step instead of waiting; when there is none, says stop."""

    def __init__(self, steps: list[Callable[[], None]]) -> None:
        super().__init__()
        self._steps = iter(steps)

    def wait(self, timeout: float | None = None) -> bool:
        del timeout
        step = next(self._steps, self.set)
        step()
        return self.is_set()


def record(
    workload: Workload, root: Path, plan: Plan = (), system: System | None = None
) -> list[Call]:
    """The system calls of a workload, in a volume that is made at `root` and removed."""
    system = system or System(dict(plan))
    _carry_out(Case(workload, plan), root, system)
    return system.calls


def carry_out(case: Case, root: Path, wreck: Wreck | None = None) -> list[str]:
    """Carry out a case in a volume that is made at `root` and removed; return its violations.

    It is one, too, if a process that the case kills leaves anything but that `wreck`.
    """
    return _carry_out(case, root, System(dict(case.plan)), wreck)


def wrecks(
    workload: Workload, root: Path, plan: Plan = (), *, every_length: bool = False
) -> dict[Case, Wreck]:
    """What a process leaves that dies at any of the calls after those in `plan`, or in a write."""
    volume, ledger = Volume(root), Ledger()
    with interposed(System()):
        handles = _prepare(workload, volume, ledger)
    witness = Witness(dict(plan), volume, ledger, every_length=every_length)
    carrier = Carrier(workload, volume, ledger.note)
    carrier.carry_out(witness)
    with interposed(System()):
        for log in [*handles, *carrier.handles]:
            log.close()
    shutil.rmtree(root)
    found = {}
    for wreck in witness.wrecks:
        call, fault = wreck.fault.split("=")
        found[Case(workload, (*plan, (int(call), fault)))] = wreck
    return found


def examine(case: Case, wreck: Wreck, root: Path) -> list[str]:
    """Go on in a volume with what a dead process left; return the violations."""
    volume = Volume(root)
    ledger = wreck.ledger()
    with interposed(System()):
        handles = _prepare(case.workload, volume, Ledger())
    volume.restore(wreck)
    _finish(case, Carrier(case.workload, volume, ledger.note), ledger, handles, 1000)
    return ledger.violations


def _carry_out(case: Case, root: Path, system: System, wreck: Wreck | None = None) -> list[str]:
    volume, ledger = Volume(root), Ledger()
    carrier = Carrier(case.workload, volume, ledger.note)
    with interposed(System()):
        handles = _prepare(case.workload, volume, ledger)
    if case.kills:
        _in_child(carrier, system, ledger)
    else:
        carrier.carry_out(system)
    if wreck and wreck != (left := Wreck.at(wreck.fault, volume, ledger)):
        ledger.violations.append(f"left is {left}, not {wreck}")
    _finish(case, carrier, ledger, handles, system.now)
    return ledger.violations


def _finish(
    case: Case, carrier: Carrier, ledger: Ledger, handles: "list[omnelog.EventLog]", now: float
) -> None:
    """Judge what was left, go on with it, judge again, remove the volume."""
    volume = carrier.volume
    ledger.judge(volume.lines(), volume.current()[1])
    with interposed(system := System()):
        system.now = now + 10
        who = sum(call for call, _ in case.plan)  # repairs what there is to repair
        _afterwards(carrier, ledger, handles, who)
    ledger.judge(volume.lines(), volume.current()[1])
    if volume.current()[1]:
        ledger.violations.append("the tail is still there")
    ledger.judge_quarantine(volume.lines(), volume.files()[1] or b"")
    if left := volume.descriptors():
        ledger.violations.append(f"descriptors are left open: {left}")
    shutil.rmtree(volume.root)


def _prepare(workload: Workload, volume: Volume, ledger: Ledger) -> "list[omnelog.EventLog]":
    """Make the volume as the workload finds it, with a handle that has appended to it if it can."""
    log, torn = FOUND[workload.found]
    os.makedirs(volume.root if log is None else volume.directory)
    if log is None:
        return []
    handles = []
    volume.add(log[: log.rfind(b"\n") + 1])
    if log.startswith(SEED):
        handles.append(omnelog.EventLog.for_run(volume.root, RUN, lock_timeout=TIMEOUT_S))
        handles[0].append(event(1))
        ledger.segments.append(Segment([SEED, line(1)], 2, 2))
    tail = log[log.rfind(b"\n") + 1 :]
    volume.add(tail)
    ledger.note(("tail", tail))
    if is_event(tail):
        ledger.segments.append(Segment([tail + b"\n"], 0, 1))
    if workload.found == "others" and os.geteuid() == 0:
        os.chown(volume.log, 12345, 23456)
    if torn is not None:
        with open(volume.torn, "xb") as quarantine:
            quarantine.write(torn)
    return handles


def _in_child(carrier: Carrier, system: System, ledger: Ledger) -> None:
    """Carry out a workload that a fault kills in a process that can die of it."""
    inbound, outbound = os.pipe()
    with warnings.catch_warnings():  # that there are threads, pytest-xdist's: the child needs none
        warnings.simplefilter("ignore", DeprecationWarning)
        pid = os.fork()
    if not pid:
        try:
            carrier.note = lambda note: _send(outbound, note)
            carrier.carry_out(system)
        except BaseException:  # or pytest would go on in the child
            _send(outbound, ("violation", traceback.format_exc()))
        os._exit(0)
    os.close(outbound)
    with open(inbound, "rb") as pipe:
        said = BytesIO(pipe.read())
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    with suppress(EOFError):
        while True:
            ledger.note(pickle.load(said))
    if status != DEAD and not ledger.violations:
        ledger.violations.append(f"the fault did not come to pass: exit status {status}")


def _send(pipe: int, note: Note) -> None:
    os.write(pipe, pickle.dumps(note))


_OTHER_THREAD = ThreadPoolExecutor(1)  # one for all cases: starting a thread takes long


def _afterwards(
    carrier: Carrier, ledger: Ledger, handles: "list[omnelog.EventLog]", who: int
) -> None:
    """Read, append with every handle there is, and read again.

    The appends are another thread's: a mutex that is still held would let its holder in.
    """
    volume = carrier.volume
    checks = Carrier(carrier.workload, volume, ledger.note)
    checks.begin(System())
    checks._do_read()
    new = omnelog.EventLog.for_run(volume.root, RUN, lock_timeout=TIMEOUT_S)
    handles = [*handles, *carrier.handles, new]
    who %= len(handles)

    def append_with_all() -> None:
        for number, log in enumerate(handles[who:] + handles[:who], start=1000):
            poisoned = log in carrier.poisoned
            ledger.segments.append(Segment([line(number)], not poisoned, not poisoned))
            try:
                log.append(event(number))
            except Exception as error:
                if not (poisoned and type(error) is omnelog.LogIOError):
                    ledger.violations.append(f"the next append fails: {error!r}")

    _OTHER_THREAD.submit(append_with_all).result()
    checks._do_read()
    for log in handles:
        log.close()
