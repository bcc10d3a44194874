# SPDX-License-Identifier: MIT
"""When an event happened and how long things took, as far as its log can tell.

`ts` has whole seconds. The ULID in `id` has the milliseconds, unless it was given out while the
clock stood or went back, or by a program with other ideas: it counts where it agrees with `ts`.
"""

import re
from calendar import timegm
from time import strptime

from .. import Event

_ULID = re.compile("[0-7][0-9a-hjkmnp-tv-z]{25}")
_DIGITS = "0123456789abcdefghjkmnpqrstvwxyz"
_AGREED_MS = 2000  # `ts` is cut to seconds, and made a moment before or after the id


def moment_ms(event: Event) -> int | None:
    """The milliseconds since 1970 at which `event` was made; None if it does not say."""
    try:
        seconds = timegm(strptime(event.ts, "%Y-%m-%dT%H:%M:%SZ"))
    except ValueError:
        return None
    exact_ms = ulid_ms(event.id)
    if exact_ms is not None and abs(exact_ms - seconds * 1000) < _AGREED_MS:
        return exact_ms
    return seconds * 1000


def ulid_ms(text: str) -> int | None:
    """The milliseconds since 1970 in the last 26 characters of `text`, if they are a ULID."""
    if not _ULID.fullmatch(text, max(0, len(text) - 26)):
        return None
    number = 0
    for digit in text[-26:-16]:
        number = number << 5 | _DIGITS.index(digit)
    return number


def between_ms(earlier: Event | None, later: Event | None) -> int | None:
    """How long it was from one event to another; None if that is unknown or runs backwards."""
    if earlier is None or later is None:
        return None
    start, end = moment_ms(earlier), moment_ms(later)
    return None if start is None or end is None or end < start else end - start


def spell_ms(duration_ms: int | None) -> str:
    """A duration as people say it: ``0.3s``, ``42s``, ``3m05s``, ``2h00m``; ``?`` if unknown."""
    if duration_ms is None:
        return "?"
    if duration_ms < 9_950:
        return f"{duration_ms / 1000:.1f}s"
    minutes, seconds = divmod(round(duration_ms / 1000), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours}h{minutes:02}m"
    return f"{minutes}m{seconds:02}s" if minutes else f"{seconds}s"
