"""A sentence from text to sound: prepared, its clauses made one ahead of the listener, cached."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing

import structlog

from appliance.errors import InvalidInput, TrunklineError
from models.tts.cache import SoundCache, content_key
from models.tts.clause import Clause, Encoded, Manner
from models.tts.metrics import Metrics
from models.tts.scheduler import BACKGROUND, Scheduler
from models.tts.shaping import SAMPLE_RATE_HZ, Shaper, shape_whole
from models.tts.text.prepare import prepare

_log = structlog.get_logger(__name__)
_MAX_CHARACTERS = 5_000
_CHUNK_BYTES = SAMPLE_RATE_HZ // 5 * 2
_CACHE_BYTES = 64 * 1024 * 1024


class Speaker:
    """One loaded voice for all calls."""

    def __init__(self, scheduler: Scheduler, model_sha256: str, metrics: Metrics) -> None:
        self._scheduler = scheduler
        self._engine = scheduler.engine
        self._model_sha256 = model_sha256
        self._metrics = metrics
        self._cache = SoundCache(_CACHE_BYTES)

    def manner(self, voice: str, language: str, speed: float) -> Manner:
        """The model's own names for what was asked. Raises InvalidInput for what it does not have.

        An empty or `default` voice is the first; a voice that is a language tag (`en-gb`) is the first one
        too, in that language.
        """
        if not 0.5 <= speed <= 2.0:
            raise InvalidInput("The speed is between 0.5 and 2.0.", field="SPEED")
        spoken = self._language(language or "en")
        if spoken is None:
            raise InvalidInput(f"The voice does not speak {language[:20]!r}.", field="LANGUAGE")
        names = {name.lower(): name for name in self._engine.speakers}
        wished = voice.strip().lower()
        if wished in names:
            return Manner(names[wished], spoken, speed)
        if wished in {"", "default"}:
            return Manner(next(iter(self._engine.speakers), ""), spoken, speed)
        tagged = self._language(wished) if _is_tag(wished) else None
        if tagged is None:
            raise InvalidInput(f"There is no voice {voice[:40]!r}.", field="VOICE")
        return Manner(next(iter(self._engine.speakers), ""), tagged, speed)

    def _language(self, tag: str) -> str | None:
        wished = tag.strip().lower().replace("_", "-")
        known = {name.lower(): name for name in self._engine.languages}
        if wished in known:
            return known[wished]
        base = wished.split("-")[0]
        return next((name for low, name in known.items() if low.split("-")[0] == base), None)

    async def say(
        self,
        text: str,
        manner: Manner,
        *,
        lexicon: Mapping[str, str] | None = None,
        background: bool = False,
    ) -> AsyncGenerator[bytes, None]:
        """24 kHz chunks of at most 200 ms, from the first clause on while the next is being made.

        Nothing comes for a text without a word. A clause that the voice has no sound for is left out; when
        that is all of them, InvalidInput is raised; AtCapacity and Unavailable as the scheduler does. Closing
        it drops what has not been begun.
        """
        if len(text) > _MAX_CHARACTERS:
            raise InvalidInput(f"A text has at most {_MAX_CHARACTERS} characters.", field="TEXT")
        begun = time.monotonic()
        clauses = await asyncio.to_thread(prepare, text, manner.language, lexicon or {})
        if not clauses:
            return
        heard_until = begun
        ahead: asyncio.Task[tuple[Clause, str, bytes | Encoded]] | None = None
        spoken = False
        refused: InvalidInput | None = None
        try:
            for position in range(len(clauses)):
                looked_up = ahead or asyncio.create_task(self._look_up(clauses[position], manner))
                following = position + 1
                ahead = (
                    asyncio.create_task(self._look_up(clauses[following], manner))
                    if following < len(clauses)
                    else None
                )
                try:
                    clause, key, found = await looked_up
                except InvalidInput as error:
                    refused = error
                    continue
                if isinstance(found, bytes):
                    sounds = _of(found)
                else:
                    due = BACKGROUND if background else (0.0 if not spoken else heard_until)
                    sounds = self._make(clause, key, found, due=due, first=not spoken and not background)
                async with aclosing(sounds):
                    async for sound in sounds:
                        if not spoken:
                            self._metrics.stage("first_audio", time.monotonic() - begun)
                            spoken = True
                        heard_until = max(heard_until, time.monotonic()) + len(sound) / 2 / SAMPLE_RATE_HZ
                        for start in range(0, len(sound), _CHUNK_BYTES):
                            yield sound[start : start + _CHUNK_BYTES]
        finally:
            if ahead is not None:
                ahead.cancel()
                await asyncio.gather(ahead, return_exceptions=True)
        if refused is not None and not spoken:
            raise refused

    async def _look_up(self, clause: Clause, manner: Manner) -> tuple[Clause, str, bytes | Encoded]:
        key = content_key(self._model_sha256, clause, manner)
        ready = self._cache.get(key)
        self._metrics.cache.labels("yes" if ready is not None else "no").inc()
        if ready is not None:
            return clause, key, ready
        begun = time.monotonic()
        encoded = await asyncio.to_thread(self._engine.encode, clause, manner)
        self._metrics.stage("prepare", time.monotonic() - begun)
        return clause, key, encoded

    async def _make(
        self, clause: Clause, key: str, encoded: Encoded, *, due: float, first: bool
    ) -> AsyncGenerator[bytes, None]:
        whole = bytearray()
        shaper = Shaper(self._engine.sample_rate_hz)
        async with aclosing(self._scheduler.speak(encoded, due=due, first=first)) as chunks:
            async for samples in chunks:
                if self._engine.max_batch:
                    shaped = shape_whole(samples, self._engine.sample_rate_hz, clause.pause_ms)
                else:
                    shaped = shaper.take(samples)
                whole += shaped
                if shaped:
                    yield shaped
        if not self._engine.max_batch and (rest := shaper.end(clause.pause_ms)):
            whole += rest
            yield rest
        self._cache.put(key, bytes(whole))
        self._metrics.cache_bytes.set(self._cache.size_bytes)

    async def prepare_phrases(self, phrases: Mapping[str, tuple[str, ...]]) -> None:
        """Makes the common phrases of the languages that the voice speaks, whenever nobody else waits."""
        for language, sentences in phrases.items():
            if self._language(language) is None:
                continue
            manner = self.manner("", language, 1.0)
            for sentence in sentences:
                try:
                    async for _ in self.say(sentence, manner, background=True):
                        pass
                except TrunklineError as error:
                    _log.warning("phrase not prepared", code=error.code, language=language)


def _is_tag(wished: str) -> bool:
    base, _, region = wished.replace("_", "-").partition("-")
    return len(base) in {2, 3} and base.isalpha() and (not region or region.isalnum())


async def _of(sound: bytes) -> AsyncGenerator[bytes, None]:
    yield sound
