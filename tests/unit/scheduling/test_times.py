"""Times of day in the words of callers and models."""

from __future__ import annotations

from datetime import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.scheduling.speech import spoken_time
from appliance.scheduling.times import TimeNotUnderstood, parse_times


@pytest.mark.parametrize(
    ("phrase", "first", "second"),
    [
        ("15:00", "15:00", None),
        ("15:00:00", "15:00", None),
        ("2026-11-24T15:00:00+01:00", "15:00", None),
        ("3 pm", "15:00", None),
        ("3pm", "15:00", None),
        ("3:30 p.m.", "15:30", None),
        ("three thirty pm", "15:30", None),
        ("three in the afternoon", "15:00", None),
        ("9 am", "09:00", None),
        ("12 am", "00:00", None),
        ("12 pm", "12:00", None),
        ("noon", "12:00", None),
        ("midnight", "00:00", None),
        ("16.30", "16:30", None),
        ("1530", "15:30", None),
        ("24:00", "00:00", None),
        ("0:30", "00:30", None),
        ("3", "03:00", "15:00"),
        ("03:00", "03:00", "15:00"),
        ("three o'clock", "03:00", "15:00"),
        ("half past three", "03:30", "15:30"),
        ("quarter to four", "03:45", "15:45"),
        ("ten past three", "03:10", "15:10"),
        ("twenty to five", "04:40", "16:40"),
        ("three thirty", "03:30", "15:30"),
        ("at nine", "09:00", "21:00"),
        ("12", "12:00", "00:00"),
        ("15 Uhr", "15:00", None),
        ("15 Uhr 30", "15:30", None),
        ("halb vier", "03:30", "15:30"),
        ("viertel nach drei", "03:15", "15:15"),
        ("drei Uhr nachmittags", "15:00", None),
        ("mittags", "12:00", None),
    ],
)
def test_a_phrase_means_these_times(phrase: str, first: str, second: str | None) -> None:
    expected = [time.fromisoformat(each) for each in (first, second) if each]
    assert list(parse_times(phrase)) == expected


@pytest.mark.parametrize("phrase", ["", "banana", "25:00", "soon", "past", "99", "3 4 5", "12:75"])
def test_what_is_no_time_is_refused(phrase: str) -> None:
    with pytest.raises(TimeNotUnderstood):
        parse_times(phrase)


@given(hour=st.integers(0, 23), minute=st.integers(0, 59), language=st.sampled_from(["en", "de"]))
def test_what_the_agent_says_it_understands(hour: int, minute: int, language: str) -> None:
    moment = time(hour, minute)
    assert parse_times(spoken_time(moment, language))[0] == moment
    assert parse_times(moment.isoformat("minutes"))[0] == moment


@given(phrase=st.text(max_size=40))
def test_anything_else_is_times_or_a_refusal(phrase: str) -> None:
    try:
        found = parse_times(phrase)
    except TimeNotUnderstood:
        return
    assert 1 <= len(found) <= 2
