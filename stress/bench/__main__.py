# SPDX-License-Identifier: MIT
"""``python -m stress.bench``."""

from conformance.program import run


def _main() -> int:
    from .command import main  # here, so that Ctrl-C during this import also ends cleanly

    return main()


if __name__ == "__main__":
    run(_main)
