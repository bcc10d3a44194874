# SPDX-License-Identifier: MIT
"""Tests of the bench: that its verdicts can go either way, and that it runs as a program."""
