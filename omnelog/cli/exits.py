# SPDX-License-Identifier: MIT
"""The exit statuses of the command, and the exceptions that end it with a message.

From 124 on they are those of env(1), timeout(1) and the shell, so that a recorded command's own
status can be distinguished from a failure of the recording.
"""

OK = 0
FINDINGS = 1
"""A damaged log, a bad line, no such run, or no volume; standard error says which."""
MISUSED = 2
"""A wrong command line; for `verify` also that there is no such run or no volume."""
RECORDER = 125
"""`record` could not start, or the command succeeded but its record is incomplete."""
TIMED_OUT = 124
"""The recorded command took too long and was ended, as by timeout(1); or `wait` timed out."""
NOT_EXECUTABLE = 126
NOT_FOUND = 127
SIGNALLED = 128
"""Added to the number of the signal that ended the command."""
PIPE_CLOSED = 141
"""Nobody reads the output any more. This is the status as if SIGPIPE had ended us."""


class Refused(Exception):
    """The command cannot do what was asked. The message says what is wrong, where, what to do."""


class Misused(Exception):
    """The command line is wrong in a way that argparse did not notice; the message says why."""
