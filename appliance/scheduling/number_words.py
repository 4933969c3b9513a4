"""Numbers as people say them, brought into digits: "twenty first" is 21st, "three thirty" is 3 30."""

from __future__ import annotations

import re

_UNITS = [
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
]
_TENS = {"twenty": 20, "thirty": 30, "forty": 40, "fifty": 50}
_ORDINAL_UNITS = [
    "zeroth",
    "first",
    "second",
    "third",
    "fourth",
    "fifth",
    "sixth",
    "seventh",
    "eighth",
    "ninth",
    "tenth",
    "eleventh",
    "twelfth",
    "thirteenth",
    "fourteenth",
    "fifteenth",
    "sixteenth",
    "seventeenth",
    "eighteenth",
    "nineteenth",
]
_ORDINAL_TENS = {"twentieth": 20, "thirtieth": 30}
_GERMAN = [
    "null",
    "eins",
    "zwei",
    "drei",
    "vier",
    "fünf",
    "sechs",
    "sieben",
    "acht",
    "neun",
    "zehn",
    "elf",
    "zwölf",
    "dreizehn",
    "vierzehn",
    "fünfzehn",
    "sechzehn",
    "siebzehn",
    "achtzehn",
    "neunzehn",
    "zwanzig",
    "einundzwanzig",
    "zweiundzwanzig",
    "dreiundzwanzig",
    "vierundzwanzig",
    "fünfundzwanzig",
    "sechsundzwanzig",
    "siebenundzwanzig",
    "achtundzwanzig",
    "neunundzwanzig",
    "dreißig",
    "einunddreißig",
]
_GERMAN_ORDINALS = [
    "nullten",
    "ersten",
    "zweiten",
    "dritten",
    "vierten",
    "fünften",
    "sechsten",
    "siebten",
    "achten",
    "neunten",
    "zehnten",
    "elften",
    "zwölften",
    "dreizehnten",
    "vierzehnten",
    "fünfzehnten",
    "sechzehnten",
    "siebzehnten",
    "achtzehnten",
    "neunzehnten",
    "zwanzigsten",
    "einundzwanzigsten",
    "zweiundzwanzigsten",
    "dreiundzwanzigsten",
    "vierundzwanzigsten",
    "fünfundzwanzigsten",
    "sechsundzwanzigsten",
    "siebenundzwanzigsten",
    "achtundzwanzigsten",
    "neunundzwanzigsten",
    "dreißigsten",
    "einunddreißigsten",
]

_CARDINALS: dict[str, int] = {
    **{word: value for value, word in enumerate(_UNITS)},
    **_TENS,
    **{word: value for value, word in enumerate(_GERMAN)},
    "ein": 1,
    "vierzig": 40,
    "fünfundvierzig": 45,
    "fünfzig": 50,
}
_ORDINALS: dict[str, int] = {
    **{word: value for value, word in enumerate(_ORDINAL_UNITS) if value},
    **_ORDINAL_TENS,
    **{word: value for value, word in enumerate(_GERMAN_ORDINALS) if value},
}


def words_of(text: str) -> list[str]:
    """The words of a phrase in lower case, number words as digits; ordinals keep a mark: `21st`."""
    raw = text.lower().replace("-", " ")
    tokens = [token for token in re.split(r"[\s,;!?]+", raw) if token]
    found: list[str] = []
    index = 0
    while index < len(tokens):
        word = tokens[index].rstrip(".") or tokens[index]
        following = tokens[index + 1].rstrip(".") if index + 1 < len(tokens) else ""
        tens = _TENS.get(word)
        if tens is not None and 0 < _CARDINALS.get(following, 0) < 10:
            found.append(str(tens + _CARDINALS[following]))
            index += 2
        elif tens is not None and 0 < _ORDINALS.get(following, 0) < 10:
            found.append(f"{tens + _ORDINALS[following]}st")
            index += 2
        else:
            if word in _ORDINALS:
                found.append(f"{_ORDINALS[word]}st")
            elif word in _CARDINALS:
                found.append(str(_CARDINALS[word]))
            elif re.fullmatch(r"\d{1,2}(st|nd|rd|th)", word):
                found.append(word[:-2] + "st")
            elif re.fullmatch(r"\d{1,2}", word) and tokens[index].endswith("."):
                found.append(f"{word}st")
            else:
                found.append(word)
            index += 1
    return found
