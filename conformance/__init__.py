# SPDX-License-Identifier: MIT
"""The conformance kit: checks that an implementation of SPEC.md does what the clauses say.

The implementation can be in any language: an adapter that speaks PROTOCOL.md is driven through the
vectors in ``vectors/``. The kit imports only the standard library, and nothing of omnelog, so this
directory works on its own.
"""
