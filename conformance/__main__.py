# SPDX-License-Identifier: MIT
"""``python -m conformance``."""

from .program import run


def _main() -> int:
    from .command import main  # noqa: PLC0415 - Ctrl-C has to end this import cleanly as well

    return main()


if __name__ == "__main__":
    run(_main)
