# SPDX-License-Identifier: MIT
"""``python -m tests.mutation``: every mutant, or those that are chosen."""

import sys

from .run_mutants import main

if __name__ == "__main__":
    sys.exit(main())
