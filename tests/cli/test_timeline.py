# SPDX-License-Identifier: MIT
"""`timeline`: bars that are where they should be, in the terminal and in files that hold nothing
else.
"""

import xml.etree.ElementTree as ET
from dataclasses import replace
from html.parser import HTMLParser
from importlib import import_module

import pytest
from hypothesis import given
from hypothesis import strategies as st

from .. import omnelog
from ..strategies import events
from .histories import Clock, History
from .volume import RUN, Volume, started

bars = import_module(f"{omnelog.__name__}.cli.bars")
svg = import_module(f"{omnelog.__name__}.cli.svg")
state = import_module(f"{omnelog.__name__}.cli.state")

SVG = "{http://www.w3.org/2000/svg}"
HOSTILE = "\x1b[31m\x00\ufffe\u202e</text><script>alert(1)</script>\"'&]]>" + "x" * 10_000


def test_each_node_is_a_bar_on_one_scale(volume: Volume) -> None:
    history = History().begin().start("a").start("b").done("a").start("c").fail("b").complete()
    volume.write(*history.events)
    said = volume.call("timeline", RUN)
    assert (said.status, said.err) == (0, "")
    *heads, a, b, c = said.out.decode().splitlines()
    assert heads[:2] == [f"run {RUN}", "completed in 6.0s"]
    assert heads[2].split() == ["0s", "2.0s", "4.0s", "6.0s"]
    assert a == "✓  a  " + " " * 10 + "█" * 22 + "  2.0s"  # of 65 columns, from 1/6 to 3/6
    assert b == "✗  b  " + " " * 21 + "█" * 33 + "  3.0s"
    assert c == "⏸  c  " + " " * 43 + "·" * 22 + "  no end"


def test_a_bar_begins_where_the_node_did(volume: Volume) -> None:
    volume.write(*History().begin().start("a").done("a").start("b").done("b").complete().events)
    *_, first, second = volume.call("timeline", RUN).out.decode().splitlines()
    assert 0 < first.index("█") < first.rindex("█") < second.index("█")


def test_of_a_run_that_goes_on_the_axis_reaches_now(volume: Volume, clock: Clock) -> None:
    volume.write(*History().begin().start("a").done("a").start("b").events)
    clock.after_s = 6
    *heads, a, b = volume.call("timeline", RUN).out.decode().splitlines()
    assert heads[1] == "running for 6.0s, last event 3s ago"
    assert heads[2].split() == ["0s", "2.0s", "4.0s", "6.0s"]
    assert a.endswith("█  1.0s")
    assert (b.count("·"), b.endswith("·  running 3.0s")) == (30, True)  # of 59 columns, half


def test_of_a_short_run_the_axis_has_milliseconds(volume: Volume) -> None:
    first, start, end, last = History().begin().start("a").done("a").complete().events
    ids = ["01kgb7zj0r", "01kgb7zj1r", "01kgb7zj4r", "01kgb7zj70"]  # 32 ms, 128 ms, 192 ms
    volume.write(
        *(
            replace(event, id=f"{ulid:0<26}", ts=first.ts)
            for event, ulid in zip((first, start, end, last), ids, strict=True)
        )
    )
    *heads, a = volume.call("timeline", RUN).out.decode().splitlines()
    assert heads[1] == "completed in 200ms"
    assert heads[2].split() == ["0s", "50ms", "100ms", "150ms", "200ms"]
    assert a.endswith("█  96ms")


@given(st.lists(events(), max_size=12), st.integers(0, 2**45))
def test_whatever_the_log_says_no_bar_leaves_the_chart(
    found: list["omnelog.Event"], now_ms: int
) -> None:
    made = bars.chart_of(state.summarize(found), now_ms)
    for bar in made.bars:
        assert 0 <= bar.start_ms <= bar.end_ms <= made.length_ms


@given(st.integers(0, 10**12), st.integers(2, 20))
def test_the_marks_of_time_are_few_and_in_order(length_ms: int, most: int) -> None:
    ticks = bars.ticks_ms(length_ms, most)
    assert ticks[0] == 0
    assert ticks == sorted(set(ticks))
    assert ticks[-1] <= length_ms
    assert len(ticks) <= most


class Page(HTMLParser):
    """Which elements a page has."""

    def __init__(self) -> None:
        super().__init__()
        self.elements: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.elements.append(tag)

    def handle_data(self, data: str) -> None:
        self.text += data


@given(st.lists(events(), max_size=6), st.text())
def test_a_picture_is_sound_and_holds_nothing_but_shapes(
    found: list["omnelog.Event"], run_id: str
) -> None:
    run = state.summarize(found)
    drawing = ET.fromstring(svg.svg(run_id, run, 0))
    tags = {element.tag.removeprefix(SVG) for element in drawing.iter()}
    assert tags <= {"svg", "g", "rect", "line", "path", "text", "title"}
    assert len(drawing.findall(f"{SVG}g")) == len(run.nodes)
    page = Page()
    page.feed(svg.html(run_id, run, 0))
    shapes = {"svg", "g", "rect", "line", "path", "text", "title"}
    assert set(page.elements) <= {"html", "head", "meta", "style", "body"} | shapes


@pytest.mark.parametrize("suffix", ["svg", "html"])
def test_a_file_is_written_and_what_is_hostile_in_it_is_text(volume: Volume, suffix: str) -> None:
    history = History().begin().start(HOSTILE, name=HOSTILE).fail(HOSTILE, message=HOSTILE)
    volume.write(*history.abort(HOSTILE).events)
    said = volume.call("timeline", RUN, "-o", f"x.{suffix}")
    assert (said.status, said.out, said.err) == (0, b"", "")
    text = (volume.root / f"x.{suffix}").read_text()
    assert "<script" not in text
    assert "http" not in text.replace("http://www.w3.org/2000/svg", "").replace("http-equiv", "")
    assert len(text) < 20_000


def test_a_blocked_node_has_the_sign_of_one_that_waits() -> None:
    run = state.summarize(History().begin().start("n").fail("n", "blocked").events)
    drawing = ET.fromstring(svg.svg(RUN, run, 0))
    [sign] = drawing.iter(f"{SVG}path")
    assert sign.get("stroke") == "#f9a825"


def test_in_a_narrow_window_the_drawing_shrinks_in_both_directions() -> None:
    """With the width alone, all of it is scrolled out of sight."""
    page = svg.html(RUN, state.summarize(History().begin().start("n").events), 0)
    assert "svg{max-width:100%;height:auto}" in page


def test_another_kind_of_file_is_a_wrong_command_line(volume: Volume) -> None:
    volume.write(started())
    said = volume.call("timeline", RUN, "-o", "x.png")
    assert (said.status, ".svg" in said.err) == (2, True)


@pytest.mark.parametrize("where", ["no/such/x.svg", "bin.svg/../.omne/x/x.html"])
def test_a_file_that_cannot_be_written_is_one_line(volume: Volume, where: str) -> None:
    volume.write(started())
    said = volume.call("timeline", RUN, "-o", where)
    assert (said.status, said.out, said.err.count("\n")) == (1, b"", 1)
    assert where in said.err


def test_of_a_damaged_log_what_is_sound_is_drawn_and_the_rest_told(volume: Volume) -> None:
    path = volume.write(*History().begin().start("n").events, b"damage\n")
    said = volume.call("timeline", RUN)
    assert said.status == 1
    assert "⏸" in said.out.decode()
    assert said.err.startswith(f"{path}:3: ")


def test_a_run_without_events_is_drawn_without_bars(volume: Volume) -> None:
    volume.write()
    said = volume.call("timeline", RUN)
    assert (said.status, said.out.count(b"\n")) == (0, 2)


@pytest.mark.parametrize("columns", ["1", "20", "0", "300"])
def test_in_ascii_and_any_width_it_is_drawn(volume: Volume, columns: str) -> None:
    volume.write(*History().begin().start("n").done("n").start("m").abort().events)
    said = volume.shell(f"COLUMNS={columns} PYTHONIOENCODING=ascii omnelog timeline {RUN}")
    assert (said.status, said.err, said.out.isascii()) == (0, "", True)
    assert b"####" in said.out
