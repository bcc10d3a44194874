# SPDX-License-Identifier: MIT
"""Tests of line logs with the records of the real dataclasses-json, pydantic and msgspec."""
