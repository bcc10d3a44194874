# SPDX-License-Identifier: MIT
"""A program that keeps line logs, to test what mypy and pyright infer, and what they refuse.

Each line with an ignore must be an error: both checkers are set to report unneeded ignores.
"""

import json
import threading
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self, assert_type

from omnelog import (
    DeserializeError,
    LineLog,
    LogScan,
    append_log,
    decode_object,
    encode_object,
    follow_log,
    iter_log,
    linelog,
    read_log,
    scan_log,
)


@dataclass
class Message:
    """A record class, like those of dataclasses-json, pydantic and msgspec."""

    sender: str

    def to_json(self) -> str:
        """Return the line."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, line: bytes | str) -> Self:
        """Return the message of a line."""
        return cls(**json.loads(line))


def to_bytes(message: Message) -> bytes:
    """An encoder may return bytes as well."""
    return message.to_json().encode()


def dicts(path: Path) -> None:
    """By default, records are dicts."""
    with LineLog(path, lock_timeout=0.5, durable=True) as log:
        assert_type(log, LineLog[dict[str, Any]])
        assert_type(log.path, Path)
        assert_type(log.lock_timeout, float)
        assert_type(log.durable, bool)
        assert_type(log.append({"a": [1, None]}), None)
        log.append_many({"n": number} for number in range(3))
        log.repair()
        log.append([1])  # type: ignore[arg-type]
        log.append_many({"a": 1})  # type: ignore[dict-item]
    assert_type(LineLog(str(path), decode=Message.from_json), LineLog[dict[str, Any]])
    append_log(path, {"a": 1}, lock_timeout=1, durable=True)
    assert_type(read_log(path), list[dict[str, Any]])
    assert_type(iter_log(str(path)), Iterator[dict[str, Any]])
    assert_type(scan_log(path), LogScan[dict[str, Any]])
    assert_type(follow_log(path, stop=threading.Event()), Iterator[dict[str, Any]])
    assert_type(encode_object({"a": 1}), bytes)
    assert_type(decode_object(b"{}"), dict[str, Any])


def messages(path: Path, message: Message) -> None:
    """Records are what the encoder takes, and what the decoder returns."""
    with LineLog(path, encode=Message.to_json, decode=Message.from_json) as log:
        assert_type(log, LineLog[Message])
        log.append(message)
        log.append_many([message])
        log.append({"sender": "a"})  # type: ignore[arg-type]
    assert_type(LineLog(path, encode=to_bytes), LineLog[Message])
    append_log(path, message, encode=to_bytes, durable=True)
    append_log(path, "text", encode=to_bytes)  # type: ignore[arg-type]
    assert_type(read_log(path, decode=Message.from_json), list[Message])
    assert_type(iter_log(path, decode=Message.from_json), Iterator[Message])
    assert_type(follow_log(path, decode=Message.from_json, poll_interval=1), Iterator[Message])
    scan = scan_log(path, decode=Message.from_json)
    assert_type(scan.records, list[Message])
    assert_type(scan.problems, list[DeserializeError])
    assert_type(scan.blank_lines, int)
    scan.blank_lines = 1  # type: ignore[misc]


def kept(log: LineLog[Message], message: Message) -> None:
    """`LineLog` and `linelog.LineLog` are the same type, and can be used in annotations."""
    same: linelog.LineLog[Message] = log
    same.append(message)
    other: LineLog[str] = log  # type: ignore[assignment]
    other.close()
