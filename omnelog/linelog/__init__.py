# SPDX-License-Identifier: MIT
"""A line log: a file of JSON objects, one a line, that many processes append to at once.

`LineLog` appends; `read_log` and the other functions read. Records are dicts, or of any class if
you give an encoder and a decoder. Outside itself this package imports only the standard library and
filelock, so it can be copied into a program on its own.
"""

# fmt: off
from .appender import LineLog, append_log
from .errors import (
    AppendIndeterminate, DeserializeError, LockTimeout, LogBusy, LogClosed, LogIOError,
    OmnelogError, SerializeError, TornTailError)
from .objects import decode_object, encode_object
from .reader import LogScan, follow_log, iter_log, read_log, scan_log

__all__ = [
    "AppendIndeterminate", "DeserializeError", "LineLog", "LockTimeout", "LogBusy", "LogClosed",
    "LogIOError", "LogScan", "OmnelogError", "SerializeError", "TornTailError", "append_log",
    "decode_object", "encode_object", "follow_log", "iter_log", "read_log", "scan_log"
]
