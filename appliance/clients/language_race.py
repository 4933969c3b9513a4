"""One turn's request, and the servers asked for it side by side."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass
from typing import Any

from appliance.clients.language_engine import ChatEngine
from appliance.clients.language_events import LanguageEvent, ServedBy
from appliance.errors import TrunklineError

Batches = AsyncGenerator[list[LanguageEvent], None]


@dataclass(frozen=True)
class TurnRequest:
    messages: tuple[dict[str, Any], ...]
    tools: tuple[dict[str, Any], ...]
    tool_choice: str | Mapping[str, Any]
    max_tokens: int
    temperature: float
    priority: int

    def body(self, served_by: ServedBy) -> dict[str, Any]:
        body: dict[str, Any] = {
            "messages": list(self.messages),
            "max_tokens": self.max_tokens,
            "temperature": self.temperature,
        }
        if self.tools:
            body |= {"tools": list(self.tools), "tool_choice": self.tool_choice}
        return body | ({"extra_body": {"priority": self.priority}} if served_by == "main" else {})

    def repaired(self, problem: str) -> TurnRequest:
        """The same turn once more, in words alone."""
        note = f"Your last tool call was not valid ({problem}). Answer the caller in words."
        first, rest = self.messages[:1], self.messages[1:]
        if first and first[0].get("role") == "system":
            noted = {**first[0], "content": f"{first[0].get('content', '')}\n{note}"}
            messages = (noted, *rest)
        else:
            messages = ({"role": "system", "content": note}, *self.messages)
        return TurnRequest(messages, (), "none", self.max_tokens, 0.0, self.priority)


class Race:
    """Servers asked side by side, each up to its first useful batch; all but the kept one are hung up on."""

    def __init__(self, request: TurnRequest) -> None:
        self._request = request
        self._batches: dict[ChatEngine, Batches] = {}
        self.running: dict[asyncio.Task[list[LanguageEvent]], ChatEngine] = {}

    def start(self, engine: ChatEngine) -> None:
        request = self._request
        batches = engine.answer(request.body(engine.served_by), request.tools, request.max_tokens)
        self._batches[engine] = batches
        task = asyncio.ensure_future(anext(batches))
        self.running[task] = engine

    async def next_end(
        self, timeout_seconds: float | None
    ) -> tuple[ChatEngine, list[LanguageEvent] | TrunklineError] | None:
        """Who ended, and how; None when nobody did in time."""
        done, _ = await asyncio.wait(
            self.running, timeout=timeout_seconds, return_when=asyncio.FIRST_COMPLETED
        )
        for task in sorted(done, key=lambda each: self.running[each].served_by, reverse=True):
            engine = self.running.pop(task)
            try:
                return engine, task.result()
            except TrunklineError as error:
                return engine, error
        return None

    def keep(self, engine: ChatEngine) -> Batches:
        return self._batches.pop(engine)

    async def __aenter__(self) -> Race:
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self.running:
            task.cancel()
        await asyncio.gather(*self.running, return_exceptions=True)
        for batches in self._batches.values():
            await batches.aclose()


def strict_tool(tool: Mapping[str, Any]) -> dict[str, Any]:
    """The tool with `strict`: a server that can, lets the model write only what fits the schema."""
    function = tool.get("function")
    if not isinstance(function, Mapping):
        return dict(tool)
    return {**tool, "function": {**function, "strict": True}}
