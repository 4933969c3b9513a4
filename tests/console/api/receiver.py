"""A program of an organization that receives webhooks, with a real socket."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import web


@dataclass
class Receiver:
    """`statuses` are answered one after the other, then 204; each request is kept as it came."""

    statuses: list[int] = field(default_factory=list[int])
    port: int = 0
    received: list[tuple[dict[str, str], bytes]] = field(default_factory=list[tuple[dict[str, str], bytes]])
    answer: str = ""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook"

    async def take(self, request: web.Request) -> web.Response:
        self.received.append((dict(request.headers), await request.read()))
        status = self.statuses.pop(0) if self.statuses else 204
        return web.Response(
            status=status,
            text=self.answer or None,
            headers={"Location": self.url} if 300 <= status < 400 else {},
        )


@asynccontextmanager
async def receiver(*statuses: int) -> AsyncGenerator[Receiver]:
    made = Receiver(list(statuses))
    app = web.Application()
    app.router.add_post("/hook", made.take)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        made.port = runner.addresses[0][1]
        yield made
    finally:
        await runner.cleanup()
