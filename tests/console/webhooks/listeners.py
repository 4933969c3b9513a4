"""The organization's own programs that are told of events, and how a test waits for what they are told."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest
from aiohttp import web

from appliance.webhooks.domain import EVENT_NAMES
from tests.console.api.conftest import Program
from tests.console.webhooks.jobs_worker import until


@dataclass
class Receiver:
    """The organization's program. It checks what it is sent by the standard's text, with nothing of ours."""

    port: int = 0
    secret: str = ""
    statuses: list[int] = field(default_factory=list[int])
    location: str = ""
    hangs: asyncio.Event = field(default_factory=asyncio.Event)
    """Set: every request is held until it is set."""
    arrived: asyncio.Event = field(default_factory=asyncio.Event)
    events: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    refused: list[str] = field(default_factory=list[str])
    tries: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/events"

    async def take(self, request: web.Request) -> web.Response:
        self.tries += 1
        self.arrived.set()
        await self.hangs.wait()
        body = await request.read()
        if not self._is_signed(request, body):
            self.refused.append(body.decode())
            return web.Response(status=401)
        status = self.statuses.pop(0) if self.statuses else 204
        if status == 204:
            self.events.append(json.loads(body))
        return web.Response(status=status, headers={"Location": self.location} if self.location else {})

    def _is_signed(self, request: web.Request, body: bytes) -> bool:
        stamp = request.headers["webhook-timestamp"]
        key = base64.b64decode(self.secret.removeprefix("whsec_"))
        content = f"{request.headers['webhook-id']}.{stamp}.".encode() + body
        expected = "v1," + base64.b64encode(hmac.new(key, content, hashlib.sha256).digest()).decode()
        young = abs(datetime.now(UTC).timestamp() - int(stamp)) < 300
        return young and expected in request.headers["webhook-signature"].split(" ")

    def named(self, event: str) -> list[dict[str, Any]]:
        return [each for each in self.events if each["type"] == f"trunkline.{event}"]

    async def told(self, event: str) -> dict[str, Any]:
        async def look() -> list[dict[str, Any]]:
            return self.named(event)

        return (await until(look, event))[0]


Listen = Callable[..., Awaitable[Receiver]]


@pytest.fixture
async def listen() -> AsyncGenerator[Listen]:
    """`await listen(program, "call.ended")`: a receiver that an endpoint of the organization leads to."""
    runners: list[web.AppRunner] = []
    receivers: list[Receiver] = []

    async def make(program: Program, *events: str, statuses: tuple[int, ...] = (), hangs: bool = False):
        made = Receiver(statuses=list(statuses))
        if not hangs:
            made.hangs.set()
        receivers.append(made)
        app = web.Application()
        app.router.add_post("/events", made.take)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
        await runner.setup()
        runners.append(runner)
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        made.port = runner.addresses[0][1]
        answer = await program.http.post("/webhooks", json={"url": made.url, "events": events or EVENT_NAMES})
        assert answer.status_code == 201
        made.secret = answer.json()["secret"]
        return made

    yield make
    for each in receivers:
        each.hangs.set()
    for runner in runners:
        await runner.cleanup()
