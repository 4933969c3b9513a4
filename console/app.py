"""The Litestar application, put together.

A folder of `console/` with a module `pages` (or `routes`) is part of it: that module's `ROUTES` are its
handlers and routers, `NAVIGATION` its entries in the menu. A route that states neither `right=` nor
`public=True` keeps the console from starting.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from litestar import Litestar, Router
from litestar.config.app import AppConfig
from litestar.di import Provide
from litestar.openapi import OpenAPIConfig

from appliance.errors import Conflict
from appliance.settings import Settings
from console.web import features, health, static
from console.web.deadline import Deadline
from console.web.dependencies import provide_actor, provide_page, provide_wiring, provide_work
from console.web.guard import guard, require_stated_rights
from console.web.headers import SecurityHeaders
from console.web.problems import EXCEPTION_HANDLERS, on_own_error
from console.web.templates import make_templates
from console.web.wiring import Wiring

MAX_BODY_BYTES = 1024 * 1024
"""Of one request; a route that takes more says so by `request_max_body_size=`."""


def create_app(settings: Settings) -> Litestar:
    """The console; its connections are opened when first needed and closed with it.

    Raises InvalidInput for settings that cannot be used, Conflict for a route without a stated right.
    """
    found = features.discover()
    templates = make_templates(found)
    wiring = Wiring.of(settings, templates=templates, navigation=features.navigation(found))

    @asynccontextmanager
    async def lifespan(_app: Litestar) -> AsyncGenerator[None]:
        async with wiring.running():
            yield

    handlers = [handler for feature in found for handler in feature.routes]
    app = Litestar(
        route_handlers=[
            Router("/", route_handlers=handlers),
            health.live,
            health.ready,
            static.router(found, settings.console.browser_files_dir),
        ],
        guards=[guard],
        dependencies={
            "wiring": Provide(provide_wiring, sync_to_thread=False),
            "actor": Provide(provide_actor, sync_to_thread=False),
            "work": Provide(provide_work, sync_to_thread=False),
            "page": Provide(provide_page),
        },
        exception_handlers=EXCEPTION_HANDLERS,
        middleware=[SecurityHeaders(settings), Deadline(on_own_error)],
        lifespan=[lifespan],
        openapi_config=_openapi(found),
        include_in_schema=False,
        request_max_body_size=MAX_BODY_BYTES,
        logging_config=None,
        on_app_init=[_keep_quiet],
        debug=False,
    )
    app.state.wiring = wiring
    if nobody := require_stated_rights(app):
        raise Conflict(
            f"These routes state no right: {', '.join(nobody)}.", remedy="Give them right= or public=True."
        )
    return app


def _openapi(found: list[features.Feature]) -> OpenAPIConfig | None:
    configs = [feature.openapi for feature in found if feature.openapi is not None]
    return configs[0] if configs else None


def _keep_quiet(config: AppConfig) -> AppConfig:
    """Litestar would log each expected refusal with a traceback; `problems` logs what is unexpected."""
    config.logging_config = None
    return config
