# SPDX-License-Identifier: MIT
"""Copies of omnelog inside other packages, several of them in one process.

`nox -s vendoring` checks that the core's own tests pass on a copy.
"""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from . import omnelog

PACKAGE = Path(omnelog.__file__).parent

EXCLUSION = """
import os, sys
from one._vendor import omnelog as one
from two._vendor import omnelog as two

root = sys.argv[1]
assert one.__version__ != two.__version__ and one.EventLog is not two.EventLog
for holder, other in (one, two), (two, one):
    event = other.PipeCompleted(id="i", ts="t", run_id="run")
    with other.EventLog.for_run(root, "run", lock_timeout=0) as log:
        with holder.linelog.lock.LockableFile(log.path, os.O_RDWR) as held:
            held.acquire(0, 0)
            try:
                log.append(event)
            except other.LockTimeout as error:
                print(error.holder_pid == os.getpid())
            holder.linelog.lock.unlock(held.fd)
        log.append(event)
"""

SHARING = """
import os, sys, threading, time
from one._vendor import omnelog as one
from two._vendor import omnelog as two

root, write, start = sys.argv[1], os.write, threading.Barrier(2)

def short(fd, data):  # so that only the lock keeps lines from running into one another
    time.sleep(0)
    return write(fd, data[:16])

def append(package):
    with package.EventLog.for_run(root, "run", lock_timeout=60) as log:
        start.wait()
        for number in range(60):
            event = package.PipeAborted(
                id=f"{package.__version__} {number}", ts="t", run_id="run", reason="x" * 200
            )
            log.append(event)

os.write = short
threads = [threading.Thread(target=append, args=[package]) for package in (one, two)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
os.write = write
"""


@pytest.fixture
def hosts(tmp_path: Path) -> Path:
    """The directory of packages ``one`` and ``two``, which have omnelog in different versions."""
    for name in ("one", "two"):
        vendor = tmp_path / name / "_vendor"
        vendor.mkdir(parents=True)
        for package in (vendor.parent, vendor):
            (package / "__init__.py").touch()
        left_out = shutil.ignore_patterns("__pycache__", "cli", "testing", "__main__.py")
        shutil.copytree(PACKAGE, vendor / "omnelog", ignore=left_out)
        init = vendor / "omnelog" / "__init__.py"
        version = f'__version__ = "{omnelog.__version__}"'
        assert version in init.read_text()
        init.write_text(init.read_text().replace(version, f'__version__ = "0.0.0+{name}"'))
    return tmp_path


def output(hosts: Path, program: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", program, hosts], cwd=hosts, capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_copies_of_different_versions_exclude_each_other(hosts: Path) -> None:
    assert output(hosts, EXCLUSION) == "True\nTrue\n"
    assert len(omnelog.read_run(hosts, "run")) == 2


def test_copies_of_different_versions_append_to_one_log_at_once(hosts: Path) -> None:
    output(hosts, SHARING)
    found = [event.id for event in omnelog.read_run(hosts, "run")]
    for name in ("one", "two"):
        own = [f"0.0.0+{name} {number}" for number in range(60)]
        assert [number for number in found if number in own] == own
    assert len(found) == 120
