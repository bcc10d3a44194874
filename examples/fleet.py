# SPDX-License-Identifier: MIT
"""Print how the runs of many volumes went, one row for each pipe: `fleet.py ENGINE ROOT...`.

With ``dask``, workers scan the logs, as strictly as omnelog reads them. The workers are processes
of this machine. Give `Client` the address of a cluster instead if its workers see the volumes.

With ``duckdb``, one machine computes the same table by SQL. This is less strict: it takes any JSON
for an event, counts a node that started twice as two, and needs logs in UTF-8. The scan and
`omnelog verify` find such damage. The output is comma-separated values.
"""

import csv
import glob
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from operator import attrgetter
from typing import NamedTuple

import dask.bag
import duckdb
from distributed import Client, LocalCluster

import omnelog

SPELLING = "%Y-%m-%dT%H:%M:%SZ"


class Row(NamedTuple):
    """What is known of some runs of one pipe."""

    pipe: str
    runs: int = 0
    completed: int = 0
    aborted: int = 0
    failed_nodes: int = 0
    node_seconds: int = 0  # of nodes that completed
    bad_lines: int = 0


def scan(root: str, run_id: str) -> Row:
    """Return the row of one run. It counts damaged lines and reads on after them."""
    found = omnelog.scan_run(root, run_id)
    row = Row(run_id[:-27], runs=1, bad_lines=len(found.problems))  # without "-" and a ULID
    started: dict[str, str] = {}
    for event in found.events:
        match event:
            case omnelog.PipeCompleted():
                row = row._replace(completed=1)
            case omnelog.PipeAborted():
                row = row._replace(aborted=1)
            case omnelog.NodeFailed():
                row = row._replace(failed_nodes=row.failed_nodes + 1)
            case omnelog.NodeStarted(node_id=node_id, ts=ts):
                started[node_id] = ts
            case omnelog.NodeCompleted(node_id=node_id, ts=ts) if node_id in started:
                seconds = between(started[node_id], ts)
                row = row._replace(node_seconds=row.node_seconds + seconds)
    return row


def between(start: str, end: str) -> int:
    """Return the seconds from `start` to `end`, or 0 if one of them is not a time.

    A log may have any text in the place of a time.
    """
    try:
        began, ended = (datetime.strptime(ts, SPELLING).replace(tzinfo=UTC) for ts in (start, end))
    except ValueError:
        return 0
    return int((ended - began).total_seconds())


def add(one: Row, other: Row) -> Row:
    """Return the sum of two rows of one pipe."""
    return Row(one.pipe, *(sum(pair) for pair in zip(one[1:], other[1:], strict=True)))


def logs(roots: Sequence[str]) -> list[tuple[str, str]]:
    """Return the root and the run id of every log."""
    runs = [(root, run_id) for root in roots for run_id in omnelog.enumerate_runs(root)]
    return [run for run in runs if omnelog.events_log_path(*run).exists()]


def with_dask(roots: Sequence[str]) -> list[Row]:
    """Return the table; the workers scan the logs and add up their own rows."""
    with LocalCluster(dashboard_address=":0") as cluster, Client(cluster):
        rows = dask.bag.from_sequence(logs(roots), partition_size=100).starmap(scan)
        return sorted(row for _, row in rows.foldby(attrgetter("pipe"), add, combine=add).compute())


QUERY = """
WITH line AS (
    SELECT filename AS log, parse_filename(parse_dirpath(filename)) AS run_id, text,
        try_cast(text AS JSON) AS event
    FROM (SELECT filename, unnest(string_split(content, chr(10))) AS text FROM read_text($logs))
), event AS (
    SELECT log, left(run_id, -27) AS pipe, event IS NULL AND trim(text) <> '' AS bad,
        event ->> '$.type' AS type, event ->> '$.node_id' AS node_id,
        try_strptime(event ->> '$.ts', '%Y-%m-%dT%H:%M:%SZ') AS ts
    FROM line
)
SELECT pipe, count(DISTINCT log),
    count(*) FILTER (type = 'pipe.completed'), count(*) FILTER (type = 'pipe.aborted'),
    count(*) FILTER (type = 'node.failed'),
    coalesce(sum(date_diff('second', started.ts, event.ts)), 0)::BIGINT,
    count(*) FILTER (bad)
FROM event LEFT JOIN (
    SELECT log, node_id, ts, 'node.completed' AS type FROM event WHERE type = 'node.started'
) AS started USING (log, node_id, type)
GROUP BY pipe ORDER BY pipe
"""


def with_duckdb(roots: Sequence[str]) -> list[Row]:
    """Return the table, computed by DuckDB."""
    paths = [glob.escape(str(omnelog.events_log_path(*run))) for run in logs(roots)]
    return [Row(*row) for row in duckdb.execute(QUERY, {"logs": paths}).fetchall()]


def main(engine: str, *roots: str) -> None:
    """Print the table."""
    table = csv.writer(sys.stdout, lineterminator="\n")
    table.writerow(Row._fields)
    table.writerows({"dask": with_dask, "duckdb": with_duckdb}[engine](roots))


if __name__ == "__main__":
    main(*sys.argv[1:])
