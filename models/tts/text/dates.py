"""Dates and times of the day as they are said. Pure."""

from __future__ import annotations

import re

from models.tts.text.language_words import LanguageWords
from models.tts.text.numerals import cardinal, ordinal, year

_ISO = re.compile(r"(?<![\d-])(\d{4})-(\d{2})-(\d{2})(?![\d-])(?:T(?=\d{2}:))?")
_MARKED = re.compile(r"(?<![\d./-])(\d{1,2})([./-])(\d{1,2})\2(\d{4}|\d{2})(?![\d/-])")
_CLOCK = re.compile(
    r"(?<![\d:.,])([01]?\d|2[0-3])[:h]([0-5]\d)(?::[0-5]\d)?(?![\d:])(?:\s?(Uhr|[AaPp]\.?\s?[Mm]\b))?"
)
_BETWEEN = re.compile(r"(?<=[ap]m|[0-5]\d)\s?[-–—]\s?(?=\d{1,2}(?::[0-5]\d|\s?[ap]m))", re.IGNORECASE)
_HOUR_WITH_HALF = re.compile(r"(?<![\d:.,])(1[0-2]|[1-9])\s?([AaPp])\.?\s?[Mm]\b")


def dates(text: str, words: LanguageWords, *, american: bool) -> str:
    """ISO dates, dates with points or strokes, and months by name; what is no date stays as it is."""
    day_first = words.day_first or not american

    def iso(found: re.Match[str]) -> str:
        return _date(int(found[1]), int(found[2]), int(found[3]), words) or found.group()

    def marked(found: re.Match[str]) -> str:
        first, second = int(found[1]), int(found[3])
        full = int(found[4]) if len(found[4]) == 4 else 2000 + int(found[4])
        day, month = (first, second) if day_first else (second, first)
        if month > 12 >= day and words.number_language == "en":
            day, month = month, day
        return _date(full, month, day, words) or found.group()

    text = _MARKED.sub(marked, _ISO.sub(iso, text))
    named = {name.lower(): number for number, name in enumerate(words.month_abbreviations, 1)}
    named |= {name.lower(): number for number, name in enumerate(words.months, 1)}
    names = "|".join(sorted(map(re.escape, named), key=len, reverse=True))
    mark = words.ordinal_mark

    def day_month(found: re.Match[str]) -> str:
        full = int(found[3]) if found[3] else None
        return _date(full, named[found[2].lower()], int(found[1]), words) or found.group()

    def month_day(found: re.Match[str]) -> str:
        full = int(found[3]) if found[3] else None
        return _date(full, named[found[1].lower()], int(found[2]), words) or found.group()

    joint = r"(?: de| of)?"
    text = re.sub(
        rf"(?<![\d.,])\b(\d{{1,2}})(?:{mark})?{joint} ({names})\b\.?(?:,?{joint} (\d{{4}}))?(?!\d)",
        day_month,
        text,
        flags=re.IGNORECASE,
    )
    if words.number_language == "en":
        text = re.sub(
            rf"\b({names})\b\.? (\d{{1,2}})(?:{mark})?(?:,? (\d{{4}}))?(?![\d:])",
            month_day,
            text,
            flags=re.IGNORECASE,
        )
    if words.number_language == "de":
        # After these the day is in another case: "am dritten Mai".
        text = re.sub(rf"\b(am|vom|zum|dem|den|ab|seit) (\w+te) (?={names})", r"\1 \2n ", text, flags=re.I)
    return text


def _date(full: int | None, month: int, day: int, words: LanguageWords) -> str:
    if not (1 <= month <= 12 and 1 <= day <= 31):
        return ""
    said_day = cardinal(str(day), words)
    if day == 1 and words.first_of_month:
        said_day = words.first_of_month
    parts = {
        "month": words.months[month - 1],
        "day": said_day,
        "ordinal": ordinal(day, words),
        "year": year(full, words) if full is not None else "",
    }
    return (words.date if full is not None else words.date_without_year).format(**parts)


def times(text: str, words: LanguageWords) -> str:
    """`15:30`, `3:30 pm`, `9 am`, `15h30`."""

    def clock(found: re.Match[str]) -> str:
        return _time(int(found[1]), int(found[2]), found[3] or "", words)

    def half(found: re.Match[str]) -> str:
        return f"{cardinal(found[1], words)} {found[2].lower()} m"

    text = _BETWEEN.sub(rf" {words.to} ", text)
    text = _CLOCK.sub(clock, text)
    if words.number_language == "en":
        return _HOUR_WITH_HALF.sub(half, text)
    if words.number_language == "fr":
        return re.sub(
            r"(?<![\d.,])([01]?\d|2[0-3])\s?h\b", lambda m: f"{_french_hour(int(m[1]), words)}", text
        )
    return text


def _french_hour(hour: int, words: LanguageWords) -> str:
    return "une heure" if hour == 1 else f"{cardinal(str(hour), words)} heure{'s' if hour > 1 else ''}"


def _time(hour: int, minute: int, half: str, words: LanguageWords) -> str:
    language = words.number_language
    minutes = cardinal(str(minute), words) if minute else ""
    if language == "de":
        hours = "ein" if hour == 1 else cardinal(str(hour), words)
        return f"{hours} Uhr{' ' + minutes if minutes else ''}"
    if language == "fr":
        return f"{_french_hour(hour, words)}{' ' + minutes if minutes else ''}"
    if language == "es":
        hours = "una" if hour == 1 else cardinal(str(hour), words)
        return f"{hours} {words.and_} {minutes}" if minutes else f"{hours} en punto"
    letter = half.strip()[:1].lower() if half[:1] in "AaPp" and half else ""
    if not letter and (hour > 12 or hour == 0):
        letter = "p" if hour > 12 else "a"
    said = cardinal(str(hour % 12 or 12), words)
    if minute:
        said += f" oh {minutes}" if minute < 10 else f" {minutes}"
    elif not letter:
        said += " o'clock"
    return f"{said} {letter} m" if letter else said
