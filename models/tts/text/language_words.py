"""The words of a language that normalisation needs: `words/<language>.yaml`, read once."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import yaml
from pydantic import BaseModel, ConfigDict, Field

_FOLDER = Path(__file__).with_name("words")


class LanguageWords(BaseModel):
    """Names and habits of one language. `currencies` are one, many, one hundredth, many hundredths."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    number_language: str
    decimal: str
    thousands: str
    point: str
    minus: str
    and_: str = Field(alias="and")
    to: str
    plus: str
    at: str
    dot: str
    symbols: dict[str, str]
    months: tuple[str, ...] = Field(min_length=12, max_length=12)
    month_abbreviations: tuple[str, ...] = Field(min_length=12, max_length=12)
    day_abbreviations: dict[str, str]
    date: str
    date_without_year: str
    day_first: bool
    first_of_month: str = ""
    ordinal_mark: str
    currencies: dict[str, tuple[str, str, str, str]]
    currency_joint: str
    one_of_currency: str = ""
    units: dict[str, str]
    abbreviations: dict[str, str]
    streets: dict[str, str]
    street_words: tuple[str, ...]
    rooms: dict[str, str]
    letters: dict[str, str]


@cache
def words_of(language: str) -> LanguageWords:
    """The words of `en`, `en-gb`, `fr-fr`...; a language without a file has English habits."""
    base = language.lower().split("-")[0]
    file = _FOLDER / f"{base if base in known_languages() else 'en'}.yaml"
    return LanguageWords.model_validate(yaml.safe_load(file.read_text(encoding="utf-8")))


@cache
def known_languages() -> frozenset[str]:
    return frozenset(file.stem for file in _FOLDER.glob("*.yaml"))
