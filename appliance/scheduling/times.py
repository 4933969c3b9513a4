"""Times of day as a language model passes them on. What people say is often two times: "three" is 3 or 15."""

from __future__ import annotations

import re
from datetime import time

from appliance.errors import InvalidInput
from appliance.scheduling.number_words import words_of

_MORNING = frozenset({"am", "morning", "vormittag", "vormittags", "morgens", "früh"})
_AFTERNOON = frozenset(
    {"pm", "afternoon", "evening", "tonight", "nachmittag", "nachmittags", "abend", "abends"}
)
_NAMED = {"noon": time(12), "midday": time(12), "mittag": time(12), "mittags": time(12), "midnight": time(0)}
_FRACTIONS = {"quarter": 15, "half": 30, "viertel": 15}
_PAST = frozenset({"past", "after", "nach"})
_TO = frozenset({"to", "before", "till", "vor"})
_CLOCK = re.compile(
    r"(?:^|[\st])(\d{1,2})[:.h](\d{2})(?::\d{2}(?:\.\d+)?)?(?:z|[+-]\d{2}:?\d{2})?(?=$|[\s,;ap])"
)
_MERIDIEM = re.compile(r"(?<![a-z])([ap])\s?\.?\s?m\b\.?")
_GLUED = re.compile(r"(\d)\s*(am|pm)\b")
_ISO_DATE = re.compile(r"\d{4}-\d{2}-\d{2}[t ]?")


class TimeNotUnderstood(InvalidInput):
    """The phrase is no time of day."""

    code = "not_understood"

    def __init__(self) -> None:
        super().__init__("This is not a time of day.", field="time")


def parse_times(phrase: str) -> tuple[time, ...]:
    """The times that a phrase may mean, the literal reading first; one, or two twelve hours apart.

    Raises TimeNotUnderstood.
    """
    text = _ISO_DATE.sub(" ", phrase.strip().lower())
    text = _MERIDIEM.sub(r"\1m ", text)
    text = _GLUED.sub(r"\1 \2", text)
    clock = _CLOCK.search(text)
    words = words_of(_CLOCK.sub(" ", text) if clock else text)
    if clock is not None:
        found = _at(int(clock[1]), int(clock[2]))
    else:
        named = next((_NAMED[word] for word in words if word in _NAMED), None)
        if named is not None and not any(word.isdecimal() for word in words):
            return (named,)
        found = _spoken(words)
    if found is None:
        raise TimeNotUnderstood
    return _readings(found, set(words))


def _readings(found: time, words: set[str]) -> tuple[time, ...]:
    if found.hour > 12:
        return (found,)
    morning = found.replace(hour=found.hour % 12)
    afternoon = found.replace(hour=found.hour % 12 + 12)
    if words & _AFTERNOON:
        return (afternoon,)
    if words & _MORNING:
        return (morning,)
    if found.hour == 0:
        return (found,)
    return (found, morning if found.hour == 12 else afternoon)


def _spoken(words: list[str]) -> time | None:
    numbers = [int(word) for word in words if word.isdecimal()]
    fraction = next((_FRACTIONS[word] for word in words if word in _FRACTIONS), None)
    if "halb" in words and numbers:
        return _at((numbers[-1] - 1) % 24, 30)
    relation = next((word for word in words if word in _PAST | _TO), None)
    if relation is not None and numbers:
        minutes = fraction if fraction is not None else (numbers[0] if len(numbers) > 1 else None)
        if minutes is None:
            return None
        hour = numbers[-1]
        return _at(hour, minutes) if relation in _PAST else _at((hour - 1) % 24, 60 - minutes)
    if fraction is not None and numbers:
        return _at(numbers[0], fraction)
    if len(numbers) == 1:
        digits = numbers[0]
        return _at(digits // 100, digits % 100) if digits >= 100 else _at(digits, 0)
    if len(numbers) == 2:
        return _at(numbers[0], numbers[1])
    return None


def _at(hour: int, minute: int) -> time | None:
    if hour == 24 and minute == 0:
        return time(0)
    return time(hour, minute) if 0 <= hour < 24 and 0 <= minute < 60 else None
