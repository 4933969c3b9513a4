"""Whether the caller has finished: the framework's audio model, and what the words say.

The audio model hears intonation and is unsure of short telephone answers ("on Monday", "yes please"); words
alone know nothing of intonation. Together: words that look complete lower the model's threshold, so that only
a clear "not finished" in the voice makes the agent wait; words that dangle ("my name is") leave it as it is.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from typing import Any

from livekit import rtc
from livekit.agents import (
    DEFAULT_API_CONNECT_OPTIONS,
    APIConnectOptions,
    LanguageCode,
    inference,
)

_COMPLETE_FACTOR = 0.25
_ANSWER_FACTOR = 0.05
_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)?")
_DANGLING = frozenset(
    """
    a about also am an and are as at be because but by can could do does for from have he her his i if in is
    it its like me my no-one not of on or our she should so some that the their then there they this to was
    we were what when where which who will with would you your uh um
    aber als am an auf aus bei bin das dass dem den der des die ein eine einen einer er es für hat ich ihr im
    in ist kann mein meine mit möchte nach oder sie so um und von wäre weil wenn wie will wir würde zu zum zur
    """.split()  # noqa: SIM905 - a list of words reads as one
)
_ANSWERS = frozenset(
    """
    yes no yeah yep nope please thanks thank you okay ok right correct exactly sure goodbye bye hello none
    never ja nein bitte danke genau richtig gut tschüss auf wiederhören hallo
    """.split()  # noqa: SIM905
)
_DIGITS = frozenset(
    """
    zero oh one two three four five six seven eight nine double triple
    null eins zwei zwo drei vier fünf sechs sieben acht neun
    """.split()  # noqa: SIM905
)


def threshold_factor(text: str) -> float:
    """How much of the audio model's threshold is left when the caller has said `text`. Pure.

    1.0 for words that dangle or are dictated digits, less for complete ones, least for a plain answer.
    """
    words = [word.lower() for word in _WORD.findall(text)]
    if not words:
        return 1.0
    if len(words) <= 5 and all(word in _ANSWERS for word in words):
        return _ANSWER_FACTOR
    if words[-1] in _DANGLING:
        return 1.0
    dictated = [word in _DIGITS or word.isdigit() for word in words[-3:]]
    if len(dictated) == 3 and all(dictated):
        return 1.0
    return _COMPLETE_FACTOR


class EndOfTurn:
    """The framework's detector with `turn_text` beside it: what was recognised of the turn so far."""

    def __init__(self, detector: inference.TurnDetector, turn_text: Callable[[], str]) -> None:
        self._detector = detector
        self._turn_text = turn_text

    @property
    def model(self) -> str:
        return self._detector.model

    @property
    def provider(self) -> str:
        return self._detector.provider

    def stream(self, *, conn_options: APIConnectOptions = DEFAULT_API_CONNECT_OPTIONS) -> _Stream:
        return _Stream(self._detector.stream(conn_options=conn_options), self._turn_text)


class _Stream:
    """Everything is the framework's stream but the threshold."""

    def __init__(self, stream: Any, turn_text: Callable[[], str]) -> None:
        self._stream = stream
        self._turn_text = turn_text

    @property
    def model(self) -> str:
        return self._stream.model

    @property
    def provider(self) -> str:
        return self._stream.provider

    @property
    def is_fallback(self) -> bool:
        return self._stream.is_fallback

    @property
    def prediction_timeout(self) -> float:
        return self._stream.prediction_timeout

    async def unlikely_threshold(self, language: LanguageCode | None) -> float | None:
        threshold: float | None = await self._stream.unlikely_threshold(language)
        return None if threshold is None else threshold * threshold_factor(self._turn_text())

    async def backchannel_threshold(self, language: LanguageCode | None) -> float | None:
        return await self._stream.backchannel_threshold(language)

    async def supports_language(self, language: LanguageCode | None) -> bool:
        return await self._stream.supports_language(language)

    def predict(self) -> asyncio.Future[Any]:
        return self._stream.predict()

    def cancel_inference(self, *, timed_out: bool = False) -> None:
        self._stream.cancel_inference(timed_out=timed_out)

    def flush(self, reason: str | None = None) -> None:
        self._stream.flush(reason=reason)

    def push_audio(self, frame: rtc.AudioFrame) -> None:
        self._stream.push_audio(frame)

    def end_input(self) -> None:
        self._stream.end_input()

    async def aclose(self) -> None:
        await self._stream.aclose()
