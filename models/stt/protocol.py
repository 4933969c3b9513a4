"""What a recogniser is asked and what it answers, in the words of contract 3. Pure."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast

from appliance.errors import InvalidInput

SAMPLE_RATE_HZ = 16_000
MAX_REQUEST_SECONDS = 30
MAX_PHRASES = 200
MAX_PHRASE_CHARACTERS = 100
_MAX_CONTROL_BYTES = 256 * 1024

ResultKind = Literal["interim", "preflight", "final"]


@dataclass(frozen=True)
class Control:
    """The options of a stream (they count at its start), and whether the segment ends or may do so."""

    language: str = ""
    phrases: tuple[str, ...] = ()
    flush: bool = False
    preflight: bool = False


def control_of(text: str) -> Control:
    """Reads CONTROL. InvalidInput for what does not fit the contract."""
    if len(text.encode()) > _MAX_CONTROL_BYTES:
        raise InvalidInput(f"CONTROL has at most {_MAX_CONTROL_BYTES} bytes.", field="CONTROL")
    try:
        said: Any = json.loads(text) if text else {}
    except (ValueError, RecursionError) as error:
        raise InvalidInput("CONTROL is not JSON.", field="CONTROL") from error
    if not isinstance(said, dict):
        raise InvalidInput("CONTROL must be a JSON object.", field="CONTROL")
    options = cast("dict[str, Any]", said)
    language, phrases = options.get("language") or "", options.get("phrases") or []
    if not isinstance(language, str) or not isinstance(phrases, list):
        raise InvalidInput("CONTROL has a wrong form.", field="CONTROL")
    listed = cast("list[object]", phrases)
    if len(listed) > MAX_PHRASES or any(
        not isinstance(phrase, str) or len(phrase) > MAX_PHRASE_CHARACTERS for phrase in listed
    ):
        raise InvalidInput(
            f"There may be {MAX_PHRASES} phrases of {MAX_PHRASE_CHARACTERS} characters.", field="phrases"
        )
    rate = options.get("sample_rate_hz", SAMPLE_RATE_HZ)
    if rate != SAMPLE_RATE_HZ:
        raise InvalidInput(f"Audio must have {SAMPLE_RATE_HZ} Hz, not {rate}.", field="sample_rate_hz")
    return Control(
        language,
        tuple(str(phrase) for phrase in listed),
        flush=options.get("flush") is True,
        preflight=options.get("preflight") is True,
    )


@dataclass(frozen=True)
class Piece:
    """A token that was heard: as the tokenizer writes it, the time at which it was said, how sure."""

    text: str
    at_ms: int
    confidence: float


@dataclass(frozen=True)
class Word:
    word: str
    start_ms: int
    end_ms: int
    confidence: float


_LETTER_MS = 80
"""A transducer names a token where it has ended; its beginning is taken to lie so much a letter before."""
_NEW_WORD = "\u2581"


def words_of(pieces: Sequence[Piece]) -> list[Word]:
    """Pieces joined to words. A word never begins before the last one has ended."""
    words: list[Word] = []
    parts: list[Piece] = []

    def close() -> None:
        text = "".join(part.text.removeprefix(_NEW_WORD) for part in parts)
        if text:
            began = parts[0].at_ms - _LETTER_MS * len(parts[0].text.removeprefix(_NEW_WORD))
            earliest = words[-1].end_ms if words else 0
            end = max(parts[-1].at_ms, earliest)
            sure = min(part.confidence for part in parts)
            words.append(Word(text, max(began, earliest), end, round(sure, 3)))
        parts.clear()

    for piece in pieces:
        if piece.text.startswith(_NEW_WORD):
            close()
        parts.append(piece)
    close()
    return words


def result_json(pieces: Sequence[Piece], *, kind: ResultKind, language: str, audio_ms: int) -> str:
    """The RESULT of the contract."""
    words = words_of(pieces)
    sure = sum(word.confidence for word in words) / len(words) if words else 0.0
    return json.dumps(
        {
            "type": kind,
            "text": " ".join(word.word for word in words),
            "words": [
                {"word": w.word, "start_ms": w.start_ms, "end_ms": w.end_ms, "confidence": w.confidence}
                for w in words
            ],
            "confidence": round(sure, 3),
            "language": language,
            "audio_ms": audio_ms,
        }
    )
