# SPDX-License-Identifier: MIT
"""The vectors of which there are many, made from the clauses: ``python -m conformance.generate``.

Each module says of one kind what SPEC.md demands, in literals and in tables. None of them asks an
implementation. Behaviour vectors are not made here: each of those is written by hand.
"""
