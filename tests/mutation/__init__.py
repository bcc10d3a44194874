# SPDX-License-Identifier: MIT
"""Check that the tests notice mistakes in the core.

``python -m tests.mutation`` (`nox -s mutants`) tries mistakes that people make; `mutants` lists
them. ``python -m tests.mutation.every_change`` (`nox -s mutation`) tries every small change that a
mutation tester can make, which takes hours. ``survivors.toml`` lists the changes that no test can
notice, and why. Mistakes that only a certain order of system calls shows are in
``tests/schedules/mutants.py``.
"""
