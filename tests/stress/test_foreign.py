# SPDX-License-Identifier: MIT
"""A foreign command that appends for a round, asked directly, without a round."""

import math
import sys
from pathlib import Path

import pytest

from stress import foreign
from stress.foreign import Talk


def test_a_command_that_is_silent_is_killed_and_that_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(foreign, "SILENCE_S", 0.1)
    words = [sys.executable, "-c", "import sys; sys.stdin.read()"]
    talk = Talk(words, tmp_path, "process-000", math.inf)
    with pytest.raises(SystemExit) as caught:
        talk.ask(b"{}\n")
    assert caught.value.code == "process-000: the command was silent for too long"
    assert talk.end() == -9
