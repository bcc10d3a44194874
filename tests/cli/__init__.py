# SPDX-License-Identifier: MIT
"""Tests of the command: they call it in this process or, where it matters, run it as a user."""
