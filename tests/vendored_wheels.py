# SPDX-License-Identifier: MIT
"""`nox -s vendoring`: the wheel of a host with copies of omnelog and filelock runs elsewhere.

The host is made, and built by each build backend, as docs/vendoring.md says. Its wheel is installed
into a directory of its own, without a network and without dependencies. Apart from that directory,
its program has only the standard library on its path.
"""

import re
import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

import pytest

from .vendoring import DOCUMENT, PROJECT, new_host, run

TEXT = (PROJECT / DOCUMENT).read_text()
_, BY_HAND, FILELOCK_TOO = re.findall(r"```sh\n(.*?)```", TEXT, re.DOTALL)
SETUPTOOLS, HATCHLING, _ = re.findall(r"```toml\n(.*?)```", TEXT, re.DOTALL)

PROGRAM = """
import sys

from ._vendor.omnelog import LineLog, NodeKind, read_log, read_run
from ._vendor.omnelog.recording import Run

root = sys.argv[1]
with Run.start(root, "host", version="1.0") as run, run.node("lint", NodeKind.COMMAND):
    pass
print(*(event.type for event in read_run(root, run.run_id)))
with LineLog(f"{root}/log") as log:
    log.append({"n": 1})
print(*read_log(log.path))
"""
OUTPUT = "pipe.started node.started node.completed pipe.completed\n{'n': 1}\n"


def made_host(directory: Path, configuration: str) -> Path:
    """A host with the copies in it, and with `configuration` as its pyproject.toml."""
    host = new_host(directory)
    run(host, "sh", "-ec", BY_HAND + FILELOCK_TOO)
    (host / "omnelog").unlink()
    (host / "host" / "__main__.py").write_text(PROGRAM)
    (host / "pyproject.toml").write_text(configuration)
    return host


def built(host: Path, into: Path) -> Path:
    """The wheel of a host, built in `into`."""
    pip = (sys.executable, "-m", "pip", "wheel", "-q", "--no-index", "--no-build-isolation")
    run(host, *pip, "--no-deps", "-w", into, ".")
    [wheel] = into.glob("host-1.0-*.whl")
    return wheel


def output(wheel: Path, directory: Path) -> "subprocess.CompletedProcess[str]":
    """Install a wheel into a new directory, and run its program from another one."""
    site = directory / "site"
    root = directory / "root"
    root.mkdir(parents=True)
    pip = (sys.executable, "-m", "pip", "install", "-q", "--no-index", "--no-deps")
    run(directory, *pip, "--no-compile", "--target", site, wheel)
    command = [sys.executable, "-S", "-m", "host", str(root)]  # -S: no site-packages
    return subprocess.run(
        command, cwd=root, env={"PYTHONPATH": str(site)}, capture_output=True, text=True, timeout=60
    )


@pytest.mark.parametrize("configuration", [SETUPTOOLS, HATCHLING], ids=["setuptools", "hatchling"])
def test_a_host_is_built_and_runs_elsewhere(tmp_path: Path, configuration: str) -> None:
    wheel = built(made_host(tmp_path / "host", configuration), tmp_path / "dist")
    done = output(wheel, tmp_path / "elsewhere")
    assert (done.returncode, done.stdout, done.stderr) == (0, OUTPUT, "")
    names = ZipFile(wheel).namelist()
    for copy in ("omnelog", "filelock"):
        licence = f"host-1.0.dist-info/licenses/host/_vendor/{copy}/LICENSE"
        assert licence in names
    assert not [name for name in names if "/cli/" in name or "/testing/" in name]


def test_a_list_of_packages_without_the_copies_is_noticed(tmp_path: Path) -> None:
    """This is the mistake that the document warns of. It shows that the test above can fail."""
    lines = '[tool.setuptools.packages.find]\ninclude = ["host", "host.*"]\n'
    assert SETUPTOOLS.endswith(lines)
    configuration = SETUPTOOLS.removesuffix(lines) + '[tool.setuptools]\npackages = ["host"]\n'
    wheel = built(made_host(tmp_path / "host", configuration), tmp_path / "dist")
    done = output(wheel, tmp_path / "elsewhere")
    assert done.returncode == 1
    assert re.search(r"Error: .*'host\._vendor", done.stderr)
