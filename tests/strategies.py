# SPDX-License-Identifier: MIT
"""Strategies for hypothesis: those of `omnelog.testing`, and values that are not run ids."""

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from . import testing

EVENTS, events, texts, ulids = testing.EVENTS, testing.events, testing.texts, testing.ulids
plain_run_ids = testing.run_ids

U32_MAX = 4_294_967_295
U64_MAX = 18_446_744_073_709_551_615

CROCKFORD = "0123456789abcdefghjkmnpqrstvwxyz"

HOSTILE_RUN_IDS: dict[str, object] = {
    "empty": "",
    "dot": ".",
    "dot-dot": "..",
    "slash": "/",
    "slash-inside": "a/b",
    "slash-after": "a/",
    "absolute": "/etc",
    "climbing": "../../etc",
    "climbing-after": "a/..",
    "backslash": "a\\b",
    "climbing-by-backslash": "..\\etc",
    "drive-and-backslash": "C:\\etc",
    "share": "\\\\host\\share",
    "nul": "a\0",
    "nul-alone": "\0",
    "high-surrogate": "a\ud800",
    "low-surrogate": "\udcffa",
    "none": None,
    "number": 7,
    "bool": True,
    "bytes": b"run",
    "list": ["run"],
    "nested-list": [["run"]],
    "empty-tuple": (),
    "dict": {"run": 1},
    "set": {"run"},
}
"""Values that every function has to refuse as a run id, by what is wrong with them."""


def hostile_run_ids() -> SearchStrategy[object]:
    """Values that are not run ids: those of the table, and strings with a bad character."""
    forbidden = st.sampled_from("/\\\0\ud800\udfff")
    around = st.tuples(texts(), forbidden, texts()).map("".join)
    return st.sampled_from(list(HOSTILE_RUN_IDS.values())) | around
