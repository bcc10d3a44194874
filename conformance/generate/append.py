# SPDX-License-Identifier: MIT
"""What an append does to a log and to its quarantine, for each state of them: chapter 7."""

from collections.abc import Iterator

from .read import BAD_LINES, TAILS, WHOLE_TAILS
from .samples import EVENTS, LINES, Json, Made, numbered, short


def vectors() -> Iterator[Made]:
    """Yield all vectors of this kind."""
    one, nine = short(1), short(5)
    event = [numbered(5)]
    yield _append(
        "APP-9.no-log", "there is no log yet", None, event, nine, also=("APP-1", "VOL-12", "VER-2")
    )
    yield _append("APP-9.empty", "an empty log needs no repair", b"", event, nine)
    yield _append("APP-9.clean", "a log that ends in a newline", one, event, one + nine)
    yield _append("APP-9.blank-line", "a newline is an end", b"\n", event, b"\n" + nine)
    for name, line in LINES.items():
        about = "one line, canonical"
        after = one + line.encode() + b"\n"
        yield _append(f"APP-35.{name}", about, one, [EVENTS[name]], after, also=("LINE-1",))
    for name, tail in WHOLE_TAILS.items():
        about = "a tail that is a whole event gets its newline"
        yield _append(f"APP-11.{name}", about, one + tail, event, one + tail + b"\n" + nine)
    yield _append(
        "APP-11.nothing-else", "a whole event is all there is", one[:-1], event, one + nine
    )
    for name, tail in TAILS.items():
        yield _append(
            f"APP-13.{name}",
            "a torn tail goes to the quarantine",
            one + tail,
            event,
            one + nine,
            torn_after=tail + b"\n",
            also=("APP-15",),
        )
    half = short(9)[:30]
    yield _append(
        "APP-13.nothing-else", "a torn tail is all", half, event, nine, torn_after=half + b"\n"
    )
    long = b'{"type":"pipe.aborted","reason":"' + b"x" * 70_000
    yield _append(
        "APP-13.long", "a tail of 70,033 bytes", one + long, event, one + nine,
        torn_after=long + b"\n",
    )  # fmt: skip
    yield from _quarantine(one, half, event, nine)
    for name, bad in BAD_LINES.items():
        about = "a terminated line stays, bad as it is"
        before = one + bad + b"\n"
        yield _append(f"APP-36.{name}", about, before, event, before + nine)
    before = one + b"x\n" + half
    yield _append("APP-36.and-a-torn-tail", "only the tail goes", before, event,
                  one + b"x\n" + nine, torn_after=half + b"\n")  # fmt: skip
    many = list(range(1, 8))
    lines = b"".join(map(short, many))
    yield _append("APP-32.seven", "several events", one, list(map(numbered, many)), one + lines)
    yield _append("APP-32.after-a-torn-tail", "several events, once it is repaired", one + half,
                  list(map(numbered, many)), one + lines, torn_after=half + b"\n")  # fmt: skip
    yield _append("APP-34.none", "no events, and a clean log", one, [], one)
    yield _append("APP-34.none-and-a-torn-tail", "nothing is done", one + half, [], one + half)
    for name, batch in {
        "alone": [{**numbered(5), "id": 7}],
        "last-of-three": [numbered(1), numbered(2), {**numbered(3), "ts": None}],
        "first-of-two": [{"type": "no.such"}, numbered(1)],
    }.items():
        yield _append(f"APP-5.{name}", "an event does not fit: nothing is written", one + half,
                      batch, one + half, error={"kind": "SerializeError"})  # fmt: skip


def _append(
    title: str,
    about: str,
    before: bytes | None,
    events: list[Json],
    after: bytes,
    *,
    torn_before: bytes | None = None,
    torn_after: bytes | None = None,
    error: Json | None = None,
    also: tuple[str, ...] = (),
) -> Made:
    files = {
        "before": before,
        "after": after,
        "quarantine_before": torn_before,
        "quarantine_after": torn_after,
    }
    return Made(
        kind="append",
        id=title,
        about=about,
        members={"events": events, **({"error": error} if error else {})},
        files={name: content for name, content in files.items() if content is not None},
        also=also,
    )


def _quarantine(one: bytes, half: bytes, event: list[Json], nine: bytes) -> Iterator[Made]:
    other = b"another tail\n"
    for clause, name, about, before, after in (
        ("APP-13", "quarantine-empty", "an empty quarantine", b"", half + b"\n"),
        ("APP-13", "quarantine-grows", "what is there stays", other, other + half + b"\n"),
        (
            "APP-16",
            "unterminated",
            "a copy was cut short",
            other + half[:9],
            other + half[:9] + b"\n" + half + b"\n",
        ),
        (
            "APP-16",
            "unterminated-but-whole",
            "only its newline was cut off",
            other + half,
            other + half + b"\n",
        ),
        (
            "APP-17",
            "copied-already",
            "its last line equals the tail",
            other + half + b"\n",
            other + half + b"\n",
        ),
        ("APP-17", "the-only-line", "its only line equals the tail", half + b"\n", half + b"\n"),
        (
            "APP-17",
            "earlier-line",
            "an earlier line equals the tail",
            half + b"\n" + other,
            half + b"\n" + other + half + b"\n",
        ),
        (
            "APP-17",
            "end-of-a-line",
            "its last line only ends like the tail",
            b"x" + half + b"\n",
            b"x" + half + b"\n" + half + b"\n",
        ),
        (
            "APP-17",
            "beginning-of-a-line",
            "its last line only begins like the tail",
            half + b"x\n",
            half + b"x\n" + half + b"\n",
        ),
        (
            "APP-17",
            "same-length",
            "its last line differs in one byte",
            half[:-1] + b"!\n",
            half[:-1] + b"!\n" + half + b"\n",
        ),
        ("APP-17", "blank-last-line", "an empty line follows", half + b"\n\n",
         half + b"\n\n" + half + b"\n"),
    ):  # fmt: skip
        yield _append(f"{clause}.{name}", about, one + half, event, one + nine,
                      torn_before=before, torn_after=after)  # fmt: skip
    yield _append(
        "APP-13.quarantine-left-alone",
        "a clean log leaves the quarantine as it is",
        one,
        event,
        one + nine,
        torn_before=b"unterminated",
        torn_after=b"unterminated",
    )
    tail = short(9)[:-1]
    yield _append(
        "APP-11.quarantine-left-alone",
        "so does a tail that is a whole event",
        one + tail,
        event,
        one + tail + b"\n" + nine,
        torn_before=other,
        torn_after=other,
    )
