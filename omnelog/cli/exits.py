# SPDX-License-Identifier: MIT
"""The exit statuses of the command, and the exception that ends it with a message.

They are those of env(1), timeout(1) and the shell, so that a recorded command's own status can be
distinguished from a failure of the recording.
"""

OK = 0
FINDINGS = 1
"""A damaged log, a bad line, no such run, no volume: said on standard error."""
MISUSED = 2
"""A wrong command line; for `verify` also that there is nothing it could verify."""
RECORDER = 125
"""`record` could not start, or the command succeeded but its record is incomplete."""
TIMED_OUT = 124
"""As timeout(1) has it: the recorded command took too long and was ended."""
NOT_EXECUTABLE = 126
NOT_FOUND = 127
SIGNALLED = 128
"""Added to the number of the signal that ended the command."""
PIPE_CLOSED = 141
"""Nobody reads the output any more: as if SIGPIPE had ended us."""


class Refused(Exception):
    """What was asked for cannot be done: the message says what is wrong, where and what to do."""


class Misused(Exception):
    """A command line that argparse let pass makes no sense: the message says why."""
