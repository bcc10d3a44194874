# SPDX-License-Identifier: MIT
"""Carry out a workload in a new volume while the system fails, and examine what is left.

The log is judged. Then three kinds of handles append to it: the one that met the fault, one that
was open before, and a new one. Then the log is judged again. Most deaths of a process are only
seen by a `Witness`. Some forked processes really die, to show that the `Witness` is right;
replaying the id of a case that kills does the same.
"""

import os
import pickle
import shutil
import traceback
import warnings
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from io import BytesIO
from pathlib import Path

from .. import omnelog
from .carrier import TIMEOUT_S, Carrier
from .ledger import Ledger, Note, Segment
from .system import DEAD, Call, System, interposed
from .volumes import Volume, Witness, Wreck
from .workloads import FOUND, RUN, SEED, Case, Plan, Workload, event, is_event, line


def record(
    workload: Workload, root: Path, plan: Plan = (), system: System | None = None
) -> list[Call]:
    """Return the system calls of a workload, in a volume that is made at `root` and removed."""
    system = system or System(dict(plan))
    _carry_out(Case(workload, plan), root, system)
    return system.calls


def carry_out(case: Case, root: Path, wreck: Wreck | None = None) -> list[str]:
    """Carry out a case in a volume that is made at `root` and removed; return its violations.

    With `wreck`, it is also a violation if the killed process leaves anything different.
    """
    return _carry_out(case, root, System(dict(case.plan)), wreck)


def wrecks(
    workload: Workload, root: Path, plan: Plan = (), *, every_length: bool = False
) -> dict[Case, Wreck]:
    """What a process leaves if it dies at a call after those in `plan`, or in a write."""
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
    """Use a volume that a dead process left; return the violations."""
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
    """Judge the log that is left, append to it, judge it again, and remove the volume."""
    volume = carrier.volume
    ledger.judge(volume.lines(), volume.current()[1])
    with interposed(system := System()):
        system.now = now + 10
        who = sum(call for call, _ in case.plan)  # the handle that appends first, and so repairs
        _afterwards(carrier, ledger, handles, who)
    ledger.judge(volume.lines(), volume.current()[1])
    if volume.current()[1]:
        ledger.violations.append("the tail is still there")
    ledger.judge_quarantine(volume.lines(), volume.files()[1] or b"")
    if left := volume.descriptors():
        ledger.violations.append(f"descriptors are left open: {left}")
    shutil.rmtree(volume.root)


def _prepare(workload: Workload, volume: Volume, ledger: Ledger) -> "list[omnelog.EventLog]":
    """Make the volume of the workload; return a handle that has appended if the log allows it."""
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
    """Carry out a workload in a forked process, because a fault kills it."""
    inbound, outbound = os.pipe()
    with warnings.catch_warnings():  # of pytest-xdist's threads, which the child does not need
        warnings.simplefilter("ignore", DeprecationWarning)
        pid = os.fork()
    if not pid:
        try:
            carrier.note = lambda note: _send(outbound, note)
            carrier.carry_out(system)
        except BaseException:  # otherwise pytest would continue in the child
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
    """Read, append with every handle, and read again.

    Another thread does the appends, because a leaked mutex would not stop the thread that holds it.
    """
    volume = carrier.volume
    checks = Carrier(carrier.workload, volume, ledger.note)
    checks.begin(System())
    checks.do("read")
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
    checks.do("read")
    for log in handles:
        log.close()
