# SPDX-License-Identifier: MIT
"""The processes that write: a fork during an append is made where its child can be ended."""

import sys
from types import FrameType
from weakref import WeakSet

import pytest

from stress.workers import loses_exceptions


class Thing:
    """What a weak reference can lead to."""


def test_an_exception_is_lost_in_the_callback_of_a_weak_set(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Python itself shows it: what the handler raises is reported as ignored."""
    ignored = []
    monkeypatch.setattr(sys, "unraisablehook", lambda lost: ignored.append(lost.exc_type))
    found = []

    def strike(frame: FrameType, event: str, _: object) -> None:
        if event == "call":
            sys.setprofile(None)
            found.append(loses_exceptions(frame))
            raise KeyboardInterrupt

    thing = Thing()
    kept = WeakSet([thing])
    sys.setprofile(strike)
    try:
        del thing
    finally:
        sys.setprofile(None)
    assert found == [True]
    del kept
    assert ignored == [KeyboardInterrupt]


def test_an_exception_is_not_lost_elsewhere() -> None:
    assert not loses_exceptions(sys._getframe())
    assert not loses_exceptions(None)
