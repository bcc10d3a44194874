# SPDX-License-Identifier: MIT
"""One run of a scenario; a function chooses its schedule, step by step."""

import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from tempfile import TemporaryDirectory

from .. import omnelog
from ..faults.system import interposed
from .processes import Action, Operation, Process
from .promises import Promises
from .scenarios import FOUND, HANDLE_OPERATIONS, Plan, Scenario
from .system import IMPATIENT_S, Flag, ScheduledSystem

Choose = Callable[[list[Action]], Action | None]
"""A function that returns one of the possible actions, or None to stop the run there."""

MOST_STEPS = 2000
"""A run with more steps has processes that wait in a circle."""

_TOKEN = re.compile(r"[A-Y](?:![0-9]*|~)?")


class PromiseBroken(AssertionError):
    """A schedule in which a promise was broken; the message shows it."""

    def __init__(self, run: "Run") -> None:
        self.schedule = run.schedule
        directory = f"{run.directory}/"  # differs from run to run
        self.violations = [text.replace(directory, "") for text in run.promises.violations]
        super().__init__("\n".join(["", *self.violations, "", run.columns(), "", self.schedule]))


@dataclass(slots=True)
class Step:
    """A step of a schedule, to be shown."""

    action: Action
    call: str
    result: str


class Run:
    """One run of a scenario in the directory of `system`, which is in place already."""

    def __init__(
        self, scenario: Scenario, system: ScheduledSystem, ends: set[object] | None = None
    ) -> None:
        """Make a run.

        `ends` has the states in which runs ended and a last append succeeded. The run adds its own,
        and leaves the last append out if its state is among them.
        """
        self._ends = set() if ends is None else ends
        self._end: object = None
        self.scenario = scenario
        self.promises = Promises()
        self.processes = [Process(plan) for plan in scenario.processes]
        self.steps: list[Step] = []
        self.preemptions = 0  # how often a process lost its turn but could continue
        self.directory = system.directory
        self._system = system
        self._last: Process | None = None

    @property
    def schedule(self) -> str:
        """The scenario and the steps, in one line."""
        return f"{self.scenario} = {''.join(step.action.token for step in self.steps)}"

    def execute(self, choose: Choose) -> bool:
        """Run until every process has ended; return False if `choose` stops the run before.

        Raise PromiseBroken if a promise is broken.
        """
        system = self._system
        system.begin(self.promises)
        _clear(system.directory)
        found = FOUND[self.scenario.found]
        if found is not None:
            with open(system.log_path, "xb", buffering=0) as file:
                file.write(found)
        try:
            for process in self.processes:
                self._start(process)
            while actions := self._actions():
                action = choose(actions)
                if action is None:
                    return False
                can_go_on = self._last is not None and actions[0].token == self._last.letter
                if can_go_on and action.process is not self._last:
                    self.preemptions += 1
                self._perform(action)
            self._finish()
            return True
        finally:
            for process in self.processes:
                system.current = process
                process.die()
            system.current = None
            system.end()

    def _start(self, process: Process) -> None:
        self._system.current = process
        operations = set(process.plan.operations)
        if operations & HANDLE_OPERATIONS and "open" not in operations:
            self._open(process)
        process.start(lambda: self._carry_out(process))
        self._check()

    def _actions(self) -> list[Action]:
        """The actions that are possible; the first continues the last process, if it can."""
        actions, deaths = self._enabled()
        if not actions and not self._system.are_asked_to_stop:
            self._system.tell_to_stop()
            actions, deaths = self._enabled()
        if not actions:
            waiting = [process.letter for process in self.processes if not process.is_finished]
            if waiting:
                self.promises.violated(f"{', '.join(waiting)} wait for ever")
                self._check()
            return []
        return actions + deaths

    def _enabled(self) -> tuple[list[Action], list[Action]]:
        actions: list[Action] = []
        deaths: list[Action] = []
        for process in self.processes:
            stopped = process.stopped
            if process.is_finished or stopped is None:
                continue
            deaths.extend(stopped.deaths)
            if stopped.is_ready is None or stopped.is_ready():
                if process is self._last:
                    actions.insert(0, stopped.step)
                else:
                    actions.append(stopped.step)
            elif stopped.gives_up is not None:
                actions.append(stopped.gives_up)
        return actions, deaths

    def _perform(self, action: Action) -> None:
        process = action.process
        system = self._system
        stopped = process.stopped
        assert stopped is not None
        system.current = process
        self._last = process
        self.promises.step = len(self.steps)
        operation = process.operation
        if operation is not None and operation.began is None:
            operation.began = self.promises.step
        step = Step(action, stopped.call, "")
        self.steps.append(step)
        if len(self.steps) > MOST_STEPS:
            self.promises.violated(f"this took more than {MOST_STEPS} steps")
        process.result = ""
        how = action.token[1:]
        if how.startswith("!"):
            if how[1:]:
                process.resume(cut=int(how[1:]))
            system.die(process)
            step.result = "dies"
        else:
            process.gives_up = how == "~"
            process.resume()
            step.result = process.result
        self._check()

    def _check(self) -> None:
        if self.promises.violations:
            raise PromiseBroken(self)

    def _finish(self) -> None:
        """Close all handles, append once more, and check the files."""
        system = self._system
        for process in self.processes:
            system.current = process
            process.close()
        self._check_that_all_is_closed()
        self._end = self.promises.state()
        if self._end in self._ends:
            return
        last = Process(Plan("Z", frozenset(), ("append",)))
        system.current = last
        self._open(last)
        self._operate(last, "append")
        last.close()
        system.current = None
        self.promises.at_the_end()
        self._check_that_all_is_closed()
        self._ends.add(self._end)

    def _check_that_all_is_closed(self) -> None:
        left = self._system.open_files()
        if left:
            labels = ["a directory" if file is None else file.label for file in left]
            self.promises.violated(f"{', '.join(labels)} is still open")
        self._check()

    # What the processes do

    def _carry_out(self, process: Process) -> None:
        for name in process.plan.operations:
            self._operate(process, name)
        process.operation = None

    def _operate(self, process: Process, name: str) -> None:
        operation = Operation(process, name, called_at=self._system.now)
        process.operation = operation
        if not process.is_scheduled:
            self.promises.step = len(self.steps)
            operation.began = self.promises.step
        self.promises.begins(operation)
        try:
            getattr(self, f"_{name}")(process, operation)
        except Exception as error:  # `Promises.ends` checks whether it is right
            operation.error = error.with_traceback(None)
        self.promises.ends(operation)

    def _open(self, process: Process, operation: Operation | None = None) -> None:
        process.handles.append(
            omnelog.LineLog(
                self._system.log_path,
                lock_timeout=_lock_timeout(process),
                durable="durable" in process.traits,
            )
        )

    def _records(self, operation: Operation, count: int) -> list[dict[str, object]]:
        """Make records that name their process."""
        process = operation.process
        records: list[dict[str, object]] = []
        for _ in range(count):
            process.records_made += 1
            number = process.records_made
            records.append({"w": process.letter, "n": number})
            operation.lines.append(b'{"w":"%s","n":%d}' % (process.letter.encode(), number))
        self.promises.offers(operation)
        return records

    def _append(self, process: Process, operation: Operation) -> None:
        process.handles[0].append(self._records(operation, 1)[0])

    def _many(self, process: Process, operation: Operation) -> None:
        process.handles[0].append_many(self._records(operation, 2))

    def _repair(self, process: Process, operation: Operation) -> None:
        process.handles[0].repair()

    def _once(self, process: Process, operation: Operation) -> None:
        omnelog.append_log(
            self._system.log_path,
            self._records(operation, 1)[0],
            lock_timeout=_lock_timeout(process),
            durable="durable" in process.traits,
        )

    def _read(self, process: Process, operation: Operation) -> None:
        operation.records.extend(omnelog.read_log(self._system.log_path))

    def _scan(self, process: Process, operation: Operation) -> None:
        scan = omnelog.scan_log(self._system.log_path)
        operation.records.extend(scan.records)
        operation.problems.extend(scan.problems)
        operation.tail_in_flight = scan.tail_in_flight

    def _follow(self, process: Process, operation: Operation) -> None:
        path = self._system.log_path
        for record in omnelog.follow_log(path, stop=Flag(self._system), poll_interval=0):
            operation.records.append(record)
            self.promises.has_yielded(operation, record)

    def _move(self, process: Process, operation: Operation) -> None:
        self._system.move()

    def _swap(self, process: Process, operation: Operation) -> None:
        self._system.move(b"")

    def _idle(self, process: Process, operation: Operation) -> None:
        self._system.idle()

    def _stop(self, process: Process, operation: Operation) -> None:
        self._system.stop_followers()

    # The results

    def outcome(self) -> object:
        """The state of the files and the results of the operations, to compare schedules."""
        shown = [
            (
                operation.process.letter,
                operation.name,
                operation.has_ended,
                type(operation.error).__name__,
                str(operation.records),
                operation.tail_in_flight,
            )
            for operation in self.promises.operations
            if operation.process in self.processes
        ]
        return self._end, sorted(shown, key=lambda one: one[0])

    def columns(self) -> str:
        """The calls in their order, each in the column of its process."""
        rows = []
        for number, step in enumerate(self.steps):
            note = {"!": " †", "~": " gives up"}.get(step.action.token[1:2], "")
            result = f" = {step.result}" if step.result and not note else ""
            rows.append((number, step.action.token[0], f"{step.call}{result}{note}"))
        letters = [process.letter for process in self.processes]
        widths = [
            max([len(text) for _, letter, text in rows if letter == of] or [1]) for of in letters
        ]
        lines = ["     " + "  ".join(map(str.ljust, letters, widths))]
        for number, letter, text in rows:
            cells = [text if letter == of else "" for of in letters]
            lines.append(f"{number:3}  " + "  ".join(map(str.ljust, cells, widths)))
        return "\n".join(line.rstrip() for line in lines)


def _lock_timeout(process: Process) -> float:
    return IMPATIENT_S if "impatient" in process.traits else float("inf")


def _clear(directory: str) -> None:
    for entry in os.scandir(directory):
        os.unlink(entry)


@contextmanager
def in_memory() -> Iterator[str]:
    """Make a temporary directory, in memory if the system has such a place."""
    place = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with TemporaryDirectory(prefix="omnelog-schedules-", dir=place) as directory:
        yield directory


@contextmanager
def scheduled(directory: str) -> Iterator[ScheduledSystem]:
    """Put a system with scheduled processes in place; their files are in `directory`."""
    system = ScheduledSystem(directory)
    with interposed(system):
        yield system


def replay(line: str, system: ScheduledSystem) -> Run:
    """Run a schedule that `Run.schedule` has returned.

    After the end of a schedule that is too short, the process that ran last continues. Raise
    PromiseBroken if a promise is broken, and ValueError if `line` is not a schedule.
    """
    text, equals, spelt = line.partition("=")
    tokens = _TOKEN.findall(spelt)
    if not equals or "".join(tokens) != spelt.strip():
        raise ValueError(f"{line!r} is not a schedule, such as 'sound A:append B:append = ABBA'")
    run = Run(Scenario.parse(text), system)

    def choose(actions: list[Action]) -> Action:
        number = len(run.steps)
        if number >= len(tokens):
            return actions[0]
        for action in actions:
            if action.token == tokens[number]:
                return action
        possible = ", ".join(action.token for action in actions)
        raise ValueError(f"step {number} is {tokens[number]}, where only {possible} can be next")

    run.execute(choose)
    return run
