"""Asks a box's language model as the worker does."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx
import jsonschema

from appliance.clients.language import (
    Finished,
    InvalidToolCall,
    LanguageEvent,
    LanguageModel,
    TextDelta,
    ToolCall,
)
from provisioning.lite.box import Box
from tests.unit.engines.diary import SCHEMAS, SYSTEM, TOOLS

MARKS = ("<tool_call", "</tool_call", "<|im_")


@asynccontextmanager
async def model_of(box: Box, **options: Any) -> AsyncIterator[LanguageModel]:
    language = box.settings.language
    patient: dict[str, Any] = {
        "fallback_base_url": language.fallback_base_url,
        "first_token_timeout_seconds": 120.0,
        "gap_timeout_seconds": 120.0,
        "answer_timeout_seconds": 240.0,
        "hedge_after_seconds": 110.0,
    }
    model = LanguageModel(language.base_url, language.model, **(patient | options))
    try:
        yield model
    finally:
        await model.close()


async def answer(model: LanguageModel, messages: list[dict[str, Any]], **options: Any) -> list[LanguageEvent]:
    system = {"role": "system", "content": SYSTEM}
    return [e async for e in model.stream([system, *messages], tools=TOOLS, **options)]


def text(events: list[LanguageEvent]) -> str:
    return "".join(event.text for event in events if isinstance(event, TextDelta))


def check(events: list[LanguageEvent]) -> None:
    """What holds for every answer, whatever the model says: it is heard, or a tool runs with what fits."""
    calls = [event for event in events if isinstance(event, ToolCall)]
    for call in calls:
        jsonschema.validate(call.arguments, SCHEMAS[call.name])
    assert text(events).strip() or calls, events
    assert not any(mark in text(events) for mark in MARKS), text(events)
    assert isinstance(events[-1], Finished)
    assert sum(isinstance(event, Finished) for event in events) == 1
    assert all(event.problem for event in events if isinstance(event, InvalidToolCall))


def live(box: Box) -> dict[str, Any]:
    """What the server's admission tells of itself."""
    url = f"http://127.0.0.1:{box.ports['language']}/health/live"
    return httpx.get(url, timeout=30, trust_env=False).json()


async def until(condition: Callable[[], Awaitable[bool]], seconds: float = 60.0) -> None:
    """Waits until it holds; AssertionError after the deadline."""
    import asyncio

    deadline = time.monotonic() + seconds
    while not await condition():
        assert time.monotonic() < deadline, "it never came to be"
        await asyncio.sleep(0.1)
