# SPDX-License-Identifier: MIT
"""Writers killed at random moments: what they said was appended is there, once, in order.

Victims append lines from a few bytes to a megabyte, alone and in batches, as fast as they can, some
of them to a log that another one's death left torn; what was acknowledged comes back over a pipe.
To half of them the system gives only a part of a line at a time, as it may: they leave far more
torn tails than the others, whose single write must be caught at the edge of a page.

After each SIGKILL every acknowledged event is in the log exactly once and in order, of those that
were under way at most the first few lines, and each whole; the lock is free, the next append and
the next read succeed, and what was torn is in the quarantine and nowhere else. A survivor goes on
meanwhile.

``OMNELOG_KILLS`` tells how many kills (60, or 2,000 in the long versions). A failing case is
replayed by its number, though not by its timing, which is the kernel's.
"""

import os
import random
import select
import struct
import time
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from .. import omnelog
from .counts import KILLED, KILLS, Count
from .logs import (
    RUN,
    between,
    close_logs,
    line,
    lock_is_free,
    names,
    open_log,
    quarantine,
    write_at_most,
)
from .logs import event as plain_event
from .processes import WATCHDOG_S, Channel, Child, forked

__all__ = ["close_logs"]  # a fixture

KILLS_PER_LOG = 20

SIZES = (1, 100, 300, 1000, 4000, 9000, 70_000, 1_000_000)
"""From a part of a page to hundreds: a write that is killed stops at the edge of a page."""


@cache  # and filled before the fork, so that a victim does little else than append
def size_of(number: int) -> int:
    """How long a line the event has: random, but the same in every process."""
    choice = random.Random(number)
    return choice.choice(SIZES[: choice.choice((3, 5, len(SIZES)))])


def event(number: int, who: str) -> "omnelog.Event":
    """Event `number` of `who`, of that size."""
    return plain_event(number, who, size_of(number))


def batches(who: str) -> Iterator[range]:
    """The numbers that `who` appends at a time: mostly one."""
    choice, number = random.Random(who), 0
    while True:
        size = choice.choice((1, 1, 1, 1, 2, 5))
        yield range(number, number + size)
        number += size


class Victim:
    """A child that appends until it is killed, and how far it said it had come."""

    def __init__(self, child: Child, acknowledgements: int, who: str) -> None:
        self.child, self.who = child, who
        self._pipe, self._acknowledged = acknowledgements, 0

    def acknowledged(self, *, at_least: int = 0) -> int:
        """How many events it said were appended, once they are so many."""
        while True:
            wait_s = WATCHDOG_S if self._acknowledged < at_least else 0
            if not select.select([self._pipe], [], [], wait_s)[0]:
                assert not wait_s, f"{self.who} does not go on"
                return self._acknowledged
            data = os.read(self._pipe, 1 << 16)
            assert data or self._acknowledged >= at_least, f"{self.who} ended"
            if not data:
                return self._acknowledged
            assert len(data) % 4 == 0
            (self._acknowledged,) = struct.unpack("I", data[-4:])


def victimize(root: Path, who: str, acknowledgements: int) -> None:
    """Append as `who`, and say after each how many were, until killed."""
    choice = random.Random(who)
    log = open_log(root, durable=choice.random() < 0.05)
    if choice.random() < 0.5:
        between(pytest.MonkeyPatch(), write=write_at_most(choice.choice((50, 500, 4096))))
    for numbers in batches(who):
        events = [event(number, who) for number in numbers]
        if len(events) == 1:
            log.append(events[0])
        else:
            log.append_many(events)
        os.write(acknowledgements, struct.pack("I", numbers.stop))


class Scene:
    """One log, and all that is known of what should be in it."""

    def __init__(self, root: Path, seed: str) -> None:
        self.root, self.seed, self.choice = root, seed, random.Random(seed)
        self.log = open_log(root, lock_timeout=0)
        self.path = self.log.path
        self.kills = self.victims = self.witnesses = 0
        self.checked = 0  # bytes of the log that were
        self.fragments = 0  # of the quarantine that were
        self.open_victims: list[Victim] = []
        self.seen: dict[str, int] = {}

    def plant_a_torn_tail(self) -> None:
        """Leave what a dead writer would, for the next victim to be killed while it repairs."""
        who = f"{self.seed}/dead{self.victims}"
        torn = line(0, who, self.choice.choice((50, 3000, 2_000_000)))
        with self.path.open("ab") as file:
            file.write(torn[: self.choice.randrange(1, len(torn) - 1)])

    def round(self, count: int) -> None:
        """Let `count` victims write at once, and kill one after the other."""
        victims: list[Victim] = []
        contexts = []
        pipes: list[int] = []
        if not self.kills or self.choice.random() < 0.3:
            self.plant_a_torn_tail()
        try:
            for _ in range(count):
                who = f"{self.seed}/{self.victims}"
                self.victims += 1
                ours, theirs = os.pipe()
                pipes.append(ours)

                def body(channel: Channel, who: str = who, pipe: int = theirs) -> None:
                    channel.tell()
                    victimize(self.root, who, pipe)

                context = forked(body)
                child = context.__enter__()
                contexts.append(context)
                os.close(theirs)
                child.hear()
                victims.append(Victim(child, ours, who))
            while victims:
                self.kill(victims.pop(self.choice.randrange(len(victims))), victims)
        finally:
            for context in contexts:
                context.__exit__(None, None, None)
            for pipe in pipes:
                os.close(pipe)

    def kill(self, victim: Victim, survivors: list[Victim]) -> None:
        """Kill `victim` at a random moment; look at everything once nobody writes."""
        victim.acknowledged(at_least=self.choice.choice((0, 1, 5, 20)))
        time.sleep(self.choice.uniform(0, 0.005))  # the random moment itself
        victim.child.kill()
        self.kills += 1
        self.seen[victim.who] = victim.acknowledged()
        for survivor in survivors:  # none of them waits for the dead one's lock
            survivor.acknowledged(at_least=survivor.acknowledged() + 2)
        if not survivors:
            self.look()

    def look(self) -> None:
        """Nobody writes: check what is new in the log and beside it."""
        assert lock_is_free(self.path)
        tail = self.fresh().rpartition(b"\n")[2]
        self.witnesses += 1
        self.log.append(plain_event(self.witnesses, "witness"))
        fresh = self.fresh()
        self.checked += len(fresh)
        found = names(fresh)
        assert found.pop() == ("witness", self.witnesses)
        for who, acknowledged in self.seen.items():
            numbers = [number for writer, number in found if writer == who]
            under_way = next(b for b in batches(who) if b.start >= acknowledged)
            assert under_way.start == acknowledged
            assert numbers == list(range(len(numbers))), f"{who}: not once and in order"
            assert acknowledged <= len(numbers) <= under_way.stop, f"{who}: lost or invented"
            for number in numbers[-3:]:
                assert line(number, who, size_of(number)) in fresh
        assert {who for who, _ in found} <= {*self.seen}
        self.look_at_quarantine(tail)
        self.seen.clear()

    def fresh(self) -> bytes:
        """What was not in the log when it was looked at last."""
        with self.path.open("rb") as file:
            file.seek(self.checked)
            return file.read()

    def look_at_quarantine(self, tail: bytes) -> None:
        """Every fragment is the beginning of a line, and the last one is what the log ended in."""
        fragments = quarantine(self.path)[self.fragments :]
        self.fragments += len(fragments)
        whole_event = tail.endswith(b"}")  # which only lacked its newline
        if tail and not whole_event:
            assert fragments[-1] == tail
        for fragment in fragments:
            assert b'{"type":"pipe.aborted","id":"'.startswith(fragment[:29])
            assert not fragment.endswith(b"}")


@pytest.mark.spec("DUR-2", "APP-37")
@pytest.mark.parametrize("case", range(-(-KILLS // KILLS_PER_LOG)))
def test_what_a_killed_writer_said_was_appended_is_there_once_and_in_order(
    tmp_path: Path, case: int, count: Count
) -> None:
    scene = Scene(tmp_path, f"case{case}")
    while scene.kills < KILLS_PER_LOG:
        scene.round(scene.choice.choice((1, 1, 2, 3)))
    count(KILLED, scene.kills)
    count("torn tails that they left", scene.fragments)
    last = omnelog.read_run(tmp_path, RUN)[-1]
    assert last == plain_event(scene.witnesses, "witness")
