"""Admission in front of vLLM, inside its own web server: an ASGI middleware (`vllm serve --middleware`).

vLLM queues without limit and offers many routes. Here a request gets a place at once or 429 with Retry-After,
its body is bounded and checked, only the routes that the appliance uses are open, and nobody is served before
the model has answered one real completion. A client that disappears cancels its request as without us:
messages pass through unchanged in both directions.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from prometheus_client import Counter, Gauge

from appliance.errors import InvalidInput
from models.llm.vllm.admission import Kind, Places, kind_of
from models.llm.vllm.launch import LIMITS_VARIABLE, Limits
from models.llm.vllm.requests import Checked, check

Message = MutableMapping[str, Any]
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

WARM_UP_HEADER = b"x-trunkline-warm-up"
_COMPLETIONS = "/v1/chat/completions"
_OPEN = {"/v1/models", "/metrics", "/metrics/"}
_RETRY_AFTER_SECONDS = 1
_READ = re.compile(rb'"prompt_tokens":\s*(\d+)')
_WRITTEN = re.compile(rb'"completion_tokens":\s*(\d+)')
"""In an answer's text the quotes would be escaped: this is the server's own account."""
_TAIL_BYTES = 4096

_requests = Counter(
    "trunkline_language_requests", "Requests by kind and what became of them", ["kind", "outcome"]
)
_tokens = Counter(
    "trunkline_language_tokens", "Tokens by kind of request, read and written", ["kind", "side"]
)
_in_flight = Gauge("trunkline_language_in_flight", "Requests that have a place", ["kind"])


class _TooLong(Exception):  # noqa: N818
    pass


class Admission:
    """Reads its limits from the environment, where the launcher has put them."""

    def __init__(self, app: App, limits: Limits | None = None) -> None:
        self._app = app
        self._limits = limits or Limits.from_json(os.environ[LIMITS_VARIABLE])
        self._places = Places(self._limits.max_requests, self._limits.live_reserve)
        self._proven = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
        elif scope["type"] != "http":
            raise RuntimeError("This server speaks HTTP alone.")
        elif scope["method"] == "GET":
            await self._get(scope, receive, send)
        elif scope["method"] == "POST" and scope["path"] == _COMPLETIONS:
            await self._complete(scope, receive, send)
        else:
            await _answer(send, 404, "There is nothing here.")

    async def _get(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"]
        if path == "/health/live":
            await _json(send, 200, {"ready": self._proven, "in_flight": self._places.in_flight})
        elif path in {"/health", "/health/ready"}:
            if not self._proven or self._draining:
                word = "It ends." if self._draining else "The model has not answered yet."
                await _answer(send, 503, word)
            else:
                await self._app({**scope, "path": "/health", "raw_path": b"/health"}, receive, send)
        elif path == "/version":
            await _json(send, 200, self._identity())
        elif path in _OPEN:
            await self._app(scope, receive, send)
        else:
            await _answer(send, 404, "There is nothing here.")

    @property
    def _draining(self) -> bool:
        return Path(self._limits.drain_file).exists()

    def _identity(self) -> dict[str, str]:
        try:
            number = version("vllm")
        except PackageNotFoundError:
            number = "unknown"
        limits = self._limits
        return {"engine": "vllm", "version": number, "model": limits.model, "sha256": limits.sha256}

    async def _complete(self, scope: Scope, receive: Receive, send: Send) -> None:
        warm_up = dict(scope["headers"]).get(WARM_UP_HEADER, b"").decode("latin-1")
        if not self._proven and warm_up != self._limits.warm_up_key:
            await _answer(send, 503, "The model has not answered yet.", retry=True)
            return
        if self._draining:
            await _answer(send, 503, "This server ends.", retry=True)
            return
        try:
            body = await _body(receive, self._limits.max_body_bytes)
            checked = check(body, self._limits.max_tokens)
        except _TooLong:
            await _answer(send, 413, "The conversation is too long.")
            return
        except InvalidInput as error:
            await _answer(send, 400, error.message, param=error.field)
            return
        kind = kind_of(checked.priority)
        if not self._places.take(kind):
            _requests.labels(kind, "at_capacity").inc()
            await _answer(send, 429, "The language model is at capacity.", retry=True)
            return
        _in_flight.labels(kind).inc()
        try:
            await self._serve(scope, receive, send, checked, kind)
        finally:
            self._places.leave(kind)
            _in_flight.labels(kind).dec()

    async def _serve(self, scope: Scope, receive: Receive, send: Send, checked: Checked, kind: Kind) -> None:
        """Passes the bounded request on, and counts what comes back."""
        given = False
        seen = _Seen()

        async def bounded() -> Message:
            nonlocal given
            if given:
                return await receive()  # the news that the client has gone
            given = True
            return {"type": "http.request", "body": checked.body, "more_body": False}

        async def counted(message: Message) -> None:
            seen.take(message)
            await send(message)

        length = str(len(checked.body)).encode()
        headers = [(name, value) for name, value in scope["headers"] if name != b"content-length"]
        inner = {**scope, "headers": [*headers, (b"content-length", length)]}
        try:
            await self._app(inner, bounded, counted)
        finally:
            _requests.labels(kind, seen.outcome).inc()
            for side, pattern in (("read", _READ), ("written", _WRITTEN)):
                if counts := pattern.findall(seen.tail):
                    _tokens.labels(kind, side).inc(int(counts[-1]))
                    if side == "written" and seen.outcome == "answered" and int(counts[-1]) > 0:
                        self._proven = True


@dataclass
class _Seen:
    """What went to the client of one answer."""

    status: int = 0
    whole: bool = False
    tail: bytes = b""

    def take(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
        elif message["type"] == "http.response.body":
            self.tail = (self.tail + message.get("body", b""))[-_TAIL_BYTES:]
            self.whole = not message.get("more_body", False)

    @property
    def outcome(self) -> str:
        if 400 <= self.status < 500:
            return "refused"
        if self.status != 200:
            return "failed"
        return "answered" if self.whole else "ended_early"


async def _body(receive: Receive, most_bytes: int) -> bytes:
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return b""
        part: bytes = message.get("body", b"")
        size += len(part)
        if size > most_bytes:
            raise _TooLong
        parts.append(part)
        if not message.get("more_body", False):
            return b"".join(parts)


async def _answer(send: Send, status: int, sentence: str, *, retry: bool = False, param: str = "") -> None:
    """An error in OpenAI's form."""
    kind = {429: "rate_limit_error", 503: "server_error"}.get(status, "invalid_request_error")
    error = {"message": sentence, "type": kind, "param": param or None, "code": status}
    await _json(send, status, {"error": error}, retry=retry)


async def _json(send: Send, status: int, tree: dict[str, Any], *, retry: bool = False) -> None:
    body = json.dumps(tree).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    if retry:
        headers.append((b"retry-after", str(_RETRY_AFTER_SECONDS).encode()))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
