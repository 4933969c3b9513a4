"""The states of a call under news in any order."""

from __future__ import annotations

from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.calls.domain import CallStatus, ProgressStatus
from appliance.calls.states import FINAL, after_progress

NEWS = st.sampled_from(get_args(ProgressStatus))


@pytest.mark.parametrize(
    ("current", "news", "expected"),
    [
        ("admitted", "ringing", "ringing"),
        ("ringing", "answered", "answered"),
        ("admitted", "answered", "answered"),
        ("answered", "ringing", "answered"),
        ("answered", "held", "held"),
        ("held", "answered", "held"),
        ("held", "resumed", "answered"),
        ("answered", "transferring", "transferring"),
        ("transferring", "answered", "answered"),
        ("answered", "agent_lost", "answered"),
        ("ended", "answered", "ended"),
        ("abandoned", "resumed", "abandoned"),
    ],
)
def test_news_moves_the_state(current: CallStatus, news: ProgressStatus, expected: CallStatus) -> None:
    assert after_progress(current, news) == expected


@given(current=st.sampled_from(get_args(CallStatus)), news=st.lists(NEWS, max_size=12))
def test_a_state_never_goes_backwards(current: CallStatus, news: list[ProgressStatus]) -> None:
    before_answer = {"admitted", "ringing"}
    state = current
    for each in news:
        following = after_progress(state, each)
        if state in FINAL:
            assert following == state
        if state not in before_answer:
            assert following not in before_answer
        assert after_progress(following, each) == following
        state = following
