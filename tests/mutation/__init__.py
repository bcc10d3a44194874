# SPDX-License-Identifier: MIT
"""Is a mistake in the core noticed by a test?

``python -m tests.mutation`` (`nox -s mutants`) tries the mistakes that people make, which are
written down in `mutants`. ``python -m tests.mutation.every_change`` (`nox -s mutation`) makes every
small change that a mutation tester can think of, which takes hours; ``survivors.toml`` lists the
changes that no test can notice, and why. Mistakes that only a certain order of system calls shows
are in ``tests/schedules/mutants.py``.
"""
