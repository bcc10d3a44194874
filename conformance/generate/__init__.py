# SPDX-License-Identifier: MIT
"""Write the larger sets of vectors: ``python -m conformance.generate``.

Each module states for one kind of vector what SPEC.md demands, in literals and in tables. It never
asks an implementation. Behaviour vectors are not made here, because they are written by hand.
"""
