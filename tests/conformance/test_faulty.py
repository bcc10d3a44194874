# SPDX-License-Identifier: MIT
"""The kit finds faults: each faulty adapter is caught by the right vectors."""

import fnmatch
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from conformance.run import conduct
from conformance.vectors import Vector, load

from . import faulty
from .faulty import FAULTS, Fault

VECTORS = list(load())


def concerned(fault: Fault) -> Iterator[Vector]:
    """The vectors that must catch a fault, and a tenth of those of its kinds that must not.

    Vectors that check one of its clauses but are not named are left out. They may catch it or not.
    """
    for kind in fault.kinds:
        name, _, glob = kind.partition(":")
        for number, vector in enumerate(VECTORS):
            if vector.kind != name or not fnmatch.fnmatchcase(vector.id, glob or "*"):
                continue
            related = not set(fault.clauses).isdisjoint(vector.clauses)
            must_pass = not related and number % 10 == 0
            if vector.id in fault.caught_by or must_pass:
                yield vector


@pytest.mark.parametrize("name", FAULTS)
def test_a_faulty_adapter_is_caught(name: str) -> None:
    fault = FAULTS[name]
    program = Path(faulty.__file__)  # -m would import hypothesis each time
    path = f"PYTHONPATH={program.parents[2]}"
    command = ["env", path, sys.executable, str(program), name]
    vectors = list(concerned(fault))
    results = list(conduct(vectors, dict.fromkeys("ABC", command), 10.0, set()))
    failed = {r.id: r for r in results if r.verdict == "failed"}
    assert set(fault.caught_by) <= set(failed)
    assert {
        name: result.message
        for name, result in failed.items()
        if not set(fault.clauses) & set(result.clauses)
    } == {}


def test_there_are_enough_faulty_adapters() -> None:
    assert len(FAULTS) >= 12
