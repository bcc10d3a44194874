# SPDX-License-Identifier: MIT
"""How fast omnelog is, beside what else one could use: ``python -m stress.bench``.

Everything is measured in the same run, in turns, round after round, and compared within a round, so
that a noisy machine does not decide: the report has the median of the rounds' ratios, and their
quartiles. One writer, encoding, reading and importing are measured in CPU time, since nobody waits
for anything there; what several writers do, or a disk, by the clock.
"""
