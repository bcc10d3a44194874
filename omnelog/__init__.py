# SPDX-License-Identifier: MIT
"""omnelog: the append-only event log of an omne run, one canonical JSON event a line.

`EventLog` appends, `read_run` and its kin read, `encode` and `decode` turn an event into its line
and back. Every public name is importable from here; SPEC.md says what each promises.
"""

# fmt: off
from .appender import EventLog
from .codec import decode, encode
from .errors import (AppendIndeterminate, DeserializeError, InvalidRunId, LockTimeout, LogBusy,
    LogClosed, LogIOError, OmnelogError, SerializeError, TornTailError, UlidError)
from .events import (ErrorKind, Event, GateMethod, GatePassed, Input, IterationStarted,
    NodeCompleted, NodeError, NodeFailed, NodeKind, NodeStarted,
    PipeAborted, PipeCompleted, PipeStarted)
from .reader import Scan, follow_run, iter_run, read_run, scan_run
from .ulid import allocate_ulid
from .volume import (enumerate_runs, events_log_path, find_omne_root, node_capture_wire_path,
    nodes_dir, omne_dir, run_dir, run_exists, runs_dir, ulid_lock_path, var_dir)

__version__ = "0.1.0"
__all__ = ["AppendIndeterminate", "DeserializeError", "ErrorKind", "Event", "EventLog",
    "GateMethod", "GatePassed", "Input", "InvalidRunId", "IterationStarted", "LockTimeout",
    "LogBusy", "LogClosed", "LogIOError",
    "NodeCompleted", "NodeError", "NodeFailed", "NodeKind", "NodeStarted",
    "OmnelogError", "PipeAborted", "PipeCompleted", "PipeStarted", "Scan", "SerializeError",
    "TornTailError", "UlidError", "allocate_ulid", "decode", "encode", "enumerate_runs",
    "events_log_path", "find_omne_root", "follow_run", "iter_run", "node_capture_wire_path",
    "nodes_dir", "omne_dir", "read_run", "run_dir", "run_exists", "runs_dir", "scan_run",
    "ulid_lock_path", "var_dir"]
