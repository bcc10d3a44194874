# SPDX-License-Identifier: MIT
"""Reading: what a snapshot holds, how damage is reported, what a follower yields."""

import errno
import gc
import itertools
import json
import os
import threading
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from . import omnelog, testing
from .samples import RUN, lines, log_path, node, of_every_type, open_descriptors
from .strategies import events

BAD = [b"{broken", b"{}", b"\xff", b"null", bytes(8), b"[" * 200, b"\x1c", b'{"type":"x"}']
BLANK = [b"", b"\r", b" \t", "\u2028\x85\u3000".encode()]


class TestASnapshot:
    @given(st.lists(events()), st.integers(1, 500))
    def test_is_every_event_in_order_whatever_the_block_size(
        self, written: list["omnelog.Event"], block: int
    ) -> None:
        with testing.new_volume() as root, pytest.MonkeyPatch.context() as patch:
            patch.setattr(omnelog.linelog.lock, "BLOCK_SIZE", block)
            log_path(root).write_bytes(lines(*written))
            assert omnelog.read_run(root, RUN) == written
            assert list(omnelog.iter_run(root, RUN)) == written
            assert omnelog.scan_run(root, RUN) == omnelog.Scan(
                events=written, problems=[], blank_lines=0, tail_in_flight=False
            )

    def test_of_an_empty_log_is_nothing(self, tmp_path: Path) -> None:
        log_path(tmp_path).write_bytes(b"")
        assert omnelog.read_run(tmp_path, RUN) == []

    @pytest.mark.parametrize("blank", BLANK)
    def test_passes_over_blank_lines_and_counts_them(self, tmp_path: Path, blank: bytes) -> None:
        log_path(tmp_path).write_bytes(blank + b"\n" + lines(node(1)) + blank + b"\n{\n")
        scan = omnelog.scan_run(tmp_path, RUN)
        assert (scan.events, scan.blank_lines) == ([node(1)], 2)
        assert [(problem.line, problem.offset) for problem in scan.problems] == [
            (4, 2 * len(blank) + 2 + len(lines(node(1))))
        ]

    def test_takes_lines_that_end_in_cr_lf(self, tmp_path: Path) -> None:
        log_path(tmp_path).write_bytes(lines(node(1), node(2)).replace(b"\n", b"\r\n"))
        assert omnelog.read_run(tmp_path, RUN) == [node(1), node(2)]

    @pytest.mark.spec("READ-19")
    def test_is_taken_at_the_first_next(self, tmp_path: Path) -> None:
        with omnelog.EventLog.for_run(tmp_path, RUN) as log:
            log.append(node(1))
            reading = omnelog.iter_run(tmp_path, RUN)
            log.append(node(2))
            assert next(reading) == node(1)
            log.append(node(3))
            assert list(reading) == [node(2)]

    @pytest.mark.spec("READ-18")
    def test_takes_constant_memory(self, tmp_path: Path) -> None:
        """A log that is eight times as long takes less than 1.5 times as much memory."""

        def peak(count: int) -> int:
            log_path(tmp_path).write_bytes(lines(node(1, 1000)) * count)
            tracemalloc.start()
            for _ in omnelog.iter_run(tmp_path, RUN):
                pass
            peak = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
            return peak

        assert peak(8000) < 1.5 * peak(1000)

    def test_of_a_very_long_line_is_that_event(self, tmp_path: Path) -> None:
        log_path(tmp_path).write_bytes(lines(node(1, 10_000_000), node(2)))
        assert omnelog.read_run(tmp_path, RUN) == [node(1, 10_000_000), node(2)]

    @pytest.mark.parametrize("read", [omnelog.read_run, omnelog.scan_run])
    def test_of_a_missing_log_is_an_io_error(self, tmp_path: Path, read: object) -> None:
        assert callable(read)
        with pytest.raises(omnelog.LogIOError) as caught:
            read(tmp_path, RUN)
        assert caught.value.errno == errno.ENOENT
        assert caught.value.filename == str(omnelog.events_log_path(tmp_path, RUN))
        assert isinstance(caught.value.__cause__, FileNotFoundError)

    @pytest.mark.parametrize("kind", ["fifo", "directory"])
    def test_of_something_else_than_a_file_is_refused_and_does_not_hang(
        self, tmp_path: Path, kind: str
    ) -> None:
        path = log_path(tmp_path)
        path.mkdir() if kind == "directory" else os.mkfifo(path)
        with pytest.raises(omnelog.LogIOError, match="cannot open"):
            omnelog.read_run(tmp_path, RUN)

    @pytest.mark.spec("READ-19")
    def test_a_bad_run_id_is_refused_at_the_call(self, tmp_path: Path) -> None:
        for read in (omnelog.read_run, omnelog.iter_run, omnelog.scan_run, omnelog.follow_run):
            with pytest.raises(omnelog.InvalidRunId):
                read(tmp_path, "../x")

    @pytest.mark.spec("READ-14")
    def test_of_a_file_that_shrinks_meanwhile_is_an_io_error(self, tmp_path: Path) -> None:
        log_path(tmp_path).write_bytes(lines(*map(node, range(5000))))
        reading = omnelog.iter_run(tmp_path, RUN)
        next(reading)
        os.truncate(log_path(tmp_path), 1000)
        with pytest.raises(omnelog.LogIOError, match="shrank"):
            list(reading)

    def test_that_is_given_up_leaves_no_descriptor(self, tmp_path: Path) -> None:
        log_path(tmp_path).write_bytes(lines(node(1), node(2)))
        before = open_descriptors()
        reading = omnelog.iter_run(tmp_path, RUN)
        next(reading)
        assert isinstance(reading, Iterator)
        reading.close()  # type: ignore[attr-defined]
        assert open_descriptors() == before

    @pytest.mark.parametrize("read", [omnelog.iter_run, omnelog.follow_run])
    def test_that_is_left_to_the_garbage_collector_leaves_no_descriptor(
        self, tmp_path: Path, read: Callable[[Path, str], Iterator["omnelog.Event"]]
    ) -> None:
        log_path(tmp_path).write_bytes(lines(node(1), node(2)))
        before = open_descriptors()
        circle: list[object] = [read(tmp_path, RUN)]
        circle.append(circle)  # only the garbage collector frees it
        assert next(circle[0]) == node(1)  # type: ignore[call-overload]
        assert open_descriptors() != before
        del circle
        gc.collect()
        assert open_descriptors() == before

    def test_lets_out_what_a_signal_handler_raises_in_it(self, tmp_path: Path) -> None:
        log_path(tmp_path).write_bytes(lines(node(1), node(2)))
        reading = omnelog.iter_run(tmp_path, RUN)
        next(reading)
        interruption = ValueError("a handler's own")
        with pytest.raises(ValueError, match="a handler's own") as caught:
            reading.throw(interruption)  # type: ignore[attr-defined]
        assert caught.value is interruption

    @pytest.mark.spec("READ-19")
    @pytest.mark.parametrize("read", [omnelog.iter_run, omnelog.follow_run])
    def test_below_a_relative_root_is_of_the_working_directory_of_the_call(
        self,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        read: Callable[[str, str], Iterator["omnelog.Event"]],
    ) -> None:
        for name in ("here", "there"):
            log_path(tmp_path / name).write_bytes(lines(node(len(name))))
        monkeypatch.chdir(tmp_path / "here")
        reading = read(".", RUN)
        monkeypatch.chdir(tmp_path / "there")
        assert next(reading) == node(len("here"))

    def test_that_was_scanned_is_an_immutable_value_made_by_keyword(self, tmp_path: Path) -> None:
        log_path(tmp_path).write_bytes(lines(node(1)))
        scan = omnelog.scan_run(tmp_path, RUN)
        with pytest.raises(AttributeError):
            scan.blank_lines = 1  # type: ignore[misc]
        with pytest.raises(TypeError):
            omnelog.Scan([], [], 0, False)  # type: ignore[call-arg]
        assert not hasattr(scan, "__dict__")


class TestABadLine:
    @given(st.lists(events(), max_size=5), st.sampled_from(BAD), st.lists(events(), max_size=5))
    def test_at_any_place_is_reported_with_its_place(
        self, before: list["omnelog.Event"], bad: bytes, after: list["omnelog.Event"]
    ) -> None:
        with testing.new_volume() as root:
            log_path(root).write_bytes(lines(*before) + bad + b"\n" + lines(*after))
            with pytest.raises(omnelog.DeserializeError) as caught:
                omnelog.read_run(root, RUN)
            assert not isinstance(caught.value, omnelog.TornTailError)
            assert caught.value.path == log_path(root)
            assert caught.value.line == len(before) + 1
            assert caught.value.offset == len(lines(*before))
            assert str(caught.value) == f"{log_path(root)}:{len(before) + 1}: {caught.value.reason}"
            scan = omnelog.scan_run(root, RUN)
            assert scan.events == before + after
            assert [problem.line for problem in scan.problems] == [len(before) + 1]

    @pytest.mark.spec("READ-15", "OBJ-6")
    def test_keeps_its_cause(self, tmp_path: Path) -> None:
        log_path(tmp_path).write_bytes(b"{\n\xff\n{")
        broken, no_text, torn = omnelog.scan_run(tmp_path, RUN).problems
        assert isinstance(broken.__cause__, json.JSONDecodeError)
        assert isinstance(no_text.__cause__, UnicodeDecodeError)
        assert isinstance(torn.__cause__, json.JSONDecodeError)
        with pytest.raises(omnelog.DeserializeError) as caught:
            omnelog.read_run(tmp_path, RUN)
        assert isinstance(caught.value.__cause__, json.JSONDecodeError)

    @pytest.mark.parametrize("decode", [omnelog.decode, omnelog.decode_object, json.loads])
    def test_that_was_scanned_keeps_no_part_of_the_log_in_memory(
        self, tmp_path: Path, decode: Callable[[bytes], object]
    ) -> None:
        """The frames of the error and of its causes hold blocks of the log, so they are dropped."""
        path = log_path(tmp_path)
        problems = 20
        path.write_bytes((b"{broken\n" + b" " * 300_000 + b"\n") * problems + b"{torn")
        gc.collect()
        tracemalloc.start()
        try:
            scan = omnelog.scan_log(path, decode=decode)
            gc.collect()
            kept = tracemalloc.get_traced_memory()[0]
        finally:
            tracemalloc.stop()
        assert len(scan.problems) == problems + 1
        assert kept < 300_000

    @pytest.mark.spec("READ-17")
    def test_comes_after_the_good_ones_before_it(self, tmp_path: Path) -> None:
        log_path(tmp_path).write_bytes(lines(node(1)) + b"{\n" + lines(node(2)))
        reading = omnelog.iter_run(tmp_path, RUN)
        assert next(reading) == node(1)
        with pytest.raises(omnelog.DeserializeError):
            next(reading)

    @pytest.mark.parametrize("separator", ["\u2028", "\x85", "\x1c", "\r", "\x0b", "\x0c"])
    def test_is_not_made_by_what_only_looks_like_a_line_end(
        self, tmp_path: Path, separator: str
    ) -> None:
        """A string may hold this character, raw or escaped. Between events it makes a bad line."""
        event = omnelog.PipeAborted(id="", ts="", run_id="", reason=f"a{separator}b")
        log_path(tmp_path).write_bytes(lines(event, event))
        assert omnelog.read_run(tmp_path, RUN) == [event, event]
        log_path(tmp_path).write_bytes(lines(node(1))[:-1] + separator.encode() + lines(node(2)))
        assert [problem.line for problem in omnelog.scan_run(tmp_path, RUN).problems] == [1]


class TestAnUnterminatedTail:
    @pytest.mark.parametrize("end", [b"", b"\r", b" "])
    def test_that_is_a_whole_event_is_one(self, tmp_path: Path, end: bytes) -> None:
        log_path(tmp_path).write_bytes(lines(node(1), node(2))[:-1] + end)
        assert omnelog.read_run(tmp_path, RUN) == [node(1), node(2)]

    @pytest.mark.parametrize("tail", [*BAD, b" ", lines(node(2))[:-2]])
    def test_that_is_anything_else_is_torn(self, tmp_path: Path, tail: bytes) -> None:
        log_path(tmp_path).write_bytes(lines(node(1)) + tail)
        reading = omnelog.iter_run(tmp_path, RUN)
        assert next(reading) == node(1)
        with pytest.raises(omnelog.TornTailError) as caught:
            next(reading)
        assert (caught.value.line, caught.value.offset) == (2, len(lines(node(1))))
        assert [type(p) for p in omnelog.scan_run(tmp_path, RUN).problems] == [
            omnelog.TornTailError
        ]

    def test_is_in_flight_while_somebody_holds_the_lock(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(omnelog.linelog.reader, "LOCK_PATIENCE_S", 0.01)
        log_path(tmp_path).write_bytes(lines(node(1), node(2))[:-1])
        with omnelog.linelog.lock.LockableFile(log_path(tmp_path), os.O_RDWR) as writer:
            writer.acquire(0, 0)
            assert omnelog.read_run(tmp_path, RUN) == [node(1)]
            assert omnelog.scan_run(tmp_path, RUN).tail_in_flight
        assert not omnelog.scan_run(tmp_path, RUN).tail_in_flight

    @pytest.mark.spec("READ-3", "READ-5")
    def test_is_read_again_under_the_lock(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A repair comes between the look and the lock, so the reader must look again."""
        log_path(tmp_path).write_bytes(lines(node(1)) + lines(node(7))[:40])

        def lock_after_a_repair(
            file: "omnelog.linelog.lock.LockableFile", started: float, timeout_s: float
        ) -> None:
            assert timeout_s == 0.1
            monkeypatch.undo()
            with omnelog.EventLog.for_run(tmp_path, RUN) as log:
                log.append(node(2))
            omnelog.linelog.lock.LockableFile.acquire(file, started, timeout_s)

        monkeypatch.setattr(omnelog.linelog.lock.LockableFile, "acquire", lock_after_a_repair)
        assert omnelog.read_run(tmp_path, RUN) == [node(1), node(2)]

    @pytest.mark.spec("LOCK-16")
    def test_leaves_the_lock_free_while_the_caller_works(self, tmp_path: Path) -> None:
        log_path(tmp_path).write_bytes(lines(node(1), node(2))[:-1])
        with omnelog.EventLog.for_run(tmp_path, RUN, lock_timeout=0) as log:
            reading = omnelog.iter_run(tmp_path, RUN)
            next(reading)
            log.append(node(3))
            assert list(reading) == [node(2)]

    def test_does_not_matter_where_lines_follow_it(self, tmp_path: Path) -> None:
        log_path(tmp_path).write_bytes(lines(node(1)) + b"torn" + lines(node(2)))
        assert [p.line for p in omnelog.scan_run(tmp_path, RUN).problems] == [2]

    @given(st.integers(0, 10**6))
    @example(0)
    def test_of_a_log_cut_anywhere_leaves_the_whole_events_before(self, place: int) -> None:
        whole = of_every_type()
        content = lines(*whole)
        cut = place % (len(content) + 1)
        ends = list(itertools.accumulate(len(omnelog.encode(event)) for event in whole))
        with testing.new_volume() as root:
            log_path(root).write_bytes(content[:cut])
            scan = omnelog.scan_run(root, RUN)
            assert scan.events == [e for e, end in zip(whole, ends, strict=True) if cut >= end - 1]
            torn = not any(cut in (end - 1, end) for end in [0, *ends])
            assert [type(p) for p in scan.problems] == [omnelog.TornTailError] * torn


class TestAFollower:
    @pytest.mark.spec("READ-26")
    def test_yields_what_is_there_and_ends_when_stopped(self, tmp_path: Path) -> None:
        log_path(tmp_path).write_bytes(lines(node(1), node(2)))
        stop = threading.Event()
        stop.set()
        assert list(omnelog.follow_run(tmp_path, RUN, stop=stop)) == [node(1), node(2)]

    def test_looks_every_50_ms_by_default(self, tmp_path: Path) -> None:
        log_path(tmp_path).write_bytes(b"")
        for options, expected in (({}, 0.05), ({"poll_interval": 7.0}, 7.0)):
            steps = Steps(iter([lambda: None]))
            assert list(omnelog.follow_run(tmp_path, RUN, stop=steps, **options)) == []
            assert steps.waited == [expected] * 2

    @pytest.mark.parametrize("seconds", [-1, -0.001, float("nan")])
    def test_refuses_to_look_every_so_many_seconds_as_nobody_can_wait(
        self, tmp_path: Path, seconds: float
    ) -> None:
        with pytest.raises(ValueError, match="poll_interval must be 0 s or more"):
            omnelog.follow_run(tmp_path, RUN, poll_interval=seconds)

    def test_may_look_again_only_when_it_is_stopped(self, tmp_path: Path) -> None:
        log_path(tmp_path).write_bytes(lines(node(1)))
        stop = threading.Event()
        following = omnelog.follow_run(tmp_path, RUN, stop=stop, poll_interval=float("inf"))
        assert next(following) == node(1)
        timer = threading.Timer(0.01, stop.set)
        timer.start()
        assert list(following) == []
        timer.join()

    @pytest.mark.usefixtures("gone_directory")
    def test_says_plainly_that_the_working_directory_is_gone(self) -> None:
        with pytest.raises(omnelog.LogIOError, match="No such file"):
            omnelog.follow_run(".", RUN)

    def test_takes_its_options_by_name_alone(self, tmp_path: Path) -> None:
        with pytest.raises(TypeError):
            omnelog.follow_run(tmp_path, RUN, threading.Event())  # type: ignore[call-arg]

    def test_yields_events_as_they_come(self, tmp_path: Path) -> None:
        stop = threading.Event()
        with omnelog.EventLog.for_run(tmp_path, RUN) as log:
            following = omnelog.follow_run(tmp_path, RUN, stop=stop, poll_interval=0.001)
            for number in range(5):
                log.append(node(number))
                assert next(following) == node(number)
            log.append(node(5))
            stop.set()
            assert list(following) == [node(5)]

    def test_waits_for_a_torn_tail_and_never_yields_half_a_line(self, tmp_path: Path) -> None:
        """Bytes after a repair are not joined with bytes that were seen before it."""
        path = log_path(tmp_path)
        path.write_bytes(lines(node(1)))
        looks = iter(
            [
                lambda: append_bytes(path, lines(node(7))[:50]),
                lambda: None,
                lambda: append_event(tmp_path, node(2)),
                lambda: append_bytes(path, lines(node(3))[:-1]),
                lambda: append_bytes(path, b"\n"),
            ]
        )
        stop = Steps(looks)
        assert list(omnelog.follow_run(tmp_path, RUN, stop=stop)) == [node(1), node(2), node(3)]

    @pytest.mark.spec("READ-22")
    def test_never_takes_the_lock_even_where_it_is_free(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """An appender that tried to acquire it at that moment would find it taken."""

        def try_lock(_: int) -> bool:
            raise AssertionError("it takes the lock")

        for module in (omnelog.linelog.lock, omnelog.linelog.appender):
            monkeypatch.setattr(module, "try_lock", try_lock)
        log_path(tmp_path).write_bytes(lines(node(1), node(2))[:-9])
        looks = Steps(iter([lambda: None] * 3))
        assert list(omnelog.follow_run(tmp_path, RUN, stop=looks)) == [node(1)]

    def test_tells_of_a_bad_line(self, tmp_path: Path) -> None:
        log_path(tmp_path).write_bytes(lines(node(1)) + b"{\n")
        following = omnelog.follow_run(tmp_path, RUN)
        assert next(following) == node(1)
        with pytest.raises(omnelog.DeserializeError) as caught:
            next(following)
        assert caught.value.line == 2

    def test_tells_of_final_lines_that_were_cut_off(self, tmp_path: Path) -> None:
        path = log_path(tmp_path)
        path.write_bytes(lines(node(1), node(2)))
        stop = Steps(iter([lambda: os.truncate(path, len(lines(node(1))))]))
        with pytest.raises(omnelog.LogIOError, match="were final"):
            list(omnelog.follow_run(tmp_path, RUN, stop=stop))

    def test_goes_on_with_the_log_that_replaced_its_own(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The follower first reads the late lines of the old log, here until the third look."""
        path = log_path(tmp_path)
        path.write_bytes(lines(node(1)))
        moved = path.with_name("moved")
        clock = itertools.count()
        monkeypatch.setattr(omnelog.linelog.reader, "monotonic", lambda: next(clock))

        def replace() -> None:
            path.rename(moved)
            path.write_bytes(lines(node(3)))

        late = lambda: append_bytes(moved, lines(node(2)))  # noqa: E731
        stop = Steps(iter([replace, late, *[lambda: None] * 5]))
        followed = list(omnelog.follow_run(tmp_path, RUN, stop=stop))
        assert followed == [node(1), node(2), node(3)]

    def test_of_a_missing_log_is_an_io_error(self, tmp_path: Path) -> None:
        with pytest.raises(omnelog.LogIOError):
            next(omnelog.follow_run(tmp_path, RUN))


class Steps(threading.Event):
    """A stop event. Each wait runs the next step instead, and the wait after the last sets it."""

    def __init__(self, steps: Iterator[object]) -> None:
        super().__init__()
        self.steps = steps
        self.waited: list[float | None] = []

    def wait(self, timeout: float | None = None) -> bool:
        self.waited.append(timeout)
        step = next(self.steps, None)
        if step is None:
            self.set()
        else:
            assert callable(step)
            step()
        return self.is_set()


def append_bytes(path: Path, data: bytes) -> None:
    with path.open("ab") as file:
        file.write(data)


def append_event(root: Path, event: "omnelog.Event") -> None:
    with omnelog.EventLog.for_run(root, RUN) as log:
        log.append(event)
