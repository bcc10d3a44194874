# SPDX-License-Identifier: MIT
"""A violation as text: what is wrong, who did what when, and the bytes themselves."""

from collections.abc import Iterator

from .checker import Attempt, Verdict, Violation
from .testimony import OPEN, Bytes

_ROW_BYTES = 16
_ROWS_AROUND = 2  # before and after the row with the byte in question


def evidence(verdict: Verdict, violation: Violation) -> str:
    """The smallest evidence for `violation`: a few lines, indented under what is wrong."""
    files = verdict.told.files
    lines = [f"{violation.kind}: {violation.what}", f"  in round {verdict.told.name}"]
    lines += [f"  bytes {begin} to {end} of {files[f].path}" for f, begin, end in violation.spans]
    for attempt in violation.attempts:
        lines += _receipts(verdict, attempt)
    if violation.focus is not None:
        file, focus = violation.focus
        lines.append(f"  around byte {focus}:")
        lines += hexdump(files[file].data, focus)
    lines.append(f"  repeat with: {verdict.told.command}")
    return "\n".join(lines)


def _receipts(verdict: Verdict, attempt: Attempt) -> Iterator[str]:
    writer, seq = verdict.told.writers[attempt[0]], attempt[1]
    line = writer.line(seq)
    yield f"  event {seq} of {writer.name}, {len(line)} bytes: {_shorten(line)}"
    if seq >= writer.called:
        yield "    receipts: none, it was not appended"
        return
    call = writer.call_of(seq)
    events = writer.events_of(call)
    batch = f", in a batch of {len(events)}, from {events[0]} on" if len(events) > 1 else ""
    yield f"    receipts: called at {writer.begin_ns[call]} ns{batch}"
    if writer.outcomes[call] == OPEN:
        yield "    receipts: no outcome"
    else:
        error = f", {writer.errors[call]}" if call in writer.errors else ""
        yield f"    receipts: returned at {writer.end_ns[call]} ns, {writer.outcomes[call]}{error}"


def _shorten(line: bytes) -> str:
    """The begin of a line, as text in which no terminal finds a command."""
    text = ascii(line[:72].decode(errors="replace").removesuffix("\n"))[1:-1]
    return f"{text}..." if len(line) > 73 else text


def hexdump(data: Bytes, focus: int) -> Iterator[str]:
    """A window of `data` in hex and ASCII; ``>`` marks the row that holds byte `focus`."""
    row = focus // _ROW_BYTES * _ROW_BYTES
    begin = max(0, row - _ROWS_AROUND * _ROW_BYTES)
    end = min(len(data), row + (_ROWS_AROUND + 1) * _ROW_BYTES)
    for offset in range(begin, end, _ROW_BYTES):
        piece = data[offset : min(offset + _ROW_BYTES, end)]
        shown = "".join(chr(byte) if 32 <= byte < 127 else "." for byte in piece)
        mark = ">" if offset == row else " "
        yield f"  {mark} {offset:08x}  {piece.hex(' '):{3 * _ROW_BYTES - 1}}  |{shown}|"
