# SPDX-License-Identifier: MIT
"""Play a case: make the volume, let A act under strace, cause the fault, and judge the result.

A step waits for a call that strace reports, for an answer, or for the end of a process, with a
limit. It does not wait for time to pass, except 1.05 s after the log is replaced.
"""

import fcntl
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from time import sleep
from typing import Any, Self

from ..process import Adapter, AdapterFailure, Adapters
from ..run import Volume
from ..steps import unlock_and_close
from .faults import IO, OK, TIMEOUT, UNKNOWN, Case
from .scenarios import (
    FIRST,
    FOREIGN,
    LAST,
    NEXT,
    NUL,
    OPENED,
    OTHER,
    REFUSED,
    SHORT_LINE,
    ULID_OPS,
    WHOLE,
    WHOLE_TAIL,
    Json,
    Scenario,
    event,
    line,
)
from .strace import ANSWER, Call, Tracer, traceable
from .traces import RULES
from .truth import Batch, Ledger, numbers, show

_RUN = "r"
_LOOK_EVERY_S = (
    1.05  # seconds; after this time an append must check whether the log was replaced (APP-51)
)
_HELD_S = 0.05  # seconds; the lock_timeout of a request that may find the lock held


class Mismatch(Exception):
    """What was seen is not what was expected."""

    def __init__(self, expected: str, saw: str) -> None:
        super().__init__(expected, saw)
        self.expected, self.saw = expected, saw


class NotReached(Exception):
    """The call at which the fault should happen was not made."""


@dataclass(slots=True)
class Seen:
    """What a case expected and saw, as lines for people, and the calls of A."""

    expected: list[str] = field(default_factory=list)
    saw: list[str] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)


class Stage(Adapters):
    """Two adapters, and a volume for each case. As a context manager it ends the adapters.

    `commands`: what starts A and B. `limit_s`: seconds for each step. `keep`: the directory in
    which volumes stay.
    """

    def __init__(
        self, commands: Sequence[Sequence[str]], limit_s: float, keep: Path | None = None
    ) -> None:
        super().__init__()
        self._commands, self.limit_s, self._keep = commands, limit_s, keep

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def adapter(self, role: str) -> Adapter:
        """Return the adapter that plays A or B. It is started if none can be asked."""
        adapter = self._running.get(role)
        if adapter is None or not adapter.alive:
            if adapter is not None:
                adapter.kill()
            command = traceable(self._commands["AB".index(role)])
            self._running[role] = Adapter(command, self.limit_s)
        return self._running[role]

    def lacks(self, scenario: Scenario) -> list[str]:
        """Return what the scenario needs and A lacks. Raises AdapterFailure."""
        return sorted(set(scenario.needs) - set(self.adapter("A").about["capabilities"]))

    def survey(self, scenario: Scenario) -> list[Call]:
        """Return the calls that A makes without a fault. Raises Mismatch, AdapterFailure."""
        with Volume(None, scenario.name) as root:
            play = _Play(scenario, self, root, Seen())
            try:
                play.prepare()
                play.trace([])
                play.finish(scenario.normal)
            finally:
                play.close()
            return play.seen.calls

    def play(self, case: Case, seen: Seen) -> None:
        """Play a case, and record in `seen` what is seen.

        Raises Mismatch, NotReached or AdapterFailure unless everything is as expected.
        """
        with Volume(self._keep, case.id) as root:
            play = _Play(case.scenario, self, root, seen)
            try:
                if case.fault == "EAGAIN-for-ever":
                    play.be_impatient()
                if case.observed is None:
                    play.prepare()
                if case.family == "trace":
                    play.follow_rule(case)
                elif case.family == "crashes":
                    play.crash(case)
                elif case.family == "preemption":
                    play.preempt(case)
                else:
                    play.fail(case)
            except (Mismatch, AdapterFailure, NotReached):
                self.end()  # because the state of the adapters is not known
                raise
            finally:
                play.close()


class _Play:
    """One case on one volume."""

    def __init__(self, scenario: Scenario, stage: Stage, root: Path, seen: Seen) -> None:
        self._scenario, self._stage, self._root = scenario, stage, root
        run = root / ".omne" / "var" / "runs" / _RUN
        self._run, self._log = run, run / "events.jsonl"
        self._torn, self._moved = run / "events.jsonl.torn", run / "moved.jsonl"
        self._ulid = root / ".omne" / "var" / ".ulid-last"
        self._watched = {
            str(root): "root",
            str(root / ".omne"): "omne",
            str(root / ".omne" / "var"): "var",
            str(run.parent): "runs",
            str(run): "run",
            str(self._log): "log",
            str(self._torn): "quarantine",
            str(self._moved): "moved",
            str(self._ulid): "last-ulid",
            "/proc/locks": "locks",
        }
        self._a = stage.adapter("A")
        self._b = stage.adapter("B")
        self._answer: Json | None = None
        self._others: list[Batch] = []
        self._ulids: list[str] = []
        self._lock_fd = -1
        self._quarantine_before = b""
        self._sync_failed = False
        self._lock_timeout_s: float | None = _HELD_S if scenario.taken else None
        self.seen = seen

    def close(self) -> None:
        """Release the lock if the runner holds it."""
        if self._lock_fd >= 0:
            unlock_and_close(self._lock_fd)
            self._lock_fd = -1

    # Before.

    def be_impatient(self) -> None:
        """Limit the time that A waits for a lock, because the lock will never be granted."""
        self._lock_timeout_s = _HELD_S

    def prepare(self) -> None:
        """Create the volume as A must find it when it gets the request."""
        scenario = self._scenario
        self._before: tuple[int, ...] = ()
        if scenario.log:
            self._run.mkdir(parents=True)
            self._log.write_bytes(line(FIRST))
            self._before = (FIRST,)
        if scenario.ulid is not None:
            self._ulid.parent.mkdir(parents=True)
            self._ulid.write_text(scenario.ulid)
        if scenario.opened:
            self._must(self._ask(self._a, [OPENED]), "the append that opens the handle")
            self._before = (FIRST, OPENED)
        if scenario.history == "failure":
            self._fail_once()
        if scenario.history == "replacement":
            self._log.rename(self._moved)
            sleep(_LOOK_EVERY_S)
        if scenario.tail:
            self._add(self._log, scenario.tail)
        if scenario.quarantine is not None:
            self._torn.write_bytes(scenario.quarantine)
            self._quarantine_before = scenario.quarantine
        if scenario.taken:
            self._take_lock()

    def _fail_once(self) -> None:
        self._a.limit_file_size(self._log.stat().st_size + 1)
        answer = self._ask(self._a, [REFUSED])
        self._a.limit_file_size()
        if _kind(answer) != IO:
            raise Mismatch("LogIOError of an append for which there is no room", _shown(answer))

    def _take_lock(self) -> None:
        self._lock_fd = os.open(self._log, os.O_RDWR)
        fcntl.flock(self._lock_fd, fcntl.LOCK_EX | fcntl.LOCK_NB)

    @staticmethod
    def _add(path: Path, content: bytes) -> None:
        with path.open("ab", buffering=0) as file:
            file.write(content)

    # Requests.

    def _request(self, events: Sequence[int] | None = None) -> Json:
        """Return the scenario's request, or with `events` an append of these by the same handle."""
        scenario = self._scenario
        request: Json = {"root": str(self._root), "run_id": _RUN}
        if events is None and scenario.op == "follow":
            return {"op": "follow", **request, "events": len(self._before)}
        if events is None and scenario.op != "append":
            request["op"] = scenario.op
            if scenario.op in ULID_OPS and self._lock_timeout_s is not None:
                request["lock_timeout"] = self._lock_timeout_s
            return request
        numbers = scenario.events if events is None else events
        request |= {"op": "append", "events": [event(number) for number in numbers]}
        if scenario.durable:
            request["durable"] = True
        if self._lock_timeout_s is not None:
            request["lock_timeout"] = self._lock_timeout_s
        return request

    def _ask(self, adapter: Adapter, events: Sequence[int], **more: Any) -> Json:
        request = self._request(events)
        if adapter is self._b:
            request.pop("durable", None)
        return adapter.ask({**request, **more}, 5)

    @staticmethod
    def _must(answer: Json, what: str) -> None:
        if not answer["ok"]:
            raise Mismatch(f"{what} succeeds", _shown(answer))

    # The watched request.

    def trace(self, injections: Sequence[str], *, at_stops: Sequence[Any] = ()) -> bool:
        """Send the request to A under strace; return whether A is still alive.

        `at_stops`: the functions to call, one each time that A has stopped. Then A continues.
        """
        pending = list(at_stops)
        self._answer = None
        with Tracer(self._a, self._watched, injections) as tracer:
            self.seen.calls = tracer.calls
            self._a.send(self._request())
            for event_ in tracer.events(self._stage.limit_s + 6):
                if event_ == "ended":
                    self._a.kill()
                    return False
                if event_ == "stopped":
                    act = pending.pop(0) if pending else None
                    if act is not None:
                        act()
                    if self._a.ended:
                        return False
                    self._a.resume()
                elif isinstance(event_, Call):
                    if self._waits_for_the_lock(event_):
                        self.close()  # the runner holds the lock for which A waits
                    if event_.kind == ANSWER:
                        break
        self._answer = self._a.receive()
        self._a.limit_file_size()
        return True

    def _waits_for_the_lock(self, call: Call) -> bool:
        failed = call.kind == "lock" and call.result == -1 and not call.injected
        return failed and not self._scenario.taken and not self._scenario.reads

    # The families.

    def follow_rule(self, case: Case) -> None:
        """Check that the calls show what the rule demands."""
        rule = RULES[case.fault]
        self.seen.expected.append(rule.demand)
        if case.observed is None:
            self.trace([])
        else:
            self.seen.calls = list(case.observed)
        self.seen.saw += map(str, self.seen.calls)
        wrong = rule.judge(self.seen.calls, self._scenario)
        if wrong:
            raise Mismatch(rule.demand, wrong)

    def fail(self, case: Case) -> None:
        """Make the call fail, or cut a write short, and judge the result."""
        call, before, fault = _call(case), case.before, case.fault
        strike = f"{call.name}:error={{}}:when={call.number}"
        foreign: list[bytes] = []
        if fault.startswith("short-"):
            self._write_short(case, call, foreign)
        elif fault in ("half-then-EIO", "all-then-EIO"):
            assert before is not None
            content = b"".join(map(line, self._scenario.events))
            part = content[: len(content) // 2] if fault.startswith("half") else content
            self.trace(
                [_stop(before), strike.format("EIO")],
                at_stops=[lambda: self._add(self._log, part)],
            )
        elif fault == "writes-nothing":
            self.trace([f"{call.name}:retval=0:when={call.number}"])
        elif fault.endswith("-for-ever"):
            self.trace([strike.format(fault.removesuffix("-for-ever")) + "+"])
        else:
            self.trace([strike.format(fault)])
        struck = any(call.injected for call in self.seen.calls)
        if not struck and not fault.startswith("short-"):
            raise NotReached
        self._sync_failed = _kind(self._answer) == UNKNOWN and any(
            call.kind == "sync" and call.label == "log" and call.injected
            for call in self.seen.calls
        )
        if foreign:
            self._finish_beside_foreign_bytes(case, foreign[0])
        else:
            self.finish(case.owed)

    def _write_short(self, case: Case, call: Call, foreign: list[bytes]) -> None:
        """Cut the write short, by a limit that exists during this call only, or until the answer.

        If somebody then writes without the lock, the log's content after that goes into `foreign`.
        """
        _, name, *then = case.fault.split("-", 2)
        length = call.result or 0
        cut = {"1": 1, "middle": length // 2, "newline": length - 1}[name]
        path = {"log": self._log, "quarantine": self._torn, "last-ulid": self._ulid}[call.label]

        def limit() -> None:
            size = path.stat().st_size if path.exists() and call.label != "last-ulid" else 0
            self._a.limit_file_size(size + cut)

        def afterwards() -> None:
            if not then:
                self._a.limit_file_size()
            elif then == ["then-foreign"]:
                self._add(self._log, line(FOREIGN))
                foreign.append(self._log.read_bytes())

        stops: list[Any] = [afterwards]
        if case.before is None:
            limit()
            injections = [_stop(call)]
        else:
            stops.insert(0, limit)
            injections = _stops(case.before, call)
        if then == ["then-uncut"]:
            injections += ["ftruncate,truncate:error=EIO:when=1+"]
        if then == ["then-unsynced"]:
            injections += ["fdatasync,fsync:error=EIO:when=1+"]
        self.trace(injections, at_stops=stops)

    def crash(self, case: Case) -> None:
        """Kill A before the call, after it, or after a part of its bytes was written."""
        call, fault = _call(case), case.fault
        if fault == "killed-before":
            lives = self.trace([f"{call.name}:error=EIO:signal=SIGKILL:when={call.number}"])
        elif fault == "killed-after":
            lives = self.trace([_stop(call)], at_stops=[self._a.kill])
        else:
            length = call.result or 0
            name = fault.removeprefix("killed-at-")
            cut = {"1": 1, "middle": length // 2, "newline": length - 1}[name]
            path = self._log if call.label == "log" else self._torn

            def limit() -> None:
                size = path.stat().st_size if path.exists() else 0
                self._a.limit_file_size(size + cut)

            if case.before is None:
                limit()
                lives = self.trace([_stop(call)], at_stops=[self._a.kill])
            else:
                lives = self.trace(_stops(case.before, call), at_stops=[limit, self._a.kill])
        if lives:
            raise NotReached
        self.finish(frozenset())

    def preempt(self, case: Case) -> None:
        """Stop A after the call, let others act, and let A continue."""
        call, fault = _call(case), case.fault
        actions = {
            "stopped-other-appends": self._other_appends,
            "stopped-other-repairs": self._other_repairs,
            "stopped-other-reads": self._other_reads,
            "stopped-other-locks": self._other_locks,
            "stopped-log-replaced": self._log_replaced,
            "stopped-log-cut": self._log_cut,
            "stopped-foreign-bytes": self._foreign_bytes,
            "stopped-other-allocates": self._other_allocates,
        }
        stops: list[str] = []

        owed = case.owed

        def act() -> None:
            nonlocal owed
            stops.append(fault)
            looked = any(call.kind == "lock" and call.result == 0 for call in self.seen.calls)
            tail_leaves = fault in ("stopped-other-appends", "stopped-other-repairs")
            if self._scenario.reads and tail_leaves and not looked:
                owed = frozenset(
                    {OK}
                )  # A has not acquired the lock yet, so it cannot find a torn tail
            actions[fault]()

        self.trace([_stop(call)], at_stops=[act])
        if not stops:
            raise NotReached
        if fault == "stopped-foreign-bytes":
            self._finish_with_foreign_bytes(case)
        elif fault == "stopped-log-cut":
            self._expect_kind(owed)
        else:
            self.finish(owed)

    # Actions of others while A is stopped.

    def _held(self) -> bool:
        """Return whether A holds the lock now."""
        path = self._ulid if self._scenario.op in ULID_OPS else self._log
        try:
            fd = os.open(path, os.O_RDWR)
        except OSError:
            return False
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            unlock_and_close(fd)
        return False

    def _other_appends(self) -> None:
        held = self._held()
        answer = self._ask(self._b, [OTHER], lock_timeout=_HELD_S)
        self._judge_other(answer, held, "B's append")
        self._others.append(Batch.of("B while A was stopped", [OTHER], done=not held))

    def _other_repairs(self) -> None:
        """Do in the runner what a repair does, so that the log gets shorter."""
        tail = self._scenario.tail
        if self._held() or not self._log.exists():
            return
        self._take_lock()
        if self._log.read_bytes().endswith(tail):
            if tail == WHOLE:
                self._add(self._log, b"\n")
            else:
                self._add(self._torn, tail + b"\n")
                os.truncate(self._log, self._log.stat().st_size - len(tail))
        self.close()

    def _judge_other(self, answer: Json, held: bool, what: str) -> None:
        """Check that B got a LockTimeout if A held the lock, and succeeded otherwise."""
        expected = TIMEOUT if held else OK
        state = "A has the lock" if held else "the lock is free"
        self.seen.saw.append(f"{state}; {what}: {_shown(answer)}")
        if _kind(answer) != expected:
            raise Mismatch(f"{what} is {expected} while {state}", _shown(answer))
        named = answer.get("error", {}).get("holder_pid")
        if held and named is not None and not self._a.owns(named):
            raise Mismatch("the process that is named as holder is A", f"it is {named}")

    def _other_reads(self) -> None:
        held = self._held()
        content = self._log.read_bytes() if self._log.exists() else None
        answer = self._b.ask({"op": "read", "root": str(self._root), "run_id": _RUN})
        self.seen.saw.append(f"B reads {_shown(answer)}")
        final = None if content is None else content[: content.rfind(b"\n") + 1]
        tail = (content or b"")[len(final or b"") :]
        if content is None:
            expected = {IO}
        elif held or not tail or tail == WHOLE:
            expected = {OK}
        else:
            expected = {"TornTailError"}
        if _kind(answer) not in expected:
            raise Mismatch(f"B's reading is {_either(expected)}", _shown(answer))
        if answer["ok"]:
            whole = numbers(final or b"")
            if tail == WHOLE and not held:
                whole.append(WHOLE_TAIL)
            _expect_events(answer, [whole], "B reads")

    def _other_locks(self) -> None:
        if not self._held() and self._lock_fd < 0:
            path = self._ulid if self._scenario.op in ULID_OPS else self._log
            if path.exists():
                self._lock_fd = os.open(path, os.O_RDWR)
                fcntl.flock(self._lock_fd, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def _log_replaced(self) -> None:
        if self._log.exists():
            self._log.rename(self._moved)
        if self._run.exists():
            answer = self._b.ask(
                {"op": "append", "root": str(self._root), "run_id": _RUN, "lock_timeout": 1,
                 "events": [event(OTHER)]}, 5
            )  # fmt: skip
            self._must(answer, "B's append to a new log")
            self._others.append(Batch.of("B while A was stopped", [OTHER]))

    def _log_cut(self) -> None:
        """Truncate the log, and add a line that leaves it shorter than it was."""
        os.truncate(self._log, 0)
        self._add(self._log, SHORT_LINE)

    def _foreign_bytes(self) -> None:
        self._add(self._log, line(FOREIGN))

    def _other_allocates(self) -> None:
        held = self._held()
        answer = self._b.ask(
            {"op": "ulid", "root": str(self._root), "lock_timeout": _HELD_S}, _HELD_S
        )
        self._judge_other(answer, held, "B's ULID")
        if answer["ok"]:
            self._ulids.append(answer["ulid"])

    # Afterwards.

    def _expect_kind(self, owed: frozenset[str]) -> None:
        answer = self._answer
        if answer is None:
            return
        self.seen.saw.append(f"A: {_shown(answer)}")
        self.seen.expected.append(f"A answers {_either(owed)}")
        if _kind(answer) not in owed:
            raise Mismatch(f"A answers {_either(owed)}", _shown(answer))

    def _expect_free(self) -> None:
        self.close()
        if self._held():
            raise Mismatch("the lock is free", "it is taken")

    def finish(self, owed: frozenset[str]) -> None:
        """Judge A's answer and the files. Then use the volume again, and judge that too.

        A, if it is alive, and B append, and B reads the log; or both allocate a ULID.
        """
        self._expect_kind(owed)
        self._expect_free()
        if self._scenario.op in ULID_OPS:
            self._finish_ulids()
        elif self._scenario.op == "enumerate":
            self._finish_enumeration()
        else:
            self._finish_log()

    def _finish_enumeration(self) -> None:
        answer = self._answer
        unseen = any(call.kind == "look" and call.injected for call in self.seen.calls)
        right = [[_RUN], []] if unseen else [[_RUN]]  # a run that A cannot examine may be left out
        if answer is not None and answer["ok"] and answer.get("runs") not in right:
            raise Mismatch("the runs are ['r']", _shown(answer))

    def _logs(self) -> list[bytes]:
        return [path.read_bytes() for path in (self._moved, self._log) if path.exists()]

    def _finish_log(self) -> None:
        scenario, answer = self._scenario, self._answer
        ledger = Ledger(
            before=self._before,
            tail=scenario.tail,
            quarantine=self._quarantine_before,
            quarantine_is_free=scenario.tail == NUL,
        )
        ledger.batches += self._others
        if scenario.writes:
            ledger.batches.append(_batch_of(answer, scenario.events))
            ledger.rest = {None: "any", UNKNOWN: "any", OK: "none"}.get(  # type: ignore[assignment]
                None if answer is None else _kind(answer), "tail"
            )
            if not scenario.events and answer is not None and scenario.op == "append":
                ledger.rest = "tail"
        else:
            ledger.rest = "tail"
            self._judge_reading(answer)
        self._judge_files(ledger, "then")
        logs = self._logs()
        rest = logs[-1].rpartition(b"\n")[2] if logs else b""
        if rest and rest != scenario.tail and not numbers(rest):
            ledger.torn.append(rest)
        ledger.rest = "none"
        if self._a.alive and scenario.writes:
            self._append_again(ledger)
        if not self._run.exists():
            self._run.mkdir(parents=True)  # A died before it made the directory
        self._must(self._ask(self._b, [LAST], lock_timeout=5), "B's append in the end")
        ledger.batches.append(Batch.of("B in the end", [LAST]))
        self._judge_files(ledger, "in the end")
        final = self._log.read_bytes()
        answer = self._b.ask({"op": "read", "root": str(self._root), "run_id": _RUN})
        self._must(answer, "B's reading in the end")
        _expect_events(answer, [numbers(final)], "B reads in the end")

    def _append_again(self, ledger: Ledger) -> None:
        answer = self._ask(self._a, [NEXT], lock_timeout=5) if self._scenario.taken else (
            self._ask(self._a, [NEXT])
        )  # fmt: skip
        self.seen.saw.append(f"A's next append: {_shown(answer)}")
        if self._sync_failed:
            self.seen.expected.append("the next append of the handle is LogIOError (DUR-9)")
            if _kind(answer) != IO:
                raise Mismatch("A's next append is LogIOError", _shown(answer))
            ledger.batches.append(Batch.of("A's next append", [NEXT], done=False))
            return
        self._must(answer, "A's next append")
        ledger.batches.append(Batch.of("A's next append", [NEXT]))

    def _judge_files(self, ledger: Ledger, when: str) -> None:
        logs = self._logs()
        torn = self._torn.read_bytes() if self._torn.exists() else None
        wrong = ledger.faults(logs, torn)
        batches = [f"{b.who} {b.least}..{b.most} of {list(b.events)}" for b in ledger.batches]
        self.seen.expected.append(f"{when}: {list(ledger.before)}, {'; '.join(batches)}")
        shown = [show(content) for content in logs]
        self.seen.saw.append(f"{when}: log {' and '.join(shown) or 'missing'}")
        if torn is not None:
            self.seen.saw.append(f"{when}: quarantine {show(torn)}")
        if wrong:
            raise Mismatch(f"{when}: a log that is right", "; ".join(wrong))

    def _judge_reading(self, answer: Json | None) -> None:
        """Check that what A read was in the log at some time while A read."""
        if answer is None or not answer["ok"]:
            return
        before = list(self._before)
        whole_tail = [WHOLE_TAIL] if self._scenario.tail == WHOLE else []
        others = [n for batch in self._others for n in batch.events[: batch.most]]
        right = [before, before + whole_tail]
        right += [state + others for state in right]
        if self._moved.exists():
            right.append(others)
        if self._scenario.op == "follow":
            right = [before, others + before]
        if whole_tail and not self._others and not answer.get("tail_in_flight"):
            waits = any(call.kind == "lock" and call.result == -1 for call in self.seen.calls)
            right = right[:2] if waits or self._scenario.op == "follow" else right[1:2]
        _expect_events(answer, right, "A reads")

    def _finish_ulids(self) -> None:
        """Check that every ULID is greater than those before, and that the last is in the file."""
        answer, old = self._answer, self._scenario.ulid or ""
        given = list(self._ulids)
        if answer is not None and answer["ok"]:
            given.append(answer["ulid"])
        found = self._ulid.read_text() if self._ulid.exists() else ""
        self.seen.saw.append(f"allocated: {given}; in the file: {found!r}")
        self.seen.expected.append(f"ULIDs above {old!r}, each once, the greatest in the file")
        if len(set(given)) != len(given) or any(ulid <= old for ulid in given):
            raise Mismatch(f"different ULIDs above {old!r}", f"{given}")
        dead = answer is None
        refused = answer is not None and not answer["ok"]
        greatest = max([old, *given])
        if refused and self.seen.calls and not self._ulids and found != greatest:
            written = any(call.kind == "unlock" and call.injected for call in self.seen.calls)
            closed = any(call.kind == "close" and call.injected for call in self.seen.calls)
            if not (written or closed):
                raise Mismatch(f"{greatest!r} in the file, as before", f"{found!r}")
        if not dead and not refused and found != greatest:
            raise Mismatch(f"{greatest!r} in the file", f"{found!r}")
        if dead and len(found) not in (0, 26):
            raise Mismatch("a whole ULID in the file, or none", f"{found!r}")
        for adapter in [self._a, self._b] if self._a.alive else [self._b]:
            answer = adapter.ask({"op": "ulid", "root": str(self._root)}, 5)
            self._must(answer, "the next ULID")
            if answer["ulid"] <= max(greatest, found):
                raise Mismatch(f"a next ULID above {greatest}", answer["ulid"])
            greatest = answer["ulid"]

    # Bytes of a writer that ignores the lock.

    def _finish_beside_foreign_bytes(self, case: Case, then: bytes) -> None:
        """Check the log after a failed write, if somebody then wrote to it without the lock.

        The log must stay as it is: `then` is its content after that.
        """
        self._expect_kind(case.owed)
        self._expect_free()
        found = self._log.read_bytes()
        if found != then:
            raise Mismatch(f"the log as it was then: {show(then)}", show(found))
        self._must(self._ask(self._a, [NEXT]), "A's next append")
        found = self._log.read_bytes()
        if found != then + line(NEXT):
            raise Mismatch(f"that, and A's next line: {show(then + line(NEXT))}", show(found))

    def _finish_with_foreign_bytes(self, case: Case) -> None:
        """Check that a line is not lost that was written without the lock during a repair."""
        self._expect_kind(case.owed)
        self._expect_free()
        foreign = line(FOREIGN)
        log = self._log.read_bytes()
        torn = self._torn.read_bytes() if self._torn.exists() else b""
        kept = foreign in log or foreign in torn
        if not kept:
            raise Mismatch("the foreign line in the log or in the quarantine", show(log))
        if foreign + b"\n" in log:
            raise Mismatch("no newline after the foreign line, which has its own", show(log))
        self._must(self._ask(self._a, [NEXT]), "A's next append")
        if not self._log.read_bytes().endswith(line(NEXT)):
            raise Mismatch("A's next line in the end", show(self._log.read_bytes()))


def _call(case: Case) -> Call:
    assert case.call is not None
    return case.call


def _stop(call: Call) -> str:
    return f"{call.name}:signal=SIGSTOP:when={call.number}"


def _stops(first: Call, second: Call) -> list[str]:
    """Return the injections that stop A after the first call, and again after the second."""
    if first.name == second.name:
        return [f"{first.name}:signal=SIGSTOP:when={first.number}..{second.number}"]
    return [_stop(first), _stop(second)]


def _kind(answer: Json | None) -> str:
    if answer is None:
        return "nothing"
    return OK if answer["ok"] else str(answer["error"].get("kind"))


def _batch_of(answer: Json | None, events: tuple[int, ...]) -> Batch:
    """Return which of A's lines must be in the log, according to A's answer."""
    count = len(events)
    if answer is None:
        return Batch(who="A, which died", events=events, least=0, most=count)
    kind = _kind(answer)
    appended = answer.get("error", {}).get("appended", 0)
    if kind == UNKNOWN:
        return Batch(who="A", events=events, least=appended, most=count)
    if kind == IO:
        return Batch(who="A", events=events, least=appended, most=appended)
    return Batch.of("A", events, done=kind == OK)


def _expect_events(answer: Json, right: Sequence[list[int]], what: str) -> None:
    events = answer.get("events")
    try:
        found = [int(item["id"]) for item in events or []]
    except (TypeError, KeyError, ValueError):
        raise Mismatch(f"{what} events", _shown(answer)) from None
    if found not in right or [event(n) for n in found] != events:
        wanted = " or ".join(str(numbers) for numbers in right)
        raise Mismatch(f"{what} the events {wanted}", f"{found}")


def _either(kinds: object) -> str:
    return " or ".join(sorted(kinds)) or "nothing"  # type: ignore[call-overload]


def _shown(answer: Json) -> str:
    if answer["ok"]:
        events = answer.get("events")
        if isinstance(events, list):
            return f"ok, {len(events)} events"
        return "ok" if len(answer) == 1 else f"{ {k: v for k, v in answer.items() if k != 'ok'} }"
    error = answer["error"]
    named = " ".join(f"{k}={error[k]}" for k in ("appended", "path", "line") if k in error)
    return f"{error.get('kind')} {named} ({error.get('message', '')})"
