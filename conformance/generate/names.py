# SPDX-License-Identifier: MIT
"""Which names are run ids, and which directories are runs: chapter 2."""

from base64 import b64encode
from collections.abc import Iterator
from typing import Any

from .samples import Json, Made

REFUSED: dict[str, Any] = {  # Any: some are not text
    "empty": "",
    "dot": ".",
    "dot-dot": "..",
    "slash": "/",
    "two-components": "a/b",
    "trailing-slash": "a/",
    "leading-slash": "/a",
    "traversal": "../../etc",
    "backslash": "a\\b",
    "backslash-alone": "\\",
    "share": "\\\\server\\share",
    "nul": "\0",
    "nul-at-the-end": "a\0",
    "drive": "C:",
    "drive-and-name": "c:name",
    "drive-of-a-digit": "1:",
    "drive-of-a-letter-with-accent": "é:x",
    "lone-high-surrogate": "\ud800",
    "lone-low-surrogate": "a\udc80",
    "number": 7,
    "null": None,
    "boolean": True,
    "array": ["a"],
    "object": {"run_id": "a"},
}
ACCEPTED = {
    "usual": "feature-01kpfntqeej7vhn935kc0tm9vn",
    "one-letter": "a",
    "capitals": "Feature",
    "digits": "7",
    "three-dots": "...",
    "dot-first": ".hidden",
    "dot-last": "name.",
    "dash-first": "-rf",
    "tilde": "~",
    "space": " ",
    "spaces-around": " a ",
    "newline": "a\nb",
    "tab": "\t",
    "escape-character": "\x1b[31m",
    "glob": "*",
    "quote": '"',
    "per-cent": "%2e%2e",
    "colon-third": "ab:c",
    "colon-first": ":a",
    "device-of-windows": "CON",
    "name-of-the-log": "events.jsonl",
    "composed": "\u00e9",
    "decomposed": "e\u0301",
    "emoji": "\U0001f600",
    "line-separator": "\u2028",
    "slash-look-alike": "a\u2215b",
    "byte-order-mark": "\ufeff",
    "255-bytes": "x" * 255,
}


def vectors() -> Iterator[Made]:
    """Yield all vectors of the kinds run_id and enumerate."""
    for name, run_id in REFUSED.items():
        members = {"run_id": run_id, "accepted": False}
        yield Made(
            kind="run_id",
            id=f"VOL-5.{name}",
            about="no run id; nothing is touched",
            members=members,
            also=("VOL-7",),
        )
    for name, run_id in ACCEPTED.items():
        members = {"run_id": run_id, "accepted": True}
        yield Made(
            kind="run_id",
            id=f"VOL-10.{name}",
            about="a run id, whatever it looks like",
            members=members,
            also=("VOL-1", "VOL-21"),
        )
    yield from _trees()


def _dir(name: str) -> Json:
    return {"path": f".omne/var/runs/{name}", "is": "dir"}


def _file(name: str) -> Json:
    return {"path": f".omne/var/runs/{name}", "is": "file"}


def _link(name: str, to: str) -> Json:
    return {"path": f".omne/var/runs/{name}", "is": "link", "to": to}


def _tree(title: str, about: str, tree: list[Json], runs: list[str], *also: str) -> Made:
    members = {"tree": tree, "runs": runs}
    return Made(kind="enumerate", id=title, about=about, members=members, also=also)


def _trees() -> Iterator[Made]:
    yield _tree(
        "VOL-15.with-and-without-a-log",
        "a directory without a log is a run",
        [_file("b/events.jsonl"), _dir("a")],
        ["a", "b"],
    )
    yield _tree(
        "VOL-15.files-are-none",
        "files are not runs",
        [_dir("a"), _file("b"), _file("events.jsonl")],
        ["a"],
    )
    yield _tree(
        "VOL-15.symlinks",
        "a symlink to a directory is a run; others are none",
        [
            _dir("a"),
            _link("b", "a"),
            {"path": "elsewhere", "is": "dir"},
            _link("c", "../../../elsewhere"),
            _file("d"),
            _link("e", "d"),
            _link("f", "missing"),
            _link("g", "g"),
            _link("h", "b"),
        ],
        ["a", "b", "c", "h"],
    )
    yield _tree(
        "VOL-15.fifo", "a FIFO is not a run",
        [_dir("a"), {"path": ".omne/var/runs/b", "is": "fifo"}], ["a"],
    )  # fmt: skip
    yield _tree(
        "VOL-15.what-is-inside", "only names right below count", [_dir("a/b"), _dir("c/nodes")],
        ["a", "c"],
    )  # fmt: skip
    for name, raw in {"latin-1": b"caf\xe9", "lone": b"\xff", "surrogate": b"\xed\xa0\x80"}.items():
        path = {"base64": b64encode(b".omne/var/runs/" + raw).decode()}
        tree = [_dir("a"), {"path": path, "is": "dir"}]
        yield _tree(f"VOL-16.{name}", "a name that is not UTF-8 is not a run id", tree, ["a"])
    for name, entry in {"backslash": "a\\b", "drive": "c:d"}.items():
        about = "a name that VOL-5 refuses is left out"
        yield _tree(f"VOL-16.{name}", about, [_dir("a"), _dir(entry)], ["a"])
    yield _tree(
        "VOL-17.dots",
        "names that begin with a dot are listed",
        [_dir(".a"), _dir("..."), _dir("b")],
        ["...", ".a", "b"],
    )
    names = ["b", "a", "B", "a-", "a b", "aa", "10", "9", "_", "~", "\u00e9", "z"]
    order = ["10", "9", "B", "_", "a", "a b", "a-", "aa", "b", "z", "~", "\u00e9"]
    yield _tree("VOL-18.order", "sorted by code point", list(map(_dir, names)), order)
    wide = ["\uffee", "\U0001f600", "\ue000", "\u4e00"]
    order = ["\u4e00", "\ue000", "\uffee", "\U0001f600"]
    yield _tree("VOL-18.beyond-16-bits", "not by UTF-16", list(map(_dir, wide)), order)
    forms = ["\u00e9", "e\u0301"]
    order = ["e\u0301", "\u00e9"]
    yield _tree("VOL-11.two-spellings", "no normalisation: two runs", list(map(_dir, forms)), order)
    yield _tree("VOL-19.no-runs-directory", "no runs", [{"path": ".omne/var", "is": "dir"}], [])
    yield _tree("VOL-19.no-volume", "no runs", [], [])
    yield _tree("VOL-19.empty", "no runs", [{"path": ".omne/var/runs", "is": "dir"}], [])
    many = [f"run-{number:03}" for number in range(150)]
    yield _tree("VOL-18.many", "150 runs", [_dir(name) for name in reversed(many)], many)
    yield Made(
        kind="enumerate",
        id="VOL-20.runs-is-a-file",
        about="that there is a file instead is an error",
        members={
            "tree": [{"path": ".omne/var/runs", "is": "file"}],
            "error": {"kind": "LogIOError"},
        },
    )
    yield Made(
        kind="enumerate",
        id="VOL-20.runs-is-a-circle",
        about="a symlink to itself is an error",
        members={
            "tree": [{"path": ".omne/var/runs", "is": "link", "to": "runs"}],
            "error": {"kind": "LogIOError"},
        },
    )
