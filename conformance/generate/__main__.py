# SPDX-License-Identifier: MIT
"""Write the vectors and the list of clauses; ``--check`` reports whether a file would change."""

import argparse
import json
from pathlib import Path

from .. import clauses
from ..program import run
from ..vectors import DIRECTORY
from . import append, decode, encode, names, read
from .samples import Made


def files() -> dict[Path, bytes]:
    """Return the content of each file below the directory of vectors."""
    made: dict[Path, bytes] = {}
    for module in (encode, decode, read, append, names):
        for vector in module.vectors():
            for name, content in _files(vector).items():
                assert name not in made, f"two vectors are called {vector.id}"
                made[name] = content
    return made


def _files(vector: Made) -> dict[Path, bytes]:
    kind = Path(vector.kind)
    raw = {kind / vector.file_name(member): data for member, data in vector.files.items()}
    return {kind / f"{vector.id}.json": vector.json(), **raw}


def clause_list() -> bytes | None:
    """Return the content of the list of clauses; None if the kit was copied without SPEC.md."""
    if not clauses.SPEC.exists():
        return None
    found = clauses.from_spec(clauses.SPEC.read_text(encoding="utf-8"))
    return json.dumps(found, indent=1).encode() + b"\n"


def main() -> int:
    """Run as the command; return its exit code."""
    parser = argparse.ArgumentParser(prog="python -m conformance.generate", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing, only compare")
    check = parser.parse_args().check
    wanted = files()
    kinds = {path.parent for path in wanted}
    present = {p.relative_to(DIRECTORY) for kind in kinds for p in (DIRECTORY / kind).glob("*")}
    differ = [
        path
        for path in sorted(wanted.keys() | present)
        if path not in present or (DIRECTORY / path).read_bytes() != wanted.get(path)
    ]
    for path in differ:
        print(
            f"{path}: {'not as generated' if check else 'written' if path in wanted else 'removed'}"
        )
        if check:
            continue
        (DIRECTORY / path).parent.mkdir(parents=True, exist_ok=True)
        if path in wanted:
            (DIRECTORY / path).write_bytes(wanted[path])
        else:
            (DIRECTORY / path).unlink()
    listed = clause_list()
    if listed is not None and clauses.FILE.read_bytes() != listed:
        print(f"{clauses.FILE.name}: {'not as generated' if check else 'written'}")
        differ.append(Path(clauses.FILE.name))
        if not check:
            clauses.FILE.write_bytes(listed)
    return int(check and bool(differ))


if __name__ == "__main__":
    run(main)
