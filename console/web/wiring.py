"""What the routes stand on, made once for the process."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from uuid import UUID

from jinja2 import Environment
from sqlalchemy.ext.asyncio import AsyncEngine

from appliance.access.sessions import Limits
from appliance.clients.identity import IdentityProvider
from appliance.database.engine import create_engine
from appliance.database.unit_of_work import UnitOfWork
from appliance.security.keys import KeyRing
from appliance.settings import Settings
from console.web.cookies import Cookies
from console.web.features import NavigationEntry


@dataclass(frozen=True)
class Wiring:
    """Connections, keys and templates of the process. `stack` closes what a feature opens."""

    settings: Settings
    app: AsyncEngine
    router: AsyncEngine
    keys: KeyRing
    cookies: Cookies
    identity: IdentityProvider
    templates: Environment
    navigation: tuple[NavigationEntry, ...]
    limits: Limits
    fresh_for: timedelta
    stack: AsyncExitStack = field(default_factory=AsyncExitStack)

    @classmethod
    def of(
        cls, settings: Settings, *, templates: Environment, navigation: tuple[NavigationEntry, ...]
    ) -> Wiring:
        console = settings.console
        return cls(
            settings=settings,
            app=create_engine(settings.database, "app"),
            router=create_engine(settings.database, "router"),
            keys=KeyRing.from_settings(settings.security),
            cookies=Cookies(console.cookie_key.reveal(), secure=console.secure),
            identity=IdentityProvider(settings.identity, console_url=console.url),
            templates=templates,
            navigation=navigation,
            limits=Limits(
                idle=timedelta(minutes=console.idle_minutes), absolute=timedelta(hours=console.absolute_hours)
            ),
            fresh_for=timedelta(minutes=console.fresh_minutes),
        )

    def work_of(self, organization_id: UUID | None) -> UnitOfWork:
        """A transaction of this organization; with None of the box."""
        return UnitOfWork(self.app, organization_id)

    def work_of_router(self) -> UnitOfWork:
        """A transaction that reads what tells organizations apart, before one is known."""
        return UnitOfWork(self.router, None)

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[None]:
        async with self.stack:
            try:
                yield
            finally:
                await self.identity.close()
                await self.router.dispose()
                await self.app.dispose()
