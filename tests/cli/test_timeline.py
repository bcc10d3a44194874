# SPDX-License-Identifier: MIT
"""`timeline`: bars at the right places, in the terminal and in files.

The files are safe: whatever a log says is text in them.
"""

import re
import xml.etree.ElementTree as ET
from base64 import b64encode
from dataclasses import replace
from hashlib import sha256
from html.parser import HTMLParser
from importlib import import_module
from itertools import pairwise
from pathlib import Path
from typing import Any  # what a module that is imported by name returns
from urllib.parse import unquote

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from .. import omnelog
from ..strategies import events
from .histories import START_S, Clock, History
from .volume import RUN, Volume, started

bars = import_module(f"{omnelog.__name__}.cli.bars")
svg = import_module(f"{omnelog.__name__}.cli.svg")
html_report = import_module(f"{omnelog.__name__}.cli.html_report")
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
    assert heads[2].split() == ["0s", *(f"{second}.0s" for second in range(1, 7))]
    assert a == "✓  a  " + " " * 10 + "█" * 22 + "  2.0s"  # from 1/6 to 3/6 of 65 columns
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
    assert (b.count("·"), b.endswith("·  running 3.0s")) == (30, True)  # half of 59 columns


def test_of_a_short_run_the_axis_has_milliseconds(volume: Volume) -> None:
    first, start, end, last = History().begin().start("a").done("a").complete().events
    ids = ["01kgb7zj0r", "01kgb7zj1r", "01kgb7zj4r", "01kgb7zj70"]  # 0, 32, 128, 200 ms
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
    """What is in a page: elements, names of attributes, links, the policy, text and scripts."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[str] = []
        self.attributes: set[str] = set()
        self.links: list[str] = []
        self.policy = self.text = ""
        self.scripts: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append(tag)
        self.attributes |= {name for name, _ in attrs}
        found = dict(attrs)
        if tag == "a":
            self.links.append(found["href"] or "")
        if found.get("http-equiv") == "Content-Security-Policy":
            self.policy = found["content"] or ""

    def handle_data(self, data: str) -> None:
        if self.elements and self.elements[-1] == "script" and data.strip():
            self.scripts.append(data)
        self.text += data


def page_of(run: Any, run_id: str = RUN, root: Path = Path("/nowhere"), now_ms: int = 0) -> Page:
    """The page about a run, parsed."""
    return Page("".join(html_report.report(root, run_id, run, now_ms, root)))


def text_of(run: Any, now_ms: int = 0) -> str:
    """The page about a run, as it is written."""
    nowhere = Path("/nowhere")
    return "".join(html_report.report(nowhere, RUN, run, now_ms, nowhere))


@given(st.lists(events(), max_size=6), st.text())
def test_a_picture_is_sound_and_holds_nothing_but_shapes(
    found: list["omnelog.Event"], run_id: str
) -> None:
    run = state.summarize(found)
    drawing = ET.fromstring(svg.svg(run_id, run, 0))
    tags = {element.tag.removeprefix(SVG) for element in drawing.iter()}
    assert tags <= {"svg", "g", "rect", "line", "path", "text", "title"}
    assert len(drawing.findall(f"{SVG}g")) == len(run.nodes)


@given(st.lists(events(), max_size=6), st.text())
def test_a_page_holds_one_script_and_nothing_from_elsewhere(
    found: list["omnelog.Event"], run_id: str
) -> None:
    page = page_of(state.summarize(found), run_id)
    assert page.elements.count("script") == len(page.scripts) == 1
    digest = b64encode(sha256(page.scripts[0].encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in page.policy
    assert page.policy.startswith("default-src 'none';")
    assert not {"src", "onclick", "onload", "action"} & page.attributes
    assert not {"img", "link", "iframe", "object", "form"} & set(page.elements)


@pytest.fixture
def failing(volume: Volume) -> Volume:
    """A volume with two runs: in RUN, `b=%/ad` failed; in the other, `b%ad` printed and failed."""
    volume.write(*History().begin().start("ok").done("ok").start("b=%/ad").fail("b=%/ad").events)
    volume.call("record", "--pipe", "ci", "b%ad", "--", "sh", "-c", "echo '<b>boo'; exit 3")
    return volume


def test_a_page_begins_with_what_failed_the_end_of_its_output_and_a_link_to_it(
    failing: Volume,
) -> None:
    (failing.root / "site").mkdir()
    assert failing.call("timeline", "latest", "-o", "site/x.html").status == 0
    page = Page((failing.root / "site" / "x.html").read_text())
    assert "1 failed" in page.text
    assert "<b>boo" in page.text
    assert page.text.index("1 failed") < page.text.index("When nodes were at work")
    [link] = page.links
    assert (failing.root / "site" / unquote(link)).read_bytes() == b"<b>boo\n"


def test_a_node_id_that_leads_elsewhere_has_no_link(failing: Volume) -> None:
    failing.call("timeline", RUN, "-o", "x.html")
    page = Page((failing.root / "x.html").read_text())
    assert ("b=%/ad" in page.text, page.links) == (True, [])


def parallel(nodes: int, lanes: int, *, failures: int = 0) -> Any:
    """A run of `nodes` nodes, `lanes` of them at once. The first `failures` nodes failed."""
    run = state.summarize(History().begin().events)
    for number in range(nodes):
        node = state.Node(f"n{number}")
        failed = number < failures
        node.state = state.NodeState.FAILED if failed else state.NodeState.COMPLETED
        node.error = omnelog.ErrorKind.CRASH if failed else None
        node.kind = omnelog.NodeKind.BASH
        node.start_ms = START_S * 1000 + number // lanes * 1000
        node.end_ms = node.start_ms + 1000
        run.nodes[node.id] = node
    return run


@pytest.mark.parametrize(("nodes", "lanes", "rows"), [(300, 5, 300), (301, 5, 5), (900, 300, 100)])
def test_many_nodes_share_lanes(nodes: int, lanes: int, rows: int) -> None:
    found = bars.rows_of(bars.chart_of(parallel(nodes, lanes), 0))
    assert len(found) == rows
    assert sum(len(block.bars) for row in found for block in row.blocks) == nodes


def test_a_lane_is_not_taken_for_a_node_of_the_same_name() -> None:
    run = parallel(301, 5)
    run.nodes["n0"].id = "lane 1"
    assert text_of(run).count('<div class="row lane"><div class="name" title="lane ') == 5


def test_the_beginning_of_1970_is_a_time_as_any_other() -> None:
    history = History()
    history.after_s = -START_S
    run = state.summarize(history.begin().iterate("n", 1).events)
    assert bars.chart_of(run, 5000).length_ms == 5000


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 20)), max_size=40))
def test_bars_of_one_lane_do_not_overlap_and_none_is_lost(spans: list[tuple[int, int]]) -> None:
    made = [
        bars.Bar(node=state.Node(str(number)), start_ms=start, end_ms=start + length)
        for number, (start, length) in enumerate(spans)
    ]
    lanes = bars.lanes_of(made)
    assert sorted(bar.node.id for lane in lanes for bar in lane) == sorted(b.node.id for b in made)
    for lane in lanes:
        for one, other in pairwise(lane):
            assert one.end_ms <= other.start_ms
    most = max((sum(b.start_ms <= at < b.end_ms for b in made) for at in range(71)), default=0)
    assert len(lanes) >= most


def test_of_very_many_nodes_a_page_stays_small_and_hides_no_failure_among_others() -> None:
    run = parallel(30_000, 10, failures=1000)
    text = text_of(run)
    assert len(text) < 1_000_000
    page = Page(text)
    assert page.elements.count("i") < 20_000
    assert "and 800 more; omnelog show --failed lists all" in page.text
    assert "2,000 nodes: the failed and the slowest" in page.text
    chart = bars.rows_of(bars.chart_of(run, 0))
    failed = [
        bar for row in chart for block in row.blocks if block.sign == "✗" for bar in block.bars
    ]
    assert len(failed) == 1000


@pytest.mark.parametrize("suffix", ["svg", "html"])
def test_a_file_is_written_and_what_is_hostile_in_it_is_text(volume: Volume, suffix: str) -> None:
    history = History().begin().start(HOSTILE, name=HOSTILE).fail(HOSTILE, message=HOSTILE)
    volume.write(*history.abort(HOSTILE).events)
    said = volume.call("timeline", RUN, "-o", f"x.{suffix}")
    assert (said.status, said.out, said.err) == (0, b"", "")
    text = (volume.root / f"x.{suffix}").read_text()
    assert "<script>alert" not in text
    assert "http" not in text.replace("http://www.w3.org/2000/svg", "").replace("http-equiv", "")
    assert len(text) < 30_000


def test_no_text_leaves_a_picture() -> None:
    history = History().begin().start("n" * 100).start("m")
    going_on = state.summarize(history.events)
    aborted = state.summarize(history.abort("x" * 1000).events)
    for run in (going_on, aborted):
        day_later_ms = (START_S + 86_400) * 1000
        drawing = ET.fromstring(svg.svg("r" * 200, run, day_later_ms))
        for text in drawing.iter(f"{SVG}text"):
            end = float(text.get("x", "")) + 7.3 * len(text.text or "")
            assert end <= float(drawing.get("width", "")), text.text


def test_a_blocked_node_has_the_sign_of_one_that_waits() -> None:
    run = state.summarize(History().begin().start("n").fail("n", "blocked").events)
    drawing = ET.fromstring(svg.svg(RUN, run, 0))
    [sign] = drawing.iter(f"{SVG}path")
    assert sign.get("stroke") == "#a05a00"


def test_a_page_is_laid_out_for_narrow_windows_and_for_dark_ones() -> None:
    """A test cannot see how a page looks, so this one searches for the style rules."""
    text = text_of(state.summarize(History().begin().start("n").events))
    assert 'name="viewport"' in text
    assert "@media (max-width:640px)" in text
    assert "code{overflow-wrap:anywhere}" in text  # otherwise the page would scroll sideways
    assert "@media (prefers-color-scheme:dark)" in text
    assert "position:sticky" in text


CHARACTER = 8.75  # pixels for a character of an axis label, with its margin, in a wide font
TRACK_OF_WINDOW = {  # window: (track, n), widths in pixels; every nth label is shown
    400: (266, 2),  # a small telephone
    641: (265, 2),  # the narrowest window with a column of names
    900: (524, 1),  # the narrowest window with all labels
}


@given(st.sampled_from(sorted(TRACK_OF_WINDOW)), st.integers(1, 10**9))
@example(641, 12 * 3_600_000 + 20 * 60_000)
@example(400, 808_090_256)
@example(400, 842_926_830)
@example(900, 856_883_033)
def test_the_labels_of_the_axis_do_not_overlap_and_none_leaves_it(
    window: int, length_ms: int
) -> None:
    run = state.summarize(History().begin().start("n").events)
    now_ms = START_S * 1000 + length_ms
    track, every = TRACK_OF_WINDOW[window]
    text = text_of(run, now_ms)
    assert "@media (max-width:899px){.axis span:nth-child(even){display:none}}" in text
    end = 0.0
    for last, place, label in re.findall(
        r'<span( class="last")? style="left:([^%]*)%">([^<]*)', text
    )[::every]:
        width = CHARACTER * len(label)
        left = float(place) / 100 * track - (width if last else 0)
        assert left >= end - 0.1  # pixels, because the page rounds positions
        end = left + width
    assert end <= track + 10  # pixels between the track and the next column


def luminance(colour: str) -> float:
    """How bright a colour such as #1b1b1b or #666 is, from 0 to 1, as WCAG 2 defines it."""
    digits = colour.removeprefix("#")
    if len(digits) == 3:
        digits = "".join(digit * 2 for digit in digits)
    parts = [int(digits[i : i + 2], 16) / 255 for i in (0, 2, 4)]
    linear = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_text_and_signs_of_a_page_have_the_contrast_that_wcag_asks_for(theme: str) -> None:
    text = text_of(state.summarize(History().begin().start("n").events))
    light, dark = (
        dict(re.findall("--([a-z]+):(#[0-9a-f]+)", rule))
        for rule in re.findall(r":root\{[^}]*--back[^}]*\}", text)
    )
    colours = light if theme == "light" else dark
    for behind in ("back", "box"):
        for front in ("text", "dim", "done", "failed", "open"):
            low, high = sorted((luminance(colours[front]), luminance(colours[behind])))
            assert (high + 0.05) / (low + 0.05) >= 4.5, (front, behind)


def test_a_blocked_node_has_the_same_sign_everywhere_on_a_page() -> None:
    run = state.summarize(History().begin().start("n").fail("n", "blocked").events)
    page = page_of(run)
    assert "✗" not in page.text
    assert page.text.count("⏸") == 3  # beside the reason, beside the bar, and in the table


def test_a_search_that_finds_nothing_says_so() -> None:
    text = text_of(state.summarize(History().begin().start("n").events))
    assert '<p id="none" class="dim" hidden>Nothing on this page has that text.</p>' in text
    assert 'getElementById("none").hidden =' in text


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


def test_of_a_damaged_log_what_is_sound_is_drawn_and_the_rest_is_reported(volume: Volume) -> None:
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
