# SPDX-License-Identifier: MIT
"""``python -m tests.mutation``: every mutant, or those that are chosen."""

from conformance.program import run


def _main() -> int:
    from .run_mutants import main  # not above: Ctrl-C has to end this import cleanly as well

    return main()


if __name__ == "__main__":
    run(_main)
