# SPDX-License-Identifier: MIT
"""Repairs and roll-backs of long tails with little memory or room, and the quarantine's owner.

A log may be longer than the memory. A power loss can leave a hole of gigabytes in it, which reads
as zeros but uses no disk blocks. While the lock is held, the core must not need memory or time in
proportion to such a length.
"""

import errno
import os
import stat
from pathlib import Path
from typing import Any

import pytest

from .. import omnelog
from .logs import (
    LOCK,
    READER,
    REPAIR,
    RUN,
    between,
    close_logs,
    event,
    line,
    lock_is_free,
    open_log,
    quarantine,
)

__all__ = ["close_logs"]  # a fixture

BLOCK = 256 * 1024
GIB = 1 << 30


class Reads:
    """A replacement for ``os.pread`` that counts bytes, and has memory for one block only."""

    def __init__(self, patch: pytest.MonkeyPatch, **functions: Any) -> None:
        self.bytes = 0
        between(patch, pread=self.pread, fsync=lambda _: None, **functions)

    def pread(self, descriptor: int, size: int, offset: int) -> bytes:
        if size > BLOCK:
            raise MemoryError
        data = os.pread(descriptor, size, offset)
        self.bytes += len(data)
        return data


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> Reads:
    return Reads(monkeypatch)


def add(path: Path, data: bytes) -> None:
    """Write to the end of a file, as another program would."""
    with path.open("ab") as file:
        file.write(data)


# Memory.


@pytest.mark.spec("APP-27")
@pytest.mark.parametrize("lines", [1, 3])
def test_a_failed_write_is_rolled_back_with_memory_for_one_block(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lines: int
) -> None:
    size = 3 * BLOCK
    written: list[int] = []

    def write(descriptor: int, data: Any) -> int:
        if written:
            raise OSError(errno.ENOSPC, "No space left on device")
        written.append(os.write(descriptor, data[: size * lines - 99]))
        return written[0]

    log = open_log(tmp_path)
    log.append(event(0))
    with monkeypatch.context() as patch:
        Reads(patch, write=write)
        with pytest.raises(omnelog.LogIOError) as caught:
            log.append_many([event(number, size=size) for number in range(lines)])
    assert caught.value.errno == errno.ENOSPC
    assert caught.value.appended == lines - 1
    assert log.path.read_bytes() == line(0) + b"".join(line(n, size=size) for n in range(lines - 1))


@pytest.mark.spec("APP-28")
def test_what_is_another_writers_in_a_later_block_is_not_rolled_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = line(1, size=3 * BLOCK)

    def write(descriptor: int, _: Any) -> int:
        os.write(descriptor, data[: 2 * BLOCK + 5] + b"foreign")
        raise OSError(errno.EIO, "broken")

    log = open_log(tmp_path)
    between(monkeypatch, write=write)
    with pytest.raises(omnelog.AppendIndeterminate):
        log.append(event(1, size=3 * BLOCK))
    assert log.path.read_bytes() == data[: 2 * BLOCK + 5] + b"foreign"


@pytest.fixture
def short_bound(monkeypatch: pytest.MonkeyPatch) -> int:
    """A bound on what is decoded under the lock, so small that a test can exceed it."""
    bound = 2 * BLOCK
    monkeypatch.setattr(REPAIR, "LONGEST_DECODED", bound)
    monkeypatch.setattr(READER, "LONGEST_DECODED", bound)
    return bound


def whole_of(length: int) -> bytes:
    """An event without its newline that is `length` bytes long."""
    return line(1, size=length - len(line(1, size=0)) + 1)[:-1]


@pytest.mark.spec("APP-61")
def test_a_tail_too_long_to_be_decoded_is_whole_if_it_ends_with_a_brace(
    tmp_path: Path, short_bound: int, reads: Reads
) -> None:
    """The repair does not read the tail, which is no event here; a reader reports the damage."""
    log = open_log(tmp_path)
    tail = b"{" * short_bound + b"}"
    add(log.path, tail)
    log.append(event(2))
    assert log.path.read_bytes() == tail + b"\n" + line(2)
    assert quarantine(log.path) == []
    assert [problem.line for problem in omnelog.scan_run(tmp_path, RUN).problems] == [1]


@pytest.mark.spec("APP-61")
@pytest.mark.parametrize("end", [b"", b" ", b"\r"], ids=["cut", "space", "return"])
def test_a_tail_too_long_to_be_decoded_is_torn_if_it_does_not(
    tmp_path: Path, short_bound: int, reads: Reads, end: bytes
) -> None:
    log = open_log(tmp_path)
    tail = whole_of(short_bound + 1) + end if end else whole_of(short_bound + 9)[:-1]
    add(log.path, tail)
    assert [type(p) for p in omnelog.scan_run(tmp_path, RUN).problems] == [omnelog.TornTailError]
    log.append(event(2))
    assert log.path.read_bytes() == line(2)
    assert quarantine(log.path) == [tail]


@pytest.mark.spec("APP-56")
@pytest.mark.parametrize("more", [0, 1], ids=["as-long-as-the-bound", "longer"])
def test_a_tail_as_long_as_the_bound_is_decoded(
    tmp_path: Path, short_bound: int, reads: Reads, more: int
) -> None:
    log = open_log(tmp_path)
    tail = b'{"' + b"x" * (short_bound + more - 3) + b"}"
    add(log.path, tail)
    log.append(event(2))
    is_decoded = more == 0
    assert (quarantine(log.path) == [tail]) == is_decoded
    assert log.path.read_bytes() == line(2) if is_decoded else tail + b"\n" + line(2)


@pytest.mark.spec("READ-8", "APP-62")
def test_of_a_long_tail_a_reader_reads_no_more_than_the_bound(
    tmp_path: Path, short_bound: int, reads: Reads
) -> None:
    path = open_log(tmp_path).path
    add(path, b"x" * (4 * short_bound))
    assert len(omnelog.scan_run(tmp_path, RUN).problems) == 1
    looking_for_newlines = 2 * 4 * short_bound
    assert reads.bytes <= looking_for_newlines + short_bound + 1


@pytest.mark.spec("READ-7")
def test_a_long_tail_that_is_whole_is_read(tmp_path: Path, short_bound: int) -> None:
    path = open_log(tmp_path).path
    add(path, whole_of(short_bound + 100))
    assert len(omnelog.read_run(tmp_path, RUN)) == 1


@pytest.mark.spec("APP-13")
def test_a_tail_whose_last_byte_ends_no_object_is_not_decoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = open_log(tmp_path)
    add(log.path, line(1)[:-2])

    def decode(tail: bytes) -> object:
        raise AssertionError(tail)

    monkeypatch.setattr(log, "_decode", decode)
    monkeypatch.setattr(REPAIR, "tail_refusal", lambda decode, tail: decode(tail))
    log.append(event(2))
    assert quarantine(log.path) == [line(1)[:-2]]


@pytest.mark.spec("OBJ-8")
@pytest.mark.parametrize("tail", [b'{"a":{}', b'{"a":1}{"b":2}', b'["}', b"}"])
def test_what_a_lenient_decoder_accepts_is_torn_unless_it_is_an_object(
    tmp_path: Path, tail: bytes
) -> None:
    """It may be only the beginning of another record."""
    path = tmp_path / "log"
    path.write_bytes(tail)
    with omnelog.LineLog(path, decode=bytes) as log:
        log.append({"n": 1})
    assert path.read_bytes() == b'{"n":1}\n'
    assert quarantine(path) == [tail]
    path.write_bytes(tail)
    [problem] = omnelog.scan_log(path, decode=bytes).problems
    assert isinstance(problem, omnelog.TornTailError)


@pytest.mark.spec("OBJ-8")
def test_an_object_that_the_decoder_refuses_is_torn(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b'{"n":1}')

    def refuse(_: bytes) -> object:
        raise ValueError("no")

    with omnelog.LineLog(path, decode=refuse) as log:
        log.append({"n": 2})
    assert quarantine(path) == [b'{"n":1}']


# Room.


@pytest.mark.spec("APP-58")
@pytest.mark.parametrize("before", [b"", b"older\n"], ids=["new", "with-others"])
def test_a_copy_for_which_there_is_no_room_is_cut_off_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, before: bytes
) -> None:
    log = open_log(tmp_path)
    torn = line(1, size=3 * BLOCK)[:-9]
    add(log.path, torn)
    path = log.path.with_name("events.jsonl.torn")
    if before:
        path.write_bytes(before)
    room = [BLOCK + 99]

    def write(descriptor: int, data: Any) -> int:
        if not room[0]:
            raise OSError(errno.ENOSPC, "No space left on device")
        written = os.write(descriptor, data[: room[0]])
        room[0] -= written
        return written

    with monkeypatch.context() as patch:
        between(patch, write=write)
        for _again in range(2):
            room[0] = BLOCK + 99
            with pytest.raises(omnelog.LogIOError) as caught:
                log.append(event(2))
            assert caught.value.errno == errno.ENOSPC
            assert caught.value.filename == str(path)
            assert path.read_bytes() == before
            assert log.path.read_bytes() == torn
            assert lock_is_free(log.path)
    log.append(event(2))
    assert path.read_bytes() == before + torn + b"\n"


@pytest.mark.spec("APP-58")
def test_a_copy_that_can_be_neither_completed_nor_cut_off_is_reported_as_it_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = open_log(tmp_path)
    add(log.path, line(1)[:-9])

    def refuse(code: int) -> Any:
        def call(*_: object) -> int:
            raise OSError(code, os.strerror(code))

        return call

    between(monkeypatch, write=refuse(errno.EDQUOT), ftruncate=refuse(errno.EPERM))
    with pytest.raises(omnelog.LogIOError) as caught:
        log.append(event(2))
    assert caught.value.errno == errno.EDQUOT


# Owner and mode.


@pytest.mark.spec("APP-63")
class TestTheOwnerOfTheQuarantine:
    @pytest.fixture
    def others(self, tmp_path: Path) -> "omnelog.EventLog":
        """A log of another user, with a torn tail."""
        if os.geteuid() != 0:
            pytest.skip("THE OWNER OF THE QUARANTINE WAS NOT TESTED: only root may give files away")
        log = open_log(tmp_path)
        os.chown(log.path, 12345, 23456)
        add(log.path, b"torn")
        return log

    def test_is_that_of_its_log(self, others: "omnelog.EventLog") -> None:
        others.append(event(1))
        status = others.path.with_name("events.jsonl.torn").stat()
        assert (status.st_uid, status.st_gid) == (12345, 23456)

    def test_stays_who_it_is(self, others: "omnelog.EventLog") -> None:
        path = others.path.with_name("events.jsonl.torn")
        path.write_bytes(b"older\n")
        os.chown(path, 34567, 45678)
        others.append(event(1))
        assert (path.stat().st_uid, path.stat().st_gid) == (34567, 45678)
        assert path.read_bytes() == b"older\ntorn\n"

    def test_stops_no_append_when_it_cannot_be_given_away(
        self, others: "omnelog.EventLog", monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def refuse(*_: object) -> None:
            raise PermissionError(errno.EPERM, "Operation not permitted")

        between(monkeypatch, fchown=refuse)
        others.append(event(1))
        assert quarantine(others.path) == [b"torn"]


@pytest.mark.spec("APP-57")
@pytest.mark.parametrize(
    ("mode", "umask", "expected"),
    [(0o600, 0, 0o600), (0o664, 0o027, 0o640), (0o777, 0, 0o666), (0o640, 0o077, 0o600)],
)
def test_the_mode_of_the_quarantine_is_that_of_its_log_less_the_umask(
    tmp_path: Path, mode: int, umask: int, expected: int
) -> None:
    log = open_log(tmp_path)
    log.path.chmod(mode)
    add(log.path, b"torn")
    before = os.umask(umask)
    try:
        log.append(event(1))
    finally:
        os.umask(before)
    path = log.path.with_name("events.jsonl.torn")
    assert stat.S_IMODE(path.stat().st_mode) == expected


# Holes.


def make_hole(path: Path, length: int, end: bytes = b"") -> None:
    """Add a hole of `length` bytes, and then `end`."""
    with path.open("r+b") as file:
        size = file.seek(0, os.SEEK_END)
        file.truncate(size + length)
        file.seek(0, os.SEEK_END)
        file.write(end)


@pytest.fixture
def sparse(tmp_path: Path) -> Path:
    """A directory whose files can have holes; skip the test if the file system has none."""
    probe = tmp_path / "probe"
    probe.touch()
    make_hole(probe, 1 << 24, b"x")
    with probe.open("rb") as file:
        knows_holes = os.lseek(file.fileno(), 0, os.SEEK_DATA) > 0
    if not knows_holes or probe.stat().st_blocks * 512 >= 1 << 23:
        pytest.skip("HOLES WERE NOT TESTED: this file system has none")
    return tmp_path


@pytest.mark.spec("APP-60")
@pytest.mark.parametrize("end", [b"", b"\0" * 99], ids=["hole-to-the-end", "bytes-behind-it"])
def test_two_gigabytes_of_nothing_are_quarantined_without_being_read_or_written(
    sparse: Path, monkeypatch: pytest.MonkeyPatch, end: bytes
) -> None:
    log = open_log(sparse)
    log.append(event(0))
    piece = line(1)[:-9]
    add(log.path, piece)
    make_hole(log.path, 2 * GIB, end)
    length = log.path.stat().st_size - len(line(0))
    with monkeypatch.context() as patch:
        reads = Reads(patch)
        log.append(event(2))
    assert log.path.read_bytes() == line(0) + line(2)
    path = log.path.with_name("events.jsonl.torn")
    assert path.stat().st_size == length + 1
    assert path.stat().st_blocks * 512 < 4 * BLOCK, "the copy has a hole, too"
    assert reads.bytes < 16 * BLOCK
    with path.open("rb") as file:
        assert file.read(len(piece)) == piece
        file.seek(-1, os.SEEK_END)
        assert file.read() == b"\n"


@pytest.mark.spec("APP-60", "APP-17")
def test_what_is_between_holes_is_copied_where_it_stands(sparse: Path) -> None:
    log = open_log(sparse)
    log.append(event(0))
    add(log.path, b"begin")
    for number in range(3):
        make_hole(log.path, 5 * BLOCK + number * 4096 + 7, b"%d" % number * (BLOCK + 3))
    torn = log.path.read_bytes()[len(line(0)) :]
    log.append(event(1))
    assert log.path.read_bytes() == line(0) + line(1)
    assert quarantine(log.path) == [torn]
    add(log.path, torn)
    log.append(event(2))
    assert quarantine(log.path) == [torn], "it is known for a copy"


@pytest.mark.parametrize("content", [b"", b"x" * 5000], ids=["empty", "longer"])
def test_the_last_newline_is_found_before_a_hole(sparse: Path, content: bytes) -> None:
    """The newline can be anywhere in its block."""
    path = sparse / "file"
    for shift in (0, 1, 4095, BLOCK - 1, BLOCK, BLOCK + 1):
        path.write_bytes(b"\n" + b"y" * shift + content)
        make_hole(path, 4 * BLOCK, b"z")
        with LOCK.LockableFile(path, os.O_RDWR) as file:
            assert file.extent() == (1, path.stat().st_size)


@pytest.mark.parametrize("shift", [0, 1, 4096, BLOCK - 4096, BLOCK])
def test_a_newline_behind_a_hole_is_found(sparse: Path, shift: int) -> None:
    path = sparse / "file"
    path.write_bytes(b"x\n")
    make_hole(path, 4 * BLOCK, b"a\n" + b"y" * (BLOCK + shift))
    size = path.stat().st_size
    with LOCK.LockableFile(path, os.O_RDWR) as file:
        assert file.extent() == (size - BLOCK - shift, size)


@pytest.mark.parametrize("code", [errno.EINVAL, None], ids=["refused", "unknown-to-the-system"])
def test_where_holes_are_not_known_they_are_bytes_like_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int | None
) -> None:
    log = open_log(tmp_path)
    log.append(event(0))
    make_hole(log.path, 3 * BLOCK, b"x")
    torn = log.path.read_bytes()[len(line(0)) :]

    def lseek(descriptor: int, offset: int, whence: int) -> int:
        if whence not in (os.SEEK_SET, os.SEEK_END):
            assert code is not None
            raise OSError(code, os.strerror(code))
        return os.lseek(descriptor, offset, whence)

    class Without:
        """The module ``os`` of a system that has no SEEK_DATA."""

        def __getattr__(self, name: str) -> Any:
            if name == "SEEK_DATA" and code is None:
                raise AttributeError(name)
            return lseek if name == "lseek" else getattr(os, name)

    monkeypatch.setattr(LOCK, "os", Without())
    log.append(event(1))
    assert quarantine(log.path) == [torn]


def test_a_hole_that_cannot_be_looked_for_is_an_error(
    sparse: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = open_log(sparse)
    make_hole(log.path, 3 * BLOCK, b"x")

    def lseek(descriptor: int, offset: int, whence: int) -> int:
        if whence == os.SEEK_DATA:
            raise OSError(errno.EIO, "broken")
        return os.lseek(descriptor, offset, whence)

    between(monkeypatch, lseek=lseek)
    with pytest.raises(omnelog.LogIOError, match="broken"):
        log.append(event(1))
