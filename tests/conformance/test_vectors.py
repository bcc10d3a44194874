# SPDX-License-Identifier: MIT
"""There are enough vectors, all follow their schema, and the generated ones are up to date."""

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator, ValidationError

from conformance.generate.__main__ import files
from conformance.vectors import DIRECTORY, KINDS, load

SCHEMA = json.loads((DIRECTORY / "schema.json").read_bytes())
VALIDATOR = Draft202012Validator(SCHEMA)
VECTORS = list(load())


def test_there_are_enough_of_every_kind() -> None:
    counts = Counter(vector.kind for vector in VECTORS)
    assert set(counts) == set(KINDS)
    assert len(VECTORS) >= 250
    assert len([vector for vector in VECTORS if len(vector.roles) > 1]) >= 20


def test_no_two_have_one_name() -> None:
    names = Counter(vector.id for vector in VECTORS)
    assert [name for name, count in names.items() if count > 1] == []


def test_the_schema_is_one() -> None:
    Draft202012Validator.check_schema(SCHEMA)


def test_every_vector_is_as_the_schema_says() -> None:
    for vector in VECTORS:
        VALIDATOR.validate(vector.data)


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("ACC-12.type", {"id": "duplicate type"}),
        ("ACC-12.type", {"clauses": []}),
        ("ACC-12.type", {"event": {}}),
        ("ACC-12.type", {"error": {"kind": "SomeError"}}),
        ("ACC-12.type", {"error": {"kind": "DeserializeError", "row": 1}}),
        ("ACC-12.type", {"kind": "encode"}),
        ("ACC-12.type", {"surplus": 1}),
        ("ACC-12.type", {"line": "../v1"}),
        ("READ-8.half", {"scan": {}}),
        ("LOCK-1.any-program", {"steps": []}),
        ("LOCK-1.any-program", {"steps": [{"do": "nothing"}]}),
        ("LOCK-1.any-program", {"steps": [{"do": "ask", "op": "read"}]}),
        ("LOCK-1.any-program", {"steps": [{"do": "check", "txt": ""}]}),
        ("VOL-15.fifo", {"tree": [{"path": "a", "is": "socket"}]}),
        ("VOL-5.dot", {"accepted": "no"}),
    ],
)
def test_the_schema_refuses_what_is_not_a_vector(name: str, change: dict[str, Any]) -> None:
    [vector] = [vector for vector in VECTORS if vector.id == name]
    with pytest.raises(ValidationError):
        VALIDATOR.validate({**vector.data, **change})


def test_what_is_made_from_the_clauses_is_what_is_there() -> None:
    made = files()
    kinds = {path.parent for path in made}
    present = {p.relative_to(DIRECTORY) for kind in kinds for p in (DIRECTORY / kind).iterdir()}
    assert made.keys() == present
    assert [str(path) for path in made if (DIRECTORY / path).read_bytes() != made[path]] == []


def test_behaviours_are_written_by_hand_and_need_no_raw_files() -> None:
    assert {path.suffix for path in (DIRECTORY / "behaviour").iterdir()} == {".json"}


def test_git_keeps_raw_bytes_as_they_are() -> None:
    root = DIRECTORY.parents[2]
    if not (root / ".git").exists():
        pytest.skip("not a checkout, so there is nothing that git could have changed")
    paths = ["ACC-4.crlf.line", "ACC-4.crlf.json"]
    done = subprocess.run(
        ["git", "check-attr", "text", *(f"conformance/vectors/v1/decode/{p}" for p in paths)],
        cwd=root,
        capture_output=True,
        check=True,
        text=True,
    )
    assert [line.rsplit(": ")[-1] for line in done.stdout.splitlines()] == ["unset", "set"]


def test_no_generator_asks_an_implementation() -> None:
    generators = list((DIRECTORY.parents[1] / "generate").glob("*.py"))
    assert len(generators) > 5
    for path in generators:
        imported = {line for line in path.read_text().splitlines() if "import" in line}
        assert not [line for line in imported if "omnelog" in line or "adapter" in line], path


def test_the_kit_imports_the_standard_library_alone() -> None:
    """The directory can be copied on its own. Only omnelog's adapter needs omnelog."""
    kit = Path(DIRECTORY.parents[1])
    program = (
        "import sys; import conformance.command, conformance.generate.__main__; print(*sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-S", "-c", program],
        cwd=kit.parent,
        capture_output=True,
        check=True,
        text=True,
    )
    top = {name.split(".")[0] for name in done.stdout.split()}
    assert top - {"conformance", "__main__"} <= {*sys.stdlib_module_names, "sitecustomize"}
