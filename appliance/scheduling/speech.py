"""Days and times as they are said aloud, in English and German; other languages get the English form.

The sentences are for the engines that speak what they are told; a language model of another language puts the
result into its own words.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, time

_WEEKDAYS = {
    "en": ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"],
    "de": ["Montag", "Dienstag", "Mittwoch", "Donnerstag", "Freitag", "Samstag", "Sonntag"],
}
_MONTHS = {
    "en": [
        "January",
        "February",
        "March",
        "April",
        "May",
        "June",
        "July",
        "August",
        "September",
        "October",
        "November",
        "December",
    ],
    "de": [
        "Januar",
        "Februar",
        "März",
        "April",
        "Mai",
        "Juni",
        "Juli",
        "August",
        "September",
        "Oktober",
        "November",
        "Dezember",
    ],
}


def spoken_language(tag: str) -> str:
    """`de` for German, else `en`."""
    return "de" if tag.lower().split("-")[0] == "de" else "en"


def weekday(day: date, language: str) -> str:
    return _WEEKDAYS[spoken_language(language)][day.weekday()]


def spoken_day(day: date, language: str) -> str:
    """`Tuesday, 24 November`; `Dienstag, den 24. November`."""
    month = _MONTHS[spoken_language(language)][day.month - 1]
    if spoken_language(language) == "de":
        return f"{weekday(day, language)}, den {day.day}. {month}"
    return f"{weekday(day, language)}, {day.day} {month}"


def spoken_time(moment: time | datetime, language: str) -> str:
    """`3 p.m.`, `3:30 p.m.`, `noon`; `15 Uhr`, `15 Uhr 30`."""
    if spoken_language(language) == "de":
        return f"{moment.hour} Uhr" + (f" {moment.minute}" if moment.minute else "")
    if (moment.hour, moment.minute) == (12, 0):
        return "noon"
    half = "a.m." if moment.hour < 12 else "p.m."
    hour = moment.hour % 12 or 12
    return f"{hour}:{moment.minute:02d} {half}" if moment.minute else f"{hour} {half}"


def spoken_list(items: Sequence[str], language: str, *, alternatives: bool = False) -> str:
    """`a, b or c` for alternatives, else `a, b and c`."""
    german = spoken_language(language) == "de"
    last = ("oder" if german else "or") if alternatives else ("und" if german else "and")
    if len(items) < 2:
        return "".join(items)
    return f"{', '.join(items[:-1])} {last} {items[-1]}"


def sentence(text: str) -> str:
    """The text with one full stop at its end: `at 3 p.m.` has its own."""
    return text if text.endswith((".", "?", "!")) else text + "."
