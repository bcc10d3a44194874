# SPDX-License-Identifier: MIT
"""ULIDs that rise, whatever the clock and other processes do, and never overwrite what is wrong."""

import errno
import fcntl
import os
import secrets
import subprocess
import sys
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from . import omnelog
from .strategies import CROCKFORD, ulids

GREATEST = "7" + "z" * 25
MILLISECOND = 1_000_000  # in ns
NOW = 1_776_500_000_000 * MILLISECOND
LAST_MILLISECOND = (2**48 - 1) * MILLISECOND  # a ULID has 48 bits for them

SetClock = Callable[[int], None]


def number(ulid: str) -> int:
    """What a ULID counts, read off the alphabet independently."""
    found = 0
    for char in ulid:
        found = found * 32 + CROCKFORD.index(char)
    return found


def spell(value: int) -> str:
    """The ULID that counts `value`."""
    return "".join(CROCKFORD[value // 32**place % 32] for place in reversed(range(26)))


def milliseconds(ulid: str) -> int:
    return number(ulid) >> 80


@pytest.fixture
def set_clock(monkeypatch: pytest.MonkeyPatch) -> SetClock:
    def set_clock(nanoseconds: int) -> None:
        monkeypatch.setattr(omnelog.ulid, "time_ns", lambda: nanoseconds)

    return set_clock


@pytest.fixture
def last(tmp_path: Path) -> Path:
    """The file that holds the last ULID, in a directory that is there already."""
    path = omnelog.ulid_lock_path(tmp_path)
    path.parent.mkdir(parents=True)
    return path


# ---- what it looks like ----


def test_a_ulid_is_26_lowercase_crockford_characters_within_128_bits(tmp_path: Path) -> None:
    for _ in range(50):
        ulid = omnelog.allocate_ulid(tmp_path)
        assert len(ulid) == 26
        assert set(ulid) <= set(CROCKFORD)
        assert ulid[0] in "01234567"


def test_a_ulid_begins_with_the_milliseconds_of_the_clock(
    tmp_path: Path, set_clock: SetClock
) -> None:
    set_clock(NOW + MILLISECOND - 1)
    assert milliseconds(omnelog.allocate_ulid(tmp_path)) == NOW // MILLISECOND
    set_clock(NOW + MILLISECOND)
    assert milliseconds(omnelog.allocate_ulid(tmp_path)) == NOW // MILLISECOND + 1
    set_clock(LAST_MILLISECOND)
    assert milliseconds(omnelog.allocate_ulid(tmp_path)) == 2**48 - 1


@pytest.mark.spec("ULID-12")
def test_the_rest_of_a_ulid_is_random(tmp_path: Path, set_clock: SetClock) -> None:
    set_clock(NOW)
    rest = {number(omnelog.allocate_ulid(tmp_path / str(i))) % 2**80 for i in range(20)}
    assert len(rest) == 20
    assert max(rest) > 2**76, "not among the least of 80 bits, twenty times over"


def test_the_last_ulid_is_kept_in_the_volume(tmp_path: Path) -> None:
    for _ in range(3):
        ulid = omnelog.allocate_ulid(tmp_path)
        assert omnelog.ulid_lock_path(tmp_path).read_bytes() == ulid.encode()


# ---- rising ----


def test_ulids_rise_while_the_clock_stands_still(tmp_path: Path, set_clock: SetClock) -> None:
    set_clock(NOW)
    found = [omnelog.allocate_ulid(tmp_path) for _ in range(100)]
    numbers = [number(ulid) for ulid in found]
    assert numbers == list(range(numbers[0], numbers[0] + 100)), "the last one plus one"
    assert found == sorted(found)


def test_ulids_rise_while_the_clock_goes_back(tmp_path: Path, set_clock: SetClock) -> None:
    found = []
    for step in range(100):
        set_clock(NOW - step * 3600 * 1000 * MILLISECOND)
        found.append(number(omnelog.allocate_ulid(tmp_path)))
    assert found == list(range(found[0], found[0] + 100)), "the last one plus one"


@given(st.lists(st.integers(0, LAST_MILLISECOND), min_size=1, max_size=20))
@example([NOW, NOW, NOW - 1, 0, NOW, NOW + MILLISECOND, LAST_MILLISECOND, 0])
def test_ulids_rise_however_the_clock_jumps(clock: list[int]) -> None:
    with ExitStack() as stack:
        root = Path(stack.enter_context(TemporaryDirectory()))
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        latest = -1
        for nanoseconds in clock:
            patch.setattr(omnelog.ulid, "time_ns", lambda now=nanoseconds: now)
            fresh = number(omnelog.allocate_ulid(root))
            assert fresh > latest
            if latest < nanoseconds // MILLISECOND << 80:
                assert fresh >> 80 == nanoseconds // MILLISECOND
            latest = fresh


@given(ulids())
@example(spell(2**80 - 1))
@example(spell(2**128 - 2))
@example("0" * 26)
def test_when_the_clock_is_behind_the_next_ulid_is_the_last_plus_one(ulid: str) -> None:
    if ulid == GREATEST:
        return
    with ExitStack() as stack:
        root = Path(stack.enter_context(TemporaryDirectory()))
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        omnelog.var_dir(root).mkdir(parents=True)
        omnelog.ulid_lock_path(root).write_text(ulid)
        patch.setattr(omnelog.ulid, "time_ns", lambda: 0)
        patch.setattr(secrets, "randbits", lambda _: 0)
        assert omnelog.allocate_ulid(root) == spell(number(ulid) + 1)


_ALLOCATE = """
import importlib, sys
omnelog = importlib.import_module(sys.argv[1])
print("ready", flush=True)
sys.stdin.readline()
found = [omnelog.allocate_ulid(sys.argv[2], lock_timeout=60) for _ in range(int(sys.argv[3]))]
print(*found)
"""


@pytest.mark.spec("ULID-2")
def test_ulids_rise_across_processes(tmp_path: Path) -> None:
    """Eight processes, which a gate lets go at once, allocate 200 each."""
    arguments = [sys.executable, "-c", _ALLOCATE, omnelog.__name__, str(tmp_path), "200"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with ExitStack() as stack:
        processes = []
        for _ in range(8):
            process = subprocess.Popen(
                arguments,
                env=environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            stack.callback(process.kill)
            processes.append(stack.enter_context(process))
        for process in processes:
            assert process.stdout
            assert process.stdout.readline() == "ready\n"
        for process in processes:
            assert process.stdin
            process.stdin.write("go\n")
            process.stdin.flush()
        found = [process.communicate(timeout=120)[0].split() for process in processes]
        assert [process.returncode for process in processes] == [0] * 8
    assert [len(sequence) for sequence in found] == [200] * 8
    for sequence in found:
        assert sequence == sorted(sequence)
    everything = [ulid for sequence in found for ulid in sequence]
    assert len(set(everything)) == 1600
    assert omnelog.ulid_lock_path(tmp_path).read_text() == max(everything)


# ---- what is there already ----


def test_an_empty_file_holds_no_last_one(last: Path, tmp_path: Path) -> None:
    last.write_bytes(b"")
    assert last.read_text() == ""
    ulid = omnelog.allocate_ulid(tmp_path)
    assert last.read_text() == ulid


def test_capitals_that_others_may_write_are_understood(last: Path, tmp_path: Path) -> None:
    last.write_bytes(b"7ZZZZZZZZZZZZZZZZZZZZZZZZY")
    assert omnelog.allocate_ulid(tmp_path) == "7zzzzzzzzzzzzzzzzzzzzzzzzz"


CORRUPT = {
    "a-letter-outside-the-alphabet": b"01kpfntqeej7vhn935kc0tm9vu",
    "letter-i": b"01kpfntqeej7vhn935kc0tm9vi",
    "letter-l": b"01kpfntqeej7vhn935kc0tm9vl",
    "letter-o": b"01kpfntqeej7vhn935kc0tm9vo",
    "too-short": b"01kpfntqeej7vhn935kc0tm9v",
    "one-character": b"0",
    "too-long": b"01kpfntqeej7vhn935kc0tm9vn0",
    "much-too-long": b"01kpfntqeej7vhn935kc0tm9vn" * 1000,
    "newline-after": b"01kpfntqeej7vhn935kc0tm9vn\n",
    "newline-before": b"\n01kpfntqeej7vhn935kc0tm9vn",
    "newline-for-a-character": b"01kpfntqeej7vhn935kc0tm9v\n",
    "newline-alone": b"\n",
    "space": b" 1kpfntqeej7vhn935kc0tm9vn",
    "minus": b"-1kpfntqeej7vhn935kc0tm9vn",
    "nuls": b"\0" * 26,
    "binary": bytes(range(230, 256)),
    "latin-1": b"01kpfntqeej7vhn935kc0tm9v\xe9",
    "beyond-128-bits": b"8" + b"0" * 25,
    "far-beyond-128-bits": b"z" * 26,
}


@pytest.mark.parametrize("content", CORRUPT.values(), ids=CORRUPT)
def test_what_is_no_ulid_is_an_error_and_is_not_overwritten(
    content: bytes, last: Path, tmp_path: Path
) -> None:
    last.write_bytes(content)
    for _ in range(2):
        with pytest.raises(omnelog.UlidError) as caught:
            omnelog.allocate_ulid(tmp_path)
        assert str(caught.value).startswith(f"{last}: ")
        assert str(caught.value).isprintable()
        assert len(str(caught.value)) < len(str(last)) + 250
        assert last.read_bytes() == content


def test_after_the_greatest_ulid_there_is_none(last: Path, tmp_path: Path) -> None:
    last.write_text(GREATEST)
    for _ in range(2):
        with pytest.raises(omnelog.UlidError, match=f"(?s){last}: .*{GREATEST}"):
            omnelog.allocate_ulid(tmp_path)
        assert last.read_text() == GREATEST


@pytest.mark.parametrize("before", ["", "01kpfntqeej7vhn935kc0tm9vn"], ids=["first", "later"])
@pytest.mark.parametrize("now", [LAST_MILLISECOND + MILLISECOND, 2**80], ids=["just", "far"])
def test_a_clock_beyond_what_a_ulid_can_hold_is_an_error(
    before: str, now: int, last: Path, tmp_path: Path, set_clock: SetClock
) -> None:
    last.write_text(before)
    set_clock(now)
    with pytest.raises(omnelog.UlidError, match="clock"):
        omnelog.allocate_ulid(tmp_path)
    assert last.read_text() == before


def test_a_mended_file_is_taken_up_again(last: Path, tmp_path: Path) -> None:
    last.write_bytes(b"oops")
    with pytest.raises(omnelog.UlidError):
        omnelog.allocate_ulid(tmp_path)
    last.write_bytes(b"")
    ulid = omnelog.allocate_ulid(tmp_path)
    assert last.read_text() == ulid


# ---- the lock ----


@pytest.mark.parametrize("lock_timeout", [0, 0.01])
def test_a_lock_held_past_the_deadline_is_a_lock_timeout(
    lock_timeout: float, last: Path, tmp_path: Path
) -> None:
    ulid = omnelog.allocate_ulid(tmp_path)
    with last.open("rb") as other:
        fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
        with pytest.raises(omnelog.LockTimeout) as caught:
            omnelog.allocate_ulid(tmp_path, lock_timeout=lock_timeout)
        assert caught.value.filename == str(last)
        assert caught.value.waited_s >= lock_timeout
        assert last.read_text() == ulid
        fcntl.flock(other, fcntl.LOCK_UN)
        assert omnelog.allocate_ulid(tmp_path, lock_timeout=0) > ulid


@pytest.mark.parametrize("lock_timeout", [-1, -0.001, float("-inf"), float("nan")])
def test_a_timeout_that_is_none_is_a_value_error_before_anything_is_touched(
    lock_timeout: float, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match="lock_timeout"):
        omnelog.allocate_ulid(tmp_path, lock_timeout=lock_timeout)
    assert list(tmp_path.iterdir()) == []


def test_the_lock_is_free_again_whatever_happened(last: Path, tmp_path: Path) -> None:
    omnelog.allocate_ulid(tmp_path, lock_timeout=0)
    last.write_bytes(b"oops")
    with last.open("rb") as other:
        with pytest.raises(omnelog.UlidError):
            omnelog.allocate_ulid(tmp_path, lock_timeout=0)
        fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_what_is_no_regular_file_is_an_error_and_no_hang(last: Path, tmp_path: Path) -> None:
    os.mkfifo(last)
    with pytest.raises(omnelog.LogIOError, match="regular file") as caught:
        omnelog.allocate_ulid(tmp_path)
    assert caught.value.filename == str(last)
    last.unlink()
    last.mkdir()
    with pytest.raises(omnelog.LogIOError) as caught:
        omnelog.allocate_ulid(tmp_path)
    assert caught.value.errno == errno.EISDIR
    assert caught.value.filename == str(last)


def test_a_file_where_a_directory_belongs_is_an_error(tmp_path: Path) -> None:
    omnelog.omne_dir(tmp_path).mkdir()
    omnelog.var_dir(tmp_path).write_bytes(b"")
    with pytest.raises(omnelog.LogIOError) as caught:
        omnelog.allocate_ulid(tmp_path)
    assert caught.value.errno in (errno.ENOTDIR, errno.EEXIST)
    assert omnelog.var_dir(tmp_path).read_bytes() == b""


# ---- a disk that is full ----


@pytest.mark.parametrize("before", ["", "01kpfntqeej7vhn935kc0tm9vn"], ids=["first", "later"])
def test_a_write_that_fails_leaves_what_was_there(
    before: str, last: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(fd: int, data: bytes, offset: int) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    last.write_text(before)
    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", full)
        with pytest.raises(omnelog.LogIOError) as caught:
            omnelog.allocate_ulid(tmp_path)
    assert caught.value.errno == errno.ENOSPC
    assert caught.value.filename == str(last)
    assert last.read_text() == before
    assert omnelog.allocate_ulid(tmp_path, lock_timeout=0) > before


@pytest.mark.parametrize("length", [0, 1, 13, 25])
@pytest.mark.parametrize("before", ["", "01kpfntqeej7vhn935kc0tm9vn"], ids=["first", "later"])
def test_a_write_that_is_cut_short_leaves_a_file_that_can_be_gone_on_from(
    before: str, length: int, last: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pwrite = os.pwrite

    def short(fd: int, data: bytes, offset: int) -> int:
        return pwrite(fd, data[:length], offset)

    last.write_text(before)
    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", short)
        with pytest.raises(omnelog.LogIOError) as caught:
            omnelog.allocate_ulid(tmp_path)
    assert caught.value.errno == errno.ENOSPC
    assert len(last.read_text()) == len(before), "never shorter, never part of a first one"
    assert last.read_text() >= before, "never less than what was given out"
    assert omnelog.allocate_ulid(tmp_path, lock_timeout=0) > before


@pytest.mark.spec("LOCK-14", "LOCK-15")
def test_the_lock_is_freed_although_the_call_failed_and_somebody_has_a_copy_of_the_descriptor(
    last: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a program has that was spawned meanwhile: closing alone would free nothing."""
    copies: list[int] = []
    pread = os.pread

    def spawn(fd: int, length: int, offset: int) -> bytes:
        copies.append(os.dup(fd))
        return pread(fd, length, offset)

    last.write_text("no ULID")
    monkeypatch.setattr(os, "pread", spawn)
    try:
        for _ in range(2):
            with pytest.raises(omnelog.UlidError):
                omnelog.allocate_ulid(tmp_path, lock_timeout=0)
    finally:
        for fd in copies:
            os.close(fd)
