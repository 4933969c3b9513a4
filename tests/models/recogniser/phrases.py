"""What callers of the tiny recogniser say: sentences of a receptionist, by weighted patterns."""

from __future__ import annotations

import random
import re
import zlib

_HOUR = ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")
_DIGIT = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
_DAY = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_LISTS = {
    "hour": _HOUR,
    "digit": _DIGIT,
    "weekday": _DAY,
    "minutes": ("fifteen", "thirty", "forty five"),
    "part": ("morning", "afternoon"),
    "first": ("mary", "peter", "tom", "emma", "anna", "sarah"),
    "last": ("miller", "brown", "hill", "baker", "taylor", "green"),
    "who": ("the doctor", "a person", "a human"),
    "greet": ("hello", "good morning", "good afternoon"),
    "clock": ("<hour> o'clock", "<hour> o'clock", "<hour> <minutes>", "<hour>", "half past <hour>"),
    "day": ("<weekday>", "<weekday>", "<weekday>", "next <weekday>", "tomorrow", "today", "<weekday> <part>"),
    "want": ("i would like to", "i want to", "can i", "i need to"),
}
_PATTERNS: tuple[tuple[int, str], ...] = (
    (16, "i would like to book an appointment please"),
    (10, "<want> book an appointment"),
    (6, "<want> book an appointment please"),
    (8, "<want> book an appointment on <day>"),
    (6, "<want> book an appointment on <day> at <clock>"),
    (5, "<greet> <want> book an appointment please"),
    (5, "i would like an appointment on <day> please"),
    (6, "<want> change my appointment"),
    (6, "<want> cancel my appointment"),
    (6, "<want> speak to <who> please"),
    (26, "on <weekday>"),
    (12, "on <day>"),
    (8, "on <day> please"),
    (12, "on <day> at <clock>"),
    (8, "<day>"),
    (8, "<day> at <clock> please"),
    (30, "at <hour> o'clock"),
    (18, "at <clock>"),
    (10, "at <clock> please"),
    (10, "<clock>"),
    (6, "in the <part>"),
    (30, "my name is <first> <last>"),
    (10, "<first> <last>"),
    (6, "it is <first> <last>"),
    (4, "the name is <last>"),
    (14, "yes please"),
    (10, "yes"),
    (12, "no"),
    (14, "no thank you goodbye"),
    (8, "no thank you"),
    (10, "goodbye"),
    (6, "thank you goodbye"),
    (5, "thank you"),
    (6, "hello"),
    (4, "<greet>"),
    (5, "yes that is right"),
    (5, "no that is all thank you"),
    (5, "no on <weekday> please"),
    (6, "no at <clock>"),
    (6, "what times do you have on <day>"),
    (5, "is <clock> free on <day>"),
    (4, "do you have an appointment <day>"),
    (5, "what about <day> at <clock>"),
    (10, "my number is <digit> <digit> <digit> <digit> <digit> <digit>"),
    (10, "<digit> <digit> <digit> <digit>"),
    (5, "<digit> <digit>"),
    (4, "<digit>"),
    (3, "please"),
)
_HELD_OUT_SHARE = 8
"""Of sentences of four and more words one in so many is never trained on."""
_PLACE = re.compile(r"<(\w+)>")


def _filled(pattern: str, choose: random.Random) -> str:
    while place := _PLACE.search(pattern):
        pattern = pattern[: place.start()] + choose.choice(_LISTS[place[1]]) + pattern[place.end() :]
    return pattern


def is_held_out(sentence: str) -> bool:
    """Whether a sentence is kept for the measurement; the demo's own lines and short ones are not."""
    if len(sentence.split()) < 4 or sentence == "i would like to book an appointment please":
        return False
    return zlib.crc32(sentence.encode()) % _HELD_OUT_SHARE == 0


def sentences(count: int, seed: int, *, held_out: bool) -> list[str]:
    """So many sentences, repetitions among them as weighted; held-out ones are each given once."""
    choose = random.Random(seed)
    weights = [weight for weight, _ in _PATTERNS]
    found: list[str] = []
    while len(found) < count:
        pattern = choose.choices(_PATTERNS, weights)[0][1]
        said = _filled(pattern, choose)
        if is_held_out(said) == held_out and not (held_out and said in found):
            found.append(said)
    return found


def vocabulary() -> list[str]:
    """Every word that a sentence can hold, in alphabetical order."""
    texts = [*(pattern for _, pattern in _PATTERNS), *(text for list_ in _LISTS.values() for text in list_)]
    return sorted({word for text in texts for word in _PLACE.sub(" ", text).split()})
