"""The language model behind an OpenAI-compatible chat server (docs/architecture.md, Contract 4).

A router of two servers: the model, and the scripted dialogue engine as its fallback. Whatever the model does
(fails, hangs, says nothing, calls a tool that does not exist), the turn is answered within its budget: after
a delay the fallback is asked beside it, and whichever has something useful first is heard.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Any

import structlog

from appliance.clients.language_engine import ChatEngine, Lost, Malformed, Patience
from appliance.clients.language_events import (
    Finished,
    InvalidToolCall,
    LanguageEvent,
    ServedBy,
    TextDelta,
    ToolCall,
)
from appliance.clients.language_race import Batches, Race, TurnRequest, strict_tool
from appliance.errors import TrunklineError
from appliance.settings import LanguageSettings

__all__ = [
    "Finished",
    "InvalidToolCall",
    "LanguageEvent",
    "LanguageModel",
    "ServedBy",
    "TextDelta",
    "ToolCall",
]

LIVE, LATER = 0, 10
"""Priorities: a turn of a live call, and work that may wait."""
_WARM_FOR_SECONDS = 300.0
_log = structlog.get_logger(__name__)


class LanguageModel:
    """Streams answers; one object serves many calls at once.

    `first_token_timeout_seconds` bounds the wait for something useful, `gap_timeout_seconds` that between two
    pieces, `answer_timeout_seconds` the whole answer. After `hedge_after_seconds` without a useful piece the
    fallback is asked, too. A server that failed rests for `rest_seconds`, then one request tries it.
    """

    def __init__(
        self,
        base_url: str,
        model: str,
        *,
        api_key: str | None = None,
        fallback_base_url: str | None = None,
        fallback_model: str = "scripted",
        first_token_timeout_seconds: float = 2.5,
        gap_timeout_seconds: float = 2.5,
        answer_timeout_seconds: float = 30.0,
        hedge_after_seconds: float = 1.0,
        rest_seconds: float = 15.0,
        max_requests: int = 64,
    ) -> None:
        patience = Patience(first_token_timeout_seconds, gap_timeout_seconds, answer_timeout_seconds)

        def engine(served_by: ServedBy, url: str, name: str, key: str | None) -> ChatEngine:
            return ChatEngine(
                served_by,
                url,
                name,
                key,
                patience=patience,
                max_requests=max_requests,
                rest_seconds=rest_seconds,
            )

        self._main = engine("main", base_url, model, api_key)
        self._fallback = (
            engine("fallback", fallback_base_url, fallback_model, None)
            if fallback_base_url and fallback_base_url != base_url
            else None
        )
        self._hedge_after_seconds = hedge_after_seconds
        self._warmed: dict[str, float] = {}

    @classmethod
    def from_settings(cls, settings: LanguageSettings) -> LanguageModel:
        return cls(
            settings.base_url,
            settings.model,
            api_key=settings.api_key.reveal() if settings.api_key else None,
            fallback_base_url=settings.fallback_base_url,
            fallback_model=settings.fallback_model,
            first_token_timeout_seconds=settings.first_token_timeout_seconds,
            hedge_after_seconds=settings.hedge_after_seconds,
            max_requests=settings.max_requests,
        )

    async def stream(
        self,
        messages: Sequence[Mapping[str, Any]],
        *,
        tools: Sequence[Mapping[str, Any]] = (),
        tool_choice: str | Mapping[str, Any] = "auto",
        max_tokens: int = 400,
        temperature: float = 0.3,
        priority: int = LIVE,
    ) -> AsyncGenerator[LanguageEvent, None]:
        """The answer to `messages` (OpenAI's form) as events; the last one is `Finished`.

        Raises Unavailable or AtCapacity when no server began to answer, InvalidInput when a server says that
        the request is wrong. Close the generator to stop the servers' work.
        """
        request = TurnRequest(
            tuple(dict(message) for message in messages),
            tuple(strict_tool(tool) for tool in tools),
            tool_choice,
            max_tokens,
            temperature,
            priority,
        )
        batches: Batches | None = None
        try:
            engine, batches, batch = await self._first(request)
            while True:
                for event in batch:
                    yield event
                if engine is None or any(isinstance(event, Finished) for event in batch):
                    return
                try:
                    batch = await anext(batches)
                except Lost as error:
                    _log.warning("language model lost in mid-answer", served_by=engine.served_by)
                    engine, batches, batch = await self._go_on(engine, request, error)
        finally:
            if batches is not None:
                await batches.aclose()

    async def _first(self, request: TurnRequest) -> tuple[ChatEngine | None, Batches, list[LanguageEvent]]:
        """The first server that has something useful, and that."""
        malformed: Malformed | None = None
        failure: TrunklineError | None = None
        async with Race(request) as race:
            waiting = self._in_order()
            race.start(waiting.pop(0))
            while race.running or waiting:
                if not race.running:
                    race.start(waiting.pop(0))
                ended = await race.next_end(self._hedge_after_seconds if waiting else None)
                if ended is None:
                    race.start(waiting.pop(0))
                    continue
                engine, outcome = ended
                if not isinstance(outcome, TrunklineError):
                    return engine, race.keep(engine), outcome
                failure = outcome
                if isinstance(outcome, Malformed):
                    malformed = outcome
                if waiting:
                    _log.warning("language model replaced for this turn", reason=outcome.code)
                    race.start(waiting.pop(0))
        if malformed is not None:
            return await self._repaired(request, malformed)
        assert failure is not None
        raise failure

    def _in_order(self) -> list[ChatEngine]:
        """The servers to ask: the model first, unless it rests."""
        if self._fallback is None:
            return [self._main]
        if self._main.breaker.allows():
            return [self._main, self._fallback]
        return [self._fallback]

    async def _repaired(
        self, request: TurnRequest, malformed: Malformed
    ) -> tuple[ChatEngine | None, Batches, list[LanguageEvent]]:
        """Nobody had a usable answer: asks the model once more, for words. If that fails, what it said."""
        problems = [event.problem for event in malformed.events if isinstance(event, InvalidToolCall)]
        again = request.repaired(problems[0] if problems else "nothing was said")
        batches = self._main.answer(again.body("main"), (), again.max_tokens)
        try:
            return self._main, batches, await anext(batches)
        except TrunklineError:
            if not problems:
                raise malformed from None
            return None, batches, malformed.events

    async def _go_on(
        self, lost: ChatEngine, request: TurnRequest, error: TrunklineError
    ) -> tuple[ChatEngine | None, Batches, list[LanguageEvent]]:
        """Half a sentence was spoken: the fallback gives its whole answer after it, else the answer ends."""
        cut: list[LanguageEvent] = [Finished("cut", lost.served_by)]
        if self._fallback is None or lost is self._fallback:
            return None, _nothing(), cut
        batches = self._fallback.answer(request.body("fallback"), request.tools, request.max_tokens)
        try:
            return self._fallback, batches, [TextDelta(" "), *await anext(batches)]
        except TrunklineError:
            return None, batches, cut

    async def warm(self, system_prompt: str, tools: Sequence[Mapping[str, Any]] = ()) -> bool:
        """Has the model read what all calls of an agent version begin with, so that its cache holds it.

        False when it was read lately, or could not be: that costs time in the first turn and nothing else.
        """
        text = json.dumps([system_prompt, [dict(tool) for tool in tools]], sort_keys=True, default=str)
        key = hashlib.sha256(text.encode()).hexdigest()
        now = time.monotonic()
        self._warmed = {k: at for k, at in self._warmed.items() if now - at < _WARM_FOR_SECONDS}
        if key in self._warmed:
            return False
        self._warmed[key] = now
        messages = ({"role": "system", "content": system_prompt}, {"role": "user", "content": "Hello."})
        request = TurnRequest(messages, tuple(strict_tool(tool) for tool in tools), "auto", 1, 0.0, LATER)
        try:
            await self._main.read(request.body("main"))
        except TrunklineError as error:
            del self._warmed[key]
            _log.info("the prompt could not be warmed", reason=error.code)
            return False
        return True

    async def close(self) -> None:
        await self._main.close()
        if self._fallback is not None:
            await self._fallback.close()


async def _nothing() -> Batches:
    return
    yield []
