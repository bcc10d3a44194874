# SPDX-License-Identifier: MIT
"""Which volume a command is about: ``--root``, else OMNE_VOLUME_ROOT, else the one around here."""

import os
from pathlib import Path

from .. import find_omne_root, omne_dir
from .environment import ROOT_VARIABLE
from .exits import Refused


def volume_root(option: str | None) -> Path:
    """The absolute root of the volume: `option` if given, else the environment's, else found.

    Raises Refused, saying how to make one, where there is none: a volume is never made by the way,
    for one made in the wrong place would swallow the records of everything below it.
    """
    if option is not None:
        return _checked(option, "--root")
    if named := os.environ.get(ROOT_VARIABLE):
        return _checked(named, ROOT_VARIABLE)
    here = _absolute("")
    found = find_omne_root(here)
    if found is None:
        raise Refused(
            f"no omne volume at {here} or above: make one here with `mkdir .omne`, "
            f"or name one with --root DIR or {ROOT_VARIABLE}"
        )
    return found


def _absolute(directory: str) -> Path:
    try:
        return Path(directory).absolute()
    except OSError as error:
        message = f"no current directory ({error.strerror}); use --root with an absolute path"
        raise Refused(message) from error


def _checked(named: str, origin: str) -> Path:
    if not named:
        raise Refused(f"{origin} is empty; give it a directory that holds .omne")
    root = _absolute(named)  # a recorded command may change directory
    if not omne_dir(root).is_dir():
        raise Refused(
            f"{root} ({origin}) is no omne volume, it holds no .omne directory: "
            f"make it one with `mkdir -p {omne_dir(root)}`"
        )
    return root
