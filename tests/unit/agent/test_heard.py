"""What the caller heard of an interrupted sentence."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from runtime.agent.heard import heard_part

_TEXT = "I have nine, ten and half past eleven on Tuesday."


def test_whole_words_in_proportion() -> None:
    assert heard_part(_TEXT, 2.0, 4.0) == "I have nine, ten and"
    assert heard_part(_TEXT, 4.0, 4.0) == _TEXT
    assert heard_part(_TEXT, 0.0, 4.0) == ""


def test_a_usual_pace_where_the_length_is_unknown() -> None:
    assert heard_part(_TEXT, 1.0, None) == "I have nine,"
    assert heard_part(_TEXT, 60.0, None) == _TEXT


@given(st.text(max_size=100), st.floats(0, 20), st.none() | st.floats(0, 20))
def test_it_is_always_a_beginning(text: str, heard_seconds: float, whole_seconds: float | None) -> None:
    assert text.startswith(heard_part(text, heard_seconds, whole_seconds))
