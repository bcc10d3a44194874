# SPDX-License-Identifier: MIT
"""The checker accepts every possible history, and finds the smallest damage to it."""

from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given
from hypothesis import strategies as st

from .made_up_rounds import Call, MadeUp, line, look

OUTCOMES = ["acknowledged", "acknowledged", "indeterminate", "refused", "timed out"]


@st.composite
def sound_histories(draw: st.DrawFn) -> MadeUp:
    """Histories of a correct log: writers that call, write and return, in any interleaving.

    Time stands still between some steps, so that equal times occur.
    """
    writers = draw(st.integers(1, 4))
    calls: dict[int, list[Call]] = {writer: [] for writer in range(1, writers + 1)}
    phase = dict.fromkeys(calls, 0)  # 0: idle, 1: called, 2: past its write
    looking: tuple[int, bytes | None] | None = None
    log, now, snapshots = b"", 0, []
    outcome = dict.fromkeys(calls, "")
    steps = draw(st.lists(st.integers(0, writers), max_size=40))
    for step in [*steps, *(writer for writer in calls for _ in range(2) if steps)]:
        now += draw(st.integers(0, 2))
        if not step:
            if looking is None:
                looking = now, None
            elif looking[1] is None:
                looking = looking[0], log
            else:
                snapshots.append(look(looking[0], now, looking[1]))
                looking = None
        elif phase[step] == 0:
            calls[step].append((now, None, ""))
            phase[step] = 1
        elif phase[step] == 1:
            outcome[step] = draw(st.sampled_from(OUTCOMES))
            wrote = outcome[step] == "acknowledged"
            if wrote or (outcome[step] == "indeterminate" and draw(st.booleans())):
                log += line(step, len(calls[step]) - 1)
            phase[step] = 2
        else:
            calls[step][-1] = (calls[step][-1][0], now, outcome[step])
            phase[step] = 0
    deaths = {writer: [now + 1] for writer in calls if phase[writer]}
    return MadeUp(calls=calls, log=log, snapshots=snapshots, deaths=deaths)


@given(sound_histories())
def test_sound_history_is_never_accused(made: MadeUp) -> None:
    with TemporaryDirectory() as directory:
        verdict = made.check(Path(directory), interrupted=True)
        assert not verdict.counts, verdict.violations
        assert verdict.events == made.log.count(b"\n")


@given(sound_histories().filter(lambda made: bool(made.log)), st.data())
def test_slightest_damage_is_always_found(made: MadeUp, data: st.DataObject) -> None:
    """At most one byte of the log is replaced, removed or inserted, anywhere."""
    end = len(made.log) - 1
    at = data.draw(st.integers(0, end) | st.just(end))
    byte = data.draw(st.binary(max_size=1), "instead")
    length = data.draw(st.integers(0, 1), "bytes taken out")
    damaged = made.log[:at] + byte + made.log[at + length :]
    # Only the last newline may be missing, and only if the writer of its line died during the call.
    cut_short = [line(writer, len(made.calls[writer]) - 1) for writer in made.deaths]
    torn = damaged == made.log[:-1] and made.log.endswith(tuple(cut_short))
    with TemporaryDirectory() as directory:
        found = MadeUp(made.calls, damaged, deaths=made.deaths).check(
            Path(directory), interrupted=True
        )
        assert bool(found.counts) == (damaged != made.log and not torn)
