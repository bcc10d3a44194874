# SPDX-License-Identifier: MIT
"""Tests of what the documents say about other tools, on the tools that `nox -s tools` installs."""
