"""Done-when: in 500 generations no tool is called with arguments that do not fit, and no turn is silent."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import pytest

from appliance.clients.language import Finished, TextDelta, ToolCall
from provisioning.lite.box import Box
from tests.engines.llm.asking import answer, check, model_of, text
from tests.models.chat.dialogues import booking_call, fixed_set

AT_ONCE = 6
NAMED = {"type": "function", "function": {"name": "create_booking"}}


def some_turn(seed: int) -> tuple[list[dict[str, Any]], Any]:
    """A call up to some words of the caller or some answer of a tool, and what the model may call."""
    rng = random.Random(seed)
    call = booking_call(rng, noise=0.25)
    ends = [place for place, message in enumerate(call) if message["role"] != "assistant"]
    return call[: rng.choice(ends) + 1], rng.choice(("auto", "auto", "required", NAMED))


async def _many(box: Box, count: int, first_seed: int) -> list[Finished]:
    places = asyncio.Semaphore(AT_ONCE)
    async with model_of(box) as model:

        async def one(seed: int) -> Finished:
            messages, choice = some_turn(seed)
            async with places:
                tokens = 24 if seed % 5 else 80
                events = await answer(model, messages, tool_choice=choice, max_tokens=tokens, temperature=1.0)
            check(events)
            assert isinstance(events[-1], Finished)
            return events[-1]

        return await asyncio.gather(*(one(first_seed + index) for index in range(count)))


async def test_250_generations_of_random_weights(random_box: Box) -> None:
    endings = await _many(random_box, 250, 0)
    # it was the model that spoke, and much of what it said was of no use: the fallback had to help
    assert sum(ending.served_by == "main" for ending in endings) > 50
    assert any(ending.served_by == "fallback" for ending in endings)


async def test_250_generations_of_the_tiny_model(language_box: Box) -> None:
    endings = await _many(language_box, 250, 1000)
    assert sum(ending.served_by == "main" for ending in endings) > 150


@pytest.mark.parametrize("number", range(0, 48, 4))
async def test_the_tiny_model_holds_its_calls_word_for_word(language_box: Box, number: int) -> None:
    call = list(fixed_set())[number]
    async with model_of(language_box, fallback_base_url=None) as model:
        for place, expected in enumerate(call):
            if expected["role"] != "assistant" or place == 0:
                continue
            events = await answer(model, call[:place], temperature=0.0)
            assert text(events) == (expected["content"] or "")
            called = [(event.name, event.arguments) for event in events if isinstance(event, ToolCall)]
            import json

            assert called == [
                (each["function"]["name"], json.loads(each["function"]["arguments"]))
                for each in expected.get("tool_calls", ())
            ]
            last = events[-1]
            assert isinstance(last, Finished)
            assert last.served_by == "main"
            assert last.prompt_tokens > 0
            assert last.completion_tokens > 0


async def test_words_come_as_they_are_written(language_box: Box) -> None:
    call = next(iter(fixed_set()))
    async with model_of(language_box, fallback_base_url=None) as model:
        events = await answer(model, call[:2], temperature=0.0)
    assert sum(isinstance(event, TextDelta) for event in events) >= 3
