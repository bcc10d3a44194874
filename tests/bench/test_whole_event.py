# SPDX-License-Identifier: MIT
"""What a whole event costs: each part does what its name says, and no more."""

from pathlib import Path

import pytest

from omnelog import EventLog, read_run
from stress.bench.peers import RUN_ID
from stress.bench.whole_event import PARTS


@pytest.mark.parametrize(
    ("part", "appended", "ids"),
    [
        ("id", 0, 0),
        ("event", 0, 0),
        ("append of one event", 5, 1),
        ("id, event and append", 5, 5),
    ],
)
def test_a_part_does_what_its_name_says(part: str, appended: int, ids: int, tmp_path: Path) -> None:
    with PARTS[part](tmp_path) as loop:
        loop(5)
    EventLog.for_run(tmp_path, RUN_ID).close()
    events = read_run(tmp_path, RUN_ID)
    assert len(events) == appended
    assert len({event.id for event in events}) == ids
    gave_ids = (tmp_path / ".omne" / "var" / ".ulid-last").exists()
    assert gave_ids == ("id" in part.split(",", maxsplit=1)[0].split())


def test_every_part_is_tried_here() -> None:
    assert len(PARTS) == 4
