# SPDX-License-Identifier: MIT
"""The tests of layer 1, and the line that says which package they test.

Every test takes the package from here (``from . import linelog``), never by its own name. To test
a vendored copy, copy this folder and let that line import from ``host._vendor``. Nothing here needs
the rest of omnelog or of its tests.
"""

from omnelog import linelog

__all__ = ["linelog"]
