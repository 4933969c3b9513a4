"""The recording's time line: every sample where it belongs, silence where there is none, nothing twice."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from runtime.agent.timeline import AGENT, CALLER, SAMPLE_RATE_HZ, Placement, StereoTimeline


def _ramp(count: int, first: int = 1) -> np.ndarray:
    return (np.arange(count) % 1000 + first).astype(np.int16)


def test_both_channels_lie_side_by_side_with_silence_between() -> None:
    line = StereoTimeline()
    line.place(CALLER, 10, _ramp(5))
    line.place(AGENT, 12, _ramp(5, 100))
    taken = line.take(20).reshape(-1, 2)
    assert len(taken) == 20
    assert taken[:10].sum() == 0
    assert taken[10:15, 0].tolist() == [1, 2, 3, 4, 5]
    assert taken[12:17, 1].tolist() == [100, 101, 102, 103, 104]
    assert line.start == 20


def test_what_was_never_sent_is_taken_back() -> None:
    line = StereoTimeline()
    line.place(AGENT, 0, _ramp(100))
    line.erase_after(AGENT, 40)
    taken = line.take(100).reshape(-1, 2)
    assert np.count_nonzero(taken[:40, 1]) == 40
    assert np.count_nonzero(taken[40:, 1]) == 0


def test_what_comes_too_late_is_dropped_and_only_that() -> None:
    line = StereoTimeline()
    line.take(50)
    line.place(CALLER, 45, _ramp(10))
    assert line.take(60).reshape(-1, 2)[:, 0].tolist() == [6, 7, 8, 9, 10, 0, 0, 0, 0, 0]


def test_nobody_taking_does_not_fill_the_memory() -> None:
    line = StereoTimeline(longest_seconds=0.01)
    for frame in range(100):
        line.place(CALLER, frame * 100, _ramp(100))
    assert line.start == 100 * 100 - SAMPLE_RATE_HZ // 100
    assert line.lost_samples == line.start


@given(
    st.lists(
        st.tuples(st.sampled_from([CALLER, AGENT]), st.integers(0, 5000), st.integers(0, 700), st.booleans()),
        max_size=40,
    )
)
def test_it_is_what_a_plain_array_would_be(steps: list[tuple[int, int, int, bool]]) -> None:
    line = StereoTimeline()
    model = np.zeros((20_000, 2), np.int16)
    written: list[np.ndarray] = []
    start = 0
    for channel, position, count, take in steps:
        samples = _ramp(count)
        line.place(channel, position, samples)  # type: ignore[arg-type]
        begin = max(position, start)
        if position + count > begin:
            model[begin : position + count, channel] = samples[begin - position :]
        if take and position > start:
            written.append(line.take(position).reshape(-1, 2))
            start = position
    written.append(line.take(20_000).reshape(-1, 2))
    assert np.array_equal(np.concatenate(written), model)


@given(st.lists(st.integers(-1500, 1500), min_size=1, max_size=100))
def test_frames_are_contiguous_while_the_clock_jitters_and_follow_it_after_a_gap(jitter: list[int]) -> None:
    placement = Placement(tolerance_ms=120)
    positions = [placement.position(10_000 + index * 320 + late, 320) for index, late in enumerate(jitter)]
    for index, position in enumerate(positions):
        assert abs(position - (10_000 + index * 320 + jitter[index])) <= 1920
    placement.restart()
    assert placement.position(500_000, 320) == 500_000
