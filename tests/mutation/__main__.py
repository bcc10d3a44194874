# SPDX-License-Identifier: MIT
"""``python -m tests.mutation`` runs all mutants, or the chosen ones."""

from conformance.program import run


def _main() -> int:
    from .run_mutants import main  # here, so that Ctrl-C ends this import cleanly, too

    return main()


if __name__ == "__main__":
    run(_main)
