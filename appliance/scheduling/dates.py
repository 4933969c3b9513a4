"""Dates as a language model passes them on: ISO, or in the caller's words, in English or German.

`dateutil` reads dates, but takes any leftover number for a day and knows no "next Tuesday"; a wrong day in
the diary is worse than a question, so what is not one of these forms is refused (see the ADR).
"""

from __future__ import annotations

import re
from datetime import date, timedelta

from dateutil.relativedelta import relativedelta

from appliance.errors import InvalidInput
from appliance.scheduling.number_words import words_of

_WEEKDAYS: dict[str, int] = {
    name: index
    for index, names in enumerate(
        (
            "monday mon mondays montag",
            "tuesday tue tues tuesdays dienstag",
            "wednesday wed weds wednesdays mittwoch",
            "thursday thu thur thurs thursdays donnerstag",
            "friday fri fridays freitag",
            "saturday sat saturdays samstag sonnabend",
            "sunday sun sundays sonntag",
        )
    )
    for name in names.split()
}
_MONTHS: dict[str, int] = {
    name: index
    for index, names in enumerate(
        (
            "january jan januar jänner",
            "february feb februar",
            "march mar märz",
            "april apr",
            "may mai",
            "june jun juni",
            "july jul juli",
            "august aug",
            "september sep sept",
            "october oct oktober okt",
            "november nov",
            "december dec dezember dez",
        ),
        start=1,
    )
    for name in names.split()
}
_RELATIVE: tuple[tuple[str, int], ...] = (
    ("day after tomorrow", 2),
    ("übermorgen", 2),
    ("tomorrow", 1),
    ("morgen", 1),
    ("today", 0),
    ("tonight", 0),
    ("heute", 0),
    ("yesterday", -1),
    ("gestern", -1),
)
_NEXT = frozenset({"next", "nächsten", "nächster", "nächste", "nächstes"})
_THIS = frozenset({"this", "diesen", "dieser", "diese"})
_IN = re.compile(r"\bin (?P<count>\d+|a|an|einer|einem) (?P<unit>day|week|month|tag|woche|monat)\w*")
_ISO = re.compile(r"(?<!\d)(\d{4})-(\d{1,2})-(\d{1,2})(?!\d)")
_NUMERIC = re.compile(r"(?<![\d:])(\d{1,2})([./])(\d{1,2})(?:\2(\d{4}|\d{2})?)?(?![\d:])")
_CLOCK = re.compile(
    r"\b(?:at |um |around |gegen )?\d{1,2}(?:[:.]\d{2})?\s*"
    r"(?:[ap]\.?\s?m\b\.?|o'?clock|uhr(?:\s+\d{1,2})?)|\b(?:at|um)\s+\d{1,2}(?:[:.]\d{2})?\b|\b\d{1,2}:\d{2}\b"
)
_WEEK_DAYS = 7


class DateNotUnderstood(InvalidInput):
    """The phrase is no date, or contradicts itself; `candidate` is the day that it partly means."""

    code = "not_understood"

    def __init__(self, message: str, *, candidate: date | None = None) -> None:
        super().__init__(message, field="date")
        self.candidate = candidate


def parse_date(phrase: str, today: date) -> date:
    """The day that a phrase means, seen from `today`.

    A weekday alone is its next occurrence after today; "next" before it means that of the calendar week that
    follows. A day without a year is the next one to come. Raises DateNotUnderstood.
    """
    text = phrase.strip().lower()
    try:
        found = (
            _iso(text)
            or _numeric(text, today)
            or _counted(text, today)
            or _relative(text, today)
            or _spoken(text, today)
        )
    except (ValueError, OverflowError) as error:
        raise DateNotUnderstood("There is no such day.") from error
    if found is None:
        raise DateNotUnderstood("This is not a date.")
    return found


def parse_first_day(phrase: str, today: date) -> date:
    """As `parse_date`, and for "next week" or "this week" the day on which to begin to look."""
    text = " ".join(words_of(phrase))
    if re.search(r"\b(next|following|nächste|nächsten|kommende) (week|woche)\b", text) and not _weekday(text):
        return today + timedelta(days=_WEEK_DAYS - today.weekday())
    if re.search(r"\b(this|diese) (week|woche)\b", text) and not _weekday(text):
        return today
    return parse_date(phrase, today)


def _iso(text: str) -> date | None:
    found = _ISO.search(text)
    return date(*(int(part) for part in found.groups())) if found else None


def _numeric(text: str, today: date) -> date | None:
    """24.11. or 24/11/2026; the day comes first, unless only the other order is a date."""
    found = _NUMERIC.search(_CLOCK.sub(" ", text))
    if found is None:
        return None
    first, second = int(found[1]), int(found[3])
    day, month = (second, first) if second > 12 >= first and found[2] == "/" else (first, second)
    year = int(found[4]) if found[4] else None
    if year is not None and year < 100:
        year += 2000
    return date(year, month, day) if year else _coming(day, month, today)


def _counted(text: str, today: date) -> date | None:
    found = _IN.search(" ".join(words_of(_CLOCK.sub(" ", text))))
    if found is None:
        return None
    count = int(found["count"]) if found["count"].isdigit() else 1
    if found["unit"] in {"month", "monat"}:
        return today + relativedelta(months=count)
    return today + timedelta(days=count * (_WEEK_DAYS if found["unit"] in {"week", "woche"} else 1))


def _relative(text: str, today: date) -> date | None:
    for words, days in _RELATIVE:
        if re.search(rf"\b{words}\b", text):
            return today + timedelta(days=days)
    return None


def _spoken(text: str, today: date) -> date | None:
    words = words_of(_CLOCK.sub(" ", text))
    weekday = next((_WEEKDAYS[word] for word in words if word in _WEEKDAYS), None)
    day = _month_day(words, today)
    if day is None:
        return None if weekday is None else _coming_weekday(words, weekday, today)
    if weekday is not None and day.weekday() != weekday:
        raise DateNotUnderstood("The weekday and the date do not fit together.", candidate=day)
    return day


def _month_day(words: list[str], today: date) -> date | None:
    month_at = next((index for index, word in enumerate(words) if word in _MONTHS), None)
    numbers = [(index, int(word.removesuffix("st"))) for index, word in enumerate(words) if _is_number(word)]
    if month_at is None:
        ordinals = [int(word[:-2]) for word in words if word.endswith("st") and _is_number(word)]
        return _coming_day_of_month(ordinals[0], today) if ordinals else None
    years = [value for _, value in numbers if value >= 1000]
    days = sorted((abs(index - month_at), value) for index, value in numbers if 1 <= value <= 31)
    if not days:
        return None
    month = _MONTHS[words[month_at]]
    return date(years[0], month, days[0][1]) if years else _coming(days[0][1], month, today)


def _is_number(word: str) -> bool:
    return word.removesuffix("st").isdecimal()


def _coming(day: int, month: int, today: date) -> date:
    for year in range(today.year, today.year + 9):
        try:
            found = date(year, month, day)
        except ValueError:
            if day > 29 or month != 2:
                raise
            continue
        if found >= today:
            return found
    raise ValueError("no such day")


def _coming_day_of_month(day: int, today: date) -> date:
    first = today.replace(day=1)
    for months in range(13):
        month = first + relativedelta(months=months)
        try:
            found = month.replace(day=day)
        except ValueError:
            continue
        if found >= today:
            return found
    raise ValueError("no such day")


def _coming_weekday(words: list[str], weekday: int, today: date) -> date:
    ahead = (weekday - today.weekday()) % _WEEK_DAYS
    in_following_week = _NEXT & set(words) or {"week", "woche"} & set(words)
    if in_following_week:
        monday = today + timedelta(days=_WEEK_DAYS - today.weekday())
        return monday + timedelta(days=weekday)
    if ahead == 0 and not _THIS & set(words):
        ahead = _WEEK_DAYS
    return today + timedelta(days=ahead)


def _weekday(text: str) -> bool:
    return any(word in _WEEKDAYS for word in text.split())
