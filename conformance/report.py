# SPDX-License-Identifier: MIT
"""What came of a run, for people, for CI servers (JUnit XML) and for programs (JSON)."""

import json
import re
import textwrap
import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from .run import Result

BAD = ("failed", "stale")
_WIDTH = 100
_NO_XML = re.compile("[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def summary(results: Sequence[Result]) -> Iterator[str]:
    """Lines: each clause with how many of its vectors passed; what failed, and why; the sum."""
    passed, total = Counter[str](), Counter[str]()
    for result in results:
        for clause in result.vector.clauses:
            if result.verdict != "not run":
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
        if result.verdict in BAD:
            about = result.vector.data.get("about", "")
            yield f"FAILED {result.vector.id} ({result.cast}): {about}"
            yield from textwrap.wrap(result.message, _WIDTH, initial_indent="    ",
                                     subsequent_indent="    ", break_on_hyphens=False)  # fmt: skip
    lacks = Counter(result.message for result in results if result.verdict == "not run")
    for why, count in sorted(lacks.items()):
        yield f"NOT RUN: {count} vectors, for {why}"
    verdicts = Counter(result.verdict for result in results)
    counts = [f"{count} {verdict}" for verdict, count in sorted(verdicts.items())]
    yield f"{len(results)} vectors: {', '.join(counts)}"


def save_json(results: Sequence[Result], path: Path) -> None:
    """Write all results to `path`."""
    vectors = [
        {
            "id": result.vector.id,
            "kind": result.vector.kind,
            "clauses": result.vector.clauses,
            "cast": result.cast,
            "verdict": result.verdict,
            "message": result.message,
            "seconds": round(result.seconds, 3),
        }
        for result in results
    ]
    counts = Counter(result.verdict for result in results)
    path.write_text(json.dumps({"counts": counts, "vectors": vectors}, indent=1) + "\n")


def save_junit(results: Sequence[Result], path: Path) -> None:
    """Write all results to `path` as JUnit XML: a suite for each kind of vector."""
    suites = ET.Element("testsuites", name="conformance")
    for kind in dict.fromkeys(result.vector.kind for result in results):
        own = [result for result in results if result.vector.kind == kind]
        suite = ET.SubElement(
            suites,
            "testsuite",
            name=kind,
            tests=str(len(own)),
            failures=str(sum(result.verdict in BAD for result in own)),
            skipped=str(sum(result.verdict in ("not run", "expected failure") for result in own)),
        )
        for result in own:
            case = ET.SubElement(
                suite,
                "testcase",
                classname=f"{kind} ({result.cast})",
                name=result.vector.id,
                time=f"{result.seconds:.3f}",
            )
            if result.verdict != "passed":
                tag = "failure" if result.verdict in BAD else "skipped"
                message = _NO_XML.sub("\ufffd", result.message)
                ET.SubElement(case, tag, type=result.verdict, message=message)
    ET.indent(suites)
    ET.ElementTree(suites).write(path, encoding="utf-8", xml_declaration=True)
