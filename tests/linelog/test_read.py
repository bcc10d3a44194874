# SPDX-License-Identifier: MIT
"""Reading a line log, even that of another tool: what is skipped, what is reported, and where."""

import errno
import fcntl
import itertools
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NoReturn

import pytest
from hypothesis import given
from hypothesis import strategies as st

from . import linelog
from .json_objects import records
from .processes import event_at_their_end, forked

BAD_LINES = [
    b"[1,2]",
    b'[{"a":1}]',
    b"7",
    b'"text"',
    b"null",
    b"not JSON",
    b"{",
    b'{"a":1}{"b":2}',
    b'{"a":1,"a":2}',
    b'{"a":NaN}',
    b'\xef\xbb\xbf{"a":1}',
    b"\xef\xbb\xbf",
    b"\0",
    b'{"a":"\0"}',
    b'{"a":"\\ud800"}',
    b'{"a":"\xff"}',
    b'{"a":' * 128 + b"1" + b"}" * 128,
]

BLANK_LINES = [b"", b" ", b"\t", b"\r", b" \r", "\u00a0\u2028\u3000".encode()]


@contextmanager
def log_of(content: bytes) -> Iterator[Path]:
    """A new log for each example of a property, because all examples share one `tmp_path`."""
    with TemporaryDirectory() as directory:
        path = Path(directory, "log.jsonl")
        path.write_bytes(content)
        yield path


def lines_of(written: list[dict[str, Any]]) -> bytes:
    return b"".join(linelog.encode_object(record) + b"\n" for record in written)


class TestALogOfAnotherTool:
    @given(st.data())
    def test_is_read_record_by_record_with_the_place_of_each_bad_line(
        self, data: st.DataObject
    ) -> None:
        """All three ways to read the log agree."""
        kinds = st.sampled_from(["record", "record", "bad", "blank"])
        content = b""
        expected: list[object] = []
        problems: list[tuple[int, int]] = []
        blank = 0
        before_the_first_problem: int | None = None
        for number, kind in enumerate(data.draw(st.lists(kinds, max_size=6)), 1):
            if kind == "record":
                record = data.draw(records())
                expected.append(record)
                line = linelog.encode_object(record) + data.draw(st.sampled_from([b"", b"\r"]))
            elif kind == "bad":
                line = data.draw(st.sampled_from(BAD_LINES))
                problems.append((number, len(content)))
                if before_the_first_problem is None:
                    before_the_first_problem = len(expected)
            else:
                line = data.draw(st.sampled_from(BLANK_LINES))
                blank += 1
            content += line + b"\n"
        with log_of(content) as path:
            scan = linelog.scan_log(path)
            assert scan.records == expected
            assert [(p.line, p.offset) for p in scan.problems] == problems
            assert {p.path for p in scan.problems} <= {path}
            assert scan.blank_lines == blank
            assert not scan.tail_in_flight

            stop = threading.Event()
            stop.set()
            for reading in (linelog.iter_log(path), linelog.follow_log(path, stop=stop)):
                found = list(itertools.islice(reading, before_the_first_problem))
                assert found == expected[:before_the_first_problem]
                if problems:
                    with pytest.raises(linelog.DeserializeError) as caught:
                        next(reading)
                    assert (caught.value.line, caught.value.offset) == problems[0]

    @pytest.mark.parametrize("bad", BAD_LINES)
    def test_names_a_bad_line_in_its_error(self, path: Path, bad: bytes) -> None:
        path.write_bytes(b'{"a":1}\r\n\n' + bad + b"\n")
        with pytest.raises(linelog.DeserializeError) as caught:
            linelog.read_log(path)
        error = caught.value
        assert type(error) is linelog.DeserializeError
        assert (error.path, error.line, error.offset) == (path, 3, 10)
        assert str(error) == f"{path}:3: {error.reason}"
        assert error.reason

    @pytest.mark.parametrize("bad", [*BAD_LINES, *BLANK_LINES[1:]])
    def test_ends_in_a_torn_tail_where_its_last_line_is_bad_and_has_no_newline(
        self, path: Path, bad: bytes
    ) -> None:
        path.write_bytes(b'{"a":1}\n' + bad)
        reading = linelog.iter_log(path)
        assert next(reading) == {"a": 1}
        with pytest.raises(linelog.TornTailError) as caught:
            next(reading)
        assert (caught.value.path, caught.value.line, caught.value.offset) == (path, 2, 8)

    @pytest.mark.parametrize("separator", ["\u2028", "\x85", "\x1c", "\r", "\x0b", "\x0c"])
    def test_has_no_line_ends_but_newlines(self, path: Path, separator: str) -> None:
        record = {"text": f"a{separator}b"}
        path.write_bytes(lines_of([record]))
        assert linelog.read_log(path) == [record]
        path.write_bytes(b'{"a":1}' + separator.encode() + b'{"b":2}\n')
        assert [problem.line for problem in linelog.scan_log(path).problems] == [1]

    def test_of_one_large_line_among_small_ones_keeps_its_positions(self, path: Path) -> None:
        large = {"text": "x" * 10_000_000}
        content = lines_of([{"a": 1}, large, {"b": 2}])
        path.write_bytes(content + b"bad\n" + lines_of([{"c": 3}]))
        scan = linelog.scan_log(path)
        assert scan.records == [{"a": 1}, large, {"b": 2}, {"c": 3}]
        assert [(p.line, p.offset) for p in scan.problems] == [(4, len(content))]

    def test_that_is_empty_has_no_records(self, path: Path) -> None:
        path.touch()
        assert linelog.read_log(path) == []
        assert linelog.scan_log(path).records == []


class TestASnapshot:
    @given(st.lists(records(), max_size=4), st.integers(0))
    def test_of_a_log_cut_anywhere_has_the_whole_records_before(
        self,
        written: list[dict[str, Any]],
        place: int,
    ) -> None:
        content = lines_of(written)
        cut = place % (len(content) + 1)
        ends = []
        end = 0
        for record in written:
            end += len(linelog.encode_object(record)) + 1
            ends.append(end)
        with log_of(content[:cut]) as path:
            scan = linelog.scan_log(path)
        assert scan.records == [
            record for record, end in zip(written, ends, strict=True) if cut >= end - 1
        ]
        is_torn = cut not in {0, *ends, *(end - 1 for end in ends)}
        assert [type(p) for p in scan.problems] == [linelog.TornTailError] * is_torn

    @pytest.mark.spec("READ-6")
    def test_leaves_out_a_tail_that_somebody_is_writing(
        self, path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(linelog.reader, "LOCK_PATIENCE_S", 0.01)
        path.write_bytes(b'{"a":1}\n{"b":2}')
        with path.open("rb") as writer:
            fcntl.flock(writer, fcntl.LOCK_EX)
            scan = linelog.scan_log(path)
            assert (scan.records, scan.problems, scan.tail_in_flight) == ([{"a": 1}], [], True)
            assert linelog.read_log(path) == [{"a": 1}]
        assert linelog.read_log(path) == [{"a": 1}, {"b": 2}]

    def test_is_taken_at_the_first_next(self, path: Path) -> None:
        path.write_bytes(b'{"a":1}\n')
        reading = linelog.iter_log(path)
        linelog.append_log(path, {"b": 2})
        assert next(reading) == {"a": 1}
        linelog.append_log(path, {"c": 3})
        assert list(reading) == [{"b": 2}]

    @pytest.mark.spec("APP-62", "READ-8")
    def test_reports_a_tail_that_is_too_long_to_decode(
        self, path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """This holds even if the tail begins with a whole record."""
        monkeypatch.setattr(linelog.repair, "LONGEST_DECODED", 100)
        for tail in (b'{"b":"' + b"x" * 1000, b'{"b":1}' + b" " * 1000 + b"x"):
            path.write_bytes(b'{"a":1}\n' + tail)
            scan = linelog.scan_log(path)
            assert scan.records == [{"a": 1}]
            assert [(type(p), p.line) for p in scan.problems] == [(linelog.TornTailError, 2)]

    def test_of_a_file_that_shrinks_meanwhile_is_an_io_error(self, path: Path) -> None:
        path.write_bytes(lines_of([{"n": number} for number in range(50_000)]))
        reading = linelog.iter_log(path)
        next(reading)
        os.truncate(path, 100)
        with pytest.raises(linelog.LogIOError, match="shrank"):
            list(reading)

    def test_is_immutable_and_made_by_name(self, path: Path) -> None:
        path.touch()
        scan = linelog.scan_log(path)
        with pytest.raises(AttributeError):
            scan.blank_lines = 1  # type: ignore[misc]
        with pytest.raises(TypeError):
            linelog.LogScan([], [], 0, False)  # type: ignore[call-arg]

    def test_keeps_no_block_of_the_log_alive_by_its_problems(self, path: Path) -> None:
        path.write_bytes(b"bad\n" * 3)
        for problem in linelog.scan_log(path).problems:
            assert problem.__traceback__ is None
            assert problem.__cause__ is not None
            assert problem.__cause__.__traceback__ is None


class Steps(threading.Event):
    """A stop event. Each wait runs the next step instead, and the wait after the last sets it."""

    def __init__(self, *steps: Callable[[], object]) -> None:
        super().__init__()
        self._steps = iter(steps)

    def wait(self, timeout: float | None = None) -> bool:
        step = next(self._steps, None)
        if step is None:
            self.set()
        else:
            step()
        return self.is_set()


def with_one_record(path: Path) -> tuple[Iterator[dict[str, Any]], threading.Event]:
    """A follower that has yielded the only record of a new log, and the event that stops it."""
    linelog.append_log(path, {"n": 1})
    stop = threading.Event()
    following = linelog.follow_log(path, stop=stop)
    assert next(following) == {"n": 1}
    return following, stop


class TestAFollower:
    def test_yields_records_as_they_come(self, path: Path) -> None:
        with linelog.LineLog(path) as log:
            following = linelog.follow_log(path, poll_interval=0)
            for number in range(5):
                log.append({"n": number})
                assert next(following) == {"n": number}

    def test_decodes_by_the_hosts_function(self, path: Path) -> None:
        path.write_bytes(b'{"a":1}\n{"b":2}\n')
        stop = threading.Event()
        stop.set()
        assert list(linelog.follow_log(path, decode=bytes, stop=stop)) == [b'{"a":1}', b'{"b":2}']

    def test_waits_for_a_torn_tail_and_never_yields_half_a_line(self, path: Path) -> None:
        path.write_bytes(b'{"a":1}\n{"to')
        steps = Steps(
            lambda: None,
            lambda: linelog.append_log(path, {"b": 2}),
            lambda: write(path, b'{"c"'),
            lambda: write(path, b":3}"),
            lambda: write(path, b"\n"),
        )
        assert list(linelog.follow_log(path, stop=steps)) == [{"a": 1}, {"b": 2}, {"c": 3}]

    def test_names_a_bad_line_by_its_place_in_the_whole_log(self, path: Path) -> None:
        """This holds even if the line came after several looks."""
        path.write_bytes(b'{"a":1}\n\n')
        steps = Steps(lambda: write(path, b'{"b":2}\n'), lambda: write(path, b"[]\n"))
        following = linelog.follow_log(path, stop=steps)
        assert next(following) == {"a": 1}
        assert next(following) == {"b": 2}
        with pytest.raises(linelog.DeserializeError) as caught:
            next(following)
        assert (caught.value.path, caught.value.line, caught.value.offset) == (path, 4, 17)

    @pytest.mark.spec("READ-26")
    def test_that_is_stopped_reads_also_the_log_that_replaced_its_own(self, path: Path) -> None:
        following, stop = with_one_record(path)
        path.rename(path.with_name("moved"))
        linelog.append_log(path, {"n": 2})
        stop.set()
        assert list(following) == [{"n": 2}]

    @pytest.mark.spec("READ-26")
    def test_that_is_stopped_ends_although_its_log_is_gone(self, path: Path) -> None:
        following, stop = with_one_record(path)
        path.unlink()
        stop.set()
        assert list(following) == []

    def test_that_is_stopped_does_not_take_a_path_that_cannot_be_looked_at_for_empty(
        self, path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fail(_: Path) -> NoReturn:
            raise OSError(errno.EIO, "Input/output error")

        following, stop = with_one_record(path)
        path.unlink()
        stop.set()
        monkeypatch.setattr(Path, "stat", fail)
        with pytest.raises(linelog.LogIOError, match="Input/output error"):
            list(following)

    def test_goes_on_with_the_log_that_replaced_its_own(
        self, path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(linelog.reader, "LINGER_S", 0.0)
        path.write_bytes(b'{"a":1}\n')

        def replace() -> None:
            path.rename(path.with_name("old"))
            path.write_bytes(b'{"b":2}\nbad\n')

        following = linelog.follow_log(path, stop=Steps(replace, *[lambda: None] * 5))
        assert next(following) == {"a": 1}
        assert next(following) == {"b": 2}
        with pytest.raises(linelog.DeserializeError) as caught:
            next(following)
        assert (caught.value.line, caught.value.offset) == (2, 8)

    def test_reports_final_lines_that_were_cut_off(self, path: Path) -> None:
        path.write_bytes(b'{"a":1}\n{"b":2}\n')
        steps = Steps(lambda: os.truncate(path, 8))
        with pytest.raises(linelog.LogIOError, match="were final"):
            list(linelog.follow_log(path, stop=steps))

    @pytest.mark.parametrize("seconds", [-1, float("nan")])
    def test_refuses_a_bad_interval(self, path: Path, seconds: float) -> None:
        with pytest.raises(ValueError, match="poll_interval must be 0 s or more"):
            linelog.follow_log(path, poll_interval=seconds)

    def test_of_a_missing_log_is_an_io_error_at_the_first_next(self, path: Path) -> None:
        following = linelog.follow_log(path)
        with pytest.raises(linelog.LogIOError, match="No such file"):
            next(following)

    def test_sees_every_record_of_several_processes_once_and_in_order(self, path: Path) -> None:
        path.touch()
        count = 40

        def append(name: str) -> None:
            with linelog.LineLog(path, lock_timeout=60) as log:
                for number in range(count):
                    log.append({"name": name, "n": number, "text": "x" * 50 * number})

        with (
            forked(lambda: append("a"), lambda: append("b")) as children,
            event_at_their_end(children) as stop,
        ):
            found = list(linelog.follow_log(path, stop=stop, poll_interval=0.001))
        assert found == linelog.read_log(path)
        for name in "ab":
            assert [r["n"] for r in found if r["name"] == name] == [*range(count)]


@pytest.mark.parametrize("read", [linelog.iter_log, linelog.follow_log])
def test_a_reading_that_is_given_up_leaves_no_descriptor(
    path: Path, read: Callable[[Path], Iterator[dict[str, Any]]]
) -> None:
    path.write_bytes(b'{"a":1}\n{"b":2}\n')
    before = os.listdir("/proc/self/fd")
    reading = read(path)
    next(reading)
    reading.close()  # type: ignore[attr-defined]
    assert os.listdir("/proc/self/fd") == before


def write(path: Path, data: bytes) -> None:
    with path.open("ab") as file:
        file.write(data)
