# SPDX-License-Identifier: MIT
"""The comparison of the usual ways: each of its columns is filled by a way broken on purpose."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from io import StringIO
from pathlib import Path
from time import sleep
from typing import Any

import pytest
from rich.console import Console

from stress import comparison, logs
from stress.command import main
from stress.comparison import PLAIN, Cell, compare, notes, table
from stress.damage import Damage
from stress.faults import KILL, REPLACE, SHORT_WRITE
from stress.logs import OMNELOG
from stress.progress import Progress
from stress.usual_ways import WAYS, Append, Way

from ..ctrl_c import press_ctrl_c
from ..documents import PROJECT

TOO_LONG_S = 100  # only a hang takes so long
SHORT = {PLAIN: 0.1, KILL: 0.1, SHORT_WRITE: 0.1, REPLACE: 2.4}

Put = Callable[[bytes], object]
"""Writes bytes at the end of the log, in one call."""


def _lose(put: Put, text: str) -> None:
    pass


def _tear(put: Put, text: str) -> None:
    put(text[: len(text) // 2].encode() + b"\n")


def _glue(put: Put, text: str) -> None:
    put(text.encode())


def _refuse(put: Put, text: str) -> None:
    raise OSError("no room")


def _write_twice(put: Put, text: str) -> None:
    put(text.encode() + b"\n" + text.encode() + b"\n")


def _write_zeros(put: Put, text: str) -> None:
    put(bytes(len(text)) + b"\n")


def _broken(blunder: Callable[[Put, str], None], every: int) -> Way:
    """A way that treats one record in `every` wrongly, and appends the others correctly."""

    @contextmanager
    def opening(path: Path) -> Iterator[Append]:
        calls = 0

        def put(data: bytes) -> None:
            fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
            os.write(fd, data)
            os.close(fd)

        def append(text: str) -> None:
            nonlocal calls
            calls += 1
            if calls % every == 0:
                blunder(put, text)
            else:
                put(text.encode() + b"\n")

        yield append

    return Way(opening=opening)


@contextmanager
def _overtake(path: Path) -> Iterator[Append]:
    """Holds back every other record of a thread until its next record is written."""
    held: dict[int, bytes] = {}
    with path.open("ab", buffering=0) as file:

        def append(text: str) -> None:
            line = text.encode() + b"\n"
            if before := held.pop(threading.get_ident(), b""):
                file.write(line + before)
            else:
                held[threading.get_ident()] = line

        yield append
        file.write(b"".join(held.values()))


@contextmanager
def _stay(path: Path) -> Iterator[Append]:
    """Never checks whether the file is still the one at the path."""
    with path.open("ab", buffering=0) as file:
        yield lambda text: file.write(text.encode() + b"\n")


@contextmanager
def _hang(path: Path) -> Iterator[Append]:
    """Appends nothing, and never returns from closing."""
    path.touch()
    yield lambda text: None
    sleep(TOO_LONG_S)


@pytest.fixture
def put_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Way, str], Cell]:
    """A function that runs a round of a way under a fault, and returns its cell."""

    def run(way: Way, fault: str) -> Cell:
        monkeypatch.setitem(WAYS, "broken", way)
        monkeypatch.setitem(logs.LOGS, "broken", logs.way("broken"))
        progress = Progress(Console(file=StringIO()))
        [cell] = compare(tmp_path, progress, seed=1, seconds=SHORT, ways=["broken"], faults=[fault])
        assert not list(tmp_path.iterdir())
        return cell

    return run


def _counts(cell: Cell) -> dict[str, int]:
    """The counts that are not 0, except for the acknowledged records."""
    assert cell.damage is not None, cell.why
    return {
        name: count
        for name, count in asdict(cell.damage).items()
        if count and name != "acknowledged"
    }


@pytest.mark.parametrize(
    ("blunder", "columns"),
    [
        (_lose, {"lost"}),
        (_tear, {"lost", "torn"}),
        (_glue, {"lost", "glued"}),
        (_refuse, {"refused"}),
        (_write_twice, {"twice"}),
        (_write_zeros, {"lost", "foreign"}),
    ],
)
def test_a_way_broken_on_purpose_fills_its_columns(
    put_to: Callable[[Way, str], Cell],
    blunder: Callable[[Put, str], None],
    columns: set[str],
) -> None:
    cell = put_to(_broken(blunder, 5), PLAIN)
    assert _counts(cell).keys() == columns
    assert not cell.hung


def test_a_way_that_lets_records_be_overtaken_has_them_out_of_order(
    put_to: Callable[[Way, str], Cell],
) -> None:
    assert _counts(put_to(Way(opening=_overtake), PLAIN)).keys() == {"out_of_order"}


def test_a_way_that_is_not_broken_fills_none(put_to: Callable[[Way, str], Cell]) -> None:
    cell = put_to(_broken(_lose, 1_000_000), PLAIN)
    assert _counts(cell) == {}
    assert cell.damage is not None
    assert cell.damage.acknowledged > 100
    assert not cell.violations


def test_a_way_that_stays_with_a_replaced_file_is_left_behind(
    put_to: Callable[[Way, str], Cell],
) -> None:
    assert _counts(put_to(Way(opening=_stay), REPLACE)).keys() == {"left_behind"}


def test_a_way_that_hangs_is_ended_and_reported(put_to: Callable[[Way, str], Cell]) -> None:
    cell = put_to(Way(opening=_hang), PLAIN)
    assert cell.hung
    assert _counts(cell).keys() == {"lost"}


def test_a_fault_under_which_a_way_cannot_be_tested_is_not_counted_as_no_damage(
    put_to: Callable[[Way, str], Cell],
) -> None:
    """Its documentation rules the fault out, it is not installed, or the fault had no effect."""
    cannot = put_to(Way(opening=_stay, cannot={KILL: "it is immortal"}), KILL)
    absent = put_to(Way(opening=_stay, module="no_such_module_anywhere"), PLAIN)
    # This way does not write through a file object of Python, so its writes are not cut short.
    unmoved = put_to(_broken(_lose, 1_000_000), SHORT_WRITE)
    cells = [cannot, absent, unmoved]
    assert [cell.damage for cell in cells] == [None] * 3
    said = "\n".join(notes(cells))
    for reason in ("it is immortal", "no_such_module_anywhere is not", "the fault never struck"):
        assert reason in said
    assert set(_cells(cells)) == {"·"}


def _cells(cells: list[Cell]) -> list[str]:
    faults = list(dict.fromkeys(cell.fault for cell in cells))
    shown = table(cells, faults)
    return [str(each) for column in shown.columns[1:] for each in column.cells]


def test_a_cell_names_each_count_that_is_not_0() -> None:
    damaged = Cell(way="w", fault=KILL, damage=Damage(acknowledged=9, lost=3, out_of_order=1))
    assert _cells([damaged]) == ["3 lost\n1 out of order"]
    assert _cells([Cell(way="w", fault=KILL, damage=Damage(acknowledged=9))]) == ["0"]
    assert _cells([Cell(way="w", fault=KILL, damage=Damage(), hung=True)]) == ["hung"]


@pytest.mark.parametrize("way", [*WAYS, OMNELOG])
def test_each_way_appends_all_where_nothing_strikes(tmp_path: Path, way: str) -> None:
    """Each way is used correctly, so what is lost under a fault is lost by the fault."""
    progress = Progress(Console(file=StringIO()))
    [cell] = compare(tmp_path, progress, seed=1, seconds=SHORT, ways=[way], faults=[PLAIN])
    if way in WAYS and not WAYS[way].installed:
        pytest.skip(cell.why)
    assert cell.damage is not None, cell.why
    assert _counts(cell) == {}


def test_the_strikes_of_a_fault_are_given_from_the_lowest_to_the_highest() -> None:
    cells = [
        Cell(way=way, fault=KILL, damage=Damage(), strikes=strikes)
        for way, strikes in (("a", 9), ("b", 1005))
    ]
    said = "Strikes of each fault, lowest to highest of the ways: kill 9 to 1,005."
    assert list(notes(cells))[-1] == said


@pytest.mark.parametrize(
    ("damage", "violations", "said"),
    [
        (None, {}, "FAILED: omnelog was not tested under kill"),
        (Damage(lost=1), {"x": 1}, "VIOLATED: omnelog did not keep its promises; see the report"),
    ],
)
def test_omnelog_has_to_be_tested_and_found_sound(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    damage: Damage | None,
    violations: dict[str, int],
    said: str,
) -> None:
    cell = Cell(way=OMNELOG, fault=KILL, damage=damage, why="it is", violations=violations)
    monkeypatch.setattr(comparison, "compare", lambda *_, **__: iter([cell]))
    assert main(["--peers", "--seed", "1"]) == 1
    shown = capsys.readouterr().out
    assert said in shown
    assert ("VIOLATED" in shown, "FAILED" in shown) == (damage is not None, damage is None)


FEW = """
import sys
from stress import comparison, logs
from stress.command import main
comparison.ALL_WAYS = ('open("a")', logs.OMNELOG)
comparison.QUICK = dict.fromkeys(comparison.FAULTS, float(sys.argv[1]))
sys.exit(main(["--peers", "--quick", "--seed", "1", *sys.argv[2:]]))
"""


def test_it_runs_as_a_program_and_writes_all_it_counted(tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    command = [sys.executable, "-W", "error", "-c", FEW, "0.3"]
    options = ["--fault", "short-write", "--json", str(report)]
    done = subprocess.run(
        [*command, *options], cwd=PROJECT, capture_output=True, text=True, timeout=TOO_LONG_S
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "Repeat with: python -m stress --seed 1 --quick --fault short-write --peers" in (
        done.stdout
    )
    assert not {"\r", "\x1b"} & set(done.stdout)
    cells: dict[tuple[str, str], dict[str, Any]] = {
        (cell["way"], cell["fault"]): cell for cell in json.loads(report.read_text())["cells"]
    }
    assert len(cells) == 4
    usual, ours = (cells[way, SHORT_WRITE] for way in ('open("a")', OMNELOG))
    assert usual["damage"]["lost"] > 0
    assert usual["violations"]
    assert ours["strikes"] > 0
    assert ours["violations"] == {}


def _may_mount() -> bool:
    script = "unshare --user --map-root-user --mount -- mount -t tmpfs x /mnt"
    return subprocess.run(["sh", "-c", script], capture_output=True).returncode == 0


@pytest.mark.skipif(not _may_mount(), reason="no disk may be mounted here")
def test_the_disk_of_a_round_is_known_to_be_one(tmp_path: Path) -> None:
    """A way that the parent opens is tested under a full disk only if there is one."""
    report = tmp_path / "report.json"
    few = FEW.replace('open("a")', "loguru, enqueue")
    command = [sys.executable, "-W", "error", "-c", few, "0.3"]
    options = ["--fault", "enospc", "--json", str(report)]
    done = subprocess.run(
        [*command, *options], cwd=PROJECT, capture_output=True, text=True, timeout=TOO_LONG_S
    )
    whys = [cell["why"] for cell in json.loads(report.read_text())["cells"]]
    assert (done.returncode, whys) == (0, [""] * 4), done.stdout


def test_ctrl_c_ends_it_with_the_results_so_far() -> None:
    command = [sys.executable, "-W", "error", "-c", FEW, "60", "--fault", "none"]
    done = press_ctrl_c(command, lambda line: line == "omnelog stress --peers, seed 1\n")
    assert (done.returncode, done.stderr) == (130, ""), done.stdout
    assert "Interrupted after 0 rounds." in done.stdout


@pytest.mark.parametrize(
    "arguments",
    [["--soak", "1"], ["--log", "lines"], ["--fault", "freeze"], ["--sabotage", "no-lock"]],
)
def test_an_argument_that_peers_rule_out_is_named_in_the_error(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as raised:
        main(["--peers", *arguments])
    assert raised.value.code == 2
    *_, error = capsys.readouterr().err.splitlines()  # below the usage, which names all options
    assert arguments[0] in error
