# SPDX-License-Identifier: MIT
"""Records of other libraries are appended, followed, torn at every byte, repaired and read.

Handles that append them are pickled.
"""

import os
import pickle
from pathlib import Path
from typing import Any

import pytest

from .. import omnelog
from ..linelog.processes import event_at_their_end, forked
from .messages import LIBRARIES, PICKLABLE, Library

every_library = pytest.mark.parametrize("library", LIBRARIES.values(), ids=LIBRARIES)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "log.jsonl"


def log_of(path: Path, library: Library) -> "omnelog.LineLog[Any]":
    return omnelog.LineLog(path, encode=library.encode, decode=library.decode, lock_timeout=60)


@pytest.mark.spec("OBJ-4")
@every_library
def test_records_are_read_as_they_were_appended(path: Path, library: Library) -> None:
    messages = [
        library.message(sender="a", number=1),
        library.message(sender="é\u2028\n\r\0\x7f", number=-(2**53), text='"\\'),
        library.message(sender="", number=2**63, text="x" * 100_000),
    ]
    with log_of(path, library) as log:
        log.append(messages[0])
        log.append_many(messages[1:])
    omnelog.append_log(path, messages[0], encode=library.encode)
    assert omnelog.read_log(path, decode=library.decode) == [*messages, messages[0]]
    assert [record["number"] for record in omnelog.read_log(path)] == [1, -(2**53), 2**63, 1]


@pytest.mark.spec("OBJ-4")
@every_library
def test_several_processes_append_while_one_follows(path: Path, library: Library) -> None:
    count = 30
    path.touch()

    def append(sender: str) -> None:
        with log_of(path, library) as log:
            for number in range(count):
                log.append(library.message(sender=sender, number=number, text="x" * 20 * number))

    with (
        forked(*(lambda sender=sender: append(sender) for sender in "abc")) as children,
        event_at_their_end(children) as stop,
    ):
        found = list(
            omnelog.follow_log(path, decode=library.decode, stop=stop, poll_interval=0.001)
        )
    assert len(found) == 3 * count
    for sender in "abc":
        assert [m.number for m in found if m.sender == sender] == [*range(count)]
    assert omnelog.read_log(path, decode=library.decode) == found


@pytest.mark.spec("OBJ-6", "OBJ-8")
@every_library
def test_a_tail_torn_at_any_byte_is_repaired_and_the_rest_is_read(
    path: Path, library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "fsync", lambda fd: None)  # saves time
    first = library.message(sender="a", number=1)
    second = library.message(sender="é", number=22, text="x}")
    third = library.message(sender="c", number=3)
    with log_of(path, library) as log:
        log.append(first)
        log.append(second)
    content = path.read_bytes()
    start = content.index(b"\n") + 1
    torn = path.with_name("log.jsonl.torn")
    for cut in range(start, len(content) + 1):
        path.write_bytes(content[:cut])
        torn.unlink(missing_ok=True)
        is_whole = cut >= len(content) - 1
        is_torn = start < cut < len(content) - 1
        whole = [first, second] if is_whole else [first]
        scan = omnelog.scan_log(path, decode=library.decode)
        assert scan.records == whole
        assert [(type(p), p.line, p.offset) for p in scan.problems] == [
            (omnelog.TornTailError, 2, start)
        ] * is_torn
        with log_of(path, library) as log:
            log.append(third)
        assert omnelog.read_log(path, decode=library.decode) == [*whole, third]
        assert torn.exists() is is_torn
        if is_torn:
            assert torn.read_bytes() == content[start:cut] + b"\n"


@pytest.mark.spec("OBJ-6")
@every_library
@pytest.mark.parametrize("line", [b'{"another":1}', b'{"sender":{},"number":"x"}'])
def test_an_object_that_is_not_a_message_is_named_by_its_place_and_the_librarys_own_error(
    path: Path, library: Library, line: bytes
) -> None:
    if not library.checks_types:
        line = b'{"another":1}'
    message = library.message(sender="a", number=1)
    with log_of(path, library) as log:
        log.append(message)
    start = path.stat().st_size
    with path.open("ab") as other:
        other.write(line + b"\n")
    with pytest.raises(omnelog.DeserializeError) as caught:
        omnelog.read_log(path, decode=library.decode)
    assert (caught.value.path, caught.value.line, caught.value.offset) == (path, 2, start)
    assert isinstance(caught.value.__cause__, library.error)
    assert str(caught.value).isprintable()
    assert omnelog.scan_log(path, decode=library.decode).records == [message]


@pytest.mark.spec("OBJ-4")
@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_what_a_library_writes_that_is_not_json_is_refused(path: Path, number: float) -> None:
    """dataclasses-json writes NaN; pydantic and msgspec write null, which is JSON."""
    library = LIBRARIES["dataclasses-json"]
    with log_of(path, library) as log:
        with pytest.raises(omnelog.SerializeError, match="not a finite double"):
            log.append(library.message(sender="a", number=number))
    assert path.read_bytes() == b""


@pytest.mark.spec("OBJ-10")
@pytest.mark.parametrize("library", PICKLABLE.values(), ids=PICKLABLE)
def test_a_handle_can_be_sent_to_another_process(path: Path, library: Library) -> None:
    message = library.message(sender="a", number=1)
    with log_of(path, library) as log:
        pickled = pickle.dumps(log)
    with pickle.loads(pickled) as again:
        again.append(message)
    assert omnelog.read_log(path, decode=library.decode) == [message]
