"""What the agent says without the language model, synthesised while it still rings.

Prepared sentences need no engine when they are spoken, so that a caller hears an apology even when the voice
is lost. What could not be prepared is replaced by the box's recordings (docs/architecture.md, Contract 6).
"""

from __future__ import annotations

import asyncio
import wave
from collections.abc import Iterable
from contextlib import aclosing
from pathlib import Path
from typing import Literal

import numpy as np
import soxr
import structlog

from appliance.agents.domain import AgentSnapshot
from appliance.clients.speech import TTS_SAMPLE_RATE_HZ, TextToSpeech
from appliance.errors import TrunklineError

_log = structlog.get_logger(__name__)

PhraseKey = Literal[
    "consent",
    "greeting",
    "one_moment",
    "apology",
    "still_there",
    "goodbye_silence",
    "time_warning",
    "time_over",
    "transfer",
    "transfer_failed",
    "go_on",
    "goodbye",
    "cannot_help",
]
FIRST: tuple[PhraseKey, ...] = ("consent", "greeting", "apology", "one_moment")
"""What must be there before the call is answered."""
FIRST_OF_A_LATER_WORKER: tuple[PhraseKey, ...] = ("go_on", "apology", "one_moment")
LATER: tuple[PhraseKey, ...] = (
    "cannot_help",
    "transfer",
    "still_there",
    "goodbye_silence",
    "goodbye",
    "go_on",
    "time_warning",
    "time_over",
    "transfer_failed",
)
_RECORDED: dict[PhraseKey, str] = {
    "apology": "one_moment",
    "one_moment": "one_moment",
    "transfer": "one_moment",
    "cannot_help": "cannot_continue",
    "goodbye": "cannot_continue",
    "goodbye_silence": "cannot_continue",
    "time_over": "cannot_continue",
}
_AT_ONCE = 3
_SENTENCE_SECONDS = 5.0


class Phrases:
    """The prepared sentences of one call."""

    def __init__(self, voice: TextToSpeech, snapshot: AgentSnapshot, sentences_dir: Path) -> None:
        self._voice = voice
        self._snapshot = snapshot
        self._sentences_dir = sentences_dir
        self._audio: dict[PhraseKey, bytes] = {}
        self._limit = asyncio.Semaphore(_AT_ONCE)

    def text(self, key: PhraseKey) -> str:
        """The words of a phrase; empty when the agent has none."""
        if key == "consent":
            return self._snapshot.consent.strip()
        if key == "greeting":
            return self._snapshot.greeting.strip()
        return str(getattr(self._snapshot.sentences, key)).strip()

    def ready(self, key: PhraseKey) -> bool:
        """Whether the phrase has been synthesised, or there is nothing to say."""
        return key in self._audio or not self.text(key)

    def audio(self, key: PhraseKey) -> bytes:
        """24 kHz mono, 16 bit; the box's own recording when the voice did not make it, empty when there is
        neither."""
        if key in self._audio:
            return self._audio[key]
        name = _RECORDED.get(key)
        return self._recording(name) if name and self.text(key) else b""

    async def prepare(self, keys: Iterable[PhraseKey], *, timeout_seconds: float) -> None:
        """Synthesises the phrases; what is not there in time, or fails, is left out."""
        wanted: list[PhraseKey] = [key for key in keys if not self.ready(key)]
        tasks = [asyncio.create_task(self._make(key), name=f"phrase-{key}") for key in wanted]
        if not tasks:
            return
        try:
            await asyncio.wait(tasks, timeout=timeout_seconds)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _make(self, key: PhraseKey) -> None:
        pieces: list[bytes] = []
        try:
            async with self._limit, asyncio.timeout(_SENTENCE_SECONDS):
                snapshot = self._snapshot
                chunks = self._voice.synthesize(
                    self.text(key), voice=snapshot.voice, language=snapshot.language
                )
                async with aclosing(chunks) as audio:
                    async for chunk in audio:
                        pieces.append(chunk)
        except (TrunklineError, TimeoutError) as error:
            _log.warning("phrase not prepared", phrase=key, reason=type(error).__name__)
            return
        if pieces:
            self._audio[key] = b"".join(pieces)

    def _recording(self, name: str) -> bytes:
        language = self._snapshot.language
        for folder in dict.fromkeys((language, language.split("-")[0], "en")):
            try:
                with wave.open(str(self._sentences_dir / folder / f"{name}.wav"), "rb") as file:
                    samples = np.frombuffer(file.readframes(file.getnframes()), np.int16)
                    rate = file.getframerate()
            except (OSError, wave.Error, EOFError):
                continue
            return soxr.resample(samples, rate, TTS_SAMPLE_RATE_HZ).astype(np.int16).tobytes()
        return b""
