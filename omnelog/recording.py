# SPDX-License-Identifier: MIT
"""For a tool that logs its own run: `Run` and its nodes are ``with`` blocks.

    with Run.start(root, "ci", version="1.0") as run:
        with run.node("lint", NodeKind.COMMAND) as node:
            ...  # its output goes to node.capture_path, its children get node.environ

However a block is left, its end is logged once, by the process that entered it, and never after
the end of the run. A run that is left while a node has no end in the log is aborted. A process that
a node runs joins the run with `Run.join`, and logs nodes of its own. Blocks may overlap, in threads
and in tasks of asyncio alike; a task that must not wait for the log runs its whole block in
``asyncio.to_thread``.

An event that cannot be logged raises an OmnelogError: the disk is full, the run has ended, the id
of the node is taken. With ``errors="warn"`` the first is a RecordingWarning, and the host goes on.
Later ones are not reported. The output of a node that is not recorded then goes to ``os.devnull``.

This module is optional. Nothing of the core imports it, so a vendored copy may leave it out.
"""

import errno
import os
import re
import sys
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from threading import RLock
from typing import Any, Literal, Self, TypeAlias, TypedDict, cast

from .codec import decode
from .eventlog import EventLog
from .events import (
    ErrorKind,
    Event,
    GateMethod,
    GatePassed,
    Input,
    IterationStarted,
    NodeCompleted,
    NodeError,
    NodeFailed,
    NodeKind,
    NodeStarted,
    PipeAborted,
    PipeCompleted,
    PipeStarted,
)
from .linelog.errors import (
    AppendIndeterminate,
    DeserializeError,
    LogIOError,
    OmnelogError,
    refusals,
    refusals_ignored,
)
from .linelog.fork import register as call_after_fork
from .linelog.lock import LockableFile, absolute_path, checked_seconds, exists, is_directory
from .linelog.reader import LogReader
from .linelog.repair import LONGEST_DECODED
from .ulid import UlidAllocator, allocate_ulid, ulid_ms
from .volume import (
    NODE_VARIABLE,
    ROOT_VARIABLE,
    RUN_VARIABLE,
    Root,
    events_log_path,
    node_capture_wire_path,
    nodes_dir,
    run_dir,
    run_exists,
)

__all__ = [
    "NODE_VARIABLE",
    "ROOT_VARIABLE",
    "RUN_VARIABLE",
    "Errors",
    "EventHead",
    "Node",
    "NodeExists",
    "NodeFailure",
    "RecordingError",
    "RecordingWarning",
    "Run",
    "RunEnded",
    "RunNotFound",
    "event_head",
    "event_text",
    "moment_ms",
    "node_id_for",
]

Errors: TypeAlias = Literal["raise", "warn"]
"""How errors of the log are reported: each is raised, or only the first of a run, as a warning."""

_LONGEST_MESSAGE = 4096  # characters of an exception's message that are logged
_SEARCHED = 1024 * 1024  # bytes at the end of a log that are searched for the end of its run
_PIECE = 16 * 1024  # bytes that are read at once, or more if a line is longer
_AGREED_MS = 2000  # `ts` is cut to seconds, and is made a moment before or after the id
_PLAIN_NODE_ID = re.compile(r"[a-z0-9_][a-z0-9._-]{0,79}")
_NOT_IN_NODE_ID = re.compile(r"[^a-z0-9_]+")
_NOT_A_BYTE = re.compile("[\ud800-\udc7f\udd00-\udfff]")  # surrogates that stand for no byte
_TS = re.compile(r"(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)Z", re.ASCII)


class RecordingError(OmnelogError, RuntimeError):
    """What was asked for does not fit the run; nothing was written.

    One case differs: if a run ends and has nodes without an end, its abort is logged first.
    """


class RunNotFound(RecordingError):
    """There is no such run, or it has no event yet, or no run was named."""


class RunEnded(RecordingError):
    """The end of the run is already in its log, so nothing can be added."""


class NodeExists(RecordingError):
    """The run already has a node with this id, whose output would be overwritten."""


class RecordingWarning(UserWarning):
    """Something could not be logged, and the host chose to go on."""


class NodeFailure(Exception):
    """A host raises this inside a node to say how the node failed.

    Any other exception counts as a timeout if it is a TimeoutError or a subprocess.TimeoutExpired,
    and otherwise as a crash.
    """

    def __init__(self, kind: ErrorKind, message: str = "") -> None:
        super().__init__(kind, message)
        self.kind: ErrorKind = ErrorKind(kind)
        self.message: str = message

    def __str__(self) -> str:
        return self.message or str(self.kind)


# Helpers that need no Run.


class EventHead(TypedDict):
    """The first members of every event: ``PipeCompleted(**head)``."""

    id: str
    ts: str
    run_id: str


def event_head(root: Root, run_id: str, ulid: str | None = None) -> EventHead:
    """Return the first members of an event of `run_id` that happens now.

    The id is `ulid`, or else a fresh ULID of the volume at `root`. Raises what `allocate_ulid`
    raises.
    """
    event_id = allocate_ulid(root) if ulid is None else ulid
    ts = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    return {"id": event_id, "ts": ts, "run_id": run_id}


def event_text(text: str) -> str:
    """Return `text` without lone surrogates, as an event can hold it.

    In names of files and in arguments, Python has a lone surrogate for each byte that it cannot
    decode. Bytes that are UTF-8 become the text that they spell, because the encoding of the locale
    may be another one. Everything else becomes U+FFFD.
    """
    if text.isascii():
        return text
    bytes_only = _NOT_A_BYTE.sub("\ufffd", text)
    return bytes_only.encode(errors="surrogateescape").decode(errors="replace")


def node_id_for(text: str) -> str:
    """Return a node id for any `text`, such as the name of a task; distinct for distinct texts.

    A text of up to 80 of the characters ``a-z 0-9 _ . -`` that begins with a letter, a digit or
    ``_`` is its own node id. Any other text becomes a readable part of it, followed by ``~`` and 20
    digits of a hash. So no two ids differ only in case, and each can be the name of a file.
    """
    if _PLAIN_NODE_ID.fullmatch(text):
        return text
    from hashlib import blake2b  # noqa: PLC0415 - most hosts need no hash

    digest = blake2b(text.encode(errors="surrogatepass"), digest_size=10).hexdigest()
    readable = _NOT_IN_NODE_ID.sub("-", text.lower())[:40].strip("-")
    return f"{readable}~{digest}"


def moment_ms(event: Event) -> int | None:
    """Return the milliseconds since 1970 at which `event` happened; None if `ts` is not a time.

    `ts` has whole seconds. The ULID in `id` has the milliseconds, unless it was given out while the
    clock stood still or went back, or by a program that makes ids in another way. The ULID counts
    if it agrees with `ts` to within 2 s.
    """
    second_ms = ts_ms(event.ts)
    exact_ms = ulid_ms(event.id)
    if second_ms is None or exact_ms is None:
        return second_ms
    return exact_ms if abs(exact_ms - second_ms) < _AGREED_MS else second_ms


@lru_cache(maxsize=256)  # events of the same second have the same `ts`
def ts_ms(ts: str) -> int | None:
    """Return the milliseconds since 1970 of a time such as 2026-01-31T23:59:59Z, else None."""
    found = _TS.fullmatch(ts)
    if found is None:
        return None
    from datetime import UTC, datetime  # noqa: PLC0415 - 4 ms, and few hosts need it

    year, month, day, hour, minute, second = map(int, found.groups())
    is_leap = second == 60  # a leap second, which datetime does not know
    try:
        moment = datetime(year, month, day, hour, minute, second - is_leap, tzinfo=UTC)
    except ValueError:
        return None
    return (int(moment.timestamp()) + is_leap) * 1000


# Functions on a run, which `Run` and `Node` are built from. The command's `record` uses them too.


def end_of_run(root: Root, run_id: str) -> PipeCompleted | PipeAborted | None:
    """Return the event that ended the run `run_id` of the volume at `root`; None if none did.

    This takes the same time however many nodes the run has, and works on a damaged log too.
    Raises InvalidRunId; RunNotFound if there is no such run, or no event at the end of its log;
    LogIOError.
    """
    path = events_log_path(root, run_id)
    if not run_exists(root, run_id):
        raise RunNotFound(f"{Path(root)}: there is no run {run_id!r:.80}")
    has_event = False
    for event in _last_events(path) if _exists(path) else ():
        if isinstance(event, PipeCompleted | PipeAborted):
            return event
        if isinstance(event, PipeStarted | NodeStarted):
            return None
        has_event = True
    if not has_event:
        raise RunNotFound(f"{path}: run {run_id} has no event yet, not even its pipe.started")
    return None


def _last_events(path: Path) -> Iterator[Event]:
    """Yield the events in the last mebibyte of a log, the last one first. Raises LogIOError.

    That is enough to find the end of a run. After the end, only nodes that were running then may
    log more (SPEC: EVT-10), and they start no others.
    """
    with refusals("cannot look for the end of the run", path):
        with LockableFile(path, os.O_RDONLY) as log:
            end = os.lseek(log.fd, 0, os.SEEK_END)
            searched = 0
            while end > 0 and searched < _SEARCHED:
                start = log.line_start(max(0, end - _PIECE))
                is_hole = end - start > LONGEST_DECODED  # zeros that a power loss left
                piece = b"".join(log.blocks(end - _PIECE if is_hole else start, end))
                searched += len(piece)
                for line in reversed(piece.split(b"\n")):
                    with suppress(DeserializeError):
                        yield decode(line)
                end = start


def require_going_on(root: Root, run_id: str) -> None:
    """Raise RunEnded if the run `run_id` has ended, otherwise what `end_of_run` raises."""
    end = end_of_run(root, run_id)
    if end is not None:
        path = events_log_path(root, run_id)
        how = end.type.removeprefix("pipe.")
        raise RunEnded(f"{path}: the run has ended already ({how})")


def unfinished_nodes(root: Root, run_id: str) -> list[str]:
    """Return the nodes of a run that have started and not ended, in the order of their starts.

    This reads the whole log, past all damage. Raises InvalidRunId; LogIOError.
    """
    path = events_log_path(root, run_id)
    started: dict[str, None] = {}
    with refusals("cannot read", path), LogReader(path) as log:
        for event in log.snapshot(decode, lambda _: None):
            if isinstance(event, NodeStarted):
                started[event.node_id] = None
            elif isinstance(event, NodeCompleted | NodeFailed):
                started.pop(event.node_id, None)
    return list(started)


def _exists(path: Path) -> bool:
    with refusals("cannot look for the log", path):
        return exists(path)


def child_environ(root: Root, run_id: str, node_id: str = "") -> dict[str, str]:
    """Return the variables by which a child process knows its run (SPEC: VOL-22, VOL-23).

    `root` must be absolute. `node_id` is the node that runs the child, or empty if none does.
    """
    return {ROOT_VARIABLE: str(root), RUN_VARIABLE: run_id, NODE_VARIABLE: node_id}


def node_capture_path(root: Root, run_id: str, node_id: str) -> Path:
    """Return where the output of a node belongs, in the volume at `root`. Raises InvalidRunId.

    The name is UTF-8 on the disk, whatever encoding the locale gives to paths.
    """
    node_capture_wire_path(run_id, node_id)  # checks both
    return nodes_dir(root, run_id) / os.fsdecode(f"{node_id}.out".encode())


def claim_node(root: Root, run_id: str, node_id: str) -> int:
    """Create the file for the output of a node, and so claim the node's id (SPEC: VOL-26).

    Returns the descriptor of the file, open for appending. The directory of the run must exist.
    Raises InvalidRunId; NodeExists if the file exists; LogIOError.
    """
    capture = node_capture_path(root, run_id, node_id)
    with refusals(f"node {node_id!r:.80} cannot be started", capture):
        try:
            capture.parent.mkdir(exist_ok=True)
        except FileExistsError as error:
            message = "is not a directory, and outputs go there; move it out of the way"
            raise LogIOError(errno.ENOTDIR, message, capture.parent) from error
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        try:
            return os.open(capture, flags, 0o666)
        except FileExistsError as error:
            raise NodeExists(
                f"run {run_id} has a node {node_id!r:.80} already, whose output would be "
                f"overwritten; take another node id, say {f'{node_id}-2'!r:.80}"
            ) from error


# Runs and nodes.


class Run:
    """A run that this process logs, or takes part in; made by `start`, `join` or `attach`.

    Use it with ``with``, or call `end` yourself. Threads may share it. After a fork both processes
    may log nodes, but only the parent ends what the parent began. A pickled copy takes part in the
    run as if by `attach`.

    `root` is the absolute root of the volume. `run_id` is the id of the run; it is empty if, with
    ``errors="warn"``, nothing of the run can be logged. `outer_node_id` is the node that runs this
    process, if the environment of `join` names one, otherwise None.
    """

    def __init__(
        self, root: Root, run_id: str, errors: Errors, lock_timeout: float, durable: bool
    ) -> None:
        """Use `start`, `join` or `attach`."""
        if errors not in ("raise", "warn"):
            raise ValueError(f"errors must be 'raise' or 'warn', not {errors!r}")
        self.root: Path = Path(root)
        self.run_id: str = run_id
        self.outer_node_id: str | None = None
        self._errors: Errors = errors
        self._lock_timeout = checked_seconds("lock_timeout", lock_timeout)
        self._durable = durable
        self._lock = RLock()  # held while an event is logged, so that none follows the run's end
        self._ends_run = False  # whether this process logs the end of the run
        self._is_over = False  # nothing more is logged by this process
        self._has_warned = False
        self._files: tuple[EventLog, UlidAllocator] | None = None  # opened when first needed
        call_after_fork(self)

    @classmethod
    def start(
        cls,
        root: Root,
        pipe: str,
        *,
        version: str,
        inputs: Mapping[str, str] | Iterable[tuple[str, str]] = (),
        errors: Errors = "raise",
        lock_timeout: float = 5.0,
        durable: bool = False,
    ) -> Self:
        """Start a run of `pipe` in the volume at `root`, and log that.

        `version` is that of the tool. `inputs` are names and values, in order. `root` must be a
        directory; ``.omne`` is created in it if necessary. `lock_timeout`, in seconds, and
        `durable` are those of `EventLog.for_run`.

        Raises ValueError for bad arguments. Unless `errors` is ``"warn"``, raises RecordingError if
        `root` is not a directory, InvalidRunId if `pipe` is not one plain path component, and what
        `allocate_ulid` and `EventLog.append` raise.
        """
        pairs: Iterable[tuple[str, str]] = (
            cast("Mapping[str, str]", inputs).items() if isinstance(inputs, Mapping) else inputs
        )
        named = [Input(key=event_text(key), value=event_text(value)) for key, value in pairs]
        run = cls(root, "", errors, lock_timeout, durable)
        with run._by_policy(f"run of {pipe!r:.80}: not recorded"):
            run_dir(root, pipe)  # raises InvalidRunId before anything is touched
            run.root = absolute_path(root)
            with refusals("cannot look for the root", run.root):
                is_there = is_directory(run.root)
            if not is_there:
                raise RecordingError(f"{run.root}: not a directory; make it, or name another root")
            run_id = f"{pipe}-{allocate_ulid(run.root, lock_timeout=lock_timeout)}"
            run.run_id = run_id
            try:
                run._log(
                    lambda head: PipeStarted(
                        **head, pipe=pipe, inputs=named, distro_version=event_text(version)
                    ),
                    is_first=True,
                )
            except OmnelogError:
                run._close_files()
                run.run_id = ""
                raise
            run._ends_run = True
        return run

    @classmethod
    def join(
        cls,
        environ: Mapping[str, str] = os.environ,
        *,
        errors: Errors = "raise",
        lock_timeout: float = 5.0,
        durable: bool = False,
    ) -> Self:
        """Take part in the run that the environment `environ` names.

        Unless `errors` is ``"warn"``, raises RunNotFound if `environ` does not name a volume and a
        run, and what `attach` raises.
        """
        run = cls(environ.get(ROOT_VARIABLE, ""), "", errors, lock_timeout, durable)
        run.outer_node_id = environ.get(NODE_VARIABLE) or None
        with run._by_policy("nothing is recorded"):
            for name in (ROOT_VARIABLE, RUN_VARIABLE):
                if not environ.get(name):
                    raise RunNotFound(f"no run to join: the environment variable {name} is not set")
            run._attach(environ[ROOT_VARIABLE], environ[RUN_VARIABLE])
        return run

    @classmethod
    def attach(
        cls,
        root: Root,
        run_id: str,
        *,
        errors: Errors = "raise",
        lock_timeout: float = 5.0,
        durable: bool = False,
    ) -> Self:
        """Take part in the run `run_id` of the volume at `root`, which somebody else ends.

        This takes the same time however long the log is, and works on a damaged one too. Unless
        `errors` is ``"warn"``, raises InvalidRunId, RunNotFound, RunEnded or LogIOError.
        """
        run = cls(root, "", errors, lock_timeout, durable)
        with run._by_policy(f"run {run_id!r:.80}: nothing is recorded"):
            run._attach(root, run_id)
        return run

    def _attach(self, root: Root, run_id: str) -> None:
        self.root = absolute_path(root)
        require_going_on(self.root, run_id)
        self.run_id = run_id

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        self.end(error)

    def __reduce__(self) -> tuple[Any, ...]:
        arguments = (self.root, self.run_id, self._errors, self._lock_timeout, self._durable)
        return type(self), arguments

    def after_fork(self) -> None:
        """In a child, leave to the parent what the parent began."""
        self._lock = RLock()
        self._ends_run = False

    @property
    def environ(self) -> dict[str, str]:
        """The variables by which a child joins this run: ``env={**os.environ, **run.environ}``.

        A child that a node runs gets `Node.environ`.
        """
        return child_environ(self.root, self.run_id)

    def node(
        self, node_id: str, kind: NodeKind, *, name: str | None = None, model: str | None = None
    ) -> "Node":
        """Return a node of this run, which starts when its ``with`` block is entered.

        `node_id` must be one plain path component, and new in the run; `node_id_for` makes one
        from any text. `name` is what people call the node. Raises ValueError for a bad `kind`.
        """
        return Node(self, node_id, kind, name, model)

    def end(self, error: BaseException | None = None) -> None:
        """Log that the run has ended: completed, or aborted by `error`. Leaving the block does it.

        If a node of this or another process has no end in the log, the run is aborted, and
        RecordingError says so. Only the `Run` that `start` returned logs an end, and only in the
        process that called `start`. A second call is harmless.
        """
        if self._is_over:
            return
        with self._by_policy(f"run {self.run_id}: its end is not in the log", error):
            try:
                if self._ends_run:
                    self._log_end(error)
            finally:
                self._is_over = True
                self._close_files()

    def _log_end(self, error: BaseException | None) -> None:
        with self._lock:
            self._require_log()
            require_going_on(self.root, self.run_id)
            reasons = [] if error is None else [_described(error)]
            unfinished = unfinished_nodes(self.root, self.run_id)
            without_end = f"nodes without an end: {', '.join(unfinished)}"
            if unfinished:
                reasons.append(without_end)
            if reasons:
                self._log(lambda head: PipeAborted(**head, reason="; ".join(reasons)))
            else:
                self._log(lambda head: PipeCompleted(**head))
            self._is_over = True
        if unfinished:
            raise RecordingError(f"run {self.run_id} is logged as aborted, {without_end}")

    @contextmanager
    def _by_policy(self, what: str, leaving: BaseException | None = None) -> Iterator[None]:
        """Raise or warn if the block cannot log its event; `what` is the consequence.

        If the exception `leaving` is already on its way to the host, that one gets a note instead.
        """
        try:
            yield
        except OmnelogError as error:
            message = f"{what}: {error}"
            if self._errors == "warn":
                self._warn_once(message)
            elif leaving is None:
                raise
            else:
                leaving.add_note(message)

    def _warn_once(self, message: str) -> None:
        if not self._has_warned:
            self._has_warned = True
            text = f"{message} (of this run, no other warning follows)"
            warnings.warn(RecordingWarning(text), stacklevel=_host_level())

    def _log(self, make: Callable[[EventHead], Event], *, is_first: bool = False) -> None:
        """Append the event that `make` makes. Raises OmnelogError."""
        with self._lock:
            if self._is_over:
                raise RunEnded(f"run {self.run_id} has ended, or this process has left it")
            if not is_first:
                self._require_log()
                if not self._ends_run:
                    require_going_on(self.root, self.run_id)
            log, ulids = self._open_files()
            event = make(event_head(self.root, self.run_id, ulids.allocate()))
            try:
                log.append(event)
            except AppendIndeterminate:
                # After a failed sync this handle refuses every append, so open another next time.
                self._close_files()
                raise

    def _require_log(self) -> None:
        """Raise LogIOError if the log is gone: it would be created again, without its beginning."""
        path = events_log_path(self.root, self.run_id)
        if not _exists(path):
            raise LogIOError(errno.ENOENT, "the log is gone", path)

    def _open_files(self) -> tuple[EventLog, UlidAllocator]:
        """Return the handles of this run, which stay open until it is left."""
        if self._files is None:
            timeout_s = self._lock_timeout
            log = EventLog.for_run(
                self.root, self.run_id, lock_timeout=timeout_s, durable=self._durable
            )
            self._files = (log, UlidAllocator(self.root, lock_timeout=timeout_s))
        return self._files

    def _close_files(self) -> None:
        files = self._files
        self._files = None
        if files is not None:
            log, ulids = files
            log.close()
            ulids.close()


class Node:
    """A node of a run, as a ``with`` block; made by `Run.node`.

    `node_id` is its id. `capture_path` is the file for its output, which exists and is empty when
    the block is entered. It is ``os.devnull`` before that, and if the node is not recorded.
    """

    def __init__(
        self, run: Run, node_id: str, kind: NodeKind, name: str | None, model: str | None
    ) -> None:
        """Use `Run.node`."""
        self.node_id = node_id
        self.capture_path: Path = Path(os.devnull)
        self._run = run
        self._kind = NodeKind(kind)
        self._name = None if name is None else event_text(name)
        self._model = None if model is None else event_text(model)
        # The pid of the process that started the node and has to end it; None: no process.
        self._started_in: int | None = None

    @property
    def environ(self) -> dict[str, str]:
        """The variables for what this node runs: ``env={**os.environ, **node.environ}``."""
        return child_environ(self._run.root, self._run.run_id, self.node_id)

    def __enter__(self) -> Self:
        run = self._run
        if run.run_id:
            with run._by_policy(f"node {self.node_id!r:.80}: not recorded"):
                self._start()
        return self

    def _start(self) -> None:
        run = self._run
        os.close(claim_node(run.root, run.run_id, self.node_id))
        capture = node_capture_path(run.root, run.run_id, self.node_id)
        try:
            run._log(
                lambda head: NodeStarted(
                    **head,
                    node_id=self.node_id,
                    kind=self._kind,
                    name=self._name,
                    model=self._model,
                )
            )
        except AppendIndeterminate:
            raise
        except OmnelogError:  # the line is not in the log, so the id is free again
            with refusals_ignored():
                capture.unlink()
            raise
        self._started_in = os.getpid()
        self.capture_path = capture

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        run = self._run
        if self._started_in != os.getpid():
            return  # it is not recorded, or this is a forked child and the parent ends it
        with run._by_policy(f"node {self.node_id!r:.80}: its end is not in the log", error):
            with run._lock:  # so that a gate that another thread logs does not follow the end
                self._started_in = None
                run._log(lambda head: self._own_end(head, error))

    def _own_end(self, head: EventHead, error: BaseException | None) -> Event:
        if error is None:
            output_path = node_capture_wire_path(self._run.run_id, self.node_id)
            return NodeCompleted(**head, node_id=self.node_id, output_path=output_path)
        return NodeFailed(
            **head,
            node_id=self.node_id,
            error=NodeError(kind=_error_kind(error)),
            message=_described(error),
        )

    def gate(self, gate: str, method: GateMethod) -> None:
        """Log that this node passed the gate called `gate`. Raises as the block does."""
        chosen = GateMethod(method)
        self._log_step(
            lambda head: GatePassed(
                **head, node_id=self.node_id, gate=event_text(gate), method=chosen
            )
        )

    def iteration(self, iteration: int, byte_offset: int) -> None:
        """Log that this loop begins iteration number `iteration`. Raises as the block does.

        `byte_offset` is the position in the captured output just after the marker line
        ``=== omne:iteration:N ===`` (SPEC: EVT).
        """
        self._log_step(
            lambda head: IterationStarted(
                **head, node_id=self.node_id, iteration=iteration, byte_offset=byte_offset
            )
        )

    def _log_step(self, make: Callable[[EventHead], Event]) -> None:
        run = self._run
        if not run.run_id:
            return
        with run._by_policy(f"node {self.node_id!r:.80}: incomplete"):
            with run._lock:
                if self._started_in != os.getpid():
                    raise RecordingError(
                        f"node {self.node_id!r:.80} is not running in this process"
                    )
                run._log(make)


def _host_level() -> int:
    """Return the stacklevel with which the caller's warning points at the host's code."""
    frame = sys._getframe(1)
    ours = {frame.f_code.co_filename, contextmanager.__code__.co_filename}
    level = 1
    while frame.f_back is not None and frame.f_code.co_filename in ours:
        frame = frame.f_back
        level += 1
    return level


def _error_kind(error: BaseException) -> ErrorKind:
    if isinstance(error, NodeFailure):
        return error.kind
    timeouts: tuple[type[BaseException], ...] = (TimeoutError,)
    subprocess = sys.modules.get("subprocess")  # whoever raises its exception has imported it
    if subprocess is not None:
        timeouts += (subprocess.TimeoutExpired,)
    return ErrorKind.TIMEOUT if isinstance(error, timeouts) else ErrorKind.CRASH


def _described(error: BaseException) -> str:
    """Return what `error` says, as an event can hold it."""
    try:
        words = str(error)
    except Exception:  # a foreign class, whose __str__ may fail
        words = ""
    if not isinstance(error, NodeFailure):
        name = type(error).__name__
        words = f"{name}: {words}" if words else name
    return event_text(words[:_LONGEST_MESSAGE])
