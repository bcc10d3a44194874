# SPDX-License-Identifier: MIT
"""The conformance kit: its vectors are sound, its runner tells the truth, and it can fail."""
