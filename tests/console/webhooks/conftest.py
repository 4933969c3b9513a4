"""Organizations, programs with keys, and a browser, as the tests of the API and of the pages have them."""

from __future__ import annotations

from collections.abc import AsyncGenerator

import pytest
from sqlalchemy import delete

from appliance.webhooks.tables import InboundHook, WebhookEndpoint
from tests.console.api.conftest import data, other, program
from tests.console.pages.conftest import axe_script, browser, open_tab
from tests.integration.database.world import Data, Tenant

__all__ = ["axe_script", "browser", "data", "open_tab", "other", "program", "tenant"]


@pytest.fixture
async def tenant(data: Data) -> AsyncGenerator[Tenant]:
    """An organization without any webhooks."""
    async with data.tenant() as tenant:
        async with data.work(tenant.organization_id) as uow:
            await uow.session.execute(delete(WebhookEndpoint))
            await uow.session.execute(delete(InboundHook))
        yield tenant
