"""Asks the running engines and compares: by the same clients as a call, within limits of its own."""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
import soxr

from appliance.clients.language import Finished, LanguageModel, TextDelta, ToolCall
from appliance.clients.speech import STT_SAMPLE_RATE_HZ, TTS_SAMPLE_RATE_HZ, SpeechToText, TextToSpeech
from appliance.errors import TrunklineError, Unavailable
from appliance.settings import Settings
from models.selftest.expectation import Answered, Expectation, Heard, Spoken, word_error_rate

SENTENCE = "i would like to book an appointment please"
SPOKEN = "Thank you for calling. How can I help you?"
QUESTION = "What are your opening hours?"
_SYSTEM = "You are the receptionist of a clinic. Answer in one short sentence."
_ESPEAK_RATE_HZ = 22_050
_FRAME_BYTES = STT_SAMPLE_RATE_HZ // 50 * 2
_TAIL = bytes(STT_SAMPLE_RATE_HZ)
_ALLOWED_SHARE = 0.5
"""A voice may be this much shorter, longer, quieter or louder than it was."""


@dataclass(frozen=True)
class Result:
    """One engine's part. `possible` is false when the engine did not answer at all."""

    part: str
    good: bool
    possible: bool
    detail: str
    seconds: float


@dataclass(frozen=True)
class Report:
    results: tuple[Result, ...]

    @property
    def exit_code(self) -> int:
        """0 good, 1 an engine says something else than it did, 3 one does not answer."""
        if any(not result.possible for result in self.results):
            return 3
        return 0 if all(result.good for result in self.results) else 1

    def to_json(self) -> dict[str, Any]:
        return {"good": self.exit_code == 0, "results": [asdict(result) for result in self.results]}


@dataclass(frozen=True)
class Engines:
    """The clients, with a limit that suits a test and not a turn."""

    stt: SpeechToText
    tts: TextToSpeech
    llm: LanguageModel

    @classmethod
    def of(cls, settings: Settings, limit_seconds: float) -> Engines:
        speech, language = settings.speech, settings.language
        return cls(
            SpeechToText(speech.stt_address, speech.stt_model, result_timeout_seconds=limit_seconds),
            TextToSpeech(speech.tts_address, speech.tts_model, first_audio_timeout_seconds=limit_seconds),
            # Without the fall-back: this asks whether the engine itself is well.
            LanguageModel(
                language.base_url,
                language.model,
                api_key=language.api_key.reveal() if language.api_key else None,
                first_token_timeout_seconds=limit_seconds,
                gap_timeout_seconds=limit_seconds,
            ),
        )

    async def close(self) -> None:
        await asyncio.gather(self.stt.close(), self.tts.close(), self.llm.close())


async def record(
    engines: Engines, language: str, voice: str, *, same_answer: bool
) -> tuple[Expectation, bytes]:
    """What the engines say now, to be expected from now on. Raises what the clients raise."""
    audio = await known_audio(language)
    heard = await _recognise(engines, audio, language)
    if not heard.strip():
        raise Unavailable("The recogniser hears nothing in the known sentence.")
    sound = await _speak(engines, SPOKEN, language, voice)
    if not sound:
        raise Unavailable("The voice says nothing.")
    answer = await _answer(engines)
    return (
        Expectation(
            recorded_at=datetime.now(UTC),
            language=language,
            voice=voice,
            stt=Heard(text=heard, max_word_error_rate=0.2),
            tts=Spoken(text=SPOKEN, seconds=_seconds(sound), level=_level(sound)),
            llm=Answered(question=QUESTION, text=answer if same_answer else ""),
        ),
        audio,
    )


async def check(engines: Engines, expectation: Expectation, audio: bytes) -> Report:
    """Asks all three at once. Never raises for an engine: its part of the report says what is wrong."""
    parts: tuple[tuple[str, Callable[[], Awaitable[tuple[bool, str]]]], ...] = (
        ("stt", lambda: _check_stt(engines, expectation, audio)),
        ("tts", lambda: _check_tts(engines, expectation)),
        ("llm", lambda: _check_llm(engines, expectation)),
    )
    return Report(tuple(await asyncio.gather(*(_timed(name, work) for name, work in parts))))


async def _timed(part: str, work: Callable[[], Awaitable[tuple[bool, str]]]) -> Result:
    begun = time.monotonic()
    possible = True
    try:
        good, detail = await work()
    except TrunklineError as error:
        good, detail, possible = False, str(error), False
    return Result(part, good, possible, detail, round(time.monotonic() - begun, 3))


async def _check_stt(engines: Engines, expected: Expectation, audio: bytes) -> tuple[bool, str]:
    heard = await _recognise(engines, audio, expected.language)
    rate = word_error_rate(expected.stt.text, heard)
    return rate <= expected.stt.max_word_error_rate, f"word error rate {rate:.2f} against what it heard then"


async def _check_tts(engines: Engines, expected: Expectation) -> tuple[bool, str]:
    sound = await _speak(engines, expected.tts.text, expected.language, expected.voice)
    if not sound:
        return False, "it said nothing"
    seconds, level = _seconds(sound), _level(sound)
    good = all(
        (1 - _ALLOWED_SHARE) * was <= now <= (1 + _ALLOWED_SHARE) * was
        for now, was in ((seconds, expected.tts.seconds), (level, expected.tts.level))
    )
    was = f"{expected.tts.seconds:.2f} s at {expected.tts.level:.3f}"
    return good, f"{seconds:.2f} s at level {level:.3f}; it was {was}"


async def _check_llm(engines: Engines, expected: Expectation) -> tuple[bool, str]:
    answer = await _answer(engines, expected.llm.question)
    if not answer:
        return False, "it answered nothing"
    if expected.llm.text and answer != expected.llm.text:
        return False, "it answered something else than then"
    return True, f"{len(answer)} characters"


async def _recognise(engines: Engines, audio: bytes, language: str) -> str:
    async with engines.stt.stream(language=language) as stream:
        sound = audio + _TAIL
        for start in range(0, len(sound), _FRAME_BYTES):
            await stream.push(sound[start : start + _FRAME_BYTES])
        await stream.flush()
        await stream.end()
        return " ".join([result.text async for result in stream if result.type == "final"]).strip()


async def _speak(engines: Engines, text: str, language: str, voice: str) -> bytes:
    async with aclosing(engines.tts.synthesize(text, voice=voice, language=language)) as chunks:
        return b"".join([chunk async for chunk in chunks])


async def _answer(engines: Engines, question: str = QUESTION) -> str:
    """The answer's text, and the names of the tools that it called."""
    messages = [{"role": "system", "content": _SYSTEM}, {"role": "user", "content": question}]
    said = ""
    async with aclosing(engines.llm.stream(messages, max_tokens=60, temperature=0.0)) as events:
        async for event in events:
            if isinstance(event, TextDelta):
                said += event.text
            elif isinstance(event, ToolCall):
                said += f"[{event.name}]"
            elif isinstance(event, Finished):
                break
    return said.strip()


async def known_audio(language: str) -> bytes:
    """The known sentence by espeak-ng, 16-bit 16 kHz mono: the same on every box."""
    program = shutil.which("espeak-ng")
    if program is None:
        raise Unavailable("espeak-ng is not installed.", remedy="Run `make setup`.")
    process = await asyncio.create_subprocess_exec(
        program,
        *("-v", language.split("-")[0], "-s", "140", "--stdin", "--stdout"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(20):
        wav, _ = await process.communicate(SENTENCE.encode())
    samples = np.frombuffer(wav[44 : 44 + (len(wav) - 44) // 2 * 2], "<i2").astype(np.float32) / 32768
    resampled: Any = soxr.resample(samples, _ESPEAK_RATE_HZ, STT_SAMPLE_RATE_HZ)
    return (np.clip(resampled, -1, 1) * 32767).astype("<i2").tobytes()


def _seconds(sound: bytes) -> float:
    return len(sound) / 2 / TTS_SAMPLE_RATE_HZ


def _level(sound: bytes) -> float:
    samples = np.frombuffer(sound, "<i2").astype(np.float64) / 32768
    return float(np.sqrt(np.mean(samples**2)))
