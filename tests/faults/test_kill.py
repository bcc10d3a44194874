# SPDX-License-Identifier: MIT
"""Writers are killed at random moments: their acknowledged events are there once and in order.

The victims append as fast as they can, alone and in batches; their lines have from a few bytes to a
megabyte. Some append to a log that another dead writer left torn. They send their acknowledgements
over a pipe. For half of them, each write writes only a part of a line, as the system may do. They
leave many more torn tails than the others, which write a line with one call: a kill can tear such a
write only at the edge of a page.

After each SIGKILL every acknowledged event is in the log exactly once and in order. Of the append
that was under way, at most the first lines are there, and each is whole. The lock is free, the next
append and the next read succeed, and torn lines are in the quarantine and nowhere else. The other
victims continue meanwhile.

``OMNELOG_KILLS`` is the number of kills (60, or 2,000 in the long versions). The number of a case
replays a failure, but not its timing, which depends on the kernel.
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
"""Sizes of events in bytes, from a part of a page to hundreds of pages.

A write that is killed stops at the edge of a page.
"""


@cache  # so that a victim spends little time on anything but its appends
def size_of(number: int) -> int:
    """Return the size of event `number`: random, but the same in every process."""
    choice = random.Random(number)
    return choice.choice(SIZES[: choice.choice((3, 5, len(SIZES)))])


def event(number: int, who: str) -> "omnelog.Event":
    """Event `number` of `who`, in the size of its number."""
    return plain_event(number, who, size_of(number))


def batches(who: str) -> Iterator[range]:
    """The numbers of the events that `who` appends with each call: mostly one."""
    choice, number = random.Random(who), 0
    while True:
        size = choice.choice((1, 1, 1, 1, 2, 5))
        yield range(number, number + size)
        number += size


class Victim:
    """A child that appends until it is killed, and its acknowledgements."""

    def __init__(self, child: Child, acknowledgements: int, who: str) -> None:
        self.child, self.who = child, who
        self._pipe, self._acknowledged = acknowledgements, 0

    def acknowledged(self, *, at_least: int = 0) -> int:
        """Wait for `at_least` acknowledged events; return how many there are."""
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
    """Append as `who` until killed; after each append, send the number of events so far."""
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
    """One log, its victims, and the checks of what must be in it."""

    def __init__(self, root: Path, seed: str) -> None:
        self.root, self.seed, self.choice = root, seed, random.Random(seed)
        self.log = open_log(root, lock_timeout=0)
        self.path = self.log.path
        self.kills = self.victims = self.witnesses = 0
        self.checked = 0  # how many bytes of the log were checked
        self.fragments = 0  # how many fragments of the quarantine were checked
        self.seen: dict[str, int] = {}

    def plant_a_torn_tail(self) -> None:
        """Leave a torn tail as a dead writer would, so that a victim may be killed in a repair."""
        who = f"{self.seed}/dead{self.victims}"
        torn = line(0, who, self.choice.choice((50, 3000, 2_000_000)))
        with self.path.open("ab") as file:
            file.write(torn[: self.choice.randrange(1, len(torn) - 1)])

    def round(self, count: int) -> None:
        """Let `count` victims write at the same time, and kill one after the other."""
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
        """Kill `victim` at a random moment; check everything if no victim is left."""
        victim.acknowledged(at_least=self.choice.choice((0, 1, 5, 20)))
        time.sleep(self.choice.uniform(0, 0.005))  # makes the moment random
        victim.child.kill()
        self.kills += 1
        self.seen[victim.who] = victim.acknowledged()
        for survivor in survivors:  # the lock of the dead one stops none of them
            survivor.acknowledged(at_least=survivor.acknowledged() + 2)
        if not survivors:
            self.look()

    def look(self) -> None:
        """Check what is new in the log and in the quarantine, while no victim writes."""
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
        """The bytes that were added to the log since the last check."""
        with self.path.open("rb") as file:
            file.seek(self.checked)
            return file.read()

    def look_at_quarantine(self, tail: bytes) -> None:
        """Check that each fragment begins a line, and that the last one is the torn `tail`."""
        fragments = quarantine(self.path)[self.fragments :]
        self.fragments += len(fragments)
        whole_event = tail.endswith(b"}")  # only its newline is missing
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
