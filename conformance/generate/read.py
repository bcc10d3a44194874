# SPDX-License-Identifier: MIT
"""What a reader returns for a log that nobody is writing: chapters 5 and 9."""

from collections.abc import Iterator

from .decode import WHITE_SPACE
from .samples import EVENTS, LINES, Json, Made, numbered, short

NOT_BLANK = {
    "nul": b"\0",
    "file-separator": b"\x1c",
    "group-separator": b"\x1d",
    "record-separator": b"\x1e",
    "unit-separator": b"\x1f",
    "mongolian-vowel-separator": "\u180e".encode(),
    "zero-width-space": "\u200b".encode(),
    "word-joiner": "\u2060".encode(),
    "byte-order-mark": "\ufeff".encode(),
    "half-a-line-separator": b"\xe2\x80",
    "space-and-a-bad-byte": b" \xff",
}
BAD_LINES = {
    "half-an-event": short(9)[:30],
    "word": b"damaged",
    "open-brace": b"{",
    "invalid-utf-8": b'{"type":"pipe.completed","id":"\xff","ts":"t","run_id":"r"}',
    "nuls": b"\0" * 40,
    "nuls-before-an-event": b"\0" * 8 + short(9)[:-1],
    "glued-events": short(8)[:-1] + short(9)[:-1],
    "torn-and-glued": short(8)[:30] + short(9)[:-1],
    "unknown-type": b'{"type":"pipe.paused","id":"1","ts":"t","run_id":"r"}',
    "carriage-return-between": short(8)[:-1] + b"\r" + short(9)[:-1],
    "line-separator-between": short(8)[:-1] + "\u2028".encode() + short(9)[:-1],
}
TAILS = {  # torn tails
    "one-byte": b"{",
    "half": short(9)[:30],
    "all-but-the-brace": short(9)[:-2],
    "half-a-character": short(9)[:30] + b"\xc3",
    "space": b" ",
    "tabs": b"\t\t",
    "carriage-return": b"\r",
    "blank-by-unicode": "\u2028\u3000".encode(),
    "nuls": b"\0" * 100,
    "event-and-nul": short(9)[:-1] + b"\0",
    "event-and-half": short(8)[:-1] + short(9)[:9],
    "object-without-type": b'{"id":"9"}',
    "unknown-type": b'{"type":"pipe.paused","id":"1","ts":"t","run_id":"r"}',
    "duplicate-member": short(9)[:-2] + b',"id":"9"}',
    "byte-order-mark-and-event": b"\xef\xbb\xbf" + short(9)[:-1],
}
WHOLE_TAILS = {  # whole events that only lack a newline
    "canonical": short(9)[:-1],
    "with-spaces": b" " + short(9)[:-1] + b" \t",
    "with-carriage-return": short(9)[:-1] + b"\r",
    "spelt-otherwise": b'{"run_id":"\\u0072", "ts":"t","id":"9","type":"pipe.completed"}',
    "with-unknown-member": short(9)[:-2] + b',"new":[{}]}',
}


def vectors() -> Iterator[Made]:
    """Yield all vectors of this kind."""
    two = short(1) + short(2)
    both = [numbered(1), numbered(2)]
    yield _read("READ-16.empty", "an empty log has no events", b"", [])
    yield _read("READ-16.one", "one line", short(1), [numbered(1)])
    log = "".join(line + "\n" for line in LINES.values()).encode()
    yield _read("READ-16.all-types", "a line of each type", log, list(EVENTS.values()))
    many = range(1, 121)
    log = b"".join(map(short, many))
    yield _read("READ-12.order", "events in the order of lines", log, list(map(numbered, many)))
    log = short(2) + short(1) + short(2)
    again = [numbered(2), numbered(1), numbered(2)]
    yield _read("READ-12.repeated", "events that are there twice are two events", log, again)
    yield from _splitting()
    yield from _blank()
    for name, bad in BAD_LINES.items():
        yield _fault(
            f"READ-15.{name}", "a bad line, the second of three", [short(1), bad + b"\n", short(2)]
        )
    yield _fault("READ-15.first-line", "a bad line, the first", [b"x\n", short(1)])
    yield _fault("READ-15.last-line", "a bad line, the last", [short(1), short(2), b"x\n"])
    yield _fault(
        "READ-15.two", "the first of two bad lines is reported", [b"x\n", short(1), b"y\n"]
    )
    wide = (
        '{"type":"pipe.aborted","id":"1","ts":"t","run_id":"r","reason":"\u00e9\u2028\U0001f600"}\n'
    )
    yield _fault("READ-15.after-wide-characters", "offsets are in bytes", [wide.encode(), b"x\n"])
    yield _fault("READ-15.after-crlf", "the CR counts", [short(1)[:-1] + b"\r\n", b"x\n"])
    for name, tail in TAILS.items():
        about = "a torn tail, reported with its line and offset"
        yield _torn(f"READ-8.{name}", about, two, tail, both)
    yield _torn("READ-8.nothing-else", "a torn tail is all there is", b"", short(9)[:30], [])
    yield _torn("READ-8.after-a-blank-line", "blank lines count", short(1) + b"\n", b"{",
                [numbered(1)], blank=1)  # fmt: skip
    for name, tail in WHOLE_TAILS.items():
        about = "a tail that is a whole event"
        yield _read(f"READ-7.{name}", about, two + tail, [*both, numbered(9)])
    yield _read("READ-7.nothing-else", "a whole event is all", short(9)[:-1], [numbered(9)])
    log = b"x\n" + short(1) + b"{"
    yield Made(
        kind="read",
        id="READ-11.bad-line-and-torn-tail",
        about="the first fault is reported, a scan reports both",
        members={
            "read": {"error": {"kind": "DeserializeError", "line": 1, "offset": 0}},
            "scan": {
                "events": [numbered(1)],
                "problems": [
                    {"kind": "DeserializeError", "line": 1, "offset": 0},
                    {"kind": "TornTailError", "line": 3, "offset": 2 + len(short(1))},
                ],
                "blank_lines": 0,
                "tail_in_flight": False,
            },
        },
        files={"log": log},
        also=("READ-20",),
    )


def _scan(events: list[Json], problems: list[Json], blank: int) -> Json:
    return {
        "events": events,
        "problems": problems,
        "blank_lines": blank,
        "tail_in_flight": False,
    }


def _read(title: str, about: str, log: bytes, events: list[Json], *, blank: int = 0) -> Made:
    return Made(
        kind="read",
        id=title,
        about=about,
        members={
            "read": {"events": events},
            "scan": _scan(events, [], blank),
        },
        files={"log": log},
        also=("READ-20",),
    )


def _fault(title: str, about: str, lines: list[bytes], *, blank: int = 0) -> Made:
    """Return the vector of a log of these lines.

    Lines that are neither blank, nor short events, nor a pipe.aborted are bad. There is at least
    one.
    """
    problems: list[Json] = []
    events: list[Json] = []
    offset = 0
    good = {short(n): numbered(n) for n in range(1, 10)}
    good[short(1)[:-1] + b"\r\n"] = numbered(1)
    for number, line in enumerate(lines, start=1):
        if line in good:
            events.append(good[line])
        elif b"pipe.aborted" in line:
            reason = "\u00e9\u2028\U0001f600"
            events.append(
                {"type": "pipe.aborted", "id": "1", "ts": "t", "run_id": "r", "reason": reason}
            )
        elif line not in (b"\n", b" \n"):
            problems.append({"kind": "DeserializeError", "line": number, "offset": offset})
        offset += len(line)
    return Made(
        kind="read",
        id=title,
        about=about,
        members={
            "read": {"error": problems[0]},
            "scan": _scan(events, problems, blank),
        },
        files={"log": b"".join(lines)},
        also=("READ-11", "READ-20", "ERR-3"),
    )


def _torn(
    title: str, about: str, lines: bytes, tail: bytes, events: list[Json], *, blank: int = 0
) -> Made:
    where = {"kind": "TornTailError", "line": lines.count(b"\n") + 1, "offset": len(lines)}
    return Made(
        kind="read",
        id=title,
        about=about,
        members={
            "read": {"error": where},
            "scan": _scan(events, [where], blank),
        },
        files={"log": lines + tail},
        also=("READ-15", "READ-20", "ERR-3"),
    )


def _splitting() -> Iterator[Made]:
    for name, text in {
        "line-separator": "\u2028",
        "paragraph-separator": "\u2029",
        "next-line": "\x85",
        "escaped-newline": "\n",
        "escaped-return": "\r",
        "escaped-form-feed": "\f",
        "escaped-vertical-tab": "\v",
        "escaped-file-separator": "\x1c",
    }.items():
        written = {"\n": "\\n", "\r": "\\r", "\f": "\\f", "\v": "\\u000b", "\x1c": "\\u001c"}
        head = '{"type":"pipe.aborted","id":"1","ts":"t","run_id":"r","reason":"a'
        line = f'{head}{written.get(text, text)}b"}}\n'.encode()
        event = {"type": "pipe.aborted", "id": "1", "ts": "t", "run_id": "r", "reason": f"a{text}b"}
        about = "this character ends no line"
        yield _read(f"ACC-1.{name}", about, line + short(2), [event, numbered(2)])
    log = short(1)[:-1] + b"\r\n" + short(2)[:-1] + b"\r\r\n" + short(3)
    events = [numbered(1), numbered(2), numbered(3)]
    yield _read("ACC-4.lines-with-returns", "returns before newlines do no harm", log, events)


def _blank() -> Iterator[Made]:
    events = [numbered(1), numbered(2)]
    for code in WHITE_SPACE:
        blank = chr(code).encode()
        log = short(1) + blank + b"\n" + short(2)
        count = 2 if code == 0x0A else 1
        about = f"a line of U+{code:04X} is blank"
        yield _read(f"ACC-22.{code:04x}", about, log, events, blank=count)
    every = "".join(map(chr, WHITE_SPACE)).replace("\n", "").encode()
    log = b"\n\n" + short(1) + every + b"\n" + short(2) + b" \n"
    yield _read("ACC-22.everywhere", "at both ends and between", log, events, blank=4)
    yield _read("ACC-22.nothing-else", "a log of blank lines", b"\n \n\t\n", [], blank=3)
    yield _fault(
        "ACC-22.are-counted",
        "blank lines count as lines",
        [b"\n", short(1), b" \n", b"x\n", short(2)],
        blank=2,
    )
    for name, line in NOT_BLANK.items():
        about = "a line of this is not blank, but bad"
        yield _fault(f"ACC-22.not-{name}", about, [short(1), line + b"\n", short(2)])
