# SPDX-License-Identifier: MIT
"""A caller of the core that carries out a workload and notes what the core returns or raises.

It also notes violations, for example an event that is not in the log, or an error that the core
does not promise.
"""

import errno
import os
import threading
from collections.abc import Callable
from pathlib import Path

from .. import omnelog
from .ledger import Note
from .system import UNSUPPORTED, Call, System, interposed, is_benign
from .volumes import Volume
from .workloads import GARBAGE, RUN, Workload, event, is_event, line

TIMEOUT_S = 0.01


class Carrier:
    """Carries out a workload, and calls `note` with what the core returns or raises."""

    def __init__(self, workload: Workload, volume: Volume, note: Callable[[Note], None]) -> None:
        self.workload, self.volume, self.note = workload, volume, note
        self.handles: list[omnelog.EventLog] = []
        self.poisoned: list[omnelog.EventLog] = []  # a sync has failed
        self._system = System()
        self._before: set[int] = set()  # descriptors
        self._struck = 0  # the number of faults that struck before this operation
        self._number = 10

    def carry_out(self, system: System) -> None:
        """Do all operations, and look for leaks after each; leave the handles open."""
        self.begin(system)
        with interposed(system):
            for operation in self.workload.operations:
                self._struck = len(system.struck)
                system.next_operation()
                self.do(operation)
                self._look(f"after {operation}")
        for violation in system.violations:
            self._violation(violation)

    def begin(self, system: System) -> None:
        """Remember which descriptors are open before the first operation."""
        self._system, self._before = system, self.volume.descriptors()

    def do(self, operation: str) -> None:
        """Do one operation of a workload."""
        getattr(self, f"_do_{operation}")()

    def _do_open(self) -> None:
        """Open one more handle."""
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
        """Repair what a dead writer left; append nothing."""
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
        """Read the log, and continue after damage."""
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
        """Follow the log to its end while another writer appends to it."""
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
        """Let enough time pass that the next append checks whether the log was replaced."""
        self._system.now += 1.5

    def _do_tear(self) -> None:
        """Another writer dies in the middle of a write."""
        if os.path.exists(self.volume.log) and not self.volume.current()[1]:
            self._number += 1
            self.note(("tail", tail := b"%d" % self._number + GARBAGE))
            self.volume.add(tail)

    def _do_forget(self) -> None:
        """Another writer dies after writing a line without its newline."""
        if os.path.exists(self.volume.log) and not self.volume.current()[1]:
            self._number += 1
            self.note(("begins", [line(self._number)]))
            self.volume.add(line(self._number)[:-1])

    def _do_move(self) -> None:
        """Move the log away, and let enough time pass that the next append notices."""
        if os.path.exists(self.volume.moved):
            return  # moving one log is enough
        if os.path.exists(self.volume.log) and not self.volume.current()[1]:
            os.rename(self.volume.log, self.volume.moved)
        self._do_idle()

    # The parts of the operations.

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
            self.note(("tail", self.volume.current()[1]))  # a part that could not be cut off
            if self._strikes("E", "fdatasync"):
                self.poisoned.append(log)
                if least != count and not self._strikes(call="write"):
                    self._violation(f"only {least} of {count} stand, though all are written")
        else:
            self._confirm("append")
            # An append that may not look at the path continues in the file that it has open.
            may_not_look = self._strikes("EACCES", "stat")
            found = self.volume.lines() if may_not_look else self.volume.current()[0]
            if line(numbers[-1]) not in found:
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
        """The faults that struck in this operation, of one kind or at one call if given."""
        return [
            strike
            for strike in self._system.struck[self._struck :]
            if strike[1].startswith(prefix) and call in strike[0].name
        ]

    def _confirm(self, what: str) -> None:
        """Note a violation if the operation should have failed."""
        if failed := [strike for strike in self._strikes("E") if self._is_needed(*strike)]:
            self._violation(f"{what} succeeds although a sync failed: {failed}")

    def _is_needed(self, call: Call, fault: str) -> bool:
        """Whether the failed call is a sync without which the operation must not succeed."""
        if call.name == "open_directory":
            return self.workload.durable
        if call.name == "fsync_directory" and fault in UNSUPPORTED:
            return self.workload.durable
        return "sync" in call.name

    def _excuse(self, what: str, error: "OSError") -> None:
        """Note a violation unless a fault in this operation explains `error`."""
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
        """Note a violation unless `found` is the events of the log, without its tail if `torn`."""
        lines, tail = self.volume.current()
        expected = list(map(omnelog.decode, lines))
        if self._strikes("busy:9s") and found == expected:
            return  # the tail may be in flight
        if is_event(tail):
            expected.append(omnelog.decode(tail))
        if found != expected or torn != (bool(tail) and not is_event(tail)):
            self._violation(f"{what} gives {found} {torn=} of {lines} {tail!r}")

    def _look(self, when: str) -> None:
        """Note locks and descriptors that an operation has leaked."""
        if locked := self.volume.locked():
            self._violation(f"locked {when}: {locked}")
        if len(found := self.volume.descriptors() - self._before) > len(self.handles):
            self._violation(f"open {when}: {found} for {len(self.handles)} handles")

    def _violation(self, text: str) -> None:
        self.note(("violation", text))


class _ScriptedStop(threading.Event):
    """An event that does the next step instead of waiting, and is set after the last step."""

    def __init__(self, steps: list[Callable[[], None]]) -> None:
        super().__init__()
        self._steps = iter(steps)

    def wait(self, timeout: float | None = None) -> bool:
        del timeout
        step = next(self._steps, self.set)
        step()
        return self.is_set()
