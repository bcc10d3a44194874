# SPDX-License-Identifier: MIT
"""ULIDs rise, whatever the clock and other processes do, and a damaged file is not overwritten."""

import errno
import fcntl
import os
import pickle
import secrets
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from multiprocessing import Pipe
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from . import omnelog
from .faults.logs import lock_is_free, open_descriptors
from .faults.processes import Channel, fork, in_child
from .faults.strikes import Strike
from .strategies import CROCKFORD, ulids

GREATEST = "7" + "z" * 25
MILLISECOND = 1_000_000  # in ns
NOW = 1_776_500_000_000 * MILLISECOND
LAST_MILLISECOND = (2**48 - 1) * MILLISECOND  # a ULID has 48 bits for milliseconds

SetClock = Callable[[int], None]


def number(ulid: str) -> int:
    """The number that a ULID spells, read independently of omnelog."""
    found = 0
    for char in ulid:
        found = found * 32 + CROCKFORD.index(char)
    return found


def spell(value: int) -> str:
    """The ULID that spells the number `value`."""
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
    """The path of the file that holds the last ULID. Its directory exists."""
    path = omnelog.ulid_lock_path(tmp_path)
    path.parent.mkdir(parents=True)
    return path


# ---- what a ULID looks like ----


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
    """Eight processes start at the same time and allocate 200 ULIDs each."""
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


# ---- what the file holds already ----


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
def test_what_is_not_a_ulid_is_an_error_and_is_not_overwritten(
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


@pytest.mark.spec("ULID-8")
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


def test_a_repaired_file_is_used_again(last: Path, tmp_path: Path) -> None:
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
def test_a_bad_timeout_is_a_value_error_before_anything_is_touched(
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


def test_what_is_not_a_regular_file_is_an_error_and_does_not_hang(
    last: Path, tmp_path: Path
) -> None:
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


@pytest.mark.spec("ULID-8")
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
@pytest.mark.spec("ULID-8")
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
    assert last.read_text() == before
    assert omnelog.allocate_ulid(tmp_path, lock_timeout=0) > before


@pytest.mark.spec("LOCK-14", "LOCK-15")
def test_the_lock_is_freed_although_the_call_failed_and_somebody_has_a_copy_of_the_descriptor(
    last: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A program spawned during the call has a copy, so closing ours does not release the lock."""
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


# ---- an allocator, which keeps the file open ----


@pytest.fixture
def allocator(tmp_path: Path) -> Iterator["omnelog.UlidAllocator"]:
    with omnelog.UlidAllocator(tmp_path, lock_timeout=0) as allocator:
        yield allocator


def test_an_allocator_and_single_calls_rise_together(
    tmp_path: Path, allocator: "omnelog.UlidAllocator"
) -> None:
    found = []
    for _ in range(5):
        found += [
            allocator.allocate(),
            omnelog.allocate_ulid(tmp_path),
            *allocator.allocate_many(3),
        ]
    assert found == sorted(set(found))
    assert omnelog.ulid_lock_path(tmp_path).read_text() == found[-1]


@pytest.mark.spec("ULID-15")
@given(st.integers(0, 100), ulids() | st.just(""))
@example(100, spell(2**128 - 101))
@example(33, spell(2**128 - 33))
@example(40, "0" * 24 + "zz")
def test_several_ulids_are_the_first_and_those_that_follow(n: int, before: str) -> None:
    with ExitStack() as stack:
        root = Path(stack.enter_context(TemporaryDirectory()))
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        omnelog.var_dir(root).mkdir(parents=True)
        omnelog.ulid_lock_path(root).write_text(before)
        patch.setattr(omnelog.ulid, "time_ns", lambda: NOW)
        if before and max(number(before), (NOW // MILLISECOND) << 80) + n >= 2**128:
            with pytest.raises(omnelog.UlidError):
                omnelog.allocate_ulids(root, n)
            assert omnelog.ulid_lock_path(root).read_text() == before
            return
        found = [number(ulid) for ulid in omnelog.allocate_ulids(root, n)]
        assert found == list(range(found[0], found[0] + n)) if n else found == []
        assert omnelog.ulid_lock_path(root).read_text() == (spell(found[-1]) if n else before)


def test_no_ulids_touch_nothing_and_less_is_an_error(tmp_path: Path) -> None:
    assert omnelog.allocate_ulids(tmp_path, 0) == []
    with pytest.raises(ValueError, match="n must be 0 or more, not -1"):
        omnelog.allocate_ulids(tmp_path, -1)
    assert list(tmp_path.iterdir()) == []
    with omnelog.UlidAllocator(tmp_path) as allocator:
        assert allocator.allocate_many(0) == []
        with pytest.raises(ValueError, match="n must be 0 or more, not -1"):
            allocator.allocate_many(-1)
    assert omnelog.ulid_lock_path(tmp_path).read_bytes() == b""


def test_an_allocator_opens_its_file_once(
    tmp_path: Path, allocator: "omnelog.UlidAllocator", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "open", None)
    assert len({allocator.allocate() for _ in range(100)}) == 100
    assert len(open_descriptors(tmp_path)) == 1


@pytest.mark.spec("ULID-14")
def test_an_allocator_notices_that_its_file_was_replaced(
    allocator: "omnelog.UlidAllocator", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(omnelog.ulid, "PATH_CHECK_INTERVAL_S", 0.0)
    first = allocator.allocate()
    allocator.path.rename(allocator.path.with_name("old"))
    second = allocator.allocate()
    assert allocator.path.read_text() == second
    assert allocator.path.with_name("old").read_text() == first
    assert lock_is_free(allocator.path.with_name("old"))
    allocator.path.unlink()
    allocator.path.with_name("old").unlink()
    allocator.path.parent.rmdir()
    with pytest.raises(omnelog.LogIOError):
        allocator.allocate()
    assert not allocator.path.parent.exists()


def test_a_closed_allocator_says_so_and_holds_no_file(tmp_path: Path) -> None:
    with omnelog.UlidAllocator(tmp_path) as allocator:
        allocator.allocate()
    allocator.close()
    assert open_descriptors(tmp_path) == []
    with pytest.raises(omnelog.LogClosed, match="make another"):
        allocator.allocate()


def test_an_allocator_that_is_closed_during_a_call_holds_no_file_afterwards(
    tmp_path: Path, allocator: "omnelog.UlidAllocator", monkeypatch: pytest.MonkeyPatch
) -> None:
    pread = os.pread

    def close(fd: int, length: int, offset: int) -> bytes:
        allocator.close()
        return pread(fd, length, offset)

    monkeypatch.setattr(os, "pread", close)
    assert allocator.allocate()
    assert open_descriptors(tmp_path) == []


def test_a_pickled_allocator_opens_the_file_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with omnelog.UlidAllocator(".", lock_timeout=7) as allocator:
        data = pickle.dumps(allocator)
        monkeypatch.chdir("/")
        with pickle.loads(data) as copy:
            assert (copy.path, copy.lock_timeout) == (allocator.path, 7)
            assert allocator.allocate() < copy.allocate() < allocator.allocate()


def test_threads_share_an_allocator(tmp_path: Path) -> None:
    with omnelog.UlidAllocator(tmp_path, lock_timeout=60) as allocator:
        with ThreadPoolExecutor(4) as pool:
            parts = list(pool.map(lambda _: [allocator.allocate() for _ in range(50)], range(4)))
        assert len({ulid for part in parts for ulid in part}) == 200
        assert all(part == sorted(part) for part in parts)
        assert len(open_descriptors(tmp_path)) == 1
    assert open_descriptors(tmp_path) == []


def test_parent_and_child_share_an_allocator(
    tmp_path: Path, allocator: "omnelog.UlidAllocator"
) -> None:
    before = allocator.allocate()
    theirs = in_child(lambda _: [open_descriptors(tmp_path), allocator.allocate_many(3)])
    assert theirs[0] == []
    after = allocator.allocate()
    assert [before, *theirs[1], after] == sorted({before, *theirs[1], after})


@pytest.mark.parametrize("then", [None, (), (1,), (2,), (3,), (4,), (5,)], ids=str)
def test_interrupts_at_any_moment_leave_the_lock_free_and_no_ulid_twice(
    tmp_path: Path, then: tuple[int, ...] | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An interrupt comes at each bytecode in turn, or after each call in turn.

    In some cases another one comes some calls later, in the clean-up.
    """
    monkeypatch.setattr(omnelog.ulid, "PATH_CHECK_INTERVAL_S", 0.0)
    at = 0
    most = 0
    with omnelog.UlidAllocator(tmp_path, lock_timeout=0) as allocator:
        ulid = allocator.allocate()
        while True:
            at += 1
            strike = Strike(at, interrupt, at_looks=then is not None, then=then or ())
            try:
                with strike:
                    allocator.allocate()
            except KeyboardInterrupt as error:
                caught = error  # its traceback keeps the frames alive
            assert lock_is_free(allocator.path), f"{strike.where}, {caught}"
            following = allocator.allocate()
            assert following > ulid
            ulid = following
            most = max(most, strike.struck)
            if not strike.struck:
                break
    assert at > 15, "this struck next to nowhere"
    assert most > len(then or ())


def interrupt() -> None:
    raise KeyboardInterrupt


def test_a_handler_that_forks_at_any_moment_leaves_the_ulid_to_the_parent(tmp_path: Path) -> None:
    """The handler forks at every 7th bytecode, until the ULID is in the file and the lock is free.

    A fork after that is like a fork after the call.
    """

    def allocate(strike: Strike) -> list[str]:
        with suppress(omnelog.LogIOError), strike:
            return [allocator.allocate()]
        return []

    def fork_in_time() -> None:
        if allocator.path.read_text() == before or not lock_is_free(allocator.path):
            pids.append(fork())

    with omnelog.UlidAllocator(tmp_path, lock_timeout=60) as allocator:
        at = 1
        while True:
            ours, theirs = Pipe()
            pids: list[int] = []
            before = allocator.allocate()
            found = allocate(Strike(at, fork_in_time))
            if pids and not pids[0]:
                theirs.send([*found, *allocate(Strike(0, fork_in_time))])
                os._exit(0)
            if pids:
                of_child = Channel(ours).hear()
                os.waitpid(pids[0], 0)
            ours.close()
            theirs.close()
            if not pids:
                break
            assert len(found) == 1
            assert of_child
            assert found[0] not in of_child
            at += 7
    assert at > 100
