# SPDX-License-Identifier: MIT
"""Write the results of a run for people, for CI servers (JUnit XML) and for programs (JSON)."""

import json
import re
import textwrap
import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from .results import BAD, Result

_WIDTH = 100
_FAMILIES = ("trace", "errors", "crashes", "preemption")
_SKIPPED = ("not run", "not reached", "expected failure")
_NO_XML = re.compile("[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def summary(
    results: Sequence[Result],
    *,
    unit: str = "vectors",
    details: bool = False,
    remarks: Iterable[str] = (),
) -> Iterator[str]:
    """Yield lines: each clause with how many of its checks passed, the failures, the totals.

    `details`: whether to show also what was seen in each check. `remarks`: lines that come before
    the totals.
    """
    passed, total = Counter[str](), Counter[str]()
    for result in results:
        for clause in result.clauses:
            if result.verdict not in ("not run", "not reached"):
                total[clause] += 1
                passed[clause] += result.verdict == "passed"
    chapters = dict.fromkeys(clause.split("-")[0] for clause in total)
    for chapter in sorted(chapters):
        clauses = [clause for clause in total if clause.startswith(f"{chapter}-")]
        clauses.sort(key=lambda clause: int(clause.split("-")[1]))
        counts = [
            f"{clause} {passed[clause]}/{total[clause]}" + " !" * (passed[clause] < total[clause])
            for clause in clauses
        ]
        yield from textwrap.wrap("   ".join(counts), _WIDTH, initial_indent="  ",
                                 subsequent_indent="  ", break_on_hyphens=False)  # fmt: skip
    for result in results:
        bad = result.verdict in BAD
        if bad or details:
            word = "FAILED" if bad else result.verdict.upper()
            yield f"{word} {result.id} ({result.cast}): {result.about}"
            yield from textwrap.wrap(result.message, _WIDTH, initial_indent="    ",
                                     subsequent_indent="    ", break_on_hyphens=False)  # fmt: skip
            yield from (f"    {line}" for line in result.details)
    lacks = Counter(result.message for result in results if result.verdict == "not run")
    for why, count in sorted(lacks.items()):
        yield f"NOT RUN: {count} {unit}, because {why}"
    yield from remarks
    yield from families(results)
    verdicts = Counter(result.verdict for result in results)
    counts = [f"{count} {verdict}" for verdict, count in sorted(verdicts.items())]
    yield f"{len(results)} {unit}: {', '.join(counts)}"


def families(results: Sequence[Result]) -> Iterator[str]:
    """Yield a line for each cast, which says how many checks of each kind passed."""
    casts = dict.fromkeys(result.cast for result in results)
    if not any(result.kind in _FAMILIES for result in results):
        return
    for cast in casts:
        own = [result for result in results if result.cast == cast]
        counts = Counter(result.kind for result in own)
        passed = Counter(result.kind for result in own if result.verdict == "passed")
        shares = [f"{kind} {passed[kind]}/{counts[kind]}" for kind in _FAMILIES if counts[kind]]
        yield f"{cast}: {', '.join(shares)}"


def unchecked(
    results: Sequence[Result], clauses: dict[str, str], chapters: Sequence[str]
) -> list[str]:
    """Return the clauses of these chapters that demand something and were not checked."""
    checked = {clause for result in results for clause in result.clauses}
    return [
        clause
        for clause, keyword in clauses.items()
        if keyword.startswith("MUST") and clause.split("-")[0] in chapters and clause not in checked
    ]


def save_json(results: Sequence[Result], path: Path) -> None:
    """Write all results to `path`."""
    vectors = [
        {
            "id": result.id,
            "kind": result.kind,
            "clauses": result.clauses,
            "cast": result.cast,
            "verdict": result.verdict,
            "message": result.message,
            "details": result.details,
            "seconds": round(result.seconds, 3),
        }
        for result in results
    ]
    counts = Counter(result.verdict for result in results)
    path.write_text(json.dumps({"counts": counts, "vectors": vectors}, indent=1) + "\n")


def save_junit(results: Sequence[Result], path: Path) -> None:
    """Write all results to `path` as JUnit XML: a suite for each kind of vector."""
    suites = ET.Element("testsuites", name="conformance")
    for kind in dict.fromkeys(result.kind for result in results):
        own = [result for result in results if result.kind == kind]
        suite = ET.SubElement(
            suites,
            "testsuite",
            name=kind,
            tests=str(len(own)),
            failures=str(sum(result.verdict in BAD for result in own)),
            skipped=str(sum(result.verdict in _SKIPPED for result in own)),
        )
        for result in own:
            case = ET.SubElement(
                suite,
                "testcase",
                classname=f"{kind} ({result.cast})",
                name=result.id,
                time=f"{result.seconds:.3f}",
            )
            if result.verdict != "passed":
                tag = "failure" if result.verdict in BAD else "skipped"
                message = _NO_XML.sub("\ufffd", result.message)
                ET.SubElement(case, tag, type=result.verdict, message=message)
    ET.indent(suites)
    ET.ElementTree(suites).write(path, encoding="utf-8", xml_declaration=True)
