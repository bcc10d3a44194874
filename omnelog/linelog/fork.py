# SPDX-License-Identifier: MIT
"""Forks: in a forked child, every registered object learns that it is a copy.

A child inherits its parent's descriptors, and with them its parent's locks: a lock belongs to the
open file description, which both share. It also inherits mutexes, which may be held by threads that
do not exist in the child. So files close themselves in the child, and handles take a new mutex.

The hook runs in the child, inside ``os.fork``, after the hooks that were registered before this
module was imported. Nothing runs in the parent and no lock is held, so a fork never waits. Three
cases are not covered: another thread is between opening a file and registering it; a signal handler
raises inside this hook; too little stack or memory is left to run it. In these cases the child may
keep a copy of a descriptor until it exits or runs another program (SPEC: NOT-16, NOT-17).
"""

import os
from typing import Protocol
from weakref import WeakSet


class Inherited(Protocol):
    """An object that a forked child has to change."""

    def after_fork(self) -> None:
        """Adapt this object, which is a copy, to the child; never raises."""


_inherited: WeakSet[Inherited] = WeakSet()


def register(thing: Inherited) -> None:
    """Call `thing.after_fork` in each forked child. This does not keep `thing` alive."""
    _inherited.add(thing)


def _run_in_child() -> None:
    for thing in list(_inherited):
        thing.after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_run_in_child)
