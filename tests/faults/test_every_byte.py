# SPDX-License-Identifier: MIT
"""A log of all eight event types, torn at any byte, is read up to that byte and repaired.

For each offset, or by default for every third, the test damages the log and checks what a reader
says. Then an append repairs the log, and the test reads, appends and reads once more. The bytes
that are cut off are all in the quarantine. A handle that was open before the damage works as well
as a new one if the length of the file has changed, because it checks the length.
"""

import threading
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from shutil import rmtree

import pytest

from .. import omnelog
from ..samples import RUN, lines, log_path, node, of_every_type, quarantine_path
from .counts import THOROUGH, Count
from .system import System, interposed, is_locked

EVERY_NTH = 1 if THOROUGH else 3
"""By default, each kind of damage is done at every third offset; the first offsets differ."""

EVENTS = of_every_type()
LOG = lines(*EVENTS)


def _cut() -> Iterator[bytes]:
    """The log, cut at every offset."""
    return (LOG[:offset] for offset in range(len(LOG) + 1))


def _overwritten() -> Iterator[bytes]:
    """The log with NULs from an offset to its end, for every offset."""
    return (LOG[:offset] + bytes(len(LOG) - offset) for offset in range(len(LOG)))


def _overwritten_with_one_more() -> Iterator[bytes]:
    """The log with NULs from an offset to its end, and one more NUL, for every offset."""
    return (broken + b"\0" for broken in _overwritten())


def _prove_broken(root: Path, broken: bytes) -> tuple[bytes, bytes]:
    """Check what a reader finds in a log that ends anywhere; return its whole lines and its tail.

    The tail is empty if it is a whole event, which only lacks its newline.
    """
    end = broken.rfind(b"\n") + 1
    whole, tail = broken[:end], broken[end:]
    sound = EVENTS[: whole.count(b"\n")]
    torn = tail and not LOG.startswith(broken + b"\n")
    sound_with_tail = sound if torn or not tail else EVENTS[: len(sound) + 1]

    found = omnelog.iter_run(root, RUN)
    assert [next(found) for _ in sound_with_tail] == sound_with_tail
    assert not is_locked(str(log_path(root))), "while the caller's code runs"
    if torn:
        with pytest.raises(omnelog.TornTailError) as caught:
            next(found)
        error = caught.value
        assert (error.path, error.line, error.offset) == (log_path(root), len(sound) + 1, end)
        with pytest.raises(omnelog.TornTailError):
            omnelog.read_run(root, RUN)
    else:
        assert list(found) == []
        assert omnelog.read_run(root, RUN) == sound_with_tail

    scan = omnelog.scan_run(root, RUN)
    assert scan.events == sound_with_tail
    assert [type(problem) for problem in scan.problems] == [omnelog.TornTailError] * bool(torn)
    assert not scan.tail_in_flight

    stop = threading.Event()
    stop.set()
    assert list(omnelog.follow_run(root, RUN, stop=stop)) == sound
    assert log_path(root).read_bytes() == broken, "reading changes nothing"
    return whole, tail if torn else b""


def _found_by_a_new_handle(root: Path, broken: bytes) -> "omnelog.EventLog":
    log_path(root).write_bytes(broken)
    return omnelog.EventLog.for_run(root, RUN)


def _found_by_an_open_handle(root: Path, broken: bytes) -> "omnelog.EventLog":
    log = omnelog.EventLog.for_run(root, RUN)
    log.append_many(EVENTS)
    with log_path(root).open("r+b") as file:
        file.write(broken)
        file.truncate()
    return log


@pytest.mark.parametrize(
    ("damage", "found", "first"),
    [
        (_cut, _found_by_a_new_handle, 0),
        (_cut, _found_by_an_open_handle, 1),
        (_overwritten, _found_by_a_new_handle, 2),
        (_overwritten_with_one_more, _found_by_an_open_handle, 0),
    ],
)
def test_a_log_torn_at_any_byte_is_read_repaired_and_gone_on_with(
    damage: Callable[[], Iterator[bytes]],
    found: "Callable[[Path, bytes], omnelog.EventLog]",
    first: int,
    root: Path,
    count: Count,
) -> None:
    log, quarantine = log_path(root), quarantine_path(root)
    cases = 0
    tried = islice(damage(), first % EVERY_NTH, None, EVERY_NTH)
    for cases, broken in enumerate(tried, start=1):  # noqa: B007  # counts the cases
        with found(root, broken) as handle:
            whole, torn = _prove_broken(root, broken)
            repaired = whole if torn or whole == broken else broken + b"\n"
            sound = EVENTS[: repaired.count(b"\n")]

            handle.append(node(1))
            assert log.read_bytes() == repaired + lines(node(1))
            assert omnelog.read_run(root, RUN) == [*sound, node(1)]

            handle.append(node(2))
        assert log.read_bytes() == repaired + lines(node(1), node(2))
        assert omnelog.read_run(root, RUN) == [*sound, node(1), node(2)]

        assert quarantine.exists() == bool(torn)
        if torn:
            assert quarantine.read_bytes() == torn + b"\n"
            quarantine.unlink()
        log.unlink()
    assert cases > 100
    count("logs torn at some byte", cases)


def test_what_is_torn_again_and_again_is_all_set_aside(root: Path, count: Count) -> None:
    """The log is torn again after every append: the quarantine keeps every fragment."""
    fragments: list[bytes] = []
    last = LOG.splitlines(keepends=True)[-1]
    with omnelog.EventLog.for_run(root, RUN) as handle:
        for length in range(1, len(last) - 1):
            with log_path(root).open("ab") as file:
                file.write(last[:length])
            fragments.append(last[:length])
            handle.append(node(length))
    assert quarantine_path(root).read_bytes() == b"".join(part + b"\n" for part in fragments)
    assert omnelog.read_run(root, RUN) == [node(length) for length in range(1, len(last) - 1)]
    count("logs torn at some byte", len(fragments))
    rmtree(root)


def test_a_log_that_was_replaced_by_a_torn_one_of_the_same_length_is_repaired(
    root: Path, count: Count
) -> None:
    """An open handle notices that another file is at the path, even if the length is the same."""
    log, quarantine, another = log_path(root), quarantine_path(root), root / "another"
    last = LOG.rfind(b"\n", 0, -1) + 1
    for offset in range(last, len(LOG)):
        with interposed(System()) as system, omnelog.EventLog.for_run(root, RUN) as handle:
            handle.append_many(EVENTS)
            another.write_bytes(LOG[:offset] + bytes(len(LOG) - offset))
            another.replace(log)
            system.now += 2
            handle.append(node(1))
        assert log.read_bytes() == LOG[:last] + lines(node(1))
        assert quarantine.read_bytes() == LOG[last:offset] + bytes(len(LOG) - offset) + b"\n"
        quarantine.unlink()
        log.unlink()
    count("logs torn at some byte", len(LOG) - last)
