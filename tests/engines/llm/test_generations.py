"""Done-when: in 500 generations no tool is called with arguments that do not fit, and no turn is silent."""

from __future__ import annotations

import asyncio
import json
import random
import re
from typing import Any

import httpx
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


async def test_bytes_that_are_no_letters_reach_nobody(random_box: Box) -> None:
    """A model of bytes writes half letters; what comes over the wire is UTF-8 all the same."""
    url = f"http://127.0.0.1:{random_box.ports['language']}/v1/chat/completions"
    messages, _ = some_turn(1)
    body = {"model": random_box.settings.language.model, "messages": messages, "temperature": 1.0}
    body |= {"max_tokens": 200, "priority": 0, "stream": True}
    said = ""
    async with httpx.AsyncClient(timeout=240, trust_env=False) as ask:
        for _ in range(4):
            said += (await ask.post(url, json=body)).content.decode()  # strict: raises when it is not UTF-8
    assert "\N{REPLACEMENT CHARACTER}" in json.loads(f'"{_pieces(said)}"')
    async with model_of(random_box) as model:
        events = await answer(model, messages, max_tokens=200, temperature=1.0)
    check(events)
    text(events).encode()


def _pieces(lines: str) -> str:
    """The contents of a stream of events, as JSON has written them."""
    return "".join(re.findall(r'"delta":\{"content":"((?:[^"\\]|\\.)*)"', lines))


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
