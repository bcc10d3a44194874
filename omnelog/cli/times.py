# SPDX-License-Identifier: MIT
"""When an event happened and how long things took, as far as the log says."""

import time

from .. import Event, recording


def now_ms() -> int:
    """Return the current time in milliseconds since 1970."""
    return time.time_ns() // 1_000_000


def moment_ms(event: Event | None) -> int | None:
    """Return when `event` happened, in milliseconds since 1970; None if that is unknown."""
    return None if event is None else recording.moment_ms(event)


def between_ms(earlier: Event | None, later: Event | None) -> int | None:
    """Return the milliseconds from one event to another; None if that is unknown or negative."""
    return elapsed_ms(moment_ms(earlier), moment_ms(later))


def elapsed_ms(start_ms: int | None, end_ms: int | None) -> int | None:
    """Return the time between two moments; None if one is unknown or the time is negative."""
    if start_ms is None or end_ms is None or end_ms < start_ms:
        return None
    return end_ms - start_ms


def spell_ms(duration_ms: int | None) -> str:
    """Return a duration as text: ``0s``, ``70ms``, ``1.3s``, ``42s``, ``3m05s``, ``2h00m``.

    From 100 hours on it is in days, ``4d04h``. An unknown duration is ``?``.
    """
    if duration_ms is None:
        return "?"
    if duration_ms < 1000:
        return f"{duration_ms}ms" if duration_ms else "0s"
    if duration_ms < 9_950:
        return f"{duration_ms / 1000:.1f}s"
    minutes, seconds = divmod(round(duration_ms / 1000), 60)
    hours, minutes = divmod(minutes, 60)
    if hours >= 100:
        days, hours = divmod(hours, 24)
        return f"{days}d{hours:02}h"
    if hours:
        return f"{hours}h{minutes:02}m"
    return f"{minutes}m{seconds:02}s" if minutes else f"{seconds}s"


def spell_age(age_ms: int | None) -> str:
    """Return as short text how long ago something was: ``42s``, ``5m``, ``3d``."""
    if age_ms is None:
        return "?"
    amount = max(0, age_ms) // 1000
    for unit, size in (("s", 60), ("m", 60), ("h", 48)):
        if amount < size:
            return f"{amount}{unit}"
        amount //= size if unit != "h" else 24
    return f"{amount}d"


def spell_moment(moment_ms: int | None) -> str | None:
    """Return a moment as ``2026-01-31T23:59:59.123Z``.

    Returns None if it is unknown, or not in the years 1 to 9999.
    """
    if moment_ms is None:
        return None
    from datetime import UTC, datetime, timedelta  # noqa: PLC0415 - takes 4 ms; few verbs need it

    try:
        moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=moment_ms)
    except OverflowError:
        return None
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def time_ms(text: str) -> int | None:
    """Return the milliseconds since 1970 of a time of ISO 8601; None if `text` is not one.

    A time without an offset is in UTC.
    """
    from datetime import UTC, datetime, timedelta  # noqa: PLC0415 - as above

    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)
