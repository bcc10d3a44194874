# SPDX-License-Identifier: MIT
"""Any sequence of appends, torn tails and foreign writers, compared with a list of the events.

The invariant: once the log is repaired, it is ``b"".join(map(encode, model))``, byte for byte.
"""

import os
import tempfile
from pathlib import Path

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

from . import omnelog
from .samples import RUN, lines, quarantine_path
from .strategies import events


class LogMachine(RuleBasedStateMachine):
    """Several handles, readers, foreign writers and deaths on one log."""

    handles: Bundle[int] = Bundle("handles")  # indexes into `open`

    @initialize()
    def make_the_log(self) -> None:
        self.volume = tempfile.TemporaryDirectory()
        self.root = Path(self.volume.name)
        self.model: list[omnelog.Event] = []
        self.tail = b""  # the bytes after the last newline
        self.torn: list[bytes] = []
        self.open: list[omnelog.EventLog] = []
        with omnelog.EventLog.for_run(self.root, RUN) as log:
            self.path = log.path

    @rule(target=handles, durable=st.booleans())
    def open_a_handle(self, durable: bool) -> int:
        self.open.append(omnelog.EventLog.for_run(self.root, RUN, durable=durable))
        return len(self.open) - 1

    @rule(handle=consumes(handles))
    def close_a_handle(self, handle: int) -> None:
        self.open[handle].close()

    @rule(handle=handles, event=events())
    def append(self, handle: int, event: "omnelog.Event") -> None:
        self.expect_repair()
        self.open[handle].append(event)
        self.model.append(event)

    @rule(handle=handles, batch=st.lists(events(), min_size=1, max_size=4))
    def append_many(self, handle: int, batch: list["omnelog.Event"]) -> None:
        self.expect_repair()
        self.open[handle].append_many(batch)
        self.model += batch

    @precondition(lambda self: not self.tail)
    @rule(event=events(), place=st.integers(0))
    def die_during_an_append(self, event: "omnelog.Event", place: int) -> None:
        line = omnelog.encode(event)
        self.foreign_write(line[: place % len(line)])

    @precondition(lambda self: not self.tail)
    @rule(garbage=st.binary(max_size=30).map(lambda b: b.replace(b"\n", b"")))
    def leave_garbage(self, garbage: bytes) -> None:
        self.foreign_write(garbage)

    @precondition(lambda self: self.model and not self.tail)
    @rule(place=st.integers(1))
    def lose_part_of_the_last_line(self, place: int) -> None:
        """A power loss may do this. It leaves a torn tail, or only takes the newline.

        All handles are closed, because none survives a power loss. A handle knows the place where
        its last line ended, and would not look at the end if the log had the same length again.
        """
        last = omnelog.encode(self.model.pop())
        cut = 1 + place % len(last)
        os.truncate(self.path, self.path.stat().st_size - cut)
        self.tail = last[: len(last) - cut]
        for handle, log in enumerate(self.open):
            log.close()
            self.open[handle] = omnelog.EventLog.for_run(self.root, RUN, durable=log.durable)

    @precondition(lambda self: not self.tail)
    @rule(event=events())
    def a_foreign_writer_appends_a_whole_line(self, event: "omnelog.Event") -> None:
        self.foreign_write(omnelog.encode(event))
        self.model.append(event)
        self.tail = b""

    @rule()
    def read(self) -> None:
        scan = omnelog.scan_run(self.root, RUN)
        whole = self.whole_tail()
        assert scan.events == self.model + whole
        expected = [omnelog.TornTailError] if self.tail and not whole else []
        assert [type(problem) for problem in scan.problems] == expected
        assert not scan.tail_in_flight

    @invariant()
    def the_file_is_the_model(self) -> None:
        assert self.path.read_bytes() == lines(*self.model) + self.tail

    @invariant()
    def the_quarantine_has_every_fragment(self) -> None:
        path = quarantine_path(self.root)
        kept = path.read_bytes() if path.exists() else b""
        assert kept == b"".join(fragment + b"\n" for fragment in self.torn)

    def foreign_write(self, data: bytes) -> None:
        with self.path.open("ab") as file:
            file.write(data)
        self.tail = data

    def whole_tail(self) -> list["omnelog.Event"]:
        try:
            return [omnelog.decode(self.tail)] if self.tail else []
        except omnelog.DeserializeError:
            return []

    def expect_repair(self) -> None:
        whole = self.whole_tail()
        self.model += whole
        if self.tail and not whole and [self.tail] != self.torn[-1:]:
            self.torn.append(self.tail)
        self.tail = b""

    def teardown(self) -> None:
        if hasattr(self, "volume"):
            for log in self.open:
                log.close()
            self.volume.cleanup()


TestLog = LogMachine.TestCase
