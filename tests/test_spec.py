# SPDX-License-Identifier: MIT
"""SPEC.md says what the code does, and every clause of it is checked by a vector or a test."""

import ast
import inspect
import json
import re
import typing
from collections.abc import Iterator
from dataclasses import fields
from functools import cache
from itertools import groupby
from pathlib import Path
from types import UnionType
from typing import Any, NamedTuple

import pytest

from . import omnelog
from .documents import PROJECT

SPEC = (PROJECT / "SPEC.md").read_text(encoding="utf-8")
KEYWORD = re.compile(r"\b(MUST|SHOULD|MAY)\b")
SENTENCE_END = re.compile(r"(?<=[.:]) +(?=[A-Z])")


class Clause(NamedTuple):
    """A list item that begins with a bold id. Its lines are joined."""

    chapter: str  # the prefix of the chapter that it is in
    prefix: str
    number: int
    text: str
    untested: str | None  # the reason, given by the clause or by its chapter

    @property
    def id(self) -> str:
        return f"{self.prefix}-{self.number}"


def chapters(spec: str = SPEC) -> dict[str, str]:
    """The text of each chapter that has clauses, by the prefix of its ids."""
    parts = re.split(r"^## \d+\. .*?(?: \(([A-Z]+)\))?$", spec, flags=re.MULTILINE)
    return {prefix: text for prefix, text in zip(parts[1::2], parts[2::2], strict=True) if prefix}


CHAPTERS = chapters()


def clauses(spec: str = SPEC) -> Iterator[Clause]:
    item = re.compile(r"^- \*\*([A-Z]+)-([1-9]\d*)\*\* (.*(?:\n  \S.*)*)", re.MULTILINE)
    for chapter, content in chapters(spec).items():
        of_chapter = re.match(r"\n+UNTESTED:(.*)$", content, re.MULTILINE)
        for prefix, number, text in item.findall(content):
            demand, mark, why = " ".join(text.split()).partition(" UNTESTED:")
            untested = why.strip() if mark else of_chapter[1].strip() if of_chapter else None
            yield Clause(chapter, prefix, int(number), demand, untested)


CLAUSES = list(clauses())


@cache
def marks_of_tests() -> dict[str, list[str]]:
    """The clauses that each test says it checks, in ``@pytest.mark.spec``, by file and name."""
    found = {}
    for path in sorted((PROJECT / "tests").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.ClassDef):
                for mark in node.decorator_list:
                    if isinstance(mark, ast.Call) and ast.unparse(mark.func) == "pytest.mark.spec":
                        name = f"{path.relative_to(PROJECT)}::{node.name}"
                        assert node.name.startswith(("test_", "Test")), f"{name} is not a test"
                        found[name] = [ast.literal_eval(argument) for argument in mark.args]
    return found


@cache
def clauses_of_vectors() -> dict[str, list[str]]:
    """The clauses that each conformance vector says it checks, by id."""
    vectors = (PROJECT / "conformance" / "vectors" / "v1").glob("*/*.json")
    found = [json.loads(path.read_bytes()) for path in sorted(vectors)]
    return {vector["id"]: vector["clauses"] for vector in found}


def all_checks() -> dict[str, list[str]]:
    return marks_of_tests() | clauses_of_vectors()


def untraced(spec: str, checks: dict[str, list[str]]) -> list[str]:
    """What does not match between the clauses of `spec` and the checks."""
    ids = [clause.id for clause in clauses(spec)]
    checked = {clause for named in checks.values() for clause in named}
    wrong = [f"{id_} is there twice" for id_ in sorted({i for i in ids if ids.count(i) > 1})]
    for name, named in checks.items():
        wrong += [f"{name} names {clause}, which is not a clause" for clause in {*named} - {*ids}]
        wrong += [f"{name} names no clause"] if not named else []
    for clause in clauses(spec):
        if clause.untested is None and clause.id not in checked:
            wrong.append(f"{clause.id} is checked by no vector and no test")
        if clause.untested is not None and clause.id in checked:
            wrong.append(f"{clause.id} says UNTESTED, but is checked")
        if clause.untested == "":
            wrong.append(f"{clause.id} does not say why it is UNTESTED")
    return wrong


class TestTracing:
    def test_every_clause_is_checked_and_every_check_names_a_clause(self) -> None:
        assert untraced(SPEC, all_checks()) == []

    def test_tests_and_vectors_both_take_part(self) -> None:
        assert len(marks_of_tests()) > 50
        assert len(clauses_of_vectors()) > 250

    def test_few_clauses_are_untested(self) -> None:
        """The chapter about what is not promised is excepted."""
        untested = [c.id for c in CLAUSES if c.untested and c.chapter != "NOT"]
        assert len(untested) <= 15, untested

    @pytest.mark.parametrize(
        ("change", "said"),
        [
            (("- **LOCK-10** ", "- **LOCK-9** "), "LOCK-9 is there twice"),
            (("- **LOCK-10** ", "- **LOCK-99** "), "LOCK-99 is checked by no vector and no test"),
            ((" UNTESTED: only the source", " Only the source"), "LOCK-9 is checked by no vector"),
            (("UNTESTED: what is not promised", "What is not promised"), "NOT-1 is checked by no"),
            (("be given its newline.", "be given. UNTESTED: x."), "APP-11 says UNTESTED, but is"),
            (("UNTESTED: only the source", "UNTESTED:\n- the source"), "LOCK-9 does not say why"),
        ],
    )
    def test_a_clause_that_is_not_traced_is_found(self, change: tuple[str, str], said: str) -> None:
        changed = SPEC.replace(*change)
        assert changed != SPEC
        assert [wrong for wrong in untraced(changed, all_checks()) if wrong.startswith(said)]

    @pytest.mark.parametrize(
        ("named", "said"),
        [(["LOCK-99"], "x names LOCK-99, which is not a clause"), ([], "x names no clause")],
    )
    def test_a_check_that_names_no_clause_is_found(self, named: list[str], said: str) -> None:
        assert untraced(SPEC, {**all_checks(), "x": named}) == [said]


def rows(chapter: str, *heads: str) -> list[list[str]]:
    """The cells of the table whose columns have these heads, without backquotes."""
    lines = CHAPTERS[chapter].split(f"| {' | '.join(heads)} |\n")[1].splitlines()
    table = lines[1 : lines.index("")]
    return [[cell.strip(" `") for cell in line.strip("|").split("|")] for line in table]


class TestClauses:
    def test_there_are_some_in_every_chapter(self) -> None:
        assert {clause.prefix for clause in CLAUSES} == set(CHAPTERS)
        assert len(CLAUSES) > 150

    def test_none_is_malformed(self) -> None:
        """Everything that looks like a clause, or like its id, is found as one."""
        assert len(re.findall(r"^\s*[-*+] +\*\*", SPEC, re.MULTILINE)) == len(CLAUSES)
        assert len(re.findall(r"\*\*\w+-\w+\*\*", SPEC)) == len(CLAUSES)

    def test_each_stands_in_its_chapter(self) -> None:
        assert [clause for clause in CLAUSES if clause.prefix != clause.chapter] == []

    @pytest.mark.spec("VER-7")
    @pytest.mark.parametrize("prefix", CHAPTERS)
    def test_they_are_numbered_without_gaps(self, prefix: str) -> None:
        """By VER-7, a new clause has the next number of its chapter."""
        numbers = sorted(clause.number for clause in CLAUSES if clause.prefix == prefix)
        assert numbers == list(range(1, len(numbers) + 1))

    def test_each_has_one_normative_sentence(self) -> None:
        for clause in CLAUSES:
            sentences = SENTENCE_END.split(clause.text)
            assert len([s for s in sentences if KEYWORD.search(s)]) == 1, clause
            assert clause.text.endswith("."), clause

    def test_text_without_an_id_demands_nothing(self) -> None:
        outside = re.sub(r"^- \*\*.*(?:\n  \S.*)*", "", SPEC, flags=re.MULTILINE)
        assert [
            line
            for line in outside.splitlines()
            if KEYWORD.search(line) and not line.startswith("MUST, MUST NOT, SHOULD")
        ] == []

    def test_every_id_that_is_mentioned_is_a_clause(self) -> None:
        known = {clause.id for clause in CLAUSES}
        mentioned = set(re.findall(rf"\b(?:{'|'.join(CHAPTERS)})-\w+", SPEC))
        assert mentioned == known

    def test_every_chapter_that_the_code_names_is_there(self) -> None:
        package = Path(inspect.getfile(omnelog)).parent
        sources = "".join(path.read_text(encoding="utf-8") for path in package.glob("*.py"))
        named = re.findall(r"SPEC: ([A-Z]+(?:, [A-Z]+)*)", sources)
        assert len(named) >= sources.count("SPEC:") > 0
        assert {prefix for names in named for prefix in names.split(", ")} <= set(CHAPTERS)


@pytest.mark.spec("VER-1")
def test_the_readme_says_which_version_is_followed() -> None:
    [version] = re.findall(r"^Specification, version (\d+\.\d+)\.$", SPEC, re.MULTILINE)
    readme = " ".join((PROJECT / "README.md").read_text(encoding="utf-8").split())
    assert f"[SPEC.md](SPEC.md), which omnelog follows in version {version}," in readme


class TestVolume:
    def test_the_paths_are_what_the_helpers_return(self) -> None:
        table = dict(rows("VOL", "Name", "Path"))
        arguments = {"root": "<root>", "run_id": "<run_id>", "node_id": "<node_id>"}
        for name, path in table.items():
            helper = getattr(omnelog, name)
            wanted = inspect.signature(helper).parameters
            assert str(helper(**{key: arguments[key] for key in wanted})) == path
        helpers = [name for name in omnelog.__all__ if re.search("_(dir|path)$", name)]
        assert sorted(table) == sorted(helpers)


def spell(kind: Any) -> str:
    """The type of a field, in the words of the table."""
    if kind is str:
        return "string"
    if typing.get_origin(kind) is list:
        return f"array of `{spell(typing.get_args(kind)[0])}"
    if hasattr(kind, "__metadata__"):
        return f"integer from 0 to {kind.__metadata__[0].stop - 1}"
    name: str = kind.__name__
    return name


def marks(cls: type) -> dict[str, str]:
    """The marks in the source of a class or an enum, by member."""
    return dict(re.findall(r"^    (\w+)\b.*# ([PA])$", inspect.getsource(cls), re.MULTILINE))


class TestEvents:
    TABLE = rows("EVT", "Object", "Member", "Value", "Presence", "Mark")
    LISTS = rows("EVT", "List", "String", "Mark")
    EVENTS: typing.ClassVar[tuple[Any, ...]] = typing.get_args(omnelog.Event)
    OBJECTS: typing.ClassVar[dict[str, Any]] = {
        **{cls.type: cls for cls in EVENTS},
        "Input": omnelog.Input,
        "NodeError": omnelog.NodeError,
    }

    def test_the_table_is_the_dataclasses_field_for_field(self) -> None:
        expected = []
        for name, cls in self.OBJECTS.items():
            for field in fields(cls):
                optional = isinstance(field.type, UnionType)
                kind = typing.get_args(field.type)[0] if optional else field.type
                presence = "optional" if optional else "required"
                expected.append([name, field.name, spell(kind), presence])
        assert [row[:4] for row in self.TABLE] == expected

    def test_the_lists_are_the_enums(self) -> None:
        kinds = (omnelog.NodeKind, omnelog.ErrorKind, omnelog.GateMethod)
        assert [row[:2] for row in self.LISTS] == [
            [kind.__name__, member.value] for kind in kinds for member in kind
        ]

    def test_every_row_is_marked_and_as_the_code_marks_it(self) -> None:
        said = {(row[0], row[1]): row[-1] for row in self.TABLE + self.LISTS}
        assert set(said.values()) == {"P", "A"}
        for name, cls in self.OBJECTS.items():
            marked = marks(cls)
            if cls is not omnelog.Input:  # it has no marks in the code
                assert set(marked) == set(cls.__annotations__)
            assert {field: said[name, field] for field in marked} == marked
        for kind in (omnelog.NodeKind, omnelog.ErrorKind, omnelog.GateMethod):
            assert {kind[member].value: mark for member, mark in marks(kind).items()} == {
                string: mark for name, string, mark in self.LISTS if name == kind.__name__
            }


class TestTheLine:
    DUMP = "".join(re.findall(r"^[0-9a-f]{8}  ((?:[0-9a-f]{2} )+)", SPEC, re.MULTILINE))

    def test_the_example_decodes_and_encodes_to_itself(self) -> None:
        line = bytes.fromhex(self.DUMP)
        assert omnelog.encode(omnelog.decode(line)) == line
        assert f"{len(line)} bytes:" in " ".join(SPEC.split())

    def test_the_dump_is_one_as_a_program_prints_it(self) -> None:
        line = bytes.fromhex(self.DUMP)
        dump = "\n".join(
            f"{at:08x}  {part.hex(' '):<47}  |{re.sub('[^ -~]', '.', part.decode('latin-1'))}|"
            for at, part in ((at, line[at : at + 16]) for at in range(0, len(line), 16))
        )
        assert f"```hex\n{dump}\n```\n" in SPEC

    def test_the_other_spelling_is_the_same_event(self) -> None:
        [other] = re.findall(r"^```json\n(.*)\n```$", SPEC, re.MULTILINE)
        assert omnelog.decode(other.encode()) == omnelog.decode(bytes.fromhex(self.DUMP))
        assert omnelog.encode(omnelog.decode(other.encode())) != other.encode() + b"\n"

    def test_the_escapes_are_those_of_the_table(self) -> None:
        said = {
            chr(int(code, 16)): written
            for code, written in re.findall(
                r"^\| U\+(\w{4})\b.*? \| `(\\.)` \|$", CHAPTERS["LINE"], re.MULTILINE
            )
        }
        assert len(said) == 7
        for code in (*range(0xD800), 0xE000, 0xFDD0, 0xFEFF, 0xFFFF, 0x10000, 0x10FFFF):
            character = chr(code)
            event = omnelog.PipeAborted(id="", ts="", run_id="", reason=character)
            other = f"\\u00{code:02x}" if code < 0x20 else character
            written = said.get(character, other)
            assert omnelog.encode(event).endswith(f'"reason":"{written}"}}\n'.encode())


class TestAcceptingALine:
    def test_the_blank_characters_are_those_of_the_list(self) -> None:
        chapter = " ".join(CHAPTERS["ACC"].split())
        [named] = re.findall(r"Unicode White_Space: ([^.]*)\.", chapter)
        said = set()
        for part in named.split(", "):
            first, *last = [int(code, 16) for code in re.findall(r"U\+(\w{4})", part)]
            said |= set(range(first, (*last, first)[0] + 1))
        every = (code for code in range(0x110000) if not 0xD800 <= code < 0xE000)
        blank = {code for code in every if omnelog.linelog.objects.is_blank(chr(code).encode())}
        assert blank == said


class TestErrors:
    TABLE = rows("ERR", "Kind", "When", "Carries", "What it means for the log")

    def test_the_kinds_are_the_public_errors(self) -> None:
        public = [getattr(omnelog, name) for name in omnelog.__all__]
        errors = {
            one.__name__ for one in public if isinstance(one, type) and issubclass(one, Exception)
        }
        assert sorted(row[0] for row in self.TABLE) == sorted(errors)


class TestLayout:
    def test_chapters_are_numbered_and_prefixes_unique(self) -> None:
        headings = re.findall(r"^## (\d+)\. (.*)$", SPEC, re.MULTILINE)
        assert [int(number) for number, _ in headings] == list(range(1, len(headings) + 1))
        prefixes = sorted(re.findall(r"^## .*\(([A-Z]+)\)$", SPEC, re.MULTILINE))
        assert [prefix for prefix, same in groupby(prefixes) if len(list(same)) > 1] == []

    def test_chapters_mentioned_by_number_are_the_ones_that_are_meant(self) -> None:
        """These numbers would become wrong without notice if chapters were renumbered."""
        meant = {
            "3": "EVT",
            "5": "ACC",
            "6": "LOCK",
            "8": "DUR",
            "11": "ERR",
            "16": "OBJ",
        }
        headings = dict(re.findall(r"^## (\d+)\. .*\(([A-Z]+)\)$", SPEC, re.MULTILINE))
        mentioned = set(re.findall(r"\bchapter\s(\d+)", SPEC))
        assert {number: headings[number] for number in mentioned} == meant
