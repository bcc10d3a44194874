# SPDX-License-Identifier: MIT
"""An adapter as a process. Every request has a time limit, and the process is always ended.

If an adapter dies, hangs or answers with something that is not a response, AdapterFailure is
raised. If the adapter died or hung, the message has the end of its standard error. Nothing here
waits without a limit.
"""

import json
import os
import resource
import selectors
import shlex
import signal
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from time import monotonic
from typing import Any

Json = dict[str, Any]  # Any: the vector judges the content of a response

PROTOCOL = 1
_LAST_WORDS = 2000  # bytes of standard error that a failure shows
_GRACE_S = 3  # seconds for a process to end after quit, before it is killed


class AdapterFailure(Exception):
    """The adapter did not answer as the protocol requires."""


class NotStarted(AdapterFailure):
    """The program does not exist, or it cannot be run."""


class Adapter:
    """A running adapter. `command`: its argument list.

    `file_size_limit`: the size in bytes beyond which the system does not let the adapter extend a
    file (RLIMIT_FSIZE). A write beyond it is cut short and the next one fails; SIGXFSZ is ignored.
    `umask`: the umask of the adapter. `listen` is called with each line of the conversation, with
    ``>`` before a request and ``<`` before a response.
    """

    def __init__(
        self,
        command: Sequence[str],
        limit_s: float,
        *,
        file_size_limit: int | None = None,
        umask: int = 0o022,
        listen: Callable[[str], None] | None = None,
    ) -> None:
        self._limit_s = limit_s
        self._listen = listen
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - closed by kill
        self._received = b""
        self._owed = 0
        self._introduced = False
        try:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._errors,
                bufsize=0,
                umask=umask,
                start_new_session=True,  # Ctrl-C reaches only the runner, which ends all adapters
                restore_signals=False,  # Python ignores SIGXFSZ; the adapter inherits that
            )
        except OSError as error:
            self._errors.close()
            raise NotStarted(
                f"{shlex.join(command)}: cannot be started: {error.strerror}; check the command"
            ) from error
        if file_size_limit is not None:
            self.limit_file_size(file_size_limit)
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._stdin, self._stdout = self._process.stdin, self._process.stdout
        os.set_blocking(self._stdin.fileno(), False)
        os.set_blocking(self._stdout.fileno(), False)
        try:
            self.about = self.ask({"op": "hello", "protocol": PROTOCOL})
            self._check_hello()
            self._introduced = True
        except BaseException:
            self.kill()
            raise

    def _check_hello(self) -> None:
        about = self.about
        capabilities = about.get("capabilities")
        if not about.get("ok") or about.get("protocol") != PROTOCOL:
            raise AdapterFailure(f"does not speak protocol {PROTOCOL}: {_short(about)}")
        if not isinstance(capabilities, list) or not {str} >= {type(c) for c in capabilities}:
            raise AdapterFailure(f"hello has no list of capabilities: {_short(about)}")

    def ask(self, request: Json, patience_s: float = 0) -> Json:
        """Return the response to `request`. It may take `patience_s` seconds longer than the limit.

        Raises AdapterFailure.
        """
        self.send(request)
        return self.receive(patience_s)

    def send(self, request: Json) -> None:
        """Send a request whose response `receive` returns later. Raises AdapterFailure."""
        self._see_that_nothing_is_unasked()
        text = json.dumps(request)
        if self._listen:
            self._listen(f"> {text}")
        data = memoryview(text.encode() + b"\n")
        deadline = monotonic() + self._limit_s
        self._owed += 1
        while data:
            self._wait(self._stdin, selectors.EVENT_WRITE, deadline, "did not read the request")
            try:
                data = data[os.write(self._stdin.fileno(), data) :]
            except BrokenPipeError:
                return  # `receive` will report that the adapter died, with its standard error

    def _see_that_nothing_is_unasked(self) -> None:
        if self._owed or not self._introduced:
            return  # what can be read now may be the response to an earlier request
        with suppress(BlockingIOError):
            self._received += os.read(self._stdout.fileno(), 1 << 16)
        if self._received:
            raise AdapterFailure(f"answers something that was not asked: {self._received[:200]!r}")

    def fence(self) -> None:
        """Check that every request got exactly one response, and no second one later.

        The check sends an op that does not exist. The next response must be the answer to that op.
        Raises AdapterFailure.
        """
        response = self.ask({"op": "fence"})
        if response["ok"] or response["error"].get("kind") != "Unsupported":
            raise AdapterFailure(
                "answered twice, or did not answer an unknown op with Unsupported: "
                f"{_short(response)}"
            )

    def receive(self, patience_s: float = 0) -> Json:
        """Return the next response. Raises AdapterFailure."""
        deadline = monotonic() + self._limit_s + patience_s
        while b"\n" not in self._received:
            self._wait(self._stdout, selectors.EVENT_READ, deadline, "did not answer")
            block = os.read(self._stdout.fileno(), 1 << 16)
            if not block:
                raise self._dead()
            self._received += block
        line, _, self._received = self._received.partition(b"\n")
        self._owed -= 1
        if self._listen:
            self._listen(f"< {line.decode(errors='replace')}")
        try:
            response = json.loads(line)
        except ValueError as error:
            raise AdapterFailure(f"its answer is not JSON ({error}): {line[:200]!r}") from error
        if not isinstance(response, dict) or not isinstance(response.get("ok"), bool):
            raise AdapterFailure(
                f'its answer is not an object with a boolean "ok": {_short(response)}'
            )
        if not response["ok"] and not isinstance(response.get("error"), dict):
            raise AdapterFailure(f"answers not ok without an error: {_short(response)}")
        return response

    def _wait(self, file: Any, event: int, deadline: float, what: str) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(file, event)
            if not selector.select(max(0.0, deadline - monotonic())):
                raise AdapterFailure(f"{what} within the time limit{self._last_words()}")

    def _dead(self) -> AdapterFailure:
        try:
            what = f"died (exit status {self._process.wait(_GRACE_S)})"
        except subprocess.TimeoutExpired:
            what = "closed its output but still runs"
        return AdapterFailure(f"{what}{self._last_words()}")

    def _last_words(self) -> str:
        end = self._errors.seek(0, os.SEEK_END)
        self._errors.seek(max(0, end - _LAST_WORDS))
        words = self._errors.read().decode(errors="replace").strip()
        return f"; it said: {words}" if words else ""

    @property
    def idle(self) -> bool:
        """Whether the adapter runs and has answered every request, some perhaps more than once."""
        return self._process.poll() is None and not self._owed

    @property
    def alive(self) -> bool:
        """Whether the adapter can be asked: it runs and has answered every request exactly once."""
        return self.idle and not self._received

    @property
    def ended(self) -> bool:
        """Whether `kill` has ended the adapter."""
        return self._stdout.closed

    @property
    def output(self) -> str:
        """The name that the system gives to the pipe on which the adapter answers."""
        return os.readlink(f"/proc/self/fd/{self._stdout.fileno()}")

    def pids(self) -> list[int]:
        """Return the ids of the adapter's process and of those that it started. Linux only."""
        numbers = (int(name) for name in os.listdir("/proc") if name.isdecimal())
        return [pid for pid in numbers if self.owns(pid)]

    def limit_file_size(self, limit: int = resource.RLIM_INFINITY) -> None:
        """Limit the files that the adapter writes to `limit` bytes from now on. Linux only."""
        for pid in self.pids():
            with suppress(ProcessLookupError):
                resource.prlimit(pid, resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))

    def resume(self) -> None:
        """Let the adapter continue after SIGSTOP."""
        self._signal(signal.SIGCONT)

    def owns(self, pid: int) -> bool:
        """Return whether `pid` is this adapter, or a process that it started."""
        try:
            return os.getsid(pid) == self._process.pid
        except ProcessLookupError:
            return False

    def quit(self) -> int | None:
        """Ask the adapter to exit; return its exit status, or None if it had to be killed."""
        try:
            if self.alive:
                self.ask({"op": "quit"})
                return self._process.wait(_GRACE_S)
        except (AdapterFailure, subprocess.TimeoutExpired):
            pass
        finally:
            self.kill()
        return None

    def leave(self) -> None:
        """Check that the adapter exits at the end of its input. Raises AdapterFailure."""
        self._stdin.close()
        try:
            self._process.wait(_GRACE_S)
        except subprocess.TimeoutExpired:
            raise AdapterFailure("does not leave at the end of its input") from None

    def strike(self) -> None:
        """Kill the process from another thread. The thread that asks the adapter calls `kill`."""
        self._signal(signal.SIGKILL)

    def _signal(self, signum: signal.Signals) -> None:
        """Send a signal to the adapter and the processes that it started, unless it has ended."""
        if self._process.poll() is None:  # otherwise its number may belong to another process
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signum)

    def kill(self) -> None:
        """End the adapter and the processes that it started, at once, with SIGKILL."""
        if not self._stdout.closed:
            self._signal(signal.SIGKILL)
            with suppress(subprocess.TimeoutExpired):  # it hangs in a system call
                self._process.wait(_GRACE_S)
            for file in (self._stdin, self._stdout, self._errors):
                file.close()


class Adapters:
    """Running adapters, by the role that each of them plays."""

    def __init__(self) -> None:
        self._running: dict[str, Adapter] = {}

    def interrupt(self) -> None:
        """Kill all adapters from another thread. A thread that asks one gets an AdapterFailure."""
        for adapter in list(self._running.values()):
            adapter.strike()

    def end(self) -> None:
        """End all adapters. They can be started again."""
        for adapter in self._running.values():
            adapter.kill()
        self._running.clear()


def see_manners(command: Sequence[str], limit_s: float) -> Json:
    """Check that an adapter starts, exits when it is asked, and exits at the end of its input.

    Returns its response to hello. Raises AdapterFailure.
    """
    adapter = Adapter(command, limit_s)
    status = adapter.quit()
    if status != 0:
        how = (
            "did not answer and leave"
            if status is None
            else f"left with exit status {status}, not 0"
        )
        raise AdapterFailure(f"after quit it {how}")
    other = Adapter(command, limit_s)
    try:
        other.leave()
    finally:
        other.kill()
    return adapter.about


def _short(value: object) -> str:
    text = json.dumps(value)
    return text if len(text) <= 300 else text[:300] + "…"
