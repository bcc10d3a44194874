# SPDX-License-Identifier: MIT
"""Records of a host's own class: what its encoder may return, and what its decoder may do.

If an encoder returns anything except one JSON object on one line, the log is not even locked. A
decoder may raise anything: a sound line is never moved, and nothing is lost.
"""

import json
import os
import threading
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

import pytest

from . import linelog

LineLog = linelog.LineLog


@dataclass(frozen=True)
class Message:
    """A record class, such as a host may have."""

    sender: str
    number: int

    def to_json(self) -> str:
        return json.dumps(asdict(self), ensure_ascii=False)

    @classmethod
    def from_json(cls, line: bytes) -> Self:
        fields = json.loads(line)
        return cls(sender=fields["sender"], number=fields["number"])


HELLO = Message("é\n", 1)
LINE = HELLO.to_json().encode()


class TestAClass:
    @pytest.mark.spec("OBJ-4")
    def test_goes_through_the_log_by_its_own_functions(self, path: Path) -> None:
        with LineLog(path, encode=Message.to_json, decode=Message.from_json) as log:
            log.append(HELLO)
            log.append_many([Message("b", 2), Message("c", 3)])
        expected = [HELLO, Message("b", 2), Message("c", 3)]
        assert path.read_bytes().splitlines()[0] == LINE
        assert linelog.read_log(path, decode=Message.from_json) == expected
        assert list(linelog.iter_log(path, decode=Message.from_json)) == expected
        assert linelog.scan_log(path, decode=Message.from_json).records == expected

    def test_may_be_written_as_bytes(self, path: Path) -> None:
        with LineLog[Any](path, encode=lambda message: message.to_json().encode()) as log:
            log.append(HELLO)
        assert path.read_bytes() == LINE + b"\n"

    @pytest.mark.spec("OBJ-2", "OBJ-8")
    def test_with_an_encoder_alone_is_repaired_as_any_object_is(self, path: Path) -> None:
        path.write_bytes(b'{"another":1}')
        with LineLog(path, encode=Message.to_json) as log:
            log.append(HELLO)
        assert path.read_bytes() == b'{"another":1}\n' + LINE + b"\n"

    def test_with_a_decoder_alone_is_written_as_a_dict(self, path: Path) -> None:
        with LineLog(path, decode=Message.from_json) as log:
            log.append({"sender": "a", "number": 1})
        assert linelog.read_log(path, decode=Message.from_json) == [Message("a", 1)]


NOT_A_LINE: dict[str, tuple[object, str]] = {
    "an empty text": ("", "which is not a JSON object"),
    "no bytes": (b"", "which is not a JSON object"),
    "none": (None, "the encoder returned NoneType, which is neither str nor bytes"),
    "a dict": ({"a": 1}, "the encoder returned dict, which is neither str nor bytes"),
    "a list": ([], "the encoder returned list, which is neither str nor bytes"),
    "a bytearray": (bytearray(b"{}"), "returned bytearray, which is neither str nor bytes"),
    "two lines": ('{"a":1}\n{"b":2}', "a newline"),
    "a trailing newline": ('{"a":1}\n', "a newline; the log adds the one that is needed"),
    "a newline alone": (b"\n", "a newline"),
    "a pretty object": ('{\n  "a": 1\n}', "a newline"),
    "white space before": (' {"a":1}', "which is not a JSON object"),
    "white space after": (b'{"a":1} ', "which is not a JSON object"),
    "a carriage return": (b'{"a":1}\r', "which is not a JSON object"),
    "an array": ("[1]", "which is not a JSON object"),
    "an array of an object": ('[{"a":1}]', "which is not a JSON object"),
    "a number": ("1", "which is not a JSON object"),
    "a string": ('"{}"', "which is not a JSON object"),
    "two objects": ('{"a":1}{"b":2}', "is not one JSON object: not JSON"),
    "two objects by turns": ('{"a":1},{"b":2}', "is not one JSON object: not JSON"),
    "no JSON": ("{a}", "is not one JSON object: not JSON"),
    "bytes that are not UTF-8": (b'{"a":"\xff"}', "is not one JSON object: 'utf-8' codec"),
    "UTF-16": ('{"a":1}'.encode("utf-16"), "which is not a JSON object"),
    "a byte order mark": ('\ufeff{"a":1}', "which is not a JSON object"),
    "a lone surrogate": ('{"a":"\ud800"}', "the encoder returned a lone surrogate"),
    "an escaped lone surrogate": (r'{"a":"\ud800"}', "is not one JSON object: lone surrogate"),
    "NaN": ('{"a":NaN}', "is not one JSON object: NaN is not a finite double"),
    "a number beyond all doubles": ('{"a":1e400}', "1e400 is not a finite double"),
    "NUL": ('{"a":"\0"}', "is not one JSON object: not JSON"),
    "duplicate names": ('{"a":1,"a":1}', 'is not one JSON object: duplicate key "a"'),
    "128 levels": ('{"a":' * 128 + "1" + "}" * 128, "more than 127"),
}


class TestAnEncoder:
    @pytest.mark.spec("OBJ-1", "OBJ-4")
    @pytest.mark.parametrize(("returned", "reason"), NOT_A_LINE.values(), ids=NOT_A_LINE)
    def test_that_returns_something_else_is_refused_before_the_log_is_locked(
        self, path: Path, monkeypatch: pytest.MonkeyPatch, returned: Any, reason: str
    ) -> None:
        with LineLog[Any](path, encode=lambda _: returned) as log:
            with monkeypatch.context() as patch:
                patch.setattr(linelog.appender, "try_lock", pytest.fail)
                for append in (log.append, lambda record: log.append_many([record])):
                    with pytest.raises(linelog.SerializeError) as caught:
                        append("record")
                    assert reason in str(caught.value)
                    assert str(caught.value).isprintable()
                    assert len(str(caught.value)) < 200
        assert path.read_bytes() == b""

    @pytest.mark.spec("OBJ-4")
    def test_that_fails_once_in_a_batch_means_that_nothing_is_written(self, path: Path) -> None:
        with LineLog[Any](path, encode=lambda text: text) as log:
            with pytest.raises(linelog.SerializeError):
                log.append_many(['{"a":1}', "oops", '{"b":2}'])
            assert path.read_bytes() == b""
            log.append('{"c":3}')
        assert path.read_bytes() == b'{"c":3}\n'

    @pytest.mark.spec("OBJ-4")
    def test_gives_the_cause_of_what_is_not_json(self, path: Path) -> None:
        with LineLog[Any](path, encode=lambda _: "{a}") as log:
            with pytest.raises(linelog.SerializeError) as caught:
                log.append(None)
        assert isinstance(caught.value.__cause__, linelog.DeserializeError)
        assert isinstance(caught.value.__cause__.__cause__, json.JSONDecodeError)

    @pytest.mark.spec("OBJ-5")
    @pytest.mark.parametrize(
        "raised",
        [
            TypeError("not serializable"),
            OSError(28, "No space left on device"),
            RecursionError("deep"),
            MemoryError(),
            KeyboardInterrupt(),
            SystemExit(3),
            StopIteration(),
        ],
        ids=lambda raised: type(raised).__name__,
    )
    def test_may_raise_whatever_it_likes_and_the_caller_gets_it(
        self, path: Path, raised: BaseException
    ) -> None:
        def encode(record: object) -> str:
            if record is None:
                raise raised
            return '{"a":1}'

        with LineLog(path, encode=encode) as log:
            for append in (log.append, lambda record: log.append_many(["fine", record])):
                with pytest.raises(type(raised)) as caught:
                    append(None)
                assert caught.value is raised
            with pytest.raises(type(raised)):
                linelog.append_log(path, None, encode=encode)
            assert path.read_bytes() == b""
            log.append("fine")
        assert path.read_bytes() == b'{"a":1}\n'

    def test_may_write_an_object_in_any_spelling(self, path: Path) -> None:
        with LineLog[Any](path, encode=lambda text: text) as log:
            log.append('{ "a" : "\\u00e9" }')
        assert linelog.read_log(path) == [{"a": "é"}]

    @pytest.mark.spec("LOCK-16", "OBJ-5")
    def test_may_use_the_log(self, path: Path) -> None:
        """The encoder runs before anything is locked."""

        def encode(record: dict[str, Any]) -> bytes:
            if "inner" in record:
                log.append(record["inner"])
            return linelog.encode_object(record)

        with LineLog(path, encode=encode, lock_timeout=0) as log:
            log.append({"inner": {"a": 1}})
        assert linelog.read_log(path) == [{"a": 1}, {"inner": {"a": 1}}]

    def test_is_not_asked_for_records_that_cannot_be_had(self, path: Path) -> None:
        def records() -> Iterator[dict[str, Any]]:
            yield {"a": 1}
            raise LookupError("the source is gone")

        with LineLog(path) as log:
            with pytest.raises(LookupError, match="the source is gone"):
                log.append_many(records())
        assert path.read_bytes() == b""


class Mute(Exception):
    """An exception whose message cannot be shown."""

    def __str__(self) -> str:
        raise ValueError("no words")


def refuse(error: BaseException) -> Callable[[bytes], Any]:
    """A decoder that raises `error` for every line that contains ``bad``."""

    def decode(line: bytes) -> Any:
        if b"bad" in line:
            raise error
        return json.loads(line)

    return decode


REFUSALS: dict[str, tuple[Exception, str]] = {
    "an error": (ValueError("no such sender"), "ValueError: no such sender"),
    "a key error": (KeyError("sender"), "KeyError: 'sender'"),
    "no message": (AssertionError(), "AssertionError: "),
    "an error of the system": (OSError(5, "broken"), "OSError: [Errno 5] broken"),
    "the end of an iteration": (StopIteration("over"), "StopIteration: over"),
    "an error of the log": (linelog.DeserializeError("odd"), "odd"),
    "what cannot be shown": (Mute(), "Mute: its message cannot be shown (ValueError)"),
    "lines": (ValueError("a\nb\x1b[0m\ud800"), "ValueError: a b [0m "),
    "a long story": (ValueError("x" * 5000), "ValueError: " + "x" * 200),
    "an odd name": (type("A\nB", (Exception,), {})("c"), "A B: c"),
    "a group": (ExceptionGroup("g", [ValueError("v")]), "ExceptionGroup: g (1 sub-exception)"),
}

every_refusal = pytest.mark.parametrize(("error", "reason"), REFUSALS.values(), ids=REFUSALS)


class TestADecoder:
    @pytest.mark.spec("OBJ-6", "READ-15")
    @every_refusal
    def test_that_raises_refuses_the_line_by_path_line_and_offset(
        self, path: Path, error: Exception, reason: str
    ) -> None:
        path.write_bytes(b'{"a":1}\n\n{"bad":1}\n{"b":2}\n')
        with pytest.raises(linelog.DeserializeError) as caught:
            linelog.read_log(path, decode=refuse(error))
        problem = caught.value
        assert type(problem) is linelog.DeserializeError
        assert problem.reason == reason
        assert (problem.path, problem.line, problem.offset) == (path, 3, 9)
        assert str(problem) == f"{path}:3: {reason}"
        if not isinstance(error, linelog.DeserializeError):
            assert problem.__cause__ is error
        scan = linelog.scan_log(path, decode=refuse(error))
        assert scan.records == [{"a": 1}, {"b": 2}]
        assert [(p.line, p.offset, p.reason) for p in scan.problems] == [(3, 9, reason)]
        assert scan.blank_lines == 1

    @pytest.mark.spec("OBJ-6", "OBJ-8", "READ-8")
    @every_refusal
    def test_that_raises_for_a_tail_makes_it_torn_and_the_repair_keeps_it(
        self, path: Path, error: Exception, reason: str
    ) -> None:
        path.write_bytes(b'{"a":1}\n{"bad":1}')
        with pytest.raises(linelog.TornTailError) as caught:
            linelog.read_log(path, decode=refuse(error))
        assert (caught.value.path, caught.value.line, caught.value.offset) == (path, 2, 8)
        assert caught.value.reason == reason
        with LineLog(path, decode=refuse(error)) as log:
            log.append({"b": 2})
        assert path.read_bytes() == b'{"a":1}\n{"b":2}\n'
        assert path.with_name("log.jsonl.torn").read_bytes() == b'{"bad":1}\n'

    @pytest.mark.parametrize("length", [1, 3])
    def test_that_chains_its_errors_in_a_circle_can_be_scanned(
        self, path: Path, length: int
    ) -> None:
        """``raise error from error`` makes such a circle."""
        errors = [ValueError(str(number)) for number in range(length)]
        for number, error in enumerate(errors):
            error.__cause__ = errors[number - 1]
        path.write_bytes(b'{"bad":1}\n')
        [problem] = linelog.scan_log(path, decode=refuse(errors[0])).problems
        assert problem.__cause__ is errors[0]

    @pytest.mark.spec("OBJ-11")
    @pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(1), GeneratorExit()])
    def test_that_is_interrupted_lets_the_interruption_out(
        self, path: Path, error: BaseException
    ) -> None:
        path.write_bytes(b'{"a":1}\n{"bad":1}\n{"bad":2}')
        whole = path.read_bytes()
        for read in (linelog.read_log, linelog.scan_log):
            with pytest.raises(type(error)) as caught:
                read(path, decode=refuse(error))
            assert caught.value is error
        with LineLog(path, decode=refuse(error)) as log:
            with pytest.raises(type(error)):
                log.append({"b": 2})
            assert path.read_bytes() == whole
            linelog.append_log(path, {"c": 3}, lock_timeout=0)  # the lock is free
        assert path.read_bytes() == whole + b'\n{"c":3}\n'

    @pytest.mark.spec("OBJ-11")
    @pytest.mark.parametrize("error", [MemoryError(), RecursionError("deep")])
    def test_that_lacks_memory_or_stack_refuses_nothing(self, path: Path, error: Exception) -> None:
        path.write_bytes(b'{"bad":1}\n')
        with pytest.raises(type(error)) as caught:
            linelog.read_log(path, decode=refuse(error))
        assert caught.value is error
        path.write_bytes(b'{"bad":1}')
        with LineLog(path, decode=refuse(error)) as log:
            with pytest.raises(type(error)):
                log.append({"a": 1})
        assert path.read_bytes() == b'{"bad":1}'

    @pytest.mark.spec("OBJ-7")
    def test_that_recurses_refuses_a_line_that_nests_deeper_than_any_record(
        self, path: Path
    ) -> None:
        path.write_bytes(b'{"bad":' + b"[" * 127 + b"]" * 127 + b"}\n")
        with pytest.raises(linelog.DeserializeError) as caught:
            linelog.read_log(path, decode=refuse(RecursionError("deep")))
        assert caught.value.reason == "RecursionError: deep"

    @pytest.mark.spec("OBJ-7", "OBJ-11")
    @pytest.mark.parametrize("errors", [[ValueError("once")], [ValueError("once"), KeyError("k")]])
    @pytest.mark.parametrize("end", [b"\n", b""], ids=["line", "tail"])
    def test_refuses_a_line_only_if_it_fails_twice_in_the_same_way(
        self, path: Path, errors: list[Exception], end: bytes
    ) -> None:
        """What a signal handler raises in a decoder is not the line's fault."""
        path.write_bytes(b'{"a":1}' + end)
        whole = path.read_bytes()
        for use in (
            lambda decode: linelog.read_log(path, decode=decode),
            lambda decode: linelog.scan_log(path, decode=decode),
            lambda decode: append(path, decode),
        ):
            strikes = iter(errors)

            def decode(line: bytes, strikes: Iterator[Exception] = strikes) -> object:
                for strike in strikes:
                    raise strike
                return json.loads(line)

            if use(linelog.decode_object) is None and end:
                continue  # an append does not decode whole lines
            path.write_bytes(whole)
            with pytest.raises(type(errors[0])) as caught:
                use(decode)
            assert caught.value is errors[0]
            assert path.read_bytes() == whole
        assert not path.with_name("log.jsonl.torn").exists()

    @pytest.mark.spec("OBJ-8")
    @pytest.mark.parametrize("lenient", [json.loads, bytes, lambda line: None, lambda line: {}])
    def test_that_takes_anything_does_not_make_a_torn_tail_a_record(
        self, path: Path, lenient: Callable[[bytes], object]
    ) -> None:
        for torn in (b"", b'{"b":2', b'{"b":2}}', b'{"b":2}{"c":3}', b"[1]", b"12", b"\xff"):
            path.write_bytes(b'{"a":1}\n' + torn)
            scan = linelog.scan_log(path, decode=lenient)
            assert len(scan.records) == 1
            assert [type(p) for p in scan.problems] == [linelog.TornTailError] * bool(torn)
            with LineLog(path, decode=lenient) as log:
                log.repair()
            assert path.read_bytes() == b'{"a":1}\n'

    def test_may_return_none(self, path: Path) -> None:
        path.write_bytes(b'{"a":1}\n{"b":2}')
        assert linelog.read_log(path, decode=lambda line: None) == [None, None]
        with LineLog(path, decode=lambda line: None) as log:
            log.append({"c": 3})
        assert path.read_bytes() == b'{"a":1}\n{"b":2}\n{"c":3}\n'

    @pytest.mark.spec("OBJ-6")
    def test_that_takes_a_blank_line_gets_it(self, path: Path) -> None:
        path.write_bytes(b'{"a":1}\n \t\n')
        assert linelog.read_log(path, decode=bytes.strip) == [b'{"a":1}', b""]
        scan = linelog.scan_log(path, decode=json.loads)
        assert (scan.records, scan.blank_lines) == ([{"a": 1}], 1)

    def test_gets_the_bytes_of_the_line_without_its_newline(self, path: Path) -> None:
        path.write_bytes(b'{"a":1} \r\n{"b":2}')
        assert linelog.read_log(path, decode=bytes) == [b'{"a":1} \r', b'{"b":2}']

    @pytest.mark.spec("OBJ-8", "READ-5")
    def test_may_be_slow_while_others_read_and_append(self, path: Path) -> None:
        """A reader decodes a tail after it has released the lock."""

        def slow(line: bytes) -> object:
            linelog.append_log(path, {"more": 1}, lock_timeout=0)
            return json.loads(line)

        path.write_bytes(b'{"a":1}')
        assert linelog.read_log(path, decode=slow) == [{"a": 1}]
        assert linelog.read_log(path)[0] == {"a": 1}
        assert not path.with_name("log.jsonl.torn").exists()

    @pytest.mark.spec("OBJ-8", "LOCK-16")
    def test_that_is_slow_during_a_repair_holds_the_lock(self, path: Path) -> None:
        decoding = threading.Event()
        go_on = threading.Event()

        def slow(line: bytes) -> object:
            decoding.set()
            go_on.wait()
            return json.loads(line)

        path.write_bytes(b'{"a":1}')
        with LineLog(path, decode=slow) as log:
            thread = threading.Thread(target=log.append, args=[{"b": 2}])
            thread.start()
            decoding.wait()
            with pytest.raises(linelog.LockTimeout) as caught:
                linelog.append_log(path, {"c": 3}, lock_timeout=0)
            assert caught.value.holder_pid == os.getpid()
            scan = linelog.scan_log(path)
            assert (scan.records, scan.tail_in_flight) == ([], True)
            go_on.set()
            thread.join()
        assert path.read_bytes() == b'{"a":1}\n{"b":2}\n'

    @pytest.mark.spec("OBJ-8")
    def test_that_appends_to_the_log_during_a_repair_fails_and_moves_nothing(
        self, path: Path
    ) -> None:
        path.write_bytes(b'{"a":1}')

        def by_its_own_handle(line: bytes) -> None:
            log.append({"b": 2})

        def by_another(line: bytes) -> None:
            linelog.append_log(path, {"b": 2}, lock_timeout=0)

        for decode, error in (
            (by_its_own_handle, linelog.LogBusy),
            (by_another, linelog.LockTimeout),
        ):
            with LineLog(path, decode=decode) as log:
                with pytest.raises(error):
                    log.append({"c": 3})
            assert path.read_bytes() == b'{"a":1}'
        assert not path.with_name("log.jsonl.torn").exists()


def append(path: Path, decode: Callable[[bytes], object]) -> None:
    with LineLog(path, decode=decode) as log:
        log.append({"b": 2})
