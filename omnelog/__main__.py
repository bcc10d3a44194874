# SPDX-License-Identifier: MIT
"""`python -m omnelog` is the `omnelog` command."""

from .cli import run

run()
