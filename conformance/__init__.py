# SPDX-License-Identifier: MIT
"""The conformance kit: whether an implementation of SPEC.md does what the clauses say.

Any language: an adapter that speaks PROTOCOL.md is driven through the vectors in ``vectors/``.
Standard library only, and nothing of omnelog, so that this directory works on its own.
"""
