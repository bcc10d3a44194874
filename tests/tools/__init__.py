# SPDX-License-Identifier: MIT
"""What the documents say about other tools, tested on the real tools of `nox -s tools`."""
