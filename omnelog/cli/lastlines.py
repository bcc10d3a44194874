# SPDX-License-Identifier: MIT
"""The last lines that a command printed, as a person saw them: they say why it failed."""

import re

_KEPT = 64 * 1024  # bytes, from which the last lines are made
_SHOWN = 4096  # bytes of them, at most
_ENOUGH = 4 * _SHOWN  # bytes, the end of a piece in which the last lines are looked for first

_TERMINAL_CODES = (  # a pattern that is compiled when it is needed, which takes 0.5 ms
    rb"\x1b\[[0-?]*[ -/]*[@-~]"  # colours and movements of the cursor
    rb"|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)"  # titles and links
    rb"|\x1b[ -/]*[0-~]"
)


class LastLines:
    """Takes what is printed, in pieces, and keeps the end of it."""

    def __init__(self) -> None:
        """Nothing is printed yet."""
        self._kept = bytearray()
        self._cut = False  # whether the first line that is kept lacks its beginning

    def add(self, data: bytes | memoryview) -> None:
        """Take what was printed next."""
        end = bytearray(data[-_ENOUGH:])
        # The first line may lack its beginning, and what comes may be written over the last one.
        _, _, after_first = end.partition(b"\n")
        whole_lines, _, _ = after_first.rpartition(b"\n")
        if _is_plain(end) and len(whole_lines.strip(b"\n")) > _SHOWN:
            self._kept = end
            return
        self._kept += data
        if len(self._kept) > 4 * _KEPT:
            kept = bytes(self._kept)
            if not _is_plain(kept):  # of a progress bar only the last state counts
                kept = as_seen(kept)
            self._cut |= len(kept) > _KEPT
            self._kept = bytearray(kept[-_KEPT:])

    def text(self) -> str:
        """The last lines, 4,096 bytes at most: whole lines, or at least whole characters."""
        seen = as_seen(bytes(self._kept)).strip(b"\r\n")
        tail = seen[-_SHOWN:]
        starts_a_line = len(seen) > _SHOWN and seen[-_SHOWN - 1 : -_SHOWN] == b"\n"
        if (len(seen) > _SHOWN or self._cut) and not starts_a_line:
            _, _, rest = tail.partition(b"\n")
            tail = rest if rest.strip() else tail.lstrip(bytes(range(0x80, 0xC0)))
        return tail.decode(errors="replace").strip("\n")


def _is_plain(printed: bytes | bytearray) -> bool:
    """Whether it has neither codes for the terminal nor carriage returns: it is seen as printed."""
    return b"\r" not in printed and b"\x1b" not in printed


def as_seen(printed: bytes) -> bytes:
    """`printed` without codes for the terminal, each progress bar in its last state."""
    lines = re.sub(_TERMINAL_CODES, b"", printed).split(b"\n")
    *whole, last = (_last_state(line) if b"\r" in line else line for line in lines)
    if lines[-1].endswith(b"\r"):
        last += b"\r"  # what comes next may overwrite it
    return b"\n".join((*whole, last))


def _last_state(line: bytes) -> bytes:
    """What a line shows last: each carriage return lets the next part be written over it."""
    states = (state for state in reversed(line.split(b"\r")) if state.strip())
    return next(states, b"")
