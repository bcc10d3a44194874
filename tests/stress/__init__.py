# SPDX-License-Identifier: MIT
"""Tests of the stress program: its findings are right, and it finds what is wrong."""
