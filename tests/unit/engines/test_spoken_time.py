"""Days and times in a caller's words. Today is Saturday, 21 November 2026."""

from __future__ import annotations

from datetime import date, time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.llm.scripted.spoken_time import day_in_words, normal, said_day, said_time, time_in_words

TODAY = date(2026, 11, 21)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("on monday", date(2026, 11, 23)),
        ("next tuesday", date(2026, 11, 24)),
        ("monday next week", date(2026, 11, 23)),
        ("tomorrow afternoon", date(2026, 11, 22)),
        ("the day after tomorrow", date(2026, 11, 23)),
        ("yesterday", date(2026, 11, 20)),
        ("in three days", date(2026, 11, 24)),
        ("in a week", date(2026, 11, 28)),
        ("next week", date(2026, 11, 23)),
        ("the third of december", date(2026, 12, 3)),
        ("december third", date(2026, 12, 3)),
        ("december the twenty first", date(2026, 12, 21)),
        ("24 November", date(2026, 11, 24)),
        ("the thirtieth", date(2026, 11, 30)),
        ("the fifth", date(2026, 12, 5)),
        ("2026-12-01", date(2026, 12, 1)),
        ("monday no tuesday", date(2026, 11, 24)),
        ("not monday, friday", date(2026, 11, 27)),
        ("monday or tuesday", date(2026, 11, 23)),
        ("may i speak to someone", None),
        ("one second please", None),
        ("at ten o'clock", None),
    ],
)
def test_days(words: str, expected: date | None) -> None:
    assert said_day(normal(words), TODAY) == expected


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("at ten o'clock", time(10)),
        ("half past nine", time(9, 30)),
        ("quarter to three", time(14, 45)),
        ("quarter past eleven", time(11, 15)),
        ("at two thirty", time(14, 30)),
        ("3 p.m.", time(15)),
        ("at 15:30", time(15, 30)),
        ("nine in the evening", time(21)),
        ("eleven oh five", time(11, 5)),
        ("at noon", time(12)),
        ("twelve pm", time(12)),
        ("make it four", time(16)),
        ("not ten, eleven o'clock", time(11)),
        ("on the third of december at three", time(15)),
        ("december 3", None),
        ("in three days", None),
        ("i have two children", None),
        ("at twenty five", None),
    ],
)
def test_times(words: str, expected: time | None) -> None:
    said = said_time(normal(words), expected=False)
    assert (said.at if said else None) == expected


def test_a_bare_number_is_a_time_only_when_one_was_asked_for() -> None:
    assert said_time(normal("ten"), expected=False) is None
    said = said_time(normal("ten"), expected=True)
    assert said is not None
    assert said.at == time(10)


@given(at=st.times().map(lambda at: at.replace(second=0, microsecond=0)))
def test_a_spoken_time_is_understood_again(at: time) -> None:
    said = said_time(normal(f"at {time_in_words(at)}"), expected=True)
    assert said is not None
    assert (said.at.hour % 12, said.at.minute) == (at.hour % 12, at.minute)


@given(day=st.dates(date(2026, 11, 22), date(2027, 10, 30)))
def test_a_spoken_day_is_understood_again(day: date) -> None:
    assert said_day(normal(day_in_words(day)), TODAY) == day


@given(text=st.text(max_size=200))
def test_any_text_is_survived(text: str) -> None:
    words = normal(text)
    said_day(words, TODAY)
    said_time(words, expected=True)
