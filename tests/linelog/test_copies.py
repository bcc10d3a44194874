# SPDX-License-Identifier: MIT
"""Copies of a handle, by pickle, by copy and by fork: each copy opens the log itself."""

import copy
import json
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from . import linelog
from .processes import fork, forked, in_child

LineLog = linelog.LineLog


def encode(number: int) -> str:
    return json.dumps({"n": number})


def decode(line: bytes) -> int:
    fields: dict[str, int] = json.loads(line)
    return fields["n"]


def descriptors(directory: Path) -> list[str]:
    """The files below `directory` that this process has open."""
    found = []
    for name in os.listdir("/proc/self/fd"):
        try:
            target = os.readlink(f"/proc/self/fd/{name}")
        except OSError:  # the descriptor that listed the others, closed by now
            continue
        if target.startswith(f"{directory}/"):
            found.append(target)
    return found


class TestAPickledHandle:
    @pytest.mark.spec("OBJ-10")
    @pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
    def test_opens_the_same_log_with_the_same_settings(self, path: Path, protocol: int) -> None:
        with LineLog(path, encode=encode, decode=decode, lock_timeout=0.5, durable=True) as log:
            log.append(1)
            pickled = pickle.dumps(log, protocol)
        with pickle.loads(pickled) as again:
            assert type(again) is LineLog
            assert (again.path, again.lock_timeout, again.durable) == (path, 0.5, True)
            again.append(2)
            with path.open("ab") as other:
                other.write(b'{"m":3}')  # an object, but the decoder does not take it
            again.append(4)
        assert linelog.read_log(path, decode=decode) == [1, 2, 4]

    @pytest.mark.spec("OBJ-10")
    def test_consists_of_nothing_else(self, path: Path) -> None:
        with LineLog(path) as log:
            function, arguments = log.__reduce__()
        assert (function.func, function.args, arguments) == (LineLog, (path,), ())
        assert function.keywords == {
            "encode": linelog.encode_object,
            "decode": linelog.decode_object,
            "lock_timeout": 5.0,
            "durable": False,
        }

    def test_of_a_closed_one_is_open(self, path: Path) -> None:
        log = LineLog(path)
        log.close()
        with pickle.loads(pickle.dumps(log)) as again:
            again.append({"a": 1})
        assert linelog.read_log(path) == [{"a": 1}]

    def test_with_a_nameless_function_is_refused_by_pickle(self, path: Path) -> None:
        with LineLog[str](path, encode=lambda text: '{"a":1}') as log:
            with pytest.raises((pickle.PicklingError, AttributeError)):
                pickle.dumps(log)

    @pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy])
    def test_is_what_a_copy_is(self, path: Path, duplicate: Callable[[Any], Any]) -> None:
        with LineLog(path) as log, duplicate(log) as again:
            again.append({"a": 1})
            again.close()
            log.append({"b": 2})
        assert linelog.read_log(path) == [{"a": 1}, {"b": 2}]


class TestAForkedHandle:
    def test_serves_parent_and_children_at_once(self, path: Path) -> None:
        count = 40
        writers = 3
        with LineLog(path, encode=encode_pair, lock_timeout=60) as log:
            log.append(("before", 0))

            def append(name: str) -> None:
                for number in range(count):
                    log.append((name, number))

            with forked(*(lambda name=name: append(name) for name in "abc"[:writers])) as children:
                append("parent")
                for child in children:
                    child.result()
        records = linelog.read_log(path)
        assert len(records) == 1 + (writers + 1) * count
        for name in ("a", "b", "c", "parent"):
            assert [r["n"] for r in records if r["name"] == name] == [*range(count)]

    @pytest.mark.spec("APP-46")
    def test_holds_none_of_the_parents_files(self, path: Path) -> None:
        with LineLog(path) as log:
            log.append({"a": 1})
            reading = linelog.iter_log(path)
            next(reading)
            assert len(descriptors(path.parent)) == 2
            assert in_child(lambda: descriptors(path.parent)) == []
            assert list(reading) == []

    def test_that_is_closed_in_the_child_stays_open_in_the_parent(self, path: Path) -> None:
        with LineLog(path) as log:
            in_child(log.close)
            log.append({"a": 1})
        assert linelog.read_log(path) == [{"a": 1}]

    def test_leaves_a_reader_in_the_child_without_its_file(self, path: Path) -> None:
        path.write_bytes(b'{"a":1}\n{"b":2}\n')
        following = linelog.follow_log(path)
        assert next(following) == {"a": 1}
        assert next(following) == {"b": 2}

        def go_on() -> str:
            with pytest.raises(linelog.LogIOError) as caught:
                next(following)
            return str(caught.value)

        assert "the file is closed, as it is in a forked child; open it again" in in_child(go_on)
        linelog.append_log(path, {"c": 3})
        assert next(following) == {"c": 3}

    @pytest.mark.spec("APP-49")
    def test_that_forks_in_a_decoder_leaves_the_log_to_the_parent(self, path: Path) -> None:
        """A decoder runs while the lock is held, and the lock belongs to the parent."""
        path.write_bytes(b'{"n":1}')

        pids: list[int] = []

        def forking(line: bytes) -> int:
            if not pids:
                pids.append(fork())
            return decode(line)

        with LineLog(path, encode=encode, decode=forking) as log:
            try:
                log.append(2)
            except linelog.LogIOError:
                if pids == [0]:
                    os._exit(3)
                raise
            finally:
                if pids == [0]:
                    os._exit(4)
        _, status = os.waitpid(pids[0], 0)
        assert os.waitstatus_to_exitcode(status) == 3
        assert linelog.read_log(path, decode=decode) == [1, 2]


def encode_pair(record: tuple[str, int]) -> bytes:
    name, number = record
    return linelog.encode_object({"name": name, "n": number, "text": "x" * number})


class TestProcesses:
    def test_that_append_at_once_to_one_log_of_their_own_records(self, path: Path) -> None:
        """Each process opens the log itself, as programs do that know nothing of each other."""
        count = 30

        def append(name: str) -> None:
            with LineLog(path, encode=encode_pair, lock_timeout=60) as log:
                for number in range(count):
                    log.append((name, number))

        def append_now_and_then(name: str) -> None:
            for number in range(count):
                linelog.append_log(path, (name, number), encode=encode_pair, lock_timeout=60)

        with forked(lambda: append("a"), lambda: append_now_and_then("b")) as children:
            for child in children:
                child.result()
        records = linelog.read_log(path)
        assert len(records) == 2 * count
        for name in "ab":
            assert [r["n"] for r in records if r["name"] == name] == [*range(count)]
