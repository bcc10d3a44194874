# SPDX-License-Identifier: MIT
"""``python -m stress``."""

from conformance.program import run


def _main() -> int:
    from .command import main  # not above: Ctrl-C has to end this import cleanly as well

    return main()


if __name__ == "__main__":
    run(_main)
