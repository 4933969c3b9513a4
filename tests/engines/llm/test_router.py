"""Servers that misbehave as vLLM cannot be made to: the real dialogue engine answers in their stead."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

import pytest

from appliance.clients.language import Finished, InvalidToolCall, LanguageModel, TextDelta, ToolCall
from tests.engines.llm.asking import check, text, until
from tests.integration.engines.test_language import (
    MESSAGES,
    Chunks,
    event,
    misbehaving,
    nothing_more,
    saying,
    scripted,
)
from tests.unit.engines.diary import TOOLS

__all__ = ["scripted"]
ASKED = "Which day would you like?"
DONE = b"data: [DONE]\n\n"


def call(name: str, arguments: str) -> bytes:
    function = {"name": name, "arguments": arguments}
    return event({"tool_calls": [{"index": 0, "id": "c1", "type": "function", "function": function}]})


async def endless() -> AsyncIterator[bytes]:
    while True:
        yield event({"content": "and so on "})
        await asyncio.sleep(0.001)


async def ask(url: str, fallback: str | None, **options: Any) -> list[Any]:
    limits = {"first_token_timeout_seconds": 20.0, "hedge_after_seconds": 15.0} | options
    model = LanguageModel(url, "m", fallback_base_url=fallback, **limits)
    try:
        return [each async for each in model.stream(MESSAGES, tools=TOOLS, max_tokens=40)]
    finally:
        await model.close()


@pytest.mark.parametrize(
    "chunks",
    [
        saying(call("fly_away", "{}"), event({}, "tool_calls"), DONE),
        saying(call("create_booking", '{"date": "x"'), event({}, "tool_calls"), DONE),
        saying(call("create_booking", '{"date": "monday"}'), event({}, "tool_calls"), DONE),
        saying(call("end_call", '"later"'), event({}, "tool_calls"), DONE),
        saying(event({"content": '<tool_call>{"name": "create_bo'}), event({}, "length"), DONE),
        saying(event({"content": " \n "}), event({}, "stop"), DONE),
        saying(event({}, "stop"), DONE),
        saying(b'data: {"choices": [{"delta": {"content": "\xff\xfe"}}]}\n\n', then=nothing_more),
    ],
    ids=["unknown tool", "not JSON", "lacks", "no object", "lost", "blank", "nothing", "not UTF-8"],
)
async def test_what_cannot_be_used_is_answered_by_the_fallback(scripted: str, chunks: Chunks) -> None:
    async with misbehaving(chunks) as url:
        events = await ask(url, scripted)
    check(events)
    assert text(events) == ASKED
    assert events[-1].served_by == "fallback"


class Dripping:
    """A stream that counts what it sends: when the count stands still, the client has hung up."""

    def __init__(self, chunk: bytes) -> None:
        self.chunk = chunk
        self.sent = 0

    async def chunks(self) -> AsyncIterator[bytes]:
        while True:
            yield self.chunk
            self.sent += 1
            await asyncio.sleep(0.05)

    async def stands_still(self) -> bool:
        before = self.sent
        await asyncio.sleep(2.0)
        return self.sent == before


async def test_a_slow_model_is_overtaken_and_hung_up_on(scripted: str) -> None:
    slow = Dripping(b": wait\n\n")
    async with misbehaving(slow.chunks) as url:
        events = await ask(url, scripted, hedge_after_seconds=0.2)
        await until(slow.stands_still, 60)
    assert slow.sent > 0
    assert text(events) == ASKED


async def test_a_model_in_time_is_heard_alone(scripted: str) -> None:
    parts = saying(event({"content": "Good morning."}), event({}, "stop"), DONE)
    async with misbehaving(parts) as url:
        events = await ask(url, scripted)
    assert text(events) == "Good morning."
    assert events[-1].served_by == "main"


async def test_without_a_fallback_the_model_is_asked_once_more_for_words() -> None:
    asked = 0

    async def chunks() -> AsyncIterator[bytes]:
        nonlocal asked
        asked += 1
        if asked == 1:
            yield call("fly_away", "{}")
        else:
            yield event({"content": "Which day do you mean?"})
        yield event({}, "stop")
        yield DONE

    async with misbehaving(chunks) as url:
        events = await ask(url, None)
    assert asked == 2
    assert text(events) == "Which day do you mean?"


async def test_when_the_repair_fails_too_the_problem_is_told() -> None:
    parts = saying(call("fly_away", "{}"), event({}, "tool_calls"), DONE)
    async with misbehaving(parts) as url:
        events = await ask(url, None)
    (invalid,) = [each for each in events if isinstance(each, InvalidToolCall)]
    assert "no tool" in invalid.problem
    assert isinstance(events[-1], Finished)


async def test_an_endless_reply_is_cut_and_the_server_let_go(scripted: str) -> None:
    async with misbehaving(endless) as url:
        events = await ask(url, scripted)
    assert 0 < len(text(events)) <= 40 * 12
    assert events[-1].reason == "length"


async def test_barge_in_closes_the_stream_at_once() -> None:
    talking = Dripping(event({"content": "and so on "}))
    async with misbehaving(talking.chunks) as url:
        model = LanguageModel(url, "m", first_token_timeout_seconds=20.0)
        async with aclosing(model.stream(MESSAGES, max_tokens=100_000)) as events:
            async for each in events:
                assert isinstance(each, TextDelta)
                break
        await until(talking.stands_still, 60)
        await model.close()


async def test_a_good_call_comes_through_with_its_arguments(scripted: str) -> None:
    parts = saying(call("log_note", '{"text": "call back"}'), event({}, "tool_calls"), DONE)
    async with misbehaving(parts) as url:
        events = await ask(url, scripted)
    assert events[0] == ToolCall("c1", "log_note", {"text": "call back"})
