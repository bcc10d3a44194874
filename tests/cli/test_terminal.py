# SPDX-License-Identifier: MIT
"""Output on a terminal has colour if that is wanted and rich is installed. The text is the same."""

import json
import os
import pty
import re
import shlex
from contextlib import ExitStack
from importlib import import_module

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from .. import omnelog
from .histories import History
from .volume import RUN, Process, Volume, locked

progress = import_module(f"{omnelog.__name__}.cli.progress")
reflow = import_module(f"{omnelog.__name__}.cli.reflow").reflow
terminal = import_module(f"{omnelog.__name__}.cli.terminal")

COLOUR = re.compile(r"\x1b\[[0-9;]*m")
VERBS = [["runs"], ["show", RUN], ["tail", RUN], ["timeline", RUN]]


@pytest.fixture
def run(volume: Volume) -> Volume:
    """A volume with an aborted run of three nodes: one done, one failed, one without an end."""
    history = History().begin().start("ok").done("ok").start("bad").fail("bad", message="[red]x")
    volume.write(*history.start("ask").iterate("ask", 1).abort().events)
    return volume


def on_terminal(
    volume: Volume, *words: str, columns: int = 200, environment: dict[str, str] | None = None
) -> str:
    """What a verb writes to a terminal, to standard output and to standard error."""
    ours, theirs = pty.openpty()
    variables = {"TERM": "xterm-256color", "COLUMNS": str(columns), "LINES": "50"}
    kept = {k: v for k, v in volume.environment().items() if k not in ("NO_COLOR", "FORCE_COLOR")}
    with Process(
        [str(volume.command), *words],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env=kept | variables | (environment or {}),
        cwd=volume.root,
    ) as process:
        os.close(theirs)
        said = b""
        try:
            while data := os.read(ours, 65536):
                said += data
        except OSError:  # how Linux says that the other end is closed
            pass
        os.close(ours)
    assert process.returncode == 0
    return said.decode().replace("\r\n", "\n")


def without_rich(volume: Volume) -> dict[str, str]:
    """An environment in which rich cannot be imported."""
    blocked = volume.root / "blocked"
    blocked.mkdir()
    (blocked / "rich.py").write_text("raise ImportError('blocked')\n")
    return {"PYTHONPATH": f"{blocked}:{volume.environment()['PYTHONPATH']}"}


@pytest.mark.parametrize("words", [[], ["record"], ["runs"], ["wait"]])
@pytest.mark.parametrize("columns", [40, 80, 200])
def test_help_fits_the_terminal(volume: Volume, words: list[str], columns: int) -> None:
    said = on_terminal(volume, *words, "--help", columns=columns)
    shown = COLOUR.sub("", said)  # Python 3.14 prints help in colour
    assert max(map(len, shown.splitlines())) <= columns


@given(
    st.lists(
        st.from_regex(r"( {0,8}([a-z.-]{1,9}( {1,3}[a-z.-]{1,9}){0,20}))?", fullmatch=True),
        max_size=8,
    ),
    st.integers(30, 100),
)
@example(["exit status:", "  125  it failed, and why", "       is said", "  2    other"], 30)
@example(["a paragraph that", "goes on", "", "  an example  that stands  as it is"], 80)
def test_help_that_is_reflowed_loses_no_word_and_no_line_is_too_wide(
    lines: list[str], width: int
) -> None:
    text = reflow("\n".join(lines), width)
    assert text.split() == " ".join(lines).split()
    assert all(len(line) <= width for line in text.splitlines())


def test_help_for_a_narrow_terminal_hangs_below_its_columns() -> None:
    text = "one paragraph\nof two lines\n\n  12  says what it is and\n      why\n  $ omnelog runs\n"
    assert reflow(text, 20).splitlines() == [
        "one paragraph of two",
        "lines",
        "",
        "  12  says what it",
        "      is and why",
        "  $ omnelog runs",
    ]


@pytest.mark.parametrize("columns", [40, 80])
def test_a_name_that_is_too_long_does_not_hide_how_long_the_node_took(
    volume: Volume, columns: int
) -> None:
    history = History().begin().start("a" * 100).start("b").done("a" * 100).done("b").complete()
    volume.write(*history.events)
    said = COLOUR.sub("", on_terminal(volume, "show", RUN, columns=columns))
    long, short = said.splitlines()[-2:]
    assert re.fullmatch("✓  a{8,}…  [+]1.0s  2.0s  .*", long)
    assert short == "✓  b  +2.0s  2.0s  command"
    assert "a" * 80 in on_terminal(volume, "show", "--full", RUN, columns=columns)


def test_a_path_is_not_split_and_output_that_looks_like_its_line_is(volume: Volume) -> None:
    printed = "its output: " + "word " * 20
    volume.call("record", "--pipe", "ci", "n", "--", "sh", "-c", f"echo {printed}; false")
    lines = COLOUR.sub("", on_terminal(volume, "show", "latest", columns=40)).splitlines()
    [at] = (number for number, line in enumerate(lines) if ".omne/var" in line)
    assert re.fullmatch(r" *its output: \S*/n[.]out", lines[at])
    assert lines[at + 1].split()[:3] == ["its", "output:", "word"]
    assert max(map(len, lines[at + 1 :])) <= 40


@pytest.mark.parametrize("words", VERBS, ids=lambda words: words[0])
class TestOnATerminal:
    def test_there_is_colour_and_the_text_is_that_of_a_pipe(
        self, run: Volume, words: list[str]
    ) -> None:
        said = on_terminal(run, *words, columns=80 if words[0] == "timeline" else 200)
        assert COLOUR.search(said)
        assert COLOUR.sub("", said) == run.call(*words).out.decode()

    def test_without_rich_there_is_none(self, run: Volume, words: list[str]) -> None:
        columns = 80 if words[0] == "timeline" else 200
        said = on_terminal(run, *words, columns=columns, environment=without_rich(run))
        assert said == run.call(*words).out.decode()

    @pytest.mark.parametrize(("columns", "rich"), [(20, True), (40, False), (80, True)])
    def test_no_line_is_wider_than_it(
        self, run: Volume, words: list[str], columns: int, rich: bool
    ) -> None:
        environment = {} if rich else without_rich(run)
        said = COLOUR.sub("", on_terminal(run, *words, columns=columns, environment=environment))
        assert max(map(terminal.cells, said.splitlines())) <= columns
        assert RUN in said.replace("\n", "") or words[0] == "tail"
        assert "[red]x" in said or words[0] != "show"


@pytest.mark.parametrize("environment", [{"NO_COLOR": "1"}, {"TERM": "dumb"}, {"TERM": ""}])
def test_where_no_colour_is_wanted_there_is_none(run: Volume, environment: dict[str, str]) -> None:
    said = on_terminal(run, "show", RUN, environment=environment)
    assert not re.search(r"\x1b\[[0-9;]*(3|4|9)[0-7]", said)


@pytest.mark.parametrize(
    ("columns", "heads"),
    [
        (100, ["RUN", "STATE", "DONE", "FAILED", "NODES", "STARTED", "TOOK"]),
        (80, ["RUN", "STATE", "DONE", "FAILED", "NODES", "AGE", "TOOK"]),
        (72, ["RUN", "STATE", "FAILED", "NODES", "AGE", "TOOK"]),
    ],
)
def test_a_narrow_table_leaves_out_what_matters_least_and_never_the_times(
    run: Volume, columns: int, heads: list[str]
) -> None:
    said = COLOUR.sub("", on_terminal(run, "runs", columns=columns))
    assert said.splitlines()[0].split() == heads


@pytest.mark.parametrize("columns", [40, 80])
def test_tail_shows_on_a_narrow_terminal_why_a_node_failed(run: Volume, columns: int) -> None:
    said = COLOUR.sub("", on_terminal(run, "tail", RUN, columns=columns))
    assert "00:00:03  failed     bad  after 1.0s  c" in said
    assert ("crash: [red]x" in said) == (columns == 80)


def test_a_terminal_of_40_columns_gets_two_lines_a_run(run: Volume) -> None:
    name, rest = COLOUR.sub("", on_terminal(run, "runs", columns=40)).splitlines()
    assert name == RUN
    assert re.fullmatch(r"  aborted 7.0s, \d+d ago, 1/3 failed", rest)


def test_a_run_with_a_long_name_gets_two_lines_and_the_others_a_table(run: Volume) -> None:
    """The run with the long name has no nodes, and its second line says so."""
    name = "a-long-name-" * 5
    run.write(History(name).begin().events[0], run_id=name)
    heads, *lines = COLOUR.sub("", on_terminal(run, "runs", columns=80)).splitlines()
    assert heads.split()[:2] == ["RUN", "STATE"]
    at = lines.index(name)
    assert re.fullmatch(r"  running \d+d\d\dh, \d+d ago, no nodes", lines[at + 1])
    [usual] = lines[:at] + lines[at + 2 :]
    assert usual.split()[:2] == [RUN, "aborted"]


@pytest.mark.parametrize("words", [["runs"], ["show", RUN], ["tail", RUN], ["timeline", RUN]])
def test_colour_that_is_always_wanted_comes_through_a_pipe(run: Volume, words: list[str]) -> None:
    said = run.shell(f"NO_COLOR=1 TERM=dumb omnelog --color=always {' '.join(words)}")
    assert (said.status, said.err) == (0, "")
    assert COLOUR.sub("", said.out.decode()) == run.call(*words).out.decode()
    assert COLOUR.search(said.out.decode())


def test_colour_that_is_never_wanted_is_not_on_a_terminal(run: Volume) -> None:
    assert "\x1b" not in on_terminal(run, "show", "--color", "never", RUN)


def test_colour_that_is_wanted_and_cannot_be_had_is_refused(run: Volume) -> None:
    path = without_rich(run)["PYTHONPATH"]
    said = run.shell(f"PYTHONPATH={shlex.quote(path)} omnelog show --color=always {RUN}")
    assert (said.status, said.out) == (1, b"")
    assert "rich, which is not installed" in said.err


@pytest.mark.parametrize("words", [["show", "--json", RUN], ["tail", "--json", RUN]])
def test_json_on_a_terminal_is_escaped_where_it_would_do_something(
    volume: Volume, words: list[str]
) -> None:
    message = "\x9b31m \x7f \u202e \u2028 \U000e0001 é"
    volume.write(*History().begin().start("n").fail("n", message=message).events)
    *_, last = on_terminal(volume, *words).splitlines()
    assert json.loads(last)["message"] == message
    assert last.isprintable()
    assert "é" in last


@given(st.text(), st.integers(1, 30))
def test_a_text_is_cut_into_pieces_that_fit_and_lose_no_word(text: str, room: int) -> None:
    found = list(terminal.pieces(text, room))
    assert all(terminal.cells(piece) <= room or len(piece) == 1 for piece in found)
    assert "".join(found).replace(" ", "") == text.replace(" ", "")


def test_in_a_pipe_there_is_no_colour_whatever_the_terminal(run: Volume) -> None:
    said = run.shell(f"TERM=xterm-256color omnelog show {RUN} | cat")
    assert b"\x1b" not in said.out


def test_long_work_shows_how_far_it_is_and_leaves_no_trace(volume: Volume) -> None:
    """Twenty logs have a tail, and we hold their locks, so each log takes a tenth of a second."""
    for number in range(20):
        volume.write(*History().begin().events, b'{"torn', run_id=f"r{number:02}")
    with ExitStack() as locks:
        for number in range(20):
            locks.enter_context(locked(volume.log(f"r{number:02}")))
        said = on_terminal(volume, "runs", columns=200)
    assert "reading logs [" in said
    *_, bar, table = said.split("\r\x1b[K")
    assert "%" in bar
    assert "%" not in table


@pytest.mark.parametrize(
    "words", [["show", RUN], ["show", "--nodes", RUN], ["timeline", RUN], ["events", RUN]]
)
def test_of_a_long_log_it_is_shown_how_far_it_was_read(
    volume: Volume, words: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    history = History().begin()
    for number in range(3000):
        history.start(f"n{number}")
    volume.write(*history.events)
    monkeypatch.setattr(progress, "_AFTER_S", 0)
    monkeypatch.setattr(progress, "_EVERY_S", 0)
    monkeypatch.setattr(progress, "_is_terminal", lambda: True)
    said = volume.call(*words)
    assert said.status == 0
    shares = re.findall(r"reading (?:the log|logs) \[[#-]+\] +(\d+)%", said.err)
    assert 0 < int(shares[0]) < int(shares[-1]) <= 100
    assert said.err.endswith("\r\x1b[K")


@given(st.lists(st.lists(st.tuples(st.text(), st.just("")), max_size=4), max_size=5))
def test_columns_lose_no_cell(rows: list[list[tuple[str, str]]]) -> None:
    lines = list(terminal.columns(rows))
    assert len(lines) == len(rows)
    for row, line in zip(rows, lines, strict=True):
        text = "".join(text for text, _ in line)
        at = 0
        for cell, _ in row:
            at = text.index(cell, at) + len(cell)


@pytest.mark.parametrize(
    ("text", "columns"), [("", 0), ("abc", 3), ("é", 1), ("e\u0301", 1), ("テスト", 6), ("✓", 1)]
)
def test_the_columns_that_a_text_takes_are_counted(text: str, columns: int) -> None:
    assert terminal.cells(text) == columns
