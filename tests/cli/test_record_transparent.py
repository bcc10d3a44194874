# SPDX-License-Identifier: MIT
"""A program sees and does the same whether it is recorded or not.

Each program runs twice, in two equal directories, and its outputs are compared. If a program names
$RECORDER, a part of it is recorded. Every other program is recorded as a whole.
"""

import os
import pty
import shlex
import shutil
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from .volume import WATCHDOG_S, Volume

SIGNALS = (
    "import signal\n"
    "for n in sorted(signal.valid_signals()):\n"
    "    if n not in (signal.SIGPIPE, signal.SIGXFSZ, signal.SIGINT):\n"  # Python changes these
    "        print(int(n), signal.getsignal(n), n in signal.pthread_sigmask(0, []))\n"
    "print([l for l in open('/proc/self/status') if l.startswith(('SigB', 'SigI', 'SigP'))])\n"
)
MAKEFILE = (
    "all: a b\n"
    "a:\n\t@echo > ab; read x < ba; echo a\n"  # a ends only if b runs at the same time
    "b:\n\t@read x < ab; echo > ba; echo b\n"
)
DAEMON = "setsid sh -c 'read x < go; echo $PPID > late' < /dev/null > /dev/null 2>&1 & echo started"

RECORDER = "omnelog record --pipe p n --"
"""`omnelog` is found on the PATH of `Volume.environment`."""

PROGRAMS = {
    "a shell with a process substitution": (
        *("bash", "-c"),
        "cat <(echo in) <(echo more); echo out > >(cat); wait $!; exit 3",
    ),
    "a shell that gives it a process substitution": (
        *("bash", "-c"),
        "$RECORDER cat <(echo in); exec 9> held; $RECORDER sh -c 'echo 9 >&9'; cat held",
    ),
    "a make with a jobserver": (
        *("sh", "-c"),
        "mkfifo ab ba; timeout 30 make -s -j2 -f outer | sort",
    ),
    "a make that gives it a jobserver": (
        *("sh", "-c"),
        'mkfifo ab ba; timeout 30 make -s -j2 -f recording RECORDER="$RECORDER" | sort',
    ),
    "a REPL": (
        *("sh", "-c"),
        f"printf '1+1\\nprint(input())\\ngiven\\nexit(4)\\n' | {shlex.quote(sys.executable)} -i -q",
    ),
    "a daemon": (
        *("sh", "-c"),
        f"mkfifo go; {DAEMON}; echo > go; while ! test -s late; do sleep 0.01; done; echo done",
    ),
    "yes | head": ("sh", "-c", "yes | head -n 1000"),
    "yes | head, of which it is yes": ("bash", "-c", "$RECORDER yes | head -n 1000"),
    "a signal table": (sys.executable, "-c", SIGNALS),
    "limits, umask, priority and directory": (
        *("sh", "-c"),
        "ulimit -a; umask; nice; pwd -P | sed 's/.*-//'; ps -o pgid= -p $$ | wc -l",
    ),
    "its arguments and its environment": (
        *("sh", "-c", "printf '%s|' \"$@\"; env | grep -v -e ^OMNE_ -e ^_= -e PWD= | sort", "sh"),
        *("a b", "", "*", "--", "é", "\n"),
    ),
    "a missing input": ("cat", "no-such-file"),
    "a lock that is held": (
        *("sh", "-c"),
        "exec 9> lock; flock 9; flock -n lock true; echo $?",
    ),
}


@pytest.mark.parametrize("program", PROGRAMS.values(), ids=PROGRAMS)
def test_a_program_sees_and_does_the_same(volume: Volume, program: tuple[str, ...]) -> None:
    is_recorded_inside = any("RECORDER" in word for word in program)
    found = []
    for recorder in ("", RECORDER):
        place = volume.root / ("recorded-x" if recorder else "plain-x")
        place.mkdir()
        (place / "outer").write_text("all:\n\t+@$(MAKE) -s -f inner\n")
        (place / "recording").write_text("all:\n\t+@$(RECORDER) $(MAKE) -s -f inner\n")
        (place / "inner").write_text(MAKEFILE)
        inside = {"RECORDER": recorder} if is_recorded_inside else {}
        done = subprocess.run(
            [*([] if is_recorded_inside else recorder.split()), *program],
            cwd=place,
            env=volume.environment() | inside,
            input=b"given\n",
            capture_output=True,
            timeout=WATCHDOG_S,
        )
        errors = [e for e in done.stderr.splitlines() if not e.startswith(b"run_id=")]
        found.append((done.returncode, done.stdout, errors))
        shutil.rmtree(place)
    assert found[1] == found[0]
    assert found[0][1] or found[0][2]


def seen_on_terminal(volume: Volume, *command: str) -> tuple[int, bytes]:
    """Run a command on a terminal, and type "q" at "(END)"; return its status and its output."""
    keyboard, screen = pty.openpty()
    with subprocess.Popen(
        ["setsid", "--ctty", *command],
        cwd=volume.root,
        stdin=screen,
        stdout=screen,
        stderr=screen,
        env=volume.environment() | {"TERM": "xterm", "LESS": "", "LESSHISTFILE": "-"},
    ) as process:
        os.close(screen)
        shown = b""
        has_quit = False
        with suppress(OSError):
            while data := os.read(keyboard, 4096):
                shown += data
                if b"(END)" in shown and not has_quit:
                    has_quit = True
                    os.write(keyboard, b"q")
        status = process.wait(WATCHDOG_S)
    os.close(keyboard)
    return status, shown


def test_a_full_screen_program_on_a_terminal_of_its_own_shows_the_same(volume: Volume) -> None:
    Path("text").write_text("one\ntwo\n")
    plain = seen_on_terminal(volume, "less", "text")
    words = ("record", "--pty", "--pipe", "p", "n", "--", "less", "text")
    status, shown = seen_on_terminal(volume, str(volume.command), *words)
    _, _, shown = shown.partition(b"\r\n")  # the line with the run's id
    assert (status, shown) == plain
    assert b"two" in shown
    [run_id] = volume.runs()
    assert volume.types(run_id)[-1] == "pipe.completed"
