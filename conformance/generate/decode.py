# SPDX-License-Identifier: MIT
"""Which lines are accepted and as which events, and which lines are rejected: chapter 5."""

from collections.abc import Iterator

from .encode import ENUMS, INTEGERS
from .samples import EVENTS, LINES, OPTIONAL, Json, Made, aborted

WHITE_SPACE = (
    *(*range(0x09, 0x0E), 0x20, 0x85, 0xA0, 0x1680),
    *range(0x2000, 0x200B),
    *(0x2028, 0x2029, 0x202F, 0x205F, 0x3000),
)
DONE = LINES["pipe.completed"].encode()  # the line that most vectors modify
STOPPED = LINES["pipe.aborted"].encode()
REASON = b'"no disk"'


def vectors() -> Iterator[Made]:
    """Yield all vectors of this kind."""
    yield from _shape()
    yield from _spelling()
    yield from _ignored()
    yield from _utf8()
    yield from _not_json()
    yield from _surrogates()
    yield from _numbers()
    yield from _duplicates()
    yield from _nesting()
    yield from _members()
    yield from _no_event()


def _taken(title: str, about: str, line: bytes, event: Json, *also: str) -> Made:
    return Made(
        kind="decode",
        id=title,
        about=about,
        members={"event": event},
        files={"line": line},
        also=also,
    )


def _rejected(title: str, about: str, line: bytes, *also: str) -> Made:
    return Made(
        kind="decode",
        id=title,
        about=about,
        members={"error": {"kind": "DeserializeError"}},
        files={"line": line},
        also=also,
    )


def _with(member: bytes, line: bytes = DONE) -> bytes:
    """Return the line with `member` added, which is the text of a name, a colon and a value."""
    return line[:-1] + b"," + member + b"}"


def _saying(value: bytes) -> bytes:
    """Return the line of a pipe.aborted whose reason is the JSON text `value`."""
    return STOPPED.replace(REASON, value)


def _shape() -> Iterator[Made]:
    for name, line in LINES.items():
        about = f"a canonical {name} with its newline"
        yield _taken(f"LINE-12.{name}", about, line.encode() + b"\n", EVENTS[name], "ACC-2")
    event = EVENTS["pipe.completed"]
    yield _taken("ACC-2.without-newline", "its newline may be missing", DONE, event)
    yield _rejected("ACC-2.two-newlines", "an empty line after it", DONE + b"\n\n")
    yield _rejected("ACC-2.newline-first", "an empty line before it", b"\n" + DONE)
    inside = DONE.replace(b",", b",\n", 1)
    yield _rejected("ACC-2.newline-between-tokens", "white space to JSON, two lines here", inside)
    yield _rejected("ACC-2.newline-in-a-string", "two lines", _saying(b'"no\ndisk"'))
    yield _rejected("ACC-2.two-lines", "two whole lines are not one", DONE + b"\n" + DONE + b"\n")
    for name, line in LINES.items():
        head, tag = line.split(",", 1), f'"type":"{name}"'
        last = "{" + head[1][:-1] + "," + tag + "}"
        yield _taken(f"ACC-3.{name}-type-last", "members in any order", last.encode(), EVENTS[name])
    swapped = LINES["pipe.started"].replace(
        '{"key":"branch","value":"main"}', '{"value":"main","key":"branch"}'
    )
    about = "members of inner objects in any order"
    yield _taken("ACC-3.inside-an-input", about, swapped.encode(), EVENTS["pipe.started"])


def _spelling() -> Iterator[Made]:
    event = EVENTS["pipe.completed"]
    for name, space in {"space": b" ", "tab": b"\t", "carriage-return": b"\r"}.items():
        line = DONE
        for token in (b"{", b"}", b","):
            line = line.replace(token, space + token + space)
        line = line.replace(b'":"', b'"' + space + b":" + space + b'"')
        yield _taken(f"ACC-4.{name}", "white space around and between tokens", line, event)
    yield _taken("ACC-4.crlf", "a carriage return before the newline", DONE + b"\r\n", event)
    yield _taken("ACC-4.mixed", "white space of all kinds", b" \t\r" + DONE + b"\r\t \n", event)
    for code in WHITE_SPACE:
        if code not in (0x09, 0x0A, 0x0D, 0x20):
            line = DONE.replace(b",", b"," + chr(code).encode(), 1)
            about = "white space to Unicode, none to JSON"
            yield _rejected(f"ACC-9.space-{code:04x}", about, line)
    for name, (written, text) in {
        "quote": (r"\"", '"'),
        "backslash": (r"\\", "\\"),
        "slash": (r"\/", "/"),
        "b": (r"\b", "\b"),
        "f": (r"\f", "\f"),
        "n": (r"\n", "\n"),
        "r": (r"\r", "\r"),
        "t": (r"\t", "\t"),
        "null": (r"\u0000", "\0"),
        "letter": (r"\u0041", "A"),
        "hex-of-both-cases": (r"\u00eF\uFfFd", "\xef\ufffd"),
        "quote-as-hex": (r"\u0022", '"'),
        "backslash-as-hex": (r"\u005cn", "\\n"),
        "newline-as-hex": (r"\u000a", "\n"),
        "two-backslashes-before-u": (r"\\u0041", "\\u0041"),
        "pair-of-surrogates": (r"\ud83d\ude00", "\U0001f600"),
        "pair-in-capitals": (r"\uD800\uDC00", "\U00010000"),
        "last-pair": (r"\udbff\udfff", "\U0010ffff"),
        "noncharacter": (r"\uffff", "\uffff"),
    }.items():
        line = _saying(f'"{written}"'.encode())
        yield _taken(f"ACC-5.{name}", f"the escape {written}", line, aborted(text))
    line = DONE.replace(b'"id"', rb'"\u0069\u0064"').replace(b'"type"', rb'"\u0074ype"')
    yield _taken("ACC-5.member-name", "escapes in member names", line, event)
    line = DONE.replace(b"pipe.completed", rb"pipe\u002ecompleted")
    yield _taken("ACC-5.type", "escapes in the type", line, event)
    line = LINES["node.failed"].replace('"crash"', r'"cras\u0068"').encode()
    yield _taken("ACC-5.closed-list", "escapes in a closed list", line, EVENTS["node.failed"])
    for name, text in {
        "del": "\x7f",
        "next-line": "\x85",
        "line-separator": "\u2028",
        "byte-order-mark": "\ufeff",
        "noncharacters": "\ufffe\uffff\ufdd0\U0001fffe",
        "last-code-point": "\U0010ffff",
        "decomposed": "e\u0301",
        "composed": "\u00e9",
        "null-sign": "\u2400",
    }.items():
        line = _saying(f'"{text}"'.encode())
        yield _taken(f"LINE-12.plain-{name}", "stands for itself", line, aborted(text))
    text = "line " * 13_200
    yield _taken("LINE-13.long-line", "a long line", _saying(f'"{text}"'.encode()), aborted(text))


def _ignored() -> Iterator[Made]:
    event = EVENTS["pipe.completed"]
    for name, value in {
        "string": b'"x"',
        "integer": b"7",
        "fraction": b"-1.5e-3",
        "true": b"true",
        "false": b"false",
        "null": b"null",
        "array": b'[1,"a",null,[],{}]',
        "object": b'{"type":"node.started","a":{"b":[{"c":1}]}}',
    }.items():
        line = _with(b'"new":' + value)
        yield _taken(f"ACC-6.{name}", f"an unknown member, {name}", line, event)
    yield _taken("ACC-6.empty-name", "a member whose name is empty", _with(b'"":1'), event)
    line = _with(b'"node_id":["not","ours"]')
    yield _taken("ACC-6.of-another-type", "a member that only other types have", line, event)
    line = _with(b'"ID":1,"Type":2,"run-id":3')
    yield _taken("ACC-6.names-nearly-known", "names that differ in case", line, event)
    line = b'{"new":1,' + DONE[1:]
    yield _taken("ACC-6.first", "an unknown member before the type", line, event)
    line = LINES["pipe.started"].replace('"value":"main"', '"value":"main","new":[1]').encode()
    yield _taken("ACC-6.inside-an-input", "in an inner object", line, EVENTS["pipe.started"])
    line = LINES["node.failed"].replace('"kind":"crash"', '"kind":"crash","new":null').encode()
    yield _taken("ACC-6.inside-an-error", "in an inner object", line, EVENTS["node.failed"])
    for name, member in sorted(OPTIONAL):
        event = {key: value for key, value in EVENTS[name].items() if key != member}
        line = LINES[name].replace(f'"{EVENTS[name][member]}"', "null").encode()
        yield _taken(f"ACC-7.{name}-{member}", "null means no value", line, event)
        line = LINES[name].replace(f',"{member}":"{EVENTS[name][member]}"', "").encode()
        yield _taken(f"ACC-7.{name}-{member}-absent", "so does absence", line, event)


def _utf8() -> Iterator[Made]:
    bad = {
        "lone-continuation": b"\x80",
        "continuation-bf": b"\xbf",
        "overlong-slash": b"\xc0\xaf",
        "overlong-null": b"\xc0\x80",
        "overlong-c1": b"\xc1\xbf",
        "overlong-of-three": b"\xe0\x80\xaf",
        "overlong-of-three-last": b"\xe0\x9f\xbf",
        "overlong-of-four": b"\xf0\x80\x80\xaf",
        "overlong-of-four-last": b"\xf0\x8f\xbf\xbf",
        "encoded-high-surrogate": b"\xed\xa0\x80",
        "encoded-low-surrogate": b"\xed\xbf\xbf",
        "encoded-pair": b"\xed\xa0\xbd\xed\xb8\x80",
        "beyond-unicode": b"\xf4\x90\x80\x80",
        "five-bytes": b"\xf8\x88\x80\x80\x80",
        "six-bytes": b"\xfc\x84\x80\x80\x80\x80",
        "fe": b"\xfe",
        "ff": b"\xff",
        "cut-after-one-of-two": b"\xc3",
        "cut-after-two-of-three": b"\xe2\x82",
        "cut-after-three-of-four": b"\xf0\x9f\x98",
        "latin-1": b"caf\xe9 ol\xe9",
    }
    for name, sequence in bad.items():
        line = _saying(b'"' + sequence + b'"')
        yield _rejected(f"ACC-8.{name}", "not UTF-8", line, "ACC-20")
    for name, line in {
        "in-an-ignored-member": _with(b'"new":"\xff"'),
        "in-a-member-name": _with(b'"\xff":1'),
        "between-tokens": DONE.replace(b",", b",\xa0", 1),
        "after-the-object": DONE + b"\xff",
        "utf-16": DONE.decode().encode("utf-16"),
        "utf-16-without-mark": DONE.decode().encode("utf-16-le"),
        "utf-32": DONE.decode().encode("utf-32-be"),
    }.items():
        yield _rejected(f"ACC-8.{name}", "not UTF-8, or not one JSON text in it", line, "ACC-20")


def _not_json() -> Iterator[Made]:
    for code in range(0x20):
        if code != 0x0A:  # a newline is checked for ACC-2
            line = _saying(b'"a' + bytes([code]) + b'b"')
            yield _rejected(f"ACC-9.raw-{code:02x}", "a raw control character in a string", line)
    for name, value in {
        "nan": b"NaN",
        "infinity": b"Infinity",
        "minus-infinity": b"-Infinity",
        "leading-zero": b"01",
        "minus-leading-zero": b"-01",
        "leading-plus": b"+1",
        "no-digit-before-the-point": b".5",
        "no-digit-after-the-point": b"5.",
        "no-digit-before-the-exponent": b"1.e5",
        "no-exponent": b"1e",
        "no-digit-in-the-exponent": b"1e+",
        "minus-alone": b"-",
        "two-minuses": b"--1",
        "hexadecimal": b"0x10",
        "underscore": b"1_000",
        "wide-digit": "\uff11".encode(),
        "capital-true": b"True",
        "capital-null": b"NULL",
        "cut-null": b"nul",
        "undefined": b"undefined",
        "bare-word": b"word",
        "single-quotes": b"'x'",
        "trailing-comma-in-array": b"[1,]",
        "leading-comma-in-array": b"[,1]",
        "two-commas-in-array": b"[1,,2]",
        "no-comma-in-array": b"[1 2]",
        "open-array": b"[1",
        "mixed-brackets": b"[1}",
        "trailing-comma-in-object": b'{"a":1,}',
        "comma-alone": b"{,}",
        "no-colon": b'{"a" 1}',
        "two-colons": b'{"a"::1}',
        "no-value": b'{"a":}',
        "no-name": b"{1:1}",
        "unquoted-name": b"{a:1}",
        "name-alone": b'{"a"}',
        "open-string": b'"x',
        "escape-x": rb'"\x41"',
        "escape-apostrophe": rb'"\'"',
        "escape-a": rb'"\a"',
        "escape-zero": rb'"\0"',
        "escape-capital-u": rb'"\U00000041"',
        "escape-short": rb'"\u12"',
        "escape-not-hex": rb'"\u00g0"',
        "escape-with-sign": rb'"\u+041"',
        "escape-with-space": rb'"\u 041"',
        "escape-of-nothing": b'"\\',
        "escape-of-brace": rb'"\u{41}"',
        "block-comment": b"/* one */ 1",
        "line-comment": b"1 // one",
        "hash-comment": b"1 # one",
    }.items():
        yield _rejected(f"ACC-9.{name}", "not JSON, in an unknown member", _with(b'"new":' + value))
    for name, line in {
        "byte-order-mark": b"\xef\xbb\xbf" + DONE,
        "trailing-comma": DONE[:-1] + b",}",
        "leading-comma": b"{," + DONE[1:],
        "no-comma": DONE.replace(b'","', b'" "', 1),
        "open-object": DONE[:-1],
        "without-its-first-brace": DONE[1:],
        "closed-twice": DONE + b"}",
        "two-objects": DONE + DONE,
        "two-objects-and-a-comma": DONE + b"," + DONE,
        "nul-after": DONE + b"\0",
        "nul-before": b"\0" + DONE,
        "word-after": DONE + b" x",
        "cut-in-a-string": DONE[:40],
        "cut-in-an-escape": _saying(b'"\\u00'),
        "comment-after": DONE + b" // done",
        "sequence-separator": b"\x1e" + DONE,
        "equals-for-colon": DONE.replace(b'":"', b'"="', 1),
    }.items():
        yield _rejected(f"ACC-9.{name}", "not exactly one JSON text", line, "ACC-20")


def _surrogates() -> Iterator[Made]:
    for name, escape in {
        "high": rb"\ud800",
        "low": rb"\udc00",
        "high-in-capitals": rb"\uD83D",
        "last-low": rb"\uDFFF",
        "wrong-way-round": rb"\ude00\ud83d",
        "high-then-letter": rb"\ud83dx",
        "high-then-escaped-letter": rb"\ud83d\u0041",
        "high-then-newline": rb"\ud83d\n",
        "high-then-high-then-low": rb"\ud83d\ud83d\ude00",
        "pair-then-low": rb"\ud83d\ude00\ude00",
        "high-then-backslash": rb"\ud83d\\ude00",
    }.items():
        yield _rejected(f"ACC-10.{name}", "a lone surrogate", _saying(b'"' + escape + b'"'))
    for name, line in {
        "in-an-ignored-member": _with(rb'"new":"\ud800"'),
        "deep-in-an-ignored-member": _with(rb'"new":[{"a":["\udfff"]}]'),
        "in-a-member-name": _with(rb'"\ud800":1'),
        "in-an-inner-member-name": _with(rb'"new":{"\udc00":1}'),
        "in-the-type": DONE.replace(b"completed", rb"completed\ud800"),
    }.items():
        yield _rejected(f"ACC-10.{name}", "a lone surrogate", line)


def _numbers() -> Iterator[Made]:
    event = EVENTS["pipe.completed"]
    for name, value in {
        "1e309": b"1e309",
        "minus": b"-1e309",
        "huge-exponent": b"1e999999999",
        "integer-of-310-digits": b"1" + b"0" * 309,
        "integer-of-5000-digits": b"9" * 5000,
        "just-above-the-greatest": b"1.7976931348623159e308",
        "in-an-array": b"[0,[1e400]]",
    }.items():
        line = _with(b'"new":' + value)
        yield _rejected(f"ACC-11.{name}", "rounds to infinity", line, "ACC-20")
    for name, value in {
        "greatest": b"1.7976931348623157e308",
        "rounds-down-to-the-greatest": b"1.7976931348623158e308",
        "integer-of-309-digits": b"1" + b"0" * 308,
        "tiny": b"1e-400",
        "minus-tiny": b"-1e-999999999",
        "zero-with-huge-exponent": b"0e999999999",
        "minus-zero": b"-0",
        "all-parts": b"-12.5E+07",
        "5000-decimals": b"0." + b"3" * 5000,
    }.items():
        line = _with(b'"new":' + value)
        yield _taken(f"ACC-11.{name}", "is a finite double, and ignored", line, event)
    for (name, member), end in INTEGERS.items():
        old = f'"{member}":{EVENTS[name][member]}'
        for integer in sorted({0, 1, 2**31, 2**32 - 1, 2**53 + 1, 2**63, end - 1}):
            if integer < end:
                line = LINES[name].replace(old, f'"{member}":{integer}').encode()
                event = {**EVENTS[name], member: integer}
                yield _taken(f"ACC-18.{member}-{integer}", "in its range, exactly", line, event)
        for label, number in {
            "one-too-many": str(end),
            "minus-one": "-1",
            "minus-zero": "-0",
            "fraction": "1.5",
            "whole-fraction": "1.0",
            "exponent": "1e3",
            "capital-exponent": "1E0",
            "zero-exponent": "0e0",
            "wraps-to-one": str(end + 1),
            "5000-digits": "1" * 5000,
        }.items():
            line = LINES[name].replace(old, f'"{member}":{number}').encode()
            yield _rejected(f"ACC-18.{member}-{label}", "not an integer of its range", line)


def _duplicates() -> Iterator[Made]:
    event = EVENTS["pipe.completed"]
    for name, line in {
        "required-member": _with(b'"ts":"2026-01-31T23:59:59Z"'),
        "with-another-value": _with(b'"run_id":"other"'),
        "type": _with(b'"type":"pipe.completed"'),
        "type-of-another-event": _with(b'"type":"pipe.aborted"'),
        "by-an-escape": _with(rb'"\u0069d":"x"'),
        "by-two-escapes": _with(rb'"\u0061":1,"\u0061":2'),
        "unknown-member": _with(b'"new":1,"new":1'),
        "empty-name": _with(b'"":1,"":2'),
        "inside-an-ignored-object": _with(b'"new":{"a":1,"a":1}'),
        "deep-inside": _with(b'"new":[[{"b":{"a":1,"c":2,"a":3}}]]'),
        "null-then-value": LINES["node.started"]
        .replace('"name":"Lint"', '"name":null,"name":"Lint"')
        .encode(),
        "inside-an-input": LINES["pipe.started"]
        .replace('"key":"branch"', '"key":"branch","key":"branch"')
        .encode(),
        "inside-an-error": LINES["node.failed"]
        .replace('"kind":"crash"', '"kind":"crash","kind":"timeout"')
        .encode(),
        "beyond-the-basic-plane": _with('"\U0001f600":1,"\\ud83d\\ude00":2'.encode()),
    }.items():
        yield _rejected(f"ACC-12.{name}", "two members have one name", line)
    for name, member in {
        "in-different-objects": b'"new":{"id":1,"a":{"id":2}},"a":[{"b":1},{"b":2}]',
        "differ-in-case": b'"Id":1,"ID":2',
        "differ-in-normalisation": '"\u00e9":1,"e\u0301":2'.encode(),
        "differ-in-a-trailing-space": b'"new":1,"new ":2',
        "differ-after-a-null": rb'"a\u0000b":1,"a\u0000c":2,"a":3',
    }.items():
        yield _taken(f"ACC-12.{name}", "names that are not the same", _with(member), event)


def _nesting() -> Iterator[Made]:
    event = EVENTS["pipe.completed"]

    def nest(levels: int, opening: bytes, closing: bytes) -> bytes:
        return opening * levels + b"1" + closing * levels

    for name, opening, closing in (("arrays", b"[", b"]"), ("objects", b'{"a":', b"}")):
        line = _with(b'"new":' + nest(126, opening, closing))
        yield _taken(f"ACC-13.127-{name}", "127 containers, the event counted", line, event)
        line = _with(b'"new":' + nest(127, opening, closing))
        yield _rejected(f"ACC-13.128-{name}", "128 containers, the event counted", line)
        line = _with(b'"new":' + nest(20_000, opening, closing))
        yield _rejected(f"SEC-6.20000-{name}", "far too deep", line, "ACC-13", "ACC-20")
        line = _with(b'"new":' + opening * 20_000)
        yield _rejected(f"SEC-6.20000-open-{name}", "too deep, and cut", line, "ACC-13", "ACC-20")
    line = _with(b'"new":' + b'[{"a":' * 63 + b"1" + b"}]" * 63)
    yield _taken("ACC-13.127-mixed", "both kinds count", line, event)
    line = _with(b'"new":' + b'[{"a":' * 63 + b"[]" + b"}]" * 63)
    yield _rejected("ACC-13.128-mixed", "an empty container counts", line)
    line = _with(b'"new":[' + b"[],{}," * 200 + b"1]")
    yield _taken("ACC-13.400-side-by-side", "only depth counts", line, event)
    brackets = "[{" * 200
    line = _saying(f'"{brackets}\\"["'.encode())
    yield _taken(
        "ACC-13.in-a-string", "brackets in strings are text", line, aborted(brackets + '"[')
    )
    line = _with(b'"' + b"[" * 200 + b'":1')
    yield _taken("ACC-13.in-a-member-name", "brackets in names are text", line, event)
    line = LINES["pipe.started"].replace('"value":"main"', '"value":"main","n":' + "[" * 124
                                         + "]" * 124).encode()  # fmt: skip
    about = "event, inputs and input are three of them"
    yield _taken("ACC-13.127-below-an-input", about, line, EVENTS["pipe.started"])
    line = LINES["pipe.started"].replace('"value":"main"', '"value":"main","n":' + "[" * 125
                                         + "]" * 125).encode()  # fmt: skip
    yield _rejected("ACC-13.128-below-an-input", about, line)
    line = _saying(b'"' + b"\\" * 60_000 + b'"')
    yield _taken("SEC-6.backslashes", "pairs of backslashes", line, aborted("\\" * 30_000))
    line = _saying(b'"' + b"\\" * 60_001 + b'"')
    yield _rejected("SEC-6.odd-backslashes", "the last one escapes the quote", line, "ACC-20")


def _members() -> Iterator[Made]:
    for name, event in EVENTS.items():
        for member, value in event.items():
            if member == "type":
                continue
            kept = {key: item for key, item in event.items() if key != member}
            if (name, member) not in OPTIONAL:
                line = _spell(kept)
                yield _rejected(f"ACC-16.{name}-{member}", "a required member is missing", line)
                line = _spell({**event, member: None})
                yield _rejected(f"ACC-16.{name}-{member}-null", "required, but null", line)
            wrong = 7 if isinstance(value, str) else "7"
            line = _spell({**event, member: wrong})
            yield _rejected(f"ACC-17.{name}-{member}", "not of its JSON type", line)
    for label, value in {
        "boolean": b"true",
        "array": b'["no disk"]',
        "object": b'{"text":"no disk"}',
    }.items():
        yield _rejected(f"ACC-17.string-{label}", f"{label} for string", _saying(value))
    for label, value in {
        "boolean": "true",
        "string": '"3"',
        "array": "[3]",
    }.items():
        line = LINES["iteration.started"].replace('"iteration":3', f'"iteration":{value}').encode()
        yield _rejected(f"ACC-17.integer-{label}", f"{label} for integer", line)
    for label, value in {
        "object": '{"key":"k","value":"v"}',
        "of-strings": '["k=v"]',
        "of-arrays": '[["k","v"]]',
        "of-null": "[null]",
        "boolean": "true",
    }.items():
        line = LINES["pipe.started"].replace('[{"key":"branch","value":"main"}]', value).encode()
        yield _rejected(f"ACC-17.inputs-{label}", "not an array of inputs", line)
    for label, value in {
        "without-key": '{"value":"v"}',
        "without-value": '{"key":"k"}',
        "null-value": '{"key":"k","value":null}',
    }.items():
        line = LINES["pipe.started"].replace('{"key":"branch","value":"main"}', value).encode()
        yield _rejected(f"ACC-16.input-{label}", "an inner object lacks a member", line)
    for label, value in {
        "string": '"crash"',
        "array": '["crash"]',
        "number": "1",
        "boolean": "true",
    }.items():
        line = LINES["node.failed"].replace('{"kind":"crash"}', value).encode()
        yield _rejected(f"ACC-17.error-{label}", f"{label} for object", line)
    line = LINES["node.failed"].replace('{"kind":"crash"}', "{}").encode()
    yield _rejected("ACC-16.error-without-kind", "an inner object lacks a member", line)
    for (name, member), values in ENUMS.items():
        right = f'"{EVENTS[name][member]}"'
        for label, value in {
            "unknown": '"shell"',
            "capitals": f'"{values[0].upper()}"',
            "empty": '""',
            "with-space": f'"{values[0]} "',
        }.items():
            line = LINES[name].replace(right, value).encode()
            yield _rejected(f"ACC-19.{member}-{label}", "not in its closed list", line)
        line = LINES[name].replace(right, f'{{"{values[0]}":null}}').encode()
        yield _rejected(f"ACC-17.{member}-object", "an object for a string of a list", line)
    for label, value in {
        "unknown": '"panic"',
        "capitals": '"Crash"',
        "hyphen": '"gate-failed"',
    }.items():
        line = LINES["node.failed"].replace('"crash"', value).encode()
        yield _rejected(f"ACC-19.error-{label}", "not in its closed list", line)


def _spell(event: Json) -> bytes:
    """Return an event as a line, even if it lacks a member or has a wrong value."""

    def value(item: object) -> str:
        match item:
            case None:
                return "null"
            case str():
                return f'"{item}"'
            case dict():
                return "{" + ",".join(f'"{key}":{value(v)}' for key, v in item.items()) + "}"
            case list():
                return "[" + ",".join(map(value, item)) + "]"
        return str(item)

    return value(event).encode()


def _no_event() -> Iterator[Made]:
    for name, line in {
        "empty-array": b"[]",
        "array-of-the-event": b"[" + DONE + b"]",
        "members-by-position": b'["pipe.completed","1","t","r"]',
        "string": b'"pipe.completed"',
        "number": b"7",
        "true": b"true",
        "null": b"null",
    }.items():
        yield _rejected(f"ACC-14.{name}", "a JSON text that is not an object", line)
    for name, value in {
        "null": b"null",
        "number": b"1",
        "array": b'["pipe.completed"]',
        "object": b'{"pipe.completed":null}',
        "unknown": b'"pipe.paused"',
        "empty": b'""',
        "capital": b'"Pipe.completed"',
        "class-name": b'"PipeCompleted"',
        "with-space": b'"pipe.completed "',
        "cut": b'"pipe"',
    }.items():
        line = DONE.replace(b'"pipe.completed"', value)
        yield _rejected(f"ACC-15.{name}", "no type, or not one of the eight", line)
    line = DONE.replace(b'"type":"pipe.completed",', b"")
    yield _rejected("ACC-15.missing", "no type", line)
    yield _rejected("ACC-15.empty-object", "no member at all", b"{}")
    yield _rejected("ACC-23.empty", "holds no event", b"", "ACC-20")
    yield _rejected("ACC-23.newline", "holds no event", b"\n", "ACC-20")
    for code in WHITE_SPACE:
        if code != 0x0A:
            about = "a blank line holds no event"
            yield _rejected(f"ACC-23.{code:04x}", about, chr(code).encode() + b"\n", "ACC-20")
    yield _rejected("ACC-20.every-byte", "all 256 bytes", bytes(range(256)))
    yield _rejected("ACC-20.nuls", "what a power loss leaves", b"\0" * 512 + b"\n")
    yield _rejected("ACC-20.one-quote", "the shortest string, cut", b'"')
    yield _rejected("ACC-20.one-brace", "the shortest object, cut", b"{")
    yield _rejected("ACC-21.several", "several faults are one rejection", b'{"a":1,"a":NaN,\xff')
