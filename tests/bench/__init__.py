# SPDX-License-Identifier: MIT
"""Tests of the bench: its verdicts can go either way, and it runs as a program."""
