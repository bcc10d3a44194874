# SPDX-License-Identifier: MIT
"""Tests of the concurrency verifier: that what it finds is so, and that it would find it."""
