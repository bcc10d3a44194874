# SPDX-License-Identifier: MIT
"""Where a volume keeps its runs, and which names can be runs."""

import errno
import os
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from . import omnelog
from .strategies import HOSTILE_RUN_IDS, hostile_run_ids, plain_run_ids, texts

RUN = "feature-01kpfntqeej7vhn935kc0tm9vn"


# ---- paths ----

PATHS: dict[str, tuple[Callable[[Any], Path], str]] = {
    "omne_dir": (omnelog.omne_dir, "/v/.omne"),
    "var_dir": (omnelog.var_dir, "/v/.omne/var"),
    "runs_dir": (omnelog.runs_dir, "/v/.omne/var/runs"),
    "ulid_lock_path": (omnelog.ulid_lock_path, "/v/.omne/var/.ulid-last"),
    "run_dir": (
        lambda root: omnelog.run_dir(root, RUN),
        "/v/.omne/var/runs/feature-01kpfntqeej7vhn935kc0tm9vn",
    ),
    "events_log_path": (
        lambda root: omnelog.events_log_path(root, RUN),
        "/v/.omne/var/runs/feature-01kpfntqeej7vhn935kc0tm9vn/events.jsonl",
    ),
    "nodes_dir": (
        lambda root: omnelog.nodes_dir(root, RUN),
        "/v/.omne/var/runs/feature-01kpfntqeej7vhn935kc0tm9vn/nodes",
    ),
}

by_path = pytest.mark.parametrize(("path_of", "expected"), PATHS.values(), ids=PATHS)


@by_path
def test_each_path_is_where_every_implementation_looks(
    path_of: Callable[[Any], Path], expected: str
) -> None:
    assert path_of("/v") == Path(expected)
    assert path_of(Path("/v")) == Path(expected)
    assert isinstance(path_of("/v"), Path)


@pytest.mark.spec("VOL-2")
@by_path
def test_the_root_is_taken_as_given(path_of: Callable[[Any], Path], expected: str) -> None:
    below = expected.removeprefix("/v/")
    assert path_of("") == Path(below)
    assert path_of("some/../where") == Path("some/../where", below)
    assert path_of(PurePosixPath("/v w\n")) == Path("/v w\n", below)


@by_path
def test_asking_for_a_path_touches_nothing(
    path_of: Callable[[Any], Path], expected: str, tmp_path: Path
) -> None:
    path_of(tmp_path / "v")
    assert list(tmp_path.iterdir()) == []


def test_the_wire_path_of_a_capture_is_relative_with_forward_slashes() -> None:
    assert (
        omnelog.node_capture_wire_path(RUN, "plan")
        == ".omne/var/runs/feature-01kpfntqeej7vhn935kc0tm9vn/nodes/plan.out"
    )


@given(plain_run_ids())
def test_the_wire_path_leads_from_the_root_into_nodes_dir(run_id: str) -> None:
    wire = omnelog.node_capture_wire_path(run_id, "n")
    assert Path("/v", wire) == omnelog.nodes_dir("/v", run_id) / "n.out"


by_odd_root = pytest.mark.parametrize("root", ["a\0b", "\ud800"], ids=["NUL", "lone surrogate"])


@by_odd_root
def test_a_root_that_no_system_takes_is_a_value_error_or_has_no_runs(root: str) -> None:
    takes_a_root: list[Callable[[Any], object]] = [
        omnelog.allocate_ulid,
        omnelog.enumerate_runs,
        omnelog.find_omne_root,
        lambda root: omnelog.EventLog.for_run(root, RUN),
        lambda root: omnelog.read_run(root, RUN),
        lambda root: next(omnelog.follow_run(root, RUN)),
    ]
    for function in takes_a_root:
        with pytest.raises(ValueError, match=r"embedded null|surrogates not allowed"):
            function(root)
    assert not omnelog.run_exists(root, RUN)


def test_a_root_with_bytes_that_are_not_utf8_is_taken(tmp_path: Path) -> None:
    root = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff"))
    make_run(root, RUN)
    assert omnelog.enumerate_runs(root) == [RUN]
    assert omnelog.find_omne_root(root) == root


# ---- which names can be runs ----

TAKING_A_RUN_ID: dict[str, Callable[[Any, Any], object]] = {
    "run_dir": omnelog.run_dir,
    "events_log_path": omnelog.events_log_path,
    "nodes_dir": omnelog.nodes_dir,
    "node_capture_wire_path": lambda _, run_id: omnelog.node_capture_wire_path(run_id, "n"),
    "node_capture_wire_path-node_id": lambda _, run_id: omnelog.node_capture_wire_path(RUN, run_id),
    "run_exists": omnelog.run_exists,
    "EventLog.for_run": omnelog.EventLog.for_run,
    "read_run": omnelog.read_run,
    "iter_run": omnelog.iter_run,
    "scan_run": omnelog.scan_run,
    "follow_run": omnelog.follow_run,
}

by_function = pytest.mark.parametrize("function", TAKING_A_RUN_ID.values(), ids=TAKING_A_RUN_ID)


@by_function
@pytest.mark.parametrize("run_id", HOSTILE_RUN_IDS.values(), ids=HOSTILE_RUN_IDS)
def test_a_hostile_run_id_is_refused_before_anything_is_touched(
    function: Callable[[Any, Any], object], run_id: object, tmp_path: Path
) -> None:
    root = tmp_path / "volume"
    with pytest.raises(omnelog.InvalidRunId) as caught:
        function(root, run_id)
    error = caught.value
    assert isinstance(error, ValueError)
    assert str(error).isprintable()
    assert len(str(error)) < 200
    assert str(pickle.loads(pickle.dumps(error))) == str(error)
    assert list(tmp_path.iterdir()) == []


@given(hostile_run_ids())
def test_no_hostile_run_id_is_accepted(run_id: Any) -> None:
    with pytest.raises(omnelog.InvalidRunId):
        omnelog.run_dir("/v", run_id)


def test_a_refusal_says_which_id_it_is_and_how_it_reads() -> None:
    with pytest.raises(omnelog.InvalidRunId, match=r"run_id '\.\./x'"):
        omnelog.run_dir("/v", "../x")
    with pytest.raises(omnelog.InvalidRunId, match=r"node_id 'a/b'"):
        omnelog.node_capture_wire_path(RUN, "a/b")


@given(texts() | st.text(st.sampled_from("./\\\0a:")))
def test_a_run_id_that_is_accepted_is_a_direct_child_of_runs_dir(run_id: str) -> None:
    try:
        path = omnelog.run_dir("/v", run_id)
    except omnelog.InvalidRunId:
        return
    assert path.parent == omnelog.runs_dir("/v")
    assert path.name == run_id
    assert os.path.normpath(path) == str(path)
    os.fsencode(path)


@given(plain_run_ids())
def test_a_run_id_as_omne_makes_it_is_accepted(run_id: str) -> None:
    assert omnelog.run_dir("/v", run_id).name == run_id


@pytest.mark.parametrize("run_id", ["a", "...", ".a", "a.", "-", "~", "a b", "é", "\u2028", "\n"])
def test_a_plain_component_is_accepted_however_odd(run_id: str, tmp_path: Path) -> None:
    omnelog.run_dir(tmp_path, run_id).mkdir(parents=True)
    assert omnelog.enumerate_runs(tmp_path) == [run_id]
    assert omnelog.run_exists(tmp_path, run_id)


@pytest.mark.spec("VOL-6")
@pytest.mark.parametrize("run_id", ["C:", "C:x", "c:..", "C:events.jsonl"])
def test_a_drive_is_refused_because_the_volume_may_move_to_where_it_is_one(run_id: str) -> None:
    assert PureWindowsPath("runs", run_id).parent != PureWindowsPath("runs")
    with pytest.raises(omnelog.InvalidRunId):
        omnelog.run_dir("/v", run_id)


# ---- which runs there are ----


def make_run(root: Path, run_id: str, *, log: bool = True) -> Path:
    run = omnelog.run_dir(root, run_id)
    run.mkdir(parents=True)
    if log:
        omnelog.events_log_path(root, run_id).write_bytes(b"")
    return run


def test_a_fresh_volume_has_no_runs(tmp_path: Path) -> None:
    assert omnelog.enumerate_runs(tmp_path / "nowhere") == []
    assert omnelog.enumerate_runs(tmp_path) == []
    omnelog.var_dir(tmp_path).mkdir(parents=True)
    assert omnelog.enumerate_runs(tmp_path) == []
    omnelog.runs_dir(tmp_path).mkdir()
    assert omnelog.enumerate_runs(tmp_path) == []


def test_runs_are_sorted_by_code_point(tmp_path: Path) -> None:
    names = ["b", "a", "B", "a-2", "a-10", "é", "z", "\U0001f600", "\uffff", "_", "0"]
    for name in names:
        make_run(tmp_path, name)
    expected = ["0", "B", "_", "a", "a-10", "a-2", "b", "z", "é", "\uffff", "\U0001f600"]
    assert omnelog.enumerate_runs(tmp_path) == expected
    assert omnelog.enumerate_runs(str(tmp_path)) == expected


def test_a_run_directory_without_a_log_is_listed(tmp_path: Path) -> None:
    make_run(tmp_path, "bare", log=False)
    make_run(tmp_path, "full")
    assert omnelog.enumerate_runs(tmp_path) == ["bare", "full"]


def test_run_exists_distinguishes_created_from_absent(tmp_path: Path) -> None:
    assert not omnelog.run_exists(tmp_path, "one")
    make_run(tmp_path, "one")
    assert omnelog.run_exists(tmp_path, "one")
    assert not omnelog.run_exists(tmp_path, "two")


def test_what_is_a_run_is_so_for_enumerate_runs_and_run_exists_alike(tmp_path: Path) -> None:
    runs = omnelog.runs_dir(tmp_path)
    make_run(tmp_path, "directory")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (runs / "link").symlink_to(elsewhere)
    (runs / "link-to-link").symlink_to("link")
    (runs / "link-within").symlink_to("directory")
    (runs / "dangling").symlink_to(tmp_path / "missing")
    (runs / "loop").symlink_to("loop")
    (runs / "loop-1").symlink_to("loop-2")
    (runs / "loop-2").symlink_to("loop-1")
    (runs / "file").write_bytes(b"")
    (runs / "link-to-file").symlink_to("file")
    os.mkfifo(runs / "fifo")
    found = omnelog.enumerate_runs(tmp_path)
    assert found == ["directory", "link", "link-to-link", "link-within"]
    for entry in runs.iterdir():
        assert omnelog.run_exists(tmp_path, entry.name) == (entry.name in found), entry


@pytest.mark.parametrize("name", [b"\xff", b"a\xe9", b"\xed\xa0\x80", b"a\\b", b"\\"])
def test_a_directory_whose_name_cannot_be_a_run_id_is_not_a_run(
    name: bytes, tmp_path: Path
) -> None:
    make_run(tmp_path, "a")
    (omnelog.runs_dir(tmp_path) / os.fsdecode(name)).mkdir()
    assert omnelog.enumerate_runs(tmp_path) == ["a"]
    with pytest.raises(omnelog.InvalidRunId):
        omnelog.run_exists(tmp_path, os.fsdecode(name))


def test_every_run_listed_can_be_asked_for(tmp_path: Path) -> None:
    for name in ("...", " ", "a\n", "\u2028", "x" * 255):
        make_run(tmp_path, name)
    found = omnelog.enumerate_runs(tmp_path)
    assert len(found) == 5
    assert all(omnelog.run_exists(tmp_path, run_id) for run_id in found)
    assert [omnelog.read_run(tmp_path, run_id) for run_id in found] == [[]] * 5


@pytest.mark.parametrize("blocked", ["var/runs", "var", ""], ids=["runs", "var", "omne"])
def test_a_file_where_the_runs_belong_is_an_error_and_not_an_empty_volume(
    blocked: str, tmp_path: Path
) -> None:
    file = omnelog.omne_dir(tmp_path) / blocked
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(b"")
    with pytest.raises(omnelog.LogIOError) as caught:
        omnelog.enumerate_runs(tmp_path)
    assert caught.value.errno == errno.ENOTDIR
    assert caught.value.filename == str(omnelog.runs_dir(tmp_path))
    assert str(caught.value).startswith(f"{omnelog.runs_dir(tmp_path)}: ")
    assert isinstance(caught.value.__cause__, OSError)


def test_a_loop_where_the_runs_belong_is_an_error(tmp_path: Path) -> None:
    omnelog.var_dir(tmp_path).mkdir(parents=True)
    omnelog.runs_dir(tmp_path).symlink_to("runs")
    with pytest.raises(omnelog.LogIOError) as caught:
        omnelog.enumerate_runs(tmp_path)
    assert caught.value.errno == errno.ELOOP


def test_a_directory_that_may_not_be_listed_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def denied(path: object) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))

    make_run(tmp_path, "a")
    monkeypatch.setattr(os, "scandir", denied)
    with pytest.raises(omnelog.LogIOError) as caught:
        omnelog.enumerate_runs(tmp_path)
    assert caught.value.errno == errno.EACCES


# ---- which volume ----


@pytest.fixture
def volume(tmp_path: Path) -> Path:
    root = tmp_path.resolve() / "volume"
    omnelog.omne_dir(root).mkdir(parents=True)
    return root


def test_a_volume_is_found_from_its_root_and_from_anywhere_below(volume: Path) -> None:
    below = volume / "a" / "b"
    below.mkdir(parents=True)
    for start in (volume, below, volume / ".omne", str(below), below / ".." / "b"):
        assert omnelog.find_omne_root(start) == volume


def test_the_nearest_volume_wins(volume: Path) -> None:
    inner = volume / "a" / "inner"
    (inner / ".omne").mkdir(parents=True)
    (inner / "b").mkdir()
    assert omnelog.find_omne_root(inner / "b") == inner
    assert omnelog.find_omne_root(inner) == inner
    assert omnelog.find_omne_root(volume / "a") == volume


def test_a_symlink_leads_to_the_volume_around_its_target(volume: Path, tmp_path: Path) -> None:
    (volume / "a").mkdir()
    link = tmp_path / "link"
    link.symlink_to(volume / "a")
    assert omnelog.find_omne_root(link) == volume


def test_a_symlink_out_of_a_volume_leads_out_of_it(volume: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    (other / ".omne").mkdir(parents=True)
    (volume / "link").symlink_to(other)
    assert omnelog.find_omne_root(volume / "link") == other.resolve()


def test_a_start_that_is_relative_counts_from_the_working_directory(
    volume: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(volume)
    assert omnelog.find_omne_root(".") == volume
    assert omnelog.find_omne_root("not/there/yet") == volume


@pytest.mark.usefixtures("gone_directory")
def test_a_start_that_is_relative_is_refused_where_the_working_directory_is_gone() -> None:
    with pytest.raises(omnelog.LogIOError, match="No such file"):
        omnelog.find_omne_root(".")


def test_a_start_that_is_a_file_or_missing_counts_as_what_it_is_in(volume: Path) -> None:
    (volume / "file").write_bytes(b"")
    assert omnelog.find_omne_root(volume / "file") == volume
    assert omnelog.find_omne_root(volume / "missing" / "too") == volume


def test_a_symlink_to_a_directory_makes_a_volume(tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()
    (tmp_path / ".omne").symlink_to("store")
    assert omnelog.find_omne_root(tmp_path) == tmp_path.resolve()


@pytest.mark.parametrize("kind", ["file", "dangling", "loop", "fifo"])
def test_what_is_not_a_directory_does_not_make_a_volume(kind: str, volume: Path) -> None:
    inner = volume / "inner"
    inner.mkdir()
    match kind:
        case "file":
            (inner / ".omne").write_bytes(b"")
        case "dangling":
            (inner / ".omne").symlink_to("missing")
        case "loop":
            (inner / ".omne").symlink_to(".omne")
        case "fifo":
            os.mkfifo(inner / ".omne")
    assert omnelog.find_omne_root(inner) == volume


def test_no_volume_anywhere_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    looked_at: list[Path] = []

    def isdir(path: Any) -> bool:
        looked_at.append(Path(path))
        return False

    monkeypatch.setattr(os.path, "isdir", isdir)
    assert omnelog.find_omne_root(tmp_path) is None
    here = tmp_path.resolve()
    assert looked_at == [path / ".omne" for path in (here, *here.parents)]


# ---- the locale ----

ASCII_LOCALE = {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}
NAMES_IN_A_LOCALE = f"""
import sys
import {omnelog.__name__} as omnelog
event = omnelog.PipeCompleted(id="i", ts="t", run_id="caf\\xe9")
with omnelog.EventLog.for_run(sys.argv[1], "caf\\xe9") as log:
    log.append(event)
assert sys.getfilesystemencoding() == "ascii", sys.getfilesystemencoding()
assert omnelog.enumerate_runs(sys.argv[1]) == ["caf\\xe9"]
assert omnelog.run_exists(sys.argv[1], "caf\\xe9")
assert omnelog.read_run(sys.argv[1], "caf\\xe9") == [event]
"""


@pytest.mark.spec("VOL-1", "VOL-16")
@pytest.mark.skipif(os.name == "nt", reason="names are UTF-16 there in every locale")
def test_names_on_disk_are_utf_8_in_every_locale(tmp_path: Path) -> None:
    """The locale here does not have the letter. A name that is not UTF-8 is left out."""
    runs = omnelog.runs_dir(tmp_path)
    os.makedirs(os.path.join(os.fsencode(runs), b"caf\xe9"))
    environment = (
        os.environ | ASCII_LOCALE | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    )
    command = [sys.executable, "-c", NAMES_IN_A_LOCALE, str(tmp_path)]
    subprocess.run(command, env=environment, check=True, timeout=60)
    assert sorted(os.listdir(os.fsencode(runs))) == [b"caf\xc3\xa9", b"caf\xe9"]
    assert omnelog.enumerate_runs(tmp_path) == ["caf\xe9"]
