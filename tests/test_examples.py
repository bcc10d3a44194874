# SPDX-License-Identifier: MIT
"""The program examples/session_log.py, run as it stands."""

import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from . import omnelog
from .documents import PROJECT

PROGRAM = PROJECT / "examples" / "session_log.py"
WORDS = ["hello", "how are you?", "goodbye"]


def session(*arguments: str | Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, PROGRAM, *arguments], capture_output=True, text=True, timeout=120
    )


def test_a_session_is_followed_while_several_processes_log_it(tmp_path: Path) -> None:
    path = tmp_path / "new" / "session.jsonl"
    speakers = ["ada", "bob", "cyd"]
    done = session(path, *speakers)
    assert (done.returncode, done.stderr) == (0, "")
    logged = omnelog.read_log(path)
    assert done.stdout.splitlines() == [f"{m['speaker']}: {m['text']}" for m in logged]
    for speaker in speakers:
        assert [m["text"] for m in logged if m["speaker"] == speaker] == WORDS
    for number, message in enumerate(logged):
        assert message["heard"] <= number
    again = session(path, "ada")
    assert again.stdout.splitlines() == [*done.stdout.splitlines(), *(f"ada: {w}" for w in WORDS)]


def test_a_session_goes_on_after_a_speaker_that_died_during_an_append(tmp_path: Path) -> None:
    path = tmp_path / "session.jsonl"
    path.write_bytes(b'{"speaker": "ada", "te')
    done = session(path, "bob")
    assert done.stdout.splitlines() == [f"bob: {word}" for word in WORDS]
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("arguments", [[], ["session.jsonl"]])
def test_a_session_without_speakers_shows_how_it_is_called(arguments: list[str]) -> None:
    done = session(*arguments)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "usage: session_log.py LOG SPEAKER...\n"


def test_a_session_says_what_is_wrong_with_its_log_without_a_traceback(tmp_path: Path) -> None:
    done = session(tmp_path, "ada")
    assert done.returncode == 1
    assert done.stderr == f"session_log.py: {tmp_path}: cannot open: Is a directory\n"
    path = tmp_path / "session.jsonl"
    path.write_bytes(b"[1]\n")
    done = session(path, "ada")
    assert done.returncode == 1
    assert re.fullmatch(rf"session_log.py: {re.escape(str(path))}:1: .*\n", done.stderr)


def test_a_session_ends_by_ctrl_c_without_a_traceback(tmp_path: Path) -> None:
    """The log is locked until the interrupt, so nothing new comes."""
    path = tmp_path / "session.jsonl"
    with omnelog.LineLog(path) as log:
        log.append({"speaker": "ada", "text": "wait", "heard": 0})
        command = [sys.executable, str(PROGRAM), str(path), "bob"]
        with omnelog.linelog.lock.LockableFile(path, 0) as holder:
            assert omnelog.linelog.lock.try_lock(holder.fd)
            with subprocess.Popen(
                command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
            ) as running:
                assert running.stdout is not None
                assert running.stderr is not None
                assert running.stdout.readline() == "ada: wait\n"
                running.send_signal(signal.SIGINT)
                omnelog.linelog.lock.unlock(holder.fd)
                assert running.wait() == 130
                assert running.stderr.read() == ""
    assert len(omnelog.read_log(path)) == 1 + len(WORDS)
