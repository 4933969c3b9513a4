"""The subset of SSML that is understood: break, say-as, phoneme, sub, p and s; the rest is read through.

Source: W3C Speech Synthesis Markup Language 1.1, section 3. Parsed with defusedxml: no document type, no
entity of its own, nothing fetched. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import fromstring

from appliance.errors import InvalidInput
from models.tts.clause import Sounds, Words

MAX_BREAK_MS = 10_000
_MAX_ELEMENTS = 500
_MAX_DEPTH = 24
_STRENGTHS = {"none": 0, "x-weak": 100, "weak": 250, "medium": 500, "strong": 800, "x-strong": 1200}
_TIME = re.compile(r"\s*\+?(\d{1,6}(?:\.\d{1,3})?)\s*(ms|s)\s*")
_PARAGRAPH_MS = 400


@dataclass(frozen=True, slots=True)
class Pause:
    milliseconds: int


@dataclass(frozen=True, slots=True)
class SayAs:
    """Text whose reading the markup states: `characters`, `digits`, `telephone`, `ordinal`, ..."""

    text: str
    kind: str


Marked = Words | Sounds | Pause | SayAs


def is_markup(text: str) -> bool:
    return bool(re.match(r"\s*<(?:\?xml|!DOCTYPE|speak[\s>/])", text))


def parse_markup(text: str) -> list[Marked]:
    """The parts of a `<speak>` document in order. Raises InvalidInput for broken or oversized markup."""
    try:
        root: Any = fromstring(text, forbid_dtd=True)
    except DefusedXmlException as error:
        raise InvalidInput("The markup declares a document type or entities.", field="TEXT") from error
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise InvalidInput("The markup is not well-formed XML.", field="TEXT") from error
    if _name(root) != "speak":
        raise InvalidInput("The markup's outermost element is speak.", field="TEXT")
    budget = [_MAX_ELEMENTS]
    return list(_walk(root, budget, 0))


def _name(element: Any) -> str:
    return str(element.tag).rpartition("}")[2]


def _walk(element: Any, budget: list[int], depth: int) -> Iterator[Marked]:
    budget[0] -= 1
    if budget[0] < 0 or depth > _MAX_DEPTH:
        raise InvalidInput("The markup has too many elements.", field="TEXT")
    name = _name(element)
    if name == "break":
        yield Pause(_break_ms(element))
    elif name == "phoneme":
        yield _sounds(element)
    elif name == "say-as":
        yield SayAs(_inner(element), element.get("interpret-as") or "")
    elif name == "sub":
        yield Words(element.get("alias") or _inner(element))
    else:
        if element.text:
            yield Words(element.text)
        for child in element:
            yield from _walk(child, budget, depth + 1)
            if child.tail:
                yield Words(child.tail)
        if name in {"p", "s"}:
            yield Pause(_PARAGRAPH_MS if name == "p" else _PARAGRAPH_MS // 2)


def _inner(element: Any) -> str:
    return "".join(element.itertext())


def _break_ms(element: Any) -> int:
    time = element.get("time")
    if time is None:
        strength = element.get("strength") or "medium"
        if strength not in _STRENGTHS:
            raise InvalidInput("A break's strength has a name that is not known.", field="TEXT")
        return _STRENGTHS[strength]
    found = _TIME.fullmatch(time)
    if found is None:
        raise InvalidInput("A break's time is a number with s or ms.", field="TEXT")
    return min(MAX_BREAK_MS, round(float(found[1]) * (1000 if found[2] == "s" else 1)))


def _sounds(element: Any) -> Marked:
    if (element.get("alphabet") or "ipa") != "ipa":
        raise InvalidInput("Phonemes are written in the alphabet ipa.", field="TEXT")
    symbols = (element.get("ph") or "").strip()
    return Sounds(symbols) if symbols else Words(_inner(element))
