"""What the words say about the end of a turn."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.agent.end_of_turn import threshold_factor


@pytest.mark.parametrize(
    "text",
    ["on Monday", "at ten o'clock", "My name is John Smith.", "what times do you have free", "at three"],
)
def test_complete_words_lower_the_threshold(text: str) -> None:
    assert threshold_factor(text) < 0.5


@pytest.mark.parametrize("text", ["yes", "No, thank you.", "yes please", "ja bitte"])
def test_a_plain_answer_lowers_it_most(text: str) -> None:
    assert threshold_factor(text) < threshold_factor("on Monday")


@pytest.mark.parametrize(
    "text", ["", "I would like to", "my name is", "on Monday at", "zero three zero", "und"]
)
def test_dangling_words_and_dictated_digits_leave_it(text: str) -> None:
    assert threshold_factor(text) == 1.0


@given(st.text(max_size=60))
def test_it_never_raises_the_threshold_nor_takes_it_away(text: str) -> None:
    assert 0.0 < threshold_factor(text) <= 1.0
