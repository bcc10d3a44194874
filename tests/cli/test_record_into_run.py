# SPDX-License-Identifier: MIT
"""`record --run`: when it adds a node to a run, and when it refuses to."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from .. import omnelog
from .volume import RUN, Volume, aborted, completed, started


class TestAddingToARun:
    def record(self, volume: Volume, run_id: str = RUN, node_id: str = "n") -> str:
        """Try to add a node, check that this is refused and nothing is run; return the message."""
        before = sorted(volume.root.rglob("*"))
        log = volume.log(run_id) if run_id == RUN else None
        held = log.read_bytes() if log and log.is_file() else None
        said = volume.call("record", "--run", run_id, node_id, "--", "touch", "ran")
        assert (said.status, said.out) == (125, b"")
        assert said.err.startswith("omnelog: ")
        assert said.err.count("\n") == 1
        assert not (volume.root / "ran").exists()
        if log and held is not None:
            assert log.read_bytes() == held
            assert sorted(volume.root.rglob("*")) == before
        return said.err

    def test_is_possible_while_it_goes_on(
        self, volume: Volume, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        volume.write(started())
        monkeypatch.setenv("OMNE_RUN_ID", RUN)
        said = volume.call("record", "n", "--", "false")
        assert (said.status, said.err) == (1, "")
        assert volume.types(RUN) == ["pipe.started", "node.started", "node.failed"]

    @pytest.mark.parametrize("end", [completed(), aborted()], ids=["completed", "aborted"])
    def test_is_refused_once_it_has_ended(self, volume: Volume, end: "omnelog.Event") -> None:
        volume.write(started(), b"damage\n", end, b"damage\n")
        assert "has ended already" in self.record(volume)

    def test_is_refused_if_the_run_does_not_exist(self, volume: Volume) -> None:
        assert "no run 'nope'" in self.record(volume, "nope")
        assert volume.runs() == []

    @pytest.mark.parametrize("run_id", ["..", "../x", "a/b"])
    def test_is_refused_where_the_run_id_leads_elsewhere(self, volume: Volume, run_id: str) -> None:
        assert "plain path component" in self.record(volume, run_id)

    @pytest.mark.parametrize("node_id", ["", ".", "..", "a/b", "a\\b", "a\nb", "a\x1b", "\udcff"])
    def test_is_refused_for_a_node_id_that_is_not_a_plain_name(
        self, volume: Volume, node_id: str
    ) -> None:
        volume.write(started())
        assert "node id" in self.record(volume, node_id=node_id)

    def test_is_refused_for_a_node_that_is_there_and_its_capture_kept(self, volume: Volume) -> None:
        volume.write(started())
        volume.call("record", "--run", RUN, "n", "--", "echo", "first")
        assert "already" in self.record(volume)
        assert volume.capture(RUN, "n") == b"first\n"

    def test_is_refused_for_a_node_that_was_claimed_this_very_moment(self, volume: Volume) -> None:
        path = volume.write(started()).parent / "nodes" / "n.out"
        path.parent.mkdir()
        path.touch()
        assert "already" in self.record(volume)

    def test_is_possible_for_a_node_that_another_program_started_without_claiming_it(
        self, volume: Volume
    ) -> None:
        """The claim is the file for the output of the node (SPEC: VOL-26).

        `record` does not look for the node in the log, because that would take longer as the log
        grows. It is `verify` that finds that the node was started twice.
        """
        kind = omnelog.NodeKind.PROMPT
        ts = "2026-01-31T23:59:59Z"
        volume.write(
            started(), omnelog.NodeStarted(id="x", ts=ts, run_id=RUN, node_id="n", kind=kind)
        )
        assert volume.call("record", "--run", RUN, "n", "--", "true").status == 0
        assert b"node 'n' started again, after line 2" in volume.call("verify", RUN).out

    def test_reads_the_same_of_a_long_log_and_of_one_twice_as_long(
        self, volume: Volume, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The test counts the bytes. 5,000 nodes make a log of a megabyte and a half."""
        read: list[int] = []
        totals = []

        def pread(fd: int, size: int, offset: int) -> bytes:
            data = real(fd, size, offset)
            read.append(len(data))
            return data

        real = os.pread
        monkeypatch.setattr(os, "pread", pread)
        head = {"id": "x" * 26, "ts": "2026-01-31T23:59:59Z", "run_id": RUN}
        node = omnelog.NodeStarted(**head, node_id="n" * 150, kind=omnelog.NodeKind.BASH)
        lines = omnelog.encode(node) * 2500
        path = volume.write(started())
        for number in range(2):
            with path.open("ab") as log:
                log.write(lines)
            read.clear()
            said = volume.call("record", "--run", RUN, f"n{number}", "--", "true")
            assert said.status == 0
            totals.append(sum(read))
        assert abs(totals[1] - totals[0]) < 1000 < totals[0]  # the last lines of the two differ

    @pytest.mark.parametrize("make", [os.mkfifo, os.mkdir])
    def test_is_refused_if_the_log_is_not_a_file(
        self, volume: Volume, make: Callable[[Path], object]
    ) -> None:
        path = volume.log()
        make(path)
        assert str(path) in self.record(volume)

    def test_repairs_a_torn_tail(self, volume: Volume) -> None:
        path = volume.write(started(), b'{"torn')
        assert volume.call("record", "--run", RUN, "n", "--", "true").status == 0
        assert volume.types(RUN) == ["pipe.started", "node.started", "node.completed"]
        assert path.with_name("events.jsonl.torn").read_bytes() == b'{"torn\n'
