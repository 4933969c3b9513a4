"""From what is asked to be said to the clauses that an engine says. Pure.

The first clause is short, so that its sound is there early; no clause is long, so that a cancelled sentence
costs little and a batch stays even.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from models.tts.clause import Clause, Piece, Sounds, Words
from models.tts.text.language_words import words_of
from models.tts.text.markup import MAX_BREAK_MS, Marked, Pause, SayAs, is_markup, parse_markup
from models.tts.text.normalize import normalize
from models.tts.text.numerals import by_digit, ordinal, spelled

FIRST_CLAUSE, LONGEST_CLAUSE = 60, 160
"""Characters. The first clause ends at its first comma that leaves something to say."""
_SHORTEST_CLAUSE = 10
_SENTENCE_END = re.compile(r"(?<=[.!?;:…])\s+|\n+")
_COMMA = re.compile(r"(?<=[,–—])\s+")
_PAUSES = {".": 160, "!": 160, "?": 160, ";": 120, ":": 120, ",": 60}


def prepare(text: str, language: str, lexicon: Mapping[str, str] | None = None) -> tuple[Clause, ...]:
    """The clauses of a text or of an SSML document; none for a text without a letter or a digit.

    Raises InvalidInput for markup that is not well formed. A text itself is never refused.
    """
    parts: Sequence[Marked] = parse_markup(text) if is_markup(text) else [Words(text)]
    spoken: list[Piece | Pause] = []
    for part in parts:
        if isinstance(part, SayAs):
            spoken.append(Words(_say_as(part, language, lexicon)))
        elif isinstance(part, Words):
            spoken.append(Words(normalize(part.text, language, lexicon)))
        else:
            spoken.append(part)
    return tuple(_clauses(spoken))


def _say_as(part: SayAs, language: str, lexicon: Mapping[str, str] | None) -> str:
    words = words_of(language)
    digits = "".join(sign for sign in part.text if sign.isascii() and sign.isdigit())
    if part.kind in {"characters", "spell-out", "verbatim"}:
        return spelled(part.text, words)
    if part.kind == "digits" and digits:
        return by_digit(digits, words)
    if part.kind == "telephone" and digits:
        groups = re.findall(r"\d+", part.text)
        lead = f"{words.plus} " if part.text.strip().startswith("+") else ""
        return lead + ", ".join(by_digit(group, words) for group in groups if group.isascii())
    if part.kind == "ordinal" and 0 < len(digits) <= 6:
        return ordinal(int(digits), words)
    return normalize(part.text, language, lexicon)


def _clauses(parts: Sequence[Piece | Pause]) -> Iterator[Clause]:
    """Cuts at breaks, sentence ends, and in what is long at commas and spaces."""
    held: list[Piece] = []
    made: list[Clause] = []

    def close(pause_ms: int) -> None:
        if any(isinstance(one, Sounds) or any(sign.isalnum() for sign in one.text) for one in held):
            made.append(Clause(tuple(held), pause_ms))
        elif made and pause_ms:
            last = made.pop()
            made.append(Clause(last.pieces, min(MAX_BREAK_MS, last.pause_ms + pause_ms)))
        held.clear()

    for part in parts:
        if isinstance(part, Pause):
            close(part.milliseconds)
        elif isinstance(part, Sounds):
            held.append(part)
        else:
            cut = list(_cut(part.text, first=not made))
            for position, piece in enumerate(cut):
                held.append(Words(piece))
                length = sum(len(one.text) for one in held if isinstance(one, Words))
                ended = piece[-1] in _PAUSES or length >= LONGEST_CLAUSE
                if position + 1 < len(cut) or ended:
                    close(_PAUSES.get(piece[-1], 0))
    close(0)
    yield from made


def _cut(text: str, *, first: bool) -> Iterator[str]:
    for sentence in _SENTENCE_END.split(text):
        rest = sentence.strip()
        while rest:
            longest = FIRST_CLAUSE if first else LONGEST_CLAUSE
            piece, rest = _split(rest, longest)
            if any(sign.isalnum() for sign in piece):
                first = False
            yield piece


def _split(text: str, longest: int) -> tuple[str, str]:
    """A piece from the front, cut at a comma or a space, and the rest."""
    if len(text) <= longest:
        return text, ""
    commas = [found for found in _COMMA.finditer(text, 0, longest + 1) if found.start() >= _SHORTEST_CLAUSE]
    if commas:
        comma = commas[0] if longest < LONGEST_CLAUSE else commas[-1]
        return text[: comma.start()], text[comma.end() :]
    space = text.rfind(" ", longest // 3, longest + 1)
    if longest < LONGEST_CLAUSE:
        # A short first clause that no comma offers would be torn: the sentence goes on to its natural size.
        return _split(text, LONGEST_CLAUSE)
    if space > 0:
        return text[:space], text[space + 1 :].lstrip()
    return text[:longest], text[longest:]
