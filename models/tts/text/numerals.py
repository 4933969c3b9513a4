"""Numbers as words. Pure; num2words knows the languages, this module their limits."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from num2words import CONVERTER_CLASSES, num2words

from models.tts.text.language_words import LanguageWords

_MAX_DIGITS = 15


@lru_cache(4096)
def _words(number: int | str, language: str, kind: str) -> str:
    convert: Any = num2words
    spoken = language if language in CONVERTER_CLASSES else "en"
    return str(convert(number, lang=spoken, to=kind)).replace(",", "")


def cardinal(digits: str, words: LanguageWords) -> str:
    """A whole number; one that is too long for a name, or begins with zeros, digit by digit."""
    if len(digits) > _MAX_DIGITS or (len(digits) > 1 and digits[0] == "0"):
        return by_digit(digits, words)
    return _words(int(digits), words.number_language, "cardinal")


def ordinal(number: int, words: LanguageWords) -> str:
    return _words(number, words.number_language, "ordinal")


def year(number: int, words: LanguageWords) -> str:
    if words.number_language == "en" and 2000 <= number < 2010:
        return _words(number, "en", "cardinal")
    return _words(number, words.number_language, "year")


def by_digit(digits: str, words: LanguageWords) -> str:
    return " ".join(_words(int(digit), words.number_language, "cardinal") for digit in digits)


def decimal(whole: str, fraction: str, words: LanguageWords) -> str:
    """`2` and `50`: "two point five zero"; long fractions too, digit by digit."""
    return f"{cardinal(whole, words)} {words.point} {by_digit(fraction, words)}"


def money(whole: str, hundredths: str, currency: str, words: LanguageWords) -> str:
    one, many, one_part, many_parts = words.currencies[currency]

    def amount(digits: str, single: str, plural: str) -> str:
        number = int(digits)
        if number == 1:
            count = words.one_of_currency or cardinal("1", words)
            return f"{count} {single}"
        return f"{cardinal(str(number), words)} {plural}"

    parts = int(hundredths) if hundredths else 0
    if parts and int(whole) == 0:
        return amount(str(parts), one_part, many_parts)
    said = amount(whole, one, many)
    if parts:
        said += f" {words.currency_joint} {amount(str(parts), one_part, many_parts)}"
    return said


def spelled(text: str, words: LanguageWords) -> str:
    """Letter by letter and digit by digit, with room between them; other signs by their names."""
    said: list[str] = []
    for sign in text:
        if sign.isdecimal():
            said.append(by_digit(str(int(sign)), words))
        elif sign.lower() in words.letters:
            said.append(words.letters[sign.lower()])
        elif sign.isalnum():
            said.append(sign.upper() if len(sign.upper()) == 1 else sign)
        elif sign in words.symbols:
            said.append(words.symbols[sign])
        elif sign == ".":
            said.append(words.dot)
        elif sign == "-":
            said.append(words.minus)
    return ", ".join(said)
