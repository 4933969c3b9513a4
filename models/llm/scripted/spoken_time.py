"""Days and times in a caller's words. Pure: words and today's date in, dates and times out."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, time, timedelta

WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
MONTHS = tuple(
    "january february march april may june july august september october november december".split()  # noqa: SIM905
)
_UNITS = tuple(
    (  # noqa: SIM905
        "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen "
        "sixteen seventeen eighteen nineteen"
    ).split()
)
_TENS = {"twenty": 20, "thirty": 30, "forty": 40, "fifty": 50}
_ORDINALS = tuple(
    (  # noqa: SIM905
        "zeroth first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth thirteenth "
        "fourteenth fifteenth sixteenth seventeenth eighteenth nineteenth twentieth"
    ).split()
)
_NUMBERS: Mapping[str, int] = {word: n for n, word in enumerate(_UNITS)} | _TENS
_RANKS: Mapping[str, int] = {word: n for n, word in enumerate(_ORDINALS)} | {"thirtieth": 30}

_HALF_DAY = r"(?: ?(?P<half>am|pm|in the morning|in the afternoon|in the evening|at night))?"
_CLOCK = re.compile(
    r"(?:(?P<lead>at|around|about|for|by|make it|it|before|after|past|do|say|is|then|not) )?"
    r"(?P<hour>\d{1,2})(?:(?:[:.]| )(?P<minute>[0-5]\d|oh \d))?(?P<sharp> o'clock)?"
    + _HALF_DAY
    + r"(?![\d:])"
)
_RELATIVE = re.compile(
    r"(?P<part>half|quarter|\d{1,2}) (?:minutes )?(?P<side>past|to|after|before) (?P<hour>\d{1,2})"
    + _HALF_DAY
)
_NOT = re.compile(r"\bnot (?:on |at |the |this |next )*(?:\w+day\b|tomorrow|today|\d{1,2}\b)")
_MONTH = "|".join(MONTHS)


@dataclass(frozen=True, slots=True)
class SaidTime:
    """A time of day as it was said; `exact` when morning or afternoon was said or is beyond doubt."""

    at: time
    exact: bool


def normal(text: str) -> str:
    """Lower case, plain apostrophes, no punctuation, numbers as digits: `half past nine` → `half past 9`."""
    plain = text.lower().replace("’", "'").replace("`", "'")
    plain = re.sub(r"\b([ap])\.? ?m\b\.?", r"\1m", plain)
    plain = re.sub(r"(?<=[a-z])-(?=[a-z])", " ", plain)
    plain = re.sub(r"(?<!\d)[.:,](?!\d)|(?<=\d)[.,](?!\d)|[^\w\s'.:#*+-]", " ", plain)
    plain = re.sub(r"\boh (?=[a-z]+\b)(?=" + "|".join(_UNITS[1:10]) + r")", "oh ", plain)
    words = plain.split()
    said: list[str] = []
    position = 0
    while position < len(words):
        word, following = words[position], words[position + 1] if position + 1 < len(words) else ""
        if word in _TENS and following in _UNITS[1:10]:
            said.append(str(_TENS[word] + _NUMBERS[following]))
            position += 2
        elif word in _TENS and following in _ORDINALS[1:10]:
            said.append(f"{_TENS[word] + _RANKS[following]}th")
            position += 2
        elif word in _NUMBERS:
            said.append(str(_NUMBERS[word]))
            position += 1
        elif word in _RANKS:
            said.append(f"{_RANKS[word]}th")
            position += 1
        else:
            said.append(re.sub(r"^(\d{1,2})(st|nd|rd)$", r"\1th", word))
            position += 1
    return " ".join(said)


def said_day(text: str, today: date) -> date | None:
    """The day in normalised words, None when none is named. The last one named counts: people correct
    themselves; after `or` the first."""
    text = _NOT.sub(" ", text)
    if " or " in text:
        text = text.split(" or ")[0]
    found: list[tuple[int, date]] = []
    for pattern, reading in _DAY_PATTERNS:
        for match in pattern.finditer(text):
            day = reading(match, today)
            if day is not None:
                found.append((match.end(), day))
    return max(found)[1] if found else None


def _weekday(match: re.Match[str], today: date) -> date:
    ahead = (WEEKDAYS.index(match["weekday"]) - today.weekday()) % 7 or 7
    day = today + timedelta(days=ahead)
    next_monday = today + timedelta(days=7 - today.weekday())
    if (match["before"] == "next" or match["after"]) and day < next_monday:
        day += timedelta(days=7)
    return day


def _of_month(match: re.Match[str], today: date) -> date | None:
    month = MONTHS.index(match["month"]) + 1
    return _first_date(today, int(match["day"]), month)


def _day_of_month(match: re.Match[str], today: date) -> date | None:
    return _first_date(today, int(match["day"]), None)


def _first_date(today: date, day: int, month: int | None) -> date | None:
    """The first such date that is not long past."""
    for ahead in range(13):
        year, index = divmod(today.year * 12 + today.month - 1 + ahead, 12)
        if month is not None and index + 1 != month:
            continue
        try:
            candidate = date(year, index + 1, day)
        except ValueError:
            continue
        if candidate >= today or (month is not None and ahead == 0):
            return candidate
    return None


def _iso(match: re.Match[str], today: date) -> date | None:
    try:
        return date.fromisoformat(match[0])
    except ValueError:
        return None


_DAY_PATTERNS = (
    (re.compile(r"\b\d{4}-\d\d-\d\d\b"), _iso),
    (re.compile(r"\btoday\b|\bthis (?:morning|afternoon|evening)\b"), lambda _match, today: today),
    (re.compile(r"(?<!after )\btomorrow\b"), lambda _match, today: today + timedelta(days=1)),
    (re.compile(r"\bday after tomorrow\b"), lambda _match, today: today + timedelta(days=2)),
    (re.compile(r"\byesterday\b"), lambda _match, today: today - timedelta(days=1)),
    (
        re.compile(r"\bin (?P<n>\d{1,2}) days?\b"),
        lambda match, today: today + timedelta(days=int(match["n"])),
    ),
    (
        re.compile(r"\bin (?:(?P<n>\d)|a) weeks?\b"),
        lambda match, today: today + timedelta(weeks=int(match["n"] or 1)),
    ),
    (
        re.compile(r"(?<!day )\bnext week\b"),
        lambda _match, today: today + timedelta(days=7 - today.weekday()),
    ),
    (
        re.compile(
            rf"\b(?:(?P<before>next|this) )?(?P<weekday>{'|'.join(WEEKDAYS)})s?\b(?P<after> next week)?"
        ),
        _weekday,
    ),
    (re.compile(rf"\b(?P<day>\d{{1,2}})(?:th)?(?: of)? (?P<month>{_MONTH})\b"), _of_month),
    (re.compile(rf"\b(?P<month>{_MONTH}) (?:the )?(?P<day>\d{{1,2}})(?:th)?(?![\d:])"), _of_month),
    (
        re.compile(rf"(?:\bthe |^|day )(?P<day>\d{{1,2}})th\b(?! (?:one|time|slot|of)| (?:{_MONTH}))"),
        _day_of_month,
    ),
)


def said_time(text: str, *, expected: bool) -> SaidTime | None:
    """The time in normalised words. A bare number counts when a time was asked for (`expected`)."""
    text = _NOT.sub(" ", text)
    if re.search(r"\b(noon|midday)\b", text):
        return SaidTime(time(12), exact=True)
    relative = _RELATIVE.search(text)
    if relative:
        return _relative(relative, text)
    last: SaidTime | None = None
    without_dates = re.sub(
        rf"\b\d{{1,2}}(?:th)? (?:of )?(?:{_MONTH})\b|(?:{_MONTH}) (?:the )?\d{{1,2}}\b", " ", text
    )
    without_dates = re.sub(
        r"\b(?:in )?\d+ (?:days?|weeks?|minutes?|hours?)\b|\d{4}-\d\d-\d\d", " ", without_dates
    )
    for match in _CLOCK.finditer(without_dates):
        before = without_dates[: match.start()]
        if before[-1:].isalnum() or without_dates[match.end() : match.end() + 2] in {"th"}:
            continue
        marked = match["lead"] or match["minute"] or match["sharp"] or match["half"]
        if marked or expected:
            last = _clock(int(match["hour"]), _minute(match["minute"]), match["half"], text) or last
    return last


def _minute(text: str | None) -> int:
    return int(text.replace("oh ", "")) if text else 0


def _relative(match: re.Match[str], text: str) -> SaidTime | None:
    part = match["part"]
    minutes = {"half": 30, "quarter": 15}.get(part) or int(part)
    clock = _clock(int(match["hour"]), 0, match["half"], text)
    if clock is None or minutes > 59:
        return None
    total = clock.at.hour * 60 + (minutes if match["side"] in {"past", "after"} else -minutes)
    return SaidTime(time(total // 60 % 24, total % 60), clock.exact)


def _clock(hour: int, minute: int, half: str | None, text: str) -> SaidTime | None:
    if hour > 23 or minute > 59:
        return None
    half = half or ("pm" if re.search(r"\b(afternoon|evening|tonight)\b", text) else None)
    if half is None and "morning" in text:
        half = "am"
    if hour > 12 or hour == 0:
        return SaidTime(time(hour, minute), exact=True)
    if half is None:
        # On the telephone of a business one to six is the afternoon.
        return SaidTime(time(hour + 12 if hour < 7 else hour, minute), exact=False)
    if half in {"am", "in the morning"}:
        return SaidTime(time(hour % 12, minute), exact=True)
    return SaidTime(time(hour % 12 + 12, minute), exact=True)


def day_in_words(day: date) -> str:
    """`Monday, the 30th of November`."""
    last = day.day % 10 if day.day not in (11, 12, 13) else 0
    suffix = {1: "st", 2: "nd", 3: "rd"}.get(last, "th")
    return f"{WEEKDAYS[day.weekday()].title()}, the {day.day}{suffix} of {MONTHS[day.month - 1].title()}"


def time_in_words(at: time) -> str:
    """`ten o'clock`, `nine thirty`, `four oh five`."""
    hour = _UNITS[(at.hour - 1) % 12 + 1]
    if at.minute == 0:
        return f"{hour} o'clock"
    if at.minute < 10:
        return f"{hour} oh {_UNITS[at.minute]}"
    tens, unit = divmod(at.minute, 10)
    if at.minute < 20:
        return f"{hour} {_UNITS[at.minute]}"
    word = {value // 10: name for name, value in _TENS.items()}[tens]
    return f"{hour} {word} {_UNITS[unit]}" if unit else f"{hour} {word}"
