# SPDX-License-Identifier: MIT
"""Run tests on a copy of the project in which one module may have another text.

The threads of `parallel_runs` do several such runs at once. Ctrl-C ends all of them.
"""

import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Event

PROJECT = Path(__file__).parents[2]
TIMEOUT_S = 300  # many times what the slowest tests here take on a busy machine

_running: set["subprocess.Popen[str]"] = set()
_interrupted = Event()


@contextmanager
def parallel_runs(jobs: int) -> Iterator[ThreadPoolExecutor]:
    """Yield a pool of threads to call `run_tests`. An interrupt ends the tests that run."""
    _interrupted.clear()
    with ThreadPoolExecutor(jobs) as pool:
        try:
            yield pool
        except KeyboardInterrupt:
            pool.shutdown(wait=False, cancel_futures=True)
            _interrupted.set()  # for a thread whose process is not in `_running` yet
            for process in _running.copy():
                _kill(process)
            raise


def _kill(process: "subprocess.Popen[str]") -> None:
    """End a run of tests, and the processes that it started."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def run_tests(
    tests: str, module: str = "", text: str = "", timeout_s: float = TIMEOUT_S
) -> tuple[int | None, str]:
    """Run `tests` on a copy of the project, in which `text` is the text of `module`.

    Return the exit code, which is None if the tests took too long, and the last line of the output.
    Hypothesis tries the same examples every time.
    """
    with tempfile.TemporaryDirectory(prefix="omnelog-mutant-") as name:
        copy = Path(name)
        for part in ("omnelog", "tests"):
            ignore = shutil.ignore_patterns("__pycache__")
            shutil.copytree(PROJECT / part, copy / part, ignore=ignore)
        shutil.copy(PROJECT / "pyproject.toml", copy)
        if module:
            (copy / "omnelog" / f"{module}.py").write_text(text)
        options = ["-x", "-q", "--no-header", "-p", "no:cacheprovider", "-p", "no:xdist"]
        command = [sys.executable, "-m", "pytest", *options, f"--basetemp={copy / 'tmp'}"]
        brief = {name: of for name, of in os.environ.items() if not name.startswith("OMNELOG_")}
        process = subprocess.Popen(
            command + [f"tests/{test}" for test in shlex.split(tests)],
            cwd=copy,
            env={**brief, "PYTHONDONTWRITEBYTECODE": "1", "HYPOTHESIS_PROFILE": "repeatable"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,  # so that `_kill` also ends what the tests started
        )
        _running.add(process)
        if _interrupted.is_set():
            _kill(process)
        try:
            said, _ = process.communicate(timeout=timeout_s)
        except subprocess.TimeoutExpired:
            _kill(process)
            process.communicate()
            return None, f"took longer than {timeout_s} s"
        finally:
            _running.discard(process)
        output = said.strip().splitlines() or [""]
        failed = [line for line in output if line.startswith(("FAILED", "ERROR"))]
        return process.returncode, (failed or output)[-1][:100]
