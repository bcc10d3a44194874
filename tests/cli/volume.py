# SPDX-License-Identifier: MIT
"""A volume for tests, and two ways to call the command: in this process, or as a new process."""

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from io import BytesIO, TextIOWrapper
from pathlib import Path
from types import TracebackType
from typing import IO, TypeAlias
from unittest.mock import patch

import pytest

from .. import omnelog

main = import_module(f"{omnelog.__name__}.cli").main

RUN = "feature-01kpfntqeej7vhn935kc0tm9vn"
WATCHDOG_S = 60.0  # a process that takes longer counts as hanging; nothing is measured

Stream: TypeAlias = int | IO[bytes] | None


@dataclass(frozen=True)
class Said:
    """How a call ended and what it wrote. `err` has surrogates for bytes that are not UTF-8."""

    status: int
    out: bytes
    err: str

    @property
    def run_id(self) -> str:
        """The id of the run that `record --pipe` says it has begun."""
        found = re.search(r"^run_id=(\S+)$", self.err, re.MULTILINE)
        assert found, self.err
        return found[1]


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Let flock(1) hold the lock of the log at `path` until the end of the block."""
    with Process(
        ["flock", str(path), "sh", "-c", "echo locked; read go"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as flock:
        assert flock.stdout
        assert flock.stdout.readline() == b"locked\n"
        yield
        flock.communicate(b"go\n")


def powerless() -> tuple[str, ...]:
    """A prefix with which permissions apply to a command even if we are root."""
    without = ("setpriv", "--bounding-set=-dac_override,-dac_read_search")
    return without if os.getuid() == 0 else ()


class Process(subprocess.Popen[bytes]):
    """A process that is killed if its test fails, because it might never end by itself."""

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if value is not None:
            self.kill()
        super().__exit__(kind, value, traceback)


class Volume:
    """A new volume. Processes run in its directory, with `omnelog` on their PATH."""

    def __init__(self, root: Path, capfd: pytest.CaptureFixture[bytes]) -> None:
        self.root, self._capfd = root, capfd
        (root / ".omne").mkdir()
        self.command = root / "bin" / "omnelog"
        self.command.parent.mkdir()
        python = shlex.join([sys.executable, "-m", omnelog.__name__])
        self.command.write_text(f'#!/bin/sh\nexec {python} "$@"\n')
        self.command.chmod(0o755)

    def call(self, *words: str, given: bytes = b"") -> Said:
        """Call `main` in this process."""
        self._capfd.readouterr()
        with patch.object(sys, "stdin", TextIOWrapper(BytesIO(given))):
            status = main(words)
        sys.stdout.flush()
        out, err = self._capfd.readouterr()
        return Said(status, out, err.decode(errors="surrogateescape"))

    def environment(self) -> dict[str, str]:
        """An environment in which a process finds the command and the package under test."""
        paths = {
            "PATH": f"{self.command.parent}:{os.environ['PATH']}",
            "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
        }
        return os.environ | paths

    def start(
        self,
        *words: str,
        prefix: tuple[str, ...] = (),
        stdin: Stream = subprocess.PIPE,
        stdout: Stream = subprocess.PIPE,
        stderr: Stream = subprocess.PIPE,
    ) -> Process:
        """Start the command as a process, in the volume."""
        return Process(
            [*prefix, sys.executable, "-m", omnelog.__name__, *words],
            cwd=self.root,
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            env=self.environment(),
        )

    def run(
        self,
        *words: str,
        prefix: tuple[str, ...] = (),
        given: bytes = b"",
        stdout: Stream = subprocess.PIPE,
    ) -> Said:
        """Run the command as a process to its end."""
        with self.start(*words, prefix=prefix, stdout=stdout) as process:
            return finish(process, given)

    def shell(self, script: str) -> Said:
        """Run a shell script that finds the command as ``omnelog``."""
        done = subprocess.run(
            ["sh", "-c", script],
            cwd=self.root,
            env=self.environment(),
            input=b"",
            capture_output=True,
            check=False,
            timeout=WATCHDOG_S,
        )
        return Said(done.returncode, done.stdout, done.stderr.decode(errors="surrogateescape"))

    def log(self, run_id: str = RUN) -> Path:
        """Make the directory of a run; return the path of its log."""
        path = Path(omnelog.events_log_path(self.root, run_id))
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def write(self, *events: "omnelog.Event | bytes", run_id: str = RUN) -> Path:
        """Make a run whose log holds `events`. Bytes are written as they are."""
        path = self.log(run_id)
        path.write_bytes(b"".join(e if isinstance(e, bytes) else omnelog.encode(e) for e in events))
        return path

    def events(self, run_id: str) -> list["omnelog.Event"]:
        """All events of a run, whose log must be sound."""
        return omnelog.read_run(self.root, run_id)

    def types(self, run_id: str) -> list[str]:
        """The types of all events of a run, whose log must be sound."""
        return [event.type for event in self.events(run_id)]

    def runs(self) -> list[str]:
        """The ids of all runs."""
        return omnelog.enumerate_runs(self.root)

    def capture(self, run_id: str, node_id: str) -> bytes:
        """The captured output of a node."""
        return (self.root / omnelog.node_capture_wire_path(run_id, node_id)).read_bytes()


def finish(process: subprocess.Popen[bytes], given: bytes = b"") -> Said:
    """Give a process its input, and wait for its end; return how it ended and what it wrote."""
    try:
        out, err = process.communicate(given or None, timeout=WATCHDOG_S)
    except subprocess.TimeoutExpired:
        process.kill()
        raise
    return Said(process.returncode, out or b"", (err or b"").decode(errors="surrogateescape"))


def started(run_id: str = RUN) -> "omnelog.PipeStarted":
    """The first event of a run."""
    return omnelog.PipeStarted(**_head(run_id, "n"), pipe="feature", inputs=[], distro_version="1")


def completed(run_id: str = RUN) -> "omnelog.PipeCompleted":
    """The last event of a run that was completed."""
    return omnelog.PipeCompleted(**_head(run_id, "p"))


def aborted(run_id: str = RUN) -> "omnelog.PipeAborted":
    """The last event of a run that was aborted."""
    return omnelog.PipeAborted(**_head(run_id, "q"), reason="given up")


def _head(run_id: str, last: str) -> dict[str, str]:
    return {
        "id": f"01kpfntqeej7vhn935kc0tm9v{last}",
        "ts": "2026-01-31T23:59:59Z",
        "run_id": run_id,
    }
