"""One stream of work for each engine, as a call's part would do it, and its times. Used by `engines.py`."""

from __future__ import annotations

import asyncio
import secrets
import time
import wave
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from appliance.clients.language import Finished, LanguageModel, TextDelta
from appliance.clients.speech import STT_SAMPLE_RATE_HZ, TTS_SAMPLE_RATE_HZ, SpeechToText, TextToSpeech

_FRAME = STT_SAMPLE_RATE_HZ // 10
_QUESTIONS = (
    "What are your opening hours?",
    "I would like to book an appointment on Monday.",
    "Can I speak to a person, please?",
    "What times do you have tomorrow?",
)
_SYSTEM = "You are the receptionist of a clinic. Answer in one or two short sentences."


@dataclass
class Measured:
    """One stream's times in milliseconds from when its listener began to wait."""

    first_ms: float
    done_ms: float
    work_seconds: float
    audio_seconds: float = 0.0
    gaps_ms: list[float] = field(default_factory=list[float])
    tokens: int = 0
    expected: str = ""
    heard: str = ""


Work = Callable[[int, float], Awaitable[Measured]]


@dataclass(frozen=True)
class Labelled:
    pcm: bytes
    text: str

    @property
    def seconds(self) -> float:
        return len(self.pcm) / 2 / STT_SAMPLE_RATE_HZ


def espeak_speech(count: int) -> list[Labelled]:
    """Sentences and voices of espeak-ng that the tiny recogniser was not trained on, 16 kHz mono."""
    from tests.models.recogniser.speech import HELD_OUT_VOICES, measured, speak

    voices = tuple(voice for voice in HELD_OUT_VOICES if not voice.startswith("flite"))
    return [
        Labelled((speak(one) * 32_000).astype("<i2").tobytes(), one.text)
        for one in measured(count, 7, voices=voices)
    ]


def recorded_speech(folder: Path) -> list[Labelled]:
    found: list[Labelled] = []
    for file in sorted(folder.glob("*.wav")):
        with wave.open(str(file), "rb") as audio:
            found.append(
                Labelled(audio.readframes(audio.getnframes()), file.with_suffix(".txt").read_text().strip())
            )
    return found


def recognising(client: SpeechToText, speech: Sequence[Labelled], *, paced: bool) -> Work:
    """`paced` sends as a caller speaks, and the wait begins at the last sample; else all audio at once."""

    async def work(number: int, waiting_since: float) -> Measured:
        one = speech[number % len(speech)]
        begun = time.monotonic()
        async with client.stream(language="en") as stream:
            for position, start in enumerate(range(0, len(one.pcm), 2 * _FRAME)):
                await stream.push(one.pcm[start : start + 2 * _FRAME])
                if paced:
                    await asyncio.sleep(max(0.0, begun + (position + 1) * 0.1 - time.monotonic()))
            if paced:
                waiting_since = time.monotonic()
            await stream.flush()
            await stream.end()
            heard, final_at = "", 0.0
            async for result in stream:
                if result.type == "final":
                    heard, final_at = f"{heard} {result.text}".strip(), final_at or time.monotonic()
        done = (final_at - waiting_since) * 1000
        return Measured(done, done, final_at - begun, one.seconds, expected=one.text, heard=heard)

    return work


def speaking(client: TextToSpeech) -> Work:
    """Sentences that nobody said before, so that nothing is found ready."""

    async def work(number: int, waiting_since: float) -> Measured:
        # Letters, not digits: each sentence has the same length whatever its name is.
        name = "".join(chr(97 + byte % 26) for byte in secrets.token_bytes(6))
        text = f"Good morning {name}. Your appointment, {name}, is on Monday at nine. Goodbye {name}."
        begun, first, heard = time.monotonic(), 0.0, 0
        gaps: list[float] = []
        last = begun
        async for chunk in client.synthesize(text):
            now = time.monotonic()
            if not heard:
                first = now
            else:
                gaps.append((now - last) * 1000)
            last = now
            heard += len(chunk)
        return Measured(
            (first - waiting_since) * 1000,
            (last - waiting_since) * 1000,
            last - begun,
            heard / 2 / TTS_SAMPLE_RATE_HZ,
            gaps,
        )

    return work


def answering(client: LanguageModel) -> Work:
    async def work(number: int, waiting_since: float) -> Measured:
        messages = [
            {"role": "system", "content": _SYSTEM},
            {"role": "user", "content": _QUESTIONS[number % len(_QUESTIONS)]},
        ]
        begun = last = time.monotonic()
        first, tokens = 0.0, 0
        gaps: list[float] = []
        async for event in client.stream(messages, max_tokens=64, temperature=0.0):
            now = time.monotonic()
            if isinstance(event, Finished):
                tokens = event.completion_tokens
            elif not first:
                first = now
            elif isinstance(event, TextDelta):
                gaps.append((now - last) * 1000)
            last = now
        first = first or last
        return Measured(
            (first - waiting_since) * 1000, (last - waiting_since) * 1000, last - begun, 0.0, gaps, tokens
        )

    return work
