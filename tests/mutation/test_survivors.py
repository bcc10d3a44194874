# SPDX-License-Identifier: MIT
"""The list of changes that no test can notice names only lines of the core."""

import tomllib
from pathlib import Path

from .. import omnelog

PACKAGE = Path(omnelog.__file__).parent
SURVIVORS = Path(__file__).with_name("survivors.toml")


def test_each_is_a_change_of_a_line_of_the_core() -> None:
    listed = tomllib.loads(SURVIVORS.read_text(encoding="utf-8"))
    assert listed
    for module, changes in listed.items():
        source = (PACKAGE / f"{module}.py").read_text(encoding="utf-8")
        lines = {line.strip() for line in source.splitlines()}
        assert {change["line"] for change in changes} <= lines, module
