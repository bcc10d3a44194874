# SPDX-License-Identifier: MIT
"""The log of a run for verbs that add single events, and that must not lose the last one."""

import os
import time
from collections.abc import Sequence
from pathlib import Path

from .. import (
    Event,
    EventLog,
    Input,
    InvalidRunId,
    OmnelogError,
    PipeStarted,
    allocate_ulid,
    events_log_path,
    run_dir,
)
from .. import __version__ as version
from ..recording import EventHead, RunNotFound, event_head, require_going_on
from .exits import Refused
from .log_lines import log_exists

_DIGITS = "0123456789abcdefghjkmnpqrstvwxyz"
_HINT = "`omnelog runs` lists those there are, and --pipe NAME starts one"


class RunLog:
    """The log of a run, opened for each append.

    It is closed between two appends, because a command may run for days and the log may be moved.
    """

    def __init__(self, root: Path, run_id: str) -> None:
        """Do not touch any file yet."""
        self.root = root
        self.run_id = run_id

    def head(self) -> EventHead:
        """Return the first members of an event that happens now. Raises OmnelogError."""
        return event_head(self.root, self.run_id)

    def last_head(self) -> EventHead:
        """Return the same, with a random ULID if none can be allocated, so the event is not lost.

        This is for the end of a node or of a run.
        """
        try:
            return self.head()
        except (OmnelogError, OSError):
            return event_head(self.root, self.run_id, _ulid_by_chance())

    def append(self, *events: Event, patience_s: float = 5.0) -> None:
        """Append `events` together; wait up to `patience_s` seconds for the lock.

        Raises OmnelogError, OSError.
        """
        with EventLog.for_run(self.root, self.run_id, lock_timeout=patience_s) as log:
            log.append_many(events)

    def is_there(self) -> bool:
        """Return whether the log exists. Raises LogIOError."""
        return log_exists(events_log_path(self.root, self.run_id))

    def begin(self, pipe: str, inputs: Sequence[Input] = ()) -> None:
        """Log that the run starts. Raises OmnelogError, OSError."""
        made_by = f"omnelog {version}"  # in place of the version of a distribution of omne
        self.append(
            PipeStarted(**self.head(), pipe=pipe, inputs=list(inputs), distro_version=made_by)
        )


def new_run(root: Path, pipe: str) -> RunLog:
    """Return the log of a new run, which has not begun yet. Raises Refused, OmnelogError."""
    check_name("pipe name", pipe)
    return RunLog(root, f"{pipe}-{allocate_ulid(root)}")


def open_run(root: Path, run_id: str) -> RunLog:
    """Return the log of a run that has not ended, in a time that does not depend on its length.

    Damage in the log is not an error here. The next append repairs a torn tail. Raises Refused,
    OmnelogError.
    """
    try:
        require_going_on(root, run_id)
    except RunNotFound as error:
        raise Refused(f"{error}; {_HINT}") from error
    return RunLog(root, run_id)


def check_name(what: str, name: str) -> None:
    """Check that a name is a plain path component and can be printed. Raises Refused."""
    try:
        run_dir("", name)
        plain = name.isprintable()
    except InvalidRunId:
        plain = False
    if not plain:
        raise Refused(f"{what} {name!r:.80} is not one plain path component; use a-z 0-9 -")


def _ulid_by_chance() -> str:
    """Return a ULID made from the clock and random bits. It may be less than the last one."""
    number = int(time.time() * 1000) << 80 | int.from_bytes(os.urandom(10), "big")
    return "".join(_DIGITS[number >> shift & 31] for shift in range(125, -1, -5))
