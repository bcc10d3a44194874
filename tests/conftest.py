# SPDX-License-Identifier: MIT
"""What all tests have in common; how much hypothesis tries is in `linelog.profiles`.

A shell starts ``command &`` with SIGINT and SIGQUIT ignored, and ignored they stay over every exec.
So that the programs under test end as they do elsewhere, both are set to what they mean.
"""

import signal
from pathlib import Path

import pytest

from . import omnelog
from .faults.counts import pytest_terminal_summary
from .linelog import profiles

pytest_plugins = [f"{omnelog.__name__}.testing.fixtures"]
__all__ = [
    "profiles",
    "pytest_terminal_summary",  # how many faults were met; here for xdist to find it
]


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
