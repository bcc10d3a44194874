# SPDX-License-Identifier: MIT
"""Keep the last lines that a command printed, as people saw them; they say why it failed."""

import re

_KEPT = 64 * 1024  # bytes of output that are kept to make the last lines from
_SHOWN = 4096  # bytes of the last lines, at most
_ENOUGH = 4 * _SHOWN  # bytes at the end of a piece that are usually enough for the last lines

_TERMINAL_CODES = (  # a pattern that is compiled only when it is needed, because it takes 0.5 ms
    rb"\x1b\[[0-?]*[ -/]*[@-~]"  # colours and movements of the cursor
    rb"|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)"  # titles and links
    rb"|\x1b[ -/]*[0-~]"
)


class LastLines:
    """Takes what is printed, in pieces, and keeps the end of it."""

    def __init__(self) -> None:
        """Begin without any output."""
        self._kept = bytearray()
        self._cut = False  # whether the beginning of the first kept line may be missing

    def add(self, data: bytes | memoryview) -> None:
        """Add the next piece of output."""
        end = bytearray(data[-_ENOUGH:])
        # The first line may lack its beginning, and the last line may be overwritten later.
        _, _, after_first = end.partition(b"\n")
        whole_lines, _, _ = after_first.rpartition(b"\n")
        if _is_plain(end) and len(whole_lines.strip(b"\n")) > _SHOWN:
            self._kept = end
            return
        self._kept += data
        if len(self._kept) > 4 * _KEPT:
            kept = bytes(self._kept)
            if not _is_plain(kept):  # keep only the last state of a progress bar
                kept = as_seen(kept)
            self._cut |= len(kept) > _KEPT
            self._kept = bytearray(kept[-_KEPT:])

    def text(self) -> str:
        """Return the last lines, at most 4,096 bytes: whole lines, or at least whole characters."""
        seen = as_seen(bytes(self._kept)).strip(b"\r\n")
        tail = seen[-_SHOWN:]
        starts_a_line = len(seen) > _SHOWN and seen[-_SHOWN - 1 : -_SHOWN] == b"\n"
        if (len(seen) > _SHOWN or self._cut) and not starts_a_line:
            _, _, rest = tail.partition(b"\n")
            tail = rest if rest.strip() else tail.lstrip(bytes(range(0x80, 0xC0)))
        return tail.decode(errors="replace").strip("\n")


def _is_plain(printed: bytes | bytearray) -> bool:
    """Return whether the output has neither terminal codes nor carriage returns."""
    return b"\r" not in printed and b"\x1b" not in printed


def as_seen(printed: bytes) -> bytes:
    """Return `printed` without codes for the terminal, and each progress bar in its last state."""
    lines = re.sub(_TERMINAL_CODES, b"", printed).split(b"\n")
    *whole, last = (_last_state(line) if b"\r" in line else line for line in lines)
    if lines[-1].endswith(b"\r"):
        last += b"\r"  # the next piece of output may overwrite this line
    return b"\n".join((*whole, last))


def _last_state(line: bytes) -> bytes:
    """Return what a line shows last: after each carriage return, the next part overwrites it."""
    states = (state for state in reversed(line.split(b"\r")) if state.strip())
    return next(states, b"")
