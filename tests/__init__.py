# SPDX-License-Identifier: MIT
"""The tests, and the two lines that say which package they test.

Every test takes the package from here (``from . import omnelog``), never by its own name. To test
a vendored copy, copy this folder and let those lines import from ``host._vendor``.
"""

import omnelog
from omnelog import testing

__all__ = ["omnelog", "testing"]
