# SPDX-License-Identifier: MIT
"""What README says of other people's tools, tried on the real ones; `nox -s tools` has them all."""
