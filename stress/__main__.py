# SPDX-License-Identifier: MIT
"""``python -m stress``."""

import os
import sys

from .command import INTERRUPTED, VIOLATED, main

if __name__ == "__main__":
    try:
        sys.exit(main())
    except BrokenPipeError:  # nobody wants to read on: neither does Python's last flush
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(VIOLATED)
    except KeyboardInterrupt:  # once more, while it was ending
        sys.exit(INTERRUPTED)
