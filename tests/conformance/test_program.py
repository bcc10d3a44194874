# SPDX-License-Identifier: MIT
"""The commands of the checkout end without a traceback at Ctrl-C and when nobody reads them."""

import os
import signal
import subprocess
import sys

import pytest

from ..ctrl_c import press_ctrl_c
from ..documents import PROJECT

PYTHON = [sys.executable, "-W", "error"]
PROGRAMS = [
    "conformance",
    "conformance.generate",
    "stress",
    "stress.bench",
    "stress.bench.against",
    "stress.fairness",
    "tests.mutation",
    "tests.schedules",
    "tests.tools.ratios",
    "tests.tools.sizes",
]


def without_reader(command: list[str]) -> "subprocess.CompletedProcess[str]":
    """Run a program whose output nobody reads. Its output is buffered, and so written late."""
    read_end, write_end = os.pipe()
    os.close(read_end)
    try:
        return subprocess.run(
            command, cwd=PROJECT, stdout=write_end, stderr=subprocess.PIPE, text=True
        )
    finally:
        os.close(write_end)


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_program_without_a_reader_says_nothing(program: str) -> None:
    done = without_reader([*PYTHON, "-m", program, "--help"])
    assert (done.returncode, done.stderr) == (1, "")


def test_what_is_printed_at_length_may_lose_its_reader() -> None:
    done = without_reader([*PYTHON, "-m", "conformance", "--list"])
    assert (done.returncode, done.stderr) == (1, "")


RUNS = """
import time
from conformance.program import run
def main():
    print("ready", flush=True)
    {ends}
run(main)
"""


def test_a_program_exits_with_the_code_that_it_returns() -> None:
    program = [*PYTHON, "-c", RUNS.format(ends="return 7")]
    done = subprocess.run(program, cwd=PROJECT, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (7, "ready\n", "")


def test_another_pipe_that_breaks_is_not_taken_for_the_output() -> None:
    broken = "import os; read, write = os.pipe(); os.close(read); os.write(write, b'x')"
    program = [*PYTHON, "-c", RUNS.format(ends=broken)]
    done = subprocess.run(program, cwd=PROJECT, capture_output=True, text=True)
    assert done.returncode == 1
    assert "BrokenPipeError" in done.stderr


def test_a_program_that_ctrl_c_ends_prints_nothing_more() -> None:
    program = [*PYTHON, "-c", RUNS.format(ends="time.sleep(600)")]
    done = press_ctrl_c(program, lambda line: line == "ready\n")
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")


def test_a_second_ctrl_c_ends_a_program_that_is_already_ending() -> None:
    program = "import atexit\natexit.register(lambda: (print('ending', flush=True), time.sleep(9)))"
    command = [*PYTHON, "-c", program + RUNS.format(ends="return 0")]
    done = press_ctrl_c(command, lambda line: line == "ending\n")
    assert (done.returncode, done.stdout, done.stderr) == (-signal.SIGINT, "", "")
