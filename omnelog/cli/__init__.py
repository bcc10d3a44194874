# SPDX-License-Identifier: MIT
# PYTHON_ARGCOMPLETE_OK: shells with argcomplete's global completion look for this word here
"""The `omnelog` command, which reports errors as messages and never as tracebacks.

A vendored copy can leave this sub-package out, because the core never imports it. It uses the
public names of the core. Only a few of its modules, such as `log_lines`, use more.
"""

import errno
import gc
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from .. import OmnelogError
from . import streams
from .exits import FINDINGS, PIPE_CLOSED, SIGNALLED, Misused, Refused
from .locate import volume_root

_REMEDIES = {
    errno.ENOSPC: "make room, then try again",
    errno.EDQUOT: "make room in your quota, then try again",
    errno.EACCES: "get the permission, or try as another user",
    errno.EPERM: "get the permission, or try as another user",
    errno.EROFS: "nothing can be written there",
    errno.EMFILE: "raise the limit of open files (ulimit -n)",
}


def run() -> NoReturn:
    """Run this process's own command line as `main` does, and end the process.

    The interpreter is not shut down first, because that adds a sixth to the time of a short verb.
    All output is flushed by then, and the system closes the files.
    """
    # What is read of a large run is kept until the end. By default the garbage collector examines
    # all of it again and again, which takes 4% of the time of `show`.
    gc.set_threshold(100_000)
    os._exit(main())


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line `argv`, without the program's name; by default the process's own.

    Returns the exit status; `omnelog --help` and the help of the verbs say what it means. Does not
    raise an exception that a user, a file or the system can cause. Must be called in the main
    thread. If a signal interrupts the process's own command line, the process dies of that signal,
    because otherwise make, or a loop in a shell, would not stop.
    """
    streams.occupy_closed()
    trouble = FINDINGS
    try:
        try:
            # Imported here, because it takes a while, and Ctrl-C must be caught during that time.
            from .commands import parse  # noqa: PLC0415

            given = parse(list(sys.argv[1:] if argv is None else argv))
            trouble = given.trouble
            if given.color != "auto":
                from .terminal import choose_colour  # noqa: PLC0415 - seldom needed

                choose_colour(given.color)
            given.is_alone = argv is None
            try:
                root = volume_root(given.root) if given.volume else Path()
                status: int = given.carry_out(root, given)
                return status
            except Misused as error:
                given.misused(str(error))
        finally:
            streams.flush()
    except SystemExit as stop:  # argparse has printed the reason
        return stop.code if isinstance(stop.code, int) else trouble
    except KeyboardInterrupt as stop:
        signum = getattr(stop, "signum", signal.SIGINT)
        if argv is None:
            _die_of(signum)
        return SIGNALLED + signum
    except BrokenPipeError:
        streams.give_up_output()
        return PIPE_CLOSED
    except OSError as error:
        streams.give_up_output()
        message = str(error)
        if not isinstance(error, OmnelogError):
            place = "" if error.filename is None else f"{error.filename}: "
            message = f"{place}{error.strerror or error}"
        remedy = f"; {_REMEDIES[error.errno]}" if error.errno in _REMEDIES else ""
        streams.complain(f"omnelog: {message}{remedy}")
    except (OmnelogError, Refused) as error:
        streams.complain(f"omnelog: {error}")
    return trouble


def _die_of(signum: int) -> None:
    """End this process by a signal. Returns only in process 1, which such a signal does not end."""
    signal.signal(signum, signal.SIG_DFL)
    os.kill(os.getpid(), signum)
