# SPDX-License-Identifier: MIT
"""How much hypothesis tries: as usual, with ``HYPOTHESIS_PROFILE=thorough`` twenty times that, with
``brief`` a fifth, where the usual number was tried elsewhere on the same code.

With ``repeatable`` it tries the same every time, lest a mutant that one run kills survive the next.
No deadline and no complaint about slow data: a loaded machine is not a bug.

A shell starts ``command &`` with SIGINT and SIGQUIT ignored, and ignored they stay over every exec.
So that the programs under test end as they do elsewhere, both are set to what they mean.
"""

import os
import signal
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from . import omnelog
from .faults.counts import pytest_terminal_summary

pytest_plugins = [f"{omnelog.__name__}.testing.fixtures"]
__all__ = ["pytest_terminal_summary"]  # how many faults were met; here for xdist to find it

settings.register_profile(
    "usual", deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile("thorough", settings.get_profile("usual"), max_examples=2000)
settings.register_profile("brief", settings.get_profile("usual"), max_examples=20)
settings.register_profile("repeatable", settings.get_profile("usual"), derandomize=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "usual"))


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
