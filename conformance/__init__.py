# SPDX-License-Identifier: MIT
"""The conformance kit: checks that an implementation of SPEC.md does what the clauses say.

The implementation can be in any language. It needs an adapter: a program that speaks the protocol
of PROTOCOL.md, and to which the kit sends the requests of the vectors in ``vectors/``. The kit
imports only the standard library, and nothing of omnelog, so this directory works on its own.
"""
