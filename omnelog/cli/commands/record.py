# SPDX-License-Identifier: MIT
"""`record`: run a command as a node of a run, and log its start, its end and its output.

If there is a problem before the command runs, it is not run. When the command runs, it runs to its
end and its exit status is returned, even if the log fails. Everything that could not be recorded is
reported on a line of its own, and turns a success into status 125.
"""

import os
import select
import shlex
import signal
from argparse import Namespace
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from ... import (
    ErrorKind,
    Event,
    LogIOError,
    NodeCompleted,
    NodeError,
    NodeFailed,
    NodeKind,
    NodeStarted,
    OmnelogError,
    PipeAborted,
    PipeCompleted,
    node_capture_wire_path,
)
from ...recording import RUN_VARIABLE, child_environ, end_of_run, event_text, unfinished_nodes
from ..claims import make_capture, remove_capture
from ..exits import OK, RECORDER, Misused, Refused
from ..locate import find_run, is_relative
from ..nonblocking_output import Output, ReaderGone
from ..parser import Verbs, seconds
from ..run_command import Conditions, Outcome, run
from ..run_writer import RunLog, check_name, new_run, open_run
from ..signals import ENDING, Interrupted, Signals
from ..streams import STDERR, STDOUT, spell
from ..text import some

_HELP = """\
Run a command as a node of a run, and log its start and its end.

With --pipe, a new run is started, and its id is printed on standard error as
run_id=... When the command ends, the run is ended as well: as completed if the
command succeeded, otherwise as aborted. Without --pipe, the node is added to the run
that --run or $OMNE_RUN_ID names. That run must not have ended, and must not have a
node of the same id. The command finds OMNE_RUN_ID, OMNE_NODE_ID and OMNE_VOLUME_ROOT
in its environment, so that what it runs can add nodes to the same run, any number at
once.

The output of the command is passed through as it comes, and kept in
.omne/var/runs/RUN/nodes/NODE.out. If the reader of the output stops reading, the
command gets SIGPIPE, as in any pipeline. Processes that it leaves running in the
background are recorded for one second after its end; then their output is closed.
Signals sent to the recorder are passed on, and Ctrl-Z stops both. The command has
every descriptor that the recorder inherited, and ignores the signals that the
recorder ignored, except SIGPIPE and SIGXFSZ, which always have their default action.

The command's output is a pipe, not a terminal. So most programs print no colour, use
no pager and no progress bar, and print in large pieces instead of line by line; and
the order of what the command writes to its two outputs may change. With --pty the
command has a terminal of its own instead. Then all of this works, and so do prompts,
window sizes and Ctrl-Z. Its two outputs become one, our standard output, and the
capture keeps what a terminal gets, including escape codes. If our standard input is a
terminal, the command reads what is typed, otherwise it reads our standard input.

With --timeout the command has a process group of its own. When the time is up, the
whole group gets SIGTERM. Whatever is left of it gets SIGKILL 5 seconds later (see
--kill-after), or one second after CMD itself has ended. Such a command can read from
the terminal only with --pty.

If other nodes of the run are still running when the command that started the run
ends, the run is logged as aborted, and a success becomes exit status 125.
"""

_HELP_END = """\
examples:
  omnelog record --pipe ci test -- pytest -q
  omnelog record --pipe ci --timeout 10m test -- pytest -q
  omnelog record --pipe ci --pty test -- pytest
  omnelog record --pipe ci all -- make -j8
      with recipes such as: omnelog record lint -- ruff check .
  omnelog record --pipe ci all -- sh -c '
      printf "%s\\n" lint types |
      xargs -P2 -I{} omnelog record --lines {} -- nox -s {}'

DURATION is a number of seconds, or 90s, 5m, 1h30m, 1d.

exit status:
  that of the command, 128+N if signal N ended it (SIGINT ends the recorder, too), and
  124  it was ended because it took longer than --timeout
  125  omnelog failed: the command was not run, or it succeeded and its record is
       incomplete; standard error says what is missing and what to do
  126  the command cannot be executed
  127  the command was not found
  2    wrong command line
"""

_PATIENCE_S = 60.0  # seconds to wait for the lock at the end, so that hours of work are not lost
_SHOWN = 5  # nodes in a message
_FAREWELL_S = 1.0  # seconds to write the last messages after a signal asked us to end


def declare(verbs: Verbs, summary: str) -> None:
    """Declare the arguments of `record`."""
    example = "omnelog record lint -- ruff check"
    verb = verbs.add(
        *("record", summary, _carry_out, _HELP, _HELP_END),
        trouble=RECORDER,
        command_example=example,
    )
    verb.parser.usage = (
        "omnelog record [--root DIR] [--pty | --lines] [--timeout DURATION]\n"
        "                      [--kill-after DURATION]\n"
        "                      [--pipe NAME | --run RUN] NODE -- CMD [ARG ...]"
    )
    which = verb.parser.add_mutually_exclusive_group()
    which.add_argument("--pipe", metavar="NAME", help="start a run of the pipe NAME")
    which.add_argument(
        "--run",
        metavar="RUN",
        default=os.environ.get(RUN_VARIABLE, ""),
        help=f"add to this run, by its whole id or as latest (default: ${RUN_VARIABLE})",
    )
    how = verb.parser.add_mutually_exclusive_group()
    how.add_argument("--pty", action="store_true", help="run the command on a terminal of its own")
    how.add_argument(
        "--lines",
        action="store_true",
        help="pass output on by whole lines, which parallel recorders do not mix",
    )
    verb.parser.add_argument(
        "--timeout", metavar="DURATION", type=seconds, help="end the command when it takes longer"
    )
    verb.parser.add_argument(
        "--kill-after",
        metavar="DURATION",
        type=seconds,
        help="then kill it after so much longer (default: 5s)",
    )
    verb.parser.add_argument("node", metavar="NODE", help="id of the node, new in its run")


def _carry_out(root: Path, given: Namespace) -> int:
    if given.pipe is None and not given.run:
        raise Misused(
            "no run to add to: start one with --pipe NAME, or name one with --run RUN or "
            f"{RUN_VARIABLE}"
        )
    if given.kill_after is not None and given.timeout is None:
        raise Misused("--kill-after needs --timeout; add it")
    conditions = Conditions(
        timeout_s=given.timeout,
        kill_after_s=5.0 if given.kill_after is None else given.kill_after,
        by_lines=given.lines,
        on_terminal=given.pty,
    )
    recorder = Recorder(root, given.node, given.command, conditions, is_alone=given.is_alone)
    run_id = find_run(root, given.run) if is_relative(given.run) else given.run
    return recorder.record(pipe=given.pipe, run_id=run_id)


class Recorder:
    """Runs one command as a node. Its methods are in the order in which they are used."""

    def __init__(
        self,
        root: Path,
        node_id: str,
        command: Sequence[str],
        conditions: Conditions,
        *,
        is_alone: bool,
    ) -> None:
        """Prepare to run `command`. `is_alone`: whether nothing else uses this process."""
        self._root = root
        self._node_id = node_id
        self._command = command
        self._conditions = conditions
        self._is_alone = is_alone
        self._unsaid = b""  # the rest of a message for which standard error did not have room

    def record(self, *, pipe: str | None, run_id: str) -> int:
        """Run the command in a new run of `pipe` if that is given, otherwise in the run `run_id`.

        A recorder that starts a run prints ``run_id=…`` on standard error. It also ends the run: as
        completed if the command succeeds, otherwise as aborted. Returns the command's exit status,
        or 125 if that was 0 and the record is incomplete. Raises Refused, OmnelogError or OSError
        if the command was not run. Raises Interrupted if a signal prevented that, or if the command
        died of a SIGINT.
        """
        check_name("node id", self._node_id)
        with Signals() as signals:
            self._signals = signals
            self._outputs = (Output(STDOUT), Output(STDERR))
            try:
                return self._record(pipe, run_id)
            finally:
                for output in self._outputs:
                    output.close()

    def _record(self, pipe: str | None, run_id: str) -> int:
        log = open_run(self._root, run_id) if pipe is None else new_run(self._root, pipe)
        try:
            if pipe is not None:
                log.begin(pipe)
                self._announce(log)
            capture = self._start_node(log)
        except (Refused, OmnelogError, OSError, Interrupted) as error:
            if pipe is not None:
                self._abort(log, error)
            raise
        try:
            outcome = self._run(log, capture)
            self._signals.stop_listening()
            losses, remarks = self._end(log, outcome, ends_run=pipe is not None)
        finally:  # only now, because the lock on it shows others that this recorder is at work
            with suppress(OSError):
                os.close(capture)
        if not outcome.ran or outcome.failure is ErrorKind.TIMEOUT:
            self._say(f"omnelog: record: {outcome.ending}", outcome)
        for words in [*remarks, *outcome.losses, *losses]:
            self._say(f"omnelog: record: node {self._node_id} of {log.run_id}: {words}", outcome)
        if outcome.killed_by == signal.SIGINT:
            raise Interrupted(signal.SIGINT)
        return outcome.status or (RECORDER if losses or outcome.losses else OK)

    def _announce(self, log: RunLog) -> None:
        """Print the run id as far as there is room, so that CMD starts even if nobody reads it."""
        line = spell(f"run_id={log.run_id}")
        try:
            self._unsaid = line[self._outputs[1].write(line) :]
        except BlockingIOError:
            self._unsaid = line
        except (ReaderGone, OSError):
            pass

    def _start_node(self, log: RunLog) -> int:
        """Claim the node and log its start; return the descriptor of its capture."""
        capture = None
        try:
            with self._signals.postponed():
                capture = make_capture(log.root, log.run_id, self._node_id)
            name = event_text(shlex.join(self._command))
            kind = NodeKind.COMMAND
            log.append(NodeStarted(**log.head(), node_id=self._node_id, kind=kind, name=name))
        except BaseException:
            if capture is not None:
                remove_capture(log.root, log.run_id, self._node_id, capture)
            raise
        return capture

    def _abort(self, log: RunLog, error: BaseException) -> None:
        """End a run whose command is not run, if its log exists."""
        why = str(error)
        if isinstance(error, Interrupted):
            why = f"interrupted by {signal.Signals(error.signum).name}"
        with suppress(OmnelogError, OSError):
            if log.is_there():
                reason = f"node {self._node_id}: not run: {event_text(why)}"
                log.append(PipeAborted(**log.head(), reason=reason))

    def _run(self, log: RunLog, capture: int) -> Outcome:
        variables = child_environ(log.root, log.run_id, self._node_id)
        return run(
            self._command,
            os.environ | variables,
            capture,
            outputs=self._outputs,
            signals=self._signals,
            conditions=self._conditions,
            unsaid=self._unsaid,
            started=self._let_go_of_what_was_inherited,
        )

    def _let_go_of_what_was_inherited(self) -> None:
        """Close our copies of the descriptors that the command inherited.

        Otherwise a descriptor that the command closes would still be open here. Then a process that
        reads from the command, or writes to its standard input, would not notice the closing.
        """
        if not self._is_alone:
            return
        for name in os.listdir("/proc/self/fd"):
            with suppress(OSError):
                if int(name) > STDERR and os.get_inheritable(int(name)):
                    os.close(int(name))
        is_typed_into = self._conditions.on_terminal and os.isatty(0)
        if not is_typed_into:
            null = os.open(os.devnull, os.O_RDONLY)
            os.dup2(null, 0)
            os.close(null)

    def _end(self, log: RunLog, outcome: Outcome, *, ends_run: bool) -> tuple[list[str], list[str]]:
        """Log the end of the node, and of the run; return what was lost, and other remarks."""
        losses: list[str] = []
        remarks: list[str] = []
        if outcome.left_running:
            remarks.append(
                "a process that it left running still had its output, which is closed now; "
                "what that process prints from now on is lost"
            )
        try:
            with self._signals.interruptible(self._hint_at_waiting):
                if not log.is_there():
                    raise Refused("the log was removed while the command ran")
                node_end = self._node_end(log, outcome)
                run_end = self._run_end(log, outcome, losses) if ends_run else []
                try:
                    log.append(node_end, *run_end, patience_s=_PATIENCE_S)
                except LogIOError as error:
                    if error.appended or not isinstance(node_end, NodeFailed):
                        raise
                    # There may be room on the disk for a shorter line.
                    node_end = replace(node_end, message=outcome.ending)
                    log.append(node_end, *run_end, patience_s=_PATIENCE_S)
        except (Exception, Interrupted) as error:
            why = "interrupted" if isinstance(error, Interrupted) else str(error)
            what = "its end and the run's are" if ends_run else "its end is"
            if getattr(error, "appended", 0):
                what = "the run's end is"
            advice = "correct that, then add the missing events with `omnelog append`"
            losses = [f"{outcome.ending}, but {what} not in the log: {why}; {advice}"]
        return losses, remarks

    def _hint_at_waiting(self) -> None:
        with suppress(BlockingIOError, ReaderGone, OSError):
            self._outputs[1].write(
                spell(
                    "omnelog: record: waiting to log the end; "
                    "press Ctrl-C or send the signal again to give up"
                )
            )

    def _node_end(self, log: RunLog, outcome: Outcome) -> NodeCompleted | NodeFailed:
        if outcome.failure is None:
            path = node_capture_wire_path(log.run_id, self._node_id)
            return NodeCompleted(**log.last_head(), node_id=self._node_id, output_path=path)
        message = "\n".join(filter(None, (outcome.ending, outcome.last_lines)))
        error = NodeError(kind=outcome.failure)
        return NodeFailed(
            **log.last_head(), node_id=self._node_id, error=error, message=event_text(message)
        )

    def _run_end(self, log: RunLog, outcome: Outcome, losses: list[str]) -> list[Event]:
        """Return the event that ends the run, in a list that is empty if the run has ended.

        What is wrong with that end is added to `losses`.
        """
        end = end_of_run(log.root, log.run_id)
        if end is not None:
            how = end.type.removeprefix("pipe.")
            losses.append(f"somebody else has ended the run already ({how})")
            return []
        unfinished = unfinished_nodes(log.root, log.run_id)
        others = [node_id for node_id in unfinished if node_id != self._node_id]
        if outcome.status == 0 and not others:
            return [PipeCompleted(**log.last_head())]
        reasons = [f"node {self._node_id}: {outcome.ending}"] if outcome.status else []
        if others:
            still = f"ended while nodes were still running: {some(others, _SHOWN)}"
            reasons.append(still)
            losses.append(f"the run is logged as aborted, it {still}")
        return [PipeAborted(**log.last_head(), reason=event_text("; ".join(reasons)))]

    def _say(self, message: str, outcome: Outcome) -> None:
        """Write a line to standard error. Give up if a signal asks us to end.

        If one did so before, give up after a second.
        """
        line = memoryview(spell(message))
        output = self._outputs[1]
        poller = select.poll()
        poller.register(output, select.POLLOUT)
        for fd in self._signals.filenos():
            poller.register(fd, select.POLLIN)
        patience_ms = _FAREWELL_S * 1000 if outcome.hurried else None
        while line:
            try:
                line = line[output.write(line) :]
            except BlockingIOError:
                is_ready = poller.poll(patience_ms)
                if not is_ready or any(signum in ENDING for signum, _ in self._signals.take()):
                    return
            except (ReaderGone, OSError):
                return
