# SPDX-License-Identifier: MIT
"""`python -m omnelog` is the `omnelog` command."""

import sys

from .cli import main

sys.exit(main())
