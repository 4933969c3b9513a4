"""What a caller's sentence means: intents and slots, by the patterns of the dialogue. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from models.llm.scripted.dialogue import Dialogue
from models.llm.scripted.spoken_time import SaidTime, normal, said_day, said_time

_MAX_CHARACTERS = 2_000
_MAX_NAME_WORDS = 4
_ITEM = re.compile(
    r"\b(?P<quantity>\d{1,3}|an?|some)\s+"
    r"(?P<name>[a-z][a-z'-]*(?: (?!(?:and|please|for|to|with|on|at)\b)[a-z'-]+){0,2})"
)
_NO_ITEMS = re.compile(r"\b(order|delivery|moment|minute|message|question|appointment|person|human)\b")


@dataclass(frozen=True)
class Meaning:
    """One utterance of the caller, understood."""

    text: str
    """As it was said."""
    words: str
    """Normalised."""
    intents: frozenset[str]
    day: date | None = None
    time: SaidTime | None = None
    name: str | None = None
    items: tuple[dict[str, Any], ...] = field(default=())

    @property
    def empty(self) -> bool:
        return not self.words

    @property
    def has_slots(self) -> bool:
        return bool(self.day or self.time or self.name or self.items)


def understand(text: str, dialogue: Dialogue, today: date, asked: str | None) -> Meaning:
    """Intents and slots of an utterance; `asked` is the question it may answer."""
    words = normal(text[:_MAX_CHARACTERS])
    intents = {name for name, patterns in dialogue.intents.items() if any(p.search(words) for p in patterns)}
    chooses = bool(intents & {"first_choice", "second_choice", "third_choice"})
    day = None if chooses else said_day(words, today)
    at = None if chooses else said_time(words, expected=asked == "time")
    items = _items(words) if asked == "items" or "order" in intents else ()
    name = _name(text, dialogue, asked=asked, alone=not (day or at or _closes(intents)))
    return Meaning(text.strip(), words, frozenset(intents), day, at, name, items)


def _closes(intents: set[str]) -> bool:
    return bool(
        intents
        & {
            "human",
            "goodbye",
            "done",
            "cancel",
            "note",
            "order",
            "hours",
            "times",
            "book",
            "who",
            "repeat",
            "wait",
            "there",
            "no",
            "yes",
            "thanks",
            "earliest",
        }
    )


def _name(text: str, dialogue: Dialogue, *, asked: str | None, alone: bool) -> str | None:
    """A name that is announced (`my name is ...`), or any short answer when a name was asked for."""
    plain = re.sub(r"[^\w\s'-]", " ", text.lower().replace("’", "'"))
    plain = re.sub(r"\s+", " ", plain).strip()
    leads = list(dialogue.name_leads.finditer(plain))
    lead = leads[-1] if leads else None
    surely = lead is not None and "name" in lead[0]
    if lead is not None and (surely or asked == "name"):
        said = plain[lead.end() :]
    elif asked == "name" and alone:
        said = plain
    else:
        return None
    said = dialogue.name_noise.sub("", f"{said}").strip()
    said = re.sub(r"\s+and my (?:last name|surname|family name) is\s+", " ", said)
    said = re.sub(r"\b(?:please|thank you|thanks)\b.*$", "", said).strip()
    said = _spelled(said)
    parts = said.split()[:_MAX_NAME_WORDS]
    if not parts or not any(part[0].isalpha() for part in parts) or any(part.isdigit() for part in parts):
        return None
    return " ".join(part[:30].title() if "'" not in part else part[:30].capitalize() for part in parts)


def _spelled(text: str) -> str:
    """`j o h n` → `john`; letters within other words stay."""
    return re.sub(
        r"(?<!\S)(?:[a-z] ){2,}[a-z](?!\S)", lambda match: match[0].replace(" ", ""), text.replace("-", " - ")
    ).replace(" - ", "-")


def _items(words: str) -> tuple[dict[str, Any], ...]:
    found: list[dict[str, Any]] = []
    for match in _ITEM.finditer(words):
        if _NO_ITEMS.search(match["name"]):
            continue
        quantity = int(match["quantity"]) if match["quantity"].isdigit() else 1
        if 1 <= quantity <= 999:
            found.append({"name": match["name"], "quantity": quantity})
    return tuple(found[:20])
