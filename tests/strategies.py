# SPDX-License-Identifier: MIT
"""Events, and what goes into them, for hypothesis.

An event may hold any text that UTF-8 can, however odd for its field: the codec promises to keep
it. `plain_run_ids` and `hostile_run_ids` are for what touches the file system.
"""

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from . import omnelog

U32_MAX = 4_294_967_295
U64_MAX = 18_446_744_073_709_551_615

CROCKFORD = "0123456789abcdefghjkmnpqrstvwxyz"

AWKWARD = (
    '"\\/\b\f\n\r\t\0\x01\x1b\x1c\x1d\x1e\x1f\x7f'  # JSON's own, controls, DEL
    "\x80\x85\xa0\xad\u0378\u200d\u200f\u2028\u2029\ufdd0\ufeff\ufffd\uffff"  # ends of lines, BOM
    "\U00010000\U0001f600\U000e0001\U0010ffff"  # astral
    "{}[],:0u'e\u0301\u00e9\ud7ff\ue000"  # brackets, one letter spelt twice, next to surrogates
)
"""Characters that a line reader, an escaper or a decoder may trip over."""


def texts() -> SearchStrategy[str]:
    """All text that UTF-8 can hold, and often the awkward kind."""
    return st.text() | st.text(st.sampled_from(AWKWARD))


def ulids() -> SearchStrategy[str]:
    """Lowercase ULIDs, the least and the greatest included."""
    return st.integers(0, 2**128 - 1).map(
        lambda n: "".join(CROCKFORD[n >> 5 * place & 31] for place in reversed(range(26)))
    )


def timestamps() -> SearchStrategy[str]:
    """``YYYY-MM-DDTHH:MM:SSZ``."""
    return st.datetimes().map(lambda when: when.isoformat(timespec="seconds") + "Z")


def plain_run_ids() -> SearchStrategy[str]:
    """Run ids as omne makes them, ``<pipe>-<lowercase ulid>``."""
    pipes = st.text(st.sampled_from("abcxyz0189-_."), min_size=1, max_size=20)
    return st.tuples(pipes, ulids()).map("-".join)


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
"""What no function may take for a run id, by what is wrong with it."""


def hostile_run_ids() -> SearchStrategy[object]:
    """What is no run id: the table above, and longer strings around a forbidden character."""
    forbidden = st.sampled_from("/\\\0\ud800\udfff")
    around = st.tuples(texts(), forbidden, texts()).map("".join)
    return st.sampled_from(list(HOSTILE_RUN_IDS.values())) | around


def inputs() -> SearchStrategy[omnelog.Input]:
    """One input of a pipe."""
    return st.builds(omnelog.Input, key=texts(), value=texts())


_ids = texts() | ulids()
_every = {"id": _ids, "ts": timestamps() | texts(), "run_id": plain_run_ids() | texts()}
_node = {**_every, "node_id": texts()}

EVENTS: dict[str, SearchStrategy[omnelog.Event]] = {
    "pipe.started": st.builds(
        omnelog.PipeStarted,
        **_every,
        pipe=texts(),
        inputs=st.lists(inputs(), max_size=4),
        distro_version=texts(),
    ),
    "pipe.completed": st.builds(omnelog.PipeCompleted, **_every),
    "pipe.aborted": st.builds(omnelog.PipeAborted, **_every, reason=texts()),
    "node.started": st.builds(
        omnelog.NodeStarted,
        **_node,
        kind=st.sampled_from(omnelog.NodeKind),
        name=st.none() | texts(),
        model=st.none() | texts(),
    ),
    "node.completed": st.builds(omnelog.NodeCompleted, **_node, output_path=texts()),
    "node.failed": st.builds(
        omnelog.NodeFailed,
        **_node,
        error=st.builds(omnelog.NodeError, kind=st.sampled_from(omnelog.ErrorKind)),
        message=st.none() | texts(),
    ),
    "gate.passed": st.builds(
        omnelog.GatePassed, **_node, gate=texts(), method=st.sampled_from(omnelog.GateMethod)
    ),
    "iteration.started": st.builds(
        omnelog.IterationStarted,
        **_node,
        iteration=st.integers(0, U32_MAX) | st.sampled_from([0, U32_MAX]),
        byte_offset=st.integers(0, U64_MAX) | st.sampled_from([0, U32_MAX + 1, U64_MAX]),
    ),
}
"""A strategy for each event type."""


def events() -> SearchStrategy[omnelog.Event]:
    """Any event at all."""
    return st.one_of(*EVENTS.values())
