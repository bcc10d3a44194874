# SPDX-License-Identifier: MIT
"""What the documents say about other tools, tried on the real tools of `nox -s tools`."""
