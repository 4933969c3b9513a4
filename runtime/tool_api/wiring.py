"""What the routes stand on, made once for the process and found again on each request."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, cast
from uuid import UUID

from fastapi import Depends, Request
from sqlalchemy.ext.asyncio import AsyncEngine

from appliance.calls.admission import Admissions
from appliance.calls.browser_call import BrowserCalls
from appliance.calls.tokens import CallTokens
from appliance.clients.outbound_http import OutboundHttp
from appliance.database.engine import create_engine
from appliance.database.unit_of_work import UnitOfWork
from appliance.security.keys import KeyRing
from appliance.settings import Settings
from appliance.tools.functions import FunctionCaller
from appliance.widgets.admission import WebCalls


@dataclass(frozen=True)
class Wiring:
    settings: Settings
    app: AsyncEngine
    router: AsyncEngine
    keys: KeyRing
    tokens: CallTokens
    admissions: Admissions
    functions: FunctionCaller
    browser_calls: BrowserCalls
    web_calls: WebCalls

    @classmethod
    def of(cls, settings: Settings) -> Wiring:
        app = create_engine(settings.database, "app")
        router = create_engine(settings.database, "router")
        tokens = CallTokens(settings.tool_api.token_key.reveal())
        keys = KeyRing.from_settings(settings.security)
        return cls(
            settings=settings,
            app=app,
            router=router,
            keys=keys,
            tokens=tokens,
            admissions=Admissions(settings, app=app, router=router, tokens=tokens),
            functions=FunctionCaller(keys, OutboundHttp.of(settings.outbound.allowed_networks)),
            browser_calls=BrowserCalls(settings, app=app, tokens=tokens),
            web_calls=WebCalls(settings, app=app, tokens=tokens),
        )

    def work_of(self, organization_id: UUID) -> UnitOfWork:
        """A transaction of this organization."""
        return UnitOfWork(self.app, organization_id)

    def work_of_router(self) -> UnitOfWork:
        """A transaction that reads what tells organizations apart."""
        return UnitOfWork(self.router, None)

    async def close(self) -> None:
        await self.app.dispose()
        await self.router.dispose()


def _wiring(request: Request) -> Wiring:
    return cast("Wiring", request.app.state.wiring)


def _now() -> datetime:
    return datetime.now(UTC)


Wired = Annotated[Wiring, Depends(_wiring)]
Now = Annotated[datetime, Depends(_now)]
