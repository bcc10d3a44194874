# SPDX-License-Identifier: MIT
"""The `omnelog` command."""


def main() -> int:
    raise SystemExit("not yet")
