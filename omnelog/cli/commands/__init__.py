# SPDX-License-Identifier: MIT
"""The verbs of the command, in the order in which its help lists them."""

from argparse import Namespace
from collections.abc import Sequence

from ..parser import Verbs
from . import append, export, record, repair, runs, schema, show, tail, timeline, verify

_VERBS = (record, runs, show, tail, timeline, verify, repair, append, export, schema)


def parse(words: Sequence[str]) -> Namespace:
    """Take a command line apart, without the program's name, as `Verbs.parse` does."""
    verbs = Verbs()
    for module in _VERBS:
        module.declare(verbs)
    return verbs.parse(words)
