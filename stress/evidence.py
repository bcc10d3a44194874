# SPDX-License-Identifier: MIT
"""A violation as text: what is wrong, who did what when, and the bytes themselves."""

from collections.abc import Iterator

from .checker import OPEN, Attempt, Bytes, Verdict, Violation

_ROW_BYTES = 16
_ROWS_AROUND = 2  # before and after the row with the byte in question


def evidence(verdict: Verdict, violation: Violation) -> str:
    """The smallest evidence for `violation`: a few lines, indented under what is wrong."""
    lines = [f"{violation.kind}: {violation.what}", f"  in {verdict.log}"]
    lines += [f"  bytes {begin} to {end}" for begin, end in violation.spans]
    for attempt in violation.attempts:
        lines += _receipts(verdict, attempt)
    if violation.focus is not None:
        lines.append(f"  around byte {violation.focus}:")
        lines += hexdump(verdict.data, violation.focus)
    return "\n".join(lines)


def _receipts(verdict: Verdict, attempt: Attempt) -> Iterator[str]:
    writer, seq = verdict.writers[attempt[0]], attempt[1]
    line = writer.line(seq)
    yield f"  append {seq} of {writer.name}, {len(line)} bytes: {_shorten(line)}"
    if seq >= writer.attempted:
        yield "    receipts: none, it was not called"
    elif writer.outcomes[seq] == OPEN:
        yield f"    receipts: called at {writer.begin_ns[seq]} ns, no outcome"
    else:
        error = f", {writer.errors[seq]}" if seq in writer.errors else ""
        times = f"called at {writer.begin_ns[seq]} ns, returned at {writer.end_ns[seq]} ns"
        yield f"    receipts: {times}, {writer.outcomes[seq]}{error}"


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
