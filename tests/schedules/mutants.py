# SPDX-License-Identifier: MIT
"""Mistakes in the core that only a schedule shows, and the scenarios that show them.

All other mistakes are in ``tests/mutation``. To put a mistake into the running core, a mutant edits
the text of one function and compiles it again.
"""

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from .. import omnelog

APPENDER = omnelog.linelog.appender
READER = omnelog.linelog.reader
REPAIR = omnelog.linelog.repair

_LOCK = """\
                if self._yields_next or not try_lock(file.fd):
                    held_since = self._wait_for_lock(file, started)
"""
_END = """\
                end = os.lseek(file.fd, 0, os.SEEK_END)
"""
_REPAIR = """\
                if end != self._end:
                    end = repair(file, end, self._decode, durable=self.durable)
"""
_RELOCK = """\
                unlock(file.fd)
                self._wait_for_lock(file, started)
"""
_SHORT_WRITE = """\
                    if written != len(data):
"""
_MATCHING = """\
            length = file.matching_length(start, data)
"""
_IS_LAST_LOOK = """\
                is_last_look = stop.is_set()
"""
_EXTENT = """\
                end, _ = log.extent()
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mutant:
    """A mistake: in `function` of `module`, the first text of each edit becomes the second."""

    name: str
    module: ModuleType
    function: str  # with its class, as in ``LineLog._append``
    edits: tuple[tuple[str, str], ...]
    scenario: str  # a scenario that shows the mistake
    preemptions: int
    """How many preemptions a schedule needs to show the mistake.

    With 0, any schedule breaks a promise that is checked after each step, although the mistake does
    harm only with a preemption.
    """

    def mutated(self) -> tuple[str, str]:
        """Return the text of the module without and with the mistake."""
        text = inspect.getsource(self.module)
        before = inspect.getsource(self._original())
        return text, text.replace(before, self._edited(before))

    def _original(self) -> Callable[..., Any]:
        found: Any = self.module
        for name in self.function.split("."):
            found = vars(found)[name]
        return found  # type: ignore[no-any-return] # it is a function by the declaration above

    def _edited(self, text: str) -> str:
        for before, after in self.edits:
            assert text.count(before) == 1, f"{self.name}: {before!r} is not once in the core"
            text = text.replace(before, after)
        return text

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Put the mistake into the core."""
        original = self._original()
        owner_name, _, name = self.function.rpartition(".")
        text = self._edited(inspect.getsource(original))
        namespace: dict[str, Any] = {}
        # The text of a method is indented, so it is compiled as the body of a class.
        header = "class Owner:\n" if owner_name else ""
        exec(compile(header + text, self.name, "exec"), vars(self.module), namespace)
        replacement = vars(namespace["Owner"])[name] if owner_name else namespace[name]
        owners: list[Any] = [self.module, APPENDER, READER, REPAIR]
        if owner_name:
            owners = [vars(self.module)[owner_name]]
        changed = [owner for owner in owners if vars(owner).get(name) is original]
        try:
            for owner in changed:
                setattr(owner, name, replacement)
            yield
        finally:
            for owner in changed:
                setattr(owner, name, original)


MUTANTS = [
    Mutant(
        name="repair before the lock",
        module=APPENDER,
        function="LineLog._append",
        edits=((_END + _REPAIR, _END), (_LOCK, _END + _REPAIR + _LOCK)),
        scenario="torn A:append B:append",
        preemptions=0,
    ),
    Mutant(
        name="repair under a lock of its own",
        module=APPENDER,
        function="LineLog._append",
        edits=((_REPAIR, _REPAIR + _RELOCK),),
        scenario="sound A:append B/mortal:append",
        preemptions=1,
    ),
    Mutant(
        name="the look before the lock",
        module=APPENDER,
        function="LineLog._append",
        edits=(
            (_LOCK, _END.replace("end", "looked_at") + _LOCK),
            ("if end != self._end:", "if looked_at != self._end:"),
        ),
        scenario="sound A:append+append B/mortal:append",
        preemptions=1,
    ),
    Mutant(
        name="the end taken before the lock",
        module=APPENDER,
        function="LineLog._append",
        edits=((_END + _REPAIR, _REPAIR), (_LOCK, _END + _LOCK)),
        scenario="sound A/full:append B:append",
        preemptions=1,
    ),
    Mutant(
        name="the rest of a short write under another lock",
        module=APPENDER,
        function="LineLog._append",
        edits=((_SHORT_WRITE, _SHORT_WRITE + _RELOCK.replace(" " * 16, " " * 24)),),
        scenario="sound A/short:append B:append",
        preemptions=0,
    ),
    Mutant(
        name="unlock between the write and the roll-back",
        module=APPENDER,
        function="LineLog._roll_back",
        edits=(
            (
                _MATCHING,
                _RELOCK.replace(" " * 16, " " * 12).replace("started", "monotonic()") + _MATCHING,
            ),
        ),
        scenario="sound A/full:append B:append",
        preemptions=0,
    ),
    Mutant(
        name="the quarantine copied twice",
        module=REPAIR,
        function="_quarantine",
        edits=(("if not _ends_with_copy(quarantine, size, log, start, end):", "if True:"),),
        scenario="torn A/mortal:append B:append",
        preemptions=0,
    ),
    Mutant(
        name="a tail is judged without the lock",
        module=READER,
        function="LogReader.settle",
        edits=(("            self.acquire(monotonic(), LOCK_PATIENCE_S)\n", "            pass\n"),),
        scenario="sound A/short:append B:scan",
        preemptions=1,
    ),
    Mutant(
        name="no second look by a reader",
        module=READER,
        function="LogReader.settle",
        edits=(("            end, size = self.extent()  # the", "            # the"),),
        scenario="sound A/short:append B:read",
        preemptions=1,
    ),
    Mutant(
        name="a snapshot's end taken twice",
        module=READER,
        function="LogReader.snapshot",
        edits=(("self.records(end, decode", "self.records(self.extent()[0], decode"),),
        scenario="unterminated A:append B:read",
        preemptions=1,
    ),
    Mutant(
        name="a follower looks before it asks whether to stop",
        module=READER,
        function="_follow",
        edits=(
            (_EXTENT, ""),
            (_IS_LAST_LOOK, _EXTENT + _IS_LAST_LOOK),
        ),
        scenario="sound A:append+stop B:follow",
        preemptions=1,
    ),
]
"""Every exhaustive search through its scenario finds each of them."""
