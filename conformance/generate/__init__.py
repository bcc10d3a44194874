# SPDX-License-Identifier: MIT
"""Writes the vectors that are numerous, from the clauses: ``python -m conformance.generate``.

Each module states for one kind what SPEC.md demands, in literals and in tables, and never asks an
implementation. Behaviour vectors are not made here, because each of them is written by hand.
"""
