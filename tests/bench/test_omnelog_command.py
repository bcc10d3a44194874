# SPDX-License-Identifier: MIT
"""What the command costs: each subject of the bench does its work and has its figures."""

from itertools import islice
from pathlib import Path

import pytest

from stress.bench.workloads import workloads


@pytest.mark.parametrize("name", ["record", "view"])
def test_each_row_has_the_figures_that_it_compares(tmp_path: Path, name: str) -> None:
    for workload in islice(workloads([name], 1, tmp_path), 2):
        figures = {subject: measure() for subject, measure in workload.subjects.items()}
        for row in workload.rows:
            assert figures[row.ours][row.figure] > 0
            assert row.theirs is None or figures[row.theirs][row.figure] > 0
