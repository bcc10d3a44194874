# SPDX-License-Identifier: MIT
"""Starting a command: it finds everything as it would have if it had been started in our place.

It has every descriptor that we inherited, for those are inheritable, and none of ours, for those
are not. It ignores what we ignored. The program is looked for as execvp(3) does, and a script
without ``#!`` runs in a shell.
"""

import errno
import os
import signal
import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import NoReturn

_SHELL = "/bin/sh"
_SAMPLE = 80  # bytes in which a shell looks for NUL, which a program has and a script has not

_RESTORED = (signal.SIGPIPE, signal.SIGXFSZ)
"""Python ignores these two when it starts, so whether they were ignored before is not known."""


def spawn(
    command: Sequence[str],
    environment: Mapping[str, str],
    stdout: int,
    stderr: int,
    *,
    own_group: bool,
    ignores_children: bool,
) -> int:
    """Start `command` with its output going to the descriptors given; return its process id.

    `own_group`: in a process group of its own. `ignores_children`: SIGCHLD was ignored when we
    started. Raises OSError, with the program as its filename where the program is at fault.
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
    """Read, and close, what `become` wrote to the other end. Raises OSError if it failed."""
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
    """Replace this forked process by `command`; if that fails write the errno to `reported`."""
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
    """Whether sockets were passed to this very process, as systemd does it."""
    return environment.get("LISTEN_PID") == str(os.getpid())


def _exec_any(command: Sequence[str], environment: Mapping[str, str]) -> NoReturn:
    """Become the first program of that name that can be run. Raises OSError."""
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
    """The paths that `program` may mean, the first to be tried first."""
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
    """The error that the system gave, naming the program if that is at fault."""
    ours = (errno.EAGAIN, errno.ENOMEM, errno.EMFILE, errno.ENFILE)
    reason = os.strerror(number)
    return OSError(number, reason) if number in ours else OSError(number, reason, program)
