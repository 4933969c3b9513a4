"""The language model behind an OpenAI-compatible chat server (docs/architecture.md, Contract 4).

What the server says is untrusted: text is bounded, tool calls are checked against the tools' schemas, and
what does not fit becomes an event (`InvalidToolCall`), never an exception. When the model says nothing in
time, the fall-back server (the scripted dialogue engine) answers the same turn.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Literal

import httpx2
import jsonschema
import openai
import structlog

from appliance.errors import AtCapacity, InvalidInput, TrunklineError, Unavailable
from appliance.settings import LanguageSettings

_log = structlog.get_logger(__name__)

_CHARACTERS_PER_TOKEN = 12
"""No tokenizer says more than this per token for long: the bound of a server that ignores `max_tokens`."""
_MAX_TOOL_CALLS = 8
_FAILURES = (openai.OpenAIError, httpx2.HTTPError, TimeoutError, UnicodeError, ValueError, LookupError)

ServedBy = Literal["main", "fallback"]


@dataclass(frozen=True, slots=True)
class TextDelta:
    """A piece of the answer's text, to be spoken."""

    text: str


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A call of one of the given tools; its arguments fit the tool's schema."""

    id: str
    name: str
    arguments: dict[str, Any]


@dataclass(frozen=True, slots=True)
class InvalidToolCall:
    """A call of an unknown tool or with arguments that do not fit. `problem` is a sentence for the model."""

    id: str
    name: str
    arguments_text: str
    problem: str


@dataclass(frozen=True, slots=True)
class Finished:
    """The last event of an answer.

    `reason`: `stop`, `tool_calls`, `length` (the bound was reached) or `cut` (the server was lost after it
    had begun to speak). `served_by` says which server answered.
    """

    reason: Literal["stop", "tool_calls", "length", "cut"]
    served_by: ServedBy
    prompt_tokens: int = 0
    completion_tokens: int = 0


LanguageEvent = TextDelta | ToolCall | InvalidToolCall | Finished


class LanguageModel:
    """Streams answers; one object serves many calls at once.

    `first_token_timeout_seconds` bounds the wait for the first text or tool call, `gap_timeout_seconds` that
    between two pieces. After a failure the fall-back is asked at once for `rest_seconds`, so that a dead
    model costs one turn and not each.
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
        rest_seconds: float = 15.0,
    ) -> None:
        self._main = _Server("main", base_url, model, api_key)
        self._fallback = (
            _Server("fallback", fallback_base_url, fallback_model, None)
            if fallback_base_url and fallback_base_url != base_url
            else None
        )
        self._first_token_timeout_seconds = first_token_timeout_seconds
        self._gap_timeout_seconds = gap_timeout_seconds
        self._rest_seconds = rest_seconds
        self._main_rests_until = 0.0

    @classmethod
    def from_settings(cls, settings: LanguageSettings) -> LanguageModel:
        return cls(
            settings.base_url,
            settings.model,
            api_key=settings.api_key.reveal() if settings.api_key else None,
            fallback_base_url=settings.fallback_base_url,
            fallback_model=settings.fallback_model,
            first_token_timeout_seconds=settings.first_token_timeout_seconds,
        )

    async def stream(
        self,
        messages: Sequence[Mapping[str, Any]],
        *,
        tools: Sequence[Mapping[str, Any]] = (),
        tool_choice: str | Mapping[str, Any] = "auto",
        max_tokens: int = 400,
        temperature: float = 0.3,
    ) -> AsyncGenerator[LanguageEvent, None]:
        """The answer to `messages` (OpenAI's form) as events; the last one is `Finished`.

        Raises Unavailable or AtCapacity when no server began to answer, InvalidInput when a server says that
        the request is wrong. Close the generator to stop the server's work.
        """
        body: dict[str, Any] = {
            "messages": [dict(message) for message in messages],
            "max_tokens": max_tokens,
            "temperature": temperature,
        }
        if tools:
            body |= {"tools": [dict(tool) for tool in tools], "tool_choice": tool_choice}
        servers = [self._main] if self._fallback is None else [self._main, self._fallback]
        if len(servers) > 1 and time.monotonic() < self._main_rests_until:
            servers = servers[1:]
        for server in servers:
            try:
                async with aclosing(self._answer(server, body, tools, max_tokens)) as events:
                    async for event in events:
                        yield event
                return
            except TrunklineError as error:
                if server is self._main and self._fallback is not None:
                    self._main_rests_until = time.monotonic() + self._rest_seconds
                if server is servers[-1]:
                    raise
                _log.warning("language model replaced for this turn", reason=error.code)

    async def _answer(
        self, server: _Server, body: dict[str, Any], tools: Sequence[Mapping[str, Any]], max_tokens: int
    ) -> AsyncGenerator[LanguageEvent, None]:
        answer = _Answer(server.served_by, tools, max_tokens)
        timeout_seconds = self._first_token_timeout_seconds
        stream: Any = None
        try:
            async with asyncio.timeout(timeout_seconds) as limit:
                stream = await server.open(body)
                chunks = aiter(stream)
                while not answer.begun and not answer.ended:
                    answer.take(await anext(chunks, None))
                limit.reschedule(None)
            while True:
                for event in answer.events():
                    yield event
                if answer.ended:
                    return
                async with asyncio.timeout(self._gap_timeout_seconds):
                    answer.take(await anext(chunks, None))
        except _FAILURES as error:
            if not answer.spoken:
                raise _typed(error, timeout_seconds) from error
            _log.warning("language model lost in mid-answer", reason=type(error).__name__)
            yield Finished("cut", server.served_by)
        finally:
            if stream is not None:
                await stream.close()

    async def close(self) -> None:
        await self._main.close()
        if self._fallback is not None:
            await self._fallback.close()


class _Server:
    def __init__(self, served_by: ServedBy, base_url: str, model: str, api_key: str | None) -> None:
        self.served_by: ServedBy = served_by
        self._model = model
        self._client = openai.AsyncOpenAI(
            base_url=base_url,
            api_key=api_key or "none",
            max_retries=0,
            timeout=openai.Timeout(30.0, connect=2.0),
        )

    async def open(self, body: dict[str, Any]) -> Any:
        return await self._client.chat.completions.create(
            model=self._model, stream=True, stream_options={"include_usage": True}, **body
        )

    async def close(self) -> None:
        await self._client.close()


class _Answer:
    """Puts the chunks of one streamed answer together, within bounds."""

    def __init__(self, served_by: ServedBy, tools: Sequence[Mapping[str, Any]], max_tokens: int) -> None:
        self._served_by: ServedBy = served_by
        self._schemas = {tool["function"]["name"]: tool["function"].get("parameters", {}) for tool in tools}
        self._characters_left = max_tokens * _CHARACTERS_PER_TOKEN
        self._calls: dict[int, dict[str, str]] = {}
        self._texts: list[str] = []
        self._usage: Any = None
        self._reason = ""
        self.spoken = False
        """Something has been given to the caller: too late for another server."""
        self.ended = False

    @property
    def begun(self) -> bool:
        return bool(self._texts or self._calls)

    def take(self, chunk: Any) -> None:
        """One chunk, or None at the end of the stream."""
        if chunk is None:
            self._end()
            return
        if getattr(chunk, "usage", None):
            self._usage = chunk.usage
        for choice in (chunk.choices or [])[:1]:
            delta = choice.delta
            if delta is not None and delta.content:
                self._texts.append(self._bounded(delta.content))
            for part in (delta.tool_calls if delta is not None else None) or []:
                self._take_call(part)
            self._reason = choice.finish_reason or self._reason
        if self._characters_left <= 0:
            self._reason = "length"
            self._end()

    def _take_call(self, part: Any) -> None:
        call = self._calls.setdefault(int(part.index or 0), {"id": "", "name": "", "arguments": ""})
        call["id"] = call["id"] or (part.id or "")
        if part.function is not None:
            call["name"] += self._bounded(part.function.name or "")
            call["arguments"] += self._bounded(part.function.arguments or "")

    def _bounded(self, text: str) -> str:
        kept = text[: max(self._characters_left, 0)]
        self._characters_left -= len(text)
        return kept.encode("utf-8", "replace").decode("utf-8")

    def _end(self) -> None:
        if not self.begun and not self._reason:
            raise ValueError("an empty answer")
        self.ended = True

    def events(self) -> list[LanguageEvent]:
        """What has become ready since the last time."""
        events: list[LanguageEvent] = [TextDelta(text) for text in self._texts if text]
        self._texts.clear()
        if self.ended:
            calls = [self._calls[index] for index in sorted(self._calls)][:_MAX_TOOL_CALLS]
            events.extend(checked_tool_call(c["id"], c["name"], c["arguments"], self._schemas) for c in calls)
            reason = "length" if self._reason == "length" else "tool_calls" if calls else "stop"
            used = self._usage
            events.append(
                Finished(
                    reason,
                    self._served_by,
                    prompt_tokens=int(getattr(used, "prompt_tokens", 0) or 0),
                    completion_tokens=int(getattr(used, "completion_tokens", 0) or 0),
                )
            )
        self.spoken = self.spoken or bool(events)
        return events


def checked_tool_call(
    call_id: str, name: str, arguments_text: str, schemas: Mapping[str, Mapping[str, Any]]
) -> ToolCall | InvalidToolCall:
    """A tool call as a model wrote it, checked against `schemas` (JSON schemas by tool name)."""
    if not call_id:
        call_id = f"call_{time.time_ns():x}"
    if name not in schemas:
        return InvalidToolCall(call_id, name, arguments_text, f"There is no tool {name!r}.")
    try:
        arguments = json.loads(arguments_text or "{}")
        jsonschema.validate(arguments, schemas[name], format_checker=jsonschema.FormatChecker())
    except json.JSONDecodeError:
        return InvalidToolCall(call_id, name, arguments_text, "The arguments are not JSON.")
    except jsonschema.ValidationError as error:
        problem = f"{error.json_path}: {error.message}"[:300]
        return InvalidToolCall(call_id, name, arguments_text, problem)
    except (jsonschema.SchemaError, RecursionError):
        return InvalidToolCall(call_id, name, arguments_text, "The arguments cannot be checked.")
    if not isinstance(arguments, dict):
        return InvalidToolCall(call_id, name, arguments_text, "The arguments are not an object.")
    return ToolCall(call_id, name, arguments)


def _typed(error: BaseException, timeout_seconds: float) -> TrunklineError:
    if isinstance(error, openai.RateLimitError):
        return AtCapacity("The language model is at capacity.")
    if isinstance(error, (openai.BadRequestError, openai.UnprocessableEntityError)):
        return InvalidInput(f"The language model refused the request: {error.message}", field="messages")
    if isinstance(error, (TimeoutError, openai.APITimeoutError)):
        return Unavailable(f"The language model said nothing within {timeout_seconds:g} s.")
    return Unavailable(
        f"The language model does not answer ({type(error).__name__}).",
        remedy="See that the language server runs.",
    )
