# SPDX-License-Identifier: MIT
"""The tests, and the one line that says which package they test.

Every test takes the package from here (``from . import omnelog``), never by its own name. To test
a vendored copy, copy this folder and change that line to ``from host._vendor import omnelog``.
"""

import omnelog

__all__ = ["omnelog"]
