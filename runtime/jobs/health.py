"""Says over HTTP whether the jobs worker lives and can work."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web

from appliance.errors import TrunklineError

Check = Callable[[], Awaitable[bool]]
CHECK_TIMEOUT_SECONDS = 3.0


async def readiness(checks: Mapping[str, Check]) -> dict[str, bool]:
    """The answer of each check; false when it fails or takes longer than 3 s."""

    async def one(check: Check) -> bool:
        try:
            async with asyncio.timeout(CHECK_TIMEOUT_SECONDS):
                return await check()
        except (TrunklineError, OSError, TimeoutError):
            return False

    answers = await asyncio.gather(*(one(check) for check in checks.values()))
    return dict(zip(checks, answers, strict=True))


@asynccontextmanager
async def health_server(
    port: int, checks: Mapping[str, Check], facts: Callable[[], dict[str, Any]]
) -> AsyncGenerator[None]:
    """Serves `/health/live` and `/health/ready` on loopback."""

    async def live(_request: web.Request) -> web.Response:
        return web.json_response({"ready": True, "parts": {}})

    async def ready(_request: web.Request) -> web.Response:
        parts = await readiness(checks)
        good = all(parts.values())
        return web.json_response({"ready": good, "parts": parts, **facts()}, status=200 if good else 503)

    app = web.Application()
    app.add_routes([web.get("/health/live", live), web.get("/health/ready", ready)])
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", port).start()
        yield
    finally:
        await runner.cleanup()
