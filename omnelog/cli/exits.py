# SPDX-License-Identifier: MIT
"""The exit statuses of the command, and the exception that ends it with a message.

They are those of env(1), timeout(1) and the shell, so that a recorded command's own status can be
told from what became of the recording. argparse adds 2, for a wrong command line.
"""

OK = 0
FINDINGS = 1
"""A damaged log, a bad line, no such run, no volume: said on standard error."""
RECORDER = 125
"""`record` could not start, or the command succeeded but its record is incomplete."""
NOT_EXECUTABLE = 126
NOT_FOUND = 127
SIGNALLED = 128
"""Added to the number of the signal that ended the command."""
INTERRUPTED = 130
PIPE_CLOSED = 141
"""Nobody reads the output any more: as if SIGPIPE had ended us."""


class Refused(Exception):
    """What was asked for cannot be done: the message says what is wrong, where and what to do."""
