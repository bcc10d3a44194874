# SPDX-License-Identifier: MIT
"""A command as a program: it ends without a traceback when its reader goes away and after Ctrl-C.

The commands of `stress` and of the tests use this too. It is here because this directory has to
work on its own.
"""

import os
import select
import signal
import sys
from collections.abc import Callable
from io import TextIOWrapper
from typing import NoReturn

UNREAD, INTERRUPTED = 1, 130


def run(main: Callable[[], int]) -> NoReturn:
    """Run `main` as the program of this process, and exit with the code that it returns.

    Each line is written when it is printed, also into a pipe, so that whoever follows a long run
    sees how far it is. The code is 1 if nobody reads standard output any more, and 130 if Ctrl-C
    interrupted `main`. In both cases nothing more is printed. What `main` imports itself is covered
    too. What else `main` raises is raised, also a BrokenPipeError of another pipe than standard
    output.
    """
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(line_buffering=True)
    try:
        try:
            code = main()
        finally:
            print(end="", flush=True)  # or Python would do it later, and complain
    except BrokenPipeError:
        if _is_output_read():
            raise  # another pipe broke: that is a fault of `main`
        _discard_output()
        code = UNREAD
    except KeyboardInterrupt:
        code = INTERRUPTED
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # the output is complete: another one ends us now
    sys.exit(code)


def _is_output_read() -> bool:
    """Whether somebody still reads standard output."""
    output = select.poll()
    output.register(sys.stdout, 0)  # an error is reported anyway
    return not output.poll(0)


def _discard_output() -> None:
    """Discard what is still in the buffer of standard output, because nobody reads it."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, sys.stdout.fileno())
    os.close(null)
