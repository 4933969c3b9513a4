"""A language server that misbehaves on demand: what no real one can be made to do.

It speaks the same protocol (chat completions, streamed). The answer is taken from a script by how far the
conversation is; at the script's end the last one is given again.
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web


@dataclass(frozen=True)
class Say:
    """An answer of text."""

    text: str


@dataclass(frozen=True)
class Call:
    """A tool call; `arguments` goes out as it is, JSON or not."""

    name: str
    arguments: str = "{}"
    say: str = ""


@dataclass(frozen=True)
class Slow:
    """An answer that begins late."""

    seconds: float
    text: str


@dataclass
class FaultyLanguage:
    """`async with FaultyLanguage([...]) as server: server.url`."""

    script: list[Say | Call | Slow]
    requests: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    url: str = ""
    _runner: web.AppRunner | None = None

    async def __aenter__(self) -> FaultyLanguage:
        app = web.Application()
        app.add_routes([web.post("/v1/chat/completions", self._answer)])
        self._runner = web.AppRunner(app)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}/v1"
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._runner is not None
        await self._runner.cleanup()

    def begin(self, script: list[Say | Call | Slow]) -> None:
        """The answers of the next call."""
        self.script = script
        self.requests.clear()

    def told(self) -> list[dict[str, Any]]:
        """The tool results that the model was told, in order, of the last request."""
        return [m for m in self.requests[-1]["messages"] if m["role"] == "tool"]

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        self.requests.append(body)
        # Speculative requests repeat a turn: the script goes by how far the conversation is.
        steps = sum(1 for m in body["messages"] if m["role"] in ("user", "tool"))
        answer = self.script[min(steps - 1, len(self.script) - 1)]
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        if isinstance(answer, Slow):
            await asyncio.sleep(answer.seconds)
        text = answer.say if isinstance(answer, Call) else answer.text
        for word in text.split(" ") if text else []:
            await self._send(response, {"role": "assistant", "content": word + " "})
        if isinstance(answer, Call):
            call = {
                "index": 0,
                "id": f"call_{steps}",
                "type": "function",
                "function": {"name": answer.name, "arguments": answer.arguments},
            }
            await self._send(response, {"role": "assistant", "tool_calls": [call]})
        reason = "tool_calls" if isinstance(answer, Call) else "stop"
        await self._send(response, {}, reason)
        await response.write(b"data: [DONE]\n\n")
        return response

    async def _send(
        self, response: web.StreamResponse, delta: dict[str, Any], reason: str | None = None
    ) -> None:
        choice = {"index": 0, "delta": delta, "finish_reason": reason}
        chunk = {
            "id": "c",
            "object": "chat.completion.chunk",
            "created": 0,
            "model": "x",
            "choices": [choice],
        }
        await response.write(b"data: " + json.dumps(chunk).encode() + b"\n\n")
