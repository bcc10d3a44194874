# SPDX-License-Identifier: MIT
"""The tests of the command: called in this process, or run as a user runs it if that matters."""
