# SPDX-License-Identifier: MIT
"""Break the core on purpose, in a copy, and see that the tests notice: ``python -m tests.mutants``.

Each mutant is one deliberate mistake, of the kind that a careless change or another implementation
would make. It counts as killed when the tests named with it fail, and they must pass without it. A
mutant that survives, or whose text is not in the core any more, makes the run fail.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

PROJECT = Path(__file__).parents[1]
TIMEOUT_S = 300  # ten times what the tests take: a mutant that hangs the tests is noticed, too


@dataclass(frozen=True, slots=True, kw_only=True)
class Mutant:
    """A mistake: in `module`, `before` (which stands there once) becomes `after`."""

    name: str
    module: str
    before: str
    after: str
    tests: str


APPENDER = "test_appender.py test_reader.py test_lock.py"
CODEC = "test_codec.py test_events.py"

MUTANTS = [
    Mutant(
        name="no lock",
        module="lock",
        before="try_lock = partial(lock_descriptor, blocking=False)",
        after="try_lock = lambda fd: True",
        tests="test_lock.py",
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
        before="_WRITTEN\n                unlock(self._fd)\n",
        after="_WRITTEN\n",
        tests=APPENDER,
    ),
    Mutant(
        name="line and newline in two writes",
        module="appender",
        before="written = os.write(self._fd, data)",
        after="written = os.write(self._fd, data[:-1]) + os.write(self._fd, data[-1:])",
        tests=APPENDER,
    ),
    Mutant(
        name="no repair",
        module="appender",
        before="                    end = self._repair(end)\n",
        after="                    pass\n",
        tests=APPENDER,
    ),
    Mutant(
        name="a whole event without its newline is quarantined",
        module="appender",
        before='if last in b"} \\t\\r" and',
        after="if False and",
        tests=APPENDER,
    ),
    Mutant(
        name="any tail gets a newline",
        module="appender",
        before='if last in b"} \\t\\r" and _is_event(os.pread(self._fd, end - start, start)):',
        after="if True:",
        tests=APPENDER,
    ),
    Mutant(
        name="no quarantine copy",
        module="appender",
        before="        _quarantine(self._file, start, end)\n",
        after="",
        tests=APPENDER,
    ),
    Mutant(
        name="the quarantine is not synced before the cut",
        module="appender",
        before="        os.fsync(file.fileno())\n",
        after="",
        tests=APPENDER,
    ),
    Mutant(
        name="the quarantine copies again what it ends with",
        module="appender",
        before="        if not _ends_with(file, size - 1, log, start, end):\n",
        after="        if True:\n",
        tests=APPENDER,
    ),
    Mutant(
        name="a suffix of a quarantined line passes for the line",
        module="appender",
        before='if begin < 0 or (begin > 0 and os.pread(file.fileno(), 1, begin - 1) != b"\\n"):',
        after="if begin < 0:",
        tests=APPENDER,
    ),
    Mutant(
        name="no roll-back",
        module="appender",
        before="                    os.ftruncate(self._fd, start + whole)\n",
        after="                    pass\n",
        tests=APPENDER,
    ),
    Mutant(
        name="roll-back takes whole lines back",
        module="appender",
        before="os.ftruncate(self._fd, start + whole)",
        after="os.ftruncate(self._fd, start)",
        tests=APPENDER,
    ),
    Mutant(
        name="roll-back cuts foreign bytes",
        module="appender",
        before="if not data.startswith(found) or (found != data and end != start + len(found)):",
        after="if False:",
        tests=APPENDER,
    ),
    Mutant(
        name="a short write is retried from the start of the line",
        module="appender",
        before="memoryview(data)[written:]",
        after="memoryview(data)",
        tests=APPENDER,
    ),
    Mutant(
        name="a short write passes for a whole one",
        module="appender",
        before="if written != len(data):",
        after="if False:",
        tests=APPENDER,
    ),
    Mutant(
        name="no sync",
        module="appender",
        before="                if self.durable:\n",
        after="                if False:\n",
        tests=APPENDER,
    ),
    Mutant(
        name="the way to the log is not synced",
        module="appender",
        before="self.path.parents[: 5 if self.durable else 0]",
        after="()",
        tests=APPENDER,
    ),
    Mutant(
        name="a failed sync is forgotten",
        module="appender",
        before="            self._sync_failed = True",
        after="            self._sync_failed = False",
        tests=APPENDER,
    ),
    Mutant(
        name="not appending to the end",
        module="appender",
        before="_FLAGS = os.O_RDWR | os.O_APPEND | os.O_CREAT",
        after="_FLAGS = os.O_RDWR | os.O_CREAT",
        tests=APPENDER,
    ),
    Mutant(
        name="a FIFO is opened and waited for",
        module="lock",
        before="os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY",
        after="os.O_CLOEXEC",
        tests="test_lock.py",
    ),
    Mutant(
        name="a sleep past the deadline",
        module="lock",
        before="sleep(min(timeout_s - age_s, ",
        after="sleep(max(0.0, ",
        tests="test_lock.py",
    ),
    Mutant(
        name="growing backoff",
        module="lock",
        before="max(0.0005, 0.005 / (1 + 10 * age_s))",
        after="min(0.005, 0.0005 * (1 + 10 * age_s))",
        tests="test_lock.py",
    ),
    Mutant(
        name="descriptors stay open in a forked child",
        module="lock",
        before="        file.close()\n\n\nif",
        after="        pass\n\n\nif",
        tests="test_lock.py",
    ),
    Mutant(
        name="any bad tail is in flight",
        module="reader",
        before="            yield from self._decode([tail], TornTailError)\n",
        after="            self.tail_in_flight = True\n",
        tests="test_reader.py",
    ),
    Mutant(
        name="a tail is read without the lock",
        module="reader",
        before="                self.lock(monotonic(), _PATIENCE_S)\n",
        after="                pass\n",
        tests="test_reader.py",
    ),
    Mutant(
        name="a tail is kept from before the lock",
        module="reader",
        before="                    end, size = self.extent()\n",
        after="",
        tests="test_reader.py",
    ),
    Mutant(
        name="a reader leaves the lock taken",
        module="reader",
        before="                    unlock(self.fileno())\n",
        after="                    pass\n",
        tests="test_reader.py",
    ),
    Mutant(
        name="damage is skipped",
        module="reader",
        before="if damage is DeserializeError and is_blank(line):",
        after="if damage is DeserializeError:",
        tests="test_reader.py",
    ),
    Mutant(
        name="lines end at anything that may end a line",
        module="reader",
        before='block.split(b"\\n")',
        after='block.replace(b"\\r", b"\\n").split(b"\\n")',
        tests="test_reader.py",
    ),
    Mutant(
        name="a follower yields unterminated lines",
        module="reader",
        before="log.advance(log.extent()[0])",
        after="log.snapshot()",
        tests="test_reader.py",
    ),
    Mutant(
        name="duplicate keys are taken",
        module="codec",
        before="if len(self) != len(pairs):",
        after="if False:",
        tests=CODEC,
    ),
    Mutant(
        name="NaN is taken",
        module="codec",
        before='    raise ValueError(f"{constant} is not JSON")',
        after="    return float(constant)  # type: ignore",
        tests=CODEC,
    ),
    Mutant(
        name="lone surrogates are taken",
        module="codec",
        before='if "\\\\ud" in text or "\\\\uD" in text:',
        after="if False:",
        tests=CODEC,
    ),
    Mutant(
        name="any nesting is taken",
        module="codec",
        before='if text.count("{") + text.count("[") > _MAX_NESTING:',
        after="if False:",
        tests=CODEC,
    ),
    Mutant(
        name="a bool passes for an integer where lines are accepted",
        module="codec",
        before="elif _exactly(where, int, value) not in",
        after="elif not isinstance(value, int) or value not in",
        tests=CODEC,
    ),
    Mutant(
        name="a bool passes for an integer where events are written",
        module="codec",
        before='fits = f"{value}.__class__ is int and',
        after='fits = f"isinstance({value}, int) and',
        tests=CODEC,
    ),
    Mutant(
        name="a line need not be canonical to be taken unchecked",
        module="codec",
        before='if (code.write if "\\\\" in text else code.write_plain)(event) == text + "\\n":',
        after="if True:",
        tests=CODEC,
    ),
]


def killed(mutant: Mutant | None, tests: str) -> tuple[bool, str]:
    """Whether the tests fail on a copy of the project that has the mistake; and what they said."""
    with tempfile.TemporaryDirectory(prefix="omnelog-mutant-") as name:
        copy = Path(name)
        for part in ("omnelog", "tests"):
            ignore = shutil.ignore_patterns("__pycache__")
            shutil.copytree(PROJECT / part, copy / part, ignore=ignore)
        shutil.copy(PROJECT / "pyproject.toml", copy)
        if mutant is not None:
            path = copy / "omnelog" / f"{mutant.module}.py"
            text = path.read_text()
            if text.count(mutant.before) != 1:
                return False, f"stands {text.count(mutant.before)} times in {mutant.module}.py"
            path.write_text(text.replace(mutant.before, mutant.after))
        options = ["-x", "-q", "--no-header", "-p", "no:cacheprovider", "-p", "no:xdist"]
        command = [sys.executable, "-m", "pytest", *options, *(f"tests/{t}" for t in tests.split())]
        environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
        try:
            done = subprocess.run(
                command,
                cwd=copy,
                env=environment,
                capture_output=True,
                text=True,
                timeout=TIMEOUT_S,
            )
        except subprocess.TimeoutExpired:
            return True, "hung"
        output = done.stdout.strip().splitlines() or done.stderr.strip().splitlines() or [""]
        failed = [line for line in output if line.startswith(("FAILED", "ERROR"))]
        return done.returncode == 1, (failed or output)[-1][:100]


def main() -> int:
    """Run all mutants, or those whose names hold one of the words given; 1 if any survives."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__)
    parser.add_argument("words", nargs="*", help="run only mutants with one of these in their name")
    words = parser.parse_args().words
    chosen = [m for m in MUTANTS if not words or any(word in m.name for word in words)]
    sound = sorted({mutant.tests for mutant in chosen})
    survivors = 0
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for tests, (failed, said) in zip(
            sound, pool.map(lambda tests: killed(None, tests), sound), strict=True
        ):
            if failed:
                print(f"the tests fail without any mutant: {tests}: {said}")
                return 1
        for mutant, (dead, said) in zip(
            chosen, pool.map(lambda mutant: killed(mutant, mutant.tests), chosen), strict=True
        ):
            survivors += not dead
            print(f"{'killed  ' if dead else 'SURVIVED'}  {mutant.name}: {said}", flush=True)
    print(f"{len(chosen) - survivors} of {len(chosen)} mutants killed")
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main())
