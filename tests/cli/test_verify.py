# SPDX-License-Identifier: MIT
"""`verify` finds what is wrong with a log and says where. A sane log is clean."""

import fcntl
import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from importlib import import_module
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from .. import omnelog, testing
from .histories import History, sane_runs
from .volume import RUN, WATCHDOG_S, Process, Volume, finish, locked

checks = import_module(f"{omnelog.__name__}.cli.checks")


def begun(*nodes: str) -> History:
    """A run that has begun, and has started these nodes."""
    history = History().begin()
    for node in nodes:
        history.start(node)
    return history


def findings(volume: Volume, *words: str) -> list[str]:
    """The findings of `verify`, without the path of the log."""
    said = volume.call("verify", *(words or (RUN,)))
    lines = said.out.decode().splitlines()
    assert (said.status, bool(lines)) in ((0, False), (1, True))
    path = str(volume.log())
    assert all(line.startswith(path) for line in lines)
    return [line.removeprefix(path) for line in lines]


def test_a_sane_run_is_clean(volume: Volume) -> None:
    volume.write(
        *History().begin().start("n").gate("n").iterate("n", 1).done("n").complete().events
    )
    said = volume.call("verify", RUN)
    assert (said.status, said.out) == (0, b"")
    assert "1 log, 6 lines, 0 findings" in said.err


@given(sane_runs(), st.integers(0, 40))
def test_every_prefix_of_any_sane_run_is_clean(run: list["omnelog.Event"], count: int) -> None:
    with testing.new_volume() as root:
        path = omnelog.events_log_path(root, RUN)
        path.parent.mkdir(parents=True)
        path.write_bytes(b"".join(map(omnelog.encode, run[:count])))
        assert list(checks.check_log(RUN, path, lambda _: None).findings) == []


@pytest.mark.parametrize(
    ("history", "finding"),
    [
        (begun().done("n"), ":2: node.completed, but node 'n' was never started"),
        (begun().fail("n"), ":2: node.failed, but node 'n' was never started"),
        (begun().gate("n"), ":2: gate.passed, but node 'n' was never started"),
        (begun().iterate("n", 1), ":2: iteration.started, but node 'n' was never started"),
        (begun("n").start("n"), ":3: node 'n' started again, after line 2"),
        (begun("n").done("n").start("n"), ":4: node 'n' started again, after line 3"),
        (begun("n").done("n").fail("n"), ":4: node.failed, but node 'n' ended on line 3"),
        (begun("n").fail("n").done("n"), ":4: node.completed, but node 'n' ended on line 3"),
        (begun("n").fail("n").gate("n"), ":4: gate.passed, but node 'n' ended on line 3"),
        (begun().complete().start("n"), ":3: node.started after the end of the pipe, line 2"),
        (begun("n").abort().start("m"), ":4: node.started after the end of the pipe, line 3"),
        (begun().abort().complete(), ":3: pipe.completed after the end of the pipe, line 2"),
        (begun("n").complete(), ":3: pipe completed, but node 'n' of line 2 has no end"),
        (begun().begin(), ":2: pipe.started again"),
        (History().complete(), ":1: the first event is pipe.completed, not pipe.started"),
    ],
)
def test_what_a_runner_would_not_log_is_a_finding(
    volume: Volume, history: History, finding: str
) -> None:
    volume.write(*history.events)
    assert findings(volume) == [finding]


def test_a_node_without_an_end_is_none_while_the_pipe_runs_or_where_it_was_aborted(
    volume: Volume,
) -> None:
    volume.write(*History().begin().start("n").events)
    assert findings(volume) == []
    volume.write(*History().begin().start("n").abort().events)
    assert findings(volume) == []


@pytest.mark.spec("EVT-10")
def test_a_node_that_runs_when_the_pipe_is_aborted_may_go_on_to_its_end(volume: Volume) -> None:
    history = begun("n", "m").abort().gate("n").iterate("n", 1).done("n").fail("m")
    volume.write(*history.events)
    assert findings(volume) == []
    volume.write(*history.done("m").events)
    assert findings(volume)[-1] == ":9: node.completed, but node 'm' ended on line 8"


@pytest.mark.spec("EVT-10")
def test_a_node_that_ended_before_the_pipe_was_aborted_may_not_go_on(volume: Volume) -> None:
    volume.write(*begun("n").done("n").abort().gate("n").events)
    assert findings(volume)[0] == ":5: gate.passed after the end of the pipe, line 4"


@pytest.mark.spec("EVT-10")
def test_a_node_that_runs_when_the_pipe_is_completed_is_found_at_each_of_its_events(
    volume: Volume,
) -> None:
    volume.write(*begun("n").complete().done("n").events)
    assert findings(volume) == [
        ":3: pipe completed, but node 'n' of line 2 has no end",
        ":4: node.completed after the end of the pipe, line 3",
    ]


def test_an_id_that_is_there_twice_is_reported_with_both_lines(volume: Volume) -> None:
    one, two, three = History().begin().start("a").start("b").events
    volume.write(one, two, b"\n", replace(three, id=one.id))
    assert findings(volume) == [f":4: id {one.id!r} is on line 1, too"]


@pytest.mark.parametrize("ts", ["", "now", "2026-02-30T00:00:00Z", "2026-01-31T23:59:59.0Z"])
def test_a_ts_that_is_not_a_time_is_a_finding(volume: Volume, ts: str) -> None:
    first, second = begun("n").events
    volume.write(first, replace(second, ts=ts))
    assert findings(volume) == [f":2: ts is {ts!r}, which is not a time as YYYY-MM-DDTHH:MM:SSZ"]


def test_a_byte_order_mark_is_named_as_such(volume: Volume) -> None:
    volume.write(b"\xef\xbb\xbf" + omnelog.encode(begun().events[0]))
    assert findings(volume) == [
        ":1: begins with a byte order mark; save the text as UTF-8 without one"
    ]


def test_as_json_each_finding_is_an_object(volume: Volume) -> None:
    path = volume.write(b"\n", b"damage\n" * 102)
    said = volume.call("verify", "--json", RUN)
    found = [json.loads(line) for line in said.out.splitlines()]
    assert (said.status, len(found)) == (1, 101)
    reason = "not JSON: Expecting value, character 0"
    assert found[0] == {"run_id": RUN, "path": str(path), "line": 2, "reason": reason}
    assert found[-1]["line"] is None


def test_ids_that_do_not_rise_are_not_a_finding(volume: Volume) -> None:
    one, two, three = History().begin().start("a").start("b").events
    volume.write(replace(one, id=three.id), two, replace(three, id=one.id))
    assert findings(volume) == []


def test_an_event_of_another_run_is_a_finding(volume: Volume) -> None:
    volume.write(*History().begin().events, *History("other").start("n").events)
    assert findings(volume)[0] == ":2: of another run: run_id is 'other'"


@pytest.mark.parametrize(
    "spelling",
    [
        lambda line: line.replace(b":", b": ", 1),
        lambda line: line.replace(b"\n", b"\r\n"),
        lambda line: line.replace(b'"node_id":"n"', b'"node_id":"\\u006e"'),
        lambda line: line.replace(b"}", b',"name":null}'),
    ],
    ids=["space", "carriage return", "escape", "null"],
)
def test_a_line_that_is_an_event_but_not_canonical_is_a_finding(
    volume: Volume, spelling: object
) -> None:
    first, second = map(omnelog.encode, History().begin().start("n").events)
    assert callable(spelling)
    volume.write(first, spelling(second))
    [finding] = findings(volume)
    assert finding.startswith(":2: not canonical: from byte ")


@pytest.mark.parametrize("damage", [b"\xff\n", b"{}\n", b"x" * 10_000_000 + b"\n", b"\0\n"])
def test_a_line_that_is_not_an_event_is_a_finding(volume: Volume, damage: bytes) -> None:
    volume.write(*History().begin().events, damage, *History().start("n").events)
    [first, *_] = findings(volume)
    assert first.startswith(":2: ")
    assert len(first) < 300


def test_a_blank_line_is_none(volume: Volume) -> None:
    volume.write(*History().begin().events, b"\n \t\n")
    assert findings(volume) == []


def test_a_torn_tail_is_a_finding(volume: Volume) -> None:
    volume.write(*History().begin().events, b'{"torn')
    [finding] = findings(volume)
    assert finding.startswith(":2: ")


def test_a_whole_event_that_lacks_its_newline_is_a_finding(volume: Volume) -> None:
    first, second = begun("n").events
    volume.write(first, omnelog.encode(second)[:-1])
    assert findings(volume)[-1] == ":2: only its newline is missing, which the next append adds"


def test_a_tail_that_is_being_written_is_reported_but_is_not_a_finding(volume: Volume) -> None:
    path = volume.write(*History().begin().events, b'{"torn')
    with locked(path):
        said = volume.call("verify", RUN)
    assert (said.status, said.out) == (0, b"")
    assert "1 last line left out that somebody is writing" in said.err


def test_a_quarantine_is_a_finding_that_says_how_many_tails_it_has(volume: Volume) -> None:
    path = volume.write(*History().begin().events)
    path.with_name("events.jsonl.torn").write_bytes(b"a\nb\n")
    assert findings(volume) == [
        ".torn:1: quarantine: 2 torn tails moved here; look at the file, then delete it"
    ]


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir, lambda path: os.symlink("nowhere", path)])
def test_a_log_that_cannot_be_read_is_a_finding(
    volume: Volume, make: Callable[[Path], object]
) -> None:
    make(volume.log())
    [finding] = findings(volume)
    assert finding.startswith(": ")


def test_a_run_without_a_log_is_clean(volume: Volume) -> None:
    volume.log()
    assert findings(volume) == []


def test_of_many_findings_a_hundred_are_reported(volume: Volume) -> None:
    volume.write(b"damage\n" * 1234)
    *first, last = findings(volume)
    assert len(first) == 100
    assert last == ": and 1134 more findings"


def test_what_a_finding_quotes_is_harmless_and_short(volume: Volume) -> None:
    hostile = "\x1b[31m\n\u202e" + "x" * 100_000
    history = History(hostile).begin().done(hostile)
    volume.write(*(replace(event, id=hostile) for event in history.events))
    for finding in findings(volume):
        assert finding.isprintable()
        assert len(finding) < 600


@pytest.mark.parametrize("jobs", ["1", "2"])
class TestOfManyRuns:
    def test_the_findings_are_reported_in_the_order_of_the_runs(
        self, volume: Volume, jobs: str
    ) -> None:
        names = [f"r-{number:03}" for number in range(50)]
        for number, name in enumerate(names):
            history = History(name).begin()
            volume.write(*history.events, b"x\n" * (number % 3), run_id=name)
        said = volume.run("verify", "--all", "-j", jobs)
        assert said.status == 1
        expected = [
            f"{volume.log(name)}:{line}"
            for number, name in enumerate(names)
            for line in range(2, 2 + number % 3)
        ]
        assert [line.split(": ")[0] for line in said.out.decode().splitlines()] == expected
        assert "50 logs" in said.err

    def test_a_volume_without_runs_is_clean(self, volume: Volume, jobs: str) -> None:
        assert volume.run("verify", "--all", "-j", jobs).status == 0

    def test_named_runs_alone_are_verified(self, volume: Volume, jobs: str) -> None:
        for name in ("a-1", "b-1", "c-1"):
            volume.write(*History(name).begin().events, b"x\n", run_id=name)
        said = volume.run("verify", "-j", jobs, "a", "c-1", "a-1")
        assert said.out.count(b"\n") == 2
        assert b"b-1" not in said.out

    def test_a_reader_that_is_gone_ends_it_quietly(self, volume: Volume, jobs: str) -> None:
        for number in range(20):
            volume.write(b"x\n", run_id=f"r{number}")
        outlet, inlet = os.pipe()
        os.close(outlet)
        said = volume.run("verify", "--all", "-j", jobs, stdout=inlet)
        os.close(inlet)
        assert (said.status, said.err) == (141, "")


@pytest.mark.parametrize("words", [["nope"], ["a/b"], ["latest"]])
def test_what_it_cannot_verify_is_status_2(volume: Volume, words: list[str]) -> None:
    said = volume.call("verify", *words)
    assert (said.status, said.out) == (2, b"")
    assert said.err.count("\n") == 1


def workers_of(process: Process) -> list[int]:
    """Wait until a process has started two others; return a pidfd of each of the two."""
    children: list[str] = []
    while len(children) < 2 and process.poll() is None:
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    return [os.pidfd_open(int(child)) for child in children]


@contextmanager
def torn_and_locked(volume: Volume, logs: int) -> Iterator[None]:
    """Make logs that take long to read, because each has a tail, and we hold its lock."""
    with ExitStack() as held:
        for number in range(logs):
            path = volume.write(b'{"torn', run_id=f"r{number:03}")
            log = held.enter_context(path.open("rb"))
            fcntl.flock(log, fcntl.LOCK_EX)
        yield


def assert_they_end(workers: list[int]) -> None:
    for worker in workers:
        assert select.select([worker], [], [], WATCHDOG_S)[0] == [worker]
        os.close(worker)


@pytest.mark.parametrize(
    ("signum", "send"),
    [
        (signal.SIGINT, os.killpg),  # as the terminal does
        (signal.SIGINT, os.kill),
        (signal.SIGTERM, os.kill),
        (signal.SIGKILL, os.kill),
    ],
)
def test_a_signal_ends_all_of_its_processes(
    volume: Volume, signum: signal.Signals, send: Callable[[int, int], None]
) -> None:
    with torn_and_locked(volume, 200):
        with volume.start("verify", "--all", "-j", "2", prefix=("setsid",)) as process:
            workers = workers_of(process)
            send(process.pid, signum)
            said = finish(process)
    assert said.status == -signum
    assert said.err == ""
    assert len(workers) == 2
    assert_they_end(workers)


def test_an_interrupt_ends_it_even_if_its_pool_of_processes_would_not_end(volume: Volume) -> None:
    stuck = (
        "import time\n"
        "from concurrent.futures import ProcessPoolExecutor as Pool\n"
        "end = Pool.shutdown\n"
        "def shutdown(pool, wait=True, **how):\n"
        "    time.sleep(600) if wait else end(pool, wait=False, **how)\n"
        "Pool.shutdown = shutdown\n"
        f"from {omnelog.__name__}.cli import run\n"
        "run()\n"
    )
    with torn_and_locked(volume, 20):
        with Process(
            [sys.executable, "-c", stuck, "verify", "--all", "-j", "2"],
            cwd=volume.root,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=volume.environment(),
        ) as process:
            workers = workers_of(process)
            process.send_signal(signal.SIGINT)
            assert finish(process).status == -signal.SIGINT
    assert_they_end(workers)


def test_a_process_of_it_that_is_killed_is_reported(volume: Volume) -> None:
    """The verdicts of that process are missing, so `verify` must not give any verdict."""
    with torn_and_locked(volume, 20):
        with volume.start("verify", "--all", "-j", "2") as process:
            workers = workers_of(process)
            signal.pidfd_send_signal(workers[0], signal.SIGKILL)
            said = finish(process)
    for worker in workers:
        os.close(worker)
    assert said.status == 2
    assert "one of its processes was killed" in said.err
    assert "Traceback" not in said.err
