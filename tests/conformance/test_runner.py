# SPDX-License-Identifier: MIT
"""The runner reports correctly on adapters that die, hang, send nonsense, lack an op, or fail."""

import json
import os
import pty
import shlex
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path

import pytest

from conformance.command import main
from conformance.process import Adapter
from conformance.run import conduct
from conformance.vectors import Vector, load

from ..ctrl_c import press_ctrl_c
from ..documents import PROJECT

OMNELOG = [sys.executable, str(PROJECT / "conformance" / "adapters" / "omnelog_adapter.py")]
HELLO = '{"ok": true, "name": "x", "version": "0", "protocol": 1, "capabilities": []}'
MANNERS = f"""
import os, sys, time
input()
print('{HELLO}', flush=True)
begun = sys.stdin.read(12)
if not begun or begun == '{{"op": "quit':
    print('{{"ok": true}}', flush=True)
    sys.exit()

class Stdin:
    def __init__(self, file):
        self.file, self.begun = file, begun
    def readline(self):
        line, self.begun = self.begun + self.file.readline(), ""
        return line
    def __iter__(self):
        return iter(self.readline, "")
    def close(self):
        os.close(0)

sys.stdin = Stdin(sys.stdin)
"""
ONE = "ACC-12.type"  # a vector that needs one answer, an error


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Call the runner in this process; return how it ended and what it wrote."""
    output, errors = StringIO(), StringIO()
    with redirect_stdout(output), redirect_stderr(errors):
        try:
            code = main(arguments)
        except SystemExit as ended:  # raised by argparse
            code = int(ended.code or 0)
    return subprocess.CompletedProcess(arguments, code, output.getvalue(), errors.getvalue())


@pytest.fixture
def adapter(tmp_path: Path) -> Callable[[str], list[str]]:
    """A function that makes an adapter: it says hello, quits when asked, and runs given code."""

    def make(then: str) -> list[str]:
        program = tmp_path / "adapter.py"
        program.write_text(f"{MANNERS}\n{then}\n")
        return [sys.executable, "-S", str(program)]

    return make


ANSWERS = "for line in sys.stdin: print({!r}, flush=True)"
KNOWS_NO_FENCE = """
for line in sys.stdin:
    fence = '{"ok": false, "error": {"kind": "Unsupported"}}'
    print(fence if '"fence"' in line else %r, flush=True)
"""
REJECTS = KNOWS_NO_FENCE % '{"ok": false, "error": {"kind": "DeserializeError"}}'
ACCEPTS = ANSWERS.format('{"ok": true, "event": {}}')


@pytest.mark.parametrize(
    ("then", "said"),
    [
        ("time.sleep(60)", "did not answer within the time limit"),
        ("sys.stdin.close(); time.sleep(60)", "did not answer within the time limit"),
        ("sys.stderr.write('no more disk'); sys.exit(3)", "died (exit status 3); it said: no more"),
        ("input(); os.kill(os.getpid(), 9)", "died (exit status -9)"),
        ("os.close(1); time.sleep(60)", "closed its output but still runs"),
        (ANSWERS.format("hello"), "its answer is not JSON"),
        (ANSWERS.format("[]"), 'its answer is not an object with a boolean "ok": []'),
        (ANSWERS.format('{"ok": 1}'), 'an object with a boolean "ok": {"ok": 1}'),
        (ANSWERS.format('{"ok": false}'), "answers not ok without an error"),
        (
            "sys.stdout.write('x' * 100); sys.stdout.flush(); time.sleep(60)",
            "did not answer within the time limit",
        ),
        (ACCEPTS, "no error, but"),
    ],
    ids=lambda value: value[:20],
)
def test_an_adapter_that_does_not_answer_right_is_a_failure(
    then: str, said: str, adapter: Callable[[str], list[str]]
) -> None:
    limit = ["--timeout", "3"] if "time limit" in said else []
    done = run(*limit, "--only", ONE, "--", *adapter(then))
    assert f"FAILED {ONE}" in done.stdout
    assert said in " ".join(done.stdout.split())
    assert (done.returncode, done.stderr) == (1, "")


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (["false"], "died (exit status 1)"),
        (["sleep", "60"], "did not answer"),
        (["echo", '{"ok": true, "protocol": 2}'], "does not speak protocol 1"),
        (["echo", '{"ok": true, "protocol": 1}'], "has no list of capabilities"),
        (["sh", "-c", f"read x; echo '{HELLO}'; read x; sleep 60"], "did not answer and leave"),
        (["sh", "-c", f"read x; echo '{HELLO}'; read x; exit 4"], "did not answer and leave"),
    ],
)
def test_what_is_not_an_adapter_is_reported_at_once(command: list[str], said: str) -> None:
    limit = ["--timeout", "2"] if "sleep" in " ".join(command) else []
    done = run(*limit, "--", *command)
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert done.returncode == 1


def test_an_adapter_that_has_ended_gets_no_signal() -> None:
    adapter = Adapter(OMNELOG, 10.0)
    adapter.kill()
    adapter.resume()
    adapter.strike()


def test_an_adapter_that_takes_no_request_is_a_failure(adapter: Callable[[str], list[str]]) -> None:
    """A long line fills the pipe. After that, only the time limit ends the wait."""
    done = run("--timeout", "3", "--only", "LINE-13.long-line", "--", *adapter("time.sleep(60)"))
    assert "did not read the request within the time limit" in done.stdout
    assert done.returncode == 1


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "Expecting property name"),
        ("{}", "it has no 'id'"),
        ('{"id": "ACC-1.x", "kind": "encode", "clauses": ["ACC-1"]}', "its id must be"),
        ('{"id": "ACC-1.x", "kind": "decode", "clauses": ["ACC-2"]}', "not named after"),
        ('{"id": "ACC-1.x", "kind": "decode", "clauses": []}', "not named after"),
        ('{"id": "ACC-1.x", "kind": "decode", "clauses": ["ACC-1"], "line": "x"}', "no file x"),
    ],
)
def test_a_vector_that_cannot_be_used_is_reported(text: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "decode").mkdir()
    path = tmp_path / "decode" / "ACC-1.x.json"
    path.write_text(text)
    done = run("--vectors", str(tmp_path), "--list")
    assert f"{path}: not a valid vector: " in done.stderr
    assert said in done.stderr
    assert (done.returncode, done.stdout) == (2, "")


def test_an_adapter_that_answers_right_passes(adapter: Callable[[str], list[str]]) -> None:
    done = run("--only", ONE, "--", *adapter(REJECTS))
    assert done.stdout.splitlines()[-1] == "1 vectors: 1 passed"
    assert (done.returncode, done.stderr) == (0, "")


def test_one_failure_does_not_hide_what_comes_after(adapter: Callable[[str], list[str]]) -> None:
    """The adapter is started again each time."""
    done = run("--only", "ACC-12.in*", "--", *adapter("input(); sys.exit(7)"))
    assert done.stdout.count("died (exit status 7)") == 4
    assert "4 vectors: 4 failed" in done.stdout
    assert done.returncode == 1


@pytest.mark.parametrize(
    ("listed", "then", "verdict"),
    [
        (ONE, ACCEPTS, "expected failure"),
        (f"# why\n{ONE}  # a reason\n\n", ACCEPTS, "expected failure"),
        (ONE, REJECTS, "stale"),
        ("ACC-12.unknown-member", ACCEPTS, "failed"),
    ],
)
def test_expected_failures_are_none_unless_they_are_stale(
    listed: str, then: str, verdict: str, adapter: Callable[[str], list[str]], tmp_path: Path
) -> None:
    file = tmp_path / "expected"
    file.write_text(listed)
    done = run("--only", ONE, "--expected-failures", str(file), "--", *adapter(then))
    assert done.stdout.splitlines()[-1] == f"1 vectors: 1 {verdict}"
    assert done.returncode == (verdict != "expected failure")


def test_an_expected_failure_that_is_not_a_vector_is_reported(tmp_path: Path) -> None:
    file = tmp_path / "expected"
    file.write_text("ACC-12.no-such-vector\n")
    done = run("--expected-failures", str(file), "--", "false")
    assert "no such vector: ACC-12.no-such-vector" in done.stderr
    assert done.returncode == 2


def test_what_an_adapter_lacks_is_not_run_and_not_passed(
    adapter: Callable[[str], list[str]],
) -> None:
    command = adapter(REJECTS)
    done = run("--only", ONE, "--only", "ULID-7.*", "--", *command)
    assert "NOT RUN: 14 vectors, because the adapter has no ulid" in done.stdout
    assert done.stdout.splitlines()[-1] == "15 vectors: 14 not run, 1 passed"
    assert done.returncode == 0
    assert run("--only", "ULID-7.*", "--", *command).returncode == 1  # nothing was run at all


def test_results_as_json_and_junit(adapter: Callable[[str], list[str]], tmp_path: Path) -> None:
    saved, junit = tmp_path / "results.json", tmp_path / "results.xml"
    files = ["--json", str(saved), "--junit", str(junit)]
    done = run("--only", "ACC-14.null", "--only", "ACC-3.*last", *files, "--", *adapter(REJECTS))
    assert done.returncode == 1
    results = json.loads(saved.read_text())
    assert results["counts"] == {"passed": 1, "failed": 8}
    assert {vector["verdict"] for vector in results["vectors"]} == {"passed", "failed"}
    [suite] = ET.parse(junit).getroot()
    assert (suite.get("tests"), suite.get("failures"), suite.get("skipped")) == ("9", "8", "0")
    assert len(suite.findall("testcase/failure")) == 8


def test_results_that_cannot_be_saved_are_reported(adapter: Callable[[str], list[str]]) -> None:
    done = run("--only", ONE, "--json", "/no/such/directory/x", "--", *adapter(REJECTS))
    assert done.stderr == "/no/such/directory/x: No such file or directory\n"
    assert done.returncode == 2


def test_help_and_list_need_no_adapter() -> None:
    assert "examples:" in run("--help").stdout
    listed = run("--list", "--only", "VOL-18.*")
    assert [line.split()[0] for line in listed.stdout.splitlines()] == [
        "VOL-18.beyond-16-bits",
        "VOL-18.many",
        "VOL-18.order",
    ]
    assert listed.returncode == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "the command that starts the adapter is missing"),
        (["--only", "X-1.*", "--", "false"], "no vector matches the options"),
        (["--only", ONE, "--against", "true", "--", "false"], "no vector matches the options"),
        (["--vectors", "/nowhere", "--", "false"], "no vector matches the options"),
        (["--timeout", "0", "--", "false"], "--timeout: must be above 0"),
        (["--timeout", "nan", "--", "false"], "--timeout: must be above 0"),
        (["--timeout", "soon", "--", "false"], "--timeout: invalid seconds value: 'soon'"),
        (["--jobs", "0", "--", "false"], "--jobs: must be 1 or more"),
        (["--expected-failures", "/no/such/file", "--", "false"], "'/no/such/file'"),
    ],
)
def test_bad_usage_is_reported(arguments: list[str], said: str) -> None:
    done = run(*arguments)
    *_, error = done.stderr.splitlines()
    assert done.stderr.startswith("usage: python -m conformance")
    assert said in error
    assert done.returncode == 2


def test_an_interrupt_ends_the_adapter_and_shows_the_results_so_far(
    adapter: Callable[[str], list[str]],
) -> None:
    says_its_pid = "print(os.getpid(), file=open(f'/proc/{os.getppid()}/fd/1', 'w'), flush=True)"
    command = adapter(f"input(); {says_its_pid}; time.sleep(300)")
    pids = []

    def is_a_pid(line: str) -> bool:
        if line.strip().isdigit():
            pids.append(int(line))
        return bool(pids)

    done = press_ctrl_c(
        [sys.executable, "-m", "conformance", "--timeout", "200", "--only", ONE, "--", *command],
        is_a_pid,
    )
    assert (done.returncode, done.stderr) == (130, "interrupted after 0 vectors\n")
    [pid] = pids
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_two_adapters_play_both_parts(tmp_path: Path) -> None:
    saved = tmp_path / "results.json"
    against = ["--against", shlex.join(OMNELOG), "--json", str(saved)]
    done = run("--only", "LOCK-1.*", *against, "--", *OMNELOG)
    assert done.returncode == 0, done.stdout
    vectors = json.loads(saved.read_text())["vectors"]
    assert [vector["id"] for vector in vectors] == ["LOCK-1.holder-and-appender"] * 2
    assert {vector["cast"] for vector in vectors} == {"A=omnelog B=omnelog"}


def test_omnelog_passes_all_that_is_made_from_the_clauses() -> None:
    """The behaviour vectors take longer: `nox -s conformance` runs them."""
    vectors: list[Vector] = [vector for vector in load() if vector.kind != "behaviour"]
    results = list(conduct(vectors, {"A": OMNELOG}, 30.0, set(), jobs=2))
    assert [(r.id, r.message) for r in results if r.verdict != "passed"] == []
    assert sorted(r.id for r in results) == sorted(vector.id for vector in vectors)


def test_progress_is_for_terminals_alone(adapter: Callable[[str], list[str]]) -> None:
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "conformance", "--only", ONE, "--", *adapter(REJECTS)]
    done = subprocess.run(command, cwd=PROJECT, stdout=subprocess.PIPE, stderr=theirs)
    os.close(theirs)
    shown = os.read(ours, 10_000).decode()
    os.close(ours)
    assert f"1/1 {ONE}" in shown
    assert shown.endswith("\r\x1b[K")  # the progress line is erased
    assert b"\x1b" not in done.stdout


def test_the_directory_works_on_its_own(
    adapter: Callable[[str], list[str]], tmp_path: Path
) -> None:
    shutil.copytree(PROJECT / "conformance", tmp_path / "conformance", ignore=_all_but_one)
    done = subprocess.run(
        [sys.executable, "-S", "-m", "conformance", "--", *adapter(REJECTS)],
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
    )
    assert done.stdout.splitlines()[-1] == "1 vectors: 1 passed", done.stderr


def _all_but_one(directory: str, names: list[str]) -> list[str]:
    """Leave out all vectors except one, because copying them takes time."""
    return [n for n in names if "vectors/v1/" in directory and not n.startswith(f"{ONE}.")]


def test_a_command_that_cannot_be_started_is_a_mistake_of_the_caller() -> None:
    done = run("--", "/no/such/adapter")
    reason = "cannot be started: No such file or directory; check the command"
    assert done.stderr == f"/no/such/adapter: {reason}\n"
    assert done.returncode == 2


def test_a_clause_is_asked_for_by_its_id_whatever_vectors_are_named_after() -> None:
    listed = run("--list", "--clause", "APP-24").stdout.splitlines()
    assert "APP-27.cut-off-again" in {line.split()[0] for line in listed}
    assert all("APP-24" in line for line in listed)
    unknown = run("--list", "--clause", "APP-999")
    assert "no such clause: APP-999" in unknown.stderr
    assert unknown.returncode == 2


def test_a_profile_chooses_what_it_can_be_asked() -> None:
    listed = run("--list", "--profile", "decoder").stdout.splitlines()
    assert {line.split("-")[0] for line in listed} == {"ACC", "LINE", "SEC"}


def test_the_first_failure_ends_the_run_if_that_is_wanted(
    adapter: Callable[[str], list[str]],
) -> None:
    done = run("--fail-fast", "--only", "ACC-12.in*", "--", *adapter(ACCEPTS))
    assert "1 vectors: 1 failed" in done.stdout
    assert done.returncode == 1


def test_several_jobs_find_what_one_finds(adapter: Callable[[str], list[str]]) -> None:
    command = adapter(REJECTS)
    one = run("--only", "ACC-1[24].*", "--", *command)
    three = run("--only", "ACC-1[24].*", "--jobs", "3", "--", *command)
    assert three.stdout == one.stdout


def test_the_conversation_is_shown_with_bytes_as_they_are(
    adapter: Callable[[str], list[str]],
) -> None:
    done = run("--trace", "--only", ONE, "--", *adapter(REJECTS))
    said = [line for line in done.stderr.splitlines() if '"decode"' in line]
    assert said[0].startswith('A > {"op": "decode", "line": "')
    assert "pipe." in said[0]
    assert 'A < {"ok": false' in done.stderr


def test_a_line_that_was_decoded_wrong_is_shown_as_it_is(
    adapter: Callable[[str], list[str]],
) -> None:
    done = run("--only", ONE, "--", *adapter(ACCEPTS))
    assert "the line b'{" in done.stdout


def test_volumes_are_kept_where_they_are_wanted(tmp_path: Path) -> None:
    done = run("--only", "LOCK-2.on-the-log-itself", "--keep", str(tmp_path), "--", *OMNELOG)
    assert done.returncode == 0
    assert [path.name.rpartition(".")[0] for path in tmp_path.iterdir()] == [
        "LOCK-2.on-the-log-itself"
    ]


TWICE = """
for line in sys.stdin:
    print('{"ok": false, "error": {"kind": "%s"}}', flush=True)
    if "decode" in line:
        time.sleep(%s)
        print('{"ok": false, "error": {"kind": "DeserializeError"}}', flush=True)
"""


@pytest.mark.parametrize("delay_s", [0, 0.3])
def test_a_second_answer_is_noticed_however_late_it_is(
    delay_s: float, adapter: Callable[[str], list[str]]
) -> None:
    """The runner then asks for an op that does not exist, and a second answer is wrong for that."""
    twice = TWICE % ("DeserializeError", delay_s)
    done = run("--only", ONE, "--", *adapter(twice))
    assert "answered twice" in done.stdout or "was not asked" in done.stdout
    assert done.returncode == 1


def test_a_lock_that_is_never_freed_does_not_stop_the_run(
    adapter: Callable[[str], list[str]],
) -> None:
    leaks = """
import fcntl, json
for line in sys.stdin:
    request = json.loads(line)
    if request["op"] == "append":
        path = request["root"] + "/.omne/var/runs/r"
        os.makedirs(path, exist_ok=True)
        leaked = os.open(path + "/events.jsonl", os.O_RDWR | os.O_CREAT)
        fcntl.flock(leaked, fcntl.LOCK_EX)
    print('{"ok": true}', flush=True)
"""
    done = run("--only", "APP-51.look-under-the-lock", "--", *adapter(leaks))
    assert "the lock was still taken" in done.stdout
    assert done.returncode == 1


def test_the_example_in_the_help_works_in_a_checkout_without_an_installation() -> None:
    """The adapter finds the package omnelog beside the kit."""
    program = "import sys; sys.path[:] = [p for p in sys.path if 'editable' not in p]; import runpy"
    adapter = "conformance/adapters/omnelog_adapter.py"
    done = subprocess.run(
        [sys.executable, "-c", f"{program}; runpy.run_path({adapter!r}, run_name='__main__')"],
        cwd=PROJECT,
        input='{"op": "hello", "protocol": 1}\n{"op": "quit"}\n',
        capture_output=True,
        text=True,
    )
    assert done.stdout.count('"ok": true') == 2, done.stderr
