# SPDX-License-Identifier: MIT
"""What all tests share. `linelog.profiles` says how many examples hypothesis tries.

A shell starts ``command &`` with SIGINT and SIGQUIT ignored, and an ignored signal stays ignored
after every exec. This module restores the default handling of both, so that the programs under
test end as they do elsewhere.
"""

import gc
import os
import signal
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from . import omnelog
from .faults.counts import pytest_terminal_summary
from .linelog import profiles

pytest_plugins = [f"{omnelog.__name__}.testing.fixtures"]
__all__ = [
    "profiles",
    "pytest_terminal_summary",  # prints how many faults were met; xdist finds it here
]

# Programs under test buffer their output, as they do for users.
os.environ.pop("PYTHONUNBUFFERED", None)

# Programs under test run in directories of their own. By default, each program that uses hypothesis
# would make the tables of Unicode again there, which takes 2 s.
os.environ.setdefault("HYPOTHESIS_STORAGE_DIRECTORY", str(Path.cwd() / ".hypothesis"))


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[None]:
    """Switch the garbage collector off while tests are collected; it takes a fifth of the time."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run the conformance tests first: they wait most, while others keep the processors busy."""
    items.sort(key=lambda item: "tests/conformance/" not in item.path.as_posix())


@pytest.fixture(scope="module", autouse=True)
def quick_collections() -> None:
    """Make the garbage collector ignore the objects that exist before the tests of a file.

    There are half a million of them, so each full collection would take 0.1 s. Many tests ask for
    one, to see that nothing is left open.
    """
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def temporary_directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory for the temporary files of this process and of the processes that it starts."""
    directory = tmp_path_factory.mktemp("temporary")
    os.environ["TMPDIR"] = str(directory)
    tempfile.tempdir = str(directory)
    return directory


@pytest.fixture(autouse=True)
def nothing_is_left(temporary_directory: Path) -> Iterator[None]:
    """Check that a test leaves no temporary file, and no exception in sys.exc_info().

    Later failures would be chained to such an exception. One directory is allowed: multiprocessing
    makes it once in a process, and removes it when the process ends.
    """
    files_before = {*temporary_directory.iterdir()}
    error_before = sys.exc_info()[1]
    yield
    found = {path for path in temporary_directory.iterdir() if not path.name.startswith("pymp-")}
    left = found - files_before
    assert not left, f"temporary files are left: {left}"
    error = sys.exc_info()[1]
    assert error is error_before, f"an exception is left in sys.exc_info(): {error!r}"


@pytest.fixture
def gone_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The working directory was removed."""
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()


if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
if signal.getsignal(signal.SIGQUIT) is signal.SIG_IGN:
    signal.signal(signal.SIGQUIT, signal.SIG_DFL)
