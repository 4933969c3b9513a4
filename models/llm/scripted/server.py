"""`/v1/chat/completions` of the scripted dialogue engine: OpenAI's protocol, streamed or not."""

from __future__ import annotations

import json
import re
import time
import uuid
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, StreamingResponse
from pydantic import BaseModel, ConfigDict, Field

from models.llm.scripted.dialogue import load_dialogue
from models.llm.scripted.policy import Answer, Policy, Tools
from models.llm.scripted.state import Facts, read

MODEL = "scripted"
_MAX_BODY_BYTES = 4 * 1024 * 1024


class _Loose(BaseModel):
    model_config = ConfigDict(extra="ignore")


class Message(_Loose):
    role: str
    content: Any = None
    tool_calls: list[dict[str, Any]] | None = None
    tool_call_id: str | None = None
    name: str | None = None


class Function(_Loose):
    name: str = Field(min_length=1, max_length=128)
    description: str | None = None
    parameters: dict[str, Any] = Field(default_factory=dict[str, Any])


class Tool(_Loose):
    type: str = "function"
    function: Function


class StreamOptions(_Loose):
    include_usage: bool = False


class ChatRequest(_Loose):
    """The part of OpenAI's request that the engine reads; temperature and the like mean nothing here."""

    model: str = MODEL
    messages: list[Message] = Field(min_length=1, max_length=2000)
    tools: list[Tool] | None = None
    tool_choice: str | dict[str, Any] | None = None
    stream: bool = False
    stream_options: StreamOptions | None = None
    max_tokens: int | None = Field(default=None, ge=1)


def answer(request: ChatRequest, today: datetime) -> Answer:
    """The next message of the conversation; the same for the same request and day."""
    messages: Sequence[Mapping[str, Any]] = [message.model_dump() for message in request.messages]
    facts = Facts.of(messages, today.date())
    dialogue = load_dialogue(facts.language)
    state = read(messages, dialogue, facts)
    offered = request.tools if request.tools and request.tool_choice != "none" else []
    tools = Tools({tool.function.name: tool.function.parameters for tool in offered})
    policy = Policy(dialogue, tools)
    decided = policy.decide(state)
    named = _named_tool(request.tool_choice)
    if (named or request.tool_choice == "required") and (
        decided.tool is None or named not in {None, decided.tool.name}
    ):
        return Answer(tool=policy.forced(state, named)) if policy.forced(state, named) else decided
    return decided


def _named_tool(choice: str | dict[str, Any] | None) -> str | None:
    function: Any = choice.get("function") if isinstance(choice, dict) else None
    return str(function["name"]) if isinstance(function, dict) and "name" in function else None


def application() -> FastAPI:
    """The server."""
    app = FastAPI(title="Trunkline scripted dialogue engine", docs_url=None, redoc_url=None, openapi_url=None)

    @app.exception_handler(RequestValidationError)
    async def invalid(_request: Request, error: RequestValidationError) -> JSONResponse:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"][1:])
        return _error(400, f"{where}: {first['msg']}")

    @app.middleware("http")
    async def bounded(request: Request, call_next: Any) -> Any:
        length = request.headers.get("content-length", "0")
        if length.isdigit() and int(length) > _MAX_BODY_BYTES:
            return _error(413, "The conversation is too long.")
        return await call_next(request)

    @app.get("/health")
    async def health() -> dict[str, bool]:
        load_dialogue("en")
        return {"ready": True}

    @app.get("/v1/models")
    async def models() -> dict[str, Any]:
        return {"object": "list", "data": [{"id": MODEL, "object": "model", "owned_by": "trunkline"}]}

    @app.post("/v1/chat/completions", response_model=None)
    async def completions(request: ChatRequest) -> JSONResponse | StreamingResponse:
        decided = answer(request, datetime.now(UTC))
        usage = _usage(request, decided)
        if request.stream:
            with_usage = request.stream_options is not None and request.stream_options.include_usage
            return StreamingResponse(
                _stream(request.model, decided, usage if with_usage else None),
                media_type="text/event-stream",
                headers={"Cache-Control": "no-store"},
            )
        return JSONResponse(_whole(request.model, decided, usage))

    _ = (invalid, bounded, health, models, completions)
    return app


def _error(status: int, message: str) -> JSONResponse:
    return JSONResponse({"error": {"message": message, "type": "invalid_request_error"}}, status)


def _usage(request: ChatRequest, decided: Answer) -> dict[str, int]:
    prompt = sum(len(str(message.content or "").split()) for message in request.messages)
    written = len(decided.text.split()) + (len(decided.tool.arguments_text) // 4 if decided.tool else 0)
    return {"prompt_tokens": prompt, "completion_tokens": written, "total_tokens": prompt + written}


def _calls(decided: Answer) -> list[dict[str, Any]]:
    if decided.tool is None:
        return []
    function = {"name": decided.tool.name, "arguments": decided.tool.arguments_text}
    return [{"id": f"call_{uuid.uuid4().hex[:24]}", "type": "function", "function": function}]


def _head(model: str, kind: str) -> dict[str, Any]:
    created = int(time.time())
    return {"id": f"chatcmpl-{uuid.uuid4().hex}", "object": kind, "created": created, "model": model}


def _whole(model: str, decided: Answer, usage: dict[str, int]) -> dict[str, Any]:
    calls = _calls(decided)
    message: dict[str, Any] = {"role": "assistant", "content": decided.text or None}
    if calls:
        message["tool_calls"] = calls
    choice = {"index": 0, "message": message, "finish_reason": "tool_calls" if calls else "stop"}
    return _head(model, "chat.completion") | {"choices": [choice], "usage": usage}


async def _stream(model: str, decided: Answer, usage: dict[str, int] | None) -> AsyncIterator[str]:
    head = _head(model, "chat.completion.chunk")
    calls = _calls(decided)

    def event(delta: dict[str, Any], finish: str | None = None) -> str:
        choice = {"index": 0, "delta": delta, "finish_reason": finish}
        return f"data: {json.dumps(head | {'choices': [choice]}, ensure_ascii=False)}\n\n"

    yield event({"role": "assistant", "content": ""})
    for piece in re.findall(r"\s*\S+", decided.text):
        yield event({"content": piece})
    for index, call in enumerate(calls):
        yield event({"tool_calls": [{"index": index, **call}]})
    yield event({}, "tool_calls" if calls else "stop")
    if usage is not None:
        yield f"data: {json.dumps(head | {'choices': [], 'usage': usage})}\n\n"
    yield "data: [DONE]\n\n"
