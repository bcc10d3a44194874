# SPDX-License-Identifier: MIT
"""The clauses of SPEC.md, and why some of them cannot be checked from outside."""

import json
import re
from pathlib import Path

FILE = Path(__file__).with_name("clauses.json")
SPEC = Path(__file__).parents[1] / "SPEC.md"
CHAPTERS = ("LOCK", "APP", "DUR", "READ", "ULID")
"""The chapters about what an implementation does to files: a report lists what it did not check."""

_FORK = "no request makes an adapter fork in the middle of an append"
_HANDLER = "no request makes a signal handler of the adapter append"
_THREADS = "an adapter answers one request at a time, so no two threads use a handle"

NOT_FROM_OUTSIDE = {
    "LOCK-9": "only the source shows whether another thread waits in a blocking call",
    "LOCK-16": "what runs between two calls is invisible",
    "APP-4": "no request changes the adapter's working directory",
    "APP-38": "no request interrupts or cancels an append",
    "APP-40": _HANDLER,
    "APP-41": _THREADS,
    "APP-42": _HANDLER,
    "APP-43": _THREADS,
    "APP-46": _FORK,
    "APP-47": _FORK,
    "APP-48": _FORK,
    "APP-49": _FORK,
    "APP-50": "no request sends a handle to another process",
    "DUR-6": _THREADS,
    "DUR-11": "every log of the protocol is in a volume",
    "READ-17": "no request reads an event and leaves the next one for later",
    "READ-18": "how much memory is used is not measured",
    "READ-19": "no request makes an iterator without asking it for an event",
    "READ-26": "no request makes a follower stop",
    "ULID-14": "each request for a ULID stands alone",
}


def clauses() -> dict[str, str]:
    """Return the keyword of each clause (MUST and so on) by its id, in the order of SPEC.md."""
    found: dict[str, str] = json.loads(FILE.read_bytes())
    return found


def from_spec(text: str) -> dict[str, str]:
    """Return what `clauses` returns, but from the text of SPEC.md."""
    item = re.compile(r"^- \*\*([A-Z]+-\d+)\*\* (.*(?:\n  \S.*)*)", re.MULTILINE)
    keyword = re.compile(r"\b(MUST NOT|MUST|SHOULD NOT|SHOULD|MAY)\b")
    found = {}
    for clause, demand in item.findall(text):
        words = keyword.search(" ".join(demand.split()))
        found[clause] = words[1] if words else ""
    return found
