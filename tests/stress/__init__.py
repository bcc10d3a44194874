# SPDX-License-Identifier: MIT
"""Tests of the stress program: it finds what is wrong with a log, and nothing else."""
