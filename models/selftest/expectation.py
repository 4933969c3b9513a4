"""What the engines of a box said when they were known to be well: one JSON file and one WAV beside it."""

from __future__ import annotations

import os
import wave
from datetime import datetime
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from appliance.errors import IntegrityError, InvalidInput

FILE_NAME = "expectation.json"
AUDIO_NAME = "sentence.wav"
_RATE_HZ = 16_000


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Heard(_Part):
    """Of the recogniser: what it made of the stored audio."""

    text: str
    max_word_error_rate: float = Field(ge=0, le=1)


class Spoken(_Part):
    """Of the voice: how long and how loud its sentence was."""

    text: str
    seconds: float = Field(gt=0)
    level: float = Field(gt=0)


class Answered(_Part):
    """Of the language model. `text` is its answer; empty when another answer is as good each time."""

    question: str
    text: str


class Expectation(_Part):
    recorded_at: datetime
    language: str
    voice: str = ""
    stt: Heard
    tts: Spoken
    llm: Answered


def load_expectation(folder: Path) -> tuple[Expectation, bytes]:
    """The expectation and its audio, 16-bit 16 kHz mono. Raises InvalidInput when there is none yet, and
    IntegrityError for a file that cannot be read as one."""
    file = folder / FILE_NAME
    try:
        text = file.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise InvalidInput(
            "No expectation is stored yet.", remedy="Record one of a healthy box: --record."
        ) from error
    except (OSError, UnicodeDecodeError) as error:
        raise IntegrityError(f"{file} cannot be read.") from error
    try:
        expectation = Expectation.model_validate_json(text)
        with wave.open(str(folder / AUDIO_NAME), "rb") as audio:
            if (audio.getframerate(), audio.getnchannels(), audio.getsampwidth()) != (_RATE_HZ, 1, 2):
                raise IntegrityError(f"{AUDIO_NAME} is not 16 kHz mono.")
            return expectation, audio.readframes(audio.getnframes())
    except (ValidationError, wave.Error, EOFError, OSError) as error:
        raise IntegrityError(
            f"The expectation in {folder} is damaged.", remedy="Record it anew: --record."
        ) from error


def save_expectation(folder: Path, expectation: Expectation, audio: bytes) -> None:
    """Writes the audio and then, in one step, the expectation."""
    folder.mkdir(parents=True, exist_ok=True)
    with wave.open(str(folder / AUDIO_NAME), "wb") as out:
        out.setparams((1, 2, _RATE_HZ, 0, "NONE", ""))
        out.writeframes(audio)
    draft = folder / f"{FILE_NAME}.new"
    draft.write_text(expectation.model_dump_json(indent=2) + "\n", encoding="utf-8")
    os.replace(draft, folder / FILE_NAME)


def word_error_rate(expected: str, heard: str) -> float:
    """Insertions, deletions and exchanges of words, over the expected words; at most 1."""
    wanted, got = _words(expected), _words(heard)
    if not wanted:
        return 0.0 if not got else 1.0
    row = list(range(len(got) + 1))
    for position, word in enumerate(wanted, 1):
        before, row[0] = row[0], position
        for column, other in enumerate(got, 1):
            before, row[column] = (
                row[column],
                min(before + (word != other), row[column] + 1, row[column - 1] + 1),
            )
    return min(1.0, row[-1] / len(wanted))


def _words(text: str) -> list[str]:
    return "".join(sign if sign.isalnum() or sign == "'" else " " for sign in text.lower()).split()
