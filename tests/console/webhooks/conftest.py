"""Organizations, programs with keys, and a browser, as the tests of the API and of the pages have them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

import pytest
from sqlalchemy import delete

from appliance.webhooks.tables import InboundHook, WebhookEndpoint
from provisioning.lite.box import Box
from tests.console.api.conftest import data, other, program
from tests.console.pages.conftest import axe_script, browser, open_tab
from tests.console.webhooks.listeners import listen
from tests.integration.database.world import Data, Tenant

__all__ = ["axe_script", "browser", "data", "listen", "open_tab", "other", "program", "tenant"]


@pytest.fixture(autouse=True, scope="module")
async def no_other_worker(console_box: Box) -> AsyncGenerator[None]:
    """The box's own jobs worker would send what a test sends: it stands still, and goes on if it ran."""
    ran = "jobs" in console_box.running()
    await asyncio.to_thread(console_box.stop, "jobs")
    yield
    change = console_box.start if ran else console_box.stop
    await asyncio.to_thread(change, "jobs")


@pytest.fixture
async def tenant(data: Data) -> AsyncGenerator[Tenant]:
    """An organization without any webhooks. They go first at the end: the worker may be writing of them."""
    async with data.tenant() as tenant:
        await _without_webhooks(data, tenant)
        yield tenant
        await _without_webhooks(data, tenant)


async def _without_webhooks(data: Data, tenant: Tenant) -> None:
    async with data.work(tenant.organization_id) as uow:
        await uow.session.execute(delete(WebhookEndpoint))
        await uow.session.execute(delete(InboundHook))
