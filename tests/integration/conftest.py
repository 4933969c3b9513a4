"""The database of the test's box, and tenants in it: for every test of what lies in the database."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest_asyncio

from provisioning.lite.box import Box
from tests.integration.database.world import Data, Tenant


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def data(box: Box) -> AsyncIterator[Data]:
    box.start("postgres")
    assert box.seed.organization_id
    async with Data.of(box.settings) as data:
        yield data


@pytest_asyncio.fixture(loop_scope="session")
async def tenant(data: Data) -> AsyncIterator[Tenant]:
    async with data.tenant() as tenant:
        yield tenant
