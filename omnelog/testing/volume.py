# SPDX-License-Identifier: MIT
"""Temporary volumes for properties, whose examples would all share the volume of a fixture."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from .. import omne_dir


@contextmanager
def new_volume() -> Iterator[Path]:
    """Yield the root of a new, empty volume, which is removed at the end with everything in it."""
    with TemporaryDirectory(prefix="omne-") as name:
        root = Path(name)
        omne_dir(root).mkdir()
        yield root
