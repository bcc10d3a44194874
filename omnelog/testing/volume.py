# SPDX-License-Identifier: MIT
"""A volume to be thrown away, where a fixture would be shared by all examples of a property."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from .. import omne_dir


@contextmanager
def new_volume() -> Iterator[Path]:
    """Yield the root of a new, empty volume, which is removed with all that is in it."""
    with TemporaryDirectory(prefix="omne-") as name:
        root = Path(name)
        omne_dir(root).mkdir()
        yield root
