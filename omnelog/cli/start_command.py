# SPDX-License-Identifier: MIT
"""Start a command in the same environment as if it had been started instead of us.

The command has every descriptor that we inherited, because those are inheritable, and none that we
opened, because those are not. It ignores the signals that were ignored when we started. The program
is found as execvp(3) finds it, and a script without ``#!`` runs in a shell.
"""

import errno
import os
import signal
import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import NoReturn

_SHELL = "/bin/sh"
_SAMPLE = 80  # bytes in which a shell looks for a NUL: a program has one, and a script does not

_RESTORED = (signal.SIGPIPE, signal.SIGXFSZ)
"""Python ignores these two when it starts, so it is not known whether they were ignored before. The
command has their default action."""


def spawn(
    command: Sequence[str],
    environment: Mapping[str, str],
    stdout: int,
    stderr: int,
    *,
    own_group: bool,
    ignores_children: bool,
) -> int:
    """Start `command` with its output going to the given descriptors; return its process id.

    `own_group`: whether it gets a process group of its own. `ignores_children`: whether SIGCHLD was
    ignored when we started. Raises OSError, with the program as its filename if the program is at
    fault.
    """
    activated = is_activated(environment)
    report, reported = os.pipe()
    pid = fork()
    if pid == 0:
        try:
            if own_group:
                os.setpgid(0, 0)
            os.dup2(stdout, 1)
            os.dup2(stderr, 2)
            become(
                *(command, environment, reported),
                activated=activated,
                ignores_children=ignores_children,
            )
        finally:
            os._exit(127)
    os.close(reported)
    try:
        raise_start_error(report, command[0])
    except OSError:
        os.waitpid(pid, 0)
        raise
    return pid


def fork() -> int:
    """Fork, as os.fork does.

    posix_spawn(3) is quicker, but glibc's leaves signal 33 ignored in the program it starts.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # other threads do not matter to exec
        return os.fork()


def raise_start_error(report: int, program: str) -> None:
    """Read the error that `become` wrote to the pipe, and close it. Raises OSError if it failed."""
    with open(report, "rb", buffering=0) as file:
        failure = file.read(64)
    if failure:
        raise _start_error(int(failure), program)


def become(
    command: Sequence[str],
    environment: Mapping[str, str],
    reported: int,
    *,
    activated: bool,
    ignores_children: bool,
) -> None:
    """Replace this forked process by `command`. If that fails, write the errno to `reported`.

    `activated`: whether sockets were passed to us. `ignores_children`: as for `spawn`.
    """
    own = dict(environment)
    if activated:
        own["LISTEN_PID"] = str(os.getpid())
    for signum in _RESTORED:
        signal.signal(signum, signal.SIG_DFL)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN if ignores_children else signal.SIG_DFL)

    try:
        _exec_any(command, own)
    except OSError as error:
        os.write(reported, b"%d" % (error.errno or errno.EINVAL))


def is_activated(environment: Mapping[str, str]) -> bool:
    """Return whether systemd, or another program, has passed sockets to this process."""
    return environment.get("LISTEN_PID") == str(os.getpid())


def _exec_any(command: Sequence[str], environment: Mapping[str, str]) -> NoReturn:
    """Replace this process by the first program of that name that can be run. Raises OSError."""
    reason = errno.ENOENT
    for path in _candidates(command[0], environment):
        try:
            os.execve(path, tuple(command), environment)
        except OSError as error:
            if error.errno == errno.ENOEXEC and _is_script(path):
                os.execve(_SHELL, (_SHELL, path, *command[1:]), environment)
            if error.errno not in (errno.ENOENT, errno.ENOTDIR, errno.EACCES):
                raise
            if error.errno == errno.EACCES:
                reason = errno.EACCES
    raise OSError(reason, os.strerror(reason))


def _candidates(program: str, environment: Mapping[str, str]) -> Iterator[str]:
    """Yield the paths that `program` may mean, in the order in which they are tried."""
    if "/" in program or not program:
        yield program
        return
    for directory in os.get_exec_path(environment):
        path = os.path.join(directory, program)
        if os.path.lexists(path):
            yield path


def _is_script(path: str) -> bool:
    try:
        with open(path, "rb") as file:
            first_line, _, _ = file.read(_SAMPLE).partition(b"\n")
    except OSError:
        return False
    return b"\0" not in first_line


def _start_error(number: int, program: str) -> OSError:
    """Return the error with this errno; it names the program if the program is at fault."""
    ours = (errno.EAGAIN, errno.ENOMEM, errno.EMFILE, errno.ENFILE)
    reason = os.strerror(number)
    return OSError(number, reason) if number in ours else OSError(number, reason, program)
