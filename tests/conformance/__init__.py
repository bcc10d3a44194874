# SPDX-License-Identifier: MIT
"""The conformance kit: its vectors are sound, its runner reports correctly, and it finds faults."""
