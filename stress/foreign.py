# SPDX-License-Identifier: MIT
"""Writers that share no code with omnelog: a shell loop around flock(1), and any command.

A command speaks the adapter protocol of this project, with one JSON object in each line. Its driver
sends ``{"op":"hello","protocol":1}``, then ``{"op":"append","root":…,"run_id":…,"lock_timeout":…,
"events":[…]}`` for each append, and ``{"op":"quit"}`` at the end. The command answers each with
``{"ok":true}`` or ``{"ok":false,"error":{"kind":…,"message":…,"appended":…}}``. The checker tests
what an error of the kind LockTimeout, LogIOError or AppendIndeterminate says about the log; after
any other error the process of the driver fails. The lines of the command are judged like all
others: they must be canonical.

The driver keeps the receipts: it notes the time before it writes a request, and again when it has
read the answer. Under the fault ``kill`` it kills and restarts the command.
"""

import json
import math
import os
import select
import signal
import subprocess
import sys
from pathlib import Path
from time import monotonic, monotonic_ns, sleep
from typing import Any

from .faults import KILL, note_death
from .plan import SHELL, ProcessPlan, RoundPlan
from .receipts import (
    Outcome,
    Receipts,
    history_path,
    log_path,
    process_name,
    volume_path,
    writer_name,
)
from .workers import Gate, draw_calls, draw_lines, until_terminated

SILENCE_S = 60.0  # after a silence of this length a command counts as hanging
_TORN_TRIES = 200  # one every 10 ms; other writers soon repair a torn tail
_KILL_EVERY_S = 0.5
_OUTCOMES = {
    "LockTimeout": Outcome.TIMED_OUT,
    "LogIOError": Outcome.REFUSED,
    "AppendIndeterminate": Outcome.INDETERMINATE,
}

# A simple loop that does no more than the specification demands. It opens the log for each append,
# so it notices when the log was replaced. It does not write after a torn tail, because other
# writers repair that. If the disk is full, it cuts off what it wrote.
SHELL_LOOP = r"""
log=$1 lines=$2
exec 8>&1           # what it starts holds the pipe, so we notice when all of it has ended
trap '' XFSZ        # the limit on the size of files plays a full disk
while read -r offset length; do
    (
        exec 9>>"$log" || exit
        flock -w 5 9 || { echo timed out; exit; }
        [ /proc/self/fd/9 -ef "$log" ] || { echo moved; exit; }
        size=$(stat -L -c %s /proc/self/fd/9)
        if [ "$size" -gt 0 ] && [ "$(tail -c 1 /proc/self/fd/9 | od -An -tx1)" != ' 0a' ]; then
            echo torn
        elif tail -c "+$offset" "$lines" | head -c "$length" >&9 2>&-; then
            echo ok
        elif truncate -s "$size" /proc/self/fd/9; then
            echo refused
        fi
    )
done
"""


class Talk:
    """A command that answers each line with one line, and is killed after `kill_after_s`."""

    def __init__(self, words: list[str], directory: Path, name: str, kill_after_s: float) -> None:
        self.process = subprocess.Popen(
            words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
        )
        self._directory, self._name, self._rest = directory, name, b""
        self._kill_at = monotonic() + kill_after_s
        self._killed = False

    def ask(self, line: bytes) -> bytes:
        """Send a line and return the answer. Raises EOFError if the command has died."""
        assert self.process.stdin is not None
        try:
            self.process.stdin.write(line)
            self.process.stdin.flush()
        except BrokenPipeError:
            raise EOFError from None
        return self._answer()

    def _answer(self) -> bytes:
        assert self.process.stdout is not None
        fd = self.process.stdout.fileno()
        silent_at = monotonic() + SILENCE_S
        while b"\n" not in self._rest:
            left_s = min(self._kill_at, silent_at) - monotonic()
            if left_s <= 0:
                self._kill("was silent for too long" if monotonic() >= silent_at else "")
            elif select.select([fd], [], [], left_s)[0]:
                block = os.read(fd, 65536)
                if not block:
                    raise EOFError
                self._rest += block
        answer, _, self._rest = self._rest.partition(b"\n")
        return answer

    def _kill(self, reproach: str) -> None:
        """Kill the command and all that it started."""
        self._kill_at = math.inf
        if not reproach:
            self._killed = True
            note_death(self._directory, self._name)
        os.killpg(self.process.pid, signal.SIGKILL)
        if reproach:
            sys.exit(f"{self._name}: the command {reproach}")

    def greet(self) -> None:
        """Check that the command speaks the protocol."""

    def append(self, seq: int, n: int) -> tuple[Outcome, int, str | None]:
        """Append `n` events, from `seq` on; return the outcome, a number of events, and the error.

        The number says how many events are in the log although the append failed. Raises EOFError
        if the command died.
        """
        raise NotImplementedError

    def quit(self) -> None:
        """Ask the command to exit, unless it has just been killed."""
        self._kill_at = math.inf
        code = self.end()
        if code and not self._killed:
            sys.exit(f"{self._name}: the command exited with {code}")

    def close(self) -> None:
        """Kill the command if it still runs, as it does when its driver ends early."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
        self.end()

    def end(self) -> int:
        """Close its input and wait for the command to end; return its exit code."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        try:
            self.process.stdin.close()
        except BrokenPipeError:
            pass
        try:
            return self.process.wait(SILENCE_S)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            return self.process.wait()
        finally:
            self.process.stdout.close()


class _Shell(Talk):
    """The loop around flock(1)."""

    def __init__(
        self, directory: Path, plan: RoundPlan, process: ProcessPlan, kill_after_s: float
    ) -> None:
        lines = history_path(directory, f"{writer_name(process.writers[0].writer)}.lines")
        log = log_path(directory, plan.run_ids[process.run])
        words = ["sh", "-c", SHELL_LOOP, "sh", str(log), str(lines)]
        super().__init__(words, directory, process_name(process.process), kill_after_s)
        self._starts = [0]
        for line in lines.read_bytes().splitlines(keepends=True):
            self._starts.append(self._starts[-1] + len(line))

    def append(self, seq: int, n: int) -> tuple[Outcome, int, str | None]:
        begin, end = self._starts[seq], self._starts[seq + n]
        for _ in range(_TORN_TRIES):
            answer = self.ask(b"%d %d\n" % (begin + 1, end - begin))
            if answer == b"ok":
                return Outcome.ACKNOWLEDGED, 0, None
            if answer == b"torn":
                sleep(0.01)
            elif answer != b"moved":
                break
        text = answer.decode(errors="replace")
        return Outcome.TIMED_OUT if text == "timed out" else Outcome.REFUSED, 0, text


class Adapter(Talk):
    """A command that speaks the adapter protocol."""

    def __init__(
        self, directory: Path, plan: RoundPlan, process: ProcessPlan, kill_after_s: float
    ) -> None:
        name = process_name(process.process)
        super().__init__(list(process.foreign), directory, name, kill_after_s)
        path = history_path(directory, f"{writer_name(process.writers[0].writer)}.lines")
        self._lines = path.read_bytes().split(b"\n")[:-1]
        about = {
            "op": "append",
            "root": str(volume_path(directory)),
            "run_id": plan.run_ids[process.run],
            "lock_timeout": process.lock_timeout_s,
        }
        self._request = json.dumps(about)[:-1].encode() + b', "events": ['

    def greet(self) -> None:
        kill_at, self._kill_at = self._kill_at, math.inf
        try:
            said = self._ask_json(b'{"op": "hello", "protocol": 1}\n')
        except EOFError:
            sys.exit(f"the command ended with {self.end()} before it said hello")
        self._kill_at = kill_at
        if said.get("ok") is not True or said.get("protocol") != 1:
            sys.exit(f"the command does not speak version 1 of the protocol: {said}")

    def _ask_json(self, line: bytes) -> dict[str, Any]:
        answer = self.ask(line)
        try:
            said = json.loads(answer)
        except ValueError:
            said = None
        if not isinstance(said, dict):
            sys.exit(f"the command answered {answer[:200]!r}, which is not a JSON object")
        return said

    def append(self, seq: int, n: int) -> tuple[Outcome, int, str | None]:
        request = self._request + b", ".join(self._lines[seq : seq + n]) + b"]}\n"
        said = self._ask_json(request)
        if said.get("ok") is True:
            return Outcome.ACKNOWLEDGED, 0, None
        error = said.get("error", {})
        if error.get("kind") not in _OUTCOMES:
            sys.exit(f"the command failed to append: {error or said}")
        return _OUTCOMES[error["kind"]], error.get("appended", 0), error.get("message")

    def quit(self) -> None:
        self._kill_at = math.inf
        if not self._killed:
            self._ask_json(b'{"op": "quit"}\n')
        super().quit()


def drive(directory: Path, plan: RoundPlan, process: ProcessPlan, gate: Gate) -> None:
    """Run as the process that lets a foreign command append the events of a writer."""
    gate.close_others()
    with until_terminated(directory, process_name(process.process)) as stop:
        [writer] = process.writers
        draw_lines(directory, plan, process.run, writer)
        receipts = Receipts(directory, writer.writer)
        dice = plan.dice("foreign", writer.writer)

        def start() -> Talk:
            killing = KILL in plan.faults
            after_s = 0.05 + dice.expovariate(1 / _KILL_EVERY_S) if killing else math.inf
            kind = _Shell if process.foreign == SHELL else Adapter
            return kind(directory, plan, process, after_s)

        command = start()
        try:
            command.greet()
            gate.wait()
            calls = draw_calls(plan, writer, 0)
            while not stop and (call := next(calls, None)):
                receipts.before(*call)
                called_ns = monotonic_ns()
                try:
                    outcome, appended, error = command.append(*call)
                except EOFError:
                    code = command.end()
                    if code != -signal.SIGKILL or KILL not in plan.faults:
                        sys.exit(f"the command ended during an append, with exit code {code}")
                    receipts.resume()
                    command = start()
                    command.greet()
                    continue
                end_ns = monotonic_ns()
                receipts.after(call[0], called_ns, end_ns, outcome, appended=appended, error=error)
                sleep(dice.expovariate(1 / writer.pause_s))
            command.quit()
        finally:
            command.close()
        receipts.close()
