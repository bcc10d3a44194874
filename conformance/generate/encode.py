# SPDX-License-Identifier: MIT
"""How an event is written, and which events are refused: chapters 3 and 4."""

from collections.abc import Iterator

from .samples import EVENTS, LINES, OPTIONAL, Json, Made, aborted, aborted_line

# The table of chapter 4. Other characters below U+0020 are written as \u00 and two digits.
ESCAPES = {
    '"': '\\"',
    "\\": "\\\\",
    "\b": "\\b",
    "\t": "\\t",
    "\n": "\\n",
    "\f": "\\f",
    "\r": "\\r",
}
PLAIN = {
    "space": " ",
    "slash": "/",
    "apostrophe": "'",
    "angle-brackets-and-ampersand": "<a&b>",
    "del": "\x7f",
    "next-line": "\x85",
    "no-break-space": "\xa0",
    "letter-with-accent": "é",
    "line-separator": "\u2028",
    "paragraph-separator": "\u2029",
    "byte-order-mark": "\ufeff",
    "last-before-the-surrogates": "\ud7ff",
    "first-after-the-surrogates": "\ue000",
    "noncharacter-fdd0": "\ufdd0",
    "replacement-character": "\ufffd",
    "noncharacter-ffff": "\uffff",
    "first-of-four-bytes": "\U00010000",
    "emoji": "\U0001f600",
    "last-code-point": "\U0010ffff",
}
WRONG = {  # for members of each type: values of other JSON types
    "string": {"number": 7, "boolean": True, "array": ["x"], "object": {"x": "x"}},
    "integer": {"boolean": True, "string": "7", "fraction": 1.5, "whole-float": 1.0, "array": [7]},
}
ENUMS = {
    ("node.started", "kind"): ["command", "prompt", "bash", "loop"],
    ("gate.passed", "method"): ["hook", "human_cli", "mcp_tool"],
}
ERROR_KINDS = [
    "crash",
    "timeout",
    "gate_failed",
    "blocked",
    "max_iterations_exceeded",
    "host_missing",
]
INTEGERS = {("iteration.started", "iteration"): 2**32, ("iteration.started", "byte_offset"): 2**64}


def vectors() -> Iterator[Made]:
    """Yield all vectors of this kind."""
    for name, line in LINES.items():
        event = EVENTS[name]
        yield _written(
            f"EVT-1.{name}", f"a whole {name}", event, line, "LINE-1", "LINE-2", "LINE-4"
        )
        backwards = {key: _backwards(event[key]) for key in reversed(event)}
        yield _written(
            f"LINE-4.{name}-given-backwards", "the order is the table's", backwards, line, "LINE-3"
        )
    yield from _optional()
    yield from _strings()
    yield from _enums_and_integers()
    yield from _misfits()


def _written(title: str, about: str, event: Json, line: str | bytes, *also: str) -> Made:
    if isinstance(line, str):
        line = line.encode() + b"\n"
    return Made(
        kind="encode",
        id=title,
        about=about,
        members={"event": event},
        files={"line": line},
        also=also,
    )


def _refused(title: str, about: str, event: Json) -> Made:
    return Made(
        kind="encode",
        id=title,
        about=about,
        members={"event": event, "error": {"kind": "SerializeError"}},
    )


def _backwards(value: object) -> object:
    if isinstance(value, dict):
        return {key: value[key] for key in reversed(value)}
    return [_backwards(item) for item in value] if isinstance(value, list) else value


def _optional() -> Iterator[Made]:
    for name, member in sorted(OPTIONAL):
        value = EVENTS[name][member]
        line = LINES[name].replace(f',"{member}":"{value}"', "")
        without = {key: item for key, item in EVENTS[name].items() if key != member}
        about = "an optional member without a value"
        yield _written(f"LINE-5.{name}-without-{member}", about, without, line)
        yield _written(f"LINE-5.{name}-{member}-null", about, {**without, member: None}, line)
        line = LINES[name].replace(f'"{member}":"{value}"', f'"{member}":""')
        about = "empty text is a value"
        yield _written(f"LINE-5.{name}-{member}-empty", about, {**without, member: ""}, line)
    bare = {k: v for k, v in EVENTS["node.started"].items() if k not in ("name", "model")}
    line = LINES["node.started"].replace(',"name":"Lint","model":"large"', "")
    yield _written("LINE-5.node.started-bare", "both optional members left out", bare, line)


def _strings() -> Iterator[Made]:
    for code in [*range(0x20), 0x22, 0x5C]:
        escape = ESCAPES.get(chr(code), f"\\u00{code:02x}")
        yield _written(
            f"LINE-6.escape-{code:02x}",
            f"U+{code:04X} is written {escape}",
            aborted(f"a{chr(code)}b"),
            aborted_line(f"a{escape}b"),
        )
    for name, text in PLAIN.items():
        yield _written(
            f"LINE-6.plain-{name}", "stands for itself", aborted(text), aborted_line(text)
        )
    line = LINES["pipe.started"].replace(
        '"key":"branch","value":"main"', '"key":"/\\"","value":"\\n"'
    )
    event = {**EVENTS["pipe.started"], "inputs": [{"key": '/"', "value": "\n"}]}
    yield _written("LINE-6.inside-an-input", "the rule holds in inner objects", event, line)
    for name, text in {
        "decomposed": "e\u0301",
        "composed": "\u00e9",
        "angstrom-sign": "\u212b",
        "ligature": "\ufb01",
    }.items():
        yield _written(
            f"LINE-7.{name}", "text is written as it is", aborted(text), aborted_line(text)
        )
    yield _written(
        "LINE-11.pair-of-surrogates",
        "a pair is one character, with a UTF-8 of its own",
        aborted("\U0001f600"),  # requests are ASCII, so the request has the pair as two escapes
        aborted_line("\U0001f600"),
    )
    for name, text in {
        "high": "a\ud800",
        "low": "\udfffa",
        "wrong-way-round": "\udc00\ud800",
        "high-before-letter": "\udbffx",
    }.items():
        yield _refused(f"LINE-11.{name}", "a lone surrogate", aborted(text))
    yield _refused(
        "LINE-11.in-an-input-key",
        "a lone surrogate in an inner object",
        {**EVENTS["pipe.started"], "inputs": [{"key": "\ud800", "value": ""}]},
    )
    yield _refused(
        "LINE-11.in-the-id", "a lone surrogate in the first member", {**aborted(""), "id": "\ud800"}
    )
    text = "line " * 13_200  # 66,000 bytes: more than a pipe and most buffers hold
    yield _written("LINE-13.long", "a long line", aborted(text), aborted_line(text))
    nonsense = {**aborted(""), "id": "", "ts": "yesterday", "run_id": "../.."}
    line = '{"type":"pipe.aborted","id":"","ts":"yesterday","run_id":"../..","reason":""}'
    yield _written("EVT-7.nonsense", "what strings say is the maker's business", nonsense, line)
    inputs = [{"key": k, "value": v} for k, v in ("ba", "ab", "ba", "bz")]
    line = LINES["pipe.started"].replace(
        '{"key":"branch","value":"main"}',
        '{"key":"b","value":"a"},{"key":"a","value":"b"},{"key":"b","value":"a"},'
        '{"key":"b","value":"z"}',
    )
    event = {**EVENTS["pipe.started"], "inputs": inputs}
    yield _written("EVT-8.order-and-repetition", "inputs keep order and repetitions", event, line)
    line = LINES["pipe.started"].replace('[{"key":"branch","value":"main"}]', "[]")
    event = {**EVENTS["pipe.started"], "inputs": []}
    yield _written("EVT-8.none", "no inputs are an empty array", event, line)


def _enums_and_integers() -> Iterator[Made]:
    for (name, member), values in ENUMS.items():
        for value in values:
            line = LINES[name].replace(f'"{EVENTS[name][member]}"', f'"{value}"')
            event = {**EVENTS[name], member: value}
            yield _written(f"EVT-1.{member}-{value}", "a string of a closed list", event, line)
    for value in ERROR_KINDS:
        line = LINES["node.failed"].replace('"crash"', f'"{value}"')
        event = {**EVENTS["node.failed"], "error": {"kind": value}}
        yield _written(f"EVT-1.error-{value}", "a string of a closed list", event, line)
    for (name, member), end in INTEGERS.items():
        for number in sorted({0, 1, 10**9, 2**31, 2**32 - 1, 2**53 + 1, end - 1}):
            if number < end:
                old = f'"{member}":{EVENTS[name][member]}'
                line = LINES[name].replace(old, f'"{member}":{number}')
                event = {**EVENTS[name], member: number}
                yield _written(f"LINE-8.{member}-{number}", "digits, all exact", event, line)
        for label, number in {"minus-one": -1, "one-too-many": end, "huge": 10**40}.items():
            event = {**EVENTS[name], member: number}
            yield _refused(f"LINE-10.{member}-{label}", "an integer out of its range", event)


def _misfits() -> Iterator[Made]:
    misfit: object
    for name, event in EVENTS.items():
        for member, value in event.items():
            if member == "type":
                continue
            wrong = {"number": 7} if isinstance(value, str) else {"string": "7"}
            for label, misfit in wrong.items():
                about = f"a {label} instead of what the table says"
                yield _refused(f"LINE-9.{name}-{member}-{label}", about, {**event, member: misfit})
            if (name, member) not in OPTIONAL:
                missing = {key: item for key, item in event.items() if key != member}
                yield _refused(
                    f"LINE-9.{name}-{member}-missing", "a required member is missing", missing
                )
    base = EVENTS["pipe.aborted"]
    for label, misfit in {**WRONG["string"], "null": None}.items():
        if label != "number":
            yield _refused(f"LINE-9.string-{label}", "not a string", {**base, "reason": misfit})
    for name, member in INTEGERS:
        for label, misfit in WRONG["integer"].items():
            if label != "string":
                event = {**EVENTS[name], member: misfit}
                yield _refused(f"LINE-9.{member}-{label}", "not an integer", event)
    for (name, member), values in ENUMS.items():
        for label, misfit in {
            "unknown": "shell",
            "capitals": values[0].upper(),
            "empty": "",
        }.items():
            event = {**EVENTS[name], member: misfit}
            yield _refused(f"LINE-9.{member}-{label}", "not in its closed list", event)
    for label, misfit in {
        "unknown": {"kind": "panic"},
        "capitals": {"kind": "CRASH"},
        "number": {"kind": 1},
        "without-kind": {},
        "array": ["crash"],
    }.items():
        event = {**EVENTS["node.failed"], "error": misfit}
        yield _refused(f"LINE-9.error-{label}", "not a NodeError", event)
    for label, misfit in {
        "null": None,
        "object": {"key": "k", "value": "v"},
        "of-strings": ["k=v"],
        "of-pairs": [["k", "v"]],
        "without-value": [{"key": "k"}],
        "number-for-value": [{"key": "k", "value": 1}],
        "second-is-bad": [{"key": "k", "value": "v"}, {"key": "k", "value": None}],
    }.items():
        event = {**EVENTS["pipe.started"], "inputs": misfit}
        yield _refused(f"LINE-9.inputs-{label}", "not a list of inputs", event)
    for name, event in EVENTS.items():
        about = "a member that events of this type do not have"
        yield _refused(f"LINE-14.{name}-unknown-member", about, {**event, "new": "x"})
    yield _refused("LINE-9.type-unknown", "no such type", {**base, "type": "pipe.paused"})
    yield _refused("LINE-9.type-capital", "no such type", {**base, "type": "Pipe.aborted"})
