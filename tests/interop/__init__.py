# SPDX-License-Identifier: MIT
"""A line log of the records of dataclasses-json, pydantic and msgspec, on the real libraries."""
