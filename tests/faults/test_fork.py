# SPDX-License-Identifier: MIT
"""A handle works on both sides of a fork, in the parent and in the child.

A lock belongs to an open file, and a fork shares open files, so a child must open the log itself.
It works whatever the threads of the parent were doing. The child keeps none of the parent's files
open, so the lock of a parent ends with the parent.

If a signal handler forks during an append, the child never writes with the descriptor of its
parent, nor under the lock of its parent. The append of the child fails, or appends a line of its
own. The tests try that at every system call and at every bytecode.
"""

import math
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable
from contextlib import ExitStack, nullcontext, suppress
from multiprocessing import Pipe
from pathlib import Path
from tempfile import TemporaryFile
from types import FrameType
from typing import IO, Any, Literal, Self

import pytest

from .. import omnelog
from ..inside import file_of
from .counts import INTERRUPTS, Count
from .logs import (
    APPENDER,
    LOCK,
    RUN,
    between,
    close_logs,
    event,
    holding,
    line,
    lock_is_free,
    names,
    open_descriptors,
    open_log,
    quarantine,
    write_at_most,
)
from .processes import WATCHDOG_S, Channel, append_numbers, fork, forked, in_child, run_and_exit
from .strikes import WAYS, Strike

__all__ = ["close_logs"]  # a fixture

LOG = "events.jsonl"


def in_order(data: bytes, who: str) -> list[int]:
    """The numbers of `who` in a log."""
    return [number for writer, number in names(data) if writer == who]


@pytest.mark.spec("APP-47")
def test_a_log_opened_before_the_fork_serves_parent_and_children_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A write takes only 7 bytes at a time here, so lines would mix without the lock."""
    between(monkeypatch, write=write_at_most(7))
    log, count = open_log(tmp_path), 40
    log.append(event(0, "before"))

    def body(name: str) -> Callable[[Channel], None]:
        def append(channel: Channel) -> None:
            channel.hear()
            append_numbers(log, name, count)

        return append

    writers = ["a", "b", "c"]
    with ExitStack() as stack:
        children = [stack.enter_context(forked(body(name))) for name in writers]
        for child in children:
            child.tell()
        append_numbers(log, "parent", count)
        for child in children:
            child.hear()
    data = log.path.read_bytes()
    for name in [*writers, "parent"]:
        assert in_order(data, name) == [*range(count)]
    assert len(names(data)) == 1 + 4 * count
    assert quarantine(log.path) == []


@pytest.mark.spec("APP-46")
def test_a_child_holds_none_of_its_parents_files(tmp_path: Path) -> None:
    """An idle child would keep the lock of a dead parent if it kept a handle's or reader's file."""
    log = open_log(tmp_path)
    log.append(event(0))
    log.append(event(1))
    reading = omnelog.iter_run(tmp_path, RUN)
    following = omnelog.follow_run(tmp_path, RUN)
    assert next(reading) == next(following) == event(0)
    assert len(open_descriptors(tmp_path)) == 3
    assert in_child(lambda _: open_descriptors(tmp_path)) == []
    assert next(reading) == next(following) == event(1)
    reading.close()  # type: ignore[attr-defined]
    following.close()  # type: ignore[attr-defined]


def test_a_reader_in_a_child_says_that_its_file_is_gone(tmp_path: Path) -> None:
    log = open_log(tmp_path)
    log.append(event(0))
    log.append(event(1))
    following = omnelog.follow_run(tmp_path, RUN)
    assert next(following) == event(0)
    omitted = next(following)
    assert omitted == event(1)

    def body(_: Channel) -> None:
        with pytest.raises(omnelog.LogIOError) as caught:
            next(following)
        assert caught.value.filename == str(log.path)
        assert "the file is closed, as it is in a forked child; open it again" in str(caught.value)

    in_child(body)
    log.append(event(2))
    assert next(following) == event(2)
    following.close()  # type: ignore[attr-defined]


def test_a_child_that_closes_its_handle_leaves_the_parents_open(tmp_path: Path) -> None:
    log = open_log(tmp_path)

    def body(_: Channel) -> None:
        log.close()
        with pytest.raises(omnelog.LogClosed):
            log.append(event(0))

    in_child(body)
    log.append(event(1))
    assert log.path.read_bytes() == line(1)


# Fork while another thread uses the handle.


class Held:
    """A thread that waits inside an append, in the system call `call`."""

    def __init__(self, log: "omnelog.EventLog", patch: pytest.MonkeyPatch, call: str) -> None:
        self._is_in, self._go = threading.Event(), threading.Event()
        self._here = threading.get_ident()
        real = getattr(os, call)

        def stand_still(*args: Any) -> Any:
            if threading.get_ident() != self._here:
                self._is_in.set()
                assert self._go.wait(WATCHDOG_S)
            return real(*args)

        between(patch, **{call: stand_still})
        self._thread = threading.Thread(target=log.append, args=(event(0, "thread"),))

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._is_in.wait(WATCHDOG_S)
        return self

    def end(self) -> None:
        """Let the append end."""
        self._go.set()
        self._thread.join()

    def __exit__(self, *_: object) -> None:
        self.end()


def test_a_fork_while_another_thread_writes_leaves_the_lock_to_the_parent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The child waits for the lock of the parent, but not for a thread that it does not have."""
    log = open_log(tmp_path)

    def body(channel: Channel) -> None:
        log.lock_timeout = 0
        for _again in range(2):  # the clean-up of the first must not release the parent's lock
            with pytest.raises(omnelog.LockTimeout) as caught:
                log.append(event(1, "child"))
            assert caught.value.holder_pid == os.getppid()
        channel.tell("refused")
        channel.hear()
        log.append(event(2, "child"))

    with Held(log, monkeypatch, "write") as thread, forked(body) as child:
        assert child.hear() == "refused"
        assert not lock_is_free(log.path), "the child unlocked its parent's lock"
        thread.end()
        child.tell()
        child.hear()
    assert names(log.path.read_bytes()) == [("thread", 0), ("child", 2)]


@pytest.mark.spec("APP-48")
def test_a_fork_while_another_thread_has_only_the_mutex_does_not_make_the_child_wait(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A durable append syncs without the lock, so only threads of its own process wait for it."""
    log = open_log(tmp_path, durable=True)

    def body(_: Channel) -> None:
        log.lock_timeout = 0
        log.append(event(1, "child"))

    with Held(log, monkeypatch, "fdatasync"):
        in_child(body)
    assert names(log.path.read_bytes()) == [("thread", 0), ("child", 1)]


def test_a_parent_killed_during_an_append_takes_its_lock_with_it_though_its_child_lives(
    tmp_path: Path,
) -> None:
    """The child has the handle, and would keep the lock if it kept the file."""
    log = open_log(tmp_path, lock_timeout=0)
    ours, theirs = Pipe()

    def live(channel: Channel) -> None:
        channel.tell("alive")
        channel.hear()

    def parent(channel: Channel) -> None:
        with pytest.MonkeyPatch.context() as patch, Held(log, patch, "write"):
            pid = fork()
            if not pid:
                run_and_exit(live, Channel(theirs))
            channel.tell(pid)
            signal.pause()

    orphan = 0
    try:
        with forked(parent) as child:
            orphan = child.hear()
            assert Channel(ours).hear() == "alive"
            assert not lock_is_free(log.path)
            child.kill()
            os.kill(orphan, 0)  # the orphan is alive
            log.append(event(1))
            assert lock_is_free(log.path)
    finally:
        if orphan:
            os.kill(orphan, signal.SIGKILL)
        ours.close()
        theirs.close()
    assert log.path.read_bytes() == line(1)


# The code that runs on both sides of a fork.


def test_a_fork_runs_no_code_of_ours_in_the_parent_that_a_signal_could_strike() -> None:
    """Python drops an exception that a signal handler raises during the hooks of a fork.

    If the hooks held a lock, it would stay held.
    """
    package, ran = str(Path(omnelog.__file__).parent), []

    def note(frame: FrameType, what: str, _: object) -> None:
        if what == "call" and frame.f_code.co_filename.startswith(package):
            ran.append(frame.f_code.co_qualname)

    sys.setprofile(note)
    try:
        pid = fork()
        if not pid:
            os._exit(0)
    finally:
        sys.setprofile(None)
    os.waitpid(pid, 0)
    assert ran == []


# Fork in the middle of an append, in the thread that appends.


class Forker:
    """Forks once, and lets the child's append end before the parent's continues.

    If `reuses_number`, the child opens another file, which gets the number of the descriptor that
    the child closed. The append of the child must not write to that file.
    """

    appended = False  # whether the child appended a line of its own
    reuses_number = False
    other_file: IO[bytes] | None = None

    def __init__(self, root: Path, log: "omnelog.EventLog") -> None:
        self.root = root
        self.log, self.forked, self.in_child, self.ended = log, False, False, False

    def fork(self) -> None:
        """Fork; return in the child at once, and in the parent after the child's append."""
        self.forked = True
        before = self.log.path.read_bytes() if self.log.path.exists() else None
        free = before is not None and lock_is_free(self.log.path)
        log_file = file_of(self.log)
        number = log_file.fd
        reuses_number = self.reuses_number and not log_file.closed
        ours, theirs = Pipe()
        pid = fork()
        if not pid:
            ours.close()
            self.in_child, self.channel = True, Channel(theirs)
            if reuses_number:
                self.other_file = TemporaryFile()  # noqa: SIM115 - open until the child ends
                os.dup2(self.other_file.fileno(), number)
            return
        theirs.close()
        self.child = Channel(ours)
        self.pid = pid
        try:
            self.outcome, self.descriptors, written = self.child.hear()
            assert not written, "the child wrote to a file that is not the log"
            if before is not None:
                data = self.log.path.read_bytes()
                if data != before:
                    self.appended = data.endswith(line(0, "struck"))  # a torn tail is cut off
                    assert self.appended, "the child wrote something else than a line of its own"
                    assert free, "the child wrote under its parent's lock"
                assert lock_is_free(self.log.path) == free, "the child unlocked, or locked"
        except BaseException:
            self.end()
            raise

    def leave(self, error: BaseException | None, *, dies: bool) -> None:
        """In the child: send how the append ended, then append once more when asked, and exit."""
        written = os.fstat(self.other_file.fileno()).st_size if self.other_file else 0
        self.channel.tell((error, open_descriptors(self.root), written))

        def body(channel: Channel) -> None:
            channel.hear()
            with suppress(omnelog.LogIOError) if dies else nullcontext():
                self.log.append(event(0, "child"))

        run_and_exit(body, self.channel)

    def append_in_child(self) -> None:
        """In the parent: let the child append once more."""
        self.child.tell()
        self.child.hear()

    def end(self) -> None:
        """In the parent: end the child."""
        if not self.ended:
            self.ended = True
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
            self.child.pipe.close()


CALLS = ("open", "lseek", "pread", "write", "ftruncate", "fsync", "fdatasync", "fstat", "stat")


def fork_at(patch: pytest.MonkeyPatch, forker: Forker, nth: int, *, after: bool) -> list[str]:
    """Fork in the `nth` call of the system or of the lock; return a list that the calls fill.

    A function that the way has patched is wrapped as it is.
    """
    seen: list[str] = []
    counted = os.getpid()

    def wrap(name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(*args: Any) -> Any:
            if os.getpid() != counted:
                return real(*args)
            seen.append(name)
            due = len(seen) == nth
            if due and not after:
                forker.fork()
            try:
                return real(*args)
            finally:
                if due and after:
                    forker.fork()

        return wrapped

    system = APPENDER.os
    between(patch, **{name: wrap(name, getattr(system, name)) for name in CALLS})
    for module in (APPENDER, LOCK):
        for name in ("try_lock", "unlock"):
            patch.setattr(module, name, wrap(name, getattr(module, name)))
    return seen


Arm = Callable[[pytest.MonkeyPatch, Forker], Strike | None]


def append_and_fork(root: Path, name: str, arm: Arm) -> bool:
    """Append on the way `name` with a fork in between; check both sides; return if it forked."""
    way = WAYS[name]
    log = open_log(root, durable=way.durable)
    with pytest.MonkeyPatch.context() as before:
        # This append may be slow, but the next one must not give others a turn because of that.
        before.setattr(APPENDER, "LONG_HOLD_S", math.inf)
        log.append(event(0, "before"))
    size = log.path.stat().st_size
    forker = Forker(root, log)
    outcome: BaseException | None = None
    one = event(0, "struck")
    try:
        with pytest.MonkeyPatch.context() as patch, ExitStack() as stack:
            # fstat is quick, and fails if the file is closed.
            between(patch, fsync=os.fstat, fdatasync=os.fstat)
            way.arrange(log, patch, stack)
            context = arm(patch, forker)
            try:
                with context if isinstance(context, Strike) else ExitStack():
                    log.append(one)
            except omnelog.OmnelogError as error:
                outcome = error
            finally:
                if forker.in_child:
                    patch.undo()
                    forker.leave(outcome, dies=way.dies)
        assert isinstance(outcome, way.expected or type(None))
        if forker.forked:
            if forker.outcome is not None:
                assert forker.descriptors == [], "the child kept its parent's file"
            forker.append_in_child()
        found = names(log.path.read_bytes())
        assert found.count(("child", 0)) == forker.forked or way.dies
        stands = int(way.expected in (None, omnelog.AppendIndeterminate))
        if forker.forked:
            stands += forker.appended  # the line of the child
        assert found.count(("struck", 0)) == stands, "the parent's append is not there once"
        assert lock_is_free(log.path)
        assert log.path.stat().st_size >= size
    finally:
        if forker.forked and not forker.in_child:
            forker.end()
        log.close()
        log.path.unlink()
    return forker.forked


FORKED_WAYS = [name for name in WAYS if "batch" not in name and "thread" not in name]


@pytest.mark.spec("APP-49")
@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("name", FORKED_WAYS)
def test_an_append_that_forks_in_any_system_call_leaves_lock_and_file_to_the_parent(
    tmp_path: Path, name: str, moment: Literal["before", "after"], count: Count
) -> None:
    nth, calls = 0, [""]
    while nth < len(calls):
        nth += 1

        def arm(patch: pytest.MonkeyPatch, forker: Forker, nth: int = nth) -> None:
            nonlocal calls
            # Not before a call, whose arguments already have the number of the parent's descriptor:
            # CPython calls no signal handler there.
            forker.reuses_number = moment == "after"
            calls = fork_at(patch, forker, nth, after=moment == "after")

        assert append_and_fork(tmp_path, name, arm)
    assert nth > 3, "there were no calls to fork in"
    count("appends that forked", nth)


EVERY_NTH = 1 if INTERRUPTS >= 100_000 else 23


@pytest.mark.parametrize("name", ["uncontended", "durable", "torn tail", "short write", "reopened"])
def test_an_append_that_forks_at_any_bytecode_leaves_lock_and_file_to_the_parent(
    tmp_path: Path, name: str, count: Count
) -> None:
    """A signal handler may fork at any bytecode.

    The test forks at every 23rd, or at each if ``OMNELOG_INTERRUPTS`` is 100,000 or more.
    """
    at = 1 + len(name) % EVERY_NTH

    def arm(_: pytest.MonkeyPatch, forker: Forker) -> Strike:
        return Strike(at, forker.fork)

    while append_and_fork(tmp_path, name, arm):
        at += EVERY_NTH
    assert at > 100
    count("appends that forked", at // EVERY_NTH)


def append_one(root: Path) -> bool:
    """Append an event with a new handle that does not wait; return True."""
    open_log(root, lock_timeout=0).append(event(1))
    return True


@pytest.mark.parametrize("use", [append_one, omnelog.allocate_ulid])
def test_a_fork_while_a_file_is_opened_leaves_it_to_the_parent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, use: Callable[[Path], object]
) -> None:
    """The child must not use the file, because it would share the lock with its parent."""
    ours, theirs = Pipe()
    pids: list[int] = []

    def fork_and_open(*args: Any) -> int:
        monkeypatch.undo()
        descriptor = os.open(*args)
        pids.append(fork())
        return descriptor

    between(monkeypatch, open=fork_and_open)
    try:
        done = None
        try:
            done = use(tmp_path)
        except omnelog.LogIOError:
            if pids[0]:
                raise
        if not pids[0]:
            run_and_exit(
                lambda _: done is None and open_descriptors(tmp_path) == [], Channel(theirs)
            )
        assert Channel(ours).hear(), "the child has the file that its parent opened"
        assert done
        assert use(tmp_path)
    finally:
        if pids and pids[0]:
            os.waitpid(pids[0], 0)
        ours.close()
        theirs.close()


@pytest.mark.parametrize("what", ["handle", "reader"])
def test_a_fork_while_another_thread_looks_at_a_file_it_opened_leaves_the_file_to_the_parent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    """The child does not have the thread that could notice the fork and close the file."""
    open_log(tmp_path).close()
    is_in, has_forked, here = threading.Event(), threading.Event(), threading.get_ident()
    opened: list[omnelog.EventLog | list[omnelog.Event]] = []

    def fstat(descriptor: int) -> os.stat_result:
        if threading.get_ident() != here and not is_in.is_set():
            is_in.set()
            assert has_forked.wait(WATCHDOG_S)
        return os.fstat(descriptor)

    def open_it() -> None:
        if what == "handle":
            opened.append(open_log(tmp_path, lock_timeout=0))
        else:
            opened.append(omnelog.read_run(tmp_path, RUN))

    between(monkeypatch, fstat=fstat)
    thread = threading.Thread(target=open_it)
    thread.start()
    try:
        assert is_in.wait(WATCHDOG_S)
        with forked(lambda _: open_descriptors(tmp_path)) as child:
            has_forked.set()
            assert child.hear() == [], "the child has the file that its parent opened"
    finally:
        has_forked.set()
        thread.join()
    assert len(opened) == 1, "the parent did not open it"


@pytest.mark.parametrize("call", ["open", "close"])
def test_a_fork_never_waits_for_a_thread_that_opens_or_closes_a_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    """That thread may itself wait for a lock that is held during the fork.

    `logging` and `concurrent.futures` hold such locks during each fork.
    """
    held, is_in, here = threading.Lock(), threading.Event(), threading.get_ident()

    def wait_for_the_lock() -> None:
        if threading.get_ident() != here and not is_in.is_set():
            is_in.set()
            assert held.acquire(timeout=WATCHDOG_S)

    class SlowFile(LOCK.LockableFile):  # type: ignore[name-defined,misc]
        def __init__(self, *args: Any) -> None:
            if call == "open":
                wait_for_the_lock()
            super().__init__(*args)

        def close(self) -> None:
            if call == "close":
                wait_for_the_lock()
            super().close()

    monkeypatch.setattr(APPENDER, "LockableFile", SlowFile)
    thread = threading.Thread(target=lambda: omnelog.EventLog.for_run(tmp_path, RUN).close())
    with held:
        thread.start()
        assert is_in.wait(WATCHDOG_S)
        assert in_child(lambda _: True)
    thread.join()
    monkeypatch.undo()
    open_log(tmp_path).append(event(1))
    assert names(omnelog.events_log_path(tmp_path, RUN).read_bytes()) == [("w", 1)]


# multiprocessing.


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_a_handle_is_an_argument_for_a_process_however_it_is_started(
    tmp_path: Path, method: Literal["fork", "spawn", "forkserver"]
) -> None:
    """The test runs in a child, so that the helper processes of multiprocessing end with it."""
    count = 20

    def body(_: Channel) -> list[int | None]:
        context: Any = multiprocessing.get_context(method)
        log = open_log(tmp_path)
        log.append(event(0, "before"))
        processes = [
            context.Process(target=append_numbers, args=(log, who, count)) for who in ("a", "b")
        ]
        for process in processes:
            process.start()
        append_numbers(log, "parent", count)
        for process in processes:
            process.join(WATCHDOG_S)
        return [process.exitcode for process in processes]

    assert in_child(body) == [0, 0]
    data = (tmp_path / ".omne/var/runs" / RUN / LOG).read_bytes()
    for who in ("a", "b", "parent"):
        assert in_order(data, who) == [*range(count)]


def test_a_lock_held_by_a_stranger_is_waited_for_in_parent_and_child(tmp_path: Path) -> None:
    log = open_log(tmp_path, lock_timeout=0)

    def refused(_: Channel) -> None:
        with pytest.raises(omnelog.LockTimeout):
            log.append(event(0))

    with holding(log.path):
        refused(Channel(Pipe()[0]))
        in_child(refused)
    in_child(lambda _: log.append(event(1)))
    log.append(event(2))
    assert names(log.path.read_bytes()) == [("w", 1), ("w", 2)]
