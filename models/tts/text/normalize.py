"""Written text becomes the words that are said: dates, times, money, telephone numbers, addresses, numbers.

Pure. A chain of rules, from what is most particular to the bare number; what a rule has said is letters
alone, so that no later rule takes it for something else. English is whole; other languages share the rules
with words of their own.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping

from models.tts.text.dates import dates, times
from models.tts.text.language_words import LanguageWords, words_of
from models.tts.text.numerals import by_digit, cardinal, decimal, money, ordinal, spelled

_CURRENCY_SIGNS = {"$": "USD", "€": "EUR", "£": "GBP"}
_MAIL_OR_HOST = re.compile(r"\b[\w+-]{1,40}(?:\.[\w+-]{1,40}){0,6}@[\w-]{1,40}(?:\.[\w-]{1,40}){1,5}\b")
_WEB = re.compile(
    r"\b(?:https?://)?(?:www\.)?([\w-]{1,40}(?:\.[\w-]{1,40}){0,4}\.(?:com|org|net|de|fr|es|eu|uk|io|info))\b(/(?:[\w./-]{0,80}\w)?)?"
)
_PHONE = re.compile(r"(?<![\w.,])(\+?\(?\d[\d ()/.\-]{5,22}\d)(?![\w]|[.,]\d)")
_CODE = re.compile(r"\b(?=\w{0,20}\d)(?=\w{0,20}[^\W\d_])[A-Z0-9]{2,12}\b")
_RANGE = re.compile(r"(?<![\w.,:/-])(\d{1,4})\s?[-–—]\s?(\d{1,4})(?![\w:/-]|[.,]\d)")
_INITIALS = re.compile(r"\b(?:[A-Z][-.]){2,12}[A-Z]?\b\.?")


def normalize(text: str, language: str, lexicon: Mapping[str, str] | None = None) -> str:
    """The text as words of `language` with its punctuation.

    Never raises, and is never empty when a letter or a digit was in the text.

    `lexicon` gives an organization's names: written to spoken, whole words, whatever their case.
    """
    words = words_of(language)
    said = _clean(text)
    said = _with_lexicon(said, lexicon or {})
    for rule in (
        _addresses_of_mail,
        _abbreviations,
        _streets,
        lambda t, w: dates(t, w, american=language.lower().endswith("us")),
        times,
        _money,
        _percent_and_units,
        _telephone,
        _ordinals,
        _ranges,
        _codes,
        _decimals,
        _numbers,
        _symbols,
    ):
        said = rule(said, words)
    said = re.sub(r"[ \t]{2,}", " ", said)
    said = re.sub(r" +([,.;:!?])", r"\1", said).strip()
    lost = any(map(str.isalnum, text)) and not any(map(str.isalnum, said))
    return _anything(text, words) if lost else said


def _anything(text: str, words: LanguageWords) -> str:
    """Should the rules have lost everything: the letters and digits as they stand."""
    return " ".join(
        cardinal(run, words) if run.isascii() and run.isdigit() else run
        for run in re.findall(r"\d+|[^\W\d_]+", _clean(text))
    )


def _clean(text: str) -> str:
    """Compatibility forms and foreign digits made plain; controls, emoji and private signs gone."""
    kept: list[str] = []
    for fraction, plain in (("½", " ½ "), ("¼", " ¼ "), ("¾", " ¾ ")):
        text = text.replace(fraction, plain)
    for sign in text:
        if sign in "½¼¾":
            kept.append(sign)
            continue
        for plain in unicodedata.normalize("NFKC", sign):
            category = unicodedata.category(plain)
            if plain.isdecimal():
                kept.append(str(unicodedata.decimal(plain)))
            elif plain in "’‘ʼ":
                kept.append("'")
            elif category[0] in "CZ" or (category in {"So", "Sk"} and plain not in "°"):
                kept.append("\n" if plain == "\n" else " ")
            elif category == "No":
                kept.append(f" {int(unicodedata.numeric(plain))} ")
            else:
                kept.append(plain)
    return unicodedata.normalize("NFC", "".join(kept))


def _with_lexicon(text: str, lexicon: Mapping[str, str]) -> str:
    if not lexicon:
        return text
    spoken = {written.lower(): said for written, said in lexicon.items()}
    longest_first = sorted(lexicon, key=len, reverse=True)
    pattern = "|".join(re.escape(written) for written in longest_first)
    return re.sub(
        rf"(?<!\w)(?:{pattern})(?!\w)",
        lambda found: spoken.get(found.group().lower(), found.group()),
        text,
        flags=re.IGNORECASE,
    )


def _addresses_of_mail(text: str, words: LanguageWords) -> str:
    def mail(found: re.Match[str]) -> str:
        name, _, host = found.group().partition("@")
        return f"{_dotted(name, words)} {words.at} {_dotted(host, words)}"

    def web(found: re.Match[str]) -> str:
        path = (found.group(2) or "").strip("/")
        slash = words.symbols["/"]
        tail = "".join(f" {slash} {_dotted(part, words)}" for part in path.split("/") if part)
        return _dotted(found.group(1), words) + tail

    return _WEB.sub(web, _MAIL_OR_HOST.sub(mail, text))


def _dotted(name: str, words: LanguageWords) -> str:
    said = (
        name.replace(".", f" {words.dot} ")
        .replace("_", " ")
        .replace("-", " ")
        .replace("+", f" {words.plus} ")
    )
    return re.sub(r"\d+", lambda found: f" {by_digit(found.group(), words)} ", said)


def _abbreviations(text: str, words: LanguageWords) -> str:
    for written, said in words.abbreviations.items():
        if written in text:
            text = re.sub(rf"(?<![\w/]){re.escape(written)}(?![\w/])", said, text)
    for short, day in words.day_abbreviations.items():
        if words.number_language == "en":
            text = re.sub(rf"\b{short}\.(?=\s|,|$)|\b{short}(?=,? \d)", day, text)
    return text


def _streets(text: str, words: LanguageWords) -> str:
    """House numbers as they are said, street types written out, postal codes digit by digit."""
    kinds = "|".join((*words.streets, *words.street_words))
    if words.number_language == "en":

        def house(found: re.Match[str]) -> str:
            number, letter, names, kind = found.groups()
            said = f"{_house(number, words)}{' ' + letter.upper() if letter else ''}"
            return f"{said} {names}{words.streets.get(kind, kind)}"

        text = re.sub(
            r"\b(\d{1,5})([A-Za-z])? ((?:[A-Z][\w']{0,20}\.? |\d{1,3}(?:st|nd|rd|th) ){1,4})"
            rf"({kinds})\b\.?",
            house,
            text,
        )
        rooms = "|".join(words.rooms)
        text = re.sub(rf"\b({rooms})\.? #?(?=\d|[A-Z]\b)", lambda m: f"{words.rooms[m[1]]} ", text)
        text = re.sub(r"\b([A-Z]{2}) (\d{5})(?:-\d{4})?\b", lambda m: f"{m[1]} {by_digit(m[2], words)}", text)
        return re.sub(
            r"\b([A-Z]{1,2}\d[A-Z\d]?) (\d[A-Z]{2})\b",
            lambda m: f"{spelled(m[1], words)}, {spelled(m[2], words)}",
            text,
        )
    attached = "str" if "str" in words.streets else "(?!)"
    text = re.sub(
        rf"(?<=\w)({attached})\.(?=\s\d)|\b({'|'.join(map(re.escape, words.streets))})\.(?=\s)",
        lambda m: words.streets[m[1] or m[2]],
        text,
    )
    text = re.sub(r"\b(\d{1,4})([a-z])\b(?=[,.]|$)", r"\1 \2", text)
    return re.sub(r"(?<![\d.,])\b(\d{5})(?= [A-ZÄÖÜÉ][\w-]{2,})", lambda m: by_digit(m[1], words), text)


def _house(number: str, words: LanguageWords) -> str:
    """`221` "two twenty-one", `1600` "sixteen hundred", `4015` "forty fifteen"."""
    if len(number) == 3 and number[1:] != "00":
        tail = by_digit(number[1:], words) if number[1] == "0" else cardinal(number[1:], words)
        return f"{cardinal(number[0], words)} {tail.replace('zero', 'oh', 1) if number[1] == '0' else tail}"
    if len(number) == 4 and number[1:] != "000" and number[0] != "0":
        if number[2:] == "00":
            return f"{cardinal(number[:2], words)} hundred"
        tail = "oh " + cardinal(number[3], words) if number[2] == "0" else cardinal(number[2:], words)
        return f"{cardinal(number[:2], words)} {tail}"
    return cardinal(number, words)


def _money(text: str, words: LanguageWords) -> str:
    groups = re.escape(words.thousands)
    amount = rf"(\d{{1,3}}(?:{groups}\d{{3}}){{1,4}}|\d{{1,12}})(?:[.,](\d{{2}}))?(?![\d])"
    names = "|".join(words.currencies)

    def say(found: re.Match[str]) -> str:
        group = found.groups()
        sign, whole, parts = group if found.re.pattern.startswith("(?:") else (group[2], group[0], group[1])
        return money(whole.replace(words.thousands, ""), parts or "", _CURRENCY_SIGNS.get(sign, sign), words)

    text = re.sub(rf"(?:(?<!\w)([$€£]|\b(?:{names})) ?){amount}", say, text)
    return re.sub(rf"(?<![\d.,]){amount} ?([$€£]|(?:{names})\b)", say, text)


def _number(found: str, words: LanguageWords) -> str:
    """A number with its marks, as it stands in the text."""
    whole, mark, fraction = found.partition(words.decimal)
    whole = whole.replace(words.thousands, "") or "0"
    if not whole.isdigit() or (mark and not fraction.isdigit()):
        return by_digit("".join(sign for sign in found if sign.isdigit()), words)
    return decimal(whole, fraction, words) if mark else cardinal(whole, words)


def _percent_and_units(text: str, words: LanguageWords) -> str:
    units = "|".join(sorted(map(re.escape, words.units), key=len, reverse=True))
    number = r"(?<![\w.,])(\d{1,12}(?:[.,]\d{1,6})?)"

    def unit(found: re.Match[str]) -> str:
        return f"{_number(found[1], words)} {words.units[found[2]]}"

    text = re.sub(rf"{number} ?({units})(?![\w/])", unit, text)
    return re.sub(rf"{number} ?%", lambda m: f"{_number(m[1], words)} {words.symbols['%']}", text)


def _telephone(text: str, words: LanguageWords) -> str:
    thousands = rf"\d{{1,3}}(?:{re.escape(words.thousands)}\d{{3}})+(?:[.,]\d{{1,2}})?"

    def say(found: re.Match[str]) -> str:
        written = found.group(1)
        digits = [sign for sign in written if sign.isdigit()]
        plain = written.isdigit()
        grouped = bool(re.fullmatch(thousands, written)) and written[0] != "0"
        if len(digits) < 7 or (plain and len(digits) < 9 and written[0] != "0") or grouped:
            return found.group()
        groups = re.findall(r"\d+", written)
        if len(groups) == 1:
            groups = _grouped(groups[0])
        lead = f"{words.plus} " if written[0] == "+" else ""
        return lead + ", ".join(by_digit(group, words) for group in groups)

    return _PHONE.sub(say, text)


def _grouped(digits: str) -> list[str]:
    """Threes, four at the end, and at the front what is left over."""
    groups: list[str] = []
    lead = (len(digits) - 4) % 3 if len(digits) > 4 else 0
    if lead:
        groups.append(digits[:lead])
        digits = digits[lead:]
    while len(digits) > 4:
        groups.append(digits[:3])
        digits = digits[3:]
    return [*groups, digits] if digits else groups


def _ordinals(text: str, words: LanguageWords) -> str:
    if words.number_language == "de":
        return text
    return re.sub(
        rf"\b(\d{{1,4}}){words.ordinal_mark}(?!\w)", lambda found: ordinal(int(found[1]), words), text
    )


def _ranges(text: str, words: LanguageWords) -> str:
    return _RANGE.sub(lambda m: f"{cardinal(m[1], words)} {words.to} {cardinal(m[2], words)}", text)


def _codes(text: str, words: LanguageWords) -> str:
    text = _INITIALS.sub(lambda m: spelled(re.sub(r"[-.]", "", m.group()), words), text)
    return _CODE.sub(lambda m: spelled(m.group(), words), text)


def _decimals(text: str, words: LanguageWords) -> str:
    groups = re.escape(words.thousands)
    fraction = rf"(?:{re.escape(words.decimal)}(\d{{1,20}}))?"
    pattern = rf"(?<![\w])([-−])?(\d{{1,3}}(?:{groups}\d{{3}}){{1,6}}|\d{{1,20}}){fraction}(?!\d)"

    def say(found: re.Match[str]) -> str:
        sign, whole, fraction = found.groups()
        whole = whole.replace(words.thousands, "")
        said = decimal(whole, fraction, words) if fraction else cardinal(whole, words)
        return f"{words.minus} {said}" if sign else said

    return re.sub(pattern, say, text)


def _numbers(text: str, words: LanguageWords) -> str:
    """What digits are left, wherever they stand."""
    return re.sub(r"\d+", lambda found: f" {cardinal(found.group(), words)} ", text)


def _symbols(text: str, words: LanguageWords) -> str:
    for sign, said in words.symbols.items():
        if sign in text:
            text = text.replace(sign, f" {said} ")
    return re.sub(r"[\[\]{}<>|\\^~_`*\"“”«»„]+", " ", text)
