"""The language client against the real dialogue engine, and against servers that misbehave."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import httpx
import pytest
import uvicorn
from aiohttp import web

from appliance.clients.language import (
    Finished,
    InvalidToolCall,
    LanguageEvent,
    LanguageModel,
    TextDelta,
    ToolCall,
)
from appliance.errors import AtCapacity, InvalidInput, Unavailable
from models.llm.scripted.server import application
from tests.integration.engines.conftest import free_port
from tests.unit.engines.diary import SYSTEM, TOOLS

Chunks = Callable[[], AsyncIterator[bytes]]
MESSAGES = [{"role": "system", "content": SYSTEM}, {"role": "user", "content": "book an appointment"}]


@pytest.fixture(scope="module")
def scripted() -> Iterator[str]:
    port = free_port()
    server = uvicorn.Server(uvicorn.Config(application(), "127.0.0.1", port, log_level="warning"))
    thread = threading.Thread(target=server.run)
    thread.start()
    url = f"http://127.0.0.1:{port}"
    for _ in range(600):
        try:
            httpx.get(f"{url}/health", timeout=5).raise_for_status()
            break
        except httpx.HTTPError:
            threading.Event().wait(0.1)
    yield f"{url}/v1"
    server.should_exit = True
    thread.join(20)


@asynccontextmanager
async def misbehaving(chunks: Chunks, status: int = 200) -> AsyncIterator[str]:
    """A server that streams whatever it is told to, to show what no sound server produces."""

    async def complete(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(status=status, headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        async for chunk in chunks():
            await response.write(chunk)
        return response

    app = web.Application()
    app.router.add_post("/v1/chat/completions", complete)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    port = free_port()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    try:
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        await runner.cleanup()


def event(delta: dict[str, Any], finish: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    body = {"id": "1", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice]}
    return f"data: {json.dumps(body)}\n\n".encode()


def saying(*parts: bytes, then: Callable[[], Any] | None = None) -> Chunks:
    async def chunks() -> AsyncIterator[bytes]:
        for part in parts:
            yield part
        if then is not None:
            await then()

    return chunks


async def nothing_more() -> None:
    await asyncio.sleep(600)


async def ask(
    base_url: str, *, messages: list[dict[str, Any]] | None = None, **options: Any
) -> list[LanguageEvent]:
    limit = options.pop("max_tokens", 400)
    model = LanguageModel(base_url, "scripted", **({"first_token_timeout_seconds": 30.0} | options))
    try:
        return [event async for event in model.stream(messages or MESSAGES, tools=TOOLS, max_tokens=limit)]
    finally:
        await model.close()


def text(events: list[LanguageEvent]) -> str:
    return "".join(event.text for event in events if isinstance(event, TextDelta))


async def test_an_answer_comes_in_pieces_with_its_usage(scripted: str) -> None:
    events = await ask(scripted)
    assert text(events) == "Which day would you like?"
    assert len(events) > 3
    last = events[-1]
    assert isinstance(last, Finished)
    assert (last.reason, last.served_by) == ("stop", "main")
    assert last.prompt_tokens > 0


FIRST_ANSWER = """
import asyncio, importlib, sys
from appliance.clients.language import LanguageModel
from runtime.agent.server import IMPORTED_EARLY
import runtime.agent.job
for name in IMPORTED_EARLY:
    importlib.import_module(name)
async def answer():
    model = LanguageModel(sys.argv[1], "scripted", first_token_timeout_seconds=30.0)
    before = set(sys.modules)
    messages = [{"role": "system", "content": sys.argv[2]}, {"role": "user", "content": "hello"}]
    assert [event async for event in model.stream(messages, tools=[], max_tokens=100)]
    await model.close()
    print(*(set(sys.modules) - before))
asyncio.run(answer())
"""


def test_the_first_answer_of_a_call_imports_nothing(scripted: str) -> None:
    """What is imported in a call stalls its audio; the worker's processes have it from the start."""
    command = [sys.executable, "-c", FIRST_ANSWER, scripted, SYSTEM]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    assert done.stdout.split() == []


async def test_a_tool_call_comes_whole_and_checked(scripted: str) -> None:
    messages = [*MESSAGES, {"role": "assistant", "content": "Which day would you like?"}]
    events = await ask(scripted, messages=[*messages, {"role": "user", "content": "on tuesday at nine"}])
    (call,) = [event for event in events if isinstance(event, ToolCall)]
    assert call.name == "check_availability"
    assert call.arguments == {"date": "2026-11-24", "time": "09:00"}
    assert call.id
    assert events[-1] == Finished(
        "tool_calls", "main", events[-1].prompt_tokens, events[-1].completion_tokens
    )  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("name", "arguments", "problem"),
    [
        ("fly_away", "{}", "no tool"),
        ("create_booking", '{"date": "x"', "not JSON"),
        ("create_booking", '{"date": "2026-11-24"}', "required"),
        ("create_booking", "[1]", "object"),
        ("create_order", '{"items": [], "name": "x"}', "items"),
    ],
)
async def test_a_malformed_tool_call_is_an_event(name: str, arguments: str, problem: str) -> None:
    call = {"index": 0, "id": "c1", "type": "function", "function": {"name": name, "arguments": arguments}}
    parts = (event({"tool_calls": [call]}), event({}, "tool_calls"), b"data: [DONE]\n\n")
    async with misbehaving(saying(*parts)) as url:
        events = await ask(url)
    (invalid,) = [event for event in events if isinstance(event, InvalidToolCall)]
    assert problem in invalid.problem
    assert invalid.arguments_text == arguments


@pytest.mark.parametrize(
    "chunks",
    [
        saying(then=nothing_more),
        saying(),
        saying(b"data: {not json\n\n"),
        saying(b"data: [DONE]\n\n"),
        saying(b'data: {"choices": [{"delta": {"content": "\xff\xfe"}}]}\n\n', then=nothing_more),
    ],
    ids=["silent", "empty", "not json", "only done", "not UTF-8"],
)
async def test_a_model_without_an_answer_is_replaced_in_the_same_turn(scripted: str, chunks: Chunks) -> None:
    async with misbehaving(chunks) as url:
        events = await ask(url, fallback_base_url=scripted, first_token_timeout_seconds=2.0)
        with pytest.raises(Unavailable):
            await ask(url, first_token_timeout_seconds=1.0)
    assert text(events) == "Which day would you like?"
    last = events[-1]
    assert isinstance(last, Finished)
    assert last.served_by == "fallback"


async def test_a_model_that_is_not_there_is_replaced(scripted: str) -> None:
    events = await ask(f"http://127.0.0.1:{free_port()}/v1", fallback_base_url=scripted)
    assert text(events) == "Which day would you like?"


async def test_a_model_lost_in_mid_answer_ends_the_answer() -> None:
    async with misbehaving(saying(event({"content": "One moment"}), then=nothing_more)) as url:
        events = await ask(url, gap_timeout_seconds=0.5)
    assert text(events) == "One moment"
    assert events[-1] == Finished("cut", "main")


async def test_an_endless_answer_is_bounded() -> None:
    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield event({"content": "and so on " * 10})
            await asyncio.sleep(0)

    async with misbehaving(endless) as url:
        events = await ask(url, max_tokens=20)
    assert len(text(events)) <= 240
    last = events[-1]
    assert isinstance(last, Finished)
    assert last.reason == "length"


@pytest.mark.parametrize(("status", "error"), [(429, AtCapacity), (400, InvalidInput), (500, Unavailable)])
async def test_refusals_are_typed(status: int, error: type[Exception]) -> None:
    async with misbehaving(saying(b"{}"), status=status) as url:
        with pytest.raises(error):
            await ask(url)


@contextmanager
def http(base_url: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=base_url.removesuffix("/v1"), timeout=30) as client:
        yield client


def test_the_engine_speaks_the_protocol_without_streaming_too(scripted: str) -> None:
    with http(scripted) as client:
        assert client.get("/v1/models").json()["data"][0]["id"] == "scripted"
        body = client.post(
            "/v1/chat/completions", json={"model": "scripted", "messages": MESSAGES, "tools": TOOLS}
        ).json()
        assert body["choices"][0]["message"]["content"] == "Which day would you like?"
        assert body["choices"][0]["finish_reason"] == "stop"
        assert body["usage"]["total_tokens"] > 0
        named = {"type": "function", "function": {"name": "log_note"}}
        for choice, expected in (("none", set()), ("required", {"check_availability"}), (named, set())):
            ask_for = {"messages": MESSAGES, "tools": TOOLS, "tool_choice": choice}
            message = client.post("/v1/chat/completions", json=ask_for).json()["choices"][0]["message"]
            assert {call["function"]["name"] for call in message.get("tool_calls", [])} == expected
        for wrong in ({}, {"messages": []}, {"messages": "hello"}, {"messages": [{"content": "x"}]}):
            refused = client.post("/v1/chat/completions", json=wrong)
            assert refused.status_code == 400
            assert refused.json()["error"]["type"] == "invalid_request_error"
