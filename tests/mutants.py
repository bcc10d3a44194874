# SPDX-License-Identifier: MIT
"""Break the core on purpose, in a copy, and see that the tests notice: ``python -m tests.mutants``.

Each mutant is one deliberate mistake, of the kind that a careless change or another implementation
would make. It counts as killed when the tests named with it fail, and they must pass without it. A
mutant that survives, or whose text is not in the core any more, makes the run fail: whoever changes
the core takes its mutants along.
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
HANG_S = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Mutant:
    """A mistake: in `module`, `before`, which stands there once, becomes `after`.

    `tests`: what pytest is to run, from the folder of the tests; those of the module by default.
    `hangs`: that is how the tests notice it.
    """

    name: str
    module: str
    before: str
    after: str
    tests: str = ""
    hangs: bool = False

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
        before="    return lock_descriptor(fd, blocking=False)",
        after="    return True",
    ),
    Mutant(
        name="unlock before the write",
        module="appender",
        before="                written = os.write(file.fd, data)\n",
        after="                unlock(file.fd); written = os.write(file.fd, data)\n",
        tests="test_lock.py test_appender.py",
    ),
    Mutant(
        name="the lock is kept after the append",
        module="appender",
        before=("                unlock(file.fd)\n                self._polite"),
        after="                self._polite",
    ),
    Mutant(
        name="line and newline in two writes",
        module="appender",
        before="written = os.write(file.fd, data)",
        after="written = os.write(file.fd, data[:-1]) + os.write(file.fd, data[-1:])",
    ),
    Mutant(
        name="no repair",
        module="appender",
        before="                    end = _repair(file, end)\n",
        after="                    pass\n",
    ),
    Mutant(
        name="a whole event without its newline is quarantined",
        module="appender",
        before='if last in b"} \\t\\r":',
        after="if False:",
    ),
    Mutant(
        name="any tail gets a newline",
        module="appender",
        before="            decode(os.pread(log.fd, end - start, start))\n",
        after="            pass\n",
    ),
    Mutant(
        name="no quarantine copy",
        module="appender",
        before="    _quarantine(log, start, end)\n",
        after="",
    ),
    Mutant(
        name="the quarantine is not synced before the cut",
        module="appender",
        before="        os.fsync(file.fd)\n",
        after="",
    ),
    Mutant(
        name="the quarantine copies again what it ends with",
        module="appender",
        before="if size - 1 - begin != end - start or any(copy != tail for copy, tail in pairs):",
        after="if True:",
    ),
    Mutant(
        name="a suffix of a quarantined line passes for the line",
        module="appender",
        before="        begin = file.line_start(size - 1)\n",
        after="        begin = max(0, size - 1 - (end - start))\n",
    ),
    Mutant(
        name="no roll-back",
        module="appender",
        before="                    _cut(file, start + whole, start + same)\n",
        after="                    pass\n",
    ),
    Mutant(
        name="roll-back takes whole lines back",
        module="appender",
        before="_cut(file, start + whole, start + same)",
        after="_cut(file, start, start + same)",
    ),
    Mutant(
        name="roll-back cuts foreign bytes",
        module="appender",
        before="_cut(file, start + whole, start + same)",
        after="os.ftruncate(file.fd, start + whole)",
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
        hangs=True,
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
        before="    if age_s < 0.6:",
        after="    if age_s > 0.6:",
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
        before="            yield from self._decode([tail], TornTailError)\n",
        after="            self.tail_in_flight = True\n",
    ),
    Mutant(
        name="a tail is read without the lock",
        module="reader",
        before="            self.lock(monotonic(), LOCK_PATIENCE_S)\n",
        after="            pass\n",
    ),
    Mutant(
        name="a tail is kept from before the lock",
        module="reader",
        before="            end, size = self.extent()\n",
        after="",
    ),
    Mutant(
        name="a reader leaves the lock taken",
        module="reader",
        before="            unlock(self.fd)\n",
        after="            pass\n",
    ),
    Mutant(
        name="damage is skipped",
        module="reader",
        before="if damage is DeserializeError and is_blank(line):",
        after="if damage is DeserializeError:",
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
        before="if len(self) != len(pairs):",
        after="if False:",
    ),
    Mutant(
        name="NaN is taken",
        module="codec",
        before="parse_constant=_finite",
        after="parse_constant=float",
    ),
    Mutant(
        name="lone surrogates are taken",
        module="codec",
        before='if ("\\\\ud" in text or "\\\\uD" in text) and (',
        after="if False and (",
    ),
    Mutant(
        name="any nesting is taken",
        module="codec",
        before='if text.count("{") + text.count("[") > _MAX_NESTING:',
        after="if False:",
    ),
    Mutant(
        name="a bool passes for an integer where lines are accepted",
        module="codec",
        before="elif _exactly(where, int, value) not in",
        after="elif not isinstance(value, int) or value not in",
    ),
    Mutant(
        name="no reopening after a fork",
        module="lock",
        before=(
            "    for file in list(_FILES):\n"
            "        with suppress(OSError):\n"
            "            file.close()\n"
        ),
        after="",
        tests="faults/test_fork.py",
    ),
    Mutant(
        name="the mutex is not renewed in a forked child",
        module="appender",
        before="        log._mutex = RLock()  # the parent's may",
        after="        pass  # the parent's may",
        tests="faults/test_fork.py",
    ),
    Mutant(
        name="an idle child keeps its parent's file",
        module="lock",
        before=(
            "    for file in list(_FILES):\n"
            "        with suppress(OSError):\n"
            "            file.close()\n"
        ),
        after="    _FILES.clear()\n",
        tests="faults/test_fork.py",
    ),
    Mutant(
        name="a child unlocks what it inherited",
        module="lock",
        before=(
            "    for file in list(_FILES):\n"
            "        with suppress(OSError):\n"
            "            file.close()\n"
        ),
        after=("    for file in list(_FILES):\n        unlock(file.fd)\n        file.close()\n"),
        tests="faults/test_fork.py",
    ),
    Mutant(
        name="a child takes its parent's append for its own",
        module="appender",
        before="if not self._mutex._is_owned():  # a fork",
        after="if False:  # a fork",
        tests="faults/test_fork.py",
    ),
    Mutant(
        name="a child goes on with an append whose opening forked",
        module="appender",
        before=("            if not self._mutex._is_owned():\n                raise OSError("),
        after=("            if False:\n                raise OSError("),
        tests="faults/test_fork.py",
    ),
    Mutant(
        name="a child goes on with a file whose opening forked",
        module="lock",
        before="                if process is not _process:\n",
        after="                if False:\n",
        tests="faults/test_fork.py",
    ),
    Mutant(
        name="a child takes its parent's sync for failed",
        module="appender",
        before="if error.errno is None or file.closed:",
        after="if error.errno is None:",
        tests="faults/test_fork.py",
    ),
    Mutant(
        name="a pickled handle forgets its settings",
        module="appender",
        before="return type(self), self._args",
        after="return type(self), (*self._args[:2], 5.0, False)",
        tests="faults/test_threads.py",
    ),
    Mutant(
        name="a relative root moves with the working directory",
        module="appender",
        before="root = Path(root).absolute()",
        after="root = Path(root)",
        tests="faults/test_threads.py",
    ),
    Mutant(
        name="an interrupt of an append leaves the lock taken",
        module="appender",
        before=("        if mutex._is_owned():\n            self._drop()\n"),
        after="        if mutex._is_owned():\n",
        tests="faults/test_interrupts.py",
    ),
    Mutant(
        name="an interrupt of an append leaves the mutex taken",
        module="appender",
        before=("            self._drop()\n            mutex.release()\n"),
        after="            self._drop()\n",
        tests="faults/test_interrupts.py",
    ),
    Mutant(
        name="an interrupt of the clean-up leaves the locks taken",
        module="appender",
        before=(
            "            try:\n"
            "                self._free()\n"
            "            finally:  # or of this one, for two signals may come at once\n"
            "                self._free()\n"
            "            raise\n"
        ),
        after="            raise\n",
        tests="faults/test_interrupts.py",
    ),
    Mutant(
        name="only what is an Exception is cleaned up after",
        module="appender",
        before=("            except BaseException as error:\n                meaning"),
        after=("            except Exception as error:\n                meaning"),
        tests="faults/test_interrupts.py",
    ),
    Mutant(
        name="a handler appends amid an append",
        module="appender",
        before=("        if mutex._is_owned():\n            raise errors.LogBusy("),
        after=("        if False:\n            raise errors.LogBusy("),
        tests="faults/test_interrupts.py",
    ),
    Mutant(
        name="a handler closes amid an append",
        module="appender",
        before="        if self._mutex._is_owned():\n",
        after="        if False:\n",
        tests="faults/test_interrupts.py",
    ),
    Mutant(
        name="a handler's exception passes for the system's",
        module="appender",
        before="if code is None or isinstance(error, errors.OmnelogError):",
        after="if isinstance(error, errors.OmnelogError):",
        tests="faults/test_interrupts.py",
    ),
    Mutant(
        name="a handler's exception passes for the system's in opening",
        module="errors",
        before="if isinstance(error, OmnelogError) or error.errno is None:",
        after="if isinstance(error, OmnelogError):",
        tests="faults/test_interrupts.py",
    ),
    Mutant(
        name="closing is left to free the lock",
        module="appender",
        before="            unlock(self._file.fd)  # closing",
        after="            pass  # closing",
        tests="test_calls.py",
    ),
    Mutant(
        name="the path is never looked at",
        module="appender",
        before="if now - self._looked >= PATH_CHECK_INTERVAL_S:",
        after="if False:",
        tests="faults/test_paths.py",
    ),
    Mutant(
        name="the path is looked at every time",
        module="appender",
        before="if now - self._looked >= PATH_CHECK_INTERVAL_S:",
        after="if True:",
        tests="faults/test_paths.py",
    ),
    Mutant(
        name="a look at the path is forgotten",
        module="appender",
        before="        self._looked = monotonic()\n        while ",
        after="        while ",
        tests="faults/test_paths.py",
    ),
    Mutant(
        name="the time of a look at the path is taken after it",
        module="appender",
        before=(
            "        self._looked = monotonic()\n"
            "        while file.replaced():\n"
            "            self._drop()\n"
            "            file = self._open()\n"
            "            self._wait(file, started)\n"
        ),
        after=(
            "        while file.replaced():\n"
            "            self._drop()\n"
            "            file = self._open()\n"
            "            self._wait(file, started)\n"
            "        self._looked = monotonic()\n"
        ),
        tests="faults/test_paths.py",
    ),
    Mutant(
        name="the time of an opening is taken after it",
        module="appender",
        before="        self._file, self._end = (file := LockableFile(self.path, _FLAGS)), 0\n",
        after=(
            "        self._file, self._end = (file := LockableFile(self.path, _FLAGS)), 0\n"
            "        self._looked = monotonic()\n"
        ),
        tests="faults/test_paths.py",
    ),
    Mutant(
        name="the path is looked at every ten seconds",
        module="appender",
        before="PATH_CHECK_INTERVAL_S = 1.0",
        after="PATH_CHECK_INTERVAL_S = 10.0",
        tests="faults/test_paths.py",
    ),
    Mutant(
        name="a log that is gone passes for one that is there",
        module="lock",
        before=(
            "        except (FileNotFoundError, NotADirectoryError):\n            return True\n"
        ),
        after=(
            "        except (FileNotFoundError, NotADirectoryError):\n            return False\n"
        ),
        tests="faults/test_paths.py",
    ),
    Mutant(
        name="the end of a file that was left is taken for that of the next",
        module="appender",
        before="self._file, self._end = (file := LockableFile(self.path, _FLAGS)), 0",
        after=(
            "self._file = file = LockableFile(self.path, _FLAGS)\n"
            '        self._end = getattr(self, "_end", 0)'
        ),
        tests="faults/test_paths.py",
    ),
    Mutant(
        name="the time is not asked for after the wait for the lock",
        module="appender",
        before="                    now = self._wait(file, started)\n",
        after="                    self._wait(file, started)\n",
        tests="faults/test_paths.py",
    ),
    Mutant(
        name="the time is not asked for after the wait for a thread",
        module="appender",
        before="                now = self._enter(started, self.lock_timeout)\n",
        after="                self._enter(started, self.lock_timeout)\n",
        tests="faults/test_paths.py",
    ),
    Mutant(
        name="directories that were removed are made again",
        module="appender",
        before="        self._file, self._end = (file := LockableFile(self.path, _FLAGS)), 0\n",
        after=(
            "        self.path.parent.mkdir(parents=True, exist_ok=True)\n"
            "        self._file, self._end = (file := LockableFile(self.path, _FLAGS)), 0\n"
        ),
        tests="faults/test_paths.py",
    ),
    Mutant(
        name="a symlink is not followed",
        module="lock",
        before="os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY",
        after="os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY | os.O_NOFOLLOW",
        tests="faults/test_paths.py",
    ),
    Mutant(
        name="only the run's directory is synced",
        module="appender",
        before="[: 5 if",
        after="[: 1 if",
        tests="faults/test_power_loss.py",
    ),
    Mutant(
        name="the root is not synced",
        module="appender",
        before="[: 5 if",
        after="[: 4 if",
        tests="faults/test_power_loss.py",
    ),
    Mutant(
        name="a sync under the lock",
        module="appender",
        before=(
            "                unlock(file.fd)\n"
            "                self._polite = monotonic() - now > LONG_HOLD_S\n"
            "                if self.durable:\n"
            '                    self._sync(file, data.count(b"\\n"))\n'
        ),
        after=(
            "                if self.durable:\n"
            '                    self._sync(file, data.count(b"\\n"))\n'
            "                unlock(file.fd)\n"
            "                self._polite = monotonic() - now > LONG_HOLD_S\n"
        ),
        tests="faults/test_every_syscall.py",
    ),
    Mutant(
        name="a sync before the write",
        module="appender",
        before=(
            "                start = end  # where our bytes begin, while they are being written\n"
        ),
        after=(
            "                start = end\n"
            "                if self.durable:\n"
            "                    self._sync(file, 0)\n"
        ),
        tests="faults/test_power_loss.py",
    ),
    Mutant(
        name="what stands of a failed batch is not synced",
        module="appender",
        before="                if self.durable and lines:\n",
        after="                if False:\n",
        tests="faults/test_power_loss.py",
    ),
    Mutant(
        name="a handle goes on after a failed sync",
        module="appender",
        before="        if self._sync_failed:\n",
        after="        if False:\n",
        tests="faults/test_every_syscall.py",
    ),
    Mutant(
        name="a quarantine that everybody may read",
        module="appender",
        before="mode = os.fstat(log.fd).st_mode & 0o777",
        after="mode = 0o666",
    ),
    Mutant(
        name="the quarantine's name is not synced",
        module="appender",
        before=("        os.fsync(file.fd)\n        _sync_directory(path.parent)\n"),
        after="        os.fsync(file.fd)\n",
        tests="faults/test_power_loss.py",
    ),
    Mutant(
        name="a tail is cut before it is copied",
        module="appender",
        before=("    _quarantine(log, start, end)\n    _cut(log, start, end)\n"),
        after=(
            "    import tempfile\n"
            "\n"
            "    with tempfile.NamedTemporaryFile() as kept:\n"
            "        kept.write(bytes(start) + os.pread(log.fd, end - start, start))\n"
            "        kept.flush()\n"
            "        _cut(log, start, end)\n"
            "        copy = LockableFile(Path(kept.name), os.O_RDONLY)\n"
            "        copy.path = log.path\n"
            "        _quarantine(copy, start, end)\n"
        ),
        tests="faults/test_power_loss.py",
    ),
    Mutant(
        name="a copy that was cut short is continued",
        module="appender",
        before="        if lines_end != size:",
        after="        if False:",
    ),
    Mutant(
        name="only the first block of a tail is kept",
        module="appender",
        before='            for block in chain(log.blocks(start, end), [b"\\n"]):\n',
        after='            for block in chain([next(log.blocks(start, end))], [b"\\n"]):\n',
        tests="faults/test_every_syscall.py",
    ),
    Mutant(
        name="what came after the tail is cut off with it",
        module="appender",
        before="    if os.lseek(log.fd, 0, os.SEEK_END) != end:\n",
        after="    if False:\n",
        tests="faults/test_every_syscall.py",
    ),
    Mutant(
        name="a buffered file",
        module="appender",
        before="                written = os.write(file.fd, data)\n",
        after=(
            "                file = self.__dict__.setdefault(\n"
            '                    "_buffer", open(file.fd, "ab", closefd=False)\n'
            "                )\n"
            "                written = file.write(data)\n"
            "                file.flush()\n"
        ),
        tests="faults/test_kernel.py",
    ),
    Mutant(
        name="an append without room says that it was written",
        module="appender",
        before=(
            "                self._free()\n"
            "                if meaning is error:\n"
            "                    raise\n"
            "                raise meaning from error\n"
        ),
        after=(
            "                self._free()\n"
            "                if meaning is error:\n"
            "                    raise\n"
        ),
        tests="faults/test_kernel.py",
    ),
    Mutant(
        name="what cannot be taken back passes for taken back",
        module="appender",
        before='kind, why = AppendIndeterminate, f"{why}; not taken',
        after='kind, why = LogIOError, f"{why}; not taken',
        tests="faults/test_kernel.py",
    ),
    Mutant(
        name="each wait has a deadline of its own",
        module="appender",
        before="        file.lock(started, self.lock_timeout)\n",
        after="        file.lock(monotonic(), self.lock_timeout)\n",
        tests="faults/test_threads.py",
    ),
    Mutant(
        name="no wait for a thread",
        module="appender",
        before="acquire(timeout=min(left_s, 1))",
        after="acquire(blocking=False)",
        tests="faults/test_threads.py",
    ),
    Mutant(
        name="a timeout that is no number is taken",
        module="lock",
        before="if not seconds >= 0:",
        after="if seconds < 0:",
        tests="test_appender.py",
    ),
    Mutant(
        name="any lock's holder passes for this one's",
        module="lock",
        before='if (kind, file) == ("FLOCK", ours):',
        after='if kind == "FLOCK":',
    ),
    Mutant(
        name="a file stays open when it cannot be used",
        module="lock",
        before="                self.close()  # harmless when nothing was opened\n",
        after="                pass\n",
        tests="faults/test_every_syscall.py",
    ),
    Mutant(
        name="a file that shrinks is read for ever",
        module="lock",
        before="            if not block:\n",
        after="            if False:\n",
        hangs=True,
    ),
    Mutant(
        name="the last newline is looked for in the last block only",
        module="lock",
        before="        while end > 0:\n",
        after="        if end > 0:\n",
    ),
    Mutant(
        name="a reader waits as long as a writer",
        module="reader",
        before="LOCK_PATIENCE_S = 0.1",
        after="LOCK_PATIENCE_S = 60.0",
        tests="faults/test_every_syscall.py",
    ),
    Mutant(
        name="a follower leaves a replaced log at once",
        module="reader",
        before="LINGER_S = 2.0",
        after="LINGER_S = 0.0",
        tests="faults/test_paths.py",
    ),
    Mutant(
        name="a follower never leaves a replaced log",
        module="reader",
        before="monotonic() - self._replaced_at >= LINGER_S",
        after="False",
        tests="faults/test_paths.py",
    ),
    Mutant(
        name="a follower leaves a log for good that was moved away and back",
        module="reader",
        before="if self.replaced() else math.inf",
        after="if self.replaced() else self._replaced_at",
        tests="faults/test_paths.py",
    ),
    Mutant(
        name="a follower reads a log again that is back just as it would be left",
        module="reader",
        before="if os.path.samestat(os.fstat(new.fd), os.fstat(self.fd)):",
        after="if False:",
        tests="faults/test_paths.py",
    ),
    Mutant(
        name="a follower looks before it asks whether to stop",
        module="reader",
        before=(
            "                stopped, left_behind = stop.is_set(), log.left_behind()\n"
            "                yield from log.advance(log.extent()[0])\n"
        ),
        after=(
            "                yield from log.advance(log.extent()[0])\n"
            "                stopped, left_behind = stop.is_set(), log.left_behind()\n"
        ),
    ),
    Mutant(
        name="final lines that are gone are not missed",
        module="reader",
        before="        if end < start:\n",
        after="        if False:\n",
    ),
    Mutant(
        name="what is not there is written as null",
        module="codec",
        before="{{'' if {value} is None else",
        after="{{',{key}null' if {value} is None else",
    ),
    Mutant(
        name="a string passes for an enum",
        module="codec",
        before=(
            "written = f'\"{{{value}._value_ if {value}.__class__ is {name} else misfit()}}\"'"
        ),
        after="written = f'\"{{{value}}}\"'",
    ),
    Mutant(
        name="minus nought passes for nought",
        module="codec",
        before='if digits == "-0" or len',
        after="if len",
    ),
    Mutant(
        name="a number beyond a double is taken",
        module="codec",
        before="    if not math.isfinite(number := float(digits)):",
        after="    if math.isnan(number := float(digits)):",
    ),
    Mutant(
        name="a newline inside a line is taken",
        module="codec",
        before='    if "\\n" in text:',
        after="    if False:",
    ),
    Mutant(
        name="a bool passes for an integer where events are written",
        module="codec",
        before='fits = f"{value}.__class__ is int and',
        after='fits = f"isinstance({value}, int) and',
    ),
    Mutant(
        name="a line need not be canonical to be taken unchecked",
        module="codec",
        before='if code.write_plain(event) == text or code.write(event) == text + "\\n":',
        after="if True:",
    ),
    Mutant(
        name="a line that is not canonical is taken unchecked",
        module="codec",
        before="    _check(kind, event.__class__, event)\n",
        after="",
    ),
    Mutant(
        name="a fork does not wait for a file that is being opened",
        module="lock",
        before="                with _no_fork:\n",
        after="                if True:\n",
        tests="faults/test_fork.py",
    ),
    Mutant(
        name="a fork does not wait for a file that is being closed",
        module="lock",
        before="            with _no_fork:  #",
        after="            if True:  #",
        tests="faults/test_fork.py",
    ),
]


def run_tests(
    tests: str, module: str = "", text: str = "", timeout_s: float = TIMEOUT_S
) -> tuple[int | None, str]:
    """Run `tests` on a copy of the project, with `text` as that module: exit code, last words.

    None instead of the exit code: they took too long. What they try is the same every time.
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
            start_new_session=True,  # to end what the tests started with them
        )
        try:
            said, _ = process.communicate(timeout=timeout_s)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
            return None, f"took longer than {timeout_s} s"
        output = said.strip().splitlines() or [""]
        failed = [line for line in output if line.startswith(("FAILED", "ERROR"))]
        return process.returncode, (failed or output)[-1][:100]


def killed(mutant: Mutant) -> tuple[bool, str]:
    """Whether the tests fail for the mistake, and what they say."""
    try:
        text = mutant.text()
    except ValueError as error:
        return False, str(error)
    tests = mutant.tests or TESTS[mutant.module]
    code, said = run_tests(tests, mutant.module, text, HANG_S if mutant.hangs else TIMEOUT_S)
    return code == pytest.ExitCode.TESTS_FAILED or (mutant.hangs and code is None), said


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
