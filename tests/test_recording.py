# SPDX-License-Identifier: MIT
"""A tool logs its own run: however a block is left, `verify` finds nothing wrong in the log.

If something cannot be logged, the host gets an exception or a warning, as it chose, and the log
says exactly what is missing.
"""

import asyncio
import errno
import json
import os
import pickle
import re
import shlex
import signal
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from omnelog import recording
from omnelog.recording import NodeFailure, RecordingError, RecordingWarning, Run

from . import omnelog, testing
from .documents import PROJECT
from .faults.logs import between, holding
from .faults.processes import Channel, fork, forked, in_child
from .faults.strikes import Strike, in_a_thread
from .strategies import events, texts

BASH, LOOP = omnelog.NodeKind.BASH, omnelog.NodeKind.LOOP


def start(root: Path, errors: Literal["raise", "warn"] = "raise") -> Run:
    return Run.start(root, "ci", version="1.0", errors=errors)


def logged(run: Run) -> list[str]:
    """The events of a run, each as its type and its node."""
    found = omnelog.read_run(run.root, run.run_id)
    return [f"{event.type} {getattr(event, 'node_id', '')}".strip() for event in found]


def findings(run: Run) -> list[str]:
    """What `verify` finds in a run, without the path."""
    path = omnelog.events_log_path(run.root, run.run_id)
    return [one.removeprefix(f"{path}:") for one in testing.findings(run.root, run.run_id)]


def last(run: Run, kind: Any) -> Any:
    """The last event of the class `kind` in a run."""
    return [e for e in omnelog.read_run(run.root, run.run_id) if isinstance(e, kind)][-1]


class Broken(Exception):
    """The exception that a host fails with."""


# What is logged when all goes well.


def test_a_run_and_its_node_are_logged(tmp_path: Path) -> None:
    with start(tmp_path) as run:
        with run.node("lint", BASH, name="Lint it", model="m") as node:
            node.gate("review", omnelog.GateMethod.HOOK)
        with run.node("loop", LOOP) as node:
            node.iteration(1, 27)
    assert logged(run) == [
        "pipe.started",
        "node.started lint",
        "gate.passed lint",
        "node.completed lint",
        "node.started loop",
        "iteration.started loop",
        "node.completed loop",
        "pipe.completed",
    ]
    assert findings(run) == []
    started = omnelog.read_run(tmp_path, run.run_id)[1]
    assert isinstance(started, omnelog.NodeStarted)
    assert (started.kind, started.name, started.model) == (BASH, "Lint it", "m")


def test_the_run_says_what_was_started_and_with_what(tmp_path: Path) -> None:
    repeated = [("b", "2"), ("a", "1"), ("b", "\udcff")]
    with Run.start(tmp_path, "ci", version="2\ud800", inputs=repeated) as run:
        pass
    begun = last(run, omnelog.PipeStarted)
    assert begun.pipe == "ci"
    assert begun.distro_version == "2\ufffd"
    assert [(item.key, item.value) for item in begun.inputs] == [*repeated[:2], ("b", "\ufffd")]
    assert run.run_id.startswith("ci-")
    with Run.start(tmp_path, "ci", version="1", inputs={"k": "v"}) as run:
        pass
    assert last(run, omnelog.PipeStarted).inputs == [omnelog.Input(key="k", value="v")]


def test_a_node_has_an_empty_file_for_its_output(tmp_path: Path) -> None:
    with start(tmp_path) as run:
        node = run.node("lint", BASH)
        assert node.capture_path == Path(os.devnull)
        with node:
            assert node.capture_path.read_bytes() == b""
            node.capture_path.write_text("fine\n")
    assert (tmp_path / last(run, omnelog.NodeCompleted).output_path).read_text() == "fine\n"


def test_a_relative_root_is_the_one_of_the_moment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with start(Path()) as run:
        monkeypatch.chdir("/")
        with run.node("lint", BASH):
            pass
    assert run.root == tmp_path
    assert findings(run) == []


# How blocks are left.


@pytest.mark.parametrize(
    ("error", "kind", "message"),
    [
        (Broken("it broke"), "crash", "Broken: it broke"),
        (Broken(), "crash", "Broken"),
        (KeyboardInterrupt(), "crash", "KeyboardInterrupt"),
        (SystemExit(3), "crash", "SystemExit: 3"),
        (TimeoutError("slow"), "timeout", "TimeoutError: slow"),
        (
            subprocess.TimeoutExpired("make", 5),
            "timeout",
            "TimeoutExpired: Command 'make' timed out after 5 seconds",
        ),
        (NodeFailure(omnelog.ErrorKind.BLOCKED, "not yet"), "blocked", "not yet"),
        (NodeFailure(omnelog.ErrorKind.GATE_FAILED), "gate_failed", "gate_failed"),
        (Broken("\udcff" + "x" * 9999), "crash", "Broken: \ufffd" + "x" * 4087),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else None,
)
def test_an_exception_fails_the_node_and_aborts_the_run(
    tmp_path: Path, error: BaseException, kind: str, message: str
) -> None:
    with pytest.raises(type(error)) as caught, start(tmp_path) as run:
        with run.node("lint", BASH):
            raise error
    assert caught.value is error
    assert not hasattr(error, "__notes__")
    assert logged(run)[-2:] == ["node.failed lint", "pipe.aborted"]
    failed = last(run, omnelog.NodeFailed)
    assert failed.error.kind == kind
    assert failed.message == message
    assert last(run, omnelog.PipeAborted).reason == message
    assert findings(run) == []


def test_a_failure_that_the_host_deals_with_does_not_abort_the_run(tmp_path: Path) -> None:
    with start(tmp_path) as run:
        with suppress(Broken), run.node("lint", BASH):
            raise Broken
    assert logged(run)[-2:] == ["node.failed lint", "pipe.completed"]
    assert findings(run) == []


def test_an_exception_while_another_is_handled_is_the_one_that_is_logged(tmp_path: Path) -> None:
    def fail(run: Run) -> None:
        try:
            raise Broken("first")
        except Broken:
            with run.node("lint", BASH):
                raise KeyError("second") from None

    with pytest.raises(KeyError), start(tmp_path) as run:
        fail(run)
    assert last(run, omnelog.NodeFailed).message == "KeyError: 'second'"


def test_a_node_within_an_exception_handler_may_complete(tmp_path: Path) -> None:
    with start(tmp_path) as run:
        try:
            raise Broken
        except Broken:
            with run.node("clean-up", BASH):
                pass
    assert logged(run)[-2:] == ["node.completed clean-up", "pipe.completed"]


def test_an_exception_that_cannot_say_what_it_is_is_logged_by_its_name(tmp_path: Path) -> None:
    class Mute(Exception):
        def __str__(self) -> str:
            raise ValueError

    with pytest.raises(Mute), start(tmp_path) as run:
        raise Mute
    assert last(run, omnelog.PipeAborted).reason == "Mute"


def test_a_failure_can_be_pickled_and_knows_its_kind() -> None:
    failure = NodeFailure(omnelog.ErrorKind.TIMEOUT, "late")
    copy = pickle.loads(pickle.dumps(failure))
    assert (copy.kind, copy.message, str(copy)) == (omnelog.ErrorKind.TIMEOUT, "late", "late")
    with pytest.raises(ValueError, match="late"):
        NodeFailure("late")  # type: ignore[arg-type]


def test_leaving_a_run_while_a_node_of_it_runs_aborts_it(tmp_path: Path) -> None:
    run = start(tmp_path)
    node = run.node("lint", BASH)
    with pytest.raises(RecordingError, match="as aborted, nodes without an end: lint"), run:
        node.__enter__()
    assert last(run, omnelog.PipeAborted).reason == "nodes without an end: lint"
    with pytest.raises(recording.RunEnded):
        node.__exit__(None, None, None)
    with pytest.raises(recording.RunEnded):
        run.node("more", BASH).__enter__()
    run.end()
    assert logged(run) == ["pipe.started", "node.started lint", "pipe.aborted"]
    assert not omnelog.nodes_dir(tmp_path, run.run_id).joinpath("more.out").exists()
    assert findings(run) == []


def test_an_interrupt_while_a_thread_is_in_a_node_aborts_the_run_for_both_reasons(
    tmp_path: Path,
) -> None:
    run = start(tmp_path)
    run.node("lint", BASH).__enter__()
    with pytest.raises(KeyboardInterrupt) as caught, run:
        raise KeyboardInterrupt
    reason = "KeyboardInterrupt; nodes without an end: lint"
    assert last(run, omnelog.PipeAborted).reason == reason
    assert "nodes without an end: lint" in caught.value.__notes__[0]
    assert findings(run) == []


@pytest.mark.parametrize("step", ["before", "after"])
def test_a_gate_outside_of_its_node_is_an_error(tmp_path: Path, step: str) -> None:
    with start(tmp_path) as run:
        node = run.node("lint", BASH)
        if step == "after":
            with node:
                pass
        with pytest.raises(RecordingError, match="'lint' is not running in this process"):
            node.gate("review", omnelog.GateMethod.HOOK)
    assert findings(run) == []


@in_a_thread
def test_an_interrupt_at_any_moment_leaves_a_clean_log(tmp_path: Path) -> None:
    """The interrupt comes at every 37th bytecode in turn, and the host continues after it."""

    def interrupt() -> None:
        raise KeyboardInterrupt

    def play(run: Run, strike: Strike) -> None:
        with suppress(KeyboardInterrupt), strike, run.node("lint", BASH):
            pass
        with run.node("types", BASH):
            pass

    at = 1
    while True:
        root = tmp_path / str(at)
        root.mkdir()
        strike = Strike(at, interrupt)
        run = start(root)
        with suppress(RecordingError), run:
            play(run, strike)
        assert findings(run) == [], strike.where
        assert logged(run)[-1] in ("pipe.completed", "pipe.aborted")
        if strike.seen < at:
            break
        at += 37
    assert at > 1000


# Children, and what they know from their environment.


CHILD = """
from omnelog import NodeKind
from omnelog.recording import Run
with Run.join() as run:
    print(run.outer_node_id)
    with run.node("inner", NodeKind.BASH):
        pass
"""


def run_child(environ: Mapping[str, str], program: str = CHILD) -> str:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), **environ}
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, stdout=subprocess.PIPE, text=True
    )
    assert done.returncode == 0
    return done.stdout


@pytest.mark.spec("VOL-22")
def test_a_child_of_a_node_joins_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with Run.start(".", "ci", version="1") as run, run.node("outer", BASH) as node:
        assert node.environ == {
            "OMNE_VOLUME_ROOT": str(tmp_path),
            "OMNE_RUN_ID": run.run_id,
            "OMNE_NODE_ID": "outer",
        }
        assert run_child(node.environ) == "outer\n"
    assert logged(run) == [
        "pipe.started",
        "node.started outer",
        "node.started inner",
        "node.completed inner",
        "node.completed outer",
        "pipe.completed",
    ]
    assert findings(run) == []


@pytest.mark.spec("VOL-23", "VOL-24")
def test_a_run_inside_a_node_of_another_run_has_no_outer_node(tmp_path: Path) -> None:
    with start(tmp_path) as outer, outer.node("outer", BASH) as node, start(tmp_path) as run:
        assert run_child({**node.environ, **run.environ}) == "None\n"
    assert logged(run)[1:3] == ["node.started inner", "node.completed inner"]


@pytest.mark.spec("VOL-24")
@pytest.mark.parametrize("name", ["OMNE_VOLUME_ROOT", "OMNE_RUN_ID"])
@pytest.mark.parametrize("value", [None, ""], ids=["unset", "empty"])
def test_without_a_run_in_the_environment_there_is_none_to_join(
    tmp_path: Path, name: str, value: str | None
) -> None:
    with start(tmp_path) as run:
        environ = run.environ
        del environ[name]
        if value is not None:
            environ[name] = value
        with pytest.raises(recording.RunNotFound, match=f"{name} is not set"):
            Run.join(environ)


@pytest.mark.spec("VOL-25")
def test_a_run_that_cannot_be_joined_is_a_clear_error(tmp_path: Path) -> None:
    with start(tmp_path) as run:
        pass
    with pytest.raises(recording.RunEnded, match="the run has ended"):
        Run.join(run.environ)
    with pytest.raises(recording.RunNotFound, match="there is no run 'other'"):
        Run.attach(tmp_path, "other")
    omnelog.run_dir(tmp_path, "empty").mkdir()
    with pytest.raises(recording.RunNotFound, match="no event yet"):
        Run.attach(tmp_path, "empty")
    with pytest.raises(omnelog.InvalidRunId):
        Run.attach(tmp_path, "../empty")
    with pytest.raises(recording.RunNotFound):
        Run.attach(tmp_path / "gone", run.run_id)


def test_leaving_a_run_that_was_joined_does_not_end_it(tmp_path: Path) -> None:
    with start(tmp_path) as run:
        for name in ("a", "b"):
            with Run.attach(tmp_path, run.run_id) as joined, joined.node(name, BASH):
                pass
        with pytest.raises(Broken), Run.attach(tmp_path, run.run_id):
            raise Broken
        with pytest.raises(recording.RunEnded, match="has left it"), joined.node("c", BASH):
            pass
    assert logged(run)[-2:] == ["node.completed b", "pipe.completed"]
    assert findings(run) == []


@pytest.mark.spec("EVT-9")
def test_a_child_that_outlives_the_run_is_refused_and_logs_nothing_after_the_end(
    tmp_path: Path,
) -> None:
    run = start(tmp_path)
    joined = Run.join(run.environ)
    node = joined.node("slow", BASH)
    node.__enter__()
    with pytest.raises(RecordingError, match="nodes without an end: slow"):
        run.end()
    with pytest.raises(recording.RunEnded, match="the run has ended"):
        node.__exit__(None, None, None)
    with pytest.raises(recording.RunEnded), joined.node("late", BASH):
        pass
    joined.end()
    assert last(run, omnelog.PipeAborted).reason == "nodes without an end: slow"
    assert findings(run) == []


@pytest.mark.parametrize("reason", ["short", "x" * 2_000_000], ids=["short", "long"])
@pytest.mark.parametrize("tail", [b"", b'{"type":"node.st', b"damage\n", b"\n\n", b"\0" * 300_000])
def test_the_end_of_a_run_is_found_whatever_follows_it(
    tmp_path: Path, tail: bytes, reason: str
) -> None:
    run = start(tmp_path)
    end = omnelog.PipeAborted(**recording.event_head(tmp_path, run.run_id), reason=reason)
    with omnelog.EventLog.for_run(tmp_path, run.run_id) as log:
        log.append(end)
    with log.path.open("ab") as file:
        file.write(tail)
    with pytest.raises(recording.RunEnded, match=r"has ended already \(aborted\)"):
        Run.attach(tmp_path, run.run_id)


@pytest.mark.spec("EVT-10")
def test_the_end_of_a_run_is_found_before_all_that_its_nodes_logged_afterwards(
    tmp_path: Path,
) -> None:
    """50 nodes run when the run is aborted. After that, each of them logs a long message."""
    run = start(tmp_path)
    nodes = [Run.attach(tmp_path, run.run_id).node(f"n{number}", LOOP) for number in range(50)]
    for node in nodes:
        node.__enter__()
    with omnelog.EventLog.for_run(tmp_path, run.run_id) as log:
        head = recording.event_head(tmp_path, run.run_id)
        log.append(omnelog.PipeAborted(**head, reason="given up"))
        for node in nodes:
            head = recording.event_head(tmp_path, run.run_id)
            event = omnelog.IterationStarted(
                **head, node_id=node.node_id, iteration=1, byte_offset=0
            )
            error = omnelog.NodeError(kind=omnelog.ErrorKind.CRASH)
            end = omnelog.NodeFailed(
                **recording.event_head(tmp_path, run.run_id),
                node_id=node.node_id,
                error=error,
                message="x" * 4096,
            )
            log.append_many([event, end])
    assert findings(run) == []
    with pytest.raises(recording.RunEnded):
        Run.attach(tmp_path, run.run_id)


@pytest.mark.spec("VOL-25")
@pytest.mark.parametrize("data", [b"", b"\n", b"damage\n", b'{"type":"pipe.sta'])
def test_a_run_without_an_event_cannot_be_joined(tmp_path: Path, data: bytes) -> None:
    testing.write_log(tmp_path, "r", data)
    with pytest.raises(recording.RunNotFound, match="no event yet"):
        Run.attach(tmp_path, "r")


def test_a_damaged_log_can_be_joined(tmp_path: Path) -> None:
    run = start(tmp_path)
    with omnelog.events_log_path(tmp_path, run.run_id).open("ab") as log:
        log.write(b'pipe.completed\n{"type":"pipe.comp')
    with Run.attach(tmp_path, run.run_id) as joined, joined.node("lint", BASH):
        pass
    run.end()
    found = omnelog.scan_run(tmp_path, run.run_id)
    assert [event.type for event in found.events][-2:] == ["node.completed", "pipe.completed"]


@pytest.fixture
def sizes_read(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many bytes each read of a log has returned."""
    sizes: list[int] = []

    def pread(fd: int, size: int, offset: int) -> bytes:
        data = os.pread(fd, size, offset)
        sizes.append(len(data))
        return data

    between(monkeypatch, pread=pread)
    return sizes


def test_joining_takes_the_same_however_many_nodes_there_are(
    tmp_path: Path, sizes_read: list[int]
) -> None:
    """The test counts the bytes that are read. 5,000 nodes make a log of 1.5 MB.

    The longest log also has a hole of a gigabyte in its middle.
    """
    run = start(tmp_path)
    head = recording.event_head(tmp_path, run.run_id)
    node = omnelog.NodeStarted(**head, node_id="n" * 150, kind=BASH)
    totals = []
    with omnelog.EventLog.for_run(tmp_path, run.run_id) as log:
        for number in range(3):
            if number == 2:
                os.truncate(log.path, 2**30)
                with log.path.open("ab") as file:
                    file.write(b"\n")
            log.append_many([node] * 2500)
            sizes_read.clear()
            Run.attach(tmp_path, run.run_id)
            totals.append(sum(sizes_read))
    assert max(totals) - min(totals) < 1000
    assert max(totals) < 500_000 < omnelog.events_log_path(tmp_path, run.run_id).stat().st_size


def test_a_gigabyte_of_zeros_at_the_end_of_a_log_is_not_read(
    tmp_path: Path, sizes_read: list[int]
) -> None:
    """A power loss can leave such a tail, which is a hole in the file."""
    run = start(tmp_path)
    path = omnelog.events_log_path(tmp_path, run.run_id)
    os.truncate(path, 2**30)
    Run.attach(tmp_path, run.run_id)
    assert sum(sizes_read) < 2**20
    with omnelog.EventLog.for_run(tmp_path, run.run_id) as log:
        log.append(omnelog.PipeCompleted(**recording.event_head(tmp_path, run.run_id)))
    os.truncate(path, 2**30)
    with pytest.raises(recording.RunEnded):
        Run.attach(tmp_path, run.run_id)


def test_a_pickled_copy_takes_part_in_the_run_and_does_not_end_it(tmp_path: Path) -> None:
    with start(tmp_path) as run:
        copy = pickle.loads(pickle.dumps(run))
        with copy, copy.node("elsewhere", BASH):
            pass
    assert logged(run)[1:] == [
        "node.started elsewhere",
        "node.completed elsewhere",
        "pipe.completed",
    ]
    with pytest.raises(recording.RunEnded), pickle.loads(pickle.dumps(run)).node("late", BASH):
        pass
    assert findings(run) == []


# Threads, tasks and forks.


def test_nodes_overlap_in_threads(tmp_path: Path) -> None:
    """Each thread waits inside its node until all threads are in theirs."""
    everybody = threading.Barrier(4)

    def work(number: int) -> None:
        with run.node(f"n{number}", BASH) as node:
            everybody.wait(60)
            node.gate("met", omnelog.GateMethod.HOOK)

    with start(tmp_path) as run, ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(4)))
    assert [name.split()[0] for name in logged(run)][1:5] == ["node.started"] * 4
    assert len(logged(run)) == 14
    assert findings(run) == []


def test_nodes_overlap_in_tasks_of_asyncio(tmp_path: Path) -> None:
    """A task that must not wait for the log runs its whole block in a thread."""

    async def main() -> None:
        inside = asyncio.Event()

        def work() -> None:
            with run.node("thread", BASH):
                loop.call_soon_threadsafe(inside.set)
                assert may_end.wait(60)

        loop = asyncio.get_running_loop()
        may_end = threading.Event()
        thread = asyncio.create_task(asyncio.to_thread(work))
        await inside.wait()
        with run.node("task", BASH):
            await asyncio.sleep(0)
        may_end.set()
        await thread

    with start(tmp_path) as run:
        asyncio.run(main())
    assert logged(run)[1:] == [
        "node.started thread",
        "node.started task",
        "node.completed task",
        "node.completed thread",
        "pipe.completed",
    ]
    assert findings(run) == []


def test_a_child_that_forks_inside_a_node_and_leaves_the_block_logs_no_end(tmp_path: Path) -> None:
    with start(tmp_path) as run, run.node("outer", BASH):

        def body(_: Channel) -> None:
            with run.node("inner", BASH):
                pass
            run.end(SystemExit(1))  # a child that leaves all blocks does this

        in_child(body)
    assert logged(run)[1:] == [
        "node.started outer",
        "node.started inner",
        "node.completed inner",
        "node.completed outer",
        "pipe.completed",
    ]
    assert findings(run) == []


def test_a_fork_while_another_thread_logs_does_not_make_the_child_wait(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The child inherits the lock that the thread holds, but not the thread."""
    here = threading.get_ident()
    is_in, go = threading.Event(), threading.Event()

    def write(fd: int, data: bytes) -> int:
        if threading.get_ident() != here:
            is_in.set()
            assert go.wait(60)
        return os.write(fd, data)

    def work() -> None:
        with run.node("thread", BASH):
            pass

    with start(tmp_path) as run:
        with run.node("before", BASH):
            pass
        between(monkeypatch, write=write)
        thread = threading.Thread(target=work)
        thread.start()
        assert is_in.wait(60)

        def body(channel: Channel) -> None:
            channel.hear()
            with run.node("child", BASH):
                pass

        with forked(body) as child:
            go.set()
            thread.join()
            child.tell()
            child.hear()
    assert findings(run) == []
    assert len(logged(run)) == 8


# What cannot be logged.


@contextmanager
def warned(match: str) -> Iterator[None]:
    """Check that there is exactly one warning, and that it matches."""
    with pytest.warns(RecordingWarning, match=match) as found:
        yield
    assert len(found) == 1


def no_space(_fd: int, _data: bytes) -> int:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.spec("VOL-26")
def test_a_node_id_that_is_used_twice_is_refused_and_the_first_output_kept(tmp_path: Path) -> None:
    with start(tmp_path) as run:
        with run.node("lint", BASH) as node:
            node.capture_path.write_text("kept")
        for other in (run, Run.attach(tmp_path, run.run_id)):
            with pytest.raises(recording.NodeExists, match="has a node 'lint' already"):
                with other.node("lint", BASH):
                    raise AssertionError("the block was entered")
        assert node.capture_path.read_text() == "kept"
    assert findings(run) == []


def test_a_node_id_that_is_not_a_component_is_refused(tmp_path: Path) -> None:
    with start(tmp_path) as run:
        for node_id in ("a/b", "..", "", "\udcff"):
            with pytest.raises(omnelog.InvalidRunId), run.node(node_id, BASH):
                pass
        with pytest.raises(omnelog.LogIOError, match="too long"), run.node("x" * 300, BASH):
            pass
        with pytest.raises(ValueError, match="shell"):
            run.node("lint", "shell")  # type: ignore[arg-type]
    assert logged(run) == ["pipe.started", "pipe.completed"]


def test_bad_arguments_are_value_errors_before_anything_is_touched(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="'raise' or 'warn'"):
        Run.start(tmp_path, "ci", version="1", errors="ignore")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="lock_timeout"):
        Run.start(tmp_path, "ci", version="1", errors="warn", lock_timeout=-1)
    with pytest.raises(omnelog.InvalidRunId):
        Run.start(tmp_path, "a/b", version="1")
    assert list(tmp_path.iterdir()) == []


def test_a_volume_is_not_made_where_there_is_no_directory(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match="gone: not a directory"):
        start(tmp_path / "gone")
    assert list(tmp_path.iterdir()) == []


def test_a_root_that_cannot_be_looked_for_is_an_error_with_the_reason(tmp_path: Path) -> None:
    root = tmp_path / ("x" * 300)
    with pytest.raises(omnelog.LogIOError, match="cannot look for the root: File name too long"):
        start(root)
    with warned("not recorded"), start(root, "warn"):
        pass


@pytest.mark.usefixtures("gone_directory")
def test_without_a_working_directory_a_relative_root_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(omnelog.LogIOError):
        start(Path())
    with warned("not recorded"), start(Path(), "warn"):
        pass


@pytest.mark.parametrize("where", ["missing", "file", "read-only"])
def test_a_host_that_is_warned_runs_without_a_volume(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    root = tmp_path / "root"
    if where == "file":
        root.mkdir()
        omnelog.omne_dir(root).touch()
    if where == "read-only":

        def refuse(*_: object) -> int:
            raise OSError(errno.EROFS, os.strerror(errno.EROFS))

        root.mkdir()
        between(monkeypatch, open=refuse)
    done = []
    with warned(r"run of 'ci': not recorded: .*no other warning follows"):
        with start(root, "warn") as run, run.node("lint", BASH) as node:
            node.gate("review", omnelog.GateMethod.HOOK)
            node.capture_path.write_text("to nowhere")
            done.append(run.environ["OMNE_RUN_ID"])
    assert done == [run.run_id] == [""]
    with pytest.raises(omnelog.OmnelogError):
        start(root)


def test_a_host_that_is_warned_runs_although_the_disk_is_full_from_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    between(monkeypatch, write=no_space)
    with warned(r"run of 'ci': not recorded: .*No space left"):
        with start(tmp_path, "warn") as run, run.node("lint", BASH) as node:
            monkeypatch.undo()
            node.capture_path.write_text("to nowhere")
    assert run.environ["OMNE_RUN_ID"] == run.run_id == ""
    assert node.capture_path == Path(os.devnull)


def test_a_child_that_is_warned_runs_although_it_cannot_join(tmp_path: Path) -> None:
    with warned("nothing is recorded: no run to join"):
        with Run.join({}, errors="warn") as run, run.node("lint", BASH):
            pass
    with warned("nothing is recorded: .*there is no run 'r'"):
        with Run.attach(tmp_path, "r", errors="warn") as run, run.node("lint", BASH):
            pass
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_in_the_middle_of_a_node_is_raised_and_the_run_ends_when_there_is_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = start(tmp_path)
    node = run.node("lint", BASH)
    with pytest.raises(omnelog.LogIOError, match="No space left"), node:
        between(monkeypatch, write=no_space)
    monkeypatch.undo()
    with pytest.raises(RecordingError, match="nodes without an end: lint"):
        run.end()
    assert logged(run) == ["pipe.started", "node.started lint", "pipe.aborted"]
    assert findings(run) == []


def test_a_full_disk_does_not_hide_what_the_host_failed_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(run: Run) -> None:
        with run.node("lint", BASH):
            between(monkeypatch, write=no_space)
            raise Broken

    with pytest.raises(Broken) as caught, start(tmp_path) as run:
        fail(run)
    notes = caught.value.__notes__
    assert len(notes) == 2
    assert notes[0].startswith("node 'lint': its end is not in the log: ")
    assert notes[1].startswith(f"run {run.run_id}: its end is not in the log: ")
    assert logged(run) == ["pipe.started", "node.started lint"]
    assert findings(run) == []


def test_a_full_disk_does_not_fail_a_host_that_is_warned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with warned("node 'lint': its end is not in the log: .*No space left"):
        with start(tmp_path, "warn") as run:
            with run.node("lint", BASH):
                between(monkeypatch, write=no_space)
            with run.node("types", BASH) as node:
                node.capture_path.write_text("to nowhere")
            monkeypatch.undo()
            with run.node("types", BASH) as node:
                node.capture_path.write_text("kept")
    assert logged(run)[2:] == ["node.started types", "node.completed types", "pipe.aborted"]
    assert last(run, omnelog.PipeAborted).reason == "nodes without an end: lint"
    assert node.capture_path.read_text() == "kept"
    assert findings(run) == []


def test_a_node_whose_start_cannot_be_logged_leaves_its_id_free(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with start(tmp_path) as run:
        with monkeypatch.context() as patch:
            between(patch, write=no_space)
            with pytest.raises(omnelog.LogIOError), run.node("lint", BASH):
                pass
        with run.node("lint", BASH):
            pass
    assert findings(run) == []


def test_a_node_that_may_have_been_started_keeps_its_id(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The line of its start is written but cannot be synced, so a power loss may take it."""

    def no_sync(_fd: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    run = Run.start(tmp_path, "ci", version="1", durable=True)
    with monkeypatch.context() as patch:
        between(patch, fsync=no_sync, fdatasync=no_sync)
        with pytest.raises(omnelog.AppendIndeterminate), run.node("lint", BASH):
            pass
    with pytest.raises(recording.NodeExists), run.node("lint", BASH):
        pass
    with pytest.raises(RecordingError, match="nodes without an end: lint"):
        run.end()
    assert logged(run) == ["pipe.started", "node.started lint", "pipe.aborted"]
    assert findings(run) == []


def test_a_lock_that_is_never_free_is_a_lock_timeout(tmp_path: Path) -> None:
    run = Run.start(tmp_path, "ci", version="1", lock_timeout=0)
    with run:
        with holding(omnelog.events_log_path(tmp_path, run.run_id)):
            with pytest.raises(omnelog.LockTimeout), run.node("lint", BASH):
                pass
        with holding(omnelog.ulid_lock_path(tmp_path)):
            with pytest.raises(omnelog.LockTimeout), run.node("lint", BASH):
                pass
    assert logged(run) == ["pipe.started", "pipe.completed"]


@pytest.mark.parametrize("gone", ["log", "run", "volume"])
def test_a_log_that_is_gone_is_an_error_and_not_made_again(tmp_path: Path, gone: str) -> None:
    run = start(tmp_path)
    node = run.node("lint", BASH)
    node.__enter__()
    path = omnelog.events_log_path(tmp_path, run.run_id)
    path.unlink()
    if gone != "log":
        omnelog.run_dir(tmp_path, run.run_id).rename(tmp_path / "moved")
    if gone == "volume":
        omnelog.omne_dir(tmp_path).rename(tmp_path / "moved-too")
    with pytest.raises(omnelog.LogIOError, match="the log is gone"):
        node.__exit__(None, None, None)
    with pytest.raises(omnelog.LogIOError), run.node("types", BASH):
        pass
    with pytest.raises(omnelog.LogIOError):
        run.end()
    assert not path.exists()
    if gone == "volume":
        assert not omnelog.omne_dir(tmp_path).exists()


def test_somebody_else_ended_the_run(tmp_path: Path) -> None:
    run = start(tmp_path)
    with omnelog.EventLog.for_run(tmp_path, run.run_id) as log:
        log.append(omnelog.PipeCompleted(**recording.event_head(tmp_path, run.run_id)))
    with pytest.raises(recording.RunEnded):
        run.end()
    assert findings(run) == []


def test_a_warning_that_is_an_error_says_so_to_the_host(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(RecordingWarning):
            start(tmp_path / "gone", "warn")


def test_the_warning_that_a_run_is_not_recorded_points_at_the_host(tmp_path: Path) -> None:
    with pytest.warns(RecordingWarning) as found:
        Run.start(tmp_path / "gone", "ci", version="1", errors="warn")
    assert found[0].filename == __file__


@pytest.mark.parametrize(
    "log",
    [
        lambda run, node: run.node("other", BASH).__enter__(),
        lambda run, node: node.gate("review", omnelog.GateMethod.HOOK),
        lambda run, node: node.iteration(1, 0),
        lambda run, node: node.__exit__(None, None, None),
        lambda run, node: run.end(),
        lambda run, node: run.__exit__(None, None, None),
    ],
    ids=["a start", "a gate", "an iteration", "an end", "the end", "the end of a block"],
)
def test_the_warning_points_at_the_host_whatever_is_not_logged(
    tmp_path: Path, log: Callable[[Run, recording.Node], object]
) -> None:
    run = start(tmp_path, "warn")
    node = run.node("n", LOOP).__enter__()
    omnelog.events_log_path(tmp_path, run.run_id).unlink()
    with pytest.warns(RecordingWarning) as found:
        log(run, node)
    assert found[0].filename == __file__


@pytest.mark.parametrize(
    "error", [RecordingError, recording.RunNotFound, recording.RunEnded, recording.NodeExists]
)
def test_errors_can_be_pickled(error: type[Exception]) -> None:
    copy = pickle.loads(pickle.dumps(error("why")))
    assert type(copy) is error
    assert str(copy) == "why"
    assert isinstance(copy, omnelog.OmnelogError)


# The example task_runner.py.


TASKS = """
[first]
command = "echo one"
[second]
command = "echo two"
after = ["first"]
[{extra}]
command = {command}
"""


EXAMPLE = PROJECT / "examples" / "task_runner.py"


def run_example(root: Path, **environ: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, str(EXAMPLE), "tasks.toml"]
    environment = {**os.environ, **environ}
    return subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True)


def test_the_example_runs_tasks_and_itself_as_one_run(tmp_path: Path) -> None:
    """The inner runner has tasks of the same names, and ends without ending the run."""
    again = json.dumps(shlex.join([sys.executable, str(EXAMPLE), "inner.toml"]))
    tmp_path.joinpath("tasks.toml").write_text(TASKS.format(extra="nested", command=again))
    tmp_path.joinpath("inner.toml").write_text(TASKS.format(extra="third", command="'echo three'"))
    done = run_example(tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    [run_id] = omnelog.enumerate_runs(tmp_path)
    assert testing.findings(tmp_path, run_id) == []
    found = omnelog.read_run(tmp_path, run_id)
    assert sum(isinstance(event, omnelog.NodeCompleted) for event in found) == 6
    assert isinstance(found[-1], omnelog.PipeCompleted)
    outputs = [path.read_text() for path in omnelog.nodes_dir(tmp_path, run_id).iterdir()]
    assert sorted(outputs) == ["", "one\n", "one\n", "three\n", "two\n", "two\n"]


def test_the_example_says_which_tasks_failed_and_runs_none_after_them(tmp_path: Path) -> None:
    tasks = TASKS.replace("echo one", "exit 3").format(extra="third", command="'exit 4'")
    tmp_path.joinpath("tasks.toml").write_text(tasks)
    done = run_example(tmp_path)
    assert done.returncode == 1
    assert sorted(re.findall(r"(\w+) \(exit status (\d)\)", done.stderr)) == [
        ("first", "3"),
        ("third", "4"),
    ]
    [run_id] = omnelog.enumerate_runs(tmp_path)
    assert testing.findings(tmp_path, run_id) == []
    found = omnelog.read_run(tmp_path, run_id)
    started = {event.node_id for event in found if isinstance(event, omnelog.NodeStarted)}
    assert started == {"first", "third"}
    assert isinstance(found[-1], omnelog.PipeAborted)


def test_the_example_says_without_a_traceback_that_its_run_has_ended(tmp_path: Path) -> None:
    tmp_path.joinpath("tasks.toml").write_text(TASKS.format(extra="third", command="'true'"))
    with start(tmp_path) as run:
        pass
    done = run_example(tmp_path, **run.environ)
    path = omnelog.events_log_path(tmp_path, run.run_id)
    assert done.returncode == 1
    assert done.stderr == f"task_runner: {path}: the run has ended already (completed)\n"


# Helpers.


def test_importing_it_imports_nothing_else() -> None:
    """All verbs of the command import `recording`, and start as fast as without it."""
    name = omnelog.__name__
    program = (
        f"import sys, {name}; before = {{*sys.modules}}; import {name}.recording; "
        "print(*{*sys.modules} - before)"
    )
    done = subprocess.run([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    assert done.stdout.split() == [f"{name}.recording"]


def test_a_node_id_may_have_letters_that_the_locale_does_not_know(tmp_path: Path) -> None:
    program = r"""
from omnelog import NodeKind
from omnelog.recording import Run
with Run.join() as run, run.node("caf\u00e9", NodeKind.BASH) as node:
    node.capture_path.write_bytes(b"noir")
"""
    ascii_only = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    with start(tmp_path) as run:
        run_child({**run.environ, **ascii_only}, program)
        with pytest.raises(recording.NodeExists), run.node("caf\u00e9", BASH):
            pass
    completed = last(run, omnelog.NodeCompleted)
    assert (tmp_path / completed.output_path).read_bytes() == b"noir"


@pytest.mark.parametrize("make", [Path.touch, lambda path: path.symlink_to("nowhere")])
def test_what_is_in_the_way_of_the_outputs_is_named(
    tmp_path: Path, make: Callable[[Path], None]
) -> None:
    with start(tmp_path) as run:
        nodes = omnelog.nodes_dir(tmp_path, run.run_id)
        make(nodes)
        with pytest.raises(omnelog.LogIOError, match=f"{nodes}: is not a directory"):
            run.node("lint", BASH).__enter__()
    assert findings(run) == []


@given(st.lists(texts() | st.text(st.characters()), unique=True))
@example(["Foo", "foo", "foo ", "FOO", "", "/", "..", ".", "-x", "x" * 81, "x" * 80])
@example(["foo", recording.node_id_for("Foo"), "Foo"])
@example(["\ud800", "\udcff", "\ufffd", "con/a", "con\\a"])
def test_a_node_id_for_any_text_is_a_component_of_its_own(names: list[str]) -> None:
    found = [recording.node_id_for(name) for name in names]
    assert len({node_id.lower() for node_id in found}) == len(names)
    for node_id in found:
        assert omnelog.node_capture_wire_path("r", node_id)
        assert node_id.isprintable()
        assert node_id.isascii()
        assert 0 < len(node_id) <= 80
        assert recording.node_id_for(node_id) == node_id or "~" in node_id


def test_a_plain_text_is_its_own_node_id_and_others_can_be_read() -> None:
    assert recording.node_id_for("test_3.11-unit") == "test_3.11-unit"
    assert recording.node_id_for("Unit tests (3.11)").startswith("unit-tests-3-11~")


SURROGATES = re.compile("[\ud800-\udfff]+")


@given(texts() | st.text(st.characters()))
@example("\ud83d\ude00")
@example("a\udcffb\ud800")
def test_the_text_of_an_event_can_be_encoded_and_is_otherwise_as_it_was(text: str) -> None:
    found = recording.event_text(text)
    assert found.encode().decode() == found
    kept = map(re.escape, SURROGATES.split(text))
    assert re.fullmatch(".+".join(kept), found, re.DOTALL)
    if not SURROGATES.search(text):
        assert found == text


@given(st.binary())
@example("caf\u00e9".encode())
@example(b"caf\xe9")
def test_bytes_that_the_locale_cannot_decode_are_text_where_they_are_utf_8(data: bytes) -> None:
    """Arguments and file names are such bytes in an ASCII locale."""
    text = data.decode("ascii", errors="surrogateescape")
    assert recording.event_text(text) == data.decode(errors="replace")


@given(events())
def test_the_moment_of_an_event_is_near_its_ts(event: omnelog.Event) -> None:
    moment_ms = recording.moment_ms(event)
    second_ms = recording.ts_ms(event.ts)
    if second_ms is None:
        assert moment_ms is None
    else:
        assert moment_ms in (second_ms, omnelog.ulid.ulid_ms(event.id))
        assert moment_ms is not None
        assert abs(moment_ms - second_ms) < 2000


@pytest.mark.parametrize(
    ("ulid", "ts", "moment"),
    [
        ("01kpfntqeej7vhn935kc0tm9vn", "2026-04-18T06:53:09Z", 1776495189454),
        ("01kpfntqeej7vhn935kc0tm9vn", "2026-01-31T23:59:59Z", 1769903999000),
        ("no ULID", "2026-01-31T23:59:59Z", 1769903999000),
        ("no ULID", "2016-12-31T23:59:60Z", 1483228800000),
        ("01kpfntqeej7vhn935kc0tm9vn", "2026-02-30T23:59:59Z", None),
        ("01kpfntqeej7vhn935kc0tm9vn", "yesterday", None),
    ],
)
def test_the_moment_has_milliseconds_where_the_id_agrees(
    ulid: str, ts: str, moment: int | None
) -> None:
    event = omnelog.PipeCompleted(id=ulid, ts=ts, run_id="r")
    assert recording.moment_ms(event) == moment


def test_the_head_of_an_event_is_of_now(tmp_path: Path) -> None:
    events = [
        omnelog.PipeCompleted(**recording.event_head(tmp_path, "r")),
        omnelog.PipeCompleted(**recording.event_head(tmp_path, "r")),
    ]
    assert events[0].id < events[1].id
    assert events[0].run_id == "r"
    moment = recording.moment_ms(events[1])
    assert moment is not None
    assert moment == omnelog.ulid.ulid_ms(events[1].id)
    given = recording.event_head(tmp_path / "none", "r", events[0].id)
    assert given["id"] == events[0].id
    assert not (tmp_path / "none").exists()


# Arbitrary hosts.


@dataclass(frozen=True)
class Step:
    """An action of a host inside a block."""

    what: Literal["node", "left", "fork", "thread", "join", "fail"]
    inner: tuple["Step", ...] = ()
    is_caught: bool = False

    def count(self, what: str) -> int:
        """How many steps of a kind there are, including this one."""
        return (self.what == what) + sum(step.count(what) for step in self.inner)


def steps() -> st.SearchStrategy[tuple[Step, ...]]:
    def extend(inner: st.SearchStrategy[Step]) -> st.SearchStrategy[Step]:
        kinds = st.sampled_from(["node", "node", "fork", "thread", "join"])
        several = st.lists(inner, max_size=3).map(tuple)
        return st.builds(Step, what=kinds, inner=several, is_caught=st.booleans())

    leaf = st.sampled_from([Step("node"), Step("left"), Step("fork"), Step("fail")])
    return st.lists(st.recursive(leaf, extend, max_leaves=6), max_size=4).map(tuple)


class Host:
    """Plays steps. A forked child leaves all blocks, as the child of a host would."""

    def play(self, run: Run, several: tuple[Step, ...], name: str) -> None:
        for number, step in enumerate(several):
            try:
                self.take(run, step, f"{name}.{number}")
            except Broken:
                if not step.is_caught:
                    raise

    def take(self, run: Run, step: Step, name: str) -> None:
        match step.what:
            case "fail":
                raise Broken(name)
            case "node":
                with run.node(name, BASH):
                    self.play(run, step.inner, name)
            case "left":  # a thread still runs in it, or its end could not be logged
                run.node(name, BASH).__enter__()
            case "thread":
                with ThreadPoolExecutor(1) as pool:
                    pool.submit(self.play_in_thread, run, step.inner, name).result()
            case "join":
                with Run.join(run.environ) as joined:
                    self.play(joined, step.inner, name)
            case "fork":
                self.fork(run, step, name)

    def play_in_thread(self, run: Run, several: tuple[Step, ...], name: str) -> None:
        """A child that is forked in a thread has only this thread, so the child ends here."""
        leave_as_child(lambda: self.play(run, several, name))

    def fork(self, run: Run, step: Step, name: str) -> None:
        pid = fork()
        if pid:
            _, status = os.waitpid(pid, 0)
            assert status == 0
            return
        signal.alarm(60)  # so that the parent does not wait for ever
        try:
            self.play(run, step.inner, name)
        finally:
            raise SystemExit  # leaves the blocks that the parent entered


def leave_as_child(body: Callable[[], None]) -> None:
    """Call `body`; a child that was forked in it ends here."""
    pid = os.getpid()
    try:
        body()
    finally:
        if os.getpid() != pid:
            os._exit(0)


@settings(max_examples=60)
@given(steps())
@example((Step("node", (Step("fork", (Step("node"), Step("fail"))),)),))
@example((Step("thread", (Step("node", (Step("fail"),)),), is_caught=True), Step("node")))
@example((Step("fork", (Step("left"),)), Step("join", (Step("node"),))))
@example((Step("fork", (Step("node", (Step("thread"),)),)),))
def test_whatever_a_host_does_its_log_is_clean(several: tuple[Step, ...]) -> None:
    with testing.new_volume() as root:
        run = start(root)
        host = Host()

        def body() -> None:
            try:
                with suppress(Broken), run:
                    host.play(run, several, "n")
            except RecordingError as error:
                if "is logged as aborted, nodes without an end: n." not in str(error):
                    raise

        leave_as_child(body)
        assert findings(run) == []
        found = logged(run)
        assert found[-1] in ("pipe.completed", "pipe.aborted")
        ends = sum(name.startswith(("node.completed", "node.failed")) for name in found)
        starts = sum(name.startswith("node.started") for name in found)
        assert starts - ends <= sum(step.count("left") for step in several)
        assert starts == ends or found[-1] == "pipe.aborted"
