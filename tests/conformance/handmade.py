# SPDX-License-Identifier: MIT
"""A short implementation of chapters 6 to 10 of SPEC.md, which can be wrong on purpose.

``python tests/conformance/handmade.py FAULT`` is an adapter with this one fault. With ``right`` in
the place of FAULT, it has no fault. Events, paths and errors are those of omnelog. What the
chapters demand of appends, reads and ULIDs is here, so that each fault is one line in its place,
which asks ``self.wrong``.
"""

import ctypes
import errno
import fcntl
import os
import secrets
import stat
import sys
import time
from base64 import b64decode
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from time import monotonic, sleep

import omnelog
from conformance.adapters.omnelog_adapter import Adapter, Json, build, key, plain, timeout_s
from omnelog.linelog.objects import is_blank

DIGITS = "0123456789abcdefghjkmnpqrstvwxyz"
FLAGS = os.O_NOCTTY | os.O_NONBLOCK
APPENDING = FLAGS | os.O_RDWR | os.O_APPEND | os.O_CREAT
LINGER_S = 2.0
PATIENCE_S = 0.1
Wrong = Callable[[str], bool]


class SyncFailed(OSError):
    """A sync failed: `stand` lines are written, but may not be on disk."""

    stand = 0


def refused(error: OSError, path: object, appended: int = 0) -> omnelog.LogIOError:
    return omnelog.LogIOError(error.errno or 5, str(error), str(path), appended)


def unsure(error: OSError, path: object, appended: int) -> omnelog.AppendIndeterminate:
    return omnelog.AppendIndeterminate(error.errno or 5, str(error), str(path), appended)


class File:
    """An open file and its lock."""

    def __init__(self, path: Path, flags: int, wrong: Wrong, mode: int = 0o666) -> None:
        self.path, self.wrong = path, wrong
        if wrong("children-inherit-the-log") and flags & os.O_APPEND:
            self.fd = ctypes.CDLL(None).open(os.fsencode(path), flags, mode)
        else:
            self.fd = os.open(path, flags, mode)
        if not stat.S_ISREG(os.fstat(self.fd).st_mode):
            os.close(self.fd)
            raise OSError(22, "not a regular file")

    def try_lock(self) -> bool:
        how = fcntl.LOCK_EX if self.wrong("blocks-for-the-lock") else fcntl.LOCK_EX | fcntl.LOCK_NB
        try:
            if self.wrong("takes-record-locks"):
                fcntl.lockf(self.fd, how)
            else:
                fcntl.flock(self.fd, how)
        except BlockingIOError:
            return False
        return True

    def lock(self, started: float, timeout: float) -> None:
        if self.wrong("waits-with-a-timeout-of-0"):
            timeout = max(timeout, 0.3)
        if self.wrong("looks-for-the-holder-first"):
            Path("/proc/locks").read_bytes()
        while not self.try_lock():
            age = monotonic() - started
            if age >= timeout:
                raise omnelog.LockTimeout(str(self.path), age, None)
            if self.wrong("oversleeps"):
                sleep(timeout - age + 0.3)
            else:
                sleep(min(0.005, timeout - age))

    def unlock(self) -> None:
        fcntl.flock(self.fd, fcntl.LOCK_UN)

    def close(self) -> None:
        os.close(self.fd)

    def size(self) -> int:
        return os.lseek(self.fd, 0, os.SEEK_END)

    def last_line_end(self, size: int) -> int:
        return os.pread(self.fd, size, 0).rfind(b"\n") + 1

    def moved(self) -> bool:
        try:
            return not os.path.samestat(os.stat(self.path), os.fstat(self.fd))
        except FileNotFoundError:
            return True
        except PermissionError:
            return False


class Log:
    """A handle: it appends to one log and repairs it."""

    def __init__(self, root: Path, run_id: str, timeout: float, durable: bool, wrong: Wrong):
        self.path = omnelog.events_log_path(root, run_id)
        self.timeout, self.durable, self.wrong = timeout, durable, wrong
        self.file: File | None = None
        self.looked, self.end = 0.0, -1
        self.sync_failed = False
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.open()

    def open(self) -> File:
        if self.sync_failed and not self.wrong("goes-on-after-a-failed-sync"):
            raise OSError(5, "an earlier sync failed")
        if self.wrong("makes-directories-on-a-reopen"):
            self.path.parent.mkdir(parents=True, exist_ok=True)
        flags = APPENDING
        if self.wrong("waits-for-a-fifo"):
            flags &= ~os.O_NONBLOCK
        self.looked, self.end = monotonic(), -1
        self.file = File(self.path, flags, self.wrong)
        if self.durable:
            count = 1 if self.wrong("syncs-one-directory") else 5
            for directory in self.path.parents[:count]:
                sync_directory(directory, surely=True)
        return self.file

    def drop(self) -> None:
        if self.file is not None:
            if not self.wrong("frees-by-closing"):
                self.file.unlock()
            self.file.close()
            self.file = None

    def append(self, lines: list[bytes], started: float) -> None:
        try:
            self.locked(lines, started)
        except SyncFailed as error:
            self.sync_failed = True
            self.drop()
            raise unsure(error, self.path, error.stand) from error
        except OSError as error:  # this includes errors of omnelog
            if not self.wrong("keeps-its-descriptor"):
                self.drop()
            elif self.file is not None:
                self.file.unlock()
            if isinstance(error, omnelog.OmnelogError):
                raise
            raise refused(error, self.path) from error

    def locked(self, lines: list[bytes], started: float) -> None:
        file = self.file or self.open()
        if self.wrong("repairs-before-the-lock"):
            self.repair(file)
        early = self.wrong("looks-before-the-lock") and monotonic() - self.looked >= 1
        while True:
            if early:
                self.looked = monotonic()
                if file.moved():
                    self.drop()
                    file = self.open()
                early = False
            file.lock(started, self.timeout)
            if monotonic() - self.looked < 1 or self.wrong("never-looks-at-the-path"):
                break
            self.looked = monotonic()
            if self.wrong("looks-before-the-lock") or not file.moved():
                break
            self.drop()
            file = self.open()
            if self.wrong("begins-the-deadline-again"):
                started = monotonic()
        if file.size() != self.end:
            self.repair(file)
        if lines:
            self.write(file, lines)
        if self.wrong("frees-by-closing"):
            self.sync(file, len(lines))
            self.drop()
        elif self.wrong("syncs-before-the-unlock"):
            self.sync(file, len(lines))
            file.unlock()
        else:
            try:
                file.unlock()
            except OSError as error:
                raise unsure(error, self.path, len(lines)) from error
            self.sync(file, len(lines))

    def sync(self, file: File, stand: int) -> None:
        if self.wrong("never-syncs") or not (self.durable or self.wrong("always-syncs")):
            return
        try:
            os.fdatasync(file.fd)
        except OSError as error:
            if not self.wrong("ignores-a-failed-sync"):
                failed = SyncFailed(error.errno, str(error))
                failed.stand = stand
                raise failed from error

    def write(self, file: File, lines: list[bytes]) -> None:
        start, data = file.size(), b"".join(lines)
        self.end = -1
        if self.wrong("writes-line-and-newline"):
            pieces = [data[:-1], b"\n"]
        elif self.wrong("unlocks-between-lines"):
            pieces = lines
        else:
            pieces = [data]
        try:
            for piece in pieces:
                self.write_all(file, piece)
                if self.wrong("unlocks-between-lines"):
                    file.unlock()
                    file.lock(monotonic(), 5)
        except OSError as error:
            self.roll_back(file, start, lines, error)
        self.end = start + len(data)

    def write_all(self, file: File, data: bytes) -> None:
        while data:
            written = os.write(file.fd, data)
            if not written and not self.wrong("tries-again-for-ever"):
                raise OSError(5, "nothing was written")
            if self.wrong("takes-a-short-write-for-whole"):
                return
            data = data[written:]

    def roll_back(self, file: File, start: int, lines: list[bytes], error: OSError) -> None:
        data, size = b"".join(lines), file.size()
        found = os.pread(file.fd, size - start, start)
        stand = len(lines)
        while stand and not found.startswith(b"".join(lines[:stand])):
            stand -= 1
        if self.wrong("takes-whole-lines-back"):
            stand = 0
        whole = len(b"".join(lines[:stand]))
        if not data.startswith(found) and not self.wrong("cuts-foreign-bytes"):
            raise unsure(error, self.path, stand) from error
        if stand == len(lines) and not self.wrong("fails-though-all-is-written"):
            raise unsure(error, self.path, stand) from error
        try:
            if not self.wrong("leaves-what-a-failed-write-left"):
                os.ftruncate(file.fd, start + whole)
        except OSError as again:
            if not self.wrong("ignores-a-failed-cut"):
                raise unsure(again, self.path, stand) from again
        if stand:
            file.unlock()
            self.sync(file, stand)
        if self.wrong("miscounts-what-stands"):
            stand += 1
        raise refused(error, self.path, stand) from error

    def repair(self, file: File) -> None:
        size = file.size()
        start = file.last_line_end(size)
        if start == size:
            return
        tail = os.pread(file.fd, size - start, start)
        if is_event(tail) and not (self.wrong("looks-at-64-kib") and len(tail) > 65536):
            if file.size() != size and not self.wrong("adds-a-newline-to-a-grown-log"):
                raise OSError(16, "somebody writes without the lock")
            self.write_all(file, b"\n")
            return
        self.quarantine(tail, permissions(file))
        if file.size() != size and not self.wrong("cuts-a-grown-log"):
            raise OSError(16, "somebody writes without the lock")
        os.ftruncate(file.fd, start)

    def quarantine(self, tail: bytes, mode: int) -> None:
        path = Path(f"{self.path}.torn")
        try:
            file = File(path, APPENDING, self.wrong, mode)
        except OSError as error:
            raise refused(error, path) from error
        try:
            size = file.size()
            content = os.pread(file.fd, size, 0)
            add = b"\n" if content and not content.endswith(b"\n") else b""
            if self.wrong("continues-an-unfinished-copy"):
                add = b""
            lines = (content + add).split(b"\n")
            copied = len(lines) > 1 and lines[-2] == tail
            if not copied or self.wrong("copies-a-tail-again"):
                add += tail + b"\n"
            if add:
                self.write_all(file, add)
            if not self.wrong("cuts-what-is-not-synced"):
                os.fsync(file.fd)
            if not self.wrong("leaves-the-directory-unsynced"):
                sync_directory(path.parent, surely=self.durable)
        except OSError as error:
            raise refused(error, path) from error
        finally:
            file.close()


def permissions(file: File) -> int:
    return stat.S_IMODE(os.fstat(file.fd).st_mode) & 0o666


def is_event(line: bytes) -> bool:
    try:
        omnelog.decode(line)
    except omnelog.DeserializeError:
        return False
    return True


def sync_directory(path: Path, *, surely: bool) -> None:
    try:
        fd = os.open(path, os.O_RDONLY)
    except PermissionError:
        if surely:
            raise
        return
    try:
        os.fsync(fd)
    except OSError as error:
        if surely or error.errno != errno.EINVAL:
            raise
    finally:
        os.close(fd)


class Follower:
    """Follows one log."""

    def __init__(self, path: Path, wrong: Wrong) -> None:
        self.path, self.wrong = path, wrong
        self.file = File(path, FLAGS | os.O_RDONLY, wrong)
        self.offset = self.line = 0
        self.moved_at: float | None = None
        self.at_fault = False

    def next(self, count: int) -> list[Json]:
        events: list[Json] = []
        linger = 1.0 if self.wrong("leaves-the-old-log-after-1-s") else LINGER_S
        if self.wrong("leaves-the-rest-of-the-old-log"):
            linger = 0.0
        while True:
            if not self.file.moved():
                self.moved_at = None
            elif self.moved_at is None:
                self.moved_at = monotonic()
            over = self.moved_at is not None and monotonic() - self.moved_at >= linger
            if not (over and self.wrong("leaves-the-rest-of-the-old-log")):
                self.read(events, count)
            if len(events) >= count or (events and self.at_fault):
                return events
            if over:
                self.file = File(self.path, FLAGS | os.O_RDONLY, self.wrong)
                self.offset = self.line = 0
                self.moved_at = None
            sleep(0.02)

    def read(self, events: list[Json], count: int) -> None:
        if self.wrong("locks-while-it-follows"):
            self.file.lock(monotonic(), 0)
        size = self.file.size()
        if self.wrong("locks-while-it-follows"):
            self.file.unlock()
        if size < self.offset and not self.wrong("overlooks-that-the-log-was-cut"):
            raise refused(OSError(5, "cut"), self.path)
        data = os.pread(self.file.fd, max(0, size - self.offset), self.offset)
        for line in data.split(b"\n")[:-1]:
            if len(events) >= count:
                return
            blank = is_blank(line)
            if not (blank and self.wrong("counts-no-blank-lines")):
                self.line += 1
            try:
                if not blank:
                    events.append(plain(omnelog.decode(line)))
            except omnelog.DeserializeError as error:
                self.at_fault = True
                if events:
                    self.line -= 1
                    return
                raise omnelog.DeserializeError(
                    error.reason, self.path, self.line, self.offset
                ) from None
            self.offset += len(line) + 1


class Handmade(Adapter):
    """The adapter, with one fault or without."""

    def __init__(self, fault: str) -> None:
        super().__init__()
        self.fault = fault
        self.asked_to_leave = False
        self.handles: dict[str, Log] = {}
        self.followers: dict[str, Follower] = {}

    def wrong(self, fault: str) -> bool:
        return fault == self.fault

    def hello(self, request: Json) -> Json:
        return {**super().hello(request), "name": "handmade"}

    def kept(self, request: Json) -> Log:
        if key(request) not in self.handles:
            timeout = timeout_s(request)
            if "lock_timeout" not in request and self.wrong("waits-for-2-s-by-default"):
                timeout = 2.0
            root, run_id = Path(request["root"]), request["run_id"]
            omnelog.run_dir(root, run_id)
            try:
                durable = request.get("durable", False)
                self.handles[key(request)] = Log(root, run_id, timeout, durable, self.wrong)
            except OSError as error:
                raise refused(error, omnelog.events_log_path(root, run_id)) from error
        return self.handles[key(request)]

    def append(self, request: Json) -> Json:
        started = monotonic()
        if self.wrong("encodes-after-the-wait"):
            log = self.kept(request)
            file = log.file or log.open()
            file.lock(started, log.timeout)
            file.unlock()
        lines = [omnelog.encode(build(event)) for event in request["events"]]
        log = self.kept(request)
        if lines or self.wrong("repairs-for-nothing"):
            log.append(lines, started)
        return {}

    def repair(self, request: Json) -> Json:
        self.kept(request).append([], monotonic())
        return {}

    def close(self, request: Json) -> Json:
        if not self.wrong("closes-nothing"):
            self.handles.pop(key(request)).drop()
        return {}

    def hold_lock(self, request: Json) -> Json:
        if self.wrong("repairs-to-hold-the-lock"):
            self.kept(request).append([], monotonic())
        return super().hold_lock(request)

    def quit(self, request: Json) -> Json:
        self.asked_to_leave = True
        if self.wrong("quits-with-status-1"):
            sys.stdout.buffer.write(b'{"ok": true}\n')
            sys.stdout.flush()
            os._exit(1)
        return {}

    def read(self, request: Json) -> Json:
        found = self.look(request)
        if found["problems"]:
            raise found["problems"][0]
        return {"events": found["events"]}

    def scan(self, request: Json) -> Json:
        found = self.look(request)
        found["problems"] = [
            {"kind": type(p).__name__, "message": str(p), "path": str(p.path), "line": p.line,
             "offset": p.offset} for p in found["problems"]
        ]  # fmt: skip
        return found

    def look(self, request: Json) -> Json:
        path = omnelog.events_log_path(request["root"], request["run_id"])
        flags = os.O_RDWR if self.wrong("reads-through-a-writable-file") else os.O_RDONLY
        try:
            file = File(path, FLAGS | flags, self.wrong)
            try:
                return self.snapshot(file)
            finally:
                file.close()
        except OSError as error:
            if isinstance(error, omnelog.OmnelogError):
                raise
            raise refused(error, path) from error

    def snapshot(self, file: File) -> Json:
        size = measured = file.size()
        end, tail, in_flight = file.last_line_end(size), b"", False
        if end != size or self.wrong("locks-whole-logs"):
            patience = PATIENCE_S
            if self.wrong("waits-5-s-to-read"):
                patience = 5.0
            if self.wrong("tries-once-to-read"):
                patience = 0.0
            try:
                file.lock(monotonic(), patience)
            except omnelog.LockTimeout:
                in_flight = True
            else:
                if not self.wrong("does-not-look-again"):
                    size = file.size()
                    end = file.last_line_end(size)
                tail = os.pread(file.fd, size - end, end)
                file.unlock()
                shrunk = len(tail) < measured - end
                if self.wrong("takes-a-repair-for-a-loss") and shrunk:
                    raise OSError(5, "the log shrank")
        return self.decoded(file, end, tail, in_flight)

    def decoded(self, file: File, end: int, tail: bytes, in_flight: bool) -> Json:
        events: list[Json] = []
        problems: list[omnelog.DeserializeError] = []
        offset, blank_lines = 0, 0
        content = os.pread(file.fd, end, 0)
        lines = content.split(b"\n")[:-1]
        kinds = [omnelog.DeserializeError] * len(lines)
        if tail:
            lines.append(tail)
            kinds.append(omnelog.TornTailError)
        for number, (line, kind) in enumerate(zip(lines, kinds, strict=True), start=1):
            too_long = self.wrong("reads-8-mib-at-most") and len(line) > 8 << 20
            try:
                if too_long:
                    raise omnelog.DeserializeError("too long")
                events.append(plain(omnelog.decode(line)))
            except omnelog.DeserializeError as error:
                if kind is omnelog.DeserializeError and is_blank(line):
                    blank_lines += 1
                else:
                    problems.append(kind(error.reason, file.path, number, offset))
            offset += len(line) + 1
        return {
            "events": events,
            "problems": problems,
            "blank_lines": blank_lines,
            "tail_in_flight": in_flight,
        }

    def decode(self, request: Json) -> Json:
        line = b64decode(request["line"])
        most = {  # what makes it slow, and how many of these take 0.8 s
            "is-slow-with-members": (b'"k', 24_000),
            "is-slow-with-digits": (b"1", 240_000),
            "is-slow-with-escapes": (b"\\u", 80_000),
        }
        if self.fault in most:
            unit, count = most[self.fault]
            sleep((line.count(unit) / count) ** 2 * 0.8)
        return super().decode(request)

    def follow(self, request: Json) -> Json:
        path = omnelog.events_log_path(request["root"], request["run_id"])
        try:
            if str(path) not in self.followers:
                self.followers[str(path)] = Follower(path, self.wrong)
            return {"events": self.followers[str(path)].next(request["events"])}
        except OSError as error:
            self.followers.pop(str(path), None)
            if isinstance(error, omnelog.OmnelogError):
                raise
            raise refused(error, path) from error

    def ulid(self, request: Json) -> Json:
        started, timeout = monotonic(), timeout_s(request)
        path = omnelog.ulid_lock_path(request["root"])
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            flags = FLAGS | os.O_RDWR | os.O_CREAT
            mode = 0o600 if self.wrong("hides-the-last-ulid") else 0o666
            file = File(path, flags, self.wrong, mode)
            try:
                if not self.wrong("gives-ulids-without-the-lock"):
                    file.lock(started, timeout)
                return {"ulid": self.next_ulid(file)}
            finally:
                if not self.wrong("gives-ulids-without-the-lock"):
                    with suppress(OSError):  # closing releases the lock as well
                        file.unlock()
                file.close()
        except OSError as error:
            if isinstance(error, omnelog.OmnelogError):
                raise
            raise refused(error, path) from error

    def next_ulid(self, file: File) -> str:
        last = os.pread(file.fd, 27, 0)
        if self.wrong("cuts-the-last-ulid-first"):
            os.ftruncate(file.fd, 0)
        number = 0
        for digit in last.decode("latin-1").lower():
            if digit not in DIGITS:
                raise omnelog.UlidError("not a ULID")
            number = number * 32 + DIGITS.index(digit)
        if last and (len(last) != 26 or number >= 2**128 - 1):
            raise omnelog.UlidError("not a ULID, or the greatest")
        now = time.time_ns() // 1_000_000
        previous_ms, number = number >> 80, number + 1
        fresh = now > number >> 80
        if self.wrong("gives-fresh-ulids-within-a-millisecond"):
            fresh = now >= previous_ms
        if self.wrong("never-gives-a-fresh-ulid") and last:
            fresh = False
        if fresh:
            number = now << 80 | secrets.randbits(80)
        ulid = "".join(DIGITS[number >> shift & 31] for shift in range(125, -1, -5))
        if not self.wrong("keeps-ulids-to-itself"):
            written = os.pwrite(file.fd, ulid.encode(), 0)
            if written != 26:
                if not self.wrong("leaves-half-a-ulid"):
                    os.ftruncate(file.fd, len(last))
                    os.pwrite(file.fd, last, 0)
                raise OSError(28, "no room for 26 characters")
        return ulid

    def answer(self, request: Json) -> Json:
        response = super().answer(request)
        if self.wrong("answers-twice") and request["op"] == "append":
            sys.stdout.buffer.write(b'{"ok": true}\n')
        return response


if __name__ == "__main__":
    adapter = Handmade(sys.argv[1])
    adapter.serve(sys.stdin.buffer, sys.stdout.buffer)
    if adapter.wrong("stays-at-the-end-of-input") and not adapter.asked_to_leave:
        sleep(60)
