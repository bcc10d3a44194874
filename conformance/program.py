# SPDX-License-Identifier: MIT
"""Run a command as a program: no traceback if the reader of its output is gone, or after Ctrl-C.

The commands of `stress` and of the tests use this module too. It is here because this directory has
to work on its own.
"""

import os
import select
import signal
import sys
from collections.abc import Callable
from typing import NoReturn

UNREAD, INTERRUPTED = 1, 130


def run(main: Callable[[], int]) -> NoReturn:
    """Run `main` as the program of this process, and exit with the code that it returns.

    The code is 1 if nobody reads standard output any more, and 130 if Ctrl-C interrupted `main`. In
    both cases nothing more is printed. If `main` imports modules, this holds during the imports
    too. Other exceptions are raised, and so is a BrokenPipeError of a pipe other than standard
    output.
    """
    try:
        try:
            code = main()
        finally:
            print(end="", flush=True)  # otherwise Python flushes at exit, and prints an error
    except BrokenPipeError:
        if _is_output_read():
            raise  # another pipe broke, which `main` should have handled
        _discard_output()
        code = UNREAD
    except KeyboardInterrupt:
        code = INTERRUPTED
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # the output is complete; Ctrl-C may end us now
    sys.exit(code)


def _is_output_read() -> bool:
    """Return whether somebody still reads standard output."""
    output = select.poll()
    output.register(sys.stdout, 0)  # poll(2) reports errors without being asked
    return not output.poll(0)


def _discard_output() -> None:
    """Discard what is still in the buffer of standard output, which nobody reads."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, sys.stdout.fileno())
    os.close(null)
