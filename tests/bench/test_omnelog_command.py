# SPDX-License-Identifier: MIT
"""What the command costs: each subject of the bench does its work and has its figures."""

from itertools import islice
from pathlib import Path

import pytest

from stress.bench.workloads import workloads


@pytest.mark.parametrize("name", ["record", "view"])
def test_each_row_has_the_figures_that_it_compares(tmp_path: Path, name: str) -> None:
    chosen = list(islice(workloads([name], 1, tmp_path), 2))
    assert len(chosen) == 2
    for workload in chosen:
        figures = {subject: measure() for subject, measure in workload.subjects.items()}
        assert workload.rows
        for row in workload.rows:
            assert figures[row.ours][row.figure] > 0
            assert row.theirs is None or figures[row.theirs][row.figure] > 0
