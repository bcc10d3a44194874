# SPDX-License-Identifier: MIT
"""Adapters with one fault each: ``python tests/conformance/faulty.py NAME``.

Each fault names the kinds of the vectors that may catch it, some vectors that must catch it, and
the clauses that it breaks. A vector that catches it has to check one of these clauses.
"""

import fcntl
import json
import os
import re
import sys
import unicodedata
from base64 import b64decode, b64encode
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import omnelog
from conformance.adapters.omnelog_adapter import Adapter, Json, build, plain, report

Change = Callable[[bytes], bytes]  # of a line, before decoding or after encoding


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """A fault of an adapter, and the vectors that have to find it."""

    spoil: Callable[[Adapter], None]
    kinds: tuple[str, ...]
    caught_by: tuple[str, ...]
    clauses: tuple[str, ...]


FAULTS: dict[str, Fault] = {}


def fault(
    kinds: str, caught_by: str, clauses: str
) -> Callable[[Callable[[Adapter], None]], Callable[[Adapter], None]]:
    """Add the decorated function to `FAULTS`, under its name with hyphens."""

    def enter(spoil: Callable[[Adapter], None]) -> Callable[[Adapter], None]:
        FAULTS[spoil.__name__.replace("_", "-")] = Fault(
            spoil=spoil,
            kinds=tuple(kinds.split()),
            caught_by=tuple(caught_by.split()),
            clauses=tuple(clauses.split()),
        )
        return spoil

    return enter


def before_decoding(adapter: Adapter, change: Change) -> None:
    """Let `change` repair the lines that would be rejected."""
    decode = adapter.decode

    def lenient(request: Json) -> Json:
        try:
            return decode(request)
        except omnelog.DeserializeError:
            line = change(b64decode(request["line"]))
            return decode({"line": b64encode(line).decode()})

    vars(adapter)["decode"] = lenient


def rejecting(adapter: Adapter, wrong: Callable[[bytes], bool]) -> None:
    """Reject the lines for which `wrong` is true."""
    decode = adapter.decode

    def strict(request: Json) -> Json:
        if wrong(b64decode(request["line"])):
            raise omnelog.DeserializeError("too strict")
        return decode(request)

    vars(adapter)["decode"] = strict


def after_encoding(adapter: Adapter, change: Change) -> None:
    """Let `change` spoil the lines that are written."""
    encode = adapter.encode
    vars(adapter)["encode"] = lambda request: {
        "line": b64encode(change(b64decode(encode(request)["line"]))).decode()
    }


# What is accepted.


@fault("decode", "ACC-12.required-member ACC-12.by-an-escape ACC-12.deep-inside", "ACC-12")
def accepts_duplicate_members(adapter: Adapter) -> None:
    def collapse(line: bytes) -> bytes:
        repeated = False

        def pairs(members: list[tuple[str, Any]]) -> Json:
            nonlocal repeated
            repeated |= len(dict(members)) != len(members)
            return dict(members)

        with suppress(ValueError, RecursionError):
            value = json.loads(line, object_pairs_hook=pairs)
            return json.dumps(value).encode() if repeated else line
        return line

    before_decoding(adapter, collapse)


@fault("decode", "ACC-9.nan ACC-9.infinity ACC-9.minus-infinity", "ACC-9")
def keeps_nan(adapter: Adapter) -> None:
    before_decoding(adapter, lambda line: re.sub(rb"-?(NaN|Infinity)", b"0", line))


@fault("decode", "ACC-11.1e309 ACC-11.integer-of-310-digits", "ACC-11")
def keeps_infinite_numbers(adapter: Adapter) -> None:
    number = re.compile(rb'("new":|\[)-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?(?=[}\]])')
    before_decoding(adapter, lambda line: number.sub(rb"\g<1>0", line))


@fault("decode", "ACC-9.byte-order-mark", "ACC-9")
def accepts_a_byte_order_mark(adapter: Adapter) -> None:
    before_decoding(adapter, lambda line: line.removeprefix(b"\xef\xbb\xbf"))


@fault("decode", "ACC-10.high ACC-10.low ACC-10.in-a-member-name", "ACC-10")
def accepts_lone_surrogates(adapter: Adapter) -> None:
    lone = re.compile(rb"(\\u[dD][89abAB]..\\u[dD][c-fC-F]..)|\\u[dD][89a-fA-F]..")
    before_decoding(adapter, lambda line: lone.sub(lambda m: m[1] or rb"\ufffd", line))


@fault("decode", "ACC-8.latin-1 ACC-8.overlong-slash ACC-8.encoded-pair", "ACC-8")
def replaces_bad_utf_8(adapter: Adapter) -> None:
    before_decoding(adapter, lambda line: line.decode(errors="replace").encode())


@fault("decode", "ACC-13.128-arrays ACC-13.128-mixed", "ACC-13 SEC-6")
def accepts_any_depth(adapter: Adapter) -> None:
    def flatten(line: bytes) -> bytes:
        with suppress(ValueError, RecursionError):
            value = json.loads(line)
            value.pop("new", None)
            for item in value.get("inputs", []):
                item.pop("n", None)
            return json.dumps(value).encode()
        return line

    before_decoding(
        adapter,
        lambda line: flatten(line) if line.count(b"{") > 50 or line.count(b"[") > 100 else line,
    )


@fault("decode", "ACC-17.integer-boolean", "ACC-17")
def takes_booleans_for_integers(adapter: Adapter) -> None:
    before_decoding(adapter, lambda line: line.replace(b'"iteration":true', b'"iteration":1'))


@fault("decode", "ACC-18.iteration-whole-fraction ACC-18.byte_offset-exponent", "ACC-18")
def takes_floats_for_integers(adapter: Adapter) -> None:
    number = re.compile(rb'"(iteration|byte_offset)":(\d[\d.]*[eE.]\d+)')
    before_decoding(
        adapter, lambda line: number.sub(lambda m: b'"%s":%d' % (m[1], float(m[2])), line)
    )


@fault("decode", "ACC-18.iteration-minus-zero ACC-18.byte_offset-minus-zero", "ACC-18")
def takes_minus_zero(adapter: Adapter) -> None:
    before_decoding(adapter, lambda line: line.replace(b":-0,", b":0,").replace(b":-0}", b":0}"))


@fault("decode", "ACC-18.iteration-one-too-many", "ACC-18")
def wraps_integers(adapter: Adapter) -> None:
    number = re.compile(rb'"iteration":(\d{10,30})\b')
    before_decoding(
        adapter, lambda line: number.sub(lambda m: b'"iteration":%d' % (int(m[1]) % 2**32), line)
    )


@fault("decode", "ACC-6.string ACC-6.inside-an-input", "ACC-6 ACC-9 ACC-11 ACC-12 ACC-13")
def rejects_unknown_members(adapter: Adapter) -> None:
    known = {"type", *(name for event in KNOWN for name in event)}

    def unknown(line: bytes) -> bool:
        found = False

        def pairs(members: list[tuple[str, Any]]) -> None:
            nonlocal found
            found |= not known >= {name for name, _ in members}

        with suppress(ValueError, RecursionError):
            json.loads(line, object_pairs_hook=pairs)
        return found

    rejecting(adapter, unknown)


KNOWN = (
    ("id", "ts", "run_id", "node_id", "pipe", "inputs", "distro_version", "reason", "kind"),
    ("name", "model", "output_path", "error", "message", "gate", "method", "iteration"),
    ("byte_offset", "key", "value"),
)


@fault("decode", "ACC-3.pipe.started-type-last", "ACC-3 ACC-4 ACC-5 ACC-6")
def wants_the_type_first(adapter: Adapter) -> None:
    rejecting(adapter, lambda line: not line.startswith(b'{"type":'))


@fault("decode", "ACC-7.node.failed-message", "ACC-7")
def rejects_null_for_absence(adapter: Adapter) -> None:
    rejecting(adapter, lambda line: re.search(rb'"(name|model|message)":null', line) is not None)


@fault("decode", "ACC-2.without-newline", "ACC-2 ACC-3 ACC-4 ACC-5 ACC-6 ACC-7 ACC-11 ACC-12 ACC-13"
       " ACC-18 LINE-12 LINE-13 SEC-6")  # fmt: skip
def wants_a_newline(adapter: Adapter) -> None:
    rejecting(adapter, lambda line: not line.endswith(b"\n"))


@fault("decode", "ACC-5.slash", "ACC-5")
def knows_no_escaped_slash(adapter: Adapter) -> None:
    rejecting(adapter, lambda line: b'"\\/"' in line)


# What is written.


@fault("encode", "LINE-6.plain-slash LINE-6.inside-an-input", "LINE-6 EVT-1 LINE-4 LINE-5 EVT-7")
def escapes_slashes(adapter: Adapter) -> None:
    after_encoding(adapter, lambda line: line.replace(b"/", b"\\/"))


@fault("encode", "LINE-6.plain-line-separator LINE-7.composed", "LINE-6 LINE-7 LINE-11")
def escapes_what_is_not_ascii(adapter: Adapter) -> None:
    after_encoding(
        adapter,
        lambda line: (
            json.dumps(json.loads(line), separators=(",", ":")).encode() + b"\n"
            if not line.isascii()
            else line
        ),
    )


@fault("encode", "LINE-6.escape-1b LINE-6.escape-0b", "LINE-6")
def escapes_in_capitals(adapter: Adapter) -> None:
    after_encoding(
        adapter, lambda line: re.sub(rb"\\u00..", lambda m: b"\\u" + m[0][2:].upper(), line)
    )


@fault("encode", "LINE-6.plain-del", "LINE-6")
def escapes_del(adapter: Adapter) -> None:
    after_encoding(adapter, lambda line: line.replace(b"\x7f", b"\\u007f"))


@fault("encode", "LINE-5.node.started-bare LINE-5.node.failed-without-message", "LINE-5")
def writes_null(adapter: Adapter) -> None:
    def add(line: bytes) -> bytes:
        for kind, member in ((b"node.failed", b"message"), (b"node.started", b"model")):
            if kind in line and b'"%s":' % member not in line:
                return line[:-2] + b',"%s":null}\n' % member
        return line

    after_encoding(adapter, add)


@fault("encode", "EVT-1.pipe.started LINE-4.gate.passed-given-backwards",
       "LINE-4 LINE-3 EVT-1 EVT-7 EVT-8 LINE-1 LINE-5 LINE-6 LINE-7 LINE-8"
       " LINE-11 LINE-13")  # fmt: skip
def sorts_members(adapter: Adapter) -> None:
    after_encoding(
        adapter,
        lambda line: (
            json.dumps(
                json.loads(line), separators=(",", ":"), sort_keys=True, ensure_ascii=False
            ).encode()
            + b"\n"
        ),
    )


@fault("encode", "EVT-1.pipe.started", "EVT-1 LINE-1 LINE-4 LINE-5 LINE-6 EVT-8")
def puts_spaces_into_lists(adapter: Adapter) -> None:
    after_encoding(adapter, lambda line: line.replace(b'"inputs":[', b'"inputs": ['))


@fault("encode", "LINE-7.decomposed LINE-7.angstrom-sign", "LINE-7")
def normalises_text(adapter: Adapter) -> None:
    after_encoding(adapter, lambda line: unicodedata.normalize("NFC", line.decode()).encode())


@fault("encode", "LINE-8.byte_offset-18446744073709551615", "LINE-8")
def rounds_integers(adapter: Adapter) -> None:
    number = re.compile(rb'"byte_offset":(\d+)')
    after_encoding(
        adapter, lambda line: number.sub(lambda m: b'"byte_offset":%d' % float(m[1]), line)
    )


def _encoding_anything(adapter: Adapter, change: Callable[[Any], Any]) -> None:
    encode = adapter.encode
    vars(adapter)["encode"] = lambda request: encode({"event": change(request["event"])})


@fault("encode", "LINE-11.high LINE-11.in-an-input-key", "LINE-11")
def replaces_lone_surrogates(adapter: Adapter) -> None:
    def replace(value: Any) -> Any:
        text = json.dumps(value)
        pair = re.compile(r"\\ud[89ab]..\\ud[c-f]..|\\ud[89a-f]..")
        return json.loads(pair.sub(lambda m: m[0] if len(m[0]) > 6 else r"\ufffd", text))

    _encoding_anything(adapter, replace)


@fault("encode", "LINE-9.pipe.completed-id-number LINE-9.string-boolean", "LINE-9")
def makes_text_of_everything(adapter: Adapter) -> None:
    integers = ("iteration", "byte_offset")
    _encoding_anything(
        adapter,
        lambda event: {
            k: str(v) if k not in integers and isinstance(v, int) else v for k, v in event.items()
        },
    )


@fault("encode", "LINE-9.iteration-whole-float LINE-9.byte_offset-boolean", "LINE-9")
def makes_integers_of_numbers(adapter: Adapter) -> None:
    integers = ("iteration", "byte_offset")
    _encoding_anything(
        adapter,
        lambda event: {
            k: int(v) if k in integers and isinstance(v, float | bool) else v
            for k, v in event.items()
        },
    )


# What is read.


def reading(adapter: Adapter, read: Callable[[Path], list[Json]]) -> None:
    """Answer reads with `read`, and offer no scans, because these would not have the fault."""

    def op(request: Json) -> Json:
        return {"events": read(omnelog.events_log_path(request["root"], request["run_id"]))}

    vars(adapter)["read"] = op
    vars(adapter)["hello"] = lambda _: {
        "name": "faulty",
        "version": "0",
        "protocol": 1,
        "capabilities": [],
    }


def _plain_lines(path: Path, lines: list[bytes], *, skip: bool = False) -> list[Json]:
    events, offset = [], 0
    for number, line in enumerate(lines, start=1):
        try:
            events.append(plain(omnelog.decode(line)))
        except omnelog.DeserializeError as error:
            if not skip and not omnelog.linelog.objects.is_blank(line):
                raise omnelog.DeserializeError(error.reason, path, number, offset) from None
        offset += len(line) + 1
    return events


@fault("read", "ACC-1.line-separator ACC-1.next-line", "ACC-1 READ-15 READ-7 READ-8 ACC-22 READ-11")
def splits_on_every_line_end(adapter: Adapter) -> None:
    reading(
        adapter,
        lambda path: _plain_lines(
            path,
            [line.encode() for line in path.read_bytes().decode("utf-8", "replace").splitlines()],
        ),
    )


@fault("read", "READ-8.half READ-8.nothing-else", "READ-8")
def ignores_torn_tails(adapter: Adapter) -> None:
    read = adapter.read

    def op(path: Path) -> list[Json]:
        request = {"root": str(path.parents[4]), "run_id": path.parent.name}
        try:
            found: list[Json] = read(request)["events"]
        except omnelog.TornTailError:
            return _plain_lines(path, path.read_bytes().split(b"\n")[:-1])
        return found

    reading(adapter, op)


@fault("read", "READ-15.half-an-event READ-15.nuls READ-8.half",
       "READ-15 READ-8 READ-11 ACC-22")  # fmt: skip
def skips_what_it_cannot_read(adapter: Adapter) -> None:
    reading(adapter, lambda path: _plain_lines(path, path.read_bytes().split(b"\n"), skip=True))


@fault("read", "READ-7.canonical READ-7.nothing-else", "READ-7 READ-8 READ-15")
def drops_every_tail(adapter: Adapter) -> None:
    reading(adapter, lambda path: _plain_lines(path, path.read_bytes().split(b"\n")[:-1]))


@fault("read", "ACC-22.are-counted", "ACC-22 READ-8 READ-15 READ-7")
def counts_no_blank_lines(adapter: Adapter) -> None:
    def read(path: Path) -> list[Json]:
        lines = [
            line
            for line in path.read_bytes().split(b"\n")
            if not omnelog.linelog.objects.is_blank(line)
        ]
        return _plain_lines(path, lines)

    reading(adapter, read)


@fault("read", "ACC-22.not-file-separator ACC-22.not-unit-separator", "ACC-22 READ-8")
def takes_separators_for_blank(adapter: Adapter) -> None:
    def read(path: Path) -> list[Json]:
        lines = path.read_bytes().split(b"\n")
        torn = lines[-1]
        kept = [
            b"" if not line.decode("latin-1").strip(" \x1c\x1d\x1e\x1f") else line for line in lines
        ]
        events = _plain_lines(path, kept)
        if torn and omnelog.linelog.objects.is_blank(torn):
            size = path.stat().st_size
            raise omnelog.TornTailError("torn", path, len(lines), size - len(torn))
        return events

    reading(adapter, read)


@fault("enumerate", "VOL-15.files-are-none", "VOL-15")
def takes_files_for_runs(adapter: Adapter) -> None:
    def op(request: Json) -> Json:
        names = omnelog.enumerate_runs(request["root"])
        with suppress(FileNotFoundError):
            for path in omnelog.runs_dir(request["root"]).iterdir():
                names += [path.name] if path.is_file() else []
        return {"runs": sorted(names)}

    vars(adapter)["enumerate"] = op


def _listing(adapter: Adapter, change: Callable[[list[str]], list[str]]) -> None:
    listed = adapter.enumerate
    vars(adapter)["enumerate"] = lambda request: {"runs": change(listed(request)["runs"])}


@fault("enumerate", "VOL-17.dots", "VOL-17")
def hides_names_with_a_dot(adapter: Adapter) -> None:
    _listing(adapter, lambda names: [name for name in names if not name.startswith(".")])


@fault("enumerate", "VOL-18.beyond-16-bits", "VOL-18")
def sorts_by_utf_16(adapter: Adapter) -> None:
    _listing(adapter, lambda names: sorted(names, key=lambda name: name.encode("utf-16-be")))


@fault("enumerate", "VOL-11.two-spellings", "VOL-11")
def normalises_names(adapter: Adapter) -> None:
    _listing(adapter, lambda names: sorted({unicodedata.normalize("NFC", n) for n in names}))


@fault("enumerate", "VOL-19.no-volume VOL-19.no-runs-directory", "VOL-19")
def fails_without_runs(adapter: Adapter) -> None:
    listed = adapter.enumerate

    def op(request: Json) -> Json:
        runs = omnelog.runs_dir(request["root"])
        if not os.path.lexists(runs):
            raise omnelog.LogIOError(2, "no such directory", runs)
        return listed(request)

    vars(adapter)["enumerate"] = op


@fault("run_id", "VOL-5.slash VOL-5.dot-dot VOL-5.empty", "VOL-5")
def cleans_run_ids(adapter: Adapter) -> None:
    for op in ("exists", "read", "append"):
        original = getattr(adapter, op)

        def cleaned(request: Json, original: Callable[[Json], Json] = original) -> Json:
            name = request["run_id"]
            if isinstance(name, str) and name.isprintable() and len(name) < 30:
                name = re.sub(r"[/\\]|(?<=^.):", "_", name)
                name = {"": "_", ".": "_", "..": "_"}.get(name, name)
            return original({**request, "run_id": name})

        vars(adapter)[op] = cleaned


@fault("run_id", "VOL-10.space VOL-10.dot-first VOL-10.emoji", "VOL-10")
def wants_tame_run_ids(adapter: Adapter) -> None:
    for op in ("exists", "append"):
        original = getattr(adapter, op)

        def tame(request: Json, original: Callable[[Json], Json] = original) -> Json:
            if isinstance(request["run_id"], str) and not re.fullmatch(
                "[a-z0-9-]+", request["run_id"]
            ):
                raise omnelog.InvalidRunId("not tame")
            return original(request)

        vars(adapter)[op] = tame


# What is appended.


def appending(adapter: Adapter, write: Callable[[int, bytes], None], lock: str | None = "") -> None:
    """Append by `write`, with a lock on the log's path plus the suffix `lock`; None is no lock."""

    def op(request: Json) -> Json:
        data = b"".join(omnelog.encode(build(event)) for event in request["events"])
        path = omnelog.events_log_path(request["root"], request["run_id"])
        path.parent.mkdir(parents=True, exist_ok=True)
        fd = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT)
        guard = fd if lock is None else os.open(f"{path}{lock}", os.O_RDWR | os.O_CREAT)
        try:
            if lock is not None:
                fcntl.flock(guard, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if data:
                write(fd, data)
        except BlockingIOError:
            raise omnelog.LockTimeout(path, 0.0, None) from None
        except OSError as error:
            raise omnelog.LogIOError(error.errno, "failed", path) from error
        finally:
            os.close(fd)
            if guard != fd:
                os.close(guard)
        return {}

    vars(adapter)["append"] = op


def write_all(fd: int, data: bytes) -> None:
    while data:
        data = data[os.write(fd, data) :]


def tail_of(fd: int) -> bytes:
    return os.pread(fd, os.fstat(fd).st_size, 0).rpartition(b"\n")[2]


@fault("append", "APP-13.half APP-11.canonical APP-36.and-a-torn-tail",
       "APP-9 APP-11 APP-13 APP-16 APP-17 APP-32 APP-36")  # fmt: skip
def repairs_nothing(adapter: Adapter) -> None:
    appending(adapter, write_all)


@fault("append", "APP-13.half APP-13.long", "APP-13 APP-16 APP-17 APP-32 APP-36 APP-11")
def throws_torn_tails_away(adapter: Adapter) -> None:
    def write(fd: int, data: bytes) -> None:
        os.ftruncate(fd, os.fstat(fd).st_size - len(tail_of(fd)))
        write_all(fd, data)

    appending(adapter, write)


@fault("append", "APP-13.half", "APP-13 APP-16 APP-17 APP-32 APP-36")
def ends_torn_tails_with_a_newline(adapter: Adapter) -> None:
    appending(adapter, lambda fd, data: write_all(fd, b"\n" * bool(tail_of(fd)) + data))


@fault("append", "APP-17.copied-already APP-16.unterminated-but-whole", "APP-17 APP-16")
def copies_a_tail_again(adapter: Adapter) -> None:
    original = adapter.append

    def op(request: Json) -> Json:
        log = omnelog.events_log_path(request["root"], request["run_id"])
        torn = log.with_suffix(".jsonl.torn")
        before = torn.read_bytes() if torn.exists() else b""
        tail = log.read_bytes().rpartition(b"\n")[2] if log.exists() else b""
        response = original(request)
        if tail and request["events"] and torn.exists():
            end = b"\n" if before and not before.endswith(b"\n") else b""
            if torn.read_bytes() == before + end and tail in before:
                torn.write_bytes(before + end + tail + b"\n")
        return response

    vars(adapter)["append"] = op


@fault("append", "APP-11.canonical APP-11.nothing-else", "APP-11")
def quarantines_whole_events(adapter: Adapter) -> None:
    original = adapter.append

    def op(request: Json) -> Json:
        path = omnelog.events_log_path(request["root"], request["run_id"])
        if path.exists():
            content = path.read_bytes()
            tail = content.rpartition(b"\n")[2]
            with suppress(omnelog.DeserializeError):
                omnelog.decode(tail)
                path.with_suffix(".jsonl.torn").write_bytes(tail + b"\n")
                os.truncate(path, len(content) - len(tail))
        return original(request)

    vars(adapter)["append"] = op


@fault("append", "APP-34.none-and-a-torn-tail", "APP-34")
def repairs_for_no_events(adapter: Adapter) -> None:
    original = adapter.append

    def op(request: Json) -> Json:
        if request["events"]:
            return original(request)
        path = omnelog.events_log_path(request["root"], request["run_id"])
        os.truncate(path, path.stat().st_size - len(path.read_bytes().rpartition(b"\n")[2]))
        return {}

    vars(adapter)["append"] = op


@fault("behaviour:LOCK-1.*", "LOCK-1.any-program", "LOCK-1")
def takes_no_lock(adapter: Adapter) -> None:
    appending(adapter, write_all, lock=None)


@fault("behaviour:LOCK-[13].*", "LOCK-1.any-program", "LOCK-1")
def locks_a_file_beside_the_log(adapter: Adapter) -> None:
    appending(adapter, write_all, lock=".lock")


@fault("behaviour:LOCK-8.granted*", "LOCK-8.granted-when-freed", "LOCK-8")
def gives_up_at_once(adapter: Adapter) -> None:
    appending(adapter, write_all)


@fault("behaviour:LOCK-15.after-an-append", "LOCK-15.after-an-append", "LOCK-15")
def keeps_the_lock(adapter: Adapter) -> None:
    original = adapter.append

    def op(request: Json) -> Json:
        response = original(request)
        fd = os.open(omnelog.events_log_path(request["root"], request["run_id"]), os.O_RDWR)
        fcntl.flock(fd, fcntl.LOCK_EX)  # the descriptor is never closed, so the lock stays
        return response

    vars(adapter)["append"] = op


@fault("behaviour:APP-27.*", "APP-27.cut-off-again APP-27.first-line", "APP-27")
def leaves_half_a_line(adapter: Adapter) -> None:
    appending(adapter, write_all)


@fault("behaviour:APP-33.*", "APP-33.two-of-three APP-33.cut-at-a-line", "APP-33")
def takes_whole_lines_back(adapter: Adapter) -> None:
    def write(fd: int, data: bytes) -> None:
        end = os.fstat(fd).st_size
        try:
            write_all(fd, data)
        except OSError:
            os.ftruncate(fd, end)
            raise

    appending(adapter, write)


@fault("behaviour:READ-6.*", "READ-6.in-flight", "READ-6")
def reads_tails_without_the_lock(adapter: Adapter) -> None:
    def read(path: Path) -> list[Json]:
        return _plain_lines(path, path.read_bytes().split(b"\n"))

    reading(adapter, read)


@fault("behaviour:VOL-14.*", "VOL-14.nothing-is-made", "VOL-14")
def makes_runs_by_asking(adapter: Adapter) -> None:
    original = adapter.exists

    def op(request: Json) -> Json:
        response = original(request)
        omnelog.run_dir(request["root"], request["run_id"]).mkdir(parents=True, exist_ok=True)
        return response

    vars(adapter)["exists"] = op


@fault("behaviour:ULID-7.n*", "ULID-7.newline ULID-7.newline-alone", "ULID-7")
def repairs_the_last_ulid(adapter: Adapter) -> None:
    original = adapter.ulid

    def op(request: Json) -> Json:
        try:
            return original(request)
        except omnelog.UlidError:
            omnelog.ulid_lock_path(request["root"]).unlink()
            return original(request)

    vars(adapter)["ulid"] = op


# What is reported.


@fault("read", "READ-15.last-line READ-8.half", "READ-15 READ-8 ACC-22 READ-11")
def counts_lines_from_zero(adapter: Adapter) -> None:
    original = adapter.read

    def op(request: Json) -> Json:
        try:
            return original(request)
        except omnelog.DeserializeError as error:
            line = None if error.line is None else error.line - 1
            raise type(error)(error.reason, error.path, line, error.offset) from None

    vars(adapter)["read"] = op


@fault("decode", "ACC-20.every-byte ACC-9.nan", "ACC-2 ACC-8 ACC-9 ACC-10 ACC-11 ACC-12 ACC-13"
       " ACC-14 ACC-15 ACC-16 ACC-17 ACC-18 ACC-19 ACC-20 ACC-21 ACC-23 SEC-6")  # fmt: skip
def tells_every_fault_as_io(adapter: Adapter) -> None:
    original = adapter.decode

    def op(request: Json) -> Json:
        try:
            return original(request)
        except omnelog.DeserializeError as error:
            raise omnelog.LogIOError(5, report(error)["message"], "line") from None

    vars(adapter)["decode"] = op


if __name__ == "__main__":
    spoilt = Adapter()
    FAULTS[sys.argv[1]].spoil(spoilt)
    spoilt.serve(sys.stdin.buffer, sys.stdout.buffer)
