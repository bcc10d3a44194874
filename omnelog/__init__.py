# SPDX-License-Identifier: MIT
"""omnelog appends records to a JSON Lines file that many processes write at once.

`LineLog` appends dicts, or records of any class, and `read_log` reads them. The event log of an
omne run is built on these: `EventLog` appends events, `read_run` reads them, and `encode` and
`decode` turn an event into its line and back. These names, and all of `omnelog.linelog`, are
importable from here; `omnelog.recording` and `omnelog.testing` have names of their own. SPEC.md
says what each name promises.
"""

# fmt: off
from .codec import decode, encode
from .eventlog import EventLog, Scan, follow_run, iter_run, read_run, scan_run
from .events import (
    ErrorKind, Event, GateMethod, GatePassed, Input, IterationStarted, NodeCompleted, NodeError,
    NodeFailed, NodeKind, NodeStarted, PipeAborted, PipeCompleted, PipeStarted)
from .linelog import (
    AppendIndeterminate, DeserializeError, LineLog, LockTimeout, LogBusy, LogClosed, LogIOError,
    LogScan, OmnelogError, SerializeError, TornTailError, append_log, decode_object, encode_object,
    follow_log, iter_log, read_log, scan_log)
from .ulid import UlidAllocator, UlidError, allocate_ulid, allocate_ulids
from .volume import (
    InvalidRunId, enumerate_runs, events_log_path, find_omne_root, node_capture_wire_path,
    nodes_dir, omne_dir, run_dir, run_exists, runs_dir, ulid_lock_path, var_dir)

__version__ = "0.1.0"
__all__ = [
    "AppendIndeterminate", "DeserializeError", "ErrorKind", "Event", "EventLog", "GateMethod",
    "GatePassed", "Input", "InvalidRunId", "IterationStarted", "LineLog", "LockTimeout", "LogBusy",
    "LogClosed", "LogIOError", "LogScan", "NodeCompleted", "NodeError", "NodeFailed", "NodeKind",
    "NodeStarted", "OmnelogError", "PipeAborted", "PipeCompleted", "PipeStarted", "Scan",
    "SerializeError", "TornTailError", "UlidAllocator", "UlidError", "allocate_ulid",
    "allocate_ulids", "append_log", "decode", "decode_object", "encode", "encode_object",
    "enumerate_runs", "events_log_path", "find_omne_root", "follow_log", "follow_run", "iter_log",
    "iter_run", "node_capture_wire_path", "nodes_dir", "omne_dir", "read_log", "read_run",
    "run_dir", "run_exists", "runs_dir", "scan_log", "scan_run", "ulid_lock_path", "var_dir"
]
