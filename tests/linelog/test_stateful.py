# SPDX-License-Identifier: MIT
"""Any sequence of appends, torn tails and foreign writers, compared with a list of the records.

The records are arbitrary JSON objects. The invariant: once the log is repaired, it consists of
their lines, byte for byte.
"""

import pickle
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    precondition,
    rule,
)

from . import linelog
from .json_objects import perhaps_records, records

Objects = dict[str, Any]


def line_of(record: Objects) -> bytes:
    return linelog.encode_object(record) + b"\n"


class LogMachine(RuleBasedStateMachine):
    """Several handles, readers, a follower, foreign writers and deaths on one log."""

    handles: Bundle[int] = Bundle("handles")  # indexes into `open`

    @initialize()
    def make_the_log(self) -> None:
        self.directory = tempfile.TemporaryDirectory()
        self.path = Path(self.directory.name, "new", "log.jsonl")
        self.model: list[Objects] = []
        self.content = b""  # the lines of the model, in the spelling of their writers
        self.tail = b""  # the bytes after the last newline
        self.torn: list[bytes] = []
        self.open: list[linelog.LineLog[Objects]] = []
        linelog.LineLog(self.path).close()
        self.followed: list[Objects] = []
        self.start_following()

    @rule(target=handles, durable=st.booleans())
    def open_a_handle(self, durable: bool) -> int:
        self.open.append(linelog.LineLog(self.path, durable=durable))
        return len(self.open) - 1

    @rule(target=handles, handle=handles)
    def copy_a_handle(self, handle: int) -> int:
        self.open.append(pickle.loads(pickle.dumps(self.open[handle])))
        return len(self.open) - 1

    @rule(handle=consumes(handles))
    def close_a_handle(self, handle: int) -> None:
        self.open[handle].close()

    @rule(handle=handles, record=records())
    def append(self, handle: int, record: Objects) -> None:
        self.expect_repair()
        self.open[handle].append(record)
        self.expect(record)

    @rule(record=records())
    def append_now_and_then(self, record: Objects) -> None:
        self.expect_repair()
        linelog.append_log(self.path, record)
        self.expect(record)

    @rule(handle=handles, batch=st.lists(records(), max_size=4))
    def append_many(self, handle: int, batch: list[Objects]) -> None:
        if batch:
            self.expect_repair()
        self.open[handle].append_many(batch)
        for record in batch:
            self.expect(record)

    @rule(handle=handles)
    def repair(self, handle: int) -> None:
        self.expect_repair()
        self.open[handle].repair()

    @rule(handle=handles, sound=st.lists(records(), max_size=2), record=perhaps_records())
    def append_what_may_not_be_a_record(
        self, handle: int, sound: list[Objects], record: Any
    ) -> None:
        """If one record of a batch cannot be written, nothing is written, and nothing repaired."""
        try:
            line = line_of(record)
        except linelog.SerializeError:
            line = None
        if line is not None:
            self.expect_repair()
        try:
            self.open[handle].append_many([*sound, record])
        except linelog.SerializeError:
            assert line is None
        else:
            assert line is not None
            for one in sound:
                self.expect(one)
            self.content += line
            self.model.append(linelog.decode_object(line))

    @precondition(lambda self: not self.tail)
    @rule(record=records(), place=st.integers(0))
    def die_during_an_append(self, record: Objects, place: int) -> None:
        line = line_of(record)
        self.foreign_write(line[: place % len(line)])

    @precondition(lambda self: not self.tail)
    @rule(garbage=st.binary(max_size=30).map(lambda data: data.replace(b"\n", b"")))
    def leave_garbage(self, garbage: bytes) -> None:
        self.foreign_write(garbage)

    @precondition(lambda self: not self.tail)
    @rule(record=records())
    def a_foreign_writer_appends_a_line_in_another_spelling(self, record: Objects) -> None:
        line = b" " + line_of(record)[:-1] + b"\t\r\n"
        self.foreign_write(line)
        self.content += line
        self.model.append(record)
        self.tail = b""

    @rule()
    def read(self) -> None:
        scan = linelog.scan_log(self.path)
        whole = self.whole_tail()
        assert scan.records == self.model + whole
        is_torn = bool(self.tail) and not whole
        assert [type(problem) for problem in scan.problems] == [linelog.TornTailError] * is_torn
        if is_torn:
            assert scan.problems[0].line == len(self.model) + 1
            assert scan.problems[0].offset == len(self.content)
        assert not scan.tail_in_flight

    @rule()
    def follow(self) -> None:
        while len(self.followed) < len(self.model):
            self.patience.looks = 0
            self.followed.append(next(self.following))

    @rule()
    def follow_from_the_beginning(self) -> None:
        self.start_following()
        self.followed.clear()

    @invariant()
    def the_file_is_the_model(self) -> None:
        assert self.path.read_bytes() == self.content + self.tail

    @invariant()
    def the_follower_saw_what_was_there(self) -> None:
        assert self.followed == self.model[: len(self.followed)]

    @invariant()
    def the_quarantine_has_every_fragment(self) -> None:
        path = self.path.with_name("log.jsonl.torn")
        kept = path.read_bytes() if path.exists() else b""
        assert kept == b"".join(fragment + b"\n" for fragment in self.torn)

    def start_following(self) -> None:
        self.patience = Impatient()
        self.following: Iterator[Objects] = linelog.follow_log(self.path, stop=self.patience)

    def expect(self, record: Objects) -> None:
        self.content += line_of(record)
        self.model.append(record)

    def foreign_write(self, data: bytes) -> None:
        with self.path.open("ab") as file:
            file.write(data)
        self.tail = data

    def whole_tail(self) -> list[Objects]:
        try:
            return [linelog.decode_object(self.tail)] if self.tail else []
        except linelog.DeserializeError:
            return []

    def expect_repair(self) -> None:
        whole = self.whole_tail()
        if whole:
            self.model += whole
            self.content += self.tail + b"\n"
        elif self.tail and [self.tail] != self.torn[-1:]:
            self.torn.append(self.tail)
        self.tail = b""

    def teardown(self) -> None:
        if hasattr(self, "directory"):
            for log in self.open:
                log.close()
            self.following.close()  # type: ignore[attr-defined]
            self.directory.cleanup()


class Impatient(threading.Event):
    """A stop event that never sleeps. It lets a follower look twice for the next record."""

    looks = 0

    def wait(self, timeout: float | None = None) -> bool:
        assert self.looks < 2, "the follower does not see a record that is there"
        self.looks += 1
        return False


TestLog = LogMachine.TestCase
TestLog.settings = settings(stateful_step_count=25)
