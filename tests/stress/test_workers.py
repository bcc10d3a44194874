# SPDX-License-Identifier: MIT
"""The processes that write: they fork during an append only where an exception ends the append."""

import contextlib
import sys
from collections.abc import Callable
from types import FrameType
from weakref import WeakSet, ref

import pytest

from stress.workers import WITHOUT_CALLBACKS, Account, is_in_an_append


class Thing:
    """An object to which there can be weak references."""


class Finalized:
    """An object with a finalizer."""

    def __del__(self) -> None:
        pass


def in_a_weak_set(kept: list[object]) -> Thing:
    thing = Thing()
    kept.append(WeakSet([thing]))
    return thing


def weakly_referred_to(kept: list[object]) -> Thing:
    thing = Thing()
    kept.append(ref(thing, lambda _: None))
    return thing


class Struck:
    """An append that drops an object, and is interrupted in the first frame that is `wanted`."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, wanted: Callable[[str], bool]) -> None:
        self.judged: list[bool] = []
        self.ignored: list[type[BaseException]] = []
        self._wanted = wanted
        monkeypatch.setattr(sys, "unraisablehook", lambda lost: self.ignored.append(lost.exc_type))
        monkeypatch.setattr(Account, "append_next", self._append)

    def append(self, things: list[object]) -> None:
        sys.setprofile(self._strike)
        try:
            self._append(things)
        finally:
            sys.setprofile(None)

    def _append(self, things: list[object]) -> None:
        with contextlib.ExitStack() as stack:
            stack.callback(things.clear)

    def _strike(self, frame: FrameType, event: str, _: object) -> None:
        is_append = frame.f_code is Account.append_next.__code__
        if event == "call" and not is_append and self._wanted(frame.f_code.co_filename):
            sys.setprofile(None)
            self.judged.append(is_in_an_append(frame))
            raise KeyboardInterrupt


@pytest.mark.parametrize("drop", [in_a_weak_set, weakly_referred_to, lambda _: Finalized()])
def test_no_fork_is_made_where_an_exception_is_lost(
    monkeypatch: pytest.MonkeyPatch, drop: Callable[[list[object]], object]
) -> None:
    """Python reports that it ignores the exception of the handler."""
    kept: list[object] = []
    things = [drop(kept)]
    struck = Struck(monkeypatch, lambda path: not path.startswith(WITHOUT_CALLBACKS))
    struck.append(things)
    assert (struck.judged, struck.ignored) == ([False], [KeyboardInterrupt])


def test_a_fork_is_made_where_an_exception_ends_the_append(monkeypatch: pytest.MonkeyPatch) -> None:
    struck = Struck(monkeypatch, lambda path: path.startswith(WITHOUT_CALLBACKS))
    with pytest.raises(KeyboardInterrupt):
        struck.append([])
    assert (struck.judged, struck.ignored) == ([True], [])


def test_no_fork_is_made_outside_an_append() -> None:
    assert not is_in_an_append(sys._getframe())
    assert not is_in_an_append(None)
