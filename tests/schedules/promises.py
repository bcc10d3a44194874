# SPDX-License-Identifier: MIT
"""What must be true after every step of every schedule, in any order (SPEC: APP, READ, LOCK).

A system calls `Promises` at each change of a file, each release of a lock, each death, and each end
of an operation; `Promises` notes what is wrong. The promises:

- A terminated line does not change. It is a line that a process appends or that was found. It is in
  the log once, and the lines of one append are next to each other.
- A line becomes final while its append runs. So if one append returned before another began, its
  line comes first.
- An append that returned has all its lines in the log, on disk if it is durable. An append that
  raised has no lines there except those it counted.
- Only the holder of the lock changes the log or its quarantine. When the lock is released, the log
  ends with a newline, or with a tail whose author is dead.
- Only a torn tail whose author is dead is cut off. Before that, its copy in the quarantine is on
  disk.
  The quarantine has each such tail once, and perhaps a part of a copy that a death interrupted.
- A snapshot is the beginning of the log: all lines that were final when it opened the log, in
  order, perhaps more, and perhaps a whole tail. So it is the beginning of every later snapshot.
- A reader reports a torn tail only if there was one while it looked. It leaves a tail out only if
  it found the lock taken.
- A follower yields each line when it is final, in order. It yields all lines that were final when
  it was asked to stop.
- An append that is called 1 s after its log was replaced goes to the log at the path.
- No operation keeps the lock or a file, however it ends.
"""

import errno
import json
from dataclasses import dataclass, field

from .. import omnelog
from .processes import Operation, Process
from .scenarios import READING, SEED, WHOLE


@dataclass(slots=True, eq=False)
class WatchedFile:
    """A file, a descriptor to look at it, and the holder of its lock."""

    label: str
    is_log: bool
    fd: int
    data_bit: int
    lock_bit: int
    content: bytes = b""
    lines: list[bytes] = field(default_factory=list)  # the final lines, without newlines
    version: int = 0  # how often the file has changed
    synced_version: int = -1
    synced_size: int = 0
    entry_is_synced: bool = True
    ownerless_tail: bytes = b""  # a tail whose author is dead
    holder: Process | None = None
    holder_fd: int = -1
    left_path_at: float | None = None  # when it was moved away
    final_when_asked: int = 0  # how many lines were final when the followers were asked to stop

    @property
    def final_size(self) -> int:
        """The offset after the last newline."""
        return self.content.rfind(b"\n") + 1

    @property
    def tail(self) -> bytes:
        """The bytes after the last newline."""
        return self.content[self.final_size :]


@dataclass(slots=True, eq=False)
class TornTail:
    """A torn tail whose author is dead, from step `since` to the step of its repair."""

    file: WatchedFile
    offset: int
    data: bytes
    since: int
    until: int | None = None


@dataclass(slots=True, eq=False)
class FinalLine:
    """The place of a final line, and the step at which it became final."""

    file: WatchedFile
    index: int
    end: int
    step: int


@dataclass(slots=True, eq=False)
class Reading:
    """The state of an operation that reads."""

    file: WatchedFile
    final_when_opened: int
    opened: int
    yielded: int = 0  # how many lines of this file a follower has yielded


class Promises:
    """The state of one run, and the promises that were broken in it."""

    def __init__(self) -> None:
        self.violations: list[str] = []
        self.step = 0
        self.files: list[WatchedFile] = []
        self.operations: list[Operation] = []
        self.torn: list[TornTail] = []
        self._authors: dict[bytes, tuple[Operation | None, int]] = {
            SEED[:-1]: (None, 0),
            WHOLE: (None, 0),
        }
        self._final: dict[bytes, FinalLine] = {}
        self._interrupted_copies: list[bytes] = []
        self._readings: dict[Operation, Reading] = {}

    def violated(self, text: str) -> None:
        """Note a violation."""
        self.violations.append(text)

    # The files

    def found(self, file: WatchedFile, content: bytes) -> None:
        """Note that a file was opened for the first time, and its content."""
        self.files.append(file)
        file.content = content
        if file.is_log:
            for line in content.split(b"\n")[:-1]:
                self._became_final(file, line, len(SEED))
            self._left_tail(file)

    def changed(self, file: WatchedFile, content: bytes, process: Process) -> None:
        """Check a change that a process made; `content` is the new content of the file."""
        old = file.content
        if content == old:
            return
        final_size = file.final_size
        file.content = content
        file.version += 1
        if content[:final_size] != old[:final_size]:
            self.violated(f"{file.label}: terminated lines were changed")
        elif file.is_log:
            self._log_changed(file, old, final_size, process)
        else:
            self._quarantine_changed(file, old, final_size)

    def _log_changed(
        self, file: WatchedFile, old: bytes, final_size: int, process: Process
    ) -> None:
        content = file.content
        grew_by = content[len(old) :]
        if len(content) < len(old):
            self._was_cut(file, old[len(content) :], process)
        elif file.ownerless_tail and grew_by != b"\n":
            self.violated(f"{file.label}: {grew_by!r} was written behind {file.ownerless_tail!r}")
        end = final_size
        for line in content[final_size:].split(b"\n")[:-1]:
            end += len(line) + 1
            self._became_final(file, line, end)
        if file.ownerless_tail and file.tail != file.ownerless_tail:
            file.ownerless_tail = b""
            for torn in self.torn:
                if torn.file is file and torn.until is None:
                    torn.until = self.step

    def _became_final(self, file: WatchedFile, line: bytes, end: int) -> None:
        if line in self._final:
            self.violated(f"{file.label}: {line!r} is there twice")
        elif line not in self._authors:
            self.violated(f"{file.label}: {line!r} was terminated, and nobody appends that")
        else:
            operation, index = self._authors[line]
            if operation is not None and operation.has_ended:
                self.violated(f"{file.label}: {line!r} was written after its append had ended")
            if operation is not None and index > 0:
                before = file.lines[-1] if file.lines else b""
                if before != operation.lines[index - 1]:
                    self.violated(f"{file.label}: {before!r} came between the lines of one append")
        self._final[line] = FinalLine(file, len(file.lines), end, self.step)
        file.lines.append(line)

    def _was_cut(self, file: WatchedFile, cut: bytes, process: Process) -> None:
        if not file.ownerless_tail:
            operation = process.operation
            if operation is None or not any(line.startswith(cut) for line in operation.lines):
                self.violated(f"{file.label}: {cut!r} was cut off while somebody was writing it")
            return
        if cut != file.ownerless_tail:
            self.violated(f"{file.label}: {cut!r} was cut off of {file.ownerless_tail!r}")
        if cut in self._authors:
            self.violated(f"{file.label}: {cut!r} was cut off, although it is whole")
        quarantine = self._quarantine()
        if quarantine is None or not (b"\n" + quarantine.content).endswith(b"\n" + cut + b"\n"):
            self.violated(f"{file.label}: {cut!r} was cut off, and is not in the quarantine")
        elif quarantine.synced_version != quarantine.version or not quarantine.entry_is_synced:
            self.violated(f"{file.label}: {cut!r} was cut off, and its copy is not on disk")

    def _quarantine(self) -> WatchedFile | None:
        return next((file for file in self.files if not file.is_log), None)

    def _quarantine_changed(self, file: WatchedFile, old: bytes, final_size: int) -> None:
        if not file.content.startswith(old):
            self.violated(f"{file.label}: {old!r} was changed")
        for line in file.content[final_size:].split(b"\n")[:-1]:
            file.lines.append(line)
            times_torn = sum(torn.data == line for torn in self.torn)
            is_allowed = file.lines.count(line) <= times_torn or line in self._interrupted_copies
            if line in self._authors:
                self.violated(f"{file.label}: {line!r} is there, although it is whole")
            elif times_torn and not is_allowed:
                self.violated(f"{file.label}: {line!r} is there twice")
            elif not is_allowed:
                self.violated(f"{file.label}: {line!r} is there, and its author is not dead")
        if not any(torn.data.startswith(file.tail) for torn in self.torn):
            self.violated(f"{file.label}: {file.tail!r} is being copied, and is not torn")

    # Locks and deaths

    def check_holder(self, file: WatchedFile, process: Process, what: str) -> None:
        """Check that the process, which is about to change the file, holds the lock."""
        logs = [file] if file.is_log else [log for log in self.files if log.is_log]
        if not any(log.holder is process for log in logs):
            self.violated(f"{file.label} is {what} by {process.letter}, who has not the lock")
        operation = process.operation
        if operation is None or not operation.lines or file.left_path_at is None:
            return
        if operation.called_at - file.left_path_at >= 1:
            self.violated(f"{file.label} left the path 1 s before the append, which writes it")

    def acquired(self, file: WatchedFile, process: Process) -> None:
        """Check that no other process had the lock that this process acquired."""
        if file.holder is not None:
            self.violated(f"{file.label}: {process.letter} got the lock of {file.holder.letter}")

    def released(self, file: WatchedFile) -> None:
        """Check the tail of a file whose lock a living process released."""
        if file.is_log and file.tail != file.ownerless_tail:
            self.violated(f"{file.label}: {file.tail!r} was left there by one who lives")

    def died(self, held: list[WatchedFile]) -> None:
        """Note that a process died while it held the locks of these files."""
        for file in held:
            self._left_tail(file)
        quarantine = self._quarantine()
        if held and quarantine is not None and quarantine.tail:
            self._interrupted_copies.append(quarantine.tail)

    def _left_tail(self, file: WatchedFile) -> None:
        """Note that the author of the file's tail is dead."""
        tail = file.tail
        if tail and tail != file.ownerless_tail:
            file.ownerless_tail = tail
            if tail not in self._authors:
                self.torn.append(TornTail(file, file.final_size, tail, self.step))

    # Operations

    def begins(self, operation: Operation) -> None:
        """Note an operation that is about to begin."""
        self.operations.append(operation)

    def offers(self, operation: Operation) -> None:
        """Note the lines that an operation is going to append."""
        for index, line in enumerate(operation.lines):
            self._authors[line] = operation, index

    def ends(self, operation: Operation) -> None:
        """Check an operation that has ended; its result is in it."""
        operation.has_ended = True
        process = operation.process
        who = f"{process.letter}'s {operation.name}"
        for file in self.files:
            if file.holder is process:
                self.violated(f"{who} ended with the lock of {file.label}")
        if operation.name in READING:
            self._reading_ended(operation, who)
        elif operation.error is None:
            self._acknowledged(operation, who)
        else:
            self._refused(operation, operation.error, who)

    def _acknowledged(self, operation: Operation, who: str) -> None:
        for line in operation.lines:
            final = self._final.get(line)
            if final is None:
                self.violated(f"{who} was acknowledged, and {line!r} is missing")
            elif operation.began is None or final.step < operation.began:
                self.violated(f"{who}: {line!r} was there before the append began")
            elif "durable" in operation.process.traits and final.file.synced_size < final.end:
                self.violated(f"{who} was acknowledged, and {line!r} is not on disk")

    def _refused(self, operation: Operation, error: Exception, who: str) -> None:
        traits = operation.process.traits
        appended = sum(line in self._final for line in operation.lines)
        if isinstance(error, omnelog.LockTimeout):
            is_right = "impatient" in traits and operation.found_taken and not appended
        elif isinstance(error, omnelog.LogIOError):
            is_right = (
                "full" in traits and error.errno == errno.ENOSPC and error.appended == appended
            )
        else:
            is_right = False
        if not is_right:
            self.violated(f"{who} failed with {error!r}; {appended} of its lines are in the log")

    # Reading

    def opened_to_read(self, operation: Operation, file: WatchedFile) -> None:
        """Note that an operation that reads opened a log."""
        reading = self._readings.get(operation)
        if reading is None or reading.file is not file:
            self._readings[operation] = Reading(file, len(file.lines), self.step)

    def has_yielded(self, operation: Operation, record: dict[str, object]) -> None:
        """Check that the record that a follower yielded is the next one."""
        reading = self._readings[operation]
        line = _line_of(record)
        if reading.file.lines[reading.yielded : reading.yielded + 1] != [line]:
            self.violated(f"{operation.process.letter} yielded {line!r}, which is not next")
        reading.yielded += 1

    def _reading_ended(self, operation: Operation, who: str) -> None:
        reading = self._readings.get(operation)
        error = operation.error
        torn_tails = list(operation.problems)
        if isinstance(error, omnelog.TornTailError):
            torn_tails.append(error)
        elif error is not None:
            was_moved = any(file.left_path_at is not None for file in self.files)
            is_missing = isinstance(error, omnelog.LogIOError) and error.errno == errno.ENOENT
            if not is_missing or (reading is not None and not was_moved):
                self.violated(f"{who} failed with {error!r}")
            return
        if reading is None:
            self.violated(f"{who} opened no log")
            return
        for problem in torn_tails:
            if not self._was_torn(problem, reading):
                self.violated(f"{who} says that a tail is torn which is being written: {problem!r}")
        if operation.tail_in_flight and not operation.found_taken:
            self.violated(f"{who} left a tail out, and never found the lock taken")
        if operation.name == "follow":
            if reading.yielded < reading.file.final_when_asked:
                self.violated(f"{who} did not yield all that was final when it was asked to stop")
        elif error is None:
            self._judge_snapshot([_line_of(record) for record in operation.records], reading, who)

    def _was_torn(self, problem: Exception, reading: Reading) -> bool:
        return isinstance(problem, omnelog.TornTailError) and any(
            torn.file is reading.file
            and torn.offset == problem.offset
            and (torn.until is None or torn.until >= reading.opened)
            for torn in self.torn
        )

    def _judge_snapshot(self, lines: list[bytes], reading: Reading, who: str) -> None:
        file = reading.file
        possible = list(file.lines)
        if file.ownerless_tail in self._authors:
            possible.append(file.ownerless_tail)
        if lines != possible[: len(lines)]:
            self.violated(f"{who} is not the beginning of the log: {lines}")
        if len(lines) < reading.final_when_opened:
            self.violated(f"{who} lacks lines that were final when it opened the log: {lines}")

    # The end

    def state(self) -> object:
        """Return what the last append of a run depends on, after every process has ended."""
        files = sorted((file.label, file.content, file.ownerless_tail) for file in self.files)
        return tuple(files), tuple(torn.data for torn in self.torn)

    def at_the_end(self) -> None:
        """Check the files after every process has ended and a last append has repaired the log."""
        for file in self.files:
            if file.tail and file.left_path_at is None:
                self.violated(f"{file.label}: {file.tail!r} is still there after a repair")
            if file.holder is not None:
                self.violated(f"{file.label}: its lock is still held by {file.holder.letter}")
        quarantine = self._quarantine()
        kept = [] if quarantine is None else quarantine.lines
        for torn in self.torn:
            if torn.file.left_path_at is None and torn.data not in kept:
                self.violated(f"{torn.data!r} was torn, and is not in the quarantine")


def _line_of(record: dict[str, object]) -> bytes:
    return json.dumps(record, separators=(",", ":")).encode()
