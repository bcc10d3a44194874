# SPDX-License-Identifier: MIT
"""How fast omnelog is, compared with alternatives: ``python -m stress.bench``.

All subjects are measured in turns, round after round, in the same run, and compared within a round,
so that a noisy machine does not decide. The report has the median of the rounds' ratios, and their
quartiles. One writer, encoding, reading and importing are measured in CPU time, because none of
them waits. Several writers, and a disk, are measured by the clock.
"""
