# SPDX-License-Identifier: MIT
"""The mutants: mistakes in the core that a careless change could make.

`MUTANTS` lists them, each with the tests that must notice it. If you change a line of the core that
a mutant names, change the mutant as well: ``tests/test_house.py`` fails until then.
"""

import shlex
from dataclasses import dataclass
from pathlib import Path

from .copy_of_project import PROJECT


@dataclass(frozen=True, slots=True, kw_only=True)
class Mutant:
    """A mistake: in `module`, `after` replaces `before`, which must be there exactly once.

    `tests` are arguments for pytest, relative to the folder of the tests; by default they are those
    of the module. `hangs` says that the tests may hang, which counts as killed, too.
    """

    name: str
    module: str
    before: str
    after: str
    tests: str = ""
    hangs: bool = False

    def text(self, package: Path = PROJECT / "omnelog") -> str:
        """Return the text of the module with the mistake; raise ValueError if it cannot be made."""
        path = package / f"{self.module}.py"
        text = path.read_text()
        if text.count(self.before) != 1:
            raise ValueError(f"its text stands {text.count(self.before)} times in {path.name}")
        mutated = text.replace(self.before, self.after)
        try:
            compile(mutated, path.name, "exec")
        except SyntaxError as error:
            raise ValueError(f"with it {path.name} is not Python: {error}") from error
        return mutated


TESTS = {
    "codec": " ".join(
        f"test_codec.py::{test}"
        for test in (
            "test_the_line_of_each_type_byte_for_byte",
            "test_a_line_that_is_nearly_canonical_is_read_as_the_strict_way_reads_it",
            "test_what_does_not_fit_its_field_cannot_be_written",
            "test_an_event_with_any_value_in_any_field_is_written_if_the_strict_check_lets_it",
            "test_quotes_backslashes_and_controls_are_escaped_as_serde_json_does",
            "test_a_member_of_another_type_is_refused_and_named",
            "test_a_missing_or_null_member_is_refused_unless_optional",
            "test_an_integer_is_accepted_up_to_its_bound_and_no_further",
            "test_an_integer_out_of_range_cannot_be_written",
            "test_what_is_not_an_integer_cannot_be_written_for_one",
            "test_a_type_that_is_not_a_string_is_refused",
            "test_an_unknown_type_is_refused",
            "test_an_instance_of_a_subclass_of_an_event_cannot_be_written",
            "test_an_event_without_its_fields_cannot_be_written",
            "test_every_type_of_event_has_a_writer_and_nothing_else_has",
        )
    ),
    "eventlog": "test_appender.py test_reader.py",
    "linelog/appender": "test_appender.py test_reader.py test_lock.py",
    "linelog/lock": "test_lock.py",
    "linelog/objects": "test_codec.py",
    "linelog/reader": "test_reader.py",
    "linelog/repair": "test_appender.py",
}
"""The tests of each module, for mutants that name none."""


def _tests(file: str, *names: str) -> str:
    return shlex.join(f"faults/test_{file}.py::{name}" for name in names)


_BYTECODE = "test_an_interrupt_wherever_one_can_strike_leaks_no_lock_and_no_half_line"
_CLASS = "test_what_a_handler_raises_comes_out_and_frees_the_lock_whatever_its_class"
_IN_APPEND = "test_what_a_handler_raises_in_an_append_arrives_and_no_sound_line_is_condemned"
_IN_READING = "test_what_a_handler_raises_in_reading_arrives_and_no_sound_line_is_condemned"
_CALL = "test_no_failing_call_breaks_a_promise"
INTERRUPTS = _tests(
    "interrupts",
    f"{_BYTECODE}[uncontended]",
    f"{_BYTECODE}[failing write]",
    "test_any_number_of_interrupts_of_a_failing_append_leave_nothing_locked",
    "test_any_number_of_interrupts_of_closing_leave_nothing_locked",
)
BUSY = _tests(
    "interrupts",
    "test_an_append_from_a_handler_at_any_bytecode_is_whole_or_refused_at_once[uncontended]",
    "test_closing_from_a_handler_at_any_bytecode_of_an_append_is_done_or_refused_at_once",
)
RAISED = _tests("interrupts", f"{_CLASS}[uncontended]", f"{_CLASS}[torn tail]", f"{_CLASS}[batch]")
DEPTHS = _tests(
    "recursion",
    "test_an_append_at_any_depth_works_or_is_refused_and_holds_nothing",
    "test_a_write_that_fails_at_any_depth_is_reported_or_refused_and_holds_nothing",
    "test_closing_at_any_depth_works_or_is_refused_and_holds_nothing",
    "test_reading_at_any_depth_finds_all_or_is_refused_and_condemns_nothing",
)
DECODERS = _tests(
    "handlers",
    "TestADecoderThatIsInterrupted",
    "test_a_decoder_that_is_interrupted_once_in_a_repair_moves_nothing_to_the_quarantine",
)
HANDLERS = _tests(
    "handlers",
    *(
        f"{_IN_APPEND}[{way}-{kind}]"
        for kind in ("TypeError", "ErrnoError", "TimeoutError")
        for way in ("uncontended", "torn tail", "failing write", "looked at", "timed out")
    ),
    "test_what_a_handler_raises_in_closing_arrives_and_leaves_nothing_locked",
    f"{_IN_READING}[scan-unterminated-ValueError]",
    f"{_IN_READING}[scan-torn-TimeoutError]",
)

# Text of the core that several mutants change in different ways.

CLEAN_UP = (
    "            # The clean-up in three stages; see the theory of operation.\n"
    "            try:\n"
    "                if may_hold_lock:\n"
    "                    self._close_file()\n"
    "            finally:\n"
    "                try:\n"
    "                    if may_hold_lock:\n"
    "                        FileIO.close(self._file)\n"
    "                finally:\n"
    "                    try:\n"
    "                        mutex.release()\n"
    "                    except RuntimeError:  # this thread did not hold it\n"
    "                        pass\n"
)

CLOSING = (
    "            mutex.acquire()\n"
    "            with refusals_ignored():\n"
    "                self._file.close()  # the lock is never held between appends\n"
    "            self._closed = True\n"
    "        finally:\n"
    "            try:\n"
    "                mutex.release()\n"
    "            except RuntimeError:  # this thread does not hold it: it was interrupted\n"
    "                pass\n"
)

REFUSALS_IGNORED = (
    '    """Go on when the system refuses something that nothing depends on."""\n'
    "    try:\n"
    "        yield\n"
    "    except OSError as error:\n"
    "        if not is_refusal(error):\n"
    "            raise\n"
)

PATH_CHECK = (
    "        self._path_checked_at = monotonic()  "
    "# before: the process may be stopped after the look\n"
    "        while file.replaced():\n"
    "            self._close_file()\n"
    "            file = self._open()\n"
    "            self._wait_for_lock(file, started)\n"
)

LOCK_REFUSED = (
    "        except PermissionError as error:\n"
    "            if not is_refusal(error):\n"
    "                raise\n"
    "            return False\n"
)

MUTANTS = [
    Mutant(
        name="no lock",
        module="linelog/lock",
        before="    return lock_descriptor(fd, blocking=False)",
        after="    return True",
    ),
    Mutant(
        name="unlock before the write",
        module="linelog/appender",
        before="                    written = os.write(file.fd, data)\n",
        after=(
            "                    unlock(file.fd)\n"
            "                    written = os.write(file.fd, data)\n"
        ),
        tests="test_lock.py test_appender.py",
    ),
    Mutant(
        name="the lock is kept after the append",
        module="linelog/appender",
        before=(
            "            try:\n"
            "                unlock(file.fd)\n"
            "            except OSError as error:\n"
            "                lines"
        ),
        after=(
            "            try:\n"
            "                pass\n"
            "            except OSError as error:\n"
            "                lines"
        ),
    ),
    Mutant(
        name="line and newline in two writes",
        module="linelog/appender",
        before="written = os.write(file.fd, data)",
        after="written = os.write(file.fd, data[:-1]) + os.write(file.fd, data[-1:])",
    ),
    Mutant(
        name="no repair",
        module="linelog/appender",
        before="                    end = repair(file, end, self._decode, durable=self.durable)\n",
        after="                    pass\n",
    ),
    Mutant(
        name="a whole event without its newline is quarantined",
        module="linelog/repair",
        before="    if _is_whole(log, start, end, decode):\n",
        after="    if False:\n",
    ),
    Mutant(
        name="any tail gets a newline",
        module="linelog/repair",
        before="    return last in _LAST_BYTES and tail_refusal(decode, ",
        after="    return True or tail_refusal(decode, ",
    ),
    Mutant(
        name="no quarantine copy",
        module="linelog/repair",
        before=("    _quarantine(log, start, end, durable=durable)\n    log."),
        after="    log.",
    ),
    Mutant(
        name="the quarantine is not synced before the cut",
        module="linelog/repair",
        before="        os.fsync(quarantine.fd)\n",
        after="",
    ),
    Mutant(
        name="the quarantine copies again what it ends with",
        module="linelog/repair",
        before="if not _ends_with_copy(quarantine, size, log, start, end):",
        after="if True:",
    ),
    Mutant(
        name="a suffix of a quarantined line passes for the line",
        module="linelog/repair",
        before="    last_line = quarantine.line_start(size - 1)\n",
        after="    last_line = max(0, size - 1 - (end - start))\n",
    ),
    Mutant(
        name="what the quarantine ends with is compared by its length alone",
        module="linelog/repair",
        before=(
            "    return all(block == other for block, other in zip(copied, original, "
            "strict=True))\n"
        ),
        after="    return bool(copied) and bool(original)\n",
    ),
    Mutant(
        name="a quarantine that everybody may read",
        module="linelog/repair",
        before="owner.st_mode & 0o666",
        after="0o666",
    ),
    Mutant(
        name="the quarantine's name is not synced",
        module="linelog/repair",
        before="            sync_directory(path.parent)\n",
        after="            pass\n",
        tests="faults/test_power_loss.py",
    ),
    Mutant(
        name="a tail is cut before it is copied",
        module="linelog/repair",
        before=(
            "    _quarantine(log, start, end, durable=durable)\n    log.truncate_tail(start, end)\n"
        ),
        after=(
            "    import tempfile\n"
            "\n"
            "    with tempfile.NamedTemporaryFile() as kept:\n"
            "        kept.write(bytes(start) + os.pread(log.fd, end - start, start))\n"
            "        kept.flush()\n"
            "        log.truncate_tail(start, end)\n"
            "        copy = LockableFile(Path(kept.name), os.O_RDONLY)\n"
            "        copy.path = log.path\n"
            "        _quarantine(copy, start, end, durable=durable)\n"
        ),
        tests="faults/test_power_loss.py",
    ),
    Mutant(
        name="a block of each log is read under the lock",
        module="linelog/repair",
        before='    if end == 0 or os.pread(log.fd, 1, end - 1) == b"\\n":\n',
        after="    if log.line_start(end) == end:\n",
        tests="linelog/test_append.py",
    ),
    Mutant(
        name="a log that has grown gets its newline nevertheless",
        module="linelog/repair",
        before="        log.require_end(end)\n",
        after="",
        tests="linelog/test_append.py",
    ),
    Mutant(
        name="a copy that was cut short is continued",
        module="linelog/repair",
        before="        if lines_end != size:",
        after="        if False:",
    ),
    Mutant(
        name="only the first block of a tail is kept",
        module="linelog/repair",
        before="            at += len(block)\n",
        after="            at = end\n",
        tests=_tests("every_syscall", f"{_CALL}[large/durable/append]"),
    ),
    Mutant(
        name="what came after the tail is cut off with it",
        module="linelog/lock",
        before="        if os.lseek(self.fd, 0, os.SEEK_END) != end:\n",
        after="        if False:\n",
        tests=_tests(
            "every_syscall",
            "test_bytes_that_come_after_a_torn_tail_while_it_is_copied_are_never_cut",
        ),
    ),
    Mutant(
        name="what a decoder accepts is whole, whatever it is",
        module="linelog/objects",
        before="    for accepts in (decode_object, decode):\n",
        after="    for accepts in (decode,):\n",
        tests="faults/test_quarantine.py",
    ),
    Mutant(
        name="a tail is whole if it is an object, whatever the decoder says",
        module="linelog/objects",
        before="    for accepts in (decode_object, decode):\n",
        after="    for accepts in (decode_object,):\n",
        tests="faults/test_quarantine.py",
    ),
    Mutant(
        name="a tail of any length is decoded",
        module="linelog/repair",
        before="    if end - start > LONGEST_DECODED:\n",
        after="    if False:\n",
        tests="faults/test_quarantine.py",
    ),
    Mutant(
        name="a tail too long to be decoded is torn",
        module="linelog/repair",
        before="        return not is_too_long(log, start, end)\n",
        after="        return False\n",
        tests="faults/test_quarantine.py",
    ),
    Mutant(
        name="a tail too long to be decoded is whole",
        module="linelog/repair",
        before="    return end - start > LONGEST_DECODED and os.pread(",
        after="    return False and os.pread(",
        tests="faults/test_quarantine.py",
    ),
    Mutant(
        name="a tail as long as may be decoded is not",
        module="linelog/repair",
        before="    if end - start > LONGEST_DECODED:\n",
        after="    if end - start >= LONGEST_DECODED:\n",
        tests="faults/test_quarantine.py",
    ),
    Mutant(
        name="a tail is read although its last byte shows that it is torn",
        module="linelog/repair",
        before="    return last in _LAST_BYTES and tail_refusal(",
        after="    return tail_refusal(",
        tests="faults/test_quarantine.py",
    ),
    Mutant(
        name="part of a copy stays in the quarantine when there is no room",
        module="linelog/repair",
        before="                    os.ftruncate(quarantine.fd, size)\n",
        after="                    pass\n",
        tests="faults/test_quarantine.py",
    ),
    Mutant(
        name="too much is cut off the quarantine when there is no room",
        module="linelog/repair",
        before="                    os.ftruncate(quarantine.fd, size)\n",
        after="                    os.ftruncate(quarantine.fd, 0)\n",
        tests="faults/test_quarantine.py",
    ),
    Mutant(
        name="a quarantine keeps the owner of its maker",
        module="linelog/repair",
        before="        if size == 0:  #",
        after="        if False:  #",
        tests="faults/test_quarantine.py",
    ),
    Mutant(
        name="a quarantine that was there gets another owner",
        module="linelog/repair",
        before="        if size == 0:  #",
        after="        if True:  #",
        tests="faults/test_quarantine.py",
    ),
    Mutant(
        name="a quarantine that cannot be given away stops the append",
        module="linelog/repair",
        before=(
            "        with refusals_ignored():\n"
            "            os.fchown(quarantine.fd, owner.st_uid, owner.st_gid)\n"
        ),
        after="        os.fchown(quarantine.fd, owner.st_uid, owner.st_gid)\n",
        tests="faults/test_quarantine.py",
    ),
    Mutant(
        name="a directory that cannot be synced stops every append",
        module="linelog/repair",
        before="            if durable or error.errno not in _NO_DIRECTORY_SYNC:\n",
        after="            if True:\n",
        tests="faults/test_refusals.py",
    ),
    Mutant(
        name="a durable append does not mind that a directory was not synced",
        module="linelog/repair",
        before="            if durable or error.errno not in _NO_DIRECTORY_SYNC:\n",
        after="            if error.errno not in _NO_DIRECTORY_SYNC:\n",
        tests="faults/test_refusals.py",
    ),
    Mutant(
        name="a directory that is broken passes for one that cannot be synced",
        module="linelog/repair",
        before="            if durable or error.errno not in _NO_DIRECTORY_SYNC:\n",
        after="            if durable:\n",
        tests="faults/test_refusals.py",
    ),
    Mutant(
        name="holes are read to find the last newline",
        module="linelog/lock",
        before=(
            "            while end > BLOCK_SIZE and self.hole_end(end - BLOCK_SIZE, end) == end:\n"
        ),
        after="            while False:\n",
        tests="faults/test_quarantine.py",
    ),
    Mutant(
        name="a hole that ends before a block does passes for one",
        module="linelog/lock",
        before="self.hole_end(end - BLOCK_SIZE, end) == end:",
        after="self.hole_end(end - BLOCK_SIZE, end) > end - BLOCK_SIZE:",
        tests="faults/test_quarantine.py",
    ),
    Mutant(
        name="holes are copied byte by byte",
        module="linelog/repair",
        before="        if hole_end > at:\n",
        after="        if False:\n",
        tests="faults/test_quarantine.py",
    ),
    Mutant(
        name="what is behind a hole is lost",
        module="linelog/repair",
        before="            at = hole_end\n",
        after="            at = end\n",
        tests="faults/test_quarantine.py",
    ),
    Mutant(
        name="a hole is left out of the copy",
        module="linelog/repair",
        before="            os.ftruncate(quarantine.fd, size + hole_end - at)\n",
        after="            pass\n",
        tests="faults/test_quarantine.py",
    ),
    Mutant(
        name="a file system that knows no holes stops the append",
        module="linelog/lock",
        before="            if error.errno == errno.EINVAL:  # this file system does not say\n",
        after="            if False:\n",
        tests="faults/test_quarantine.py",
    ),
    Mutant(
        name="a hole at the end of the file stops the append",
        module="linelog/lock",
        before=(
            "            if error.errno == errno.ENXIO:  # there is only a hole up to the "
            "end of the file\n"
        ),
        after="            if False:\n",
        tests="faults/test_quarantine.py",
    ),
    Mutant(
        name="a hole reaches beyond the end that was asked for",
        module="linelog/lock",
        before="            return min(end, os.lseek(self.fd, start, os.SEEK_DATA))\n",
        after="            return os.lseek(self.fd, start, os.SEEK_DATA)\n",
        tests="faults/test_quarantine.py",
    ),
    Mutant(
        name="no roll-back",
        module="linelog/appender",
        before="                file.truncate_tail(start + whole, start + length)\n",
        after="                pass\n",
    ),
    Mutant(
        name="roll-back takes whole lines back",
        module="linelog/appender",
        before="file.truncate_tail(start + whole, start + length)",
        after="file.truncate_tail(start, start + length)",
    ),
    Mutant(
        name="roll-back cuts foreign bytes",
        module="linelog/appender",
        before="file.truncate_tail(start + whole, start + length)",
        after="os.ftruncate(file.fd, start + whole)",
    ),
    Mutant(
        name="roll-back reads all at once",
        module="linelog/lock",
        before="            expected = data[length : length + BLOCK_SIZE]\n",
        after="            expected = data[length:]\n",
        tests="faults/test_quarantine.py",
    ),
    Mutant(
        name="roll-back looks at the first block only",
        module="linelog/lock",
        before="            length += len(expected)\n",
        after="            return len(data)\n",
        tests="faults/test_quarantine.py",
    ),
    Mutant(
        name="roll-back takes any block for its own",
        module="linelog/lock",
        before="            if found != expected:\n",
        after="            if len(found) != len(expected):\n",
        tests="test_appender.py",
    ),
    Mutant(
        name="only what is an Exception is rolled back",
        module="linelog/appender",
        before=(
            "                except BaseException as error:\n                    self._roll_back"
        ),
        after=("                except Exception as error:\n                    self._roll_back"),
        tests=_tests("interrupts", f"{_BYTECODE}[short write]"),
    ),
    Mutant(
        name="a short write is retried from the start of the line",
        module="linelog/lock",
        before="memoryview(data)[written:]",
        after="memoryview(data)",
        tests="test_appender.py",
    ),
    Mutant(
        name="a short write passes for a whole one",
        module="linelog/appender",
        before="if written != len(data):",
        after="if False:",
    ),
    Mutant(
        name="a write that makes no progress is tried for ever",
        module="linelog/lock",
        before="            if written == 0:\n",
        after="            if False:\n",
        tests="test_appender.py::TestShortWrites",
        hangs=True,
    ),
    Mutant(
        name="a buffered file",
        module="linelog/appender",
        before="                    written = os.write(file.fd, data)\n",
        after=(
            "                    buffer = self.__dict__.setdefault(\n"
            '                        "_buffer", open(file.fd, "ab", closefd=False)\n'
            "                    )\n"
            "                    written = buffer.write(data)\n"
            "                    buffer.flush()\n"
        ),
        tests="faults/test_kernel.py",
    ),
    Mutant(
        name="an append without room says that it was written",
        module="linelog/appender",
        before=(
            "                    self._roll_back(file, end, data, error)\n"
            "                    raise\n"
        ),
        after=(
            "                    import contextlib\n"
            "\n"
            "                    with contextlib.suppress(LogIOError):\n"
            "                        self._roll_back(file, end, data, error)\n"
            "                        raise\n"
        ),
        tests="faults/test_kernel.py",
    ),
    Mutant(
        name="what cannot be taken back passes for taken back",
        module="linelog/appender",
        before="self._raise_if_refused(refusal, AppendIndeterminate, lines, data, why)",
        after="self._raise_if_refused(refusal, LogIOError, lines, data, why)",
        tests="faults/test_kernel.py",
    ),
    Mutant(
        name="lines that are whole although the write failed are denied",
        module="linelog/appender",
        before=(
            "            kind = AppendIndeterminate if lines == total else LogIOError\n"
            "            self"
        ),
        after=("            kind = LogIOError\n            self"),
    ),
    Mutant(
        name="a line whose lock cannot be freed is denied",
        module="linelog/appender",
        before="                kind = AppendIndeterminate if lines else LogIOError\n",
        after="                kind = LogIOError\n",
    ),
    Mutant(
        name="no sync",
        module="linelog/appender",
        before="            if self.durable:\n",
        after="            if False:\n",
    ),
    Mutant(
        name="a repair is not synced",
        module="linelog/appender",
        before="            if self.durable:\n",
        after="            if self.durable and data:\n",
    ),
    Mutant(
        name="the way to the log is not synced",
        module="linelog/appender",
        before="self._directories_to_sync() if durable else []",
        after="[]",
    ),
    Mutant(
        name="the way to the log is not synced when it is opened again",
        module="linelog/appender",
        before=("        return self._file\n\n    def _close_file"),
        after=("        self._directories = []\n        return self._file\n\n    def _close_file"),
        tests="faults/test_paths.py",
    ),
    Mutant(
        name="the default mode syncs directories too",
        module="linelog/appender",
        before="self._directories_to_sync() if durable else []",
        after="self._directories_to_sync()",
    ),
    Mutant(
        name="a failed sync is forgotten",
        module="linelog/appender",
        before="            self._sync_failed = not file.closed\n",
        after="",
    ),
    Mutant(
        name="only the run's directory is synced",
        module="eventlog",
        before="self.path.parents[:5]",
        after="self.path.parents[:1]",
        tests="faults/test_power_loss.py",
    ),
    Mutant(
        name="the root is not synced",
        module="eventlog",
        before="self.path.parents[:5]",
        after="self.path.parents[:4]",
        tests="faults/test_power_loss.py",
    ),
    Mutant(
        name="a sync under the lock",
        module="linelog/appender",
        before="            # 7. Release the lock.\n",
        after=(
            "            # 7. Release the lock.\n"
            "            if self.durable:\n"
            '                self._sync(file, data.count(b"\\n"))\n'
        ),
        tests=_tests("every_syscall", f"{_CALL}[sound/durable/append]"),
    ),
    Mutant(
        name="a sync before the write",
        module="linelog/appender",
        before=(
            "            # 6. Write all bytes in one call; if that fails, roll back.\n"
            "            if data:\n"
        ),
        after=(
            "            if self.durable:\n"
            "                self._sync(file, 0)\n"
            "                self.__dict__['_sync'] = lambda *_: None\n"
            "            if data:\n"
        ),
        tests="faults/test_power_loss.py",
    ),
    Mutant(
        name="what stands of a failed batch is not synced",
        module="linelog/appender",
        before="            if self.durable and lines:\n",
        after="            if False:\n",
        tests="faults/test_power_loss.py",
    ),
    Mutant(
        name="what stands of a failed batch is synced under the lock",
        module="linelog/appender",
        before=(
            "                with refusals_ignored():\n"
            "                    unlock(file.fd)\n"
            "                self._sync(file, lines)\n"
        ),
        after="                self._sync(file, lines)\n",
    ),
    Mutant(
        name="a handle goes on after a failed sync",
        module="linelog/appender",
        before="        if self._sync_failed:\n",
        after="        if False:\n",
        tests="test_appender.py::TestDurable",
    ),
    Mutant(
        name="not appending to the end",
        module="linelog/repair",
        before="OPEN_FLAGS = os.O_RDWR | os.O_APPEND | os.O_CREAT",
        after="OPEN_FLAGS = os.O_RDWR | os.O_CREAT",
        tests="test_appender.py test_lock.py test_calls.py",
    ),
    Mutant(
        name="a FIFO is opened and waited for",
        module="linelog/lock",
        before="flags |= os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY",
        after="flags |= os.O_CLOEXEC",
        tests="test_lock.py::TestLockableFile",
        hangs=True,
    ),
    Mutant(
        name="a symlink is not followed",
        module="linelog/lock",
        before="flags |= os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY",
        after="flags |= os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY | os.O_NOFOLLOW",
        tests="faults/test_paths.py",
    ),
    Mutant(
        name="a file stays open when it cannot be used",
        module="linelog/lock",
        before="                self.close()  # harmless if nothing was opened\n",
        after="                pass\n",
        tests="test_lock.py::TestLockableFile",
    ),
    Mutant(
        name="a system without flock is not named",
        module="linelog/lock",
        before='            if os.name != "posix":\n',
        after="            if False:\n",
        tests="faults/test_refusals.py",
    ),
    Mutant(
        name="a file that is dropped warns",
        module="linelog/lock",
        before="    __del__: ClassVar[Callable[[FileIO], None]] = FileIO.close\n",
        after="",
        tests="faults/test_threads.py",
    ),
    Mutant(
        name="a timeout that is not a number is taken",
        module="linelog/lock",
        before="if not seconds >= 0:",
        after="if seconds < 0:",
        tests="test_appender.py",
    ),
    Mutant(
        name="directories that were removed are made again",
        module="linelog/appender",
        before=(
            "        self._end = 0\n        self._file = LockableFile(self.path, OPEN_FLAGS)\n"
        ),
        after=(
            "        self._end = 0\n"
            "        self.path.parent.mkdir(parents=True, exist_ok=True)\n"
            "        self._file = LockableFile(self.path, OPEN_FLAGS)\n"
        ),
        tests="faults/test_paths.py",
    ),
    Mutant(
        name="a sleep past the deadline",
        module="linelog/lock",
        before="            sleep(min(timeout_s - age_s, longest_s))\n",
        after="            sleep(longest_s)\n",
    ),
    Mutant(
        name="growing backoff",
        module="linelog/lock",
        before="    if age_s < _OLD_S:\n",
        after="    if age_s > _OLD_S:\n",
    ),
    Mutant(
        name="waiters march in step",
        module="linelog/lock",
        before="random.uniform(0.8, 1)",
        after="1.0",
        tests="test_calls.py",
    ),
    Mutant(
        name="a lock is tried once before the first sleep",
        module="linelog/lock",
        before="_TRIES_IN_A_ROW = 4",
        after="_TRIES_IN_A_ROW = 1",
    ),
    Mutant(
        name="a lock that the system refuses passes for one that is taken",
        module="linelog/lock",
        before="                if try_lock_strictly(self.fd):\n",
        after="                if try_lock(self.fd):\n",
        tests="faults/test_refusals.py",
    ),
    Mutant(
        name="a lock that gets free at the deadline is left",
        module="linelog/lock",
        before=("                if try_lock_strictly(self.fd):\n                    return\n"),
        after="                try_lock_strictly(self.fd)\n",
        tests="faults/test_refusals.py",
    ),
    Mutant(
        name="each wait has a deadline of its own",
        module="linelog/appender",
        before="        file.acquire(started, self.lock_timeout)\n",
        after="        file.acquire(monotonic(), self.lock_timeout)\n",
        tests="faults/test_threads.py",
    ),
    Mutant(
        name="no wait for a thread",
        module="linelog/appender",
        before="if not mutex.acquire(timeout=max(0, left_s)):",
        after="if not mutex.acquire(blocking=False):",
        tests="faults/test_threads.py",
    ),
    Mutant(
        name="the wait for a thread ends later than its deadline",
        module="linelog/appender",
        before="mutex.acquire(timeout=max(0, left_s))",
        after="mutex.acquire(timeout=max(3, left_s))",
        tests="faults/test_threads.py",
    ),
    Mutant(
        name="what was waited is what might have been",
        module="linelog/appender",
        before="LockTimeout(self.path, monotonic() - started, os.getpid())",
        after="LockTimeout(self.path, self.lock_timeout, os.getpid())",
        tests="faults/test_threads.py",
    ),
    Mutant(
        name="what was waited for a lock is what might have been",
        module="linelog/lock",
        before="raise LockTimeout(self.path, age_s, self._holder())",
        after="raise LockTimeout(self.path, timeout_s, self._holder())",
    ),
    Mutant(
        name="waiting counts as holding",
        module="linelog/appender",
        before=("        file.acquire(started, self.lock_timeout)\n        return monotonic()\n"),
        after=("        file.acquire(started, self.lock_timeout)\n        return started\n"),
        tests="test_calls.py faults/test_threads.py",
    ),
    Mutant(
        name="who held the lock for long takes it again at once",
        module="linelog/appender",
        before="monotonic() - held_since > LONG_HOLD_S",
        after="False",
        tests="test_calls.py",
    ),
    Mutant(
        name="any lock's holder passes for this one's",
        module="linelog/lock",
        before='fields[1] == b"FLOCK" and fields[5] == ours',
        after='fields[1] == b"FLOCK"',
    ),
    Mutant(
        name="the holder is read as text of a default encoding",
        module="linelog/lock",
        before='            table = Path("/proc/locks").read_bytes()\n',
        after='            table = Path("/proc/locks").read_text().encode()\n',
        tests="faults/test_refusals.py",
    ),
    Mutant(
        name="closing waits no longer than an append",
        module="linelog/appender",
        before="            mutex.acquire()\n",
        after="            self._wait_for_mutex(mutex, monotonic())\n",
        tests="faults/test_threads.py",
    ),
    Mutant(
        name="descriptors stay open in a forked child",
        module="linelog/lock",
        before=(
            "            self.close()\n        except OSError:\n            pass  # it is closed"
        ),
        after=("            pass\n        except OSError:\n            pass  # it is closed"),
    ),
    Mutant(
        name="no reopening after a fork",
        module="linelog/lock",
        before="                fork.register(self)\n",
        after="",
        tests="faults/test_fork.py",
    ),
    Mutant(
        name="the mutex is not renewed in a forked child",
        module="linelog/appender",
        before=("        self._mutex = RLock()\n\n    def _dir"),
        after=("        pass\n\n    def _dir"),
        tests="faults/test_fork.py",
    ),
    Mutant(
        name="an idle child keeps its parent's file",
        module="linelog/fork",
        before=("    for thing in list(_inherited):\n        thing.after_fork()\n"),
        after="    _inherited.clear()\n",
        tests="faults/test_fork.py",
    ),
    Mutant(
        name="a child unlocks what it inherited",
        module="linelog/lock",
        before=("        self.fd = _NO_DESCRIPTOR\n        try:\n            self.close()\n"),
        after=("        try:\n            unlock(self.fd)\n            self.close()\n"),
        tests="faults/test_fork.py",
    ),
    Mutant(
        name="a child uses the number of the descriptor that it closed",
        module="linelog/lock",
        before=(
            '        """Close the child\'s descriptor, which leaves the parent its lock '
            '(SPEC: APP-46)."""\n'
            "        self.fd = _NO_DESCRIPTOR\n"
        ),
        after=(
            '        """Close the child\'s descriptor, which leaves the parent its lock '
            '(SPEC: APP-46)."""\n'
        ),
        tests="faults/test_fork.py",
    ),
    Mutant(
        name="a child goes on with a file whose opening forked",
        module="linelog/lock",
        before="                if os.getpid() != pid:",
        after="                if False:",
        tests="faults/test_fork.py",
    ),
    Mutant(
        name="a child takes its parent's sync for failed",
        module="linelog/appender",
        before="            self._sync_failed = not file.closed\n",
        after="            self._sync_failed = True\n",
        tests="faults/test_fork.py",
    ),
    Mutant(
        name="a pickled handle forgets its settings",
        module="eventlog",
        before="self._run_id, self.lock_timeout, self.durable)",
        after="self._run_id, 5.0, False)",
        tests="faults/test_threads.py",
    ),
    Mutant(
        name="a pickled handle on a line log forgets its settings",
        module="linelog/appender",
        before=(
            '            "lock_timeout": self.lock_timeout,\n            "durable": self.durable,\n'
        ),
        after="",
        tests="faults/test_threads.py",
    ),
    Mutant(
        name="a pickled handle on a line log forgets its functions",
        module="linelog/appender",
        before=('            "encode": self._encode,\n            "decode": self._decode,\n'),
        after="",
        tests="faults/test_threads.py",
    ),
    Mutant(
        name="a relative root moves with the working directory",
        module="eventlog",
        before="        self._root = absolute_path(root)\n",
        after="        self._root = root\n",
        tests="faults/test_threads.py",
    ),
    Mutant(
        name="an interrupt of an append leaves the mutex taken",
        module="linelog/appender",
        before=(
            "                        mutex.release()\n"
            "                    except RuntimeError:  # this thread"
        ),
        after=(
            "                        pass\n                    except RuntimeError:  # this thread"
        ),
        tests=INTERRUPTS,
        hangs=True,
    ),
    Mutant(
        name="an interrupt of an append leaves the lock taken",
        module="linelog/appender",
        before=CLEAN_UP,
        after=(
            "            # The clean-up in three stages; see the theory of operation.\n"
            "            try:\n"
            "                if may_hold_lock:\n"
            "                    pass\n"
            "            finally:\n"
            "                try:\n"
            "                    if may_hold_lock:\n"
            "                        pass\n"
            "                finally:\n"
            "                    try:\n"
            "                        mutex.release()\n"
            "                    except RuntimeError:  # this thread did not hold it\n"
            "                        pass\n"
        ),
        tests=INTERRUPTS,
    ),
    Mutant(
        name="the clean-up does not unlock",
        module="linelog/appender",
        before=("                if may_hold_lock:\n                    self._close_file()\n"),
        after="                pass\n",
        tests="test_calls.py",
    ),
    Mutant(
        name="only what is an Exception is cleaned up after",
        module="linelog/appender",
        before=("        except BaseException:\n            # The clean-up"),
        after=("        except Exception:\n            # The clean-up"),
        tests="test_calls.py",
    ),
    Mutant(
        name="an interrupt after an append leaves the file to be closed under another thread's",
        module="linelog/appender",
        before=("            may_hold_lock = False\n            mutex.release()\n        except"),
        after=("            mutex.release()\n        except"),
        tests="faults/test_threads.py",
    ),
    Mutant(
        name="an interrupt of the clean-up leaves the locks taken",
        module="linelog/appender",
        before=CLEAN_UP,
        after=(
            "            if may_hold_lock:\n"
            "                self._close_file()\n"
            "            mutex.release()\n"
        ),
        tests=INTERRUPTS,
    ),
    Mutant(
        name="an interrupt of the clean-up leaves the lock taken",
        module="linelog/appender",
        before=(
            "                    if may_hold_lock:\n"
            "                        FileIO.close(self._file)\n"
        ),
        after="                    pass\n",
        tests=INTERRUPTS,
    ),
    Mutant(
        name="the last clean-up closes under another thread's append",
        module="linelog/appender",
        before=(
            "                    if may_hold_lock:\n"
            "                        FileIO.close(self._file)\n"
        ),
        after="                    FileIO.close(self._file)\n",
        tests="faults/test_threads.py",
    ),
    Mutant(
        name="the last clean-up needs frames of Python",
        module="linelog/appender",
        before="                        FileIO.close(self._file)\n",
        after="                        self._close_file()\n",
        tests=DEPTHS,
    ),
    Mutant(
        name="the mutex stays taken when the last clean-up is interrupted",
        module="linelog/appender",
        before=CLEAN_UP,
        after=(
            "            try:\n"
            "                if may_hold_lock:\n"
            "                    self._close_file()\n"
            "            finally:\n"
            "                if may_hold_lock:\n"
            "                    FileIO.close(self._file)\n"
            "                if mutex._is_owned():\n"
            "                    mutex.release()\n"
        ),
        tests=INTERRUPTS,
        hangs=True,
    ),
    Mutant(
        name="whether to close is asked from the mutex",
        module="linelog/appender",
        before=(
            "                    if may_hold_lock:\n"
            "                        FileIO.close(self._file)\n"
        ),
        after=(
            "                    if mutex._is_owned():\n"
            "                        FileIO.close(self._file)\n"
        ),
        tests=INTERRUPTS,
    ),
    Mutant(
        name="two interrupts of closing leave the mutex taken",
        module="linelog/appender",
        before=CLOSING,
        after=CLOSING.replace(
            "                mutex.release()\n",
            "                if mutex._is_owned():\n                    mutex.release()\n",
        ),
        tests=INTERRUPTS,
        hangs=True,
    ),
    Mutant(
        name="an interrupt of closing leaves the mutex taken",
        module="linelog/appender",
        before=CLOSING,
        after=(
            "            mutex.acquire()\n"
            "            with refusals_ignored():\n"
            "                self._file.close()  # the lock is never held between appends\n"
            "            self._closed = True\n"
            "            mutex.release()\n"
            "        finally:\n"
            "            pass\n"
        ),
        tests=INTERRUPTS,
        hangs=True,
    ),
    Mutant(
        name="a handler appends during an append",
        module="linelog/appender",
        before=('        if mutex._is_owned():\n            raise LogBusy(f"{self.path}: used'),
        after=('        if False:\n            raise LogBusy(f"{self.path}: used'),
        tests=BUSY,
    ),
    Mutant(
        name="a handler closes during an append",
        module="linelog/appender",
        before=('        if mutex._is_owned():\n            raise LogBusy(f"{self.path}: closed'),
        after=('        if False:\n            raise LogBusy(f"{self.path}: closed'),
        tests=BUSY,
    ),
    Mutant(
        name="a handler's exception passes for the system's",
        module="linelog/errors",
        before="    return error.errno is not None and not isinstance(error, OmnelogError)\n",
        after="    return not isinstance(error, OmnelogError)\n",
        tests=RAISED,
    ),
    Mutant(
        name="a handler's error of a log passes for the system's",
        module="linelog/errors",
        before="    return error.errno is not None and not isinstance(error, OmnelogError)\n",
        after="    return error.errno is not None\n",
        tests=RAISED,
    ),
    Mutant(
        name="a handler's exception passes for the system's in opening",
        module="linelog/errors",
        before=("        if not is_refusal(error):\n            raise\n        why"),
        after="        why",
        tests="test_appender.py::TestWhatASignalHandlerRaises",
    ),
    Mutant(
        name="a handler's exception is ignored in the clean-up",
        module="linelog/errors",
        before=REFUSALS_IGNORED,
        after=(
            '    """Go on when the system refuses something that nothing depends on."""\n'
            "    try:\n"
            "        yield\n"
            "    except OSError as error:\n"
            "        del error\n"
        ),
        tests=HANDLERS,
    ),
    Mutant(
        name="any exception is ignored in the clean-up",
        module="linelog/errors",
        before=REFUSALS_IGNORED,
        after=(
            '    """Go on when the system refuses something that nothing depends on."""\n'
            "    try:\n"
            "        yield\n"
            "    except Exception:\n"
            "        pass\n"
        ),
        tests=HANDLERS,
    ),
    Mutant(
        name="a handler's exception that has an errno passes for the system's",
        module="linelog/appender",
        before=(
            "            except OSError as error:\n"
            "                self._raise_if_refused(error, LogIOError, 0, data)\n"
        ),
        after=(
            "            except Exception as error:\n"
            "                if getattr(error, 'errno', None) is None:\n"
            "                    raise\n"
            "                self._raise_if_refused(error, LogIOError, 0, data)\n"
        ),
        tests=HANDLERS,
    ),
    Mutant(
        name="a decoder is asked once",
        module="linelog/objects",
        before="    again = _exception_of(decode, line)\n",
        after="    again: Exception | None = error\n",
        tests=DECODERS,
    ),
    Mutant(
        name="a decoder may refuse a line in two ways",
        module="linelog/objects",
        before="    if type(again) is not type(error):\n",
        after="    if again is None:\n",
        tests=DECODERS,
    ),
    Mutant(
        name="what interrupts a decoder that is asked again is lost",
        module="linelog/objects",
        before="            raise again\n",
        after="            return None\n",
        tests=DECODERS,
    ),
    Mutant(
        name="what interrupts a decoder that is asked for the first time is lost",
        module="linelog/objects",
        before="type(_exception_of(decode, line)) is type(error)",
        after="True",
        tests=DECODERS,
    ),
    Mutant(
        name="a lack of stack passes for a refusal of another kind",
        module="linelog/objects",
        before="isinstance(again, (MemoryError, RecursionError))",
        after="isinstance(again, MemoryError)",
        tests=DECODERS,
    ),
    Mutant(
        name="a lack of memory passes for a refusal of another kind",
        module="linelog/objects",
        before="isinstance(again, (MemoryError, RecursionError))",
        after="isinstance(again, RecursionError)",
        tests=DECODERS,
    ),
    Mutant(
        name="a lack of memory condemns a line",
        module="linelog/objects",
        before=("    if isinstance(error, MemoryError):\n        return None\n"),
        after="",
        tests=DECODERS,
    ),
    Mutant(
        name="a lack of stack condemns a line",
        module="linelog/objects",
        before="    if isinstance(error, RecursionError) and nesting(",
        after="    if False and nesting(",
        tests=DEPTHS,
    ),
    Mutant(
        name="closing is left to free the lock",
        module="linelog/appender",
        before="            unlock(file.fd)  # closing is",
        after="            pass  # closing is",
        tests="test_calls.py",
    ),
    Mutant(
        name="the path is never looked at",
        module="linelog/appender",
        before="held_since - self._path_checked_at >= PATH_CHECK_INTERVAL_S",
        after="False",
        tests="faults/test_paths.py",
    ),
    Mutant(
        name="the path is looked at every time",
        module="linelog/appender",
        before="held_since - self._path_checked_at >= PATH_CHECK_INTERVAL_S",
        after="True",
        tests="faults/test_paths.py",
    ),
    Mutant(
        name="a look at the path is forgotten",
        module="linelog/appender",
        before=PATH_CHECK,
        after=(
            "        while file.replaced():\n"
            "            self._close_file()\n"
            "            file = self._open()\n"
            "            self._wait_for_lock(file, started)\n"
        ),
        tests="faults/test_paths.py",
    ),
    Mutant(
        name="the time of a look at the path is taken after it",
        module="linelog/appender",
        before=PATH_CHECK,
        after=(
            "        while file.replaced():\n"
            "            self._close_file()\n"
            "            file = self._open()\n"
            "            self._wait_for_lock(file, started)\n"
            "        self._path_checked_at = monotonic()\n"
        ),
        tests="faults/test_paths.py",
    ),
    Mutant(
        name="the time of an opening is taken after it",
        module="linelog/appender",
        before="        self._file = LockableFile(self.path, OPEN_FLAGS)\n",
        after=(
            "        self._file = LockableFile(self.path, OPEN_FLAGS)\n"
            "        self._path_checked_at = monotonic()\n"
        ),
        tests="faults/test_paths.py",
    ),
    Mutant(
        name="the path is looked at every ten seconds",
        module="linelog/appender",
        before="PATH_CHECK_INTERVAL_S = 1.0",
        after="PATH_CHECK_INTERVAL_S = 10.0",
        tests="faults/test_paths.py",
    ),
    Mutant(
        name="a log that replaces one just opened is not noticed",
        module="linelog/appender",
        before="        while file.replaced():\n",
        after="        if file.replaced():\n",
        tests="faults/test_paths.py",
    ),
    Mutant(
        name="a log that is gone passes for one that is there",
        module="linelog/lock",
        before=(
            "        except (FileNotFoundError, NotADirectoryError):\n            return True\n"
        ),
        after=(
            "        except (FileNotFoundError, NotADirectoryError):\n            return False\n"
        ),
        tests="faults/test_paths.py",
    ),
    Mutant(
        name="a look that is refused stops the append",
        module="linelog/lock",
        before=LOCK_REFUSED,
        after="",
        tests="faults/test_refusals.py",
    ),
    Mutant(
        name="a look that is refused passes for a replaced log",
        module="linelog/lock",
        before=LOCK_REFUSED,
        after=(
            "        except PermissionError as error:\n"
            "            if not is_refusal(error):\n"
            "                raise\n"
            "            return True\n"
        ),
        tests="faults/test_refusals.py",
        hangs=True,
    ),
    Mutant(
        name="a handler's exception passes for a look that is refused",
        module="linelog/lock",
        before=LOCK_REFUSED,
        after=("        except PermissionError:\n            return False\n"),
        tests="faults/test_refusals.py",
    ),
    Mutant(
        name="the end of a file that was left is taken for that of the next",
        module="linelog/appender",
        before=("        self._end = 0\n        self._file = LockableFile"),
        after="        self._file = LockableFile",
        tests="faults/test_paths.py",
    ),
    Mutant(
        name="the time is not asked for after the wait for the lock",
        module="linelog/appender",
        before="                    held_since = self._wait_for_lock(file, started)\n",
        after="                    self._wait_for_lock(file, started)\n",
        tests="faults/test_paths.py",
    ),
    Mutant(
        name="the time is not asked for after the wait for a thread",
        module="linelog/appender",
        before=(
            "                self._wait_for_mutex(mutex, started)\n"
            "                held_since = monotonic()\n"
        ),
        after="                self._wait_for_mutex(mutex, started)\n",
        tests="faults/test_paths.py",
    ),
    Mutant(
        name="any bad tail is in flight",
        module="linelog/reader",
        before=(
            "                report(_located(TornTailError, refusal, self.path, self._line "
            "+ 1, end))\n"
        ),
        after="                self.tail_in_flight = True\n",
    ),
    Mutant(
        name="a tail is read without the lock",
        module="linelog/reader",
        before="            self.acquire(monotonic(), LOCK_PATIENCE_S)\n",
        after="            pass\n",
    ),
    Mutant(
        name="a tail is kept from before the lock",
        module="linelog/reader",
        before=(
            "            end, size = self.extent()  # the tail may have been completed or "
            "cut: look again\n"
        ),
        after="",
    ),
    Mutant(
        name="a reader leaves the lock taken",
        module="linelog/reader",
        before="            unlock(self.fd)\n",
        after="            pass\n",
    ),
    Mutant(
        name="a tail of any length is read",
        module="linelog/reader",
        before="            if is_too_long(self, end, size):\n",
        after="            if False:\n",
        tests="faults/test_quarantine.py",
    ),
    Mutant(
        name="the end of a long tail is not looked at",
        module="linelog/reader",
        before="            if is_too_long(self, end, size):\n",
        after="            if size - end > LONGEST_DECODED:\n",
        tests="faults/test_quarantine.py",
    ),
    Mutant(
        name="damage is skipped",
        module="linelog/reader",
        before="                if is_blank(line):\n",
        after="                if True:\n",
    ),
    Mutant(
        name="blank lines are damage",
        module="linelog/reader",
        before="                if is_blank(line):\n",
        after="                if False:\n",
    ),
    Mutant(
        name="lines end at anything that may end a line",
        module="linelog/reader",
        before='block.split(b"\\n")',
        after='block.replace(b"\\r", b"\\n").split(b"\\n")',
    ),
    Mutant(
        name="a line that two blocks share is read in two",
        module="linelog/reader",
        before='                lines[0] = b"".join((*pieces, lines[0]))\n',
        after="",
    ),
    Mutant(
        name="a follower yields unterminated lines",
        module="linelog/reader",
        before=(
            "                yield from log.records(end, decode, _raise)\n"
            "                if is_last"
        ),
        after=(
            "                yield from log.snapshot(decode, _raise)\n                if is_last"
        ),
    ),
    Mutant(
        name="a follower takes the lock",
        module="linelog/reader",
        before="                end, _ = log.extent()\n",
        after="                end, _ = log.settle()\n",
    ),
    Mutant(
        name="a reader waits as long as a writer",
        module="linelog/reader",
        before="LOCK_PATIENCE_S = 0.1",
        after="LOCK_PATIENCE_S = 60.0",
        tests=_tests("every_syscall", "test_a_reader_waits_for_the_lock_for_a_tenth_of_a_second"),
    ),
    Mutant(
        name="a follower leaves a replaced log at once",
        module="linelog/reader",
        before="LINGER_S = 2.0",
        after="LINGER_S = 0.0",
        tests="faults/test_paths.py",
    ),
    Mutant(
        name="a follower never leaves a replaced log",
        module="linelog/reader",
        before="now - self._replaced_at >= LINGER_S",
        after="False",
        tests="faults/test_paths.py",
    ),
    Mutant(
        name="a follower leaves a log for good that was moved away and back",
        module="linelog/reader",
        before=(
            "        if not self.replaced():\n"
            "            self._replaced_at = math.inf\n"
            "        elif"
        ),
        after=("        if not self.replaced():\n            pass\n        elif"),
        tests="faults/test_paths.py",
    ),
    Mutant(
        name="a follower reads a log again that is back just as it would be left",
        module="linelog/reader",
        before="        if os.path.samestat(os.fstat(new.fd), os.fstat(self.fd)):\n",
        after="        if False:\n",
        tests="faults/test_paths.py",
    ),
    Mutant(
        name="a follower looks before it asks whether to stop",
        module="linelog/reader",
        before=(
            "                is_last_look = stop.is_set()\n"
            "                is_left_behind = log.is_left_behind()\n"
            "                end, _ = log.extent()\n"
            "                yield from log.records(end, decode, _raise)\n"
        ),
        after=(
            "                end, _ = log.extent()\n"
            "                yield from log.records(end, decode, _raise)\n"
            "                is_last_look = stop.is_set()\n"
            "                is_left_behind = log.is_left_behind()\n"
        ),
    ),
    Mutant(
        name="final lines that are gone are not missed",
        module="linelog/reader",
        before="        if end < offset:\n",
        after="        if False:\n",
    ),
    Mutant(
        name="a file that shrinks is read for ever",
        module="linelog/lock",
        before="            if not block:\n",
        after="            if False:\n",
        tests="test_lock.py::TestLockableFile",
        hangs=True,
    ),
    Mutant(
        name="the last newline is looked for in the last block only",
        module="linelog/lock",
        before="        while end > 0:\n",
        after="        if end > 0:\n",
    ),
    Mutant(
        name="problems keep the log alive",
        module="linelog/reader",
        before="        _forget_frames(problem)\n",
        after="",
    ),
    Mutant(
        name="problems keep the log alive through their causes",
        module="linelog/reader",
        before="        error = error.__cause__ or error.__context__\n",
        after="        error = None\n",
    ),
    Mutant(
        name="problems lose their cause",
        module="linelog/reader",
        before="    problem.__cause__ = refusal.__cause__\n",
        after="",
    ),
    Mutant(
        name="a relative root is read wherever the working directory is by then",
        module="linelog/reader",
        before="    return _snapshot(absolute_path(path), decode)\n",
        after="    return _snapshot(Path(path), decode)\n",
    ),
    Mutant(
        name="a relative root is followed wherever the working directory is by then",
        module="linelog/reader",
        before=("    path = absolute_path(path)\n    poll"),
        after=("    path = Path(path)\n    poll"),
    ),
    Mutant(
        name="one bad line hides the next",
        module="linelog/reader",
        before=(
            "                if is_blank(line):\n"
            "                    self.blank_lines += 1\n"
            "                else:\n"
            "                    report(_located(DeserializeError, refusal, self.path, "
            "number, offset))\n"
        ),
        after=(
            "                if is_blank(line):\n"
            "                    self.blank_lines += 1\n"
            "                else:\n"
            "                    report(_located(DeserializeError, refusal, self.path, "
            "number, offset))\n"
            "                    return\n"
        ),
    ),
    Mutant(
        name="duplicate keys are taken",
        module="linelog/objects",
        before="    if len(members) != len(pairs):\n",
        after="    if False:\n",
        tests="test_codec.py",
    ),
    Mutant(
        name="NaN is taken",
        module="linelog/objects",
        before="parse_constant=_finite",
        after="parse_constant=float",
        tests="test_codec.py",
    ),
    Mutant(
        name="lone surrogates are taken",
        module="linelog/objects",
        before='    if "\\\\ud" in text or "\\\\uD" in text:',
        after="    if False:",
        tests="test_codec.py",
    ),
    Mutant(
        name="lone surrogates are taken in capitals",
        module="linelog/objects",
        before='    if "\\\\ud" in text or "\\\\uD" in text:',
        after='    if "\\\\ud" in text:',
        tests="test_codec.py",
    ),
    Mutant(
        name="any nesting is taken",
        module="linelog/objects",
        before="    if nesting(text) > MAX_NESTING:\n",
        after="    if False:\n",
        tests="test_codec.py",
    ),
    Mutant(
        name="minus nought passes for nought",
        module="linelog/objects",
        before=('    if digits == "-0":\n        return -0.0\n'),
        after="",
        tests="test_codec.py",
    ),
    Mutant(
        name="a number beyond a double is taken",
        module="linelog/objects",
        before="    if not math.isfinite(number):",
        after="    if math.isnan(number):",
        tests="test_codec.py",
    ),
    Mutant(
        name="long integers take quadratic time",
        module="linelog/objects",
        before="    if len(digits) >= _LONGEST_INTEGER:\n",
        after="    if False:\n",
        tests="test_codec.py",
    ),
    Mutant(
        name="a newline inside a line is taken",
        module="linelog/objects",
        before='    if "\\n" in text:\n',
        after="    if False:\n",
        tests="test_codec.py",
    ),
    Mutant(
        name="a byte order mark is taken",
        module="linelog/objects",
        before=(
            '    if text.startswith("\\ufeff"):\n'
            '        raise Unfit("not JSON: a byte order mark")\n'
        ),
        after='    text = text.removeprefix("\\ufeff")\n',
        tests="test_codec.py",
    ),
    Mutant(
        name="a bool passes for an integer where lines are accepted",
        module="codec",
        before="    _require_type(where, int, value)\n",
        after=("    if not isinstance(value, int):\n        _require_type(where, int, value)\n"),
    ),
    Mutant(
        name="an integer out of range is read",
        module="codec",
        before=("    if value not in span:\n        raise Unfit("),
        after=("    if False:\n        raise Unfit("),
    ),
    Mutant(
        name="a line that is not canonical is taken unchecked",
        module="codec",
        before=("    if kind is str:\n        _require_type(where, str, value)\n    else"),
        after=("    if kind is str:\n        pass\n    else"),
    ),
    Mutant(
        name="a type that is not a string makes an exception",
        module="codec",
        before="    cls = _CLASSES.get(name) if type(name) is str else None\n",
        after="    cls = _CLASSES.get(name)\n",
    ),
    Mutant(
        name="a null that may not be is taken",
        module="codec",
        before=(
            "            if not (is_optional and member is None):\n                member = _build"
        ),
        after=("            if member is not None:\n                member = _build"),
    ),
    Mutant(
        name="what is not there is written as null",
        module="codec",
        before='    name = "" if e.name is None else',
        after="    name = ',\"name\":null' if e.name is None else",
    ),
    Mutant(
        name="a string passes for an enum",
        module="codec",
        before=(
            "    if type(e.method) is not GateMethod:\n"
            "        raise Unfit\n"
            "    return (\n"
            '        f\'{{"type":"gate.passed","id":{_quote(e.id)},"ts":{_quote(e.ts)}\'\n'
            '        f\',"run_id":{_quote(e.run_id)},"node_id":{_quote(e.node_id)}\'\n'
            '        f\',"gate":{_quote(e.gate)},"method":"{e.method._value_}"}}\\n\'\n'
        ),
        after=(
            "    return (\n"
            '        f\'{{"type":"gate.passed","id":{_quote(e.id)},"ts":{_quote(e.ts)}\'\n'
            '        f\',"run_id":{_quote(e.run_id)},"node_id":{_quote(e.node_id)}\'\n'
            '        f\',"gate":{_quote(e.gate)},"method":"{e.method}"}}\\n\'\n'
        ),
    ),
    Mutant(
        name="an enum of another kind is written",
        module="codec",
        before=("    if type(e.kind) is not NodeKind:\n        raise Unfit\n"),
        after="",
    ),
    Mutant(
        name="an error of any kind is written",
        module="codec",
        before=("    if type(e.error) is not NodeError or type(e.error.kind) is not ErrorKind:\n"),
        after="    if type(e.error) is not NodeError:\n",
    ),
    Mutant(
        name="an error of any class is written",
        module="codec",
        before=("    if type(e.error) is not NodeError or type(e.error.kind) is not ErrorKind:\n"),
        after="    if type(e.error.kind) is not ErrorKind:\n",
    ),
    Mutant(
        name="a bool passes for an integer where events are written",
        module="codec",
        before="    if type(e.iteration) is not int or e.iteration",
        after="    if not isinstance(e.iteration, int) or e.iteration",
    ),
    Mutant(
        name="an integer out of range is written",
        module="codec",
        before="e.iteration not in _U32_SPAN",
        after="e.iteration not in _U64_SPAN",
    ),
    Mutant(
        name="a negative integer is written",
        module="codec",
        before="e.byte_offset not in _U64_SPAN",
        after="e.byte_offset >= 2**64",
    ),
    Mutant(
        name="a subclass of list is written",
        module="codec",
        before="    if type(e.inputs) is not list:\n",
        after="    if not isinstance(e.inputs, list):\n",
    ),
    Mutant(
        name="a subclass of Input is written",
        module="codec",
        before="    if type(item) is not Input:\n",
        after="    if not isinstance(item, Input):\n",
    ),
    Mutant(
        name="an instance of a subclass of an event is written",
        module="codec",
        before="        return _WRITERS[type(event)](event).encode()\n",
        after=(
            "        writer = next(of for cls, of in _WRITERS.items() if isinstance(event, cls))\n"
            "        return writer(event).encode()\n"
        ),
    ),
    Mutant(
        name="a string is written without its escapes",
        module="codec",
        before='f\',"run_id":{_quote(e.run_id)},"reason":{_quote(e.reason)}}}\\n\'',
        after='f\',"run_id":{_quote(e.run_id)},"reason":"{e.reason}"}}\\n\'',
    ),
    Mutant(
        name="members are written in another order",
        module="codec",
        before="{name}{model}}}\\n'",
        after="{model}{name}}}\\n'",
    ),
    Mutant(
        name="a member is not written",
        module="codec",
        before='f\',"gate":{_quote(e.gate)},"method"',
        after='f\',"method"',
    ),
    Mutant(
        name="a type has no writer",
        module="codec",
        before="    IterationStarted: _write_iteration_started,\n",
        after="",
    ),
    Mutant(
        name="an event that cannot be written is an exception of its own",
        module="codec",
        before=("    except (KeyError, TypeError, ValueError, AttributeError, Unfit) as error:\n"),
        after="    except (KeyError, TypeError, ValueError, Unfit) as error:\n",
    ),
    Mutant(
        name="a handler's exception passes for an event that cannot be written",
        module="codec",
        before="        raise  # the event fits, so a signal handler raised this\n",
        after="        raise SerializeError(str(error)) from error\n",
        tests=HANDLERS,
    ),
    Mutant(
        name="a line need not be canonical to be taken unchecked",
        module="codec",
        before="compiled.fullmatch",
        after="compiled.match",
    ),
    Mutant(
        name="control characters in a string are taken",
        module="codec",
        before="_PLAIN = r'[^\"\\\\\\x00-\\x1f]*'",
        after="_PLAIN = r'[^\"\\\\]*'",
    ),
    Mutant(
        name="a string goes on behind its end",
        module="codec",
        before="_PLAIN = r'[^\"\\\\\\x00-\\x1f]*'",
        after="_PLAIN = r'[^\\\\\\x00-\\x1f]*'",
    ),
    Mutant(
        name="any escape is taken",
        module="codec",
        before='["\\\\bfnrt]|u00[01][0-9a-f]',
        after=".|u00[01][0-9a-f]",
    ),
    Mutant(
        name="escapes of surrogates are taken",
        module="codec",
        before="u00[01][0-9a-f]",
        after="u[0-9a-f]{{4}}",
    ),
    Mutant(
        name="escapes are not undone",
        module="codec",
        before="_unescape if has_escapes else None",
        after="None",
    ),
    Mutant(
        name="escapes are not undone in inputs",
        module="codec",
        before="[Input(key=_unescape(key), value=_unescape(value)) for",
        after="[Input(key=key, value=_unescape(value)) for",
    ),
    Mutant(
        name="a name and its value are swapped",
        module="codec",
        before="[Input(key=_unescape(key), value=_unescape(value)) for key, value",
        after="[Input(key=_unescape(key), value=_unescape(value)) for value, key",
    ),
    Mutant(
        name="a comma too many is taken",
        module="codec",
        before="((?:{item}(?:,{item})*)?)",
        after="((?:{item},?)*)",
    ),
    Mutant(
        name="only the first two inputs are taken",
        module="codec",
        before="            found = each.findall(items)\n",
        after="            found = each.findall(items)[:2]\n",
    ),
    Mutant(
        name="an integer out of range is read in a canonical line",
        module="codec",
        before=("        if number not in span:\n            _require_integer("),
        after=("        if False:\n            _require_integer("),
    ),
    Mutant(
        name="a nought may come before an integer",
        module="codec",
        before="(0|[1-9][0-9]{0,19})",
        after="([0-9]{1,20})",
    ),
    Mutant(
        name="minus nought passes for nought in a canonical line",
        module="codec",
        before="(0|[1-9][0-9]{0,19})",
        after="(-?0|[1-9][0-9]{0,19})",
    ),
    Mutant(
        name="digits of any script are taken",
        module="codec",
        before="(0|[1-9][0-9]{0,19})",
        after="(0|[1-9]\\\\d{0,19})",
    ),
    Mutant(
        name="a member that has to be there may be missing",
        module="codec",
        before='        pattern += f"(?:{member})?" if is_optional else member\n',
        after='        pattern += f"(?:{member})?"\n',
    ),
    Mutant(
        name="a type is known by its first letters",
        module="codec",
        before='    pattern = f\'{{"type":"{re.escape(cls.type)}"\'',
        after='    pattern = \'{"type":"[^"]*"\'',
    ),
    Mutant(
        name="another type with the same first letters is taken for the first",
        module="codec",
        before="            if cls.type[:_KEY_LENGTH] == key:\n",
        after="            if cls.type[:2] == key[:2]:\n",
        tests="test_codec.py::test_a_canonical_line_is_not_taken_the_long_way",
    ),
    Mutant(
        name="an event that was read is of another class",
        module="codec",
        before="    event.__class__ = cls\n",
        after="",
    ),
    Mutant(
        name="a follower that is asked to stop forgets the log that replaced its own",
        module="linelog/reader",
        before="                if is_last_look and not (log.replaced() and exists(path)):\n",
        after="                if is_last_look:\n",
        tests="linelog/test_read.py",
    ),
    Mutant(
        name="what cannot be looked at passes for absent",
        module="linelog/lock",
        before="    except (FileNotFoundError, NotADirectoryError):\n        return False\n",
        after="    except OSError:\n        return False\n",
        tests="linelog/test_read.py",
    ),
    Mutant(
        name="a handler's exception makes a failed sync forgotten",
        module="linelog/appender",
        before=(
            "            self._sync_failed = not file.closed\n"
            "            if not is_refusal(error):\n"
            "                self._sync_failed = False\n"
            "                raise\n"
        ),
        after=(
            "            if not is_refusal(error):\n"
            "                raise\n"
            "            self._sync_failed = not file.closed\n"
        ),
        tests="linelog/test_append.py",
    ),
]
