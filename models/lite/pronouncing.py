"""The dictionary of the lite recogniser: the words of a vocabulary as the acoustic model's phones."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from pathlib import Path

import pocketsphinx

from models.lite.vocabulary import Vocabulary

ACOUSTIC_MODEL = Path(pocketsphinx.get_model_path()) / "en-us" / "en-us"
ADAPTED = Path(__file__).parent / "acoustics"
"""What `models/lite/adapt.py` made of the model for the telephone."""
_DICTIONARY = Path(pocketsphinx.get_model_path()) / "en-us" / "cmudict-en-us.dict"


@cache
def _packaged() -> dict[str, tuple[str, ...]]:
    known: dict[str, list[str]] = {}
    for line in _DICTIONARY.read_text(encoding="utf-8").splitlines():
        word, phones = line.split(maxsplit=1)
        known.setdefault(word.split("(")[0], []).append(phones)
    return {word: tuple(phones) for word, phones in known.items()}


def pronunciations(vocabulary: Vocabulary, word: str) -> tuple[str, ...]:
    """How a word is said; empty when nobody knows."""
    own = vocabulary.pronunciations.get(word)
    return tuple(own) if own else _packaged().get(word, ())


def dictionary(vocabulary: Vocabulary, words: Iterable[str]) -> str:
    """A dictionary file of the words that have a pronunciation."""
    lines: list[str] = []
    for word in sorted(set(words)):
        for position, phones in enumerate(pronunciations(vocabulary, word), start=1):
            lines.append(f"{word if position == 1 else f'{word}({position})'} {phones}")
    return "\n".join(lines) + "\n"
