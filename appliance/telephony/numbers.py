"""Telephone numbers as gateways and people write them, brought into E.164 (ITU-T) where they can be."""

from __future__ import annotations

import re
from functools import lru_cache
from importlib import resources

import phonenumbers

_USER_OF_URI = re.compile(r"^(?:sips?|tel):", re.IGNORECASE)
_SEPARATORS = re.compile(r"[\s()./-]+")
_DIGITS = re.compile(r"^\+?[0-9*#]+$")
_SHORT_DIGITS = 6
"""Up to so many digits a number is an extension of the PBX and stays as it is."""


def bare(raw: str) -> str:
    """The dialled user part: without scheme, host, parameters and separators."""
    user = _USER_OF_URI.sub("", raw.strip()).split("@", 1)[0].split(";", 1)[0]
    compact = _SEPARATORS.sub("", user)
    return compact if _DIGITS.match(compact) else user.strip()


def _international(number: str, region: str | None) -> str | None:
    try:
        parsed = phonenumbers.parse(number, region)
    except phonenumbers.NumberParseException:
        return None
    if not phonenumbers.is_possible_number(parsed):
        return None
    return phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.E164)


def candidates(raw: str, region: str | None) -> tuple[str, ...]:
    """The numbers that a dialled string may mean, most likely first.

    A trunk may deliver `+4930555010`, `004930555010`, `4930555010`, `030555010` or an extension; only the
    numbers that are configured can tell which, so each reading is looked up.
    """
    number = bare(raw)
    found: list[str] = [number]
    if _DIGITS.match(number):
        if number.startswith("00"):
            found.append("+" + number[2:])
        elif not number.startswith("+"):
            found.append("+" + number)
        if region is not None and not number.startswith("+"):
            national = _international(number, region)
            if national is not None:
                found.append(national)
    return tuple(dict.fromkeys(found))


def normalised(raw: str, region: str | None) -> str:
    """E.164 when the string is a valid number, seen from `region`; else the bare user part, such as `200`."""
    number = bare(raw)
    if not _DIGITS.match(number) or len(number.lstrip("+")) <= _SHORT_DIGITS:
        return number
    if number.startswith("00"):
        number = "+" + number[2:]
    for reading in _readings(number, region):
        try:
            parsed = phonenumbers.parse(reading, region)
        except phonenumbers.NumberParseException:
            continue
        if phonenumbers.is_valid_number(parsed):
            return phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.E164)
    return _international(number, region) or number


def _readings(number: str, region: str | None) -> tuple[str, ...]:
    """National first, unless the digits begin with the country's own code: then only its plus is missing."""
    if number.startswith("+"):
        return (number,)
    country_code = phonenumbers.country_code_for_region(region) if region else 0
    if country_code and number.startswith(str(country_code)):
        return ("+" + number, number)
    return (number, "+" + number)


def dialable(raw: str) -> bool:
    """Whether the gateway may be told to dial it: digits with an optional plus, and nothing of a SIP URI."""
    return re.fullmatch(r"\+?[0-9*#]{1,32}", raw) is not None


@lru_cache(maxsize=1)
def _regions() -> dict[str, str]:
    table: dict[str, str] = {}
    tab = resources.files("tzdata").joinpath("zoneinfo", "zone.tab").read_text(encoding="utf-8")
    for line in tab.splitlines():
        if line and not line.startswith("#"):
            country, _position, zone = line.split("\t")[:3]
            table[zone] = country
    return table


def region_of(timezone: str) -> str | None:
    """The country (ISO 3166) of an IANA time zone, after the time zone database's `zone.tab`; None for `UTC`.

    An organization's numbers written without a country code are read as numbers of this country.
    """
    return _regions().get(timezone)
