# SPDX-License-Identifier: MIT
"""`show`: how a run went, node by node, even if its log is damaged or hostile."""

import json
import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from .. import omnelog
from ..samples import of_every_type
from .histories import Clock, History
from .volume import RUN, Volume, completed, locked, powerless, started


def failed(message: str | None, kind: str = "crash") -> "omnelog.NodeFailed":
    error = omnelog.NodeError(kind=omnelog.ErrorKind(kind))
    return omnelog.NodeFailed(id="x", ts="T", run_id=RUN, node_id="n", error=error, message=message)


def test_a_run_is_shown_node_by_node(volume: Volume) -> None:
    history = History().begin().start("all", name="make -j2").start("lint", name="ruff check")
    history.start("ask", "prompt").iterate("ask", 1).done("lint").gate("ask")
    history.fail("ask", "max_iterations_exceeded", "one\ntwo\n").fail("all", message="make: ***")
    volume.write(*history.abort("node all: exit status 2").events)
    said = volume.call("show", RUN)
    assert (said.status, said.err) == (0, "")
    assert said.out.decode().splitlines() == [
        f"run {RUN}",
        "aborted after 9.0s: node all: exit status 2",
        "2026-01-31T23:59:59Z  feature (1)",
        "3 nodes: 1 completed, 2 failed",
        "",
        "✗  all   +1.0s  7.0s  command make -j2",
        "   crash: make: ***",
        "✓  lint  +2.0s  3.0s  command ruff check",
        "✗  ask   +3.0s  4.0s  prompt",
        "   +1.0s  iteration 1 from byte 27",
        "   +3.0s  gate review passed by hook",
        "   max_iterations_exceeded: two",
    ]


@pytest.mark.parametrize(
    ("history", "glyph", "took"),
    [
        (History().begin().start("n"), "⏸", "running 7.5s"),
        (History().begin().start("n").abort(), "⏸", "no end"),
        (History().begin().start("n").done("n"), "✓", "1.0s"),
        (History().begin().start("n").fail("n"), "✗", "1.0s"),
        (History().begin().start("n").fail("n", "blocked"), "⏸", "1.0s"),
    ],
    ids=["running", "left open", "done", "failed", "blocked"],
)
def test_each_node_has_a_sign_and_says_how_long_it_took(
    volume: Volume, history: History, glyph: str, took: str, clock: Clock
) -> None:
    volume.write(*history.events)
    clock.after_s = 8.5
    line = volume.call("show", RUN).out.decode().splitlines()[5]
    assert line.split("  ") == [glyph, "n", "+1.0s", took, "command"]


@pytest.mark.parametrize(
    ("history", "says"),
    [
        (History(), "no events yet"),
        (History().begin().start("n"), "running for 1m05s, last event 1m ago"),
        (History().begin().complete(), "completed in 1.0s"),
        (History().begin().abort("why"), "aborted after 1.0s: why"),
    ],
)
def test_the_run_itself_says_how_it_went(
    volume: Volume, history: History, says: str, clock: Clock
) -> None:
    volume.write(*history.events)
    clock.after_s = 65
    assert volume.call("show", RUN).out.decode().splitlines()[1] == says


def test_a_node_that_never_started_is_shown_as_such(volume: Volume) -> None:
    volume.write(*History().begin().done("n").events)
    assert "never started" in volume.call("show", RUN).out.decode()


def test_of_many_iterations_the_last_ones_are_shown(volume: Volume) -> None:
    history = History().begin().start("n", "loop")
    for number in range(1, 38):
        history.iterate("n", number)
    volume.write(*history.events)
    out = volume.call("show", RUN).out.decode()
    assert "27 earlier steps" in out
    assert "iteration 27 " not in out
    assert all(f"iteration {number} " in out for number in range(28, 38))


def test_a_failed_node_says_where_its_output_is(volume: Volume) -> None:
    said = volume.call("record", "--pipe", "ci", "n", "--", "false")
    out = volume.call("show", "latest").out.decode()
    assert f"its output: .omne/var/runs/{said.run_id}/nodes/n.out" in out


def test_a_path_that_is_shown_leads_there_from_here(
    volume: Volume, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    said = volume.call("record", "--pipe", "ci", "n", "--", "sh", "-c", "echo boo; false")
    below = volume.root / "a" / "b"
    below.mkdir(parents=True)
    for here in (volume.root, below, tmp_path_factory.mktemp("elsewhere")):
        monkeypatch.chdir(here)
        out = volume.call("--root", str(volume.root), "show", said.run_id).out.decode()
        [path] = re.findall(r"its output: (.*)", out)
        assert Path(path).read_bytes() == b"boo\n"


def test_the_last_lines_of_what_a_failed_node_printed_are_shown(volume: Volume) -> None:
    script = "printf '1\\n2\\n3\\n4\\n\\033[31m5\\033[0m\\n\\n 10%%\\r100%%\\nend\\n'; false"
    volume.call("record", "--pipe", "ci", "n", "--", "sh", "-c", script)
    lines = volume.call("show", "latest").out.decode().splitlines()
    assert lines[-5:] == [f"      {each}" for each in ("3", "4", "5", "100%", "end")]
    assert "      1" in volume.call("show", "--full", "latest").out.decode().splitlines()


@pytest.mark.parametrize("message", ["exit status 3\nnoise\nboo\n", "exit status 3\nboo"])
def test_of_a_message_that_says_how_it_ended_that_is_shown_too(
    volume: Volume, message: str
) -> None:
    volume.write(started(), failed(message))
    assert b"crash: exit status 3: boo\n" in volume.call("show", RUN).out


def test_in_full_all_of_a_message_and_of_a_name_is_shown(volume: Volume) -> None:
    history = History().begin().start("n", name="x" * 1000).fail("n", message="one\n\ntwo")
    volume.write(*history.events)
    out = volume.call("show", "--full", RUN).out.decode()
    assert "x" * 1000 in out
    assert out.splitlines()[-4:] == ["   crash:", "      one", "", "      two"]


@pytest.fixture
def three(volume: Volume) -> Volume:
    """A volume with a run of three nodes: one done, one failed and slow, one at work."""
    history = History().begin().start("b").start("a").done("a").start("c").fail("b", message="no")
    volume.write(*history.events)
    return volume


@pytest.mark.parametrize(
    ("words", "nodes"),
    [
        ([], ["b", "a", "c"]),
        (["--sort", "name"], ["a", "b", "c"]),
        (["--sort", "duration"], ["c", "b", "a"]),
        (["--failed"], ["b"]),
        ([RUN, "c", "a", "c"], ["c", "a"]),
        ([RUN, "--failed", "a"], []),
    ],
)
def test_nodes_are_chosen_and_ordered(
    three: Volume, words: list[str], nodes: list[str], clock: Clock
) -> None:
    clock.after_s = 60
    run = [] if RUN in words else [RUN]
    shown = three.call("show", *words, *run).out.decode().splitlines()
    assert [line.split()[1] for line in shown[5:] if line[0] != " "] == nodes
    objects = three.call("show", "--nodes", *words, *run).out.splitlines()
    assert [json.loads(line)["node_id"] for line in objects] == nodes


def test_a_node_that_is_not_there_is_refused_with_the_nearest(volume: Volume) -> None:
    volume.write(*History().begin().start("lint").events)
    said = volume.call("show", RUN, "lnit")
    assert (said.status, said.out) == (1, b"")
    assert "no node 'lnit'; the nearest is lint" in said.err


def test_as_json_a_node_is_an_object(three: Volume) -> None:
    failed = json.loads(three.call("show", "--nodes", RUN, "b").out)
    assert failed == {
        "run_id": RUN,
        "node_id": "b",
        "state": "failed",
        "kind": "command",
        "name": None,
        "model": None,
        "started": "2026-02-01T00:00:00.000Z",
        "ended": "2026-02-01T00:00:04.000Z",
        "duration_ms": 4000,
        "error": "crash",
        "message": "no",
        "output": None,
        "steps": 0,
    }
    assert json.loads(three.call("show", "--nodes", RUN, "c").out)["state"] == "running"


def test_as_json_the_events_of_chosen_nodes_are_printed(three: Volume) -> None:
    lines = three.call("show", "--json", RUN, "a").out.splitlines()
    assert [json.loads(line)["type"] for line in lines] == ["node.started", "node.completed"]


@pytest.mark.parametrize("option", ["--failed", "--nodes", "--full", "--sort=name"])
def test_events_as_they_stand_take_no_options_for_nodes(three: Volume, option: str) -> None:
    assert three.call("show", "--json", option, RUN).status == 2


@pytest.mark.parametrize("node_id", ["../../../secret", "/etc/passwd", "a\0b"])
def test_a_node_id_that_leads_elsewhere_is_not_looked_for(volume: Volume, node_id: str) -> None:
    volume.write(*History().begin().start(node_id).fail(node_id).events)
    said = volume.call("show", RUN)
    assert (said.status, b"its output" in said.out) == (0, False)


def test_as_json_each_event_is_its_canonical_line(volume: Volume) -> None:
    events = of_every_type()
    spaced = omnelog.encode(events[0]).replace(b'":', b'" : ')
    volume.write(spaced, b"\n", *events[1:])
    said = volume.call("show", RUN, "--json")
    assert (said.status, said.err) == (0, "")
    assert said.out == b"".join(map(omnelog.encode, events))


@pytest.mark.parametrize(
    ("message", "shown"),
    [
        ("Traceback:\n  at\nKeyError: 'x'\n\n", "crash: KeyError: 'x'"),
        (None, "crash"),
        ("\x1b[31mred\x1b[0m", r"crash: \x1b[31mred\x1b[0m"),
        ("a\rb\tc\u202e", r"crash: a\rb\tc\u202e"),
    ],
)
def test_of_a_message_the_last_line_is_shown_harmless(
    volume: Volume, message: str | None, shown: str
) -> None:
    volume.write(started(), failed(message))
    assert volume.call("show", RUN).out.decode().splitlines()[-1].strip() == shown


@pytest.mark.parametrize("options", [["show"], ["tail"]], ids=lambda words: words[0])
def test_whatever_a_log_says_is_harmless_and_short(volume: Volume, options: list[str]) -> None:
    hostile = "\x1b]0;owned\x07\x9b\u202e\u2028\r\n\0" + "x" * 100_000
    head = {"id": hostile, "ts": hostile, "run_id": hostile}
    node = {**head, "node_id": hostile}
    volume.write(
        omnelog.PipeStarted(
            **head,
            pipe=hostile,
            inputs=[omnelog.Input(key=hostile, value=hostile)],
            distro_version=hostile,
        ),
        omnelog.NodeStarted(**node, kind=omnelog.NodeKind.LOOP, name=hostile, model=hostile),
        omnelog.IterationStarted(**node, iteration=1, byte_offset=1),
        omnelog.GatePassed(**node, gate=hostile, method=omnelog.GateMethod.HOOK),
        omnelog.NodeFailed(
            **node,
            error=omnelog.NodeError(kind=omnelog.ErrorKind.CRASH),
            message=hostile.replace("\n", ""),
        ),
        omnelog.NodeCompleted(**node, output_path=hostile),
        omnelog.PipeAborted(**head, reason=hostile),
    )
    said = volume.call(*options, RUN)
    assert said.status == 0
    lines = said.out.decode().split("\n")
    assert all(line.isprintable() for line in lines)
    assert max(map(len, lines)) < 1000


def test_a_long_node_id_shifts_no_line_but_its_own(volume: Volume) -> None:
    volume.write(*History().begin().start("n" * 60).start("m").abort().events)
    long, short = volume.call("show", RUN).out.decode().splitlines()[-2:]
    assert short == "⏸  m  +2.0s  no end  command"
    assert long == f"⏸  {'n' * 60}  +1.0s  no end  command"


@pytest.mark.parametrize("options", [["show"], ["show", "--json"], ["tail", "-n", "+1"]])
@pytest.mark.parametrize(
    "damage",
    [
        b'{"type":"\xff"}\n',
        b"\0\0\0\0\n",
        b'{"type":"no.such"}\n',
        b'{"n":' + b"9" * 5000 + b"}\n",
        b"[" * 100_000 + b"\n",
        b"x" * 10_000_000 + b"\n",
    ],
    ids=["UTF-8", "NUL", "type", "digits", "nesting", "10 MB"],
)
def test_of_a_damaged_log_all_that_is_sound_is_shown_and_the_rest_is_reported(
    volume: Volume, options: list[str], damage: bytes
) -> None:
    path = volume.write(started(), damage, completed())
    said = volume.call(*options, RUN)
    assert said.status == 1
    assert b"feature" in said.out  # from the event before the damage
    assert b"completed" in said.out  # from the event after it
    assert said.err.startswith(f"{path}:2: ")
    assert said.err.count("\n") == 1
    assert len(said.err) < 1000


def test_of_a_log_with_nothing_but_damage_a_hundred_findings_are_reported(volume: Volume) -> None:
    volume.write(b"damage\n" * 1234)
    said = volume.call("show", RUN)
    assert said.status == 1
    *first, last = said.err.splitlines()
    assert len(first) == 100
    assert "and 1134 more" in last


@pytest.mark.parametrize("verb", ["show", "tail"])
def test_a_torn_tail_is_reported(volume: Volume, verb: str) -> None:
    path = volume.write(started(), b'{"type":"pipe.co')
    said = volume.call(verb, RUN)
    assert (said.status, b"feature" in said.out) == (1, True)
    assert said.err.startswith(f"{path}:2: ")


def test_a_line_being_written_is_reported_and_is_not_damage(volume: Volume) -> None:
    path = volume.write(started(), b'{"type":"pipe.co')
    with locked(path):
        said = volume.call("show", RUN)
    assert (said.status, b"feature" in said.out) == (0, True)
    assert "being written" in said.err


def test_a_sound_line_of_10_megabytes_is_shown_in_short_and_whole_as_json(volume: Volume) -> None:
    volume.write(failed("x" * 10_000_000))
    said = volume.call("show", RUN)
    assert said.status == 0
    assert b"(10000007 characters)" in said.out
    assert len(said.out) < 2000
    assert len(volume.call("show", RUN, "--json").out) > 10_000_000


@pytest.mark.parametrize("verb", ["show", "tail"])
@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir])
def test_a_log_that_is_not_a_file_is_an_error_and_does_not_hang(
    volume: Volume, make: Callable[[Path], object], verb: str
) -> None:
    path = volume.log()
    make(path)
    said = volume.call(verb, RUN)
    assert (said.status, said.out) == (1, b"")
    assert f"{path}: " in said.err


def test_a_run_without_a_log_has_no_events_yet(volume: Volume) -> None:
    volume.log()
    said = volume.call("show", RUN)
    assert (said.status, said.out) == (0, b"")
    assert "no events yet" in said.err


@pytest.mark.parametrize("run_id", ["..", "../..", "a/b", ""])
def test_a_run_id_that_leads_elsewhere_is_refused(volume: Volume, run_id: str) -> None:
    said = volume.call("show", run_id)
    assert (said.status, "plain path component" in said.err) == (1, True)


class TestOnOutputsThatDoNotTakeIt:
    @pytest.mark.parametrize("words", [["show", RUN], ["tail", RUN], ["runs"], ["--help"]])
    def test_a_reader_that_is_gone_ends_it_quietly(self, volume: Volume, words: list[str]) -> None:
        volume.write(started())
        outlet, inlet = os.pipe()
        os.close(outlet)
        said = volume.run(*words, stdout=inlet)
        os.close(inlet)
        assert (said.status, said.err) == (141, "")

    @pytest.mark.parametrize("encoding", ["latin-1", "ascii"])
    def test_what_its_encoding_lacks_is_escaped_and_signs_are_ascii(
        self, volume: Volume, encoding: str
    ) -> None:
        volume.write(*History().begin().start("n").fail("n", message="caf\xe9 \u2713").events)
        said = volume.shell(f"PYTHONIOENCODING={encoding} omnelog show {RUN}")
        assert (said.status, said.err) == (0, "")
        sign, message = said.out.splitlines()[-2:]
        assert sign.split()[:2] == [b"x", b"n"]
        cafe = b"caf\xe9" if encoding == "latin-1" else b"caf\\xe9"
        assert message.strip() == b"crash: " + cafe + b" \\u2713"

    @pytest.mark.parametrize("verb", ["show", "tail", "verify"])
    def test_a_full_disk_is_one_line_that_says_what_to_do(self, volume: Volume, verb: str) -> None:
        volume.write(started(), *(b"" if verb != "verify" else b"x\n",))
        with open("/dev/full", "wb") as full:
            said = volume.run(verb, RUN, stdout=full)
        assert said.status == (2 if verb == "verify" else 1)
        assert said.err == (
            "omnelog: standard output: No space left on device; make room, then try again\n"
        )

    def test_a_closed_one_is_one_line(self, volume: Volume) -> None:
        volume.write(started())
        said = volume.shell(f"omnelog show {RUN} >&-")
        advice = "redirect it to a file or a pipe"
        assert said.status == 1
        assert said.err == f"omnelog: standard output is closed; {advice}\n"

    def test_with_all_three_closed_it_ends(self, volume: Volume) -> None:
        volume.write(started())
        said = volume.shell(f"omnelog show {RUN} <&- >&- 2>&-")
        assert (said.status, said.out, said.err) == (1, b"", "")


def test_an_unreadable_log_is_one_line(volume: Volume) -> None:
    path = volume.write(started())
    path.chmod(0)
    said = volume.run("show", RUN, prefix=powerless())
    assert (said.status, said.out) == (1, b"")
    assert f"{path}: " in said.err
    assert "get the permission" in said.err
    assert said.err.count("\n") == 1
