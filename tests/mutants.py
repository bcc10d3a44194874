# SPDX-License-Identifier: MIT
"""Break the core on purpose, in a copy, and see that the tests notice: ``python -m tests.mutants``.

Each mutant is one deliberate mistake, of the kind that a careless change or another implementation
would make. It counts as killed when the tests named with it fail, and they must pass without it. A
mutant that survives, hangs the tests, or whose text is not in the core any more, makes the run
fail: whoever changes the core takes its mutants along.
"""

import argparse
import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[1]
TIMEOUT_S = 300  # many times what the slowest tests here take on a busy machine


@dataclass(frozen=True, slots=True, kw_only=True)
class Mutant:
    """A mistake: in `module`, `before`, which stands there once, becomes `after`.

    `tests`: what pytest is to run, from the folder of the tests; those of the module by default.
    """

    name: str
    module: str
    before: str
    after: str
    tests: str = ""

    def text(self) -> str:
        """The module with the mistake in it; ValueError if it cannot be made."""
        path = PROJECT / "omnelog" / f"{self.module}.py"
        text = path.read_text()
        if text.count(self.before) != 1:
            raise ValueError(f"its text stands {text.count(self.before)} times in {path.name}")
        mutated = text.replace(self.before, self.after)
        try:
            compile(mutated, path.name, "exec")
        except SyntaxError as error:
            raise ValueError(f"with it {path.name} is no Python: {error}") from error
        return mutated


TESTS = {
    "appender": "test_appender.py test_reader.py test_lock.py",
    "codec": "test_codec.py test_events.py",
    "lock": "test_lock.py",
    "reader": "test_reader.py",
}
"""Those of each module."""

MUTANTS = [
    Mutant(
        name="no lock",
        module="lock",
        before="try_lock = partial(lock_descriptor, blocking=False)",
        after="try_lock = lambda fd: True",
    ),
    Mutant(
        name="unlock before the write",
        module="appender",
        before="                written = os.write(self._fd, data)\n",
        after="                unlock(self._fd); written = os.write(self._fd, data)\n",
        tests="test_lock.py test_appender.py",
    ),
    Mutant(
        name="the lock is kept after the append",
        module="appender",
        before="                unlock(self._fd)\n",
        after="",
    ),
    Mutant(
        name="line and newline in two writes",
        module="appender",
        before="written = os.write(self._fd, data)",
        after="written = os.write(self._fd, data[:-1]) + os.write(self._fd, data[-1:])",
    ),
    Mutant(
        name="no repair",
        module="appender",
        before="                    end = self._repair(end)\n",
        after="                    pass\n",
    ),
    Mutant(
        name="a whole event without its newline is quarantined",
        module="appender",
        before='if last in b"} \\t\\r" and',
        after="if False and",
    ),
    Mutant(
        name="any tail gets a newline",
        module="appender",
        before='if last in b"} \\t\\r" and _is_event(os.pread(self._fd, end - start, start)):',
        after="if True:",
    ),
    Mutant(
        name="no quarantine copy",
        module="appender",
        before="        _quarantine(self._file, start, end)\n",
        after="",
    ),
    Mutant(
        name="the quarantine is not synced before the cut",
        module="appender",
        before="        os.fsync(file.fileno())\n",
        after="",
    ),
    Mutant(
        name="the quarantine copies again what it ends with",
        module="appender",
        before="        if not _ends_with(file, size - 1, log, start, end):\n",
        after="        if True:\n",
    ),
    Mutant(
        name="a suffix of a quarantined line passes for the line",
        module="appender",
        before='if begin < 0 or (begin > 0 and os.pread(file.fileno(), 1, begin - 1) != b"\\n"):',
        after="if begin < 0:",
    ),
    Mutant(
        name="no roll-back",
        module="appender",
        before="                    os.ftruncate(self._fd, start + whole)\n",
        after="                    pass\n",
    ),
    Mutant(
        name="roll-back takes whole lines back",
        module="appender",
        before="os.ftruncate(self._fd, start + whole)",
        after="os.ftruncate(self._fd, start)",
    ),
    Mutant(
        name="roll-back cuts foreign bytes",
        module="appender",
        before="if not data.startswith(found) or (found != data and end != start + len(found)):",
        after="if False:",
    ),
    Mutant(
        name="a short write is retried from the start of the line",
        module="appender",
        before="memoryview(data)[written:]",
        after="memoryview(data)",
    ),
    Mutant(
        name="a short write passes for a whole one",
        module="appender",
        before="if written != len(data):",
        after="if False:",
    ),
    Mutant(
        name="no sync",
        module="appender",
        before="                if self.durable:\n",
        after="                if False:\n",
    ),
    Mutant(
        name="the way to the log is not synced",
        module="appender",
        before="self.path.parents[: 5 if self.durable else 0]",
        after="()",
    ),
    Mutant(
        name="a failed sync is forgotten",
        module="appender",
        before="            self._sync_failed = True",
        after="            self._sync_failed = False",
    ),
    Mutant(
        name="not appending to the end",
        module="appender",
        before="_FLAGS = os.O_RDWR | os.O_APPEND | os.O_CREAT",
        after="_FLAGS = os.O_RDWR | os.O_CREAT",
    ),
    Mutant(
        name="a FIFO is opened and waited for",
        module="lock",
        before="os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY",
        after="os.O_CLOEXEC",
    ),
    Mutant(
        name="a sleep past the deadline",
        module="lock",
        before="sleep(min(timeout_s - age_s, ",
        after="sleep(max(0.0, ",
    ),
    Mutant(
        name="growing backoff",
        module="lock",
        before="max(0.0005, 0.005 / (1 + 10 * age_s))",
        after="min(0.005, 0.0005 * (1 + 10 * age_s))",
    ),
    Mutant(
        name="descriptors stay open in a forked child",
        module="lock",
        before="        file.close()\n\n\nif",
        after="        pass\n\n\nif",
    ),
    Mutant(
        name="any bad tail is in flight",
        module="reader",
        before="            yield self._decode(tail, TornTailError)\n",
        after="            self.tail_in_flight = True\n",
    ),
    Mutant(
        name="a tail is read without the lock",
        module="reader",
        before="                self.lock(monotonic(), _PATIENCE_S)\n",
        after="                pass\n",
    ),
    Mutant(
        name="a tail is kept from before the lock",
        module="reader",
        before="                    end, size = self.extent()\n",
        after="",
    ),
    Mutant(
        name="a reader leaves the lock taken",
        module="reader",
        before="                    unlock(self.fileno())\n",
        after="                    pass\n",
    ),
    Mutant(
        name="damage is skipped",
        module="reader",
        before="isinstance(found, DeserializeError) and is_blank(line)",
        after="isinstance(found, DeserializeError)",
    ),
    Mutant(
        name="lines end at anything that may end a line",
        module="reader",
        before='block.split(b"\\n")',
        after='block.replace(b"\\r", b"\\n").split(b"\\n")',
    ),
    Mutant(
        name="a follower yields unterminated lines",
        module="reader",
        before="log.advance(log.extent()[0])",
        after="log.snapshot()",
    ),
    Mutant(
        name="duplicate keys are taken",
        module="codec",
        before="if len(members) != len(pairs):",
        after="if False:",
    ),
    Mutant(
        name="NaN is taken",
        module="codec",
        before='    raise ValueError(f"{constant} is not JSON")',
        after="    return float(constant)  # type: ignore",
    ),
    Mutant(
        name="lone surrogates are taken",
        module="codec",
        before='if "\\\\ud" in text or "\\\\uD" in text:',
        after="if False:",
    ),
    Mutant(
        name="any nesting is taken",
        module="codec",
        before='if text.count("{") + text.count("[") > _MAX_NESTING:',
        after="if False:",
    ),
    Mutant(
        name="a bool passes for an integer",
        module="codec",
        before="elif _exactly(where, int, value) not in",
        after="elif value not in",
    ),
]


def run_tests(tests: str, module: str = "", text: str = "") -> tuple[int | None, str]:
    """Run `tests` on a copy of the project, with `text` as that module: exit code, last words.

    None instead of the exit code: they took too long.
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
        command = [sys.executable, "-m", "pytest", *options]
        process = subprocess.Popen(
            command + [f"tests/{test}" for test in shlex.split(tests)],
            cwd=copy,
            env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,  # to end what the tests started with them
        )
        try:
            said, _ = process.communicate(timeout=TIMEOUT_S)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
            return None, f"it takes longer than {TIMEOUT_S} s"
        output = said.strip().splitlines() or [""]
        failed = [line for line in output if line.startswith(("FAILED", "ERROR"))]
        return process.returncode, (failed or output)[-1][:100]


def killed(mutant: Mutant) -> tuple[bool, str]:
    """Whether the tests fail for the mistake, and what they say."""
    try:
        text = mutant.text()
    except ValueError as error:
        return False, str(error)
    code, said = run_tests(mutant.tests or TESTS[mutant.module], mutant.module, text)
    return code == pytest.ExitCode.TESTS_FAILED, said


def run(mutants: Sequence[Mutant]) -> tuple[int, int]:
    """Try all `mutants`, saying how each fares: how many were killed, and of how many."""
    sound = sorted({mutant.tests or TESTS[mutant.module] for mutant in mutants})
    dead = 0
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for tests, (code, said) in zip(sound, pool.map(run_tests, sound), strict=True):
            if code != pytest.ExitCode.OK:
                print(f"without any mutant, {tests} does not pass: {said}")
                return 0, len(mutants)
        for mutant, (is_dead, said) in zip(mutants, pool.map(killed, mutants), strict=True):
            dead += is_dead
            print(f"{'killed  ' if is_dead else 'SURVIVED'}  {mutant.name}: {said}", flush=True)
    return dead, len(mutants)


def main() -> int:
    """Run all mutants, or those whose names hold one of the words given; 1 if any survives."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__)
    parser.add_argument("words", nargs="*", help="run only mutants with one of these in their name")
    words = parser.parse_args().words
    chosen = [m for m in MUTANTS if not words or any(word in m.name for word in words)]
    dead, tried = run(chosen)
    print(f"{dead} of {tried} mutants killed")
    return int(dead != tried or not tried)


if __name__ == "__main__":
    sys.exit(main())
