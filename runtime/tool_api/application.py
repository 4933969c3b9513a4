"""The FastAPI application, put together."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from fastapi import FastAPI

from appliance.settings import Settings
from runtime.tool_api import calls, gateway, health, problems, voice_tools
from runtime.tool_api.limits import BodyLimit, Deadline
from runtime.tool_api.wiring import Wiring

REQUEST_SECONDS = 5.0
"""Less than the patience of a caller, more than a busy database needs."""


def create_app(settings: Settings) -> FastAPI:
    """The application; its connections are opened when first needed and closed with it."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncGenerator[None]:
        wiring = Wiring.of(settings)
        app.state.wiring = wiring
        try:
            yield
        finally:
            await wiring.close()

    # No pages of documentation: they would load scripts from the internet.
    app = FastAPI(lifespan=lifespan, openapi_url=None, docs_url=None, redoc_url=None)
    problems.install(app)
    app.add_middleware(BodyLimit)
    app.add_middleware(Deadline, seconds=REQUEST_SECONDS)
    for part in (health, calls, voice_tools, gateway):
        app.include_router(part.router)
    return app
