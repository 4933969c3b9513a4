"""Dates in the words of callers and models."""

from __future__ import annotations

import calendar
from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.scheduling.dates import DateNotUnderstood, parse_date, parse_first_day

SATURDAY = date(2026, 11, 21)
DAYS = st.dates(date(2020, 1, 1), date(2090, 12, 31))
WEEKDAYS = list(calendar.day_name)
MONTHS = list(calendar.month_name)[1:]


@pytest.mark.parametrize(
    ("phrase", "meant"),
    [
        ("2026-11-24", date(2026, 11, 24)),
        ("2026-11-24T15:00:00+01:00", date(2026, 11, 24)),
        ("today", SATURDAY),
        ("tomorrow", date(2026, 11, 22)),
        ("tomorrow at 3 pm", date(2026, 11, 22)),
        ("the day after tomorrow", date(2026, 11, 23)),
        ("Tuesday", date(2026, 11, 24)),
        ("on Tuesday, please", date(2026, 11, 24)),
        ("Tuesday at 3 pm", date(2026, 11, 24)),
        ("Tuesday afternoon", date(2026, 11, 24)),
        ("next Tuesday", date(2026, 11, 24)),
        ("monday next week", date(2026, 11, 23)),
        ("saturday", date(2026, 11, 28)),
        ("this saturday", SATURDAY),
        ("December 3rd", date(2026, 12, 3)),
        ("3 december", date(2026, 12, 3)),
        ("on the third of december", date(2026, 12, 3)),
        ("the twenty-fourth", date(2026, 11, 24)),
        ("Tuesday the twenty fourth", date(2026, 11, 24)),
        ("Tuesday, 24 November 2026", date(2026, 11, 24)),
        ("the 3rd", date(2026, 12, 3)),
        ("1st of Feb", date(2027, 2, 1)),
        ("29 february", date(2028, 2, 29)),
        ("24.11.", date(2026, 11, 24)),
        ("24.11.2026", date(2026, 11, 24)),
        ("12/25/2026", date(2026, 12, 25)),
        ("in two weeks", date(2026, 12, 5)),
        ("in a week", date(2026, 11, 28)),
        ("in 3 days", date(2026, 11, 24)),
        ("heute", SATURDAY),
        ("morgen um 15 Uhr", date(2026, 11, 22)),
        ("übermorgen", date(2026, 11, 23)),
        ("am Dienstag um 15 Uhr 30", date(2026, 11, 24)),
        ("nächsten Dienstag", date(2026, 11, 24)),
        ("am dritten Dezember", date(2026, 12, 3)),
        ("3. Dezember", date(2026, 12, 3)),
        ("in zwei Wochen", date(2026, 12, 5)),
    ],
)
def test_a_phrase_means_this_day(phrase: str, meant: date) -> None:
    assert parse_date(phrase, SATURDAY) == meant


@pytest.mark.parametrize(
    "phrase",
    ["", "banana", "3 pm", "31 november", "2026-02-30", "soon", "32", "99.99.", "0th", "0000-00-00"],
)
def test_what_is_no_date_is_refused(phrase: str) -> None:
    with pytest.raises(DateNotUnderstood):
        parse_date(phrase, SATURDAY)


def test_a_weekday_that_does_not_fit_its_date_is_asked_back() -> None:
    with pytest.raises(DateNotUnderstood) as refusal:
        parse_date("Monday the 24th of November", SATURDAY)
    assert refusal.value.candidate == date(2026, 11, 24)


def test_next_names_the_week_that_follows_and_a_bare_weekday_the_next_one() -> None:
    monday = date(2026, 11, 23)
    assert parse_date("Friday", monday) == date(2026, 11, 27)
    assert parse_date("next Friday", monday) == date(2026, 12, 4)
    assert parse_date("Monday", monday) == date(2026, 11, 30)


def test_a_search_may_begin_with_a_week() -> None:
    assert parse_first_day("next week", SATURDAY) == date(2026, 11, 23)
    assert parse_first_day("some time this week", SATURDAY) == SATURDAY
    assert parse_first_day("tuesday next week", SATURDAY) == date(2026, 11, 24)
    with pytest.raises(DateNotUnderstood):
        parse_date("next week", SATURDAY)


@given(today=DAYS, ahead=st.integers(0, 360))
def test_a_spoken_date_within_a_year_comes_back(today: date, ahead: int) -> None:
    day = today + timedelta(days=ahead)
    assert parse_date(day.isoformat(), today) == day
    if (day.month, day.day) != (2, 29):
        assert parse_date(f"{day.day} {MONTHS[day.month - 1]}", today) == day
        assert parse_date(f"{WEEKDAYS[day.weekday()]}, {MONTHS[day.month - 1]} {day.day}", today) == day


@given(today=DAYS, weekday=st.sampled_from(WEEKDAYS))
def test_a_weekday_is_never_today_nor_more_than_a_week_away(today: date, weekday: str) -> None:
    day = parse_date(weekday, today)
    assert day.weekday() == WEEKDAYS.index(weekday)
    assert 1 <= (day - today).days <= 7
    following = parse_date(f"next {weekday}", today)
    assert following.weekday() == day.weekday()
    assert following.isocalendar()[:2] == (today + timedelta(days=7)).isocalendar()[:2]


@given(phrase=st.text(max_size=60), today=DAYS)
def test_anything_else_is_a_date_or_a_refusal(phrase: str, today: date) -> None:
    try:
        parse_first_day(phrase, today)
    except DateNotUnderstood:
        return


@given(
    phrase=st.lists(
        st.sampled_from([*"0123456789./-: ", "next ", "monday ", "st", "may ", "am ", "in ", "week "]),
        max_size=14,
    ).map("".join),
    today=DAYS,
)
def test_what_looks_like_a_date_is_a_date_or_a_refusal(phrase: str, today: date) -> None:
    try:
        parse_first_day(phrase, today)
    except DateNotUnderstood:
        return
