# SPDX-License-Identifier: MIT
"""Strategies for hypothesis: records that a line log takes, and values that it has to refuse."""

from typing import Any

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

LARGEST = int(float.fromhex("0x1.fffffffffffffp1023"))
"""The largest integer that a double can hold."""


def scalars() -> SearchStrategy[object]:
    """The values of a record that do not hold other values."""
    integers = st.integers() | st.sampled_from([LARGEST, -LARGEST, 2**64, 10**308, 0])
    floats = st.floats(allow_nan=False, allow_infinity=False)
    return st.none() | st.booleans() | integers | floats | st.text()


def values() -> SearchStrategy[object]:
    """Any JSON value."""
    return st.recursive(
        scalars(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
        max_leaves=5,
    )


def records() -> SearchStrategy[dict[str, Any]]:
    """Any JSON object."""
    return st.dictionaries(st.text(), values(), max_size=4)


def unfit_scalars() -> SearchStrategy[object]:
    """Values that no record can hold."""
    floats = st.sampled_from([float("nan"), float("inf"), -float("inf")])
    integers = st.sampled_from([LARGEST * 2, -LARGEST * 2, 10**309])
    surrogates = st.sampled_from(["\ud800", "a\udfff", "\udc00\ud800"])
    others = st.sampled_from([b"bytes", {1}, object(), 1j, range(3)])
    return floats | integers | surrogates | others


def unfit_keys() -> SearchStrategy[object]:
    """Keys that cannot be the name of a member."""
    return st.sampled_from([None, True, 0, 1.5, b"key", (), ("a", "b"), "\ud800"])


def perhaps_records() -> SearchStrategy[Any]:
    """Objects that may or may not be records, because of what they hold at some depth."""
    keys = st.text() | st.text() | unfit_keys()
    inner_values = st.recursive(
        scalars() | scalars() | unfit_scalars(),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.lists(inner, max_size=3).map(tuple)
            | st.dictionaries(keys, inner, max_size=3)
        ),
        max_leaves=5,
    )
    return st.dictionaries(keys, inner_values, max_size=3)


def nested(levels: int, innermost: object = "x") -> dict[str, Any]:
    """A record with `levels` nested levels, objects and arrays in turn. Its own level counts."""
    value = innermost
    for level in range(levels - 1):
        value = {"o": value} if level % 2 else [value]
    return {"o": value}
