# SPDX-License-Identifier: MIT
"""Run strace: attach it to a running adapter, parse the calls that it reports, and inject faults.

Only calls on watched paths are seen and counted. The watched paths have labels. The pipe on which
the adapter answers is among them, which shows which calls come before the answer.
"""

import os
import re
import selectors
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Literal, Self

from ..process import Adapter, AdapterFailure

ANSWER = "answer"
"""The label of the pipe on which the adapter answers."""

_KINDS = {
    "open": "open openat openat2 creat",
    "read": "read pread64 readv preadv preadv2 getdents64 getdents",
    "write": "write pwrite64 writev pwritev pwritev2 copy_file_range sendfile splice",
    "cut": "ftruncate truncate",
    "sync": "fsync fdatasync",
    "seek": "lseek",
    "look": "stat lstat fstat newfstatat fstatat64 statx access faccessat faccessat2",
    "lock": "flock",
    "close": "close close_range",
    "mkdir": "mkdir mkdirat",
    "move": "rename renameat renameat2 link linkat unlink unlinkat symlink symlinkat",
}
KIND_OF = {name: kind for kind, names in _KINDS.items() for name in names.split()}
_LINE = re.compile(
    r"(?P<name>\w+)\((?P<arguments>.*)\)\s+= (?P<result>-?\d+|0x[0-9a-f]+|\?)(?P<rest>.*)",
    re.DOTALL,
)
_PID = re.compile(r"\[pid +(\d+)\] ")
_ATTACH_S = 10  # seconds for strace to attach or to exit
_REMEDY = "allow ptrace, for example as root or with CAP_SYS_PTRACE"
_LAUNCHER = Path(__file__).with_name("launch.py")


class Unavailable(Exception):
    """strace is missing, or the system does not let it trace."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A system call on a watched path. `number`: from 1, among the calls of the same name."""

    name: str
    number: int
    label: str
    arguments: str
    result: int | None  # None if the call did not return
    injected: bool

    @property
    def kind(self) -> str:
        """What the call does; calls of several names may be of one kind."""
        if self.label == ANSWER:
            return ANSWER
        kind = KIND_OF.get(self.name, self.name)
        return "unlock" if kind == "lock" and "LOCK_UN" in self.arguments else kind

    @property
    def id(self) -> str:
        """The name of the call in the ids of cases."""
        return f"{self.name}-{self.number}-{self.label}"

    def __str__(self) -> str:
        result = "?" if self.result is None else self.result
        fault = " (injected)" if self.injected else ""
        return f"{self.name}({self.label}: {self._shown()}) = {result}{fault}"

    def _shown(self) -> str:
        shown = re.sub(r"<[^>]*>|\"/[^\"]*\"", "", self.arguments)
        return shown if len(shown) <= 60 else shown[:60] + "…"


Event = Call | Literal["stopped", "ended"]


class Tracer:
    """A context manager: strace traces a running adapter until the end of the ``with``.

    `watched`: the label of each path. `injections`: what ``-e inject=`` takes. Raises Unavailable.
    """

    def __init__(
        self, adapter: Adapter, watched: Mapping[str, str], injections: Sequence[str] = ()
    ) -> None:
        self.prepare({**watched, adapter.output: ANSWER})
        command = ["strace", "-f", "-y", "-s", "4"]
        for path in self._labels:
            command += ["-P", path]
        for injection in injections:
            command += ["-e", f"inject={injection}"]
        pids = adapter.pids()
        for pid in pids:
            command += ["-p", str(pid)]
        self._waiting_for = len(pids)
        self._process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
        )
        assert self._process.stderr is not None
        self._output = self._process.stderr

    def prepare(self, labels: Mapping[str, str]) -> None:
        """Get ready to parse what strace prints. `labels`: the label of each watched path."""
        self._labels = dict(labels)
        self._counts: Counter[tuple[str, str]] = Counter()
        self._unfinished: dict[str, str] = {}
        self._buffer = b""
        self.calls: list[Call] = []

    def __enter__(self) -> Self:
        try:
            deadline = monotonic() + _ATTACH_S
            while self._waiting_for:
                line = self._line(deadline)
                if line is None:
                    raise Unavailable(f"strace cannot attach: {self._status()}; {_REMEDY}")
                if " attached" in line:
                    self._waiting_for -= 1
                elif "ptrace" in line:
                    raise Unavailable(f"{line}; {_REMEDY}")
                elif "strace:" in line:
                    raise Unavailable(line)
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._end()

    def _status(self) -> str:
        return f"it left with status {self._process.wait(_ATTACH_S)}"

    def _end(self) -> None:
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(_ATTACH_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self._output.close()

    def _line(self, deadline: float) -> str | None:
        """Return the next line, or None at the end. Raises AdapterFailure after `deadline`."""
        with selectors.DefaultSelector() as selector:
            selector.register(self._output, selectors.EVENT_READ)
            while b"\n" not in self._buffer:
                if not selector.select(max(0.0, deadline - monotonic())):
                    raise AdapterFailure("did not answer within the time limit")
                block = os.read(self._output.fileno(), 1 << 16)
                if not block:
                    return None
                self._buffer += block
        line, _, self._buffer = self._buffer.partition(b"\n")
        return line.decode(errors="replace")

    def events(self, limit_s: float) -> Iterator[Event]:
        """Yield what the adapter does, as it happens, until it ends. `calls` collects the calls.

        Raises AdapterFailure after `limit_s`.
        """
        deadline = monotonic() + limit_s
        while True:
            line = self._line(deadline)
            if line is None:
                yield "ended"
                return
            event = self.understood(line)
            if event is not None:
                yield event
            if event == "ended":
                return

    def understood(self, line: str) -> Event | None:
        """Return the event that a line of strace's output reports, or None."""
        prefix = _PID.match(line)
        pid = prefix[1] if prefix else ""
        line = line[prefix.end() :] if prefix else line
        if line.startswith("--- stopped by SIGSTOP"):
            return "stopped"
        if line.startswith("+++ ") and not pid:
            return "ended"
        call = self._call(line, pid)
        if call is not None:
            self.calls.append(call)
        return call

    def _call(self, line: str, pid: str) -> Call | None:
        if line.endswith("<unfinished ...>"):
            self._unfinished[pid] = line.removesuffix("<unfinished ...>")
            return None
        resumed = re.match(r"<\.\.\. \w+ resumed>", line)
        if resumed:
            line = self._unfinished.pop(pid, "") + line[resumed.end() :]
        match = _LINE.match(line)
        if match is None:
            return None
        name, arguments = match["name"], match["arguments"]
        self._counts[name, pid] += 1
        result = None if match["result"] == "?" else int(match["result"], 0)
        return Call(
            name=name,
            number=self._counts[name, pid],
            label=self._label(name, arguments),
            arguments=arguments,
            result=result,
            injected="(INJECTED)" in match["rest"],
        )

    def _label(self, name: str, arguments: str) -> str:
        """Return the label of the file that the arguments of a call name, or ``?``."""
        directory = re.match(r"(?:AT_FDCWD|\d+)<([^>]*)>, \"([^\"]+)\"", arguments)
        if directory and KIND_OF.get(name) not in ("read", "write"):
            path = os.path.join(directory[1], directory[2])
        else:
            first = re.match(r"\d+<([^>]*)>|\"([^\"]*)\"", arguments)
            path = (first[1] or first[2] or "") if first else ""
        found = self._labels.get(path)
        if found is None:  # the call names two files, or one that no longer exists
            found = next((label for p, label in self._labels.items() if p in arguments), "?")
        return found


def version() -> str:
    """Return the version of strace. Raises Unavailable."""
    if not sys.platform.startswith("linux"):
        raise Unavailable(f"strace is for Linux, and this is {sys.platform}")
    if shutil.which("strace") is None:
        raise Unavailable("strace is not installed; install it")
    done = subprocess.run(["strace", "-V"], capture_output=True, text=True, check=False)
    found = re.search(r"version (\S+)", done.stdout)
    return found[1] if found else "unknown"


def traceable(command: Sequence[str]) -> list[str]:
    """Return `command`, run by launch.py if Yama would otherwise not let strace attach."""
    try:
        scope = Path("/proc/sys/kernel/yama/ptrace_scope").read_text().strip()
    except OSError:
        return list(command)
    if scope != "1" or os.geteuid() == 0:
        return list(command)
    return [sys.executable, "-I", "-S", str(_LAUNCHER), *command]


def check(adapter: Adapter, root: Path) -> None:
    """Check that strace can trace and inject here. Raises Unavailable."""
    watched = {str(root): "root"}
    with Tracer(adapter, watched, ["openat,open,mkdir,mkdirat:error=EIO:when=1"]) as tracer:
        request = {"op": "read", "root": str(root / "none"), "run_id": "r"}
        adapter.send(request)
        for event in tracer.events(_ATTACH_S):
            if event == "ended" or (isinstance(event, Call) and event.label == ANSWER):
                break
        else:
            raise Unavailable("strace reports nothing of the adapter")
        adapter.receive()
